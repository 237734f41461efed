//! The config: what was typed in TOML, turned once into the validated types that everything else takes.

mod context;
mod diagnostic;
mod interpolate;
mod kafka;
mod parse;
mod secret;
pub(crate) mod suggest;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::column::ColumnSpec;
use crate::message::MessageColumn;
use crate::rollup::{Condition, RollupSpec};

pub use diagnostic::Diagnostic;
pub use kafka::{KafkaIdentity, KafkaMessages, KafkaSasl, KafkaSpec, KafkaStart, KafkaTls, SaslMechanism};
pub use parse::{parse, parse_with, type_name};
pub use secret::{ReadFile, Surroundings, WrittenSecrets};
pub use values::{byte_size, duration};

/// A whole config, checked: nobody downstream checks again.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from, as the user named it; relative paths in it are resolved against its folder.
    pub path: PathBuf,
    /// Where the input is, unless the command line names it.
    pub sources: Vec<SourceSpec>,
    /// How bytes become records.
    pub decode: DecodeSpec,
    /// What is kept of a record, in the order of the table's columns.
    pub columns: Vec<ColumnSpec>,
    /// What is kept of what a topic says of a message, as columns behind those.
    pub message: Vec<MessageColumn>,
    /// Which product a record belongs to.
    pub products: ProductsSpec,
    /// Records that are declared not to be loaded.
    pub filters: Vec<FilterSpec>,
    /// The events table.
    pub table: TableSpec,
    /// What is aggregated by minute.
    pub rollups: Vec<RollupSpec>,
    /// What makes two records the same event; `None`: nothing.
    pub dedup: Option<DedupSpec>,
    /// Where everything goes.
    pub clickhouse: ClickHouseSpec,
    /// Bounds of the pipeline.
    pub pipeline: PipelineSpec,
    /// How a service goes about it.
    pub run: RunSpec,
    /// Where its secrets are.
    pub secrets: WrittenSecrets,
}

impl Config {
    /// Whether what is said of a record must leave out what stands in it: its records are sealed, or a column has a mask,
    /// and a value that stands where another was meant to be may be the one that nobody must read.
    pub fn hides_values(&self) -> bool {
        self.decode.envelope.is_some() || self.columns.iter().any(|column| column.mask.is_some())
    }
}

/// `[[source]]`: files to load or follow, or topics to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// Unique, for people.
    pub name: String,
    /// What it reads.
    pub input: SourceInput,
    /// Folders into which links may lead that its wildcards find, absolute or resolved as the paths are.
    pub follow_links_into: Vec<PathBuf>,
}

/// What a source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceInput {
    /// Files or glob patterns, absolute or resolved against the config's folder.
    Files(Vec<PathBuf>),
    /// Topics, which a service alone reads.
    Kafka(Box<KafkaSpec>),
}

impl SourceSpec {
    /// Its files and patterns; none if it reads topics.
    pub fn paths(&self) -> &[PathBuf] {
        match &self.input {
            SourceInput::Files(paths) => paths,
            SourceInput::Kafka(_) => &[],
        }
    }

    /// Its topics, if it reads any.
    pub fn kafka(&self) -> Option<&KafkaSpec> {
        match &self.input {
            SourceInput::Files(_) => None,
            SourceInput::Kafka(spec) => Some(spec),
        }
    }
}

/// `[decode]`: how a source's bytes become records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeSpec {
    /// Format of a record once it is open.
    pub format: Format,
    /// Encryption around a record.
    pub envelope: Option<EnvelopeSpec>,
    /// Longest record, bytes.
    pub record_bytes_max: usize,
}

impl DecodeSpec {
    /// How records are told apart in the source.
    pub fn framing(&self) -> Framing {
        match &self.envelope {
            Some(EnvelopeSpec { layout: EnvelopeLayout::Frame, .. }) => Framing::Frames,
            _ => Framing::Lines,
        }
    }
}

/// How records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By `\n` or `\r\n`; the last one may be missing; blank lines are not records.
    Lines,
    /// By a big-endian 32-bit length in front of each.
    Frames,
}

/// Format of an open record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// Apache's and nginx's `combined` or `common` log line; told apart record by record.
    AccessLog,
    /// Delimited fields with RFC 4180 quoting, named by the source's header line.
    Csv,
    /// Tab-separated fields named by the source's header line; `\t`, `\n`, `\r`, `\\` escapes, no quoting.
    Tsv,
}

/// `[decode.envelope]`: encryption around each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSpec {
    /// How key id, nonce, ciphertext and tag are laid out.
    pub layout: EnvelopeLayout,
    /// Where keys come from.
    pub keyring: KeyringSpec,
}

/// Layout of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeLayout {
    /// A line: `key-id TAB base64(nonce | ciphertext | tag)`.
    Tab,
    /// A line: a JSON object with named fields.
    Json {
        /// Field that holds the key id.
        key: String,
        /// Field that holds the base64 nonce.
        nonce: String,
        /// Field that holds base64 of ciphertext and tag.
        data: String,
    },
    /// Binary: u32 BE length of the rest, u8 length of the key id, key id, nonce, ciphertext, tag.
    Frame,
}

