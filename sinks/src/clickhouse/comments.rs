//! What tables, views and their columns say of themselves in ClickHouse, for whoever finds them there: comments.
//!
//! They are set by an ALTER of their own once everything is there, which changes no row and blocks nobody. Nothing rests
//! on them: a load does not look at them, and a server that refuses them goes without. The one comment that decides
//! something, the mark on a rollup's table that says what is counted there (`rollup_ddl.rs`), is not touched here.
//!
//! A comment holds what the config says of types, paths and masks, never a salt or a value of a record.

use longshore_core::column::layout::{LayoutColumn, Origin, SLICE_COLUMN, event_columns};
use longshore_core::column::{ColumnSpec, ColumnType, Mask, TimeFormat, TimePrecision};
use longshore_core::config::{Config, type_name};
use longshore_core::limits::COMMENT_CHARS_MAX;
use longshore_core::message::MessageField;
use longshore_core::rollup::{RollupKind, RollupSpec};

use super::check::Found;
use super::client::ClickHouse;
use super::ddl::{ROLLUP_CLAIMS, Table};
use super::error::ClientError;
use super::layout::LAYOUT_COLUMN;
use super::rollup_ddl::{Grain, target_name};
use super::schema::Schema;
use super::sql::{quote_name, quote_table, quote_text};

/// The comments of one table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comments {
    /// Name of the table or view.
    pub(super) object: String,
    /// Its own; none if the comment says what is counted.
    own: Option<String>,
    /// Those of its columns.
    columns: Vec<(String, String)>,
}

impl Comments {
    fn new(object: impl Into<String>, own: impl AsRef<str>) -> Self {
        Comments { object: object.into(), own: Some(bounded(own.as_ref())), columns: Vec::new() }
    }

    fn column(mut self, name: impl Into<String>, comment: impl AsRef<str>) -> Self {
        self.columns.push((name.into(), bounded(comment.as_ref())));
        self
    }

    fn columns<'a>(self, columns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        columns.into_iter().fold(self, |comments, (name, comment)| comments.column(name, comment))
    }

    /// The statement that sets all of them.
    fn statement(&self, database: &str) -> String {
        let own = self.own.iter().map(|own| format!("MODIFY COMMENT {}", quote_text(own)));
        let columns = self.columns.iter();
        let columns =
            columns.map(|(name, comment)| format!("COMMENT COLUMN {} {}", quote_name(name), quote_text(comment)));
        let parts: Vec<String> = own.chain(columns).collect();
        format!("ALTER TABLE {}\n    {}", quote_table(database, &self.object), parts.join(",\n    "))
    }

    /// What of them is not so in a table that is there; `None` if nothing is, or the table is not.
    fn lacking(&self, found: &Found) -> Option<Comments> {
        let table = found.table(&self.object)?;
        let own = self.own.clone().filter(|own| *own != table.comment);
        let differs = |(name, comment): &&(String, String)| {
            found.column_comment(&self.object, name).is_some_and(|actual| actual != comment)
        };
        let columns: Vec<(String, String)> = self.columns.iter().filter(differs).cloned().collect();
        let lacking = Comments { object: self.object.clone(), own, columns };
        (lacking.own.is_some() || !lacking.columns.is_empty()).then_some(lacking)
    }
}

impl Schema {
    /// The statements that set the comments of everything, to be run once everything is there.
    pub fn comment_statements(&self) -> Vec<String> {
        self.comments.iter().map(|comments| comments.statement(&self.database)).collect()
    }

    /// Whether something of a table or view that is there lacks its comment.
    pub(super) fn lacks_comments(&self, found: &Found, object: &str) -> bool {
        self.comments.iter().any(|comments| comments.object == object && comments.lacking(found).is_some())
    }

    /// The schema without comments, for a database that is dropped soon and that nobody looks into.
    pub(super) fn without_comments(mut self) -> Schema {
        self.comments.clear();
        self
    }

    /// Tables and views of which a comment is not as it should be. [`Schema::apply`] sets them, and loads do not care.
    pub fn uncommented(&self, clickhouse: &ClickHouse) -> Result<Vec<String>, ClientError> {
        let found = Found::read(clickhouse)?;
        let lacking = self.comments.iter().filter_map(|comments| comments.lacking(&found));
        Ok(lacking.map(|comments| comments.object).collect())
    }

