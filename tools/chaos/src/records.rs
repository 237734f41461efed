//! The records of a run and the config that loads them: a small shop's log in which each record has a number of its own;
//! some are broken, some are to be filtered, some come late. Few users, channels and minutes, so that groups have many
//! records, slices share groups, and ties and late first sightings are common.

use longshore_core::config::{ClickHouseSpec, Guarantee, WireCompression};
use longshore_core::dead_letter::Reason;

use crate::chance::Chance;

/// What a run's config says; the rest of it is the same for all.
pub(crate) struct ConfigText<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) url: &'a str,
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
    /// All else of how it is used.
    pub(crate) clickhouse: &'a ClickHouseSpec,
}

/// Where the engine reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Logs in a folder: small slices, so that there are many.
    Logs,
    /// A topic of these brokers, in a group of that topic's name.
    Topic { brokers: &'a str, topic: &'a str },
}

/// Milliseconds after which brokers give an engine up: as few as they allow, since a run waits for it.
pub(crate) const SESSION_MS: u64 = 6_000;

impl Source<'_> {
    fn text(self) -> String {
        match self {
            Source::Logs => "[[source]]\nname = \"chaos\"\npaths = [\"logs/*.log*\"]\n\
                 [pipeline]\nslice_bytes = \"64 KiB\"\n[run]\nslice_age = \"100ms\"\n"
                .to_owned(),
            Source::Topic { brokers, topic } => {
                let brokers: Vec<String> = brokers.split(',').map(toml_text).collect();
                let (brokers, topic) = (brokers.join(", "), toml_text(topic));
                format!(
                    "[[source]]\nname = \"chaos\"\n\
                     kafka = {{ brokers = [{brokers}], topics = [{topic}], group = {topic}, \
                     properties = {{ \"session.timeout.ms\" = {SESSION_MS}, \"heartbeat.interval.ms\" = 500 }} }}\n\
                     [pipeline]\nslice_bytes = \"4 MiB\"\n[run]\nslice_age = \"2s\"\n"
                )
            }
        }
    }
}

/// The variable that brings the password to the engine, so that it is in no file.
pub(crate) const PASSWORD_VARIABLE: &str = "LONGSHORE_CHAOS_PASSWORD";

/// The journal, in the run's folder: as the config has it.
pub(crate) const JOURNAL: &str = "journal/journal";

impl ConfigText<'_> {
    /// The config. Paths in it are beside it.
    pub(crate) fn text(&self) -> String {
        let &ConfigText { url, user, database, .. } = self;
        let ClickHouseSpec { inserts_in_flight, compression, guarantee, fsync, server: _, database: _ } =
            self.clickhouse;
        let compression = match compression {
            WireCompression::Auto => "auto",
            WireCompression::None => "none",
            WireCompression::Lz4 => "lz4",
        };
        let guarantee = match guarantee {
            Guarantee::ExactlyOnce => "exactly-once",
            Guarantee::AtLeastOnce => "at-least-once",
        };
        let (url, user, database) = (toml_text(url), toml_text(user), toml_text(database));
        let source = self.source.text();
        format!(
            "version = 1\n{source}{RUN}{RECORDS}\n[clickhouse]\nurl = {url}\nuser = {user}\npassword = \"${{{PASSWORD_VARIABLE}}}\"\n\
             database = {database}\ninserts_in_flight = {inserts_in_flight}\ncompression = \"{compression}\"\n\
             guarantee = \"{guarantee}\"\nfsync = {fsync}\n"
        )
    }
}

/// A text as TOML has it, in which a dollar sign is no variable.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$"))
}

/// The rest of `[run]`, which the text of a source ends with.
const RUN: &str = "journal = \"journal/journal\"\ndrain = \"20s\"\n";

