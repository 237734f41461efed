//! The budget: what a config takes of memory whatever comes, and the bounds of its slices that follow from it.
//!
//! A byte of input can become many. Each column takes its width for every record, also for `{}`; an item of a list is two
//! bytes of text and up to 32 of a column; a path that several columns share is copied for each. So two figures are made of
//! the config alone: what a record costs though it says nothing ([`Budget::columns_bytes`] multiplies it by the records),
//! and what a byte may become. From these follow the records and the bytes of a slice, so that the columns of one slice
//! stay within [`Budget::slice_columns_bytes`]. For a config of usual columns both are the limits that hold anyway: where
//! slices end does not change.
//!
//! What slices really take is mostly far less, so how many of them there are at once is not fixed: each takes what it needs
//! of [`Budget::decoded_bytes`] before it is decoded and gives back the rest after. What has a fixed size is added up here,
//! and a config whose sum is too large is [refused](Budget::check).

use std::fmt;

use crate::column::{ColumnSpec, ColumnType, Mask, Path, Step};
use crate::config::{Config, Format, ProductsSpec};
use crate::limits::{
    DEAD_LETTER_DETAIL_SHORT_BYTES, DICTIONARY_VALUE_BYTES, DICTIONARY_VALUES_MAX, KAFKA_POLL_ALL_BYTES,
    KAFKA_PREFETCH_BYTES, KAFKA_SLICES_HELD, KNOWN_USERS_BYTES_MAX, MEMORY_ALLOCATOR_SHARE, MEMORY_DICTIONARY_BYTES,
    MEMORY_FOLLOW_BYTES, MEMORY_INSERT_BYTES, MEMORY_PROGRAM_BYTES, MEMORY_SLICE_SHARE, MEMORY_SLICE_SHARES,
    SCRATCH_BYTES_MAX, SLICE_BYTES_FLOOR, SLICE_RECORDS_MAX, SLICES_READ_AHEAD, WORK_BYTES_MAX, WORK_TEXT_BYTES,
    WORKERS_DEFAULT_MAX, ZSTD_WINDOW_LOG_MAX,
};
use crate::message::MessageField;
use crate::rollup::{RollupKind, RollupSpec};

/// Thousandths: what a byte becomes is a fraction.
const WHOLE: usize = 1_000;
/// Bytes of a record that no column accounts for: slice, row number, and what sorting takes.
const ROW_BYTES: usize = 56;
/// Bytes of a dead letter beside its record: itself, while the list of them grows, and its explanation, cut short.
const DEAD_ROW_BYTES: usize = 128 + DEAD_LETTER_DETAIL_SHORT_BYTES;
/// Bytes of a topic's message, at least, for which there is room in a slice.
const MESSAGE_BYTES_MIN: usize = 224;
/// Bytes of a length before a record, or of its line's end.
const RECORD_ENDING_BYTES: usize = 4;

/// Which command the memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Files are loaded to their end.
    Load,
    /// Files and topics are followed.
    Run,
}

/// What a record, and what a byte of it, may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    /// Bytes, though the record says nothing.
    row: usize,
    /// Thousandths of bytes.
    byte: usize,
}

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of a slice of a file.
    pub slice_bytes: usize,
    /// Records of a slice of a file.
    pub records_max: usize,
    /// Bytes of a slice of a topic.
    pub topic_slice_bytes: usize,
    /// Records of a slice of a topic.
    pub topic_records_max: usize,
    /// Bytes that the columns of one slice take at most.
    pub slice_columns_bytes: usize,
    /// Bytes for slices that are decoded, all of them together.
    pub decoded_bytes: usize,
    cost: Cost,
    /// Low-cardinality columns.
    dictionaries: usize,
    memory_max: usize,
    /// What has a fixed size.
    lines: Vec<Line>,
    /// Why no slice is small enough.
    misfits: Vec<String>,
}

/// The line of the product dictionary.
const DICTIONARY: &str = "the product dictionary";

/// A line of the sum.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    bytes: usize,
    what: String,
}

/// A config that needs more than it may take; the sum, line by line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OverBudget(String);

