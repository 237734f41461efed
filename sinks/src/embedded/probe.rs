//! Is the server that answers on a port ours? One HTTP request over a plain socket, without a password: it is sent
//! before that is known.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read; the greeting is far shorter.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// True if `GET /` on the port is answered with `greeting`.
pub(super) fn greets(port: u16, greeting: &str) -> bool {
    ask(port).is_ok_and(|answer| answer.windows(greeting.len()).any(|window| window == greeting.as_bytes()))
}

fn ask(port: u16) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TRY_TIMEOUT)?;
    stream.set_read_timeout(Some(TRY_TIMEOUT))?;
    stream.set_write_timeout(Some(TRY_TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn another_server_on_the_port_is_not_taken_for_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let other = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nOk. Longshore 42\n").unwrap();
            }
        });
        assert!(!greets(port, "Longshore 43"));
        assert!(greets(port, "Longshore 42"));
        other.join().unwrap();
        assert!(!greets(port, "Longshore 42"), "nobody listens any more");
    }
}
