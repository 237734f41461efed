//! A server by itself, for people: started, described on standard output, stopped when told to.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{EmbeddedError, EmbeddedOptions, EmbeddedServer};

/// How often it is looked whether the server shall stop.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a server until `stop` is set, then stops it.
///
/// # Errors
/// Those of [`EmbeddedServer::start`], and [`EmbeddedError::Died`] if the server ends by itself.
pub fn run_foreground(options: EmbeddedOptions, stop: &AtomicBool) -> Result<(), EmbeddedError> {
    let server = EmbeddedServer::start(options)?;
    let described = describe(&server, &mut io::stdout().lock());
    described.map_err(|source| EmbeddedError::Terminal { action: "write to standard output", source })?;
    while !stop.load(Ordering::Relaxed) {
        if let Some(error) = server.wait(WATCH_INTERVAL) {
            return Err(error);
        }
    }
    server.stop()
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
