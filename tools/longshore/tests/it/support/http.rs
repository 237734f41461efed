//! SQL over HTTP on a plain socket, without the client that is under test elsewhere.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use longshore_sinks::embedded::EmbeddedServer;

/// No answer of a test takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

/// ClickHouse's own user, without a password.
pub(crate) const DEFAULT: Login<'static> = Login { user: "default", password: "" };

/// The engine's user of a server.
pub(crate) fn engine(server: &EmbeddedServer) -> Login<'_> {
    Login { user: server.engine_user(), password: server.engine_password() }
}

/// The analyst of a server.
pub(crate) fn analyst(server: &EmbeddedServer) -> Login<'_> {
    Login { user: server.analyst_user(), password: server.analyst_password() }
}

/// Runs a statement: its answer without the last newline, or ClickHouse's error.
pub(crate) fn sql(port: u16, login: Login<'_>, statement: &str) -> Result<String, String> {
    request(port, login, "/", statement)
}

/// Like [`sql`], with a path and settings: `/?max_threads=1`.
pub(crate) fn request(port: u16, login: Login<'_>, target: &str, statement: &str) -> Result<String, String> {
    let (status, body) = exchange(port, login, target, statement).map_err(|error| error.to_string())?;
    if status == 200 { Ok(body) } else { Err(body) }
}

/// A GET from whatever serves there: the status, and the body without its last newline.
pub(crate) fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    exchange(port, DEFAULT, path, "")
}

/// One HTTP exchange: the status and the body.
fn exchange(port: u16, login: Login<'_>, target: &str, body: &str) -> io::Result<(u16, String)> {
    let Login { user, password } = login;
    let headers = format!("X-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\n");
    let Answer { status, body, .. } = send(port, &headers, target, body)?;
    Ok((status, body))
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// Without its last newline.
    pub(crate) body: String,
}

/// One HTTP exchange with these headers (each ends in `\r\n`) and no others that say who asks.
pub(crate) fn send(port: u16, headers: &str, target: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    // HTTP/1.0: an answer without chunks that ends with the connection.
    write!(stream, "{method} {target} HTTP/1.0\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { status, head: head.to_owned(), body: body.trim_end_matches('\n').to_owned() })
}
