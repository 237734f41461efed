//! The proxy before a server that counts what it got and answers each request with one line.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use super::*;

const INSERT_REQUEST: &[u8] = b"POST /?query=INSERT+INTO+t HTTP/1.1\r\n\r\n";
const QUESTION: &[u8] = b"POST / HTTP/1.1\r\n\r\nSELECT 1";
static NEVER: AtomicBool = AtomicBool::new(false);

/// A server that tells the bytes that it got, request by request; empty for an end.
fn server() -> (Proxy, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, got) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, send) = (stream.unwrap(), send.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                loop {
                    let read = stream.read(&mut buffer).unwrap_or(0);
                    if send.send(buffer[..read].to_vec()).is_err() || read == 0 {
                        return;
                    }
                    let _ = stream.write_all(b"ok\n");
                }
            });
        }
    });
    let upstream = Upstream { host: "127.0.0.1".to_owned(), port, tls: None };
    (Proxy::start(upstream).unwrap(), got)
}

/// Sends a request; what comes back, empty if the connection ended.
fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    if stream.write_all(request).is_err() {
        return String::new();
    }
    let mut buffer = [0; 64];
    let read = stream.read(&mut buffer).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

fn connect_to(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap()
}

fn was_played(proxy: &Proxy) -> bool {
    proxy.played(Duration::from_secs(10), &NEVER)
}

#[test]
fn without_a_trick_everything_passes() {
    let (proxy, got) = server();
    let mut stream = connect_to(&proxy);
    assert_eq!(ask(&mut stream, INSERT_REQUEST), "ok\n");
    assert_eq!(ask(&mut stream, QUESTION), "ok\n");
    assert_eq!(got.recv().unwrap(), INSERT_REQUEST);
    assert_eq!(got.recv().unwrap(), QUESTION);
}

#[test]
fn an_insert_that_is_cut_before_it_arrived_never_arrives() {
    let (proxy, got) = server();
    let mut stream = connect_to(&proxy);
    proxy.arm(Trick::CutBefore, 0);
    assert_eq!(ask(&mut stream, QUESTION), "ok\n");
    assert_eq!(ask(&mut stream, INSERT_REQUEST), "");
    assert!(was_played(&proxy));
    assert_eq!(got.recv().unwrap(), QUESTION);
    assert_eq!(got.recv().unwrap(), b"");
}

#[test]
fn an_insert_that_is_cut_inside_arrives_in_part() {
    let (proxy, got) = server();
    proxy.arm(Trick::CutWithin, 0);
    assert_ne!(ask(&mut connect_to(&proxy), INSERT_REQUEST), INSERT_REQUEST.len().to_string());
    assert!(was_played(&proxy));
    assert_eq!(got.recv().unwrap(), &INSERT_REQUEST[..INSERT_REQUEST.len() / 2]);
}

#[test]
fn an_acknowledgement_that_is_cut_off_was_given() {
    let (proxy, got) = server();
    let mut stream = connect_to(&proxy);
    proxy.arm(Trick::CutAfter, 1);
    assert_eq!(ask(&mut stream, INSERT_REQUEST), "ok\n");
    assert_eq!(ask(&mut stream, INSERT_REQUEST), "");
    assert!(was_played(&proxy));
    assert_eq!(got.recv().unwrap(), INSERT_REQUEST);
    assert_eq!(got.recv().unwrap(), INSERT_REQUEST);
    // The next connection is whole.
    assert_eq!(ask(&mut connect_to(&proxy), INSERT_REQUEST), "ok\n");
}

#[test]
fn an_acknowledgement_that_is_held_back_comes() {
    let (proxy, _got) = server();
    proxy.arm(Trick::Hold(Duration::from_millis(20)), 0);
    assert_eq!(ask(&mut connect_to(&proxy), INSERT_REQUEST), "ok\n");
    assert!(was_played(&proxy));
}

#[test]
fn a_closed_proxy_cuts_all_connections_and_an_open_one_takes_new_ones() {
    let (proxy, _got) = server();
    let mut stream = connect_to(&proxy);
    assert_eq!(ask(&mut stream, QUESTION), "ok\n");
    proxy.set_open(false);
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(ask(&mut connect_to(&proxy), QUESTION), "");
    proxy.set_open(true);
    assert_eq!(ask(&mut connect_to(&proxy), QUESTION), "ok\n");
}

#[test]
fn a_trick_that_no_insert_came_for_is_not_played() {
    let (proxy, _got) = server();
    proxy.arm(Trick::CutBefore, 0);
    assert!(!proxy.played(Duration::ZERO, &NEVER));
    assert_eq!(ask(&mut connect_to(&proxy), INSERT_REQUEST), "ok\n");
}

/// Answers requests over TLS, each with one line, under the certificate that the client's own tests have.
fn tls_server() -> Upstream {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let fixture =
        |name: &str| concat!(env!("CARGO_MANIFEST_DIR"), "/../../sinks/src/clickhouse/tls/").to_owned() + name;
    let certificates = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer) {
                stream.write_all(b"ok\n").unwrap();
            }
        }
    });
    let ca_file = fixture("ca.pem");
    let tls = longshore_sinks::clickhouse::tls_config(Some(ca_file.as_ref())).unwrap();
    Upstream { host: "localhost".to_owned(), port, tls: Some(Arc::new(tls)) }
}

#[test]
fn a_server_that_wants_tls_gets_it_and_is_cut_off_like_any_other() {
    let proxy = Proxy::start(tls_server()).unwrap();
    let mut stream = connect_to(&proxy);
    assert_eq!(ask(&mut stream, QUESTION), "ok\n");
    proxy.arm(Trick::CutAfter, 0);
    assert_eq!(ask(&mut stream, INSERT_REQUEST), "");
    assert!(was_played(&proxy));
    assert_eq!(ask(&mut connect_to(&proxy), INSERT_REQUEST), "ok\n");
}
