//! Partial aggregates of one batch: what its rows add to each declared rollup.
//!
//! The result of a rollup by minute is one row a group with counts, sums and `uniqExact` states, as ClickHouse
//! itself would make it of the same rows. Of new users it is each user's earliest event in the batch; which
//! of them have to be sent is for who knows what the store has ([`super::known`]).
//!
//! Each group column becomes a number a row in the order of its values (a dictionary's keys make that cheap), the
//! numbers of all group columns become one code, and sorting codes with row numbers below them groups the rows and
//! sorts the groups. Deterministic: the same batch gives the same bytes.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Decimal128Array, Decimal256Array, RecordBatch, StructArray, TimestampSecondArray,
    UInt32Array, UInt64Array,
};
use arrow_buffer::{OffsetBuffer, i256};
use arrow_schema::{Field, Fields, Schema};

use super::known::{Sighting, UserKeys};
use super::read::{Column, Identities, Ranks, Test, Times, text_hashes};
use super::{NARROW_SUM_DIGITS, RollupKind, RollupSpec, sum_digits};
use crate::budget::work_row_bytes;
use crate::column::arrow::TIME_ZONE;
use crate::column::layout::{LayoutColumn, event_columns};
use crate::column::{ColumnType, TimePrecision};
use crate::config::Config;

/// What a batch adds to one rollup.
#[derive(Debug, Clone, PartialEq)]
pub enum Partial {
    /// Rows of the rollup's table, in its order.
    Groups(RecordBatch),
    /// The earliest event of each user of a product, in order of their first rows in the batch.
    Sightings(Vec<Sighting>),
}

/// Aggregates batches under one config.
#[derive(Debug)]
pub struct Aggregator {
    time: Column,
    precision: TimePrecision,
    product: Column,
    rollups: Vec<Plan>,
    keys: UserKeys,
    columns: usize,
    /// Bytes of a row where each is a group of its own, texts not counted.
    row_bytes: usize,
}

/// A declared rollup, its columns found.
#[derive(Debug)]
struct Plan {
    by: Vec<Column>,
    tests: Vec<Test>,
    counts: Counts,
}

#[derive(Debug)]
enum Counts {
    NewUsers { user: Column },
    ByMinute(Box<ByMinute>),
}

/// What is counted in a group: its rows, and perhaps more.
#[derive(Debug)]
struct ByMinute {
    /// Name of the number of rows.
    rows: &'static str,
    /// Column that is grouped by after the minute.
    ip: Option<Column>,
    /// Column that is summed.
    amount: Option<Amount>,
    /// Column of which distinct values are kept, and their name.
    distinct: Option<(Column, &'static str)>,
}

/// A column of amounts.
#[derive(Debug)]
struct Amount {
    column: Column,
    scale: u8,
    /// Digits of the column of sums.
    sum_digits: u8,
}

impl Amount {
    fn is_wide(&self) -> bool {
        self.sum_digits > NARROW_SUM_DIGITS
    }

    /// The sum of a slice's amounts, which 2^32 of are too few to overflow: of up to 18 digits in 128 bits, of 38 in 256.
    fn sum(&self, amounts: impl Iterator<Item = i128>) -> i256 {
        match self.is_wide() {
            false => i256::from_i128(amounts.sum()),
            true => amounts.fold(i256::ZERO, |sum, amount| sum.wrapping_add(i256::from_i128(amount))),
        }
    }

    /// Sums as they are sent.
    fn array(&self, sums: Vec<i256>) -> ArrayRef {
        let scale = self.scale as i8;
        if self.is_wide() {
            let sums = Decimal256Array::from(sums).with_precision_and_scale(self.sum_digits, scale);
            return Arc::new(sums.expect("a scale that was checked"));
        }
        let narrow = sums.iter().map(|sum| sum.to_i128().expect("a sum of a slice's amounts of 18 digits at most"));
        let sums = Decimal128Array::from_iter_values(narrow).with_precision_and_scale(self.sum_digits, scale);
        Arc::new(sums.expect("a scale that was checked"))
    }
}

impl Aggregator {
    /// For the rollups of a checked config, in their order.
    pub fn new(config: &Config, keys: UserKeys) -> Aggregator {
        let layout = event_columns(config);
        let time = Column::find(&layout, &config.table.time);
        let ColumnType::Timestamp { precision, .. } = time.ty else {
            panic!("the config was checked, yet the event time is {:?}", time.ty)
        };
        Aggregator {
            time,
            precision,
            product: Column::find(&layout, config.products.column_name()),
            rollups: config.rollups.iter().map(|spec| Plan::new(spec, &layout)).collect(),
            keys,
            columns: layout.len(),
            row_bytes: work_row_bytes(config),
        }
    }

