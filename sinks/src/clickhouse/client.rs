//! The connection to one ClickHouse: its HTTP pool, the threads that serve it, and plain queries.
//!
//! Callers are ordinary threads. Each call runs its future on the calling thread (so what costs CPU, such as
//! compression, runs where the caller runs), and a small runtime of our own moves the bytes.

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_core::config::{Secret, UrlSpec, WireCompression};
use tokio::runtime::Runtime;
use url::{Host, Url};

use super::calls::Calls;
use super::error::{ClientError, ConnectError};
use super::life::Lives;
use super::tls;

/// Versions from here on remember in which granules a condition matches nothing, and several of them remember too many, so
/// that later queries overlook rows.
const CONDITION_CACHE_SINCE: (u32, u32) = (25, 3);
/// Oldest version that knows the settings every insert relies on.
pub const VERSION_MIN: (u32, u32) = (24, 8);

/// Threads that move bytes between sockets and buffers.
const IO_THREADS: usize = 2;
/// A query (not an insert) that takes longer has lost its server. Schema changes and backfills set their own.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(120);

/// Where a ClickHouse is and who we are there.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `http://host:port` or `https://host:port`, optionally with a path.
    pub url: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// Database that holds the tables; it need not exist yet.
    pub database: String,
    /// PEM file of certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Compression of inserts.
    pub compression: WireCompression,
}

impl Connection {
    /// The connection that a config with a `url` declares.
    pub fn new(spec: &UrlSpec, database: &str, compression: WireCompression) -> Self {
        Connection {
            url: spec.url.clone(),
            user: spec.user.clone(),
            password: spec.password.clone(),
            database: database.to_owned(),
            ca_file: spec.ca_file.clone(),
            compression,
        }
    }
}

/// A ClickHouse that answered and is new enough. Clones share connections and threads.
#[derive(Clone)]
pub struct ClickHouse {
    runtime: Arc<Runtime>,
    calls: Calls,
    lives: Lives,
    client: clickhouse::Client,
    database: String,
    /// The server is on this machine.
    is_local: bool,
    /// Major version in the upper half; of the server that was there last.
    version: Arc<AtomicU64>,
}