    /// Sets the comments that are not as they should be; the tables and views that it was done for.
    ///
    /// What the server refuses is left as it is: a comment is no reason to store nothing.
    pub(super) fn set_comments(&self, clickhouse: &ClickHouse) -> Result<Vec<String>, ClientError> {
        let found = Found::read(clickhouse)?;
        let mut set = Vec::new();
        for lacking in self.comments.iter().filter_map(|comments| comments.lacking(&found)) {
            let statement = lacking.statement(&self.database);
            tracing::debug!(statement = %statement, "schema");
            match clickhouse.execute(&statement) {
                Ok(()) => set.push(lacking.object),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    tracing::warn!(
                        "the comments of {} and of what comes after it were not set, which harms nothing: {error}",
                        lacking.object
                    );
                    break;
                }
            }
        }
        Ok(set)
    }
}

/// The comments of everything in the schema.
pub(super) fn of(config: &Config, schema: &Schema) -> Vec<Comments> {
    let mut all = vec![events(config), dead_letters(), dead_letter_reasons(), ledger(schema)];
    all.extend(schema.configs.as_ref().map(|table| configs(&table.name)));
    all.extend(schema.claims.as_ref().map(|table| claims(&table.name, schema)));
    all.extend(schema.completion.iter().map(completion));
    for spec in &config.rollups {
        let rollup = RollupComments { spec, config, events: event_columns(config) };
        all.extend(rollup.all());
    }
    all
}

fn events(config: &Config) -> Comments {
    let product = config.products.column_name();
    let own = format!(
        "Longshore: the records, a row each, sorted by {product} and event time. `{}` is the event time. What became of \
         each slice of the sources is in `ledger`, what could not be loaded in `dead_letters`.",
        config.table.time
    );
    event_columns(config).iter().fold(Comments::new(&config.table.name, own), |comments, column| {
        comments.column(&*column.name, event_column(config, column))
    })
}

fn event_column(config: &Config, column: &LayoutColumn) -> String {
    match &column.origin {
        Origin::Declared(index) => declared(&config.columns[*index]),
        Origin::FixedProduct => "The product, which is the same in all records (products.fixed)".to_owned(),
        Origin::Dictionary(key) => format!("`{key}` of the product, from the product dictionary"),
        Origin::Message(field) => message(field),
        Origin::Slice => {
            "The slice that the record came in: `ledger` says which bytes of which source that is".to_owned()
        }
        Origin::Row => "Number of the record in its slice, from 0".to_owned(),
    }
}

fn message(field: &MessageField) -> String {
    match field {
        MessageField::Topic => "Topic that the record came by; empty for a file".to_owned(),
        MessageField::Partition => "Partition of the topic; null for a file".to_owned(),
        MessageField::Offset => "Offset of the message in its partition; null for a file".to_owned(),
        MessageField::Timestamp => "Timestamp of the message, UTC; null for a file".to_owned(),
        MessageField::Key => "Key of the message; null if it has none".to_owned(),
        MessageField::Header(name) => format!("Header `{name}` of the message; null if it has none"),
    }
}

/// What the config says of a column: its type there, where the value stands in a record, and what is done to it.
fn declared(spec: &ColumnSpec) -> String {
    let mut text = format!("{} at `{}` of the record", type_name(&spec.ty), spec.path);
    text += &written(&spec.ty);
    text += match (spec.required, spec.nullable, &spec.default) {
        (true, ..) => "; always there",
        (false, true, None) => "; null where the record has none",
        (false, false, None) => match spec.ty {
            ColumnType::String | ColumnType::LowCardinality | ColumnType::Json | ColumnType::List(_) => {
                "; empty where the record has none"
            }
            _ => "; zero where the record has none",
        },
        (false, _, Some(_)) => "; a default where the record has none",
    };
    text += &spec.mask.as_ref().map(mask).unwrap_or_default();
    text
}

/// How a value of the type is written in a record, and in which unit it is stored.
fn written(ty: &ColumnType) -> String {
    let stored = |precision: &TimePrecision| match precision {
        TimePrecision::Seconds => "seconds",
        TimePrecision::Millis => "milliseconds",
        TimePrecision::Micros => "microseconds",
        TimePrecision::Nanos => "nanoseconds",
    };
    match ty {
        ColumnType::Timestamp { precision, format } => {
            let written = match format {
                TimeFormat::Epoch(unit) => format!("{} since 1970", stored(unit)),
                TimeFormat::Rfc3339 => "RFC 3339".to_owned(),
                TimeFormat::Pattern { pattern, zone } => format!("{pattern}, in {zone} where it has no offset"),
            };
            format!(", written as {written}; stored in UTC to the {}", stored(precision).trim_end_matches('s'))
        }
        ColumnType::Date { format: Some(format) } => format!(", written as {format}"),
        ColumnType::Decimal { .. } => ", exact".to_owned(),
        ColumnType::Json => ", kept as its text".to_owned(),
        ColumnType::Ipv6 => "; an IPv4 address is ::ffff:a.b.c.d".to_owned(),
        ColumnType::List(item) => written(item),
        _ => String::new(),
    }
}