    /// What the batch adds to each rollup, in the order of the config, one at a time: where each row is a group of its own,
    /// one of them is as large as the batch.
    ///
    /// # Panics
    /// If the batch does not have the columns of [`event_columns`].
    pub fn aggregate<'b>(&'b self, batch: &'b RecordBatch) -> impl Iterator<Item = Partial> + 'b {
        let frame = Frame::new(self, batch);
        self.rollups.iter().map(move |plan| match &plan.counts {
            Counts::NewUsers { user } => Partial::Sightings(self.sightings(&frame, plan, user)),
            Counts::ByMinute(counts) => Partial::Groups(self.groups(&frame, plan, counts)),
        })
    }

    /// Bytes that [`aggregate`](Self::aggregate) takes at most for this batch, with one partial aggregate.
    pub fn bytes_max(&self, batch: &RecordBatch) -> usize {
        let texts = |plan: &Plan| {
            let of_kind = match &plan.counts {
                Counts::NewUsers { user } => Some(user),
                Counts::ByMinute(counts) => counts.ip.as_ref(),
            };
            let gathered = std::iter::once(&self.product).chain(&plan.by).chain(of_kind);
            gathered.map(|column| column.text_bytes(batch)).sum::<usize>()
        };
        let texts = self.rollups.iter().map(texts).max().unwrap_or(0);
        batch.num_rows() * self.row_bytes + texts
    }

    /// These sightings as rows of the table of a rollup of new users, which is the `rollup`th of the config.
    ///
    /// # Panics
    /// If that rollup is of another kind.
    pub fn first_seen(&self, rollup: usize, batch: &RecordBatch, sightings: &[Sighting]) -> RecordBatch {
        let Plan { by, counts: Counts::NewUsers { user }, .. } = &self.rollups[rollup] else {
            panic!("rollup {rollup} does not count new users")
        };
        let rows = UInt32Array::from_iter_values(sightings.iter().map(|sighting| sighting.row));
        let parts = std::iter::once(("_time", &self.time)).chain(by.iter().map(|column| (&*column.name, column)));
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = parts
            .map(|(name, column)| {
                let array = column.gather(batch, &rows);
                (Field::new(name, array.data_type().clone(), false), array)
            })
            .unzip();
        let first = StructArray::new(Fields::from(fields), arrays, None);
        record_batch(vec![
            ("product", self.product.gather(batch, &rows)),
            ("user", user.gather(batch, &rows)),
            ("first", Arc::new(first)),
        ])
    }

    /// Ties are for the smaller `by` values, as in ClickHouse's minimum of `(time, by...)`.
    fn sightings(&self, frame: &Frame<'_>, plan: &Plan, user: &Column) -> Vec<Sighting> {
        let rows = plan.select(frame.batch);
        let products = frame.products.get_or_init(|| text_hashes(self.product.of(frame.batch), self.keys.product));
        let users = frame.identities(user).hashes(&user.ty);
        let times = &frame.times.rows;
        let by: Vec<&Ranks> = plan.by.iter().map(|column| frame.ranks(column)).collect();
        let tie = |a: u32, b: u32| {
            by.iter().map(|ranks| ranks.rows[a as usize]).lt(by.iter().map(|ranks| ranks.rows[b as usize]))
        };
        let mut table = Table::new(rows.len());
        let mut sightings: Vec<Sighting> = Vec::new();
        for row in rows {
            let user = users[row as usize] ^ products[row as usize];
            let seen = Sighting { user, time: times[row as usize], row };
            match table.find_or_insert(self.keys.place(user), sightings.len(), |at| sightings[at].user == user) {
                None => sightings.push(seen),
                Some(at) => {
                    let first = &mut sightings[at];
                    if seen.time < first.time || (seen.time == first.time && tie(row, first.row)) {
                        *first = seen;
                    }
                }
            }
        }
        sightings
    }

