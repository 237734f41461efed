//! What must hold at the end of a run, computed from what was written and from the tables alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use longshore_core::dead_letter::Reason;
use longshore_core::slice::SliceId;
use longshore_ingest::journal::ConfigHash;

use crate::answers::Answers;
use crate::clickhouse::{LedgerRow, Row, Server, Table, events};
use crate::engine::Planned;
use crate::records::{Common, Event, Fate, Placed, REFUSED_USER, Record, Setup};
use crate::simulation::is_loaded;

/// What a run wrote and planned.
pub(crate) struct Books<'a> {
    /// Records of each source, in order, and where they stand.
    pub(crate) written: &'a [Vec<Placed>],
    /// Where each source ends.
    pub(crate) ends: &'a [u64],
    /// The number of a slice's source; none has `usize::MAX`.
    pub(crate) source: &'a dyn Fn(&LedgerRow) -> usize,
    /// How each slice was planned.
    pub(crate) plans: &'a BTreeMap<SliceId, Planned>,
    /// What all configs have in common.
    pub(crate) common: Common,
}

/// What is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Records that are nowhere, or not where they should be.
    pub lost: u64,
    /// Records that are there more than once.
    pub twice: u64,
    /// Everything was not stored in time.
    pub stuck: bool,
    /// In words.
    pub details: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && !self.stuck && self.details.is_empty()
    }

    fn say(&mut self, what: impl Into<String>) {
        self.details.push(what.into());
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost {}, twice {}{}", self.lost, self.twice, if self.stuck { ", stuck" } else { "" })?;
        self.details.iter().try_for_each(|detail| write!(f, "\n  {detail}"))
    }
}

/// A dead letter as it must be: log, offset, reason and bytes.
type Dead = (usize, u64, String, Vec<u8>);

/// Slice and offset of a record.
type Place = (u64, u64);

/// What the tables must hold.
#[derive(Default)]
struct Expected {
    /// Records whose rows the server rejected, by its dead letters. Whether it did depends on the constraint of the moment.
    rejected: BTreeSet<Place>,
    /// Records whose event times were too far away, by their dead letters.
    ahead: BTreeSet<Place>,
    /// Numbers of the events of rejected records.
    rejected_numbers: BTreeSet<u64>,
    events: Vec<Event>,
    dead: Vec<Dead>,
    /// Numbers of the events, where copies of one count once.
    numbers: BTreeSet<u64>,
    /// Records, loaded or left out as copies, dead and filtered, by slice.
    counts: BTreeMap<u64, [u64; 4]>,
}

/// Compares the server's tables with what was written.
pub(crate) fn check(server: &Server, books: &Books<'_>) -> Findings {
    let mut findings = Findings::default();
    let ledger: Vec<LedgerRow> = server.rows(Table::Ledger).into_iter().filter_map(ledger_row).collect();
    let dead_for = |reason: Reason| {
        let rows = server.rows(Table::DeadLetters).into_iter();
        rows.filter_map(|row| place_of(row, reason)).collect::<BTreeSet<Place>>()
    };
    let decided =
        Expected { rejected: dead_for(Reason::Rejected), ahead: dead_for(Reason::EventTime), ..Expected::default() };
    let expected = expect(&ledger, books, decided, &mut findings);
    compare("event", &expected.events, &events(&server.rows(Table::Events)), &mut findings);
    let sources: BTreeMap<u64, usize> = ledger.iter().map(|row| (row.slice, (books.source)(row))).collect();
    let dead: Vec<Dead> =
        server.rows(Table::DeadLetters).into_iter().filter_map(|row| dead_row(row, &sources)).collect();
    compare("dead letter", &expected.dead, &dead, &mut findings);
    let rows = rows_by_slice(server);
    for row in &ledger {
        let counts = [row.records, row.loaded + row.duplicates, row.dead, row.filtered];
        let loaded = rows.get(&row.slice).copied().unwrap_or_default();
        let copies = books.common.dedup || row.duplicates == 0;
        // Of a topic's messages without content there are no records.
        let right = expected.counts.get(&row.slice).copied().unwrap_or_default();
        if right != counts || row.loaded != loaded || !copies {
            findings.say(format!("the ledger does not balance: {row:?}, not {right:?}"));
        }
    }
    let (answers, right) = (server.answers(), Answers::of(&expected.events));
    differ("new users", &answers.new_users, &right.new_users, &mut findings);
    differ("gmv", &answers.gmv, &right.gmv, &mut findings);
    differ("pv and uv", &answers.pv_uv, &right.pv_uv, &mut findings);
    findings
}

fn ledger_row(row: Row) -> Option<LedgerRow> {
    match row {
        Row::Ledger(row) => Some(row),
        _ => None,
    }
}

fn place_of(row: Row, reason: Reason) -> Option<Place> {
    match row {
        Row::Dead(dead) if dead.reason == reason.name() => Some((dead.slice, dead.offset)),
        _ => None,
    }
}

fn dead_row(row: Row, sources: &BTreeMap<u64, usize>) -> Option<Dead> {
    match row {
        Row::Dead(dead) => {
            let source = sources.get(&dead.slice).copied().unwrap_or(usize::MAX);
            Some((source, dead.offset, dead.reason, dead.record))
        }
        _ => None,
    }
}