fn mask(mask: &Mask) -> String {
    match mask {
        Mask::Hash { .. } => "; masked: 32 hex digits of a keyed hash, equal values stay equal".to_owned(),
        Mask::Redact => "; masked: the value itself is not stored".to_owned(),
        Mask::Truncate { chars } => format!("; masked: the first {chars} characters"),
        Mask::IpPrefix { v4, v6 } => {
            format!("; masked: the first {v4} bits of an IPv4 address, {v6} of an IPv6 address")
        }
    }
}

fn dead_letters() -> Comments {
    let own = "Longshore: records that could not be loaded, whole, with the reason and their place";
    Comments::new(super::ddl::DEAD_LETTERS, own).columns([
        ("slice", "The slice that the record came in: `ledger` says which bytes of which source that is"),
        ("row", "Number of the record in its slice, from 0"),
        ("source", "File, or topic and partition, that it came from"),
        (
            "offset",
            "Where the record begins in its source, in bytes after decompression; of a topic the message's offset",
        ),
        ("length", "Bytes of the record in its source, without the line ending"),
        ("reason", "Why it could not be loaded: one of the reasons in docs/operating.md, such as bad_json"),
        ("column", "The column at fault; empty if no single one is"),
        ("detail", "What is wrong, as a sentence"),
        ("record", "The record's bytes as they were in the source, sealed if they were sealed"),
        ("loaded_at", "When it was stored, UTC"),
    ])
}

/// The view has the same columns but the record.
fn dead_letter_reasons() -> Comments {
    let own =
        "Longshore: the dead letters without their records, for analysts. It reads with the rights of who created it";
    let Comments { mut columns, .. } = dead_letters();
    columns.retain(|(name, _)| name != super::reasons::LEFT_OUT);
    Comments { columns, ..Comments::new(super::reasons::DEAD_LETTER_REASONS, own) }
}

fn ledger(schema: &Schema) -> Comments {
    let own = format!(
        "Longshore: a row for each slice of a source that is stored whole, in `{}`, in the rollups and in `dead_letters`; \
         records = loaded + dead + filtered + duplicates",
        schema.events.name
    );
    Comments::new(super::ddl::LEDGER, own).columns([
        ("slice", "Id of the slice, as in `_slice` of the events"),
        ("stream", "Table whose events they are"),
        ("head", "By what the slices of one content are found: a hash of its first bytes; of a topic of its partition"),
        ("source", "File, or topic and partition, that the slice was cut from"),
        ("start", "Where the slice begins in its source, in bytes after decompression; of a topic an offset"),
        ("end", "Where it ends: the next slice begins there"),
        ("bytes", "end - start"),
        ("before", "Hash of all that stands before it in its content, 0 of a topic"),
        ("after", "Hash of that and of the slice; of a topic of the slice alone"),
        ("records", "Records in it"),
        ("loaded", "Records that became rows of the events table"),
        ("dead", "Records that became dead letters"),
        ("filtered", "Records that the config's filters dropped"),
        ("duplicates", "Records whose events were stored already ([dedup])"),
        ("finished_at", "When the slice was whole, UTC"),
        (LAYOUT_COLUMN, "Version of what the tables of this database mean"),
        ("rollups", "Which rollups counted the slice when it was stored; for those that came later see rollup_slices"),
    ])
}

fn configs(name: &str) -> Comments {
    Comments::new(
        name,
        "Longshore: configs that slices of topics were planned under, for the other engines of the group",
    )
    .columns([
        ("hash", "Hash of the text"),
        ("text", "The config with the product dictionary, without secrets"),
        ("kept_at", "When it was stored, UTC"),
    ])
}

/// Of one of the tables by which rollups that come later count what is stored.
fn completion(table: &Table) -> Comments {
    if table.name == ROLLUP_CLAIMS {
        let own = "Longshore: who has rollups count slices that were stored without them";
        return Comments::new(&table.name, own).columns([
            ("claim", "A number of whoever counts"),
            ("held", "1 where the claim begins, -1 where it ends"),
            ("at", "When, UTC"),
        ]);
    }
    let own = "Longshore: slices that a rollup counted after they were stored, since it came later";
    Comments::new(&table.name, own).columns([
        ("rollup", "The rollup, as `rollups` of the ledger names it"),
        ("slice", "Id of the slice"),
        ("counted_at", "When, UTC"),
    ])
}