    fn groups(&self, frame: &Frame<'_>, plan: &Plan, counts: &ByMinute) -> RecordBatch {
        let batch = frame.batch;
        let rows = plan.select(batch);
        let before = std::iter::once(&self.product).chain(&plan.by).map(|column| frame.ranks(column).axis());
        let after = counts.ip.iter().map(|ip| frame.ranks(ip).axis());
        let minute = Axis { rows: &frame.times.minutes, end: frame.times.end };
        let order = sorted(&codes(&rows, before.chain([minute]).chain(after)), &rows);

        let amounts =
            counts.amount.as_ref().map(|amount| amount.column.of(batch).as_primitive::<Decimal128Type>().values());
        let identities = counts.distinct.as_ref().map(|(column, _)| frame.identities(column));
        let mut groups = Groups::default();
        for group in order.chunk_by(|a, b| a >> 32 == b >> 32) {
            groups.first_rows.push(group[0] as u32);
            groups.counts.push(group.len() as u64);
            let rows = group.iter().map(|&entry| entry as u32 as usize);
            if let (Some(amounts), Some(amount)) = (amounts, &counts.amount) {
                groups.sums.push(amount.sum(rows.clone().map(|row| amounts[row])));
            }
            if let Some(identities) = identities {
                groups.push_state(identities, rows);
            }
        }
        self.batch_of(groups, frame, plan, counts)
    }

    /// The groups as rows of the rollup's table.
    fn batch_of(&self, groups: Groups, frame: &Frame<'_>, plan: &Plan, counts: &ByMinute) -> RecordBatch {
        let batch = frame.batch;
        let minute = |&row: &u32| (frame.times.first_minute + i64::from(frame.times.minutes[row as usize])) * 60;
        let minutes = TimestampSecondArray::from_iter_values(groups.first_rows.iter().map(minute));
        let rows = UInt32Array::from(groups.first_rows);
        let mut columns: Vec<(&str, ArrayRef)> = vec![("product", self.product.gather(batch, &rows))];
        columns.extend(plan.by.iter().map(|column| (&*column.name, column.gather(batch, &rows))));
        columns.push(("minute", Arc::new(minutes.with_timezone(TIME_ZONE))));
        columns.extend(counts.ip.iter().map(|ip| ("ip", ip.gather(batch, &rows))));
        columns.push((counts.rows, Arc::new(UInt64Array::from(groups.counts))));
        if let Some(amount) = &counts.amount {
            columns.push(("amount", amount.array(groups.sums)));
        }
        if let Some((_, name)) = counts.distinct {
            let offsets = OffsetBuffer::from_lengths(groups.state_bytes);
            columns.push((name, Arc::new(BinaryArray::new(offsets, groups.states.into(), None))));
        }
        record_batch(columns)
    }
}

impl Plan {
    fn new(spec: &RollupSpec, layout: &[LayoutColumn]) -> Plan {
        let column = |name: &String| Column::find(layout, name);
        let mut tests: Vec<Test> = spec.filter.iter().map(|condition| Test::new(condition, layout)).collect();
        let by_minute = |counts| Counts::ByMinute(Box::new(counts));
        let plain = ByMinute { rows: "requests", ip: None, amount: None, distinct: None };
        let counts = match &spec.kind {
            RollupKind::NewUsers { user } => Counts::NewUsers { user: column(user) },
            RollupKind::PvUv { user } => {
                by_minute(ByMinute { rows: "pv", distinct: Some((column(user), "uv")), ..plain })
            }
            RollupKind::RequestsByIp { ip } => by_minute(ByMinute { ip: Some(column(ip)), ..plain }),
            RollupKind::Gmv { amount, buyer } => {
                let amount = column(amount);
                let ColumnType::Decimal { precision, scale } = amount.ty else {
                    panic!("the config was checked, yet amount `{}` is {:?}", amount.name, amount.ty)
                };
                if amount.nullable {
                    tests.push(Test::not_null(amount.clone()));
                }
                let distinct = Some((column(buyer), "buyers"));
                let amount = Amount { column: amount, scale, sum_digits: sum_digits(precision) };
                by_minute(ByMinute { rows: "orders", amount: Some(amount), distinct, ..plain })
            }
        };
        Plan { by: spec.by.iter().map(column).collect(), tests, counts }
    }

    /// The rows that count.
    fn select(&self, batch: &RecordBatch) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
        self.tests.iter().for_each(|test| test.retain(batch, &mut rows));
        rows
    }
}

/// A batch, and what was read of its columns so far: rollups share columns.
struct Frame<'b> {
    batch: &'b RecordBatch,
    times: Times,
    products: OnceCell<Vec<u128>>,
    ranks: Vec<OnceCell<Ranks>>,
    identities: Vec<OnceCell<Identities>>,
}

