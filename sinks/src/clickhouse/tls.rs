//! The HTTP transport: plain TCP for `http://`, rustls for `https://` with the system's roots or the configured ones.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use longshore_core::limits::CA_FILE_BYTES_MAX;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::error::ConnectError;
use super::life::Lives;

/// A host that does not accept a connection within this is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Keeps long inserts alive through firewalls that drop idle connections.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Below the 3 seconds after which older ClickHouse closes an idle connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A client on the transport that the URL asks for, whose connections are counted. It follows no redirects.
pub(super) fn http_client(
    url: &Url,
    ca_file: Option<&Path>,
    lives: &Lives,
) -> Result<clickhouse::Client, ConnectError> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.set_nodelay(true);
    let mut pool = HyperClient::builder(TokioExecutor::new());
    pool.pool_idle_timeout(POOL_IDLE_TIMEOUT);
    if url.scheme() == "http" {
        return Ok(clickhouse::Client::with_http_client(pool.build(lives.count(tcp))));
    }
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(ca_file)?)
        .https_only()
        .enable_http1()
        .wrap_connector(lives.count(tcp));
    Ok(clickhouse::Client::with_http_client(pool.build(connector)))
}

/// TLS as it is spoken to an `https` server: with the roots of a PEM file, or the system's.
///
/// # Errors
/// The file, or the system's store, cannot be read or holds none.
pub fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, ConnectError> {
    let error = |path: &Path, detail: String| ConnectError::CaFile { path: path.to_owned(), detail };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs speaks TLS 1.2 and 1.3");
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(read_roots(path).map_err(|detail| error(path, detail))?),
        None => builder
            .with_native_roots()
            .map_err(|cause| error(&PathBuf::from("the system's store"), cause.to_string()))?,
    };
    Ok(builder.with_no_client_auth())
}

/// All certificates of a PEM file; at least one.
fn read_roots(path: &Path) -> Result<RootCertStore, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|cause| cause.to_string())?;
    file.take(CA_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|cause| cause.to_string())?;
    if bytes.len() > CA_FILE_BYTES_MAX {
        return Err(format!("it has more than {} MiB, so it is no file of certificates", CA_FILE_BYTES_MAX >> 20));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        // What the parser says quotes the file, which may be any.
        let certificate = certificate.map_err(|_| "it is not PEM, or is damaged".to_owned())?;
        roots.add(certificate).map_err(|cause| cause.to_string())?;
    }
    if roots.is_empty() {
        return Err("it holds no PEM certificate".to_owned());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
