//! Whether a rollup has counted a slice, proven from what is stored.
//!
//! A rollup holds sums over slices and not which slices they are of. But the events tell what each slice adds, and a
//! slice's insert is counted whole or not at all within a day. So a day's total, minute by minute, is the sum of the
//! slices in the ledger, which are counted for certain, and of some of those that are not. If every choice of the latter
//! that comes to the total has the slice in it, the slice is counted; if none has, it is not; otherwise nobody knows.
//!
//! Slices often add the same number of rows. So rows are also summed with a weight each, a hash of their group's key: then
//! only slices with the same rows in the same groups are the same. The weights are the server's, which has the slice's own
//! rows among the events; while it has not, minutes have to do.
//!
//! Others may insert meanwhile. The ledger is therefore cut at a moment, then the rollup is read, and last the events: a
//! slice in the cut ledger was counted before the rollup was read, and what was counted by then has its events to show.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, TimestampSecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use longshore_core::column::layout::SLICE_COLUMN;
use longshore_core::config::Config;
use longshore_core::rollup::RollupKind;
use longshore_core::slice::SliceId;

use super::client::ClickHouse;
use super::ddl::{Events, LEDGER};
use super::error::ClientError;
use super::rollup_ddl::{qualified, rollup, source, target_name};
use super::sql::quote_table;
use super::store::Day;

/// Slices that are not in the ledger and may or may not be counted: all their choices are tried.
const OPEN_SLICES_MAX: usize = 10;
/// Milliseconds between a ledger row's time and the latest moment at which it is seen, checked.
const LEDGER_MS: u64 = 1000;

/// The column that all groups' keys have.
pub(super) const MINUTE: &str = "minute";

/// Minutes that an error names.
const TOLD_MAX: usize = 8;

/// How to compare a rollup's totals with its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    table: String,
    events: String,
    time: String,
    filter: String,
    rows: &'static str,
    amount: Option<String>,
    /// The weight of a row's group, by its key without the minute: of a row of the events under the alias `e`.
    event_weight: String,
    /// The same of a row of the rollup under the alias `r`.
    rollup_weight: String,
}

/// What a slice adds to a rollup in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Rows that count.
    pub rows: u64,
    /// Their amounts, in units of the column's last digit, modulo 2^128.
    pub amount: i128,
    /// The sum of their groups' weights, modulo 2^64; zero where it is not known.
    pub weight: u64,
}

/// What slices add, by minutes since 1970.
pub type Minutes = BTreeMap<i64, Added>;

/// Whether a slice is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// On these days, and on no others.
    On(BTreeSet<Day>),
    /// It cannot be told now, because of what others store.
    Busy(String),
    /// It cannot be told: why.
    Unknown(String),
}

impl Probe {
    /// One for each rollup that sums; `None` where inserting twice changes nothing.
    pub(super) fn of(config: &Config) -> Vec<Option<Probe>> {
        let events = Events::new(config);
        let probe = |spec| {
            let select = rollup(spec, &events).select;
            let filter = select.filter().join(" AND ");
            let keys = select.by().iter().filter(|(_, name)| name != MINUTE);
            let (event_key, rollup_key): (Vec<_>, Vec<_>) =
                keys.map(|(sql, name)| (sql.clone(), qualified(name))).unzip();
            let (event_weight, rollup_weight) = (weight(&event_key), weight(&rollup_key));
            let (rows, amount) = match &spec.kind {
                RollupKind::NewUsers { .. } => return None,
                RollupKind::Gmv { amount, .. } => ("orders", Some(amount.clone())),
                RollupKind::PvUv { .. } => ("pv", None),
                RollupKind::RequestsByIp { .. } => ("requests", None),
            };
            let (events, time) = (config.table.name.clone(), config.table.time.clone());
            Some(Probe { table: target_name(spec), events, time, filter, rows, amount, event_weight, rollup_weight })
        };
        config.rollups.iter().map(probe).collect()
    }

