//! What is in a table, read from the batches that a sink sends: by the columns' names, as a server would.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Int32Type, TimestampMillisecondType, TimestampSecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};

use crate::answers::{Group, minute_of};
use crate::records::Event;

/// A table of the twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The events.
    Events,
    /// First sightings, the rollup of new users.
    FirstSeen,
    /// The rollup of orders.
    Gmv,
    /// The rollup of views.
    PvUv,
    /// Records that could not be loaded.
    DeadLetters,
    /// One row a slice.
    Ledger,
    /// Which slice has an event.
    Claims,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 7] =
        [Table::Events, Table::FirstSeen, Table::Gmv, Table::PvUv, Table::DeadLetters, Table::Ledger, Table::Claims];

    /// The rollups.
    pub const ROLLUPS: [Table; 3] = [Table::FirstSeen, Table::Gmv, Table::PvUv];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::FirstSeen => "new_users_first_seen",
            Table::Gmv => "gmv_minutes",
            Table::PvUv => "pv_uv_minutes",
            Table::DeadLetters => "dead_letters",
            Table::Ledger => "ledger",
            Table::Claims => "events_claims",
        }
    }

    /// The table of that name.
    pub fn named(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerRow {
    /// Which slice.
    pub slice: u64,
    /// By what the slices of its content are found.
    pub head: u64,
    /// Digest of what stands before it.
    pub before: u64,
    /// Digest of that and of itself.
    pub after: u64,
    /// Its range.
    pub start: u64,
    /// Just past it.
    pub end: u64,
    /// Its records.
    pub records: u64,
    /// Those that are events.
    pub loaded: u64,
    /// Those that are dead letters.
    pub dead: u64,
    /// Those that were dropped.
    pub filtered: u64,
    /// Those whose events were stored already.
    pub duplicates: u64,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadRow {
    /// Its slice.
    pub slice: u64,
    /// Position in it.
    pub row: u32,
    /// Offset in the source.
    pub offset: u64,
    /// Reason's name.
    pub reason: String,
    /// The record's bytes.
    pub record: Vec<u8>,
}

/// A claim to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRow {
    /// First part of the key.
    pub hour: u32,
    /// The rest of it.
    pub key: [u8; 16],
    /// Whose it is.
    pub slice: u64,
    /// Number of the block that it came in, from 1 on; 0 before it has come.
    pub block: u64,
}

/// A row of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Of the events, with its slice and its position in it.
    Event {
        /// What it says.
        event: Event,
        /// `_slice`.
        slice: u64,
        /// `_row`.
        row: u32,
    },
    /// Of the first sightings: product, user, time and channel.
    FirstSeen(String, u64, i64, String),
    /// Of the orders: group, orders, amount, buyers.
    Gmv(Group, u64, i128, BTreeSet<u64>),
    /// Of the views: group, views, visitors.
    PvUv(Group, u64, BTreeSet<u64>),
    /// Of a rollup by minute: this slice is counted on this day.
    Marker(u64, i64),
    /// A dead letter.
    Dead(DeadRow),
    /// Of the ledger.
    Ledger(LedgerRow),
    /// Of the claims.
    Claim(ClaimRow),
}

impl Row {
    /// The partition that it is in: events and rollups by minute are kept by day.
    pub fn partition(&self) -> i64 {
        let minute = match self {
            Row::Event { event, .. } => minute_of(event.ts_ms),
            Row::Gmv((_, _, minute), ..) | Row::PvUv((_, _, minute), ..) => *minute,
            Row::Marker(_, day) => return *day,
            Row::FirstSeen(..) | Row::Dead(_) | Row::Ledger(_) | Row::Claim(_) => return 0,
        };
        minute.div_euclid(24 * 60)
    }
}

/// The rows of a batch for this table. An error names what a server would refuse.
pub(super) fn read(table: Table, batch: &RecordBatch) -> Result<Vec<Row>, String> {
    let columns = Columns(batch);
    (0..batch.num_rows()).map(|row| columns.row(table, row)).collect()
}

struct Columns<'b>(&'b RecordBatch);