const RECORDS: &str = r#"
[decode]
format = "json"
record_bytes_max = "8 KiB"
[[column]]
name = "number"
type = "u64"
required = true
[[column]]
name = "ts"
type = "timestamp"
format = "epoch_ms"
required = true
[[column]]
name = "product"
type = "low_cardinality"
required = true
[[column]]
name = "channel"
type = "low_cardinality"
required = true
[[column]]
name = "event"
type = "low_cardinality"
required = true
[[column]]
name = "user"
type = "u64"
required = true
[[column]]
name = "ip"
type = "ipv4"
required = true
[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true
[[filter]]
drop = { event = "debug" }
[products]
column = "product"
[table]
time = "ts"
order_by = ["event"]
[[rollup]]
kind = "new_users"
user = "user"
by = ["channel"]
[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user"
by = ["channel"]
where = { event = "order" }
[[rollup]]
kind = "pv_uv"
user = "user"
by = ["channel"]
where = { event = "view" }
[[rollup]]
kind = "requests_by_ip"
ip = "ip"
"#;

/// A record of more bytes is too long, as the config has it.
const RECORD_BYTES_MAX: usize = 8 << 10;
/// So much is kept of one.
const HEAD_BYTES: usize = 4 << 10;

/// What a whole record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) number: u64,
    /// Milliseconds since 1970.
    pub(crate) ts_ms: i64,
    pub(crate) product: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) event: &'static str,
    pub(crate) user: u64,
    pub(crate) ip: [u8; 4],
    /// Amount in hundredths.
    pub(crate) cents: Option<i64>,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A row.
    Event(Event),
    /// The filter drops it.
    Filtered,
    /// A dead letter with this text.
    Dead(Reason, String),
}

/// A record as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its bytes, without the line's end.
    pub(crate) line: String,
    pub(crate) fate: Fate,
}

/// Milliseconds from 1970 to the 14th of July 2026, 23:00: days end and begin while records come.
const FIRST_MS: i64 = 1_784_070_000_000;
const MINUTE_MS: i64 = 60_000;
/// Records of a minute, but for those that come late.
const RECORDS_A_MINUTE: u64 = 1_500;
/// How many minutes late a record may be.
const LATE_MINUTES: u64 = 90;

impl Record {
    /// The record of that number.
    pub(crate) fn generate(number: u64, chance: &mut Chance) -> Record {
        let minute = (number / RECORDS_A_MINUTE) as i64;
        let late = if chance.once_in(10) { chance.below(LATE_MINUTES) as i64 } else { 0 };
        let event = chance.pick(&["view", "view", "view", "view", "order", "order", "login", "debug"]);
        let event = Event {
            number,
            // Half seconds, so that users are first seen twice at the same moment.
            ts_ms: FIRST_MS + (minute - late) * MINUTE_MS + chance.below(120) as i64 * 500,
            product: chance.pick(&["shop", "game", "mail"]),
            channel: chance.pick(&["ads", "mail", "web", "app"]),
            event,
            // More of them as time goes by, so that there are always new ones.
            user: chance.below(50 + number / 20),
            ip: [10, 0, chance.below(4) as u8, chance.below(8) as u8],
            cents: (event == "order" && !chance.once_in(5)).then(|| chance.below(1_000_000) as i64),
        };
        match chance.once_in(20) {
            true => Record::broken(&event, chance),
            false => {
                let line = event.line();
                let fate = if event.event == "debug" { Fate::Filtered } else { Fate::Event(event) };
                Record { line, fate }
            }
        }
    }

    /// One that cannot be loaded, for a reason that the choice of what is broken gives.
    fn broken(event: &Event, chance: &mut Chance) -> Record {
        let number = event.number;
        let (line, reason) = match chance.below(40) {
            0 => (format!("{number} {}", "long ".repeat(RECORD_BYTES_MAX / 4)), Reason::TooLong),
            1..10 => (format!("{{\"number\":{number},\"ts\":{}}}", event.ts_ms), Reason::MissingField),
            10..20 => (event.line().replace("\"user\":", "\"user\":-1"), Reason::TypeMismatch),
            20..30 => (event.line().replace("}", ","), Reason::BadJson),
            _ => (format!("not a record, number {number}"), Reason::BadJson),
        };
        let kept = if reason == Reason::TooLong { line[..HEAD_BYTES].to_owned() } else { line.clone() };
        Record { line, fate: Fate::Dead(reason, kept) }
    }
}

impl Event {
    fn line(&self) -> String {
        let Event { number, ts_ms, product, channel, event, user, ip: [a, b, c, d], cents } = self;
        let amount = match cents {
            Some(cents) => format!(",\"amount\":\"{}.{:02}\"", cents / 100, cents % 100),
            None => String::new(),
        };
        format!(
            "{{\"number\":{number},\"ts\":{ts_ms},\"product\":\"{product}\",\"channel\":\"{channel}\",\
             \"event\":\"{event}\",\"user\":{user},\"ip\":\"{a}.{b}.{c}.{d}\"{amount}}}"
        )
    }
}