    /// The rollup's table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What an insert into the rollup's table adds.
    pub(super) fn minutes(&self, insert: &RecordBatch) -> Minutes {
        let column = |name| insert.column_by_name(name).expect("a column of the rollup's table");
        let times = column("minute").as_primitive::<TimestampSecondType>();
        let rows = column(self.rows).as_primitive::<UInt64Type>();
        let amounts = self.amount.as_ref().map(|_| column("amount"));
        let mut minutes = Minutes::new();
        for at in 0..insert.num_rows() {
            let amount = amounts.map_or(0, |amounts| last_128_bits(amounts, at));
            add(&mut minutes, times.value(at) / 60, Added { rows: rows.value(at), amount, weight: 0 });
        }
        minutes
    }
}

/// A sum modulo 2^128, as amounts are compared: a difference between two slices' sums is told by it as by the whole.
fn last_128_bits(sums: &dyn Array, at: usize) -> i128 {
    match sums.as_primitive_opt::<Decimal256Type>() {
        Some(wide) => wide.value(at).to_parts().0.cast_signed(),
        None => sums.as_primitive::<Decimal128Type>().value(at),
    }
}

fn weight(key: &[String]) -> String {
    format!("cityHash64({})", key.join(", "))
}

fn add(minutes: &mut Minutes, minute: i64, more: Added) {
    let sum = minutes.entry(minute).or_default();
    sum.rows = sum.rows.wrapping_add(more.rows);
    sum.amount = sum.amount.wrapping_add(more.amount);
    sum.weight = sum.weight.wrapping_add(more.weight);
}

fn day_of(minute: i64) -> Day {
    minute.div_euclid(1440) as Day
}

impl ClickHouse {
    pub(super) fn counted(&self, probe: &Probe, slice: SliceId, own: &Minutes) -> Result<Counted, ClientError> {
        let (Some((&first, _)), Some((&last, _))) = (own.first_key_value(), own.last_key_value()) else {
            return Ok(Counted::On(BTreeSet::new()));
        };
        let days: BTreeSet<Day> = own.keys().map(|&minute| day_of(minute)).collect();
        let days: Vec<String> = days.iter().map(Day::to_string).collect();
        // Of whole minutes, and not strictly: for `time < toDateTime(…)` ClickHouse 26.7 leaves out parts of which all rows are
        // of the second before, since it takes the bound for a whole number of seconds.
        let within = |time: &str, minute: &str| {
            format!(
                "{minute} >= toDateTime({}, 'UTC') AND {minute} <= toDateTime({}, 'UTC') AND toInt32(toDate({time})) IN ({})",
                first * 60,
                last * 60,
                days.join(", ")
            )
        };
        let ledger = quote_table(self.database(), LEDGER);
        let now = self.value("SELECT toUnixTimestamp64Milli(now64(3))")?;
        let cut = number::<u64>(&now)?.saturating_sub(LEDGER_MS);
        let settled = format!("FROM {ledger} WHERE finished_at < fromUnixTimestamp64Milli(toInt64({cut}), 'UTC')");
        let before = self.value(&format!("SELECT count() {settled}"))?;
        let amount = if probe.amount.is_some() { "reinterpretAsInt128(sum(r.`amount`))" } else { "0" };
        let (minute, rows) = (qualified(MINUTE), qualified(probe.rows));
        let total = self.look_up(&format!(
            "SELECT intDiv(toUnixTimestamp({minute}), 60) AS m, 0, sum({rows}), {amount}, sum({rows} * {}) \
             FROM {} AS r WHERE {} GROUP BY m",
            probe.rollup_weight,
            quote_table(self.database(), &probe.table),
            within(&minute, &minute),
        ))?;
        let amount = probe.amount.as_ref().map(|name| format!("assumeNotNull({})", source(name)));
        let amount = amount.map_or("0".to_owned(), |amount| format!("reinterpretAsInt128(sum({amount}))"));
        let time = source(&probe.time);
        let minute = format!("toStartOfMinute({time})");
        // Of the ledger only what these minutes have: a set of all of it would not fit into memory.
        let (events, within) = (quote_table(self.database(), &probe.events), within(&time, &minute));
        let filter = if probe.filter.is_empty() { String::new() } else { format!(" AND {}", probe.filter) };
        let stored = self.look_up(&format!(
            "SELECT intDiv(toUnixTimestamp({minute}), 60) AS m, \
             if(e.{SLICE_COLUMN} != {} AND e.{SLICE_COLUMN} IN (SELECT slice {settled} AND slice IN (SELECT e.{SLICE_COLUMN} FROM \
             {events} AS e WHERE {within})), 0, e.{SLICE_COLUMN}) AS s, \
             count(), {amount}, sum({}) FROM {events} AS e WHERE {within}{filter} GROUP BY m, s",
            slice.0,
            probe.event_weight,
        ))?;
        if self.value(&format!("SELECT count() {settled}"))? != before {
            return Ok(Counted::Busy("the ledger changed meanwhile".to_owned()));
        }
        let mut stored = by_slice(stored)?;
        let there = stored.remove(&slice.0).unwrap_or_default();
        let answer = solve((own, &there), &by_slice(total)?.remove(&0).unwrap_or_default(), stored);
        // Slices that became whole a moment ago are taken for open; soon they are not.
        let recent = self.value(&format!("SELECT count() FROM {ledger}"))? != before;
        Ok(match answer {
            Counted::Unknown(why) if recent => Counted::Busy(why),
            answer => answer,
        })
    }
}