fn claims(name: &str, schema: &Schema) -> Comments {
    let own = format!("Longshore: which slice has an event of `{}` that was sent more than once", schema.events.name);
    Comments::new(name, own).columns([
        ("hour", "Hour of the event, if the event time is part of the key, else 0"),
        ("key", "128 bits of SipHash-2-4 of the product and the key's values"),
        ("slice", "The slice that claims the event"),
        ("claimed", "When, by the server's clock, UTC"),
    ])
}

/// What can be done with a measure over several rows of a view.
enum Adds {
    /// It can be added up.
    Up,
    /// It cannot: who is counted may be in several rows. The states can be merged.
    Not,
}

/// The comments of a rollup's tables and views.
struct RollupComments<'a> {
    spec: &'a RollupSpec,
    config: &'a Config,
    events: Vec<LayoutColumn>,
}

impl RollupComments<'_> {
    fn all(&self) -> Vec<Comments> {
        let mut all = vec![self.target()];
        all.extend(Grain::ALL.iter().map(|&grain| self.view(grain)));
        if matches!(self.spec.kind, RollupKind::NewUsers { .. }) {
            all.push(self.cumulative());
        }
        all
    }

    fn target_name(&self) -> String {
        target_name(self.spec)
    }

    /// The table of states. Its comment says what is counted, for the engine alone.
    fn target(&self) -> Comments {
        let mut comments = Comments { object: self.target_name(), own: None, columns: Vec::new() };
        comments = comments.column("product", "The product");
        if let RollupKind::NewUsers { user } = &self.spec.kind {
            let by: Vec<&str> = std::iter::once("time").chain(self.spec.by.iter().map(String::as_str)).collect();
            return comments.column("user", self.source(user)).column(
                "first",
                format!(
                    "State of the user's first event: {}. Read it whole and with FINAL, which takes the minimum",
                    list(&by)
                ),
            );
        }
        comments = self.spec.by.iter().fold(comments, |comments, name| comments.column(name, self.source(name)));
        comments = comments.column("minute", "The minute of the event time, UTC");
        if let RollupKind::RequestsByIp { ip } = &self.spec.kind {
            comments = comments.column("ip", self.source(ip));
        }
        let marker =
            "0; or a slice's id, and then the row counts nothing and says that this slice is counted on this day";
        comments = comments.column(SLICE_COLUMN, marker);
        self.measures().into_iter().fold(comments, |comments, (name, what, adds)| {
            let state = match adds {
                Adds::Not => format!("State: uniqExactMerge({name}) over any rows is the {what}"),
                Adds::Up => format!("Partial sums: sum({name}) is the {what}"),
            };
            comments.column(name, state)
        })
    }

    /// The view of a grain.
    fn view(&self, grain: Grain) -> Comments {
        let keys = self.keys(grain);
        let mut own = format!("Longshore: {} by {} (UTC){}.", self.subject(), list(&keys), self.condition());
        for (name, _, adds) in self.measures() {
            own += &match adds {
                Adds::Up => format!(" {name} can be added up over all of these."),
                Adds::Not => self.not_additive(name),
            };
        }
        self.described(Comments::new(format!("{}_by_{}", self.spec.name, grain.name()), own), &keys)
    }

    /// Why a measure cannot be summed, and what gives the total.
    fn not_additive(&self, name: &str) -> String {
        let target = quote_table(&self.config.clickhouse.database, &self.target_name()).replace('`', "");
        format!(
            " {name} cannot be added up, since who is in several rows would count several times. For a total merge the \
             states: SELECT uniqExactMerge({name}) FROM {target} WHERE product = '...' AND toDate(minute) = '...'."
        )
    }

    fn cumulative(&self) -> Comments {
        let keys = self.keys(Grain::Minute);
        let of = list(&keys[..keys.len() - 1]);
        let own = format!(
            "Longshore: new users by {} (UTC){}, and how many there were so far of the same {of}. new_users can be added \
             up. cumulative cannot: its last row of each {of} is the total.",
            list(&keys),
            self.condition()
        );
        let comments = self.described(Comments::new(format!("{}_cumulative", self.spec.name), own), &keys);
        comments.column("cumulative", format!("New users of the same {of} up to this minute, it included"))
    }

    /// With the comments of keys and measures.
    fn described(&self, mut comments: Comments, keys: &[&str]) -> Comments {
        for &key in keys {
            let comment = match key {
                "product" => "The product".to_owned(),
                "minute" => "The minute of the event time, UTC".to_owned(),
                "hour" => "The hour of the event time, UTC".to_owned(),
                "day" => "The day of the event time, UTC".to_owned(),
                "ip" => match &self.spec.kind {
                    RollupKind::RequestsByIp { ip } => self.source(ip),
                    _ => self.source(key),
                },
                by if matches!(self.spec.kind, RollupKind::NewUsers { .. }) => {
                    format!("{by} of the user's first event: {}", self.source(by))
                }
                by => self.source(by),
            };
            comments = comments.column(key, comment);
        }
        self.measures().into_iter().fold(comments, |comments, (name, what, adds)| {
            let how = match adds {
                Adds::Up => "can be added up",
                Adds::Not => "cannot be added up, see the view's comment",
            };
            comments.column(name, format!("The {what}; {how}"))
        })
    }

    /// What the views are by.
    fn keys(&self, grain: Grain) -> Vec<&str> {
        let mut keys = vec!["product"];
        keys.extend(self.spec.by.iter().map(String::as_str));
        keys.push(grain.name());
        if matches!(self.spec.kind, RollupKind::RequestsByIp { .. }) {
            keys.push("ip");
        }
        keys
    }

    /// The measures: name, what is counted, whether it can be added up.
    fn measures(&self) -> Vec<(&'static str, &'static str, Adds)> {
        match self.spec.kind {
            RollupKind::NewUsers { .. } => vec![("new_users", "number of users whose first event is here", Adds::Up)],
            RollupKind::Gmv { .. } => vec![
                ("orders", "number of rows with an amount", Adds::Up),
                ("amount", "amount of the orders, exactly", Adds::Up),
                ("buyers", "number of distinct buyers, exactly", Adds::Not),
            ],
            RollupKind::PvUv { .. } => {
                vec![("pv", "number of rows", Adds::Up), ("uv", "number of distinct users, exactly", Adds::Not)]
            }
            RollupKind::RequestsByIp { .. } => vec![("requests", "number of rows", Adds::Up)],
        }
    }

    fn subject(&self) -> &'static str {
        match self.spec.kind {
            RollupKind::NewUsers { .. } => "new users, each in the minute and with the values of the first event,",
            RollupKind::Gmv { .. } => "orders, their amount, and buyers",
            RollupKind::PvUv { .. } => "views and visitors",
            RollupKind::RequestsByIp { .. } => "requests",
        }
    }

    /// Which events count, if not all.
    fn condition(&self) -> String {
        let conditions = self.spec.filter.iter();
        let conditions: Vec<String> =
            conditions.map(|condition| format!("{} is {}", condition.column, condition.values.join(" or "))).collect();
        match conditions.is_empty() {
            true => String::new(),
            false => format!(", of events whose {}", conditions.join(" and whose ")),
        }
    }

    /// What a column of the events table says.
    fn source(&self, name: &str) -> String {
        let column = self.events.iter().find(|column| &*column.name == name);
        column.map(|column| format!("{}, {}", name, event_column(self.config, column))).unwrap_or_default()
    }
}

/// `a, b and c`.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// A comment of a bounded length without control characters, whatever paths and patterns are in it.
fn bounded(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match text.char_indices().nth(COMMENT_CHARS_MAX) {
        None => text.chars().map(plain).collect(),
        Some(_) => text.chars().take(COMMENT_CHARS_MAX - 1).map(plain).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_bounded_and_of_one_line() {
        assert_eq!(bounded("a\tb\nc\u{1b}"), "a b c ");
        assert_eq!(bounded(&"ü".repeat(COMMENT_CHARS_MAX)).chars().count(), COMMENT_CHARS_MAX);
        let cut = bounded(&"ü".repeat(COMMENT_CHARS_MAX + 1));
        assert_eq!((cut.chars().count(), cut.chars().last()), (COMMENT_CHARS_MAX, Some('…')));
    }

    #[test]
    fn a_statement_quotes_whatever_a_path_holds() {
        let comments = Comments::new("events", "it's").column("a`b", "at `x'y\\`");
        let expected =
            "ALTER TABLE `d`.`events`\n    MODIFY COMMENT 'it\\'s',\n    COMMENT COLUMN `a\\`b` 'at `x\\'y\\\\`'";
        assert_eq!(comments.statement("d"), expected);
    }
}