impl Budget {
    /// Of a checked config. Where slices end follows from what it says alone, whatever the machine or the command.
    pub fn of(config: &Config, command: Command) -> Budget {
        let memory_max = config.pipeline.memory_max;
        let slice_columns_bytes = memory_max / MEMORY_SLICE_SHARE * MEMORY_SLICE_SHARES;
        let cost = Cost::of(config);
        let mut budget = Budget {
            slice_bytes: 0,
            records_max: 0,
            topic_slice_bytes: 0,
            topic_records_max: 0,
            slice_columns_bytes,
            decoded_bytes: 0,
            cost,
            dictionaries: config.columns.iter().filter(|spec| spec.ty == ColumnType::LowCardinality).count(),
            memory_max,
            lines: Vec::new(),
            misfits: Vec::new(),
        };
        budget.bound_slices(config);
        budget.add_up(config, command);
        budget
    }

    /// As many bytes as one slice may become, and as many records as then have room. A quarter is for the records at least.
    fn bound_slices(&mut self, config: &Config) {
        let record_bytes = config.decode.record_bytes_max + RECORD_ENDING_BYTES;
        let room = self.slice_columns_bytes;
        let bytes = (room - room / 4) / self.cost.byte * WHOLE;
        if bytes < record_bytes {
            self.misfits.push(format!(
                "a record of {} (decode.record_bytes_max) may become {} of columns, and a slice has room for {}: lower \
                 decode.record_bytes_max, or take columns out that have the same path, or that hold what others hold already",
                mebibytes(config.decode.record_bytes_max),
                mebibytes(record_bytes / WHOLE * self.cost.byte),
                mebibytes(room - room / 4),
            ));
        }
        self.slice_bytes = config.pipeline.slice_bytes.min(bytes).max(record_bytes).max(SLICE_BYTES_FLOOR);
        let left = room.saturating_sub(self.slice_bytes / WHOLE * self.cost.byte);
        let aggregated = (WORK_BYTES_MAX - WORK_TEXT_BYTES) / work_row_bytes(config).max(1);
        self.records_max = (left / self.cost.row.max(DEAD_ROW_BYTES)).min(aggregated).clamp(1, SLICE_RECORDS_MAX);
    }

