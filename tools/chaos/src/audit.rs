//! What ClickHouse says, against the books: every table and every rollup, group by group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use longshore_sinks::clickhouse::{ClickHouse, ClientError, quote_name};

use crate::books::{Answers, Books};

/// What is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Records that are nowhere.
    pub lost: u64,
    /// Records that are there more often than once, or that nobody wrote.
    pub twice: u64,
    /// In words.
    pub details: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.details.is_empty()
    }

    /// Adds what is wrong, unless too much is.
    pub(crate) fn say(&mut self, what: impl Into<String>) {
        if self.details.len() < DETAILS_MAX {
            self.details.push(what.into());
        }
    }
}

/// So many sentences are kept; what is wrong with one group is mostly wrong with many.
const DETAILS_MAX: usize = 30;

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost {}, twice {}", self.lost, self.twice)?;
        self.details.iter().try_for_each(|detail| write!(f, "\n  {detail}"))
    }
}

/// How many records the ledger has.
pub(crate) fn stored(clickhouse: &ClickHouse) -> Result<u64, ClientError> {
    let sum = clickhouse.value(&in_database("SELECT sum(records) FROM {db}.ledger", clickhouse))?;
    sum.parse().map_err(|_| ClientError::Invalid(format!("`{sum}` is not a count")))
}

/// A rollup, or the events: what it is called here, how many columns its groups have, what to ask, what is right.
type Question = (&'static str, usize, &'static str, fn(&Books) -> Answers);

/// All of them. Names of the rollups' columns are qualified where an expression has the same name.
const QUESTIONS: [Question; 5] = [
    (
        "events (count, numbers, users, amounts)",
        3,
        "SELECT product, channel, intDiv(toUnixTimestamp64Milli(ts), 60000) * 60 AS at, count(), sum(number), sum(user), \
         toDecimalString(ifNull(sum(amount), toDecimal128(0, 2)), 2) FROM {db}.events GROUP BY product, channel, at",
        Books::events,
    ),
    (
        "new users",
        3,
        "SELECT product, channel, toUnixTimestamp(minute), new_users FROM {db}.new_users_by_minute",
        Books::new_users,
    ),
    (
        "GMV (orders, amount, buyers)",
        3,
        "SELECT product, channel, toUnixTimestamp(minute), orders, toDecimalString(amount, 2), buyers \
         FROM {db}.gmv_by_minute",
        Books::gmv,
    ),
    (
        "PV and UV",
        3,
        "SELECT product, channel, toUnixTimestamp(minute), pv, uv FROM {db}.pv_uv_by_minute",
        Books::pv_uv,
    ),
    (
        "requests by address",
        3,
        "SELECT product, ip, toUnixTimestamp(minute), requests FROM {db}.requests_by_ip_by_minute",
        Books::requests,
    ),
];

/// Compares everything.
///
/// # Errors
/// ClickHouse does not answer.
pub(crate) fn audit(clickhouse: &ClickHouse, books: &Books) -> Result<Findings, ClientError> {
    let mut findings = Findings::default();
    for (what, key_columns, sql, right) in QUESTIONS {
        let there = answers(clickhouse, sql, key_columns, what, &mut findings)?;
        compare(what, &there, &right(books), &mut findings);
    }
    dead_letters(clickhouse, books, &mut findings)?;
    ledger(clickhouse, books, &mut findings)?;
    if !findings.is_clean() {
        rows_by_number(clickhouse, books, &mut findings)?;
    }
    Ok(findings)
}

fn in_database(sql: &str, clickhouse: &ClickHouse) -> String {
    sql.replace("{db}", &quote_name(clickhouse.database()))
}

fn answers(
    clickhouse: &ClickHouse,
    sql: &str,
    key_columns: usize,
    what: &str,
    findings: &mut Findings,
) -> Result<Answers, ClientError> {
    let mut answers = Answers::new();
    for row in clickhouse.rows(&in_database(sql, clickhouse))? {
        let (key, value) = row.split_at(key_columns.min(row.len()));
        if let Some(other) = answers.insert(key.join(" "), value.join(" ")) {
            findings.say(format!("{what}: two rows of {}, with {other} and {}", key.join(" "), value.join(" ")));
        }
    }
    Ok(answers)
}

