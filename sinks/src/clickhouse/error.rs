//! What can go wrong between us and a ClickHouse, and what an operator can do about it.
//!
//! ClickHouse's own exceptions carry a number, and `codes.rs` knows what each asks of us. Whatever is not ClickHouse's
//! answer is sorted here: a broken connection is waited for, a certificate is somebody's to mend. Nothing that fails is
//! ever taken for stored.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

use longshore_ingest::sink::SinkError;

use super::codes::{ErrorKind, is_bound_user, kind_of_code, name_of_code};

/// An exception as ClickHouse reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerException {
    /// ClickHouse's error code, such as 60 for an unknown table.
    pub code: u32,
    /// The message without the `Code: N. DB::Exception:` in front and the version behind.
    pub message: String,
}

impl ServerException {
    /// Reads `Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE) (version ...)`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("Code: ")?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let code = rest[..digits].parse().ok()?;
        let message = rest[digits..].trim_start_matches(['.', ' ']);
        let message = message.strip_prefix("DB::").map_or(message, |m| m.split_once(": ").map_or(m, |(_, m)| m));
        let message = message.rfind(" (version ").map_or(message, |end| &message[..end]);
        Some(ServerException { code, message: message.trim_end().to_owned() })
    }

    /// What it asks of us.
    pub fn kind(&self) -> ErrorKind {
        // A full disk comes under several codes, some of them of the C++ library.
        if self.message.contains("No space left on device") { ErrorKind::Retry } else { kind_of_code(self.code) }
    }
}

impl fmt::Display for ServerException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (ClickHouse error {})", shorten(&self.without_values()), self.code)
    }
}

impl ServerException {
    /// The message without the values of rows: logs are read by people who must not see them.
    ///
    /// Of a row that breaks a constraint it says which one. What else refuses a value quotes it, in a way of its own each. And
    /// of a code that nobody here knows, or one that refuses columns as well as values, what stands in quotes is left out.
    pub(super) fn without_values(&self) -> Cow<'_, str> {
        if self.code == VIOLATED_CONSTRAINT {
            return self.message.split(" Column values:").next().unwrap_or_default().into();
        }
        match name_of_code(self.code) {
            Some(name) if self.kind() == ErrorKind::Isolate => {
                format!("a value does not fit its column ({name})").into()
            }
            Some(_) if !MAY_QUOTE.contains(&self.code) => (&*self.message).into(),
            _ => without_quoted(&self.message).into(),
        }
    }
}

/// The code of a broken constraint.
const VIOLATED_CONSTRAINT: u32 = 469;

/// Codes that refuse columns, and values too: TYPE_MISMATCH, CANNOT_CONVERT_TYPE, INCORRECT_DATA.
const MAY_QUOTE: [u32; 3] = [53, 70, 117];

/// A text without what stands in quotes. A quote that is never closed goes on to the end.
fn without_quoted(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['\'', '"']) {
        let quote = &rest[open..=open];
        kept.push_str(&rest[..open]);
        kept.push_str("<not shown>");
        rest = rest[open + 1..].split_once(quote).map_or("", |(_, behind)| behind);
    }
    kept + rest
}