    /// What has a fixed size; slices of topics get what is left of the room for bytes.
    fn add_up(&mut self, config: &Config, command: Command) {
        let mut add = |bytes: usize, what: String| self.lines.push(Line { bytes, what });
        let workers = config.pipeline.workers.unwrap_or(WORKERS_DEFAULT_MAX);
        let inserts = config.clickhouse.inserts_in_flight;
        let topics = match command {
            Command::Run => config.sources.iter().filter(|source| source.kafka().is_some()).count(),
            Command::Load => 0,
        };
        let follows = command == Command::Run && config.sources.iter().any(|source| !source.paths().is_empty());
        let has_files = topics == 0 || follows;
        add(MEMORY_PROGRAM_BYTES, "the program".to_owned());
        add(self.memory_max / MEMORY_ALLOCATOR_SHARE, "what the allocator holds and nobody uses".to_owned());
        add(workers * SCRATCH_BYTES_MAX, format!("columns that {workers} workers keep (pipeline.workers)"));
        add(WORK_BYTES_MAX, "partial aggregates and dead letters on their way".to_owned());
        add(inserts * MEMORY_INSERT_BYTES, format!("{inserts} inserts (clickhouse.inserts_in_flight)"));
        // Slices of topics get what is left, whatever the dictionary has.
        if matches!(config.products, ProductsSpec::Column { dictionary: Some(_), .. }) {
            add(MEMORY_DICTIONARY_BYTES, DICTIONARY.to_owned());
        }
        if config.rollups.iter().any(|spec| matches!(spec.kind, RollupKind::NewUsers { .. })) {
            add(KNOWN_USERS_BYTES_MAX / 2 * 3, "users that are known to be stored".to_owned());
        }
        if has_files {
            add(1 << ZSTD_WINDOW_LOG_MAX, "a decompressor".to_owned());
        }
        if follows {
            add(MEMORY_FOLLOW_BYTES, "the followed files and the journal".to_owned());
        }
        if topics > 0 {
            let ahead = topics * (KAFKA_PREFETCH_BYTES + KAFKA_POLL_ALL_BYTES);
            add(ahead, format!("what {topics} sources of topics fetch ahead"));
        }
        // The reader's own, or those that a feed has cut ahead.
        let fed = if follows { 2 } else { 1 };
        let under_way = SLICES_READ_AHEAD + workers;
        let file_slices = if has_files { fed + under_way } else { 0 };
        if has_files {
            let what = format!("{file_slices} slices of {} (pipeline.slice_bytes)", mebibytes(self.slice_bytes));
            add(file_slices * self.slice_bytes, what);
        }
        if topics > 0 {
            let fixed: usize = self.lines.iter().map(|line| line.bytes).sum();
            let left = self.memory_max.saturating_sub(fixed + self.slice_columns_bytes);
            // Where files are followed too, those under way may be of either.
            let slices = topics * (KAFKA_SLICES_HELD + 1) + if has_files { 0 } else { under_way };
            // What is known of the messages comes on top.
            let fits = left / slices / 5 * 4;
            let least = (config.decode.record_bytes_max + RECORD_ENDING_BYTES).max(SLICE_BYTES_FLOOR);
            self.topic_slice_bytes = self.slice_bytes.min(fits).max(least);
            let bytes = slices * (self.topic_slice_bytes + self.topic_slice_bytes / 4);
            let what = format!("{slices} slices of topics of {} and more", mebibytes(self.topic_slice_bytes));
            self.lines.push(Line { bytes, what });
        } else {
            self.topic_slice_bytes = self.slice_bytes;
        }
        self.topic_records_max = self.records_max.min(self.topic_slice_bytes / MESSAGE_BYTES_MIN).max(1);
        self.give_the_rest();
    }

    /// What is left is for decoded slices. The more of it there is, the more the allocator keeps beside them: columns that grew,
    /// pages that were just freed. Measured on batches of many columns it is two thirds of what the batches are.
    fn give_the_rest(&mut self) {
        let left = self.memory_max.saturating_sub(self.fixed_bytes());
        let usual = self.slice_columns_bytes / 2 * 3;
        self.decoded_bytes = left.min(usual.max(left / 8 * 5)).max(self.slice_columns_bytes);
    }

    fn fixed_bytes(&self) -> usize {
        self.lines.iter().map(|line| line.bytes).sum()
    }

    /// The same with a product dictionary that takes so many bytes.
    pub fn with_dictionary(mut self, bytes: usize) -> Budget {
        match self.lines.iter_mut().find(|line| line.what == DICTIONARY) {
            Some(line) => line.bytes = line.bytes.max(bytes),
            None if bytes == 0 => {}
            None => self.lines.push(Line { bytes, what: DICTIONARY.to_owned() }),
        }
        self.give_the_rest();
        self
    }

    /// What the columns and the dead letters of a slice take at most, if it has so many bytes and records.
    pub fn columns_bytes(&self, slice_bytes: usize, records: usize) -> usize {
        let Cost { row, byte } = self.cost;
        let tables = (records * self.dictionaries).min(DICTIONARY_VALUES_MAX) * DICTIONARY_VALUE_BYTES;
        records * row.max(DEAD_ROW_BYTES) + slice_bytes / WHOLE * byte + byte + tables
    }

    /// Whether all fits.
    ///
    /// # Errors
    /// The sum, line by line, and which keys to lower.
    pub fn check(&self) -> Result<(), OverBudget> {
        if let Some(misfit) = self.misfits.first() {
            return Err(OverBudget(format!(
                "{misfit}; or allow more than {} (pipeline.memory_max)",
                mebibytes(self.memory_max)
            )));
        }
        let needed = self.fixed_bytes() + self.slice_columns_bytes;
        if needed <= self.memory_max {
            return Ok(());
        }
        Err(OverBudget(format!(
            "this config may need {} of memory, and may take {} (pipeline.memory_max):\n{self}lower what stands in \
             parentheses, or raise pipeline.memory_max",
            mebibytes(needed),
            mebibytes(self.memory_max),
        )))
    }
}

