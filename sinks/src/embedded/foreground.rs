//! A server by itself, for people: started, described on standard output, stopped when told to.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{AnalystFiles, EmbeddedError, EmbeddedOptions, EmbeddedServer};

/// How often it is looked whether the server shall stop.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a server until `stop` is set, then stops it.
///
/// # Errors
/// Those of [`EmbeddedServer::start`], and [`EmbeddedError::Died`] if the server ends by itself.
pub fn run_foreground(options: EmbeddedOptions, stop: &AtomicBool) -> Result<(), EmbeddedError> {
    let server = EmbeddedServer::start(options)?;
    let analyst = server.analyst_files()?;
    let described = describe(&server, &analyst, &mut io::stdout().lock());
    described.map_err(|source| EmbeddedError::Terminal { action: "write to standard output", source })?;
    while !stop.load(Ordering::Relaxed) {
        if let Some(error) = server.wait(WATCH_INTERVAL) {
            return Err(error);
        }
    }
    server.stop()
}

/// Where the server is and how to log in. No password is shown: they are in files.
fn describe(server: &EmbeddedServer, analyst: &AnalystFiles, out: &mut impl Write) -> io::Result<()> {
    let url = server.http_url();
    writeln!(out, "ClickHouse is running: HTTP on {url}, native protocol on 127.0.0.1:{}.", server.tcp_port())?;
    writeln!(out, "  data:      {}", server.data().display())?;
    writeln!(out, "  web page:  open {} in a browser: it logs in as {}", analyst.page().display(), analyst.user())?;
    writeln!(out, "  SQL:       {}", analyst.command())?;
    writeln!(out, "  passwords: {}", server.credentials_file().display())?;
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}