/// Why a request to ClickHouse failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// ClickHouse answered with an exception.
    #[error("{0}")]
    Server(ServerException),
    /// No answer: refused, reset, closed, name not found.
    #[error("the connection to ClickHouse failed: {0}")]
    Network(String),
    /// No answer in time.
    #[error("ClickHouse did not answer in time")]
    TimedOut,
    /// Nobody waits for the answer any more.
    #[error("the call was given up, since the time for it is over")]
    GivenUp,
    /// The certificate was not accepted, or the other side does not speak TLS.
    #[error("TLS with ClickHouse failed: {0}")]
    Tls(String),
    /// An answer that is not ClickHouse's: a proxy, a redirect, another service.
    #[error("the answer is not ClickHouse's: {0}")]
    Foreign(String),
    /// The request could not be made or its answer not be read.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    /// What it asks of us.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ClientError::Server(exception) => exception.kind(),
            ClientError::Network(_) | ClientError::TimedOut | ClientError::GivenUp => ErrorKind::Retry,
            ClientError::Foreign(text) if GATEWAY_ANSWERS.iter().any(|answer| text.contains(answer)) => {
                ErrorKind::Retry
            }
            // A proxy's refusal, another service on the port, a certificate: nothing of that passes by itself.
            ClientError::Foreign(_) | ClientError::Tls(_) => ErrorKind::Pause,
            ClientError::Invalid(_) => ErrorKind::Refuse,
        }
    }

    /// Whether waiting helps.
    pub fn is_transient(&self) -> bool {
        self.kind() == ErrorKind::Retry
    }

    /// ClickHouse's error code, if it was ClickHouse that refused.
    pub fn code(&self) -> Option<u32> {
        match self {
            ClientError::Server(exception) => Some(exception.code),
            _ => None,
        }
    }

    /// The same for the pipeline, with what to do. `rows` says whose rows were sent.
    pub(super) fn into_sink_error(self, what: &str, rows: Rows) -> SinkError {
        let detail = format!("{what}: {self}{}", self.advice());
        match (self.kind(), rows) {
            (ErrorKind::Retry, _) => SinkError::Retry { detail },
            (ErrorKind::Isolate, Rows::Events) => SinkError::Isolate { detail },
            // Rows that we made ourselves: leaving one out would falsify the books, so somebody has to look.
            (ErrorKind::Pause, _) | (ErrorKind::Isolate, Rows::Ours) => SinkError::Pause { detail },
            (ErrorKind::Refuse, _) => SinkError::Refuse { detail },
        }
    }

    /// What an operator can do, as a sentence to append, where the error does not say it.
    pub(super) fn advice(&self) -> &'static str {
        match self.code() {
            Some(code) if is_authentication(code) => "; check user and password under [clickhouse]",
            Some(497) => "; grant the user SELECT, INSERT and CREATE on the database",
            Some(16 | 44 | 53 | 60 | 81 | 349) => "; run `longshore schema` with this config to see what differs",
            Some(243 | 75) => "; free disk space on the server",
            Some(252) => "; the server merges more slowly than it is fed",
            Some(201) => "; raise the user's quota, or wait for its interval to end and run this again",
            Some(code) if is_bound_user(code) => "; take readonly and the constraint from the user's profile",
            Some(469 | 321 | 407 | 691) => {
                "; a row does not fit the table: change the constraint or the column, or filter the row out"
            }
            _ => "",
        }
    }
}

/// Whose rows an insert holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Records of the source: one that the server rejects can be found and set aside.
    Events,
    /// Of our making: rollups, dead letters, the ledger.
    Ours,
}