/// The sum.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { bytes, what } in &self.lines {
            writeln!(f, "  {:>10}  {what}", mebibytes(*bytes))?;
        }
        writeln!(f, "  {:>10}  columns of one slice, at least", mebibytes(self.slice_columns_bytes))
    }
}

fn mebibytes(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        whole if whole < 100 && !bytes.is_multiple_of(1 << 20) => {
            format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
        }
        whole => format!("{whole} MiB"),
    }
}

impl Cost {
    /// Of a config's records.
    fn of(config: &Config) -> Cost {
        let costs: Vec<Cost> = config.columns.iter().map(Cost::of_column).collect();
        let message: usize = config.message.iter().map(|column| message_row_bytes(&column.field)).sum();
        // Of each product: a key a row, and some of the dictionary.
        let added = crate::column::layout::event_columns(config).len() - costs.len();
        let row = ROW_BYTES + costs.iter().map(|cost| cost.row).sum::<usize>() + message + 4 * added;
        let byte = longest_chain(config, &costs).max(message_byte(config)).max(WHOLE);
        Cost { row, byte }
    }

    fn of_column(spec: &ColumnSpec) -> Cost {
        let null = usize::from(spec.nullable);
        let Cost { row, byte } = match &spec.ty {
            ColumnType::List(item) => Cost { row: 4, byte: item_byte(item, spec.mask.as_ref()) },
            ty => Cost::of_value(ty, spec.mask.as_ref()),
        };
        let fill = match spec.ty {
            ColumnType::String | ColumnType::LowCardinality | ColumnType::Json => {
                spec.default.as_ref().map_or(0, String::len)
            }
            _ => 0,
        };
        Cost { row: row + fill + null, byte }
    }

    fn of_value(ty: &ColumnType, mask: Option<&Mask>) -> Cost {
        let content = match mask {
            Some(Mask::Hash { .. }) => Cost { row: crate::column::mask::HASH_CHARS, byte: 0 },
            Some(Mask::Redact) => Cost { row: crate::column::mask::REDACTED.len(), byte: 0 },
            _ => Cost { row: 0, byte: WHOLE },
        };
        match ty {
            ColumnType::String => Cost { row: 4 + content.row, byte: content.byte },
            // A key a row and, where each value is another one, where it ends.
            ColumnType::LowCardinality => Cost { row: 8 + content.row, byte: content.byte },
            ColumnType::Json => Cost { row: 4, byte: WHOLE },
            fixed => Cost { row: width(fixed), byte: 0 },
        }
    }
}

/// Bytes of a value of a type that is no text and no list.
fn width(ty: &ColumnType) -> usize {
    match ty {
        ColumnType::Bool | ColumnType::I8 | ColumnType::U8 => 1,
        ColumnType::I16 | ColumnType::U16 => 2,
        ColumnType::I32 | ColumnType::U32 | ColumnType::F32 | ColumnType::Date { .. } | ColumnType::Ipv4 => 4,
        ColumnType::I64 | ColumnType::U64 | ColumnType::F64 | ColumnType::Timestamp { .. } => 8,
        _ => 16,
    }
}

/// What a byte of a list becomes, in thousandths. The shortest items are `1,` and `"",`.
fn item_byte(item: &ColumnType, mask: Option<&Mask>) -> usize {
    match item {
        ColumnType::String | ColumnType::LowCardinality => match mask {
            Some(Mask::Hash { .. }) => (4 + crate::column::mask::HASH_CHARS) * WHOLE / 3,
            Some(Mask::Redact) => (4 + crate::column::mask::REDACTED.len()) * WHOLE / 3,
            _ => 4 * WHOLE / 3,
        },
        ColumnType::Uuid => WHOLE,
        // `"::",`
        ColumnType::Ipv6 => width(item) * WHOLE / 5,
        _ => width(item) * WHOLE / 2,
    }
}