/// Rows of minute, slice, rows, amount and weight.
fn by_slice(rows: Vec<Vec<String>>) -> Result<BTreeMap<u64, Minutes>, ClientError> {
    let mut slices: BTreeMap<u64, Minutes> = BTreeMap::new();
    for row in rows {
        let [minute, slice, rows, amount, weight] = &row[..] else {
            return Err(ClientError::Invalid(format!("not a minute of a slice: {row:?}")));
        };
        let added = Added { rows: number(rows)?, amount: number(amount)?, weight: number(weight)? };
        add(slices.entry(number(slice)?).or_default(), number(minute)?, added);
    }
    Ok(slices)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, ClientError> {
    text.parse().map_err(|_| ClientError::Invalid(format!("`{text}` is not a number")))
}

/// Tells for each of the slice's days whether `total` has it, where `stored` are the other slices: 0 those that are in it
/// for certain, the others those that may be. Of the slice itself it is told what it adds, without weights, and what its
/// rows among the events add.
fn solve((own, there): (&Minutes, &Minutes), total: &Minutes, mut stored: BTreeMap<u64, Minutes>) -> Counted {
    let certain = stored.remove(&0).unwrap_or_default();
    let days: BTreeSet<Day> = own.keys().map(|&minute| day_of(minute)).collect();
    let mut counted = BTreeSet::new();
    for day in days {
        let minutes: Vec<i64> = own.keys().copied().filter(|&minute| day_of(minute) == day).collect();
        let all_of = |slice: &Minutes| -> Vec<Added> {
            minutes.iter().map(|minute| slice.get(minute).copied().unwrap_or_default()).collect()
        };
        let without_weights = |slice: &Minutes| -> Vec<Added> {
            all_of(slice).into_iter().map(|added| Added { weight: 0, ..added }).collect()
        };
        let weighed = without_weights(there) == all_of(own);
        let of = |slice: &Minutes| if weighed { all_of(slice) } else { without_weights(slice) };
        let own = of(if weighed { there } else { own });
        let nothing = |added: &[Added]| added.iter().all(|added| *added == Added::default());
        let open: Vec<Vec<Added>> = stored.values().map(of).filter(|added| !nothing(added)).collect();
        if open.len() > OPEN_SLICES_MAX {
            return Counted::Busy(format!("{} slices of the same minutes are being stored", open.len()));
        }
        let rest = difference(&of(total), &of(&certain));
        let without = comes_to(&rest, &open);
        let with = comes_to(&difference(&rest, &own), &open);
        match (with, without) {
            (true, false) => {
                counted.insert(day);
            }
            (false, true) => {}
            (true, true) => return Counted::Unknown("other slices that are not whole add the same".to_owned()),
            (false, false) => {
                let beside = |(minute, left): (&i64, &Added)| {
                    (*left != Added::default()).then(|| format!("minute {minute}: {} rows", left.rows.cast_signed()))
                };
                let beside: Vec<String> = minutes.iter().zip(&rest).filter_map(beside).take(TOLD_MAX).collect();
                return Counted::Unknown(format!(
                    "its totals are not those of any choice of the stored slices; beside those in the ledger it has, by \
                     minutes since 1970, {}",
                    beside.join(", ")
                ));
            }
        }
    }
    Counted::On(counted)
}

/// Whether some choice of `open` comes to `rest`.
fn comes_to(rest: &[Added], open: &[Vec<Added>]) -> bool {
    match open.split_first() {
        None => rest.iter().all(|left| *left == Added::default()),
        Some((first, others)) => comes_to(rest, others) || comes_to(&difference(rest, first), others),
    }
}

fn difference(a: &[Added], b: &[Added]) -> Vec<Added> {
    let subtract = |(a, b): (&Added, &Added)| Added {
        rows: a.rows.wrapping_sub(b.rows),
        amount: a.amount.wrapping_sub(b.amount),
        weight: a.weight.wrapping_sub(b.weight),
    };
    a.iter().zip(b).map(subtract).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of minutes, in groups of this weight.
    fn weighed(rows: &[(i64, u64)], weight: u64) -> Minutes {
        let added = |rows| Added { rows, amount: i128::from(rows) * 100, weight: weight.wrapping_mul(rows) };
        rows.iter().map(|&(minute, rows)| (minute, added(rows))).collect()
    }

    fn minutes(rows: &[(i64, u64)]) -> Minutes {
        weighed(rows, 0)
    }

    #[test]
    fn a_total_tells_which_slices_are_in_it() {
        let own = minutes(&[(0, 3), (1, 1), (1440, 5)]);
        let stored = BTreeMap::from([(0, minutes(&[(0, 10), (2, 4)])), (7, minutes(&[(0, 2)]))]);
        for there in [own.clone(), Minutes::new()] {
            let solve = |total: &[(i64, u64)]| solve((&own, &there), &minutes(total), stored.clone());
            assert_eq!(solve(&[(0, 10)]), Counted::On(BTreeSet::new()));
            assert_eq!(solve(&[(0, 12), (1440, 5)]), Counted::On(BTreeSet::from([1])), "the other slice, and one day");
            assert_eq!(solve(&[(0, 15), (1, 1)]), Counted::On(BTreeSet::from([0])));
            assert!(matches!(solve(&[(0, 16), (1, 1)]), Counted::Unknown(_)), "a row that nobody has");
        }
    }

    #[test]
    fn slices_that_add_the_same_cannot_be_told_apart() {
        let own = minutes(&[(0, 3)]);
        let twin = BTreeMap::from([(7, own.clone())]);
        let solve = |total: &Minutes| solve((&own, &own), total, twin.clone());
        assert!(matches!(solve(&own), Counted::Unknown(_)));
        assert_eq!(solve(&minutes(&[(0, 6)])), Counted::On(BTreeSet::from([0])));
        assert_eq!(solve(&Minutes::new()), Counted::On(BTreeSet::new()));
    }

    #[test]
    fn weights_tell_slices_apart_that_add_the_same_to_other_groups() {
        const BIG: u64 = u64::MAX - 5;
        let own = minutes(&[(0, 3)]);
        let (there, other) = (weighed(&[(0, 3)], BIG), weighed(&[(0, 3)], 7));
        let stored = BTreeMap::from([(7, other.clone())]);
        assert_eq!(solve((&own, &there), &there, stored.clone()), Counted::On(BTreeSet::from([0])));
        assert_eq!(solve((&own, &there), &other, stored.clone()), Counted::On(BTreeSet::new()));
        let both = minutes(&[(0, 6)])
            .into_iter()
            .map(|(minute, added)| (minute, Added { weight: BIG.wrapping_mul(3).wrapping_add(21), ..added }));
        assert_eq!(solve((&own, &there), &both.collect(), stored.clone()), Counted::On(BTreeSet::from([0])));
        // Where its rows are not among the events its weight is not known.
        assert!(matches!(solve((&own, &Minutes::new()), &other, stored), Counted::Unknown(_)));
    }
}