/// What proxies say when the server behind them is away or busy. The client library drops the status, so texts it is.
const GATEWAY_ANSWERS: [&str; 5] =
    ["429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "503 Service", "504 Gateway"];

/// Whether the code says that the user or the password is wrong.
fn is_authentication(code: u32) -> bool {
    matches!(code, 192..=195 | 516)
}

impl From<clickhouse::error::Error> for ClientError {
    fn from(error: clickhouse::error::Error) -> Self {
        use clickhouse::error::Error;
        match error {
            Error::BadResponse(text) => match ServerException::parse(&text) {
                Some(exception) => ClientError::Server(exception),
                None => ClientError::Foreign(shorten(&text)),
            },
            Error::TimedOut => ClientError::TimedOut,
            Error::Network(source) => from_network(source.as_ref()),
            other => ClientError::Invalid(other.to_string()),
        }
    }
}

/// Tells TLS from the rest by the innermost errors, which is where the truth is.
fn from_network(error: &(dyn StdError + 'static)) -> ClientError {
    let mut innermost = error;
    loop {
        if let Some(tls) = innermost.downcast_ref::<rustls::Error>() {
            return ClientError::Tls(tls.to_string());
        }
        // `source` of an I/O error skips the error that it wraps.
        let wrapped = innermost.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        innermost = match wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| innermost.source()) {
            Some(inner) => inner,
            None => return ClientError::Network(innermost.to_string()),
        };
    }
}

/// Why a ClickHouse cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one.
    #[error("`{url}` is not a ClickHouse URL: {detail}; write it like http://localhost:8123 or https://host:8443")]
    Url {
        /// As configured, without a password.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The certificate authorities cannot be read.
    #[error("cannot read certificate authorities from {path}: {detail}")]
    CaFile {
        /// The configured file, or the system's store.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Nobody answers.
    #[error("ClickHouse at {place} does not answer ({detail}); check that it runs, and the host and port in `url`")]
    Unreachable {
        /// The URL.
        place: String,
        /// What the system says.
        detail: String,
    },
    /// No common TLS.
    #[error("no TLS connection to ClickHouse at {place} ({detail}); check the certificate, `ca_file`, and the port")]
    Tls {
        /// The URL.
        place: String,
        /// What the TLS library says.
        detail: String,
    },
    /// Wrong user or password.
    #[error("ClickHouse at {place} does not let user `{user}` in; check user and password under [clickhouse]")]
    Authentication {
        /// The URL.
        place: String,
        /// The user.
        user: String,
    },
    /// Something else listens there.
    #[error("what answers at {place} is not a ClickHouse HTTP port ({detail}); check the port (8123, or 8443 for TLS)")]
    NotClickHouse {
        /// The URL.
        place: String,
        /// What it answered.
        detail: String,
    },
    /// Older than [`super::client::VERSION_MIN`].
    #[error("ClickHouse at {place} is version {version}; {minimum} or later is needed")]
    TooOld {
        /// The URL.
        place: String,
        /// What it says.
        version: String,
        /// What is needed.
        minimum: String,
    },
    /// ClickHouse refused for another reason.
    #[error("ClickHouse at {place} refused: {source}")]
    Refused {
        /// The URL.
        place: String,
        /// Its exception.
        source: ClientError,
    },
    /// The threads that do network I/O could not be started.
    #[error("cannot start the network threads: {0}")]
    Runtime(io::Error),
}

impl ConnectError {
    /// The first request failed: says why in the operator's words.
    pub(super) fn from_client(error: ClientError, place: &str, user: &str) -> Self {
        let place = place.to_owned();
        match error {
            ClientError::Network(detail) => ConnectError::Unreachable { place, detail },
            ClientError::TimedOut => ConnectError::Unreachable { place, detail: "no answer in time".to_owned() },
            ClientError::GivenUp => ConnectError::Unreachable { place, detail: "no answer yet".to_owned() },
            ClientError::Tls(detail) => ConnectError::Tls { place, detail },
            ClientError::Foreign(detail) => ConnectError::NotClickHouse { place, detail },
            ClientError::Server(exception) if is_authentication(exception.code) => {
                ConnectError::Authentication { place, user: user.to_owned() }
            }
            source => ConnectError::Refused { place, source },
        }
    }

    /// Whether waiting helps: the server may still be starting.
    pub fn is_transient(&self) -> bool {
        match self {
            ConnectError::Unreachable { .. } => true,
            ConnectError::Refused { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

/// The first line's first characters: exceptions can quote a whole query or a whole HTML page.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    let text = text.trim().replace(['\n', '\r'], " ");
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad_response(text: &str) -> ClientError {
        clickhouse::error::Error::BadResponse(text.to_owned()).into()
    }

    #[test]
    fn reads_code_and_message() {
        let text = "Code: 60. DB::Exception: Table d.events does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)\n";
        let exception = ServerException::parse(text).unwrap();
        assert_eq!(exception.code, 60);
        assert_eq!(exception.message, "Table d.events does not exist. (UNKNOWN_TABLE)");
        assert_eq!(
            ServerException::parse("Code: 210. DB::NetException: I/O error: Broken pipe. (NETWORK_ERROR)").unwrap(),
            ServerException { code: 210, message: "I/O error: Broken pipe. (NETWORK_ERROR)".to_owned() }
        );
        // What the client library makes of an empty body with the code in a header.
        assert_eq!(ServerException::parse("Code: 252").unwrap().code, 252);
        assert_eq!(ServerException::parse("<html>502 Bad Gateway</html>"), None);
    }

    /// As ClickHouse 26.7 says it of values that a view or a constraint of somebody's own cannot take, and as a later one might.
    #[test]
    fn no_message_repeats_the_values_of_a_row() {
        for (code, message, shown) in [
            (
                6,
                "Cannot parse string 'hunter2' as UInt64: syntax error at position 0",
                "a value does not fit its column (CANNOT_PARSE_TEXT)",
            ),
            (407, "Decimal math overflow of hunter2", "a value does not fit its column (DECIMAL_OVERFLOW)"),
            (691, "Unknown element 'hunter2' for enum", "a value does not fit its column (UNKNOWN_ELEMENT_OF_ENUM)"),
            (
                469,
                "Constraint `c` for table d.t is violated at row 1. Expression: (n != 'x'). Column values: n = hunter2",
                "Constraint `c` for table d.t is violated at row 1. Expression: (n != 'x').",
            ),
            (
                70,
                "Cannot convert \"it's hunter2\" to 'UInt8' of `n`",
                "Cannot convert <not shown> to <not shown> of `n`",
            ),
            (31_337, "odd: 'hunter2", "odd: <not shown>"),
            (60, "Table 'd'.events does not exist", "Table 'd'.events does not exist"),
        ] {
            let error = ServerException { code, message: message.to_owned() };
            assert_eq!(error.to_string(), format!("{shown} (ClickHouse error {code})"));
        }
    }

    #[test]
    fn overload_and_full_disks_are_waited_for() {
        for code in [241, 243, 252, 75, 202] {
            let error = bad_response(&format!("Code: {code}. DB::Exception: no. (X) (version 26.7)"));
            assert!(matches!(error.into_sink_error("insert", Rows::Events), SinkError::Retry { .. }), "{code}");
        }
        let error = bad_response("Code: 1001. DB::Exception: std::exception: No space left on device (STD_EXCEPTION)");
        assert!(error.is_transient());
        assert!(bad_response("<h1>502 Bad Gateway</h1>").is_transient());
    }

    #[test]
    fn missing_tables_and_wrong_passwords_pause() {
        for code in [60, 81, 516, 497, 53] {
            let error = bad_response(&format!("Code: {code}. DB::Exception: no. (X) (version 26.7)"));
            let SinkError::Pause { detail } = error.into_sink_error("insert into `d`.`events`", Rows::Events) else {
                panic!("{code} must pause");
            };
            assert!(detail.starts_with("insert into `d`.`events`: no. (X) (ClickHouse error "), "{detail}");
            assert!(detail.contains("; "), "says what to do: {detail}");
        }
        assert!(!bad_response("302 Found").is_transient());
    }

    #[test]
    fn a_rejected_row_is_isolated_only_where_it_came_from_a_source() {
        let error = || bad_response("Code: 469. DB::Exception: Constraint `c` is violated. (VIOLATED_CONSTRAINT)");
        assert!(matches!(error().into_sink_error("insert", Rows::Events), SinkError::Isolate { .. }));
        assert!(matches!(error().into_sink_error("insert", Rows::Ours), SinkError::Pause { .. }));
    }

    #[test]
    fn what_is_not_clickhouses_answer_has_a_kind_too() {
        assert_eq!(ClientError::TimedOut.kind(), ErrorKind::Retry);
        assert_eq!(ClientError::Network("reset".into()).kind(), ErrorKind::Retry);
        assert_eq!(ClientError::Tls("expired".into()).kind(), ErrorKind::Pause);
        assert_eq!(bad_response("<h1>403 Forbidden</h1>").kind(), ErrorKind::Pause);
        assert_eq!(ClientError::Invalid("no Arrow".into()).kind(), ErrorKind::Refuse);
    }
}
