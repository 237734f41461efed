//! Connections to a server that speaks TLS, with a certificate of an authority that the system does not know.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use longshore_core::config::{Secret, WireCompression};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::clickhouse::{ClickHouse, ConnectError, Connection};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/clickhouse/tls").join(name)
}

/// Answers one request over TLS as a ClickHouse that was asked for its version; gives back the request's head, or
/// nothing if there was no handshake.
fn serve_once() -> (u16, JoinHandle<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let certificates = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut request = Vec::new();
        while !request.ends_with(b"SELECT version()") {
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).ok()?;
            request.extend_from_slice(&bytes[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n26.7.2.1\n").unwrap();
        stream.flush().unwrap();
        Some(String::from_utf8(request).unwrap())
    });
    (port, server)
}

fn connect(host: &str, port: u16, ca_file: Option<PathBuf>) -> Result<ClickHouse, ConnectError> {
    ClickHouse::connect(&Connection {
        url: format!("https://{host}:{port}"),
        user: "ann".to_owned(),
        password: Secret::new("s3cret"),
        database: "d".to_owned(),
        ca_file,
        compression: WireCompression::Auto,
    })
}

#[test]
fn the_configured_authority_is_trusted() {
    for host in ["localhost", "127.0.0.1"] {
        let (port, server) = serve_once();
        let clickhouse = connect(host, port, Some(fixture("ca.pem"))).unwrap();
        assert_eq!(clickhouse.version(), (26, 7));
        let request = server.join().unwrap().unwrap().to_lowercase();
        assert!(
            request.contains("x-clickhouse-user: ann") && request.contains("x-clickhouse-key: s3cret"),
            "{request}"
        );
    }
}

#[test]
fn an_unknown_authority_is_refused() {
    let (port, server) = serve_once();
    // An authority that did not sign the certificate: the certificate itself.
    let error = connect("localhost", port, Some(fixture("server.pem"))).unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(server.join().unwrap(), None, "no password was sent");
}

#[test]
fn a_file_without_certificates_is_said() {
    let error = connect("localhost", 1, Some(fixture("server.key"))).unwrap_err();
    assert!(matches!(error, ConnectError::CaFile { .. }), "{error:?}");
    assert!(error.to_string().contains("server.key: it holds no PEM certificate"), "{error}");
}
