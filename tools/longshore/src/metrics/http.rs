//! The port on which metrics are served: plain HTTP/1.1, one request a connection, few connections, none of them for long.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_core::limits::{
    METRICS_CONNECTION_MS, METRICS_CONNECTIONS_MAX, METRICS_HEAD_MS, METRICS_REQUEST_BYTES_MAX,
};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::exposition::Format;
use super::{Metrics, health};

const PLAIN: &str = "text/plain; charset=utf-8";
/// How long a listener that cannot accept is left alone.
const ACCEPT_WAIT: Duration = Duration::from_millis(200);

/// Answers that are gathered at once.
const ANSWERS_AT_ONCE: usize = 8;

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
            .max_blocking_threads(ANSWERS_AT_ONCE)
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

/// A client that is connected.
struct Client {
    task: JoinHandle<()>,
    /// It has asked, so that its answer is on the way.
    asked: Arc<AtomicBool>,
}

/// The clients that are connected, the oldest first.
#[derive(Default)]
struct Clients(VecDeque<Client>);

impl Clients {
    /// Makes room for one more. Somebody who holds many connections and asks nothing must not keep others from their answer.
    fn make_room(&mut self) {
        self.0.retain(|client| !client.task.is_finished());
        if self.0.len() < METRICS_CONNECTIONS_MAX {
            return;
        }
        let idle = self.0.iter().position(|client| !client.asked.load(Ordering::Relaxed)).unwrap_or(0);
        if let Some(client) = self.0.remove(idle) {
            client.task.abort();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, metrics: Arc<Metrics>) {
    let mut clients = Clients::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.make_room();
                let asked = Arc::new(AtomicBool::new(false));
                let conversation = converse(stream, metrics.clone(), asked.clone());
                let task = tokio::spawn(async move {
                    let limit = Duration::from_millis(METRICS_CONNECTION_MS);
                    if tokio::time::timeout(limit, conversation).await.is_err() {
                        tracing::debug!("a client of the metrics took longer than {limit:?}; the connection is closed");
                    }
                });
                clients.0.push_back(Client { task, asked });
            }
            Err(error) => {
                tracing::warn!("a client of the metrics was not served: {error}");
                tokio::time::sleep(ACCEPT_WAIT).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, metrics: Arc<Metrics>, asked: Arc<AtomicBool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let metrics = metrics.clone();
        async move {
            match request.uri().path() {
                // Gathering looks at the journal's disk, which may hang: whether the process lives is said all the same.
                "/metrics" => tokio::task::spawn_blocking(move || answer(&request, &metrics)).await,
                _ => Ok(answer(&request, &metrics)),
            }
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        // Who has nothing more to say still has its answer.
        .half_close(true)
        .max_buf_size(METRICS_REQUEST_BYTES_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(METRICS_HEAD_MS))
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a client of the metrics: {error}");
    }
}

/// What is served.
const PATHS: &str = "/metrics  counters and gauges, as Prometheus reads them
/livez    does the process work? if not, only a new start helps
/readyz   does ClickHouse answer, and can the sources be read?
/healthz  need nobody do anything?
";

/// The answer to a request.
pub(super) fn answer<B>(request: &Request<B>, metrics: &Metrics) -> Response<String> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = reply(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD are served here\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/metrics" => {
            let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let format = Format::accepted(accept);
            let mut answer = reply(StatusCode::OK, format.content_type(), format.write(metrics.openmetrics()));
            answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
            answer
        }
        "/livez" => verdict(&health::not_live(&metrics.board)),
        "/readyz" => verdict(&health::not_ready(&metrics.board, &metrics.reach)),
        "/healthz" => verdict_with(&health::complaints(&metrics.board), &health::warnings(&metrics.board)),
        path => reply(StatusCode::NOT_FOUND, PLAIN, format!("there is no {path} here, but:\n{PATHS}")),
    }
}

/// All is well, or it is not, and why.
fn verdict(complaints: &[String]) -> Response<String> {
    verdict_with(complaints, &[])
}

/// The same with what ought to be seen where all is well.
fn verdict_with(complaints: &[String], warnings: &[String]) -> Response<String> {
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    match complaints.is_empty() {
        true => reply(StatusCode::OK, PLAIN, format!("ok\n{}", lines(warnings))),
        false => reply(StatusCode::SERVICE_UNAVAILABLE, PLAIN, lines(complaints)),
    }
}

fn reply(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
