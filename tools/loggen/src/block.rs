//! A block: a fixed number of consecutive records, made from the seed and the block's number alone. Blocks
//! can therefore be made on any core in any order. Whatever ties records together (a repeated line, a user's
//! second event in the same millisecond) stays within one block.

use crate::delimited;
use crate::json;
use crate::options::Plan;
use crate::record::{Defect, Event, Reason, Record, Row, Style};
use crate::rng::{Chance, Rng};
use crate::text;

/// About 0.8 MB of JSON.
pub(crate) const RECORDS_PER_BLOCK: u64 = 2048;
/// Records are this far before their place in time, at most.
const JITTER_MS: u64 = 5_000;
const MINUTE_MS: u64 = 60_000;
/// Most late records are late by up to this much, one in five by up to `LATE_LONG_MS`.
const LATE_SHORT_MS: u64 = 30 * MINUTE_MS;
const LATE_LONG_MS: u64 = 12 * 60 * MINUTE_MS;
/// A repeated line is one of this many before it.
const REPEAT_WITHIN: usize = 512;
/// One record in this many is the first of a user who was made up for it, and is followed up with a second
/// event of that user: half of them in the same millisecond on another channel, half of them earlier.
const DEBUT_EVERY: u64 = 100;
/// How many records later, on average, the second event comes.
const FOLLOW_UP_AFTER: u64 = 16;

/// What became of the records of a block or a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) filtered: u64,
    /// By product, from product 0.
    pub(crate) loaded: Vec<u64>,
    /// By `Reason as usize`.
    pub(crate) dead: [u64; Reason::ALL.len()],
}

impl Counts {
    pub(crate) fn new(products: usize) -> Counts {
        Counts { loaded: vec![0; products], ..Counts::default() }
    }

    pub(crate) fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.filtered += other.filtered;
        self.loaded.iter_mut().zip(&other.loaded).for_each(|(sum, count)| *sum += count);
        self.dead.iter_mut().zip(&other.dead).for_each(|(sum, count)| *sum += count);
    }
}

/// A finished block.
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    pub(crate) counts: Counts,
    /// The loaded records, if the plan keeps them.
    pub(crate) rows: Vec<Row>,
}

/// What must happen to a record.
#[derive(Clone, Copy)]
enum Fate {
    Loaded(Row),
    Filtered,
    Dead(Reason),
}

/// A written line, for repeating it.
struct Line {
    start: usize,
    end: usize,
    fate: Fate,
}

struct Maker<'p> {
    plan: &'p Plan,
    rng: Rng,
    block: Block,
    lines: Vec<Line>,
    /// The debut to be followed up.
    debut: Option<Record>,
    plain: Vec<u8>,
    scratch: Vec<u8>,
}

/// Makes block `number`.
pub(crate) fn make(plan: &Plan, number: u64) -> Block {
    let first = number * RECORDS_PER_BLOCK;
    let end = (first + RECORDS_PER_BLOCK).min(plan.records);
    let mut maker = Maker {
        plan,
        rng: Rng::new(plan.seed, number),
        block: Block {
            bytes: Vec::with_capacity((end - first) as usize * if plan.sealer.is_some() { 620 } else { 440 }),
            counts: Counts::new(plan.world.products()),
            rows: Vec::with_capacity(if plan.keep_rows { (end - first) as usize } else { 0 }),
        },
        lines: Vec::with_capacity((end - first) as usize),
        debut: None,
        plain: Vec::with_capacity(1024),
        scratch: Vec::with_capacity(256),
    };
    for index in first..end {
        maker.push(index);
    }
    maker.block
}

