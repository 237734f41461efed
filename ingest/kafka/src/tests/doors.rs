//! Brokers that do not let us in: TLS of an unknown authority, and log-ins that are refused. Stand-ins that speak just enough.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use longshore_core::config::{KafkaSasl, KafkaSpec, KafkaTls, SaslMechanism, Secret};
use longshore_ingest::feed::FeedError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::broker::spec;
use crate::RdConsumer;

/// Keys of the tests of ClickHouse's client: an authority that no system knows, and a server by it, `localhost`.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../sinks/src/clickhouse/tls").join(name)
}

/// Does this with every connection, until the test's process ends.
fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

fn tls_port() -> u16 {
    let certificates = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let config = Arc::new(config);
    listen(move |stream| {
        let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        // The handshake, and the first request, which is not answered.
        let _ = stream.read(&mut [0; 1024]);
    })
}

fn refused(spec: &KafkaSpec) -> String {
    match RdConsumer::join(spec).map(drop) {
        Err(FeedError::Refuse { detail }) => detail,
        Err(FeedError::Retry { detail }) => panic!("it is to be tried again: {detail}"),
        Ok(()) => panic!("it was let in"),
    }
}

#[test]
fn an_authority_that_is_not_trusted_is_told_as_such() {
    let mut stranger = spec(&format!("localhost:{}", tls_port()), "tls");
    stranger.tls = Some(KafkaTls::default());
    let says = refused(&stranger);
    assert!(says.contains("TLS with the brokers") && says.contains("certificate verify failed"), "{says}");
    assert!(says.contains("kafka.tls.ca_file"), "{says}");
}

#[test]
fn an_authority_from_a_file_is_trusted() {
    let mut known = spec(&format!("localhost:{}", tls_port()), "tls");
    known.tls = Some(KafkaTls { ca_file: Some(fixture("ca.pem")), identity: None });
    let Err(FeedError::Retry { detail: says }) = RdConsumer::join(&known).map(drop) else {
        panic!("no broker is there")
    };
    assert!(says.contains("over SSL") && !says.contains("verify"), "{says}");
}

/// Keys of requests, and errors, as Kafka's protocol numbers them.
const API_VERSIONS: u16 = 18;
const SASL_HANDSHAKE: u16 = 17;
const UNSUPPORTED_MECHANISM: u16 = 33;
const UNSUPPORTED_VERSION: u16 = 35;

/// A broker of old that knows one mechanism, and lets nobody in.
fn login_port(known: &'static str) -> u16 {
    listen(move |mut stream| {
        while let Some(request) = read_framed(&mut stream) {
            let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let mut answer = request[4..8].to_vec();
            match (number(0), number(2)) {
                (API_VERSIONS, version) => {
                    let error = if version > 0 { UNSUPPORTED_VERSION } else { 0 };
                    answer.extend_from_slice(&error.to_be_bytes());
                    answer.extend_from_slice(&2_u32.to_be_bytes());
                    // Each with its lowest and highest version.
                    [API_VERSIONS, 0, 0, SASL_HANDSHAKE, 0, 0]
                        .iter()
                        .for_each(|number| answer.extend_from_slice(&number.to_be_bytes()));
                }
                (SASL_HANDSHAKE, _) => {
                    let error = if request.ends_with(known.as_bytes()) { 0 } else { UNSUPPORTED_MECHANISM };
                    answer.extend_from_slice(&error.to_be_bytes());
                    answer.extend_from_slice(&1_u32.to_be_bytes());
                    answer.extend_from_slice(&(known.len() as u16).to_be_bytes());
                    answer.extend_from_slice(known.as_bytes());
                }
                // The password, whatever it is: the connection ends.
                _ => return,
            }
            let mut framed = (answer.len() as u32).to_be_bytes().to_vec();
            framed.append(&mut answer);
            if stream.write_all(&framed).is_err() {
                return;
            }
        }
    })
}

fn read_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request).ok()?;
    (request.len() >= 8).then_some(request)
}

fn with_login(port: u16) -> KafkaSpec {
    let mut spec = spec(&format!("127.0.0.1:{port}"), "sasl");
    let password = Secret::new("hunter2");
    spec.sasl = Some(KafkaSasl { mechanism: SaslMechanism::Plain, user: "shop".into(), password });
    spec
}

#[test]
fn a_log_in_that_is_refused_names_the_user_and_not_the_password() {
    let says = refused(&with_login(login_port("PLAIN")));
    assert!(says.contains("did not let \"shop\" log in by PLAIN") && says.contains("kafka.sasl.password"), "{says}");
    assert!(!says.contains("hunter2"), "{says}");
}

#[test]
fn a_mechanism_that_the_broker_does_not_know_is_told_as_such() {
    let says = refused(&with_login(login_port("SCRAM-SHA-512")));
    assert!(says.contains("log in by PLAIN") && says.contains("SCRAM-SHA-512"), "{says}");
}