fn compare(what: &str, there: &Answers, right: &Answers, findings: &mut Findings) {
    let groups: BTreeSet<&String> = there.keys().chain(right.keys()).collect();
    for group in groups {
        let (found, wanted) = (there.get(group), right.get(group));
        if found != wanted {
            let text = |answer: Option<&String>| answer.map_or("nothing".to_owned(), String::clone);
            findings.say(format!("{what} of {group}: ClickHouse has {}, written was {}", text(found), text(wanted)));
        }
    }
}

/// Each dead letter once, with its reason and its text.
fn dead_letters(clickhouse: &ClickHouse, books: &Books, findings: &mut Findings) -> Result<(), ClientError> {
    let sql = in_database("SELECT reason, record FROM {db}.dead_letters", clickhouse);
    let rows = clickhouse.rows(&sql)?;
    let mut balance: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for row in &rows {
        let [reason, record] = &row[..] else {
            return Err(ClientError::Invalid(format!("not a dead letter: {row:?}")));
        };
        *balance.entry((reason, record)).or_default() += 1;
    }
    for ((reason, record), &count) in &books.dead {
        *balance.entry((reason, record)).or_default() -= count;
    }
    for ((reason, record), count) in balance {
        match count {
            0 => continue,
            ..0 => findings.lost += count.unsigned_abs(),
            1.. => findings.twice += count.unsigned_abs(),
        }
        let head: String = record.chars().take(80).collect();
        findings.say(format!("dead letter {count:+}, {reason}: {head}"));
    }
    Ok(())
}

/// The ledger's sums, and no byte of a source in two of its slices.
fn ledger(clickhouse: &ClickHouse, books: &Books, findings: &mut Findings) -> Result<(), ClientError> {
    let sums =
        "SELECT sum(records), sum(loaded), sum(dead), sum(filtered), uniqExact(slice) = count() FROM {db}.ledger";
    let sums: Vec<String> = clickhouse.rows(&in_database(sums, clickhouse))?.into_iter().flatten().collect();
    let right = format!("{} {} {} {} 1", books.records, books.rows.len(), books.dead_count, books.filtered);
    if sums.join(" ") != right {
        let sums = sums.join(" ");
        findings.say(format!("ledger (records, loaded, dead, filtered, slices differ): {sums}, not {right}"));
    }
    // A slice begins behind another one, whose content is the same up to there, or where its source does.
    let overlaps = "SELECT source, `start`, `end` FROM {db}.ledger WHERE `start` != 0 AND before != 0 \
         AND before NOT IN (SELECT after FROM {db}.ledger) UNION ALL SELECT any(source), any(`start`), any(`end`) \
         FROM {db}.ledger WHERE before != 0 GROUP BY before HAVING count() > 1 AND before IN (SELECT after FROM {db}.ledger) \
         UNION ALL SELECT source, `start`, `end` FROM (SELECT source, `start`, `end`, lagInFrame(`end`, 1, `start`) \
         OVER (PARTITION BY head ORDER BY `start`, `end` ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS previous \
         FROM {db}.ledger WHERE before = 0) WHERE `start` != previous";
    for row in clickhouse.rows(&in_database(overlaps, clickhouse))? {
        findings.say(format!(
            "ledger: a slice of {}, from {} to {}, does not follow one, or another follows the same",
            row[0], row[1], row[2]
        ));
    }
    Ok(())
}

/// Which rows are lost and which are there twice, once it is known that something is wrong.
fn rows_by_number(clickhouse: &ClickHouse, books: &Books, findings: &mut Findings) -> Result<(), ClientError> {
    let sql = "SELECT number, count(), arrayStringConcat(arrayMap(id -> hex(id), groupUniqArray(_slice)), ' ') \
               FROM {db}.events GROUP BY number";
    let mut missing: BTreeSet<u64> = books.rows.clone();
    for row in clickhouse.rows(&in_database(sql, clickhouse))? {
        let (number, count) = (row[0].parse::<u64>().unwrap_or(u64::MAX), row[1].parse::<u64>().unwrap_or(u64::MAX));
        let wanted = u64::from(books.rows.contains(&number));
        missing.remove(&number);
        if count > wanted {
            findings.twice += count - wanted;
            findings.say(format!("record {number} is there {count} times, from the slices {}", row[2]));
        }
    }
    findings.lost += missing.len() as u64;
    if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
        findings.say(format!("{} records between {first} and {last} are not in the events", missing.len()));
    }
    Ok(())
}
