//! The tables that configs have: events, dead letters, ledger; for topics the configs themselves; and the claims, where
//! duplicates are looked for.
//!
//! All of them keep the tokens of their last [`DEDUPLICATION_WINDOW`] inserts, so an insert that is repeated changes
//! nothing. A token is remembered by partition, which is why no partition may depend on the clock: a retry after midnight
//! would land in another one and be taken for new. (Claims may: claimed twice is claimed.)

use std::fmt::Write as _;
use std::time::Duration;

use longshore_core::column::layout::{LayoutColumn, ROW_COLUMN, SLICE_COLUMN, event_columns};
use longshore_core::config::{Config, DedupSpec};
use longshore_core::limits::{self, DEDUP_CLAIMS_KEPT_MS};

use super::layout::{LAYOUT, LAYOUT_COLUMN};
use super::sql::{name_list, quote_name, quote_table};
use super::types::{ROW_CODEC, SLICE_CODEC, TEXT_CODEC, clickhouse_type, codec};

/// Name of the dead-letter table.
pub const DEAD_LETTERS: &str = "dead_letters";
/// Name of the ledger.
pub const LEDGER: &str = "ledger";
/// Name of the table of configs, which is there if a source reads topics.
pub const CONFIGS: &str = "configs";

/// Name of the table of slices that rollups counted after these were stored.
pub(super) const ROLLUP_SLICES: &str = "rollup_slices";
/// Name of the table of who counts such slices now.
pub(super) const ROLLUP_CLAIMS: &str = "rollup_claims";

/// Insert tokens a table remembers, one a partition and insert. What is retried was sent seconds ago, the ledger knows the
/// rest, and a slice of more than [`INSERT_DAYS_MAX`](longshore_core::limits::INSERT_DAYS_MAX) days is looked for first.
pub const DEDUPLICATION_WINDOW: u64 = limits::DEDUPLICATION_WINDOW as u64;

/// Name of the index that finds rows by their slice. A Bloom filter for every 8,192 rows: slices are hashes, so that no
/// range holds those of a place.
pub(super) const BY_SLICE: &str = "by_slice";

/// A table as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name in the database.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<TableColumn>,
    /// `MergeTree` or `AggregatingMergeTree`.
    pub engine: &'static str,
    /// Partition expression, if partitioned.
    pub partition_by: Option<String>,
    /// Sorting key.
    pub order_by: Vec<String>,
    /// A column of the time a row was made at, and how many seconds later it may be gone.
    pub expires: Option<(&'static str, u64)>,
    /// A column by whose values rows are found, though the table is sorted by others: an index of that name, see
    /// [`BY_SLICE`].
    pub index: Option<&'static str>,
    /// Name and condition of a constraint that each row must satisfy.
    pub constraint: Option<(&'static str, &'static str)>,
    /// Settings of the table.
    pub settings: Vec<(&'static str, u64)>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Name.
    pub name: String,
    /// Type as ClickHouse spells it.
    pub ty: String,
    /// Codec as ClickHouse spells it; none: the server's default.
    pub codec: Option<&'static str>,
    /// Default expression, for columns that inserts leave out.
    pub default: Option<&'static str>,
}

impl TableColumn {
    /// A column without codec and default.
    pub(super) fn new(name: impl Into<String>, ty: impl Into<String>) -> Self {
        TableColumn { name: name.into(), ty: ty.into(), codec: None, default: None }
    }

    pub(super) fn with_codec(mut self, codec: &'static str) -> Self {
        self.codec = Some(codec);
        self
    }

    fn with_default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// As it stands in CREATE TABLE and ADD COLUMN.
    pub(super) fn sql(&self) -> String {
        let mut sql = format!("{} {}", quote_name(&self.name), self.ty);
        if let Some(default) = self.default {
            let _ = write!(sql, " DEFAULT {default}");
        }
        if let Some(codec) = self.codec {
            let _ = write!(sql, " CODEC({codec})");
        }
        sql
    }
}

impl Table {
    /// CREATE TABLE IF NOT EXISTS.
    pub fn create(&self, database: &str) -> String {
        let mut lines: Vec<String> = self.columns.iter().map(|column| format!("    {}", column.sql())).collect();
        lines.extend(self.index_sql().map(|index| format!("    {index}")));
        if let Some((name, check)) = self.constraint {
            lines.push(format!("    CONSTRAINT {name} CHECK {check}"));
        }
        let mut sql = format!(
            "CREATE TABLE IF NOT EXISTS {}\n(\n{}\n)\nENGINE = {}\n",
            quote_table(database, &self.name),
            lines.join(",\n"),
            self.engine
        );
        if let Some(partition_by) = &self.partition_by {
            let _ = writeln!(sql, "PARTITION BY {partition_by}");
        }
        let expiry = self.expiry().map(|expiry| format!("\nTTL {expiry}")).unwrap_or_default();
        let settings: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let _ = write!(
            sql,
            "ORDER BY ({}){expiry}\nSETTINGS {}",
            name_list(self.order_by.iter().map(String::as_str)),
            settings.join(", ")
        );
        sql
    }

    /// The index as it stands in CREATE TABLE and ADD INDEX.
    pub(super) fn index_sql(&self) -> Option<String> {
        self.index.map(|column| format!("INDEX {BY_SLICE} {} TYPE bloom_filter GRANULARITY 1", quote_name(column)))
    }

    /// The expression of the TTL, as ClickHouse spells it.
    pub(super) fn expiry(&self) -> Option<String> {
        self.expires.map(|(column, seconds)| format!("toDateTime({column}) + toIntervalSecond({seconds})"))
    }
}

/// The events table as the rollups see it.
#[derive(Debug)]
pub(super) struct Events<'a> {
    pub(super) database: &'a str,
    pub(super) name: &'a str,
    pub(super) product: &'a str,
    pub(super) time: &'a str,
    columns: Vec<LayoutColumn>,
}