impl<'b> Frame<'b> {
    fn new(aggregator: &Aggregator, batch: &'b RecordBatch) -> Frame<'b> {
        assert_eq!(batch.num_columns(), aggregator.columns, "a batch of the events table");
        Frame {
            batch,
            times: Times::read(aggregator.time.of(batch), aggregator.precision),
            products: OnceCell::new(),
            ranks: (0..aggregator.columns).map(|_| OnceCell::new()).collect(),
            identities: (0..aggregator.columns).map(|_| OnceCell::new()).collect(),
        }
    }

    fn ranks(&self, column: &Column) -> &Ranks {
        self.ranks[column.index].get_or_init(|| Ranks::read(column.of(self.batch), &column.ty))
    }

    fn identities(&self, column: &Column) -> &Identities {
        self.identities[column.index].get_or_init(|| Identities::read(column.of(self.batch), &column.ty))
    }
}

/// A number below `end` for each row of the batch.
struct Axis<'a> {
    rows: &'a [u32],
    end: u64,
}

impl Ranks {
    fn axis(&self) -> Axis<'_> {
        Axis { rows: &self.rows, end: self.end }
    }
}

/// One number below 2^32 for the axes' numbers of each of `rows`, in their order: earlier axes weigh more.
fn codes<'a>(rows: &[u32], axes: impl Iterator<Item = Axis<'a>>) -> Vec<u64> {
    const END_MAX: u64 = 1 << 32;
    let mut codes = vec![0; rows.len()];
    let mut end = 1;
    for axis in axes {
        // An end is at most 2^32 of minutes or of rows, so that the product fits once the codes are dense.
        if end * axis.end > END_MAX {
            end = densify(&mut codes);
        }
        for (code, &row) in codes.iter_mut().zip(rows) {
            *code = *code * axis.end + u64::from(axis.rows[row as usize]);
        }
        end *= axis.end;
        if end > END_MAX {
            end = densify(&mut codes);
        }
    }
    codes
}

/// Makes the codes the numbers of their distinct values, in order; returns how many there are.
#[cold]
fn densify(codes: &mut [u64]) -> u64 {
    let mut distinct = codes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    for code in codes {
        *code = distinct.binary_search(code).expect("it is one of them") as u64;
    }
    distinct.len() as u64
}

/// Rows below their codes, sorted: rows of one code stand together, in order.
fn sorted(codes: &[u64], rows: &[u32]) -> Vec<u64> {
    let mut order: Vec<u64> = codes.iter().zip(rows).map(|(code, &row)| code << 32 | u64::from(row)).collect();
    order.sort_unstable();
    order
}

/// The groups of a rollup, column by column.
#[derive(Default)]
struct Groups {
    first_rows: Vec<u32>,
    counts: Vec<u64>,
    sums: Vec<i256>,
    states: Vec<u8>,
    state_bytes: Vec<usize>,
    distinct: Vec<u128>,
}

impl Groups {
    /// The state of these rows.
    fn push_state(&mut self, identities: &Identities, rows: impl Iterator<Item = usize>) {
        self.distinct.clear();
        self.distinct.extend(rows.map(|row| identities.rows[row]));
        self.distinct.sort_unstable();
        self.distinct.dedup();
        let start = self.states.len();
        push_state(&mut self.states, &self.distinct, identities.bytes);
        self.state_bytes.push(self.states.len() - start);
    }
}

/// The `uniqExact` state of distinct values as ClickHouse writes it: how many, as a LEB128 number, then each.
pub(super) fn push_state(state: &mut Vec<u8>, distinct: &[u128], bytes: usize) {
    let mut count = distinct.len();
    while count >= 0x80 {
        state.push(count as u8 | 0x80);
        count >>= 7;
    }
    state.push(count as u8);
    for identity in distinct {
        state.extend_from_slice(&identity.to_le_bytes()[..bytes]);
    }
}

/// Open addressing with linear probing: places of entries that live elsewhere.
struct Table {
    /// Index + 1; zero is free. A power of two, at most half full.
    slots: Vec<u32>,
}

impl Table {
    /// For at most so many entries.
    fn new(entries_max: usize) -> Table {
        Table { slots: vec![0; (entries_max * 2).next_power_of_two().max(2)] }
    }

    /// The entry at this place for which `is_it` holds; if there is none, `new` is it from now on.
    #[inline]
    fn find_or_insert(&mut self, place: u64, new: usize, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = place as usize & mask;
        loop {
            match self.slots[at] {
                0 => {
                    self.slots[at] = new as u32 + 1;
                    return None;
                }
                entry if is_it(entry as usize - 1) => return Some(entry as usize - 1),
                _ => at = (at + 1) & mask,
            }
        }
    }
}

fn record_batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), false);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(schema), arrays).expect("columns of one length, none with nulls")
}

#[cfg(test)]
mod tests;
