//! Who lets the server's own start log in: we do, once.
//!
//! ClickHouse's start logs in as `default` with an empty password, by the same way as everybody, from an address that
//! other programs of this machine have too. So `default` has no password at all: ClickHouse asks us over HTTP whether
//! it may log in (`http_authentication`). The first to ask is the start, before any port is open: it asks for a path
//! that only the configuration holds. It is let in, everybody after it is refused, and ClickHouse answers those as it
//! answers a wrong password.
//!
//! At that moment the server has read its configuration, and the files are removed: their digests of passwords and
//! that path are nobody's to read.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longshore_core::limits::{EMBEDDED_GATE_BYTES_MAX, EMBEDDED_GATE_HEARD_MAX};

use super::credentials::random_hex;
use super::error::EmbeddedError;

/// How long whoever connects may be silent.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the next is waited for, after the system refused one.
const PAUSE: Duration = Duration::from_millis(50);

/// A gate, open for one. Dropping it closes it.
pub(super) struct Gate {
    shared: Arc<Shared>,
    port: u16,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    listener: TcpListener,
    /// What the start asks for, unguessable.
    path: String,
    /// Removed when the start is let in.
    files: Vec<PathBuf>,
    admitted: Mutex<bool>,
    closing: AtomicBool,
    /// Who is heard at this moment.
    heard: AtomicUsize,
}

impl Gate {
    /// Listens on a free port. When the start is let in, these files are removed first.
    pub(super) fn open(files: Vec<PathBuf>) -> Result<Gate, EmbeddedError> {
        let path = format!("/{}", random_hex()?);
        let open = || -> io::Result<Gate> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            let shared = Arc::new(Shared {
                listener,
                path,
                files,
                admitted: Mutex::new(false),
                closing: AtomicBool::new(false),
                heard: AtomicUsize::new(0),
            });
            let kept = shared.clone();
            let keeper = thread::Builder::new().name("clickhouse-gate".into()).spawn(move || kept.keep())?;
            Ok(Gate { shared, port, keeper: Some(keeper) })
        };
        open().map_err(EmbeddedError::Gate)
    }

    /// Its port on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What the start has to ask for. A secret until it has.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.shared.path)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // Ends the wait for the next one.
        let _ = rustix::net::shutdown(&self.shared.listener, rustix::net::Shutdown::Both);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

impl Shared {
    /// Takes whoever comes, until the gate is closed.
    fn keep(self: &Arc<Self>) {
        loop {
            let next = self.listener.accept();
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            let Ok((stream, _)) = next else {
                // Too many open files, say: it passes.
                thread::sleep(PAUSE);
                continue;
            };
            // Each on a thread of its own, so that somebody who is silent does not keep the start waiting.
            if self.heard.fetch_add(1, Ordering::AcqRel) >= EMBEDDED_GATE_HEARD_MAX {
                self.heard.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let shared = self.clone();
            let hearing = thread::Builder::new().name("clickhouse-gate".into()).spawn(move || {
                shared.hear(stream);
                shared.heard.fetch_sub(1, Ordering::AcqRel);
            });
            if hearing.is_err() {
                self.heard.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    fn hear(&self, mut stream: TcpStream) {
        let knows = request_path(&mut stream).is_ok_and(|path| path == self.path);
        let admit = knows && self.admit();
        let status = if admit { "200 OK" } else { "401 Unauthorized" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // Who is gone is not let in.
        let _ = stream.write_all(answer.as_bytes());
    }

    /// True for the first, once the files are gone.
    fn admit(&self) -> bool {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let admit = !*admitted && self.remove_files();
        *admitted |= admit;
        admit
    }

    /// True if none of the files is there any more.
    fn remove_files(&self) -> bool {
        let mut gone = true;
        for file in &self.files {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    gone = false;
                    tracing::error!("cannot remove {}, so ClickHouse is not started: {error}", file.display());
                }
                _ => {}
            }
        }
        gone
    }
}

/// The path of a GET; the request is read to its end, so that the answer arrives.
fn request_path(stream: &mut TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut block = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut block)?;
        if read == 0 || request.len() + read > EMBEDDED_GATE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend_from_slice(&block[..read]);
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => Ok(path.to_owned()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a GET.
    fn get(gate: &Gate, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, gate.port())).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[test]
    fn one_who_knows_the_path_is_let_in_once_and_the_files_are_gone_by_then() {
        let root = tempfile::tempdir().unwrap();
        let (users, absent) = (root.path().join("users.xml"), root.path().join("absent.xml"));
        fs::write(&users, "digests").unwrap();
        let gate = Gate::open(vec![users.clone(), absent]).unwrap();
        let path = gate.shared.path.clone();
        for wrong in ["/", "/x", &path[..path.len() - 1]] {
            assert_eq!(get(&gate, wrong), "401", "{wrong}");
        }
        assert!(users.exists());
        assert_eq!(get(&gate, &path), "200");
        assert!(!users.exists());
        assert_eq!(get(&gate, &path), "401");
    }

    #[test]
    fn nobody_is_let_in_while_the_files_are_there() {
        let root = tempfile::tempdir().unwrap();
        // A folder is not removed as a file.
        let gate = Gate::open(vec![root.path().to_owned()]).unwrap();
        let path = gate.shared.path.clone();
        assert_eq!(get(&gate, &path), "401");
    }

    #[test]
    fn who_says_nothing_or_nonsense_or_too_much_keeps_nobody_out() {
        let gate = Gate::open(Vec::new()).unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, gate.port())).unwrap();
        let _silent: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
        connect().write_all(b"POST\r\n\r\n").unwrap();
        let _ = connect().write_all(&[b'x'; EMBEDDED_GATE_BYTES_MAX * 2]);
        let path = gate.shared.path.clone();
        assert_eq!(get(&gate, &path), "200");
    }

    #[test]
    fn a_closed_gate_is_gone() {
        let gate = Gate::open(Vec::new()).unwrap();
        let port = gate.port();
        drop(gate);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