impl Columns<'_> {
    fn row(&self, table: Table, row: usize) -> Result<Row, String> {
        if matches!(table, Table::Gmv | Table::PvUv) && self.u64("_slice", row)? != 0 {
            return self.marker(table, row);
        }
        Ok(match table {
            Table::Events => {
                Row::Event { event: self.event(row)?, slice: self.u64("_slice", row)?, row: self.u32("_row", row)? }
            }
            Table::FirstSeen => {
                let first = self.column("first")?.as_struct();
                let time = first.column_by_name("_time").ok_or("no time in `first`")?;
                let channel = first.column_by_name("channel").ok_or("no channel in `first`")?;
                let time = time.as_primitive::<TimestampMillisecondType>().value(row);
                Row::FirstSeen(self.text("product", row)?, self.u64("user", row)?, time, text_of(channel, row))
            }
            Table::Gmv => {
                let amount = self.column("amount")?.as_primitive::<Decimal128Type>().value(row);
                Row::Gmv(self.group(row)?, self.u64("orders", row)?, amount, self.distinct("buyers", row)?)
            }
            Table::PvUv => Row::PvUv(self.group(row)?, self.u64("pv", row)?, self.distinct("uv", row)?),
            Table::DeadLetters => Row::Dead(DeadRow {
                slice: self.u64("slice", row)?,
                row: self.u32("row", row)?,
                offset: self.u64("offset", row)?,
                reason: self.text("reason", row)?,
                record: self.column("record")?.as_binary::<i32>().value(row).to_vec(),
            }),
            Table::Claims => Row::Claim(ClaimRow {
                hour: self.u32("hour", row)?,
                key: self.column("key")?.as_fixed_size_binary().value(row).try_into().map_err(|_| "not 16 bytes")?,
                slice: self.u64("slice", row)?,
                block: 0,
            }),
            Table::Ledger => Row::Ledger(LedgerRow {
                slice: self.u64("slice", row)?,
                head: self.u64("head", row)?,
                before: self.u64("before", row)?,
                after: self.u64("after", row)?,
                start: self.u64("start", row)?,
                end: self.u64("end", row)?,
                records: self.u64("records", row)?,
                loaded: self.u64("loaded", row)?,
                dead: self.u64("dead", row)?,
                filtered: self.u64("filtered", row)?,
                duplicates: self.u64("duplicates", row)?,
            }),
        })
    }

    /// A row that says which slice is counted. It must count nothing itself.
    fn marker(&self, table: Table, row: usize) -> Result<Row, String> {
        let (product, channel, minute) = self.group(row)?;
        let nothing = match table {
            Table::Gmv => {
                let amount = self.column("amount")?.as_primitive::<Decimal128Type>().value(row);
                (self.u64("orders", row)?, amount) == (0, 0) && self.distinct("buyers", row)?.is_empty()
            }
            _ => self.u64("pv", row)? == 0 && self.distinct("uv", row)?.is_empty(),
        };
        match nothing && product.is_empty() && channel.is_empty() && minute.rem_euclid(24 * 60) == 0 {
            true => Ok(Row::Marker(self.u64("_slice", row)?, minute.div_euclid(24 * 60))),
            false => Err(format!("a marker of {product}, {channel} and {minute} that counts: {}", !nothing)),
        }
    }

    fn event(&self, row: usize) -> Result<Event, String> {
        let amount = self.column("amount")?.as_primitive::<Decimal128Type>();
        Ok(Event {
            number: self.u64("number", row)?,
            ts_ms: self.column("ts")?.as_primitive::<TimestampMillisecondType>().value(row),
            product: self.text("product", row)?,
            channel: self.text("channel", row)?,
            event: self.text("event", row)?,
            user: self.u64("user", row)?,
            cents: amount.is_valid(row).then(|| amount.value(row)),
        })
    }

    fn group(&self, row: usize) -> Result<Group, String> {
        let minute = self.column("minute")?.as_primitive::<TimestampSecondType>().value(row);
        Ok((self.text("product", row)?, self.text("channel", row)?, minute.div_euclid(60)))
    }

    fn column(&self, name: &str) -> Result<&dyn Array, String> {
        self.0.column_by_name(name).map(|column| &**column).ok_or_else(|| format!("there is no column `{name}`"))
    }

    fn u64(&self, name: &str, row: usize) -> Result<u64, String> {
        Ok(self.column(name)?.as_primitive::<UInt64Type>().value(row))
    }

    fn u32(&self, name: &str, row: usize) -> Result<u32, String> {
        Ok(self.column(name)?.as_primitive::<UInt32Type>().value(row))
    }

    fn text(&self, name: &str, row: usize) -> Result<String, String> {
        Ok(text_of(self.column(name)?, row))
    }

    /// The values of a `uniqExact` state of 64-bit numbers: how many there are, as a LEB128 number, then each.
    fn distinct(&self, name: &str, row: usize) -> Result<BTreeSet<u64>, String> {
        let state = self.column(name)?.as_binary::<i32>().value(row);
        let (mut count, mut shift, mut at) = (0_usize, 0, 0);
        loop {
            let byte = *state.get(at).ok_or("a state without its length")?;
            at += 1;
            count |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (values, rest) = state[at..].as_chunks::<8>();
        if values.len() != count || !rest.is_empty() {
            return Err(format!("a state of {count} values has {} bytes", state.len()));
        }
        Ok(values.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }
}

fn text_of(column: &dyn Array, row: usize) -> String {
    match column.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => {
            let key = dictionary.keys().value(row) as usize;
            dictionary.values().as_string::<i32>().value(key).to_owned()
        }
        None => column.as_string::<i32>().value(row).to_owned(),
    }
}