/// Rows of the events by slice.
fn rows_by_slice(server: &Server) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    for row in server.rows(Table::Events) {
        if let Row::Event { slice, .. } = row {
            *rows.entry(slice).or_default() += 1;
        }
    }
    rows
}

/// Goes along each source: the ledger must cover it without gap or overlap, and says which config a record belongs to.
fn expect(ledger: &[LedgerRow], books: &Books<'_>, mut expected: Expected, findings: &mut Findings) -> Expected {
    for (log, records) in books.written.iter().enumerate() {
        let mut slices: Vec<&LedgerRow> = ledger.iter().filter(|row| (books.source)(row) == log).collect();
        slices.sort_by_key(|row| (row.start, row.end));
        let mut end = 0;
        for slice in &slices {
            if slice.start != end {
                findings.say(format!("the ledger has {slice:?} where {end} should begin"));
            }
            end = slice.end;
        }
        for &Placed { start, end, ref record } in records {
            match slices.iter().find(|slice| slice.start <= start && end <= slice.end) {
                Some(slice) => expected.add(record, (log, start), slice.slice, books),
                None => {
                    findings.lost += 1;
                    findings.say(format!("no slice of the ledger has source {log} at {start}: {}", record.line));
                }
            }
        }
        if end > books.ends[log] {
            findings.say(format!("the ledger goes to {end} of source {log}, which ends at {}", books.ends[log]));
        }
    }
    // Of an event that was sent more than once and rejected there is one dead letter and no row.
    let Expected { events, rejected_numbers, .. } = &mut expected;
    events.retain(|event| !rejected_numbers.contains(&event.number));
    expected
}

impl Expected {
    /// Whether the server rejected an event that stands there, and may have: the first of its copies, if it has any.
    fn is_rejected(&mut self, event: &Event, place: Place) -> bool {
        event.user == REFUSED_USER && self.rejected.contains(&place) && self.rejected_numbers.insert(event.number)
    }

    fn add(&mut self, record: &Record, (log, offset): (usize, u64), slice: u64, books: &Books<'_>) {
        let Some(plan) = books.plans.get(&SliceId(slice)) else { return };
        let is_of = |setup: &Setup| plan.config == ConfigHash::of(&setup.text(books.common));
        let Some(setup) = Setup::ALL.into_iter().find(is_of) else { return };
        let beyond = match books.common.unplanned {
            // The first attempt that came so far has decided, and its dead letters say how.
            true => record.may_be_ahead() && self.ahead.contains(&(slice, offset)),
            false => record.is_beyond(plan.cut_ms),
        };
        if beyond {
            let counts = self.counts.entry(slice).or_default();
            (counts[0], counts[2]) = (counts[0] + 1, counts[2] + 1);
            self.dead.push((log, offset, Reason::EventTime.name().to_owned(), record.line.clone().into_bytes()));
            return;
        }
        let rejected = match &record.fate {
            Fate::Event(event) if is_loaded(record, setup) => self.is_rejected(event, (slice, offset)),
            Fate::Event(_) | Fate::Dead(_) => false,
        };
        let counts = self.counts.entry(slice).or_default();
        counts[0] += 1;
        match &record.fate {
            Fate::Event(_) if rejected => {
                counts[2] += 1;
                self.dead.push((log, offset, Reason::Rejected.name().to_owned(), record.line.clone().into_bytes()));
            }
            Fate::Event(event) if is_loaded(record, setup) => {
                counts[1] += 1;
                if !books.common.dedup || self.numbers.insert(event.number) {
                    self.events.push(event.clone());
                }
            }
            Fate::Event(_) => counts[3] += 1,
            Fate::Dead(reason) => {
                counts[2] += 1;
                self.dead.push((log, offset, reason.name().to_owned(), record.line.clone().into_bytes()));
            }
        }
    }
}

/// Each of `right` is there exactly once, and nothing else is.
fn compare<T: Ord + fmt::Debug>(what: &str, right: &[T], there: &[T], findings: &mut Findings) {
    let mut balance: BTreeMap<&T, i64> = BTreeMap::new();
    right.iter().for_each(|item| *balance.entry(item).or_default() -= 1);
    there.iter().for_each(|item| *balance.entry(item).or_default() += 1);
    for (item, count) in balance {
        match count {
            0 => continue,
            ..0 => findings.lost += count.unsigned_abs(),
            1.. => findings.twice += count.unsigned_abs(),
        }
        findings.say(format!("{count:+} {what}: {item:?}"));
    }
}

fn differ<K: Ord + fmt::Debug, V: PartialEq + fmt::Debug>(
    what: &str,
    there: &BTreeMap<K, V>,
    right: &BTreeMap<K, V>,
    findings: &mut Findings,
) {
    for key in there.keys().chain(right.keys().filter(|key| !there.contains_key(key))) {
        if there.get(key) != right.get(key) {
            findings.say(format!("{what} of {key:?}: {:?}, not {:?}", there.get(key), right.get(key)));
        }
    }
}