impl Maker<'_> {
    /// The next line: an earlier one again, or a record of its own.
    fn push(&mut self, index: u64) {
        let start = self.block.bytes.len();
        let fate = if !self.lines.is_empty() && self.rng.chance(self.plan.duplicate) {
            let back = self.rng.below(self.lines.len().min(REPEAT_WITHIN) as u64) as usize;
            let line = &self.lines[self.lines.len() - 1 - back];
            self.block.bytes.extend_from_within(line.start..line.end);
            line.fate
        } else {
            let record = self.record(index);
            self.write(&record);
            fate(&record, &self.plan.dropped)
        };
        self.count(fate);
        self.lines.push(Line { start, end: self.block.bytes.len(), fate });
    }

    fn count(&mut self, fate: Fate) {
        let counts = &mut self.block.counts;
        counts.records += 1;
        match fate {
            Fate::Loaded(row) => {
                counts.loaded[usize::from(row.product)] += 1;
                if self.plan.keep_rows {
                    self.block.rows.push(row);
                }
            }
            Fate::Filtered => counts.filtered += 1,
            Fate::Dead(reason) => counts.dead[reason as usize] += 1,
        }
    }

    fn record(&mut self, index: u64) -> Record {
        if let Some(debut) = self.debut.filter(|_| self.rng.below(FOLLOW_UP_AFTER) == 0) {
            self.debut = None;
            return self.follow_up(&debut, index);
        }
        let (plan, rng) = (self.plan, &mut self.rng);
        let product = plan.world.pick_product(rng);
        let debuts = self.debut.is_none() && rng.below(DEBUT_EVERY) == 0;
        let user = if debuts {
            plan.world.debut_user(product, index)
        } else {
            plan.world.pick_user(rng, product, index, plan.records)
        };
        let person = plan.world.person(user);
        let defect = pick_defect(rng, plan.broken, &plan.defects);
        let event = match defect {
            None => pick_event(rng),
            // A defect elsewhere must not meet a filter on the record's event.
            Some(Defect::BadAmount) => Event::OrderPaid,
            Some(_) => Event::PageView,
        };
        let record = Record {
            index,
            ts_ms: pick_time(rng, plan, index),
            event,
            product,
            channel: plan.world.pick_channel(rng, product, person),
            user,
            person,
            noise: rng.next(),
            cents: if event == Event::OrderPaid { pick_cents(rng) } else { 0 },
            style: if defect.is_none() && rng.chance(plan.escape) { rng.pick(&Style::HARD) } else { Style::Plain },
            defect,
        };
        if debuts {
            self.debut = Some(record);
        }
        record
    }

    /// A page view of the same user on another channel, at the same time or earlier, although it comes later.
    fn follow_up(&mut self, debut: &Record, index: u64) -> Record {
        let rng = &mut self.rng;
        let earlier_ms = if rng.below(2) == 0 { 0 } else { rng.below(10 * MINUTE_MS) as i64 };
        Record {
            index,
            ts_ms: debut.ts_ms - earlier_ms,
            event: Event::PageView,
            channel: self.plan.world.other_channel(rng, debut.product, debut.channel),
            noise: rng.next(),
            cents: 0,
            style: Style::Plain,
            defect: None,
            ..*debut
        }
    }

    /// Appends the record's line or frame.
    fn write(&mut self, record: &Record) {
        let (plan, out) = (self.plan, &mut self.block.bytes);
        match &plan.sealer {
            None => push_plain(out, record, plan, &mut self.scratch),
            Some(sealer) => {
                self.plain.clear();
                sealer.begin(&mut self.plain);
                push_plain(&mut self.plain, record, plan, &mut self.scratch);
                sealer.finish(out, &mut self.plain, (record.index, plan.records), record.defect);
            }
        }
        out.extend_from_slice(plan.line_end);
    }
}

fn push_plain(out: &mut Vec<u8>, record: &Record, plan: &Plan, scratch: &mut Vec<u8>) {
    match plan.dialect() {
        None => push_json(out, record, plan.shuffle_keys, scratch),
        Some(dialect) => delimited::push_record(out, record, dialect, scratch),
    }
}

fn push_json(out: &mut Vec<u8>, record: &Record, shuffle_keys: bool, scratch: &mut Vec<u8>) {
    let start = out.len();
    match record.defect {
        Some(Defect::Garbage) => {
            out.extend_from_slice(b"#### lost segment 0x");
            text::push_hex(out, record.noise);
            out.extend_from_slice(b" }{ [[ ####");
        }
        Some(Defect::Truncated) => {
            json::push_record(out, record, shuffle_keys, scratch);
            let kept = 1 + record.noise as usize % (out.len() - start - 1);
            out.truncate(start + kept);
        }
        _ => json::push_record(out, record, shuffle_keys, scratch),
    }
}

fn fate(record: &Record, dropped: &[Event]) -> Fate {
    match record.defect {
        Some(defect) => Fate::Dead(defect.reason()),
        None if dropped.contains(&record.event) => Fate::Filtered,
        None => Fate::Loaded(Row {
            ts_ms: record.ts_ms,
            user: record.user,
            ip: text::ip(record.person),
            cents: record.cents,
            channel: record.channel,
            product: record.product,
            event: record.event,
        }),
    }
}

fn pick_defect(rng: &mut Rng, broken: Chance, ways: &[&'static [Defect]]) -> Option<Defect> {
    rng.chance(broken).then(|| {
        let same_reason = rng.pick(ways);
        rng.pick(same_reason)
    })
}

fn pick_event(rng: &mut Rng) -> Event {
    let mut percent = rng.below(100);
    for (event, share) in Event::SHARES {
        if percent < share {
            return event;
        }
        percent -= share;
    }
    unreachable!("the shares add up to 100")
}

/// A record's event time: its place in the file, less jitter, less much more for a late one.
fn pick_time(rng: &mut Rng, plan: &Plan, index: u64) -> i64 {
    let place_ms = (u128::from(plan.span_ms) * u128::from(index) / u128::from(plan.records)) as u64;
    let in_time_ms = place_ms.abs_diff(rng.below(JITTER_MS)) as i64;
    let late_ms = if rng.chance(plan.late) {
        let most = if rng.below(5) == 0 { LATE_LONG_MS } else { LATE_SHORT_MS };
        MINUTE_MS + rng.below(most - MINUTE_MS)
    } else {
        0
    };
    plan.start_ms + in_time_ms - late_ms as i64
}

/// 0.01 to 5,000.00, most of them small.
fn pick_cents(rng: &mut Rng) -> u32 {
    let most = rng.pick(&[2_000, 20_000, 20_000, 500_000]);
    1 + rng.below(most) as u32
}
