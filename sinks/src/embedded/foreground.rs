//! A server by itself, for people: started, described on standard output, stopped by Ctrl-C or SIGTERM.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{EmbeddedError, EmbeddedOptions, EmbeddedServer};

/// Exit code of a second interrupt, which does not wait.
const INTERRUPTED: i32 = 130;

/// How often a signal is looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a server until SIGINT or SIGTERM, then stops it. A second signal ends this process, and the server with it,
/// at once.
///
/// # Errors
/// Those of [`EmbeddedServer::start`], and [`EmbeddedError::Died`] if the server ends by itself.
pub fn run_foreground(options: EmbeddedOptions) -> Result<(), EmbeddedError> {
    let interrupted = watch_signals().map_err(|source| EmbeddedError::Terminal { action: "watch signals", source })?;
    let server = EmbeddedServer::start(options)?;
    let described = describe(&server, &mut io::stdout().lock());
    described.map_err(|source| EmbeddedError::Terminal { action: "write to standard output", source })?;
    while !interrupted.load(Ordering::Relaxed) {
        if let Some(error) = server.wait(WATCH_INTERVAL) {
            return Err(error);
        }
    }
    server.stop()
}

/// A flag that the first SIGINT or SIGTERM sets; the second ends the process.
fn watch_signals() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first of both sees the flag as it was before the signal.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&interrupted))?;
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

/// Where the server is and how to log in. The engine's password is not shown: it is in a file.
fn describe(server: &EmbeddedServer, out: &mut impl Write) -> io::Result<()> {
    let url = server.http_url();
    let analyst = server.analyst_user();
    let password = percent_encode(server.analyst_password());
    writeln!(out, "ClickHouse is running: HTTP on {url}, native protocol on 127.0.0.1:{}.", server.tcp_port())?;
    writeln!(out, "  data:     {}", server.data().display())?;
    let credentials = server.credentials_file();
    writeln!(out, "  engine:   user {}, password in {}", server.engine_user(), credentials.display())?;
    writeln!(out, "  analyst:  {url}/?user={analyst}&password={password}")?;
    writeln!(out, "  web page: {url}/play?user={analyst}&password={password}")?;
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

/// `text` as a value in a URL's query.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::percent_encode;

    #[test]
    fn a_password_survives_a_url() {
        assert_eq!(percent_encode("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(percent_encode("p&w d=ü/?"), "p%26w%20d%3D%C3%BC%2F%3F");
    }
}