/// Where the keys of an envelope come from. The keys themselves are not part of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringSpec {
    /// A TOML file of `[[key]]` tables with `id`, `cipher` and base64 `secret`.
    File(PathBuf),
    /// An environment variable that holds the same TOML text.
    Env(String),
}

/// `[products]`: the product of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductsSpec {
    /// Every record belongs to this product.
    Fixed {
        /// Product id.
        id: String,
    },
    /// The record says it in a declared column.
    Column {
        /// Name of a declared string or low-cardinality column.
        column: String,
        /// The dictionary, if there is one; without, every product is known.
        dictionary: Option<DictionarySpec>,
    },
}

impl ProductsSpec {
    /// Name of the column of the events table that holds the product.
    pub fn column_name(&self) -> &str {
        match self {
            ProductsSpec::Fixed { .. } => "product",
            ProductsSpec::Column { column, .. } => column,
        }
    }
}

/// The product dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionarySpec {
    /// CSV (with a header) or TOML (`[[product]]`) by its extension. Columns: `id`, `name`, `family`, `owner`, any others.
    pub path: PathBuf,
    /// What happens to records of a product that it does not have.
    pub unknown: UnknownProduct,
    /// Dictionary columns that are added to each row as low-cardinality strings, named `product_<column>`.
    pub add: Vec<String>,
}

/// What happens to records of an unknown product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownProduct {
    /// They become dead letters.
    DeadLetter,
    /// They belong to this product, which the dictionary has.
    Default(String),
}

/// `[[filter]]`: records that are declared not to be loaded. They are counted as filtered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterSpec {
    /// Drop records that satisfy the condition.
    Drop(Condition),
    /// Drop records that do not satisfy the condition.
    Keep(Condition),
}

/// `[table]`: the events table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name, `events` unless said otherwise. Dead letters are in `dead_letters`, the ledger in `ledger`.
    pub name: String,
    /// The required timestamp column that is the event time: partitions, minutes, order.
    pub time: String,
    /// Columns between product and time in the sorting key.
    pub order_by: Vec<String>,
    /// How much later than the moment at which its slice was cut an event may be.
    pub future_max: Duration,
    /// How much earlier, where that is bounded.
    pub past_max: Option<Duration>,
}

/// `[dedup]`: an event that its producer sent more than once counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupSpec {
    /// Declared columns that tell events of a product apart, in the order of the config. A record with a null in one of
    /// them is never a duplicate.
    pub key: Vec<String>,
    /// How long after an event another one of its key is a duplicate, by ClickHouse's clock when it was first sent there.
    pub window: Duration,
}

/// The database of a config that names none.
pub const DATABASE_DEFAULT: &str = "longshore";

/// `[clickhouse]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickHouseSpec {
    /// Which server.
    pub server: ServerSpec,
    /// Database that holds all tables; created if absent.
    pub database: String,
    /// Inserts under way at once.
    pub inserts_in_flight: usize,
    /// Compression of inserts on the wire.
    pub compression: WireCompression,
    /// What the server must be able to promise, or nothing is loaded.
    pub guarantee: Guarantee,
    /// Whether a single server syncs parts before it acknowledges them.
    pub fsync: bool,
}

/// What a load is to promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Every record once.
    ExactlyOnce,
    /// Every record, some perhaps twice after a retry.
    AtLeastOnce,
}

/// Which ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerSpec {
    /// Started by us and stopped with us.
    Embedded(EmbeddedSpec),
    /// A server that runs already.
    Url(UrlSpec),
}

/// `[clickhouse.embedded]`. `None` everywhere is a good server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedSpec {
    /// Data folder; default under the user's data directory.
    pub data: Option<PathBuf>,
    /// HTTP port on loopback; default a free one.
    pub http_port: Option<u16>,
    /// Native port on loopback; default a free one.
    pub tcp_port: Option<u16>,
    /// Path of libchdb.so; default the cache.
    pub library: Option<PathBuf>,
    /// Memory limit of the server, bytes.
    pub memory_bytes_max: Option<u64>,
    /// Password of the read-only analyst; default random, kept with the engine's.
    pub analyst_password: Option<Secret>,
}

/// A server on a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSpec {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// PEM file of certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Compression of inserts on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireCompression {
    /// LZ4 unless the server is on loopback.
    Auto,
    /// None.
    None,
    /// LZ4.
    Lz4,
}

/// `[pipeline]`: bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineSpec {
    /// Bytes of a slice.
    pub slice_bytes: usize,
    /// Decoding threads; `None`: one a core, up to [`crate::limits::WORKERS_DEFAULT_MAX`].
    pub workers: Option<usize>,
    /// Bytes of resident memory: a config that may need more is refused, see [`crate::budget`].
    pub memory_max: usize,
}

/// `[run]`: what only a service needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// Directory of the journal; beside the config unless it says otherwise.
    pub journal: PathBuf,
    /// A slice is cut at the latest when its oldest record was there to be read for so long.
    pub slice_age: Duration,
    /// How long storing what was cut may take once the service shall end.
    pub drain: Duration,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// What the machine is called in the journal; `None`: by its machine id.
    pub machine: Option<String>,
}

/// A text that never reaches a log, an error or `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Environment as the config sees it.
pub type Env = BTreeMap<String, String>;
