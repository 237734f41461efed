//! The port on which metrics are served: plain HTTP/1.1, one request a connection, few connections, none of them for long.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_core::limits::{METRICS_CONNECTION_MS, METRICS_CONNECTIONS_MAX};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::Metrics;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// Bytes of a request: its head, since it has no body.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// How long a listener that cannot accept is left alone.
const ACCEPT_WAIT: Duration = Duration::from_millis(200);

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// Somebody else has the port.
    #[error(
        "cannot serve metrics on {address} (run.metrics): the port is in use; end what uses it (`ss -ltnp 'sport = :{}'` \
         shows it; another longshore with the same config?) or name another port", address.port()
    )]
    InUse {
        /// As the config has it.
        address: SocketAddr,
    },
    /// Not ours.
    #[error(
        "cannot serve metrics on {address} (run.metrics): no interface of this machine has that address (127.0.0.1 is this machine alone, 0.0.0.0 all of its interfaces)"
    )]
    NoAddress {
        /// As the config has it.
        address: SocketAddr,
    },
    /// A low port.
    #[error(
        "cannot serve metrics on {address} (run.metrics): the system does not let this user have it; ports below 1024 want a privilege, name a higher one"
    )]
    Forbidden {
        /// As the config has it.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot serve metrics on {address} (run.metrics): {error}")]
    Io {
        /// As the config has it.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// A port that is ours.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

/// Serves until it is dropped.
pub(crate) struct Serving {
    runtime: Option<Runtime>,
}

impl Endpoint {
    /// Takes the port.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, EndpointError> {
        let fail = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => EndpointError::InUse { address },
            io::ErrorKind::AddrNotAvailable => EndpointError::NoAddress { address },
            io::ErrorKind::PermissionDenied => EndpointError::Forbidden { address },
            _ => EndpointError::Io { address, error },
        };
        let listener = TcpListener::bind(address).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Endpoint { listener, address })
    }

    /// Answers from now on.
    pub(crate) fn serve(self, metrics: Arc<Metrics>) -> Result<Serving, EndpointError> {
        let Endpoint { listener, address } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("metrics")
            .enable_all()
            .build()
            .map_err(|error| EndpointError::Io { address, error })?;
        runtime.spawn(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, metrics).await,
                Err(error) => tracing::error!("metrics are not served: {error}"),
            }
        });
        tracing::info!("metrics are on http://{address}/metrics");
        Ok(Serving { runtime: Some(runtime) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, metrics: Arc<Metrics>) {
    let free = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
    loop {
        // Others wait in the system's queue, for at most as long as the ones that are served may take.
        let Ok(place) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = metrics.clone();
                tokio::spawn(async move {
                    let limit = Duration::from_millis(METRICS_CONNECTION_MS);
                    if tokio::time::timeout(limit, converse(stream, metrics)).await.is_err() {
                        tracing::debug!("a client of the metrics took longer than {limit:?}; the connection is closed");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("a client of the metrics was not served: {error}");
                tokio::time::sleep(ACCEPT_WAIT).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, metrics: Arc<Metrics>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &metrics);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a client of the metrics: {error}");
    }
}

/// The answer to a request.
pub(super) fn answer(method: &Method, path: &str, metrics: &Metrics) -> Response<String> {
    if method != Method::GET && method != Method::HEAD {
        let mut answer = reply(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD are served here\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/metrics" => reply(StatusCode::OK, OPENMETRICS, metrics.text()),
        "/healthz" => {
            let complaints = metrics.complaints();
            if complaints.is_empty() {
                let warnings: String = metrics.warnings().iter().map(|line| format!("{line}\n")).collect();
                return reply(StatusCode::OK, PLAIN, format!("ok\n{warnings}"));
            }
            let text = complaints.iter().map(|line| format!("{line}\n")).collect();
            reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, text)
        }
        _ => reply(StatusCode::NOT_FOUND, PLAIN, "there are /metrics and /healthz here\n".to_owned()),
    }
}

fn reply(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