/// What a byte becomes along one chain of paths, in thousandths: columns of one path copy it each, and so do those of what
/// it stands in.
fn longest_chain(config: &Config, costs: &[Cost]) -> usize {
    let place = |path: &Path| match (config.decode.format, path.0.as_slice()) {
        // What the request is made of is in the request.
        (Format::AccessLog, [Step::Key(key)]) if matches!(key.as_str(), "method" | "path" | "protocol") => {
            vec![Step::Key("request".to_owned()), path.0[0].clone()]
        }
        (_, steps) => steps.to_vec(),
    };
    let mut places: Vec<(Vec<Step>, usize)> =
        config.columns.iter().zip(costs).map(|(spec, cost)| (place(&spec.path), cost.byte)).collect();
    places.retain(|(_, byte)| *byte > 0);
    let chain = |(below, _): &(Vec<Step>, usize)| {
        places.iter().filter(|(above, _)| below.starts_with(above)).map(|(_, byte)| byte).sum()
    };
    places.iter().map(chain).max().unwrap_or(0)
}

fn message_row_bytes(field: &MessageField) -> usize {
    match field {
        MessageField::Topic | MessageField::Key | MessageField::Header(_) | MessageField::Partition => 5,
        MessageField::Offset | MessageField::Timestamp => 9,
    }
}

/// What a byte of a message's key or of its headers becomes.
fn message_byte(config: &Config) -> usize {
    let is_text = |field: &MessageField| matches!(field, MessageField::Key | MessageField::Header(_));
    let texts = || config.message.iter().map(|column| &column.field).filter(|field| is_text(field));
    texts().map(|field| texts().filter(|other| *other == field).count() * WHOLE).max().unwrap_or(0)
}

/// Bytes a row of what is made of a batch for its rollups, one after the other, texts not counted. Where each row is a group
/// of its own, and by the largest of them.
pub fn work_row_bytes(config: &Config) -> usize {
    if config.rollups.is_empty() {
        return 0;
    }
    let mut ranked: Vec<&str> = Vec::new();
    let mut told_apart: Vec<&str> = Vec::new();
    for spec in &config.rollups {
        ranked.extend(spec.by.iter().map(String::as_str));
        match &spec.kind {
            RollupKind::NewUsers { user } | RollupKind::PvUv { user } => told_apart.push(user),
            RollupKind::Gmv { buyer, .. } => told_apart.push(buyer),
            RollupKind::RequestsByIp { ip } => ranked.push(ip),
        }
    }
    for names in [&mut ranked, &mut told_apart] {
        names.sort_unstable();
        names.dedup();
    }
    // Minutes, products' ranks, and the products of new users.
    let shared = 4 + 4 + 16 + 4 * ranked.len() + 16 * told_apart.len();
    shared + config.rollups.iter().map(|spec| rollup_row_bytes(config, spec)).max().unwrap_or(0)
}

/// What one rollup takes for itself.
fn rollup_row_bytes(config: &Config, spec: &RollupSpec) -> usize {
    let column = |name: &String| config.columns.iter().find(|column| *column.name == **name);
    let gathered = |name: &String| match column(name) {
        Some(ColumnSpec { ty: ColumnType::String | ColumnType::LowCardinality, .. }) | None => 4,
        Some(spec) => width(&spec.ty),
    };
    // Rows that count, their codes, and these sorted; ranks of many values need less than groups do.
    let sorted = 4 + 8 + 8 + 8;
    let by: usize = spec.by.iter().map(gathered).sum();
    // A list that grows is there twice for a moment, half of it untouched.
    let grown = |bytes: usize| bytes + bytes / 2;
    sorted
        + by
        + 4
        + 8
        + match &spec.kind {
            RollupKind::NewUsers { user } => 16 + grown(32) + gathered(user),
            RollupKind::PvUv { .. } => grown(4 + 8 + 17 + 8),
            RollupKind::Gmv { .. } => grown(4 + 8 + 16 + 17 + 8),
            RollupKind::RequestsByIp { ip } => grown(4 + 8) + gathered(ip),
        }
}

#[cfg(test)]
mod tests;
