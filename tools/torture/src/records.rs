//! The records of a run: a small channel log, each line with a number of its own, some broken, some to be filtered. In some
//! runs producers send events more than once.

use longshore_core::dead_letter::Reason;

use crate::env::Env;

/// A config of a run: the texts differ in which records they drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// Records of the event `debug` are dropped.
    Quiet,
    /// All are kept.
    Loud,
}

/// What all configs of a run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    /// Nothing remembers when a slice was cut, as in a load: each engine compares event times with a moment of its own.
    pub unplanned: bool,
    /// Events are sent more than once, and are to count once.
    pub dedup: bool,
}

impl Setup {
    /// Both.
    pub const ALL: [Setup; 2] = [Setup::Quiet, Setup::Loud];

    /// The config's text.
    pub fn text(self, Common { dedup, .. }: Common) -> String {
        let filter = match self {
            Setup::Quiet => "[[filter]]\ndrop = { event = \"debug\" }\n",
            Setup::Loud => "",
        };
        let dedup = if dedup { DEDUP } else { "" };
        format!("{COLUMNS}{filter}{ROLLUPS}{dedup}{CLICKHOUSE}")
    }

    /// Whether it drops this event.
    pub fn drops(self, event: &Event) -> bool {
        self == Setup::Quiet && event.event == "debug"
    }
}

const COLUMNS: &str = r#"version = 1

[decode]
format = "json"

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

[[column]]
name = "event"
type = "low_cardinality"
required = true

[[column]]
name = "user"
type = "u64"
required = true

[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true

[products]
column = "product"

[table]
time = "ts"
order_by = ["event"]
future_max = "26h"
past_max = "75h"

"#;

const ROLLUPS: &str = r#"
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

"#;

/// The window is longer than a run.
const DEDUP: &str = r#"[dedup]
key = ["number"]
window = "366d"

"#;

const CLICKHOUSE: &str = r#"[clickhouse]
url = "http://127.0.0.1:8123"
database = "torture"
"#;

/// What a whole record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Its number among all records of the run.
    pub number: u64,
    /// Event time, milliseconds since 1970.
    pub ts_ms: i64,
    /// Product.
    pub product: String,
    /// Channel.
    pub channel: String,
    /// `view`, `order`, `login` or `debug`.
    pub event: String,
    /// User.
    pub user: u64,
    /// Amount in hundredths.
    pub cents: Option<i128>,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is loaded, unless the config drops it.
    Event(Event),
    /// It is a dead letter for this reason.
    Dead(Reason),
}

/// A record as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its bytes, without the line's end.
    pub line: String,
    /// What is to become of it.
    pub fate: Fate,
}

/// A record and where it stands in its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where it begins.
    pub start: u64,
    /// Just behind it.
    pub end: u64,
    /// What was written.
    pub record: Record,
}

/// Milliseconds from 1970 to the first day of the events, the 14th of July 2026, 23:58: the day ends soon after.
const FIRST_MS: i64 = 1_784_073_480_000;
/// Whose events a constraint refuses while there is one.
pub const REFUSED_USER: u64 = 7;
/// A record of more bytes is too long.
pub const LONG_BYTES: usize = 300;
/// How far from the moment at which its slice was cut an event may be, as the configs say.
pub const FUTURE_MAX_MS: i64 = 26 * 60 * MINUTE_MS;
/// The same into the past.
pub const PAST_MAX_MS: i64 = 75 * 60 * MINUTE_MS;
/// Where the engines' clocks begin: events of the first day are a bit too old once a clock has gone on by some hours, and
/// those of the clocks that are wrong are a bit too far in the future before.
pub const CLOCK_MS: i64 = FIRST_MS + 3 * DAY_MS;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

impl Record {
    /// The event time, if the record is whole enough to have one that is looked at.
    fn ts_ms(&self) -> Option<i64> {
        match &self.fate {
            Fate::Event(event) => Some(event.ts_ms),
            Fate::Dead(Reason::MissingField | Reason::TypeMismatch) => {
                let (_, rest) = self.line.split_once("\"ts\":")?;
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            }
            Fate::Dead(_) => None,
        }
    }

    /// Whether its event time is too far from that moment, or, where nobody remembers such, from any clock in the future.
    pub fn is_beyond(&self, cut_ms: Option<i64>) -> bool {
        let (Some(ts), Some(cut)) = (self.ts_ms(), cut_ms) else { return false };
        ts < cut - PAST_MAX_MS || ts > cut + FUTURE_MAX_MS
    }

    /// Whether a clock that has not gone on by so much finds it too far in the future.
    pub fn may_be_ahead(&self) -> bool {
        self.ts_ms().is_some_and(|ts| ts > CLOCK_MS + FUTURE_MAX_MS)
    }

    /// The next one. Few users, minutes and channels, so that groups have several records and ties are common; days
    /// enough that a slice has several partitions.
    pub fn generate(number: u64, env: &Env) -> Record {
        let wrong_clock = if env.once_in(16) { 3 * DAY_MS + 27 * 60 * MINUTE_MS } else { 0 };
        let day = if wrong_clock > 0 { wrong_clock } else { env.below(3) as i64 * DAY_MS };
        let minute = env.below(4) as i64 * MINUTE_MS;
        let kind = *env.pick(&["view", "view", "view", "order", "order", "login", "debug"]);
        let event = Event {
            number,
            ts_ms: FIRST_MS + day + minute + env.below(3) as i64 * 500,
            product: (*env.pick(&["shop", "game"])).to_owned(),
            channel: (*env.pick(&["ads", "mail", "web"])).to_owned(),
            event: kind.to_owned(),
            user: env.below(12) as u64,
            cents: (kind == "order" && !env.once_in(5)).then(|| env.below(100_000) as i128),
        };
        match env.below(16) {
            0 => Record::broken(&event, env),
            _ => Record { line: event.line(), fate: Fate::Event(event) },
        }
    }

    fn broken(event: &Event, env: &Env) -> Record {
        let number = event.number;
        let (line, reason) = match env.below(5) {
            4 => (format!("{number} {}", "long ".repeat(LONG_BYTES / 5 + env.below(300))), Reason::TooLong),
            0 => (format!("{{\"number\":{number},"), Reason::BadJson),
            1 => (format!("{{\"number\":{number},\"ts\":{}}}", event.ts_ms), Reason::MissingField),
            2 => (event.line().replace("\"user\":", "\"user\":-"), Reason::TypeMismatch),
            _ => (format!("not a record, number {number}"), Reason::BadJson),
        };
        // Minus nought is nought.
        match reason == Reason::TypeMismatch && event.user == 0 {
            true => Record { line: format!("{line}!"), fate: Fate::Dead(Reason::BadJson) },
            false => Record { line, fate: Fate::Dead(reason) },
        }
    }
}

impl Event {
    fn line(&self) -> String {
        let Event { number, ts_ms, product, channel, event, user, cents } = self;
        let amount = match cents {
            Some(cents) => format!(",\"amount\":\"{}.{:02}\"", cents / 100, cents % 100),
            None => String::new(),
        };
        format!(
            "{{\"number\":{number},\"ts\":{ts_ms},\"product\":\"{product}\",\"channel\":\"{channel}\",\
             \"event\":\"{event}\",\"user\":{user}{amount}}}"
        )
    }
}