impl std::fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClickHouse")
            .field("client", &self.client)
            .field("database", &self.database)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl ClickHouse {
    /// Connects, logs in and checks the version. Does not need the database to exist.
    pub fn connect(connection: &Connection) -> Result<Self, ConnectError> {
        Self::connect_while(connection, &Calls::default())
    }

    /// The same, for as long as its calls may go on.
    pub fn connect_while(connection: &Connection, calls: &Calls) -> Result<Self, ConnectError> {
        let url = parse_url(&connection.url)?;
        let place = url.as_str().trim_end_matches('/').to_owned();
        let compression = match connection.compression {
            WireCompression::None => clickhouse::Compression::None,
            WireCompression::Lz4 => clickhouse::Compression::Lz4,
            WireCompression::Auto if is_loopback(&url) => clickhouse::Compression::None,
            WireCompression::Auto => clickhouse::Compression::Lz4,
        };
        let lives = Lives::default();
        let client = tls::http_client(&url, connection.ca_file.as_deref(), &lives)?
            .with_url(url.as_str())
            .with_user(&connection.user)
            .with_password(connection.password.expose())
            .with_compression(compression)
            .with_product_info("longshore", env!("CARGO_PKG_VERSION"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .thread_name("clickhouse-io")
            .enable_all()
            .build()
            .map_err(ConnectError::Runtime)?;
        let this = ClickHouse {
            runtime: Arc::new(runtime),
            calls: calls.clone(),
            lives,
            client,
            database: connection.database.clone(),
            is_local: is_loopback(&url),
            version: Arc::default(),
        };
        let rows = this
            .rows("SELECT version()")
            .map_err(|error| ConnectError::from_client(error, &place, &connection.user))?;
        let version = rows.into_iter().flatten().next().unwrap_or_default();
        this.set_version(parse_version(&version).ok_or_else(|| ConnectError::NotClickHouse {
            place: place.clone(),
            detail: format!("version() is `{version}`"),
        })?);
        if this.version() < VERSION_MIN {
            let minimum = format!("{}.{}", VERSION_MIN.0, VERSION_MIN.1);
            return Err(ConnectError::TooOld { place, version, minimum });
        }
        Ok(this)
    }

    /// Name of the database that holds the tables.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The same server with another database, which need not exist.
    pub fn with_database(&self, database: &str) -> ClickHouse {
        ClickHouse { database: database.to_owned(), ..self.clone() }
    }

    /// Whether the server is reached by loopback: it shares the machine's cores.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Major and minor version of the server.
    pub fn version(&self) -> (u32, u32) {
        let version = self.version.load(Ordering::Relaxed);
        ((version >> 32) as u32, version as u32)
    }

    /// Another server answers now.
    pub(super) fn set_version(&self, (major, minor): (u32, u32)) {
        self.version.store(u64::from(major) << 32 | u64::from(minor), Ordering::Relaxed);
    }

    /// Runs a query and returns its rows as text, NULL as `\N`, strings unescaped.
    ///
    /// The SQL names its databases: none is implied.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, ClientError> {
        self.rows_with(sql, [])
    }

    /// The same with settings.
    pub(super) fn rows_with<'a>(
        &self,
        sql: &str,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<Vec<String>>, ClientError> {
        let query = self.client.query_raw(sql);
        let query = settings.into_iter().fold(query, |query, (name, value)| query.with_setting(name, value));
        self.answer(QUERY_TIMEOUT, query)
    }

    /// The rows of a query that has to be answered within this time.
    pub(super) fn rows_within(&self, limit: Duration, sql: &str) -> Result<Vec<Vec<String>>, ClientError> {
        self.answer(limit, self.client.query_raw(sql))
    }

    fn answer(&self, limit: Duration, query: clickhouse::query::Query) -> Result<Vec<Vec<String>>, ClientError> {
        let text = self.block_on(async {
            let answer = async { query.fetch_bytes("TabSeparated")?.collect().await };
            match tokio::time::timeout(limit, answer).await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(ClientError::TimedOut),
            }
        })?;
        let text = std::str::from_utf8(&text)
            .map_err(|_| ClientError::Invalid("the answer to a query is not UTF-8".to_owned()))?;
        Ok(text.lines().map(|line| line.split('\t').map(unescape).collect()).collect())
    }

    /// Runs a query that decides whether something is stored, and so must not be answered from what the server remembers of
    /// other queries.
    pub(super) fn look_up(&self, sql: &str) -> Result<Vec<Vec<String>>, ClientError> {
        self.look_up_with(sql, [])
    }

    /// The same with settings.
    pub(super) fn look_up_with<'a>(
        &self,
        sql: &str,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<Vec<String>>, ClientError> {
        let exact = (self.version() >= CONDITION_CACHE_SINCE).then_some(("use_query_condition_cache", "0"));
        self.rows_with(sql, settings.into_iter().chain(exact))
    }

    /// Runs a query of one row and one column.
    pub fn value(&self, sql: &str) -> Result<String, ClientError> {
        let rows = self.rows(sql)?;
        rows.into_iter().flatten().next().ok_or_else(|| ClientError::Invalid(format!("no answer to `{sql}`")))
    }

    /// Runs a statement that returns nothing, however long it takes.
    pub fn execute(&self, sql: &str) -> Result<(), ClientError> {
        let query = self.client.query_raw(sql);
        self.block_on(async { Ok(query.execute().await?) })
    }

    pub(super) fn lives(&self) -> &Lives {
        &self.lives
    }

    /// Gives up all calls; see [`Calls::end`].
    pub fn give_up(&self) {
        self.calls.end();
    }

    /// The client, for inserts.
    pub(super) fn client(&self) -> &clickhouse::Client {
        &self.client
    }

    /// Runs a future on this thread while the runtime's threads do its I/O.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        self.runtime.handle().block_on(self.calls.unless_ended(future))
    }
}