impl<'a> Events<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Events {
            database: &config.clickhouse.database,
            name: &config.table.name,
            product: config.products.column_name(),
            time: &config.table.time,
            columns: event_columns(config),
        }
    }

    /// A column by its name. The config was checked: whatever it names is there.
    pub(super) fn column(&self, name: &str) -> &LayoutColumn {
        self.columns
            .iter()
            .find(|column| &*column.name == name)
            .unwrap_or_else(|| panic!("the config was checked, yet column `{name}` is not in the events table"))
    }

    /// The table's definition.
    pub(super) fn table(&self, order_by: &[String]) -> Table {
        let mut key = vec![self.product.to_owned()];
        key.extend(order_by.iter().cloned());
        key.push(self.time.to_owned());
        let columns = self.columns.iter().map(event_column).collect();
        Table {
            name: self.name.to_owned(),
            columns,
            engine: "MergeTree",
            partition_by: Some(format!("toDate({})", quote_name(self.time))),
            settings: events_settings(),
            order_by: key,
            expires: None,
            index: None,
            constraint: None,
        }
    }
}

fn event_column(column: &LayoutColumn) -> TableColumn {
    let codec = match &*column.name {
        SLICE_COLUMN => Some(SLICE_CODEC),
        ROW_COLUMN => Some(ROW_CODEC),
        _ => codec(&column.ty),
    };
    TableColumn { codec, ..TableColumn::new(&*column.name, clickhouse_type(&column.ty, column.nullable)) }
}

/// Uncompressed bytes from which on a part has a file a column. A slice's part stays below: creating and deleting some
/// 60 files an insert took more of the server's CPU than the rows did; what merges make of it is above soon enough.
const WIDE_PART_BYTES: u64 = 128 << 20;

fn events_settings() -> Vec<(&'static str, u64)> {
    let mut settings = settings();
    settings.push(("min_bytes_for_wide_part", WIDE_PART_BYTES));
    settings
}

/// The settings of every table.
pub(super) fn settings() -> Vec<(&'static str, u64)> {
    vec![("non_replicated_deduplication_window", DEDUPLICATION_WINDOW)]
}

/// The dead letters: sorted by reason, because they are counted by it, then by where they stand.
pub(super) fn dead_letters() -> Table {
    Table {
        name: DEAD_LETTERS.to_owned(),
        columns: vec![
            TableColumn::new("slice", "UInt64").with_codec(SLICE_CODEC),
            TableColumn::new("row", "UInt32").with_codec(ROW_CODEC),
            TableColumn::new("source", "LowCardinality(String)"),
            TableColumn::new("offset", "UInt64").with_codec("T64, LZ4"),
            TableColumn::new("length", "UInt64").with_codec("T64, LZ4"),
            TableColumn::new("reason", "LowCardinality(String)"),
            TableColumn::new("column", "LowCardinality(String)"),
            TableColumn::new("detail", "String").with_codec(TEXT_CODEC),
            TableColumn::new("record", "String").with_codec(TEXT_CODEC),
            TableColumn::new("loaded_at", "DateTime('UTC')").with_default("now()"),
        ],
        engine: "MergeTree",
        partition_by: None,
        order_by: ["reason", "source", "offset"].map(str::to_owned).to_vec(),
        expires: None,
        index: Some("slice"),
        constraint: None,
        settings: settings(),
    }
}

