//! A TCP proxy between engine and ClickHouse that loses what it is told to lose.
//!
//! It does not read HTTP. What comes from the client after something came from the server begins a request, and the first
//! bytes of one say whether it is an insert; the first bytes from the server after it are its answer. That is all it takes
//! to cut a connection before a request arrived, inside it, and between its execution and its acknowledgement.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsConnector;

/// Where the proxy connects to.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The engine speaks plain HTTP to the proxy; the way from there is encrypted if the server wants it so.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

/// What is done to one insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Nothing of it reaches the server: the connection is cut.
    CutBefore,
    /// Its first bytes reach the server, then the connection is cut.
    CutWithin,
    /// The server has answered; the connection is cut instead of the answer.
    CutAfter,
    /// The answer comes so much later.
    Hold(Duration),
    /// Nothing, but that it has begun is told.
    Tell,
}

/// A running proxy. Its connections end when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    control: Arc<Control>,
    runtime: Option<Runtime>,
}

/// What the connections ask before they pass anything on.
struct Control {
    armed: Mutex<Armed>,
    /// Whether connections are let through; a change to false cuts all there are.
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Armed {
    trick: Option<Trick>,
    /// Inserts that pass before the one that it is for.
    skip: u64,
    /// It was played.
    played: bool,
}

impl Proxy {
    /// Listens on a free port of loopback.
    pub(crate) fn start(upstream: Upstream) -> io::Result<Proxy> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("chaos-proxy")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
        let port = listener.local_addr()?.port();
        let control = Arc::new(Control { armed: Mutex::default(), open: watch::Sender::new(true) });
        runtime.spawn(accept(listener, upstream, control.clone()));
        Ok(Proxy { port, control, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Plays a trick on the insert that comes after `skip` others.
    pub(crate) fn arm(&self, trick: Trick, skip: u64) {
        *self.control.armed() = Armed { trick: Some(trick), skip, played: false };
    }

    /// Waits until the trick was played, at most so long; it is put away then. True if it was.
    pub(crate) fn played(&self, patience: Duration, stop: &AtomicBool) -> bool {
        let end = Instant::now() + patience;
        loop {
            let mut armed = self.control.armed();
            if armed.played || Instant::now() >= end || stop.load(Ordering::Relaxed) {
                armed.trick = None;
                return armed.played;
            }
            drop(armed);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Cuts all connections and accepts none, or does so again.
    pub(crate) fn set_open(&self, open: bool) {
        self.control.open.send_replace(open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Control {
    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trick for an insert that begins now. Those that need its answer are played when that comes.
    fn trick(&self) -> Option<Trick> {
        let mut armed = self.armed();
        let trick = armed.trick?;
        if armed.skip > 0 {
            armed.skip -= 1;
            return None;
        }
        armed.trick = None;
        armed.played = !matches!(trick, Trick::CutAfter | Trick::Hold(_));
        Some(trick)
    }

    fn played(&self) {
        self.armed().played = true;
    }
}

async fn accept(listener: TcpListener, upstream: Upstream, control: Arc<Control>) {
    loop {
        // An error is one of the connection that was about to be accepted.
        let Ok((client, _)) = listener.accept().await else { continue };
        if !*control.open.borrow() {
            continue;
        }
        let (upstream, control) = (upstream.clone(), control.clone());
        tokio::spawn(async move {
            // A server that is away is, to the engine, a connection that ends.
            if let Err(error) = connect(client, &upstream, &control).await {
                tracing::debug!("a connection through the proxy: {error}");
            }
        });
    }
}

async fn connect(client: TcpStream, upstream: &Upstream, control: &Control) -> io::Result<()> {
    let server = TcpStream::connect((upstream.host.as_str(), upstream.port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    match &upstream.tls {
        None => converse(client, server, control).await,
        Some(config) => {
            let name = ServerName::try_from(upstream.host.clone()).map_err(io::Error::other)?;
            let server = TlsConnector::from(config.clone()).connect(name, server).await?;
            converse(client, server, control).await;
        }
    }
    Ok(())
}

/// What the two directions of a connection share.
#[derive(Default)]
struct Conversation {
    /// The server has the word: a request has begun and no answer to it.
    asked: AtomicBool,
    /// What is played on its answer.
    on_answer: Mutex<Option<Trick>>,
    cut: Notify,
}

async fn converse(client: TcpStream, server: impl AsyncRead + AsyncWrite, control: &Control) {
    let conversation = Conversation::default();
    let mut open = control.open.subscribe();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = tokio::io::split(server);
    let forth = requests(client_read, server_write, &conversation, control);
    let back = answers(server_read, client_write, &conversation, control);
    // Whichever ends first, dropping the sockets is the cut.
    tokio::select! {
        _ = async { tokio::join!(forth, back) } => {}
        () = conversation.cut.notified() => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

/// Bytes from the client to the server.
async fn requests(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    conversation: &Conversation,
    control: &Control,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let bytes = match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            read => &buffer[..read],
        };
        let begins = !conversation.asked.swap(true, Ordering::Relaxed);
        match (begins && is_insert(bytes)).then(|| control.trick()).flatten() {
            None | Some(Trick::Tell) => {}
            Some(Trick::CutBefore) => return cut(conversation).await,
            Some(Trick::CutWithin) => {
                to.write_all(&bytes[..bytes.len() / 2]).await?;
                to.flush().await?;
                return cut(conversation).await;
            }
            Some(trick @ (Trick::CutAfter | Trick::Hold(_))) => {
                *conversation.on_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(trick);
            }
        }
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}

/// Bytes from the server to the client.
async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    conversation: &Conversation,
    control: &Control,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        conversation.asked.store(false, Ordering::Relaxed);
        let trick = conversation.on_answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match trick {
            Some(Trick::CutAfter) => {
                control.played();
                return cut(conversation).await;
            }
            Some(Trick::Hold(time)) => {
                control.played();
                tokio::time::sleep(time).await;
            }
            _ => {}
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Ends the conversation at once; nothing is passed on any more.
async fn cut(conversation: &Conversation) -> io::Result<()> {
    conversation.cut.notify_one();
    std::future::pending().await
}

const BUFFER_BYTES: usize = 64 << 10;

/// Whether these first bytes of a request are of an insert: its statement is in the first line, as part of the URL.
fn is_insert(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.starts_with(b"POST ") && line.windows(INSERT.len()).any(|window| window == INSERT)
}

const INSERT: &[u8] = b"query=INSERT";

#[cfg(test)]
mod tests;