/// Checks a URL: scheme, host, nothing that would be ignored in silence.
fn parse_url(text: &str) -> Result<Url, ConnectError> {
    let error = |detail: &str| ConnectError::Url { url: without_credentials(text), detail: detail.to_owned() };
    let url = Url::parse(text).map_err(|cause| error(&cause.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(error("its scheme must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("user and password have keys of their own"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(error("nothing may follow `?` or `#`"));
    }
    Ok(url)
}

/// The text with anything between scheme and `@` hidden: it may hold a password.
fn without_credentials(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    match text[start..].rfind('@') {
        Some(at) => format!("{}***{}", &text[..start], &text[start + at..]),
        None => text.to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Reads `26.7.2.1`.
pub(super) fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Undoes the escapes of the TabSeparated format.
fn unescape(field: &str) -> String {
    if field == "\\N" || !field.contains('\\') {
        return field.to_owned();
    }
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('0') => out.push('\0'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn connection(url: &str) -> Connection {
        Connection {
            url: url.to_owned(),
            user: "u".to_owned(),
            password: Secret::new("p4ssw0rd"),
            database: "d".to_owned(),
            ca_file: None,
            compression: WireCompression::Auto,
        }
    }

    #[test]
    fn refuses_urls_that_cannot_be_meant() {
        for url in
            ["localhost:8123", "ftp://h", "http://", "http://h:8123?database=x", "http://h/#f", "http://u:s3cret@h:1"]
        {
            let error = ClickHouse::connect(&connection(url)).unwrap_err();
            assert!(matches!(error, ConnectError::Url { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_closed_port_is_said_in_one_sentence() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = ClickHouse::connect(&connection(&url)).unwrap_err();
        assert!(error.is_transient());
        let text = error.to_string();
        assert!(text.starts_with(&format!("ClickHouse at {url} does not answer (")), "{text}");
        assert!(text.to_lowercase().contains("refused"), "{text}");
        assert!(!text.contains('\n'));
    }

    /// A server that gives this answer to one request; its URL.
    fn answer_once(answer: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"SELECT version()") {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).unwrap();
                request.extend_from_slice(&bytes[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[test]
    fn redirects_are_not_followed() {
        let url = answer_once("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
        let error = ClickHouse::connect(&connection(&url)).unwrap_err();
        assert!(matches!(&error, ConnectError::NotClickHouse { detail, .. } if detail == "302 Found"), "{error:?}");
    }

    #[test]
    fn an_old_server_is_refused_with_its_version() {
        let url = answer_once("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n23.8.16.1\n");
        let error = ClickHouse::connect(&connection(&url)).unwrap_err().to_string();
        assert_eq!(error, format!("ClickHouse at {url} is version 23.8.16.1; 24.8 or later is needed"));
    }

    #[test]
    fn another_service_on_the_port_is_said() {
        let url = answer_once("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n");
        let error = ClickHouse::connect(&connection(&url)).unwrap_err();
        assert!(matches!(error, ConnectError::NotClickHouse { .. }), "{error:?}");
    }

    #[test]
    fn https_to_a_port_without_tls_is_a_tls_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 512];
            let read = stream.read(&mut hello).unwrap();
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        let error = ClickHouse::connect(&connection(&url)).unwrap_err();
        server.join().unwrap();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let mut connection = connection("https://localhost:1");
        connection.ca_file = Some(PathBuf::from("/nonexistent/ca.pem"));
        let error = ClickHouse::connect(&connection).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for url in ["http://localhost:8123", "http://127.0.0.2:1", "http://[::1]:1"] {
            assert!(is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["http://example.com", "http://10.0.0.1", "http://[fe80::1]"] {
            assert!(!is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn unescapes_tab_separated_fields() {
        assert_eq!(unescape(r"a\tb\\n\'c\'"), "a\tb\\n'c'");
        assert_eq!(unescape(r"\N"), r"\N");
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", connection("http://h")).contains("p4ssw0rd"));
    }
}