/// The ledger: sorted by head, because whoever finds a content asks for what is stored of those that begin so.
pub(super) fn ledger() -> Table {
    let count = |name: &str| TableColumn::new(name, "UInt64");
    Table {
        name: LEDGER.to_owned(),
        columns: vec![
            count("slice"),
            TableColumn::new("stream", "LowCardinality(String)"),
            count("head"),
            TableColumn::new("source", "String").with_codec(TEXT_CODEC),
            count("start"),
            count("end"),
            count("bytes"),
            count("before"),
            count("after"),
            count("records"),
            count("loaded"),
            count("dead"),
            count("filtered"),
            count("duplicates"),
            TableColumn::new("finished_at", "DateTime64(3, 'UTC')").with_default("now64(3)"),
            TableColumn::new(LAYOUT_COLUMN, "UInt16").with_default(LAYOUT),
            TableColumn::new("rollups", "Array(UInt64)").with_codec(TEXT_CODEC),
        ],
        engine: "MergeTree",
        partition_by: None,
        order_by: ["head", "start", "slice"].map(str::to_owned).to_vec(),
        expires: None,
        index: Some("slice"),
        constraint: Some(("balances", "records = loaded + dead + filtered + duplicates")),
        settings: settings(),
    }
}

/// The slices that rollups counted after they were stored: beside the ledger's own `rollups`.
pub(super) fn rollup_slices() -> Table {
    Table {
        name: ROLLUP_SLICES.to_owned(),
        columns: vec![
            TableColumn::new("rollup", "UInt64"),
            TableColumn::new("slice", "UInt64"),
            TableColumn::new("counted_at", "DateTime('UTC')").with_default("now()"),
        ],
        engine: "MergeTree",
        partition_by: None,
        order_by: ["rollup", "slice"].map(str::to_owned).to_vec(),
        expires: None,
        index: None,
        constraint: None,
        settings: settings(),
    }
}

/// Who counts such slices now. What is older than a claim lasts may go.
pub(super) fn rollup_claims() -> Table {
    Table {
        name: ROLLUP_CLAIMS.to_owned(),
        columns: vec![
            TableColumn::new("claim", "UInt64"),
            TableColumn::new("held", "Int8"),
            TableColumn::new("at", "DateTime64(3, 'UTC')").with_default("now64(3)"),
        ],
        engine: "MergeTree",
        partition_by: None,
        order_by: ["at", "claim"].map(str::to_owned).to_vec(),
        expires: Some(("at", 86_400)),
        index: None,
        constraint: None,
        settings: settings(),
    }
}

/// The configs by their hash.
pub(super) fn configs() -> Table {
    Table {
        name: CONFIGS.to_owned(),
        columns: vec![
            TableColumn::new("hash", "UInt64"),
            TableColumn::new("text", "String").with_codec(TEXT_CODEC),
            TableColumn::new("kept_at", "DateTime('UTC')").with_default("now()"),
        ],
        engine: "MergeTree",
        partition_by: None,
        order_by: ["hash", "kept_at"].map(str::to_owned).to_vec(),
        expires: None,
        index: None,
        constraint: None,
        settings: settings(),
    }
}

/// Name of the table of claims to the events of a table.
pub(super) fn claims_name(events: &str) -> String {
    format!("{events}_claims")
}

/// The setting that keeps the number of each row's block when blocks are merged.
pub(super) const BLOCK_NUMBERS: (&str, u64) = ("enable_block_number_column", 1);

/// The claims to events: sorted by key, because a slice asks for those of its keys. A day's partition is dropped whole.
pub(super) fn claims(events: &str, spec: &DedupSpec) -> Table {
    let kept = spec.window + Duration::from_millis(DEDUP_CLAIMS_KEPT_MS);
    let mut settings = settings();
    settings.extend([BLOCK_NUMBERS, ("ttl_only_drop_parts", 1)]);
    Table {
        name: claims_name(events),
        columns: vec![
            TableColumn::new("hour", "UInt32").with_codec("ZSTD(1)"),
            // A hash cannot be compressed.
            TableColumn::new("key", "FixedString(16)").with_codec("NONE"),
            TableColumn::new("slice", "UInt64").with_codec(SLICE_CODEC),
            TableColumn::new("claimed", "DateTime64(3, 'UTC')").with_codec("ZSTD(1)").with_default("now64(3)"),
        ],
        engine: "MergeTree",
        partition_by: Some("toDate(claimed)".to_owned()),
        order_by: ["hour", "key"].map(str::to_owned).to_vec(),
        expires: Some(("claimed", kept.as_secs())),
        index: None,
        constraint: None,
        settings,
    }
}
