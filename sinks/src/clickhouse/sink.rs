//! Storing a slice: its rows, what it adds to the rollups, its dead letters, and last its ledger row, each under a token
//! made of the slice's id.
//!
//! The ledger row comes last, so a slice that is in the ledger is whole. Each of the inserts is repeated harmlessly, so
//! the slice as a whole is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::builder::{BinaryBuilder, ListBuilder, StringBuilder, StringDictionaryBuilder, UInt64Builder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field};
use longshore_core::config::Config;
use longshore_core::dead_letter::{DeadLetter, Reason};
use longshore_core::limits::ASIDE_DAYS_MIN;
use longshore_core::slice::SliceId;
use longshore_ingest::known::KnownSlice;
use longshore_ingest::sink::{LoadedSlice, RejectedRow, Sink, SinkError, SliceMeta, Stored};

use super::claims::Claims;
use super::client::ClickHouse;
use super::completion;
use super::days::{self, Days};
use super::ddl::{DEAD_LETTERS, LEDGER};
use super::error::{ClientError, Rows};
use super::life::Life;
use super::markers::{MINUTE, with_markers};
use super::partials::Partials;
use super::resume::Gone;
use super::schema::Schema;
use super::store::Store;
use super::work::work;

/// What an insert of a slice is, which stands behind the slice's id in its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    /// Tokens are remembered table by table, so that rollups share one.
    Rollup,
    /// Dead letters whose event times are too far away: they decide which rows the slice has.
    EventTimes,
    DeadLetters,
    Ledger,
}

/// An insert of a slice: what follows from it is its token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) table: &'a str,
    pub(super) kind: Kind,
    /// So many tokens were used before, none of which made the rows be there.
    pub(super) generation: u64,
    /// The number of its days' group, of a slice of many days.
    pub(super) group: usize,
}

impl<'a> Sending<'a> {
    pub(super) fn of(table: &'a str, kind: Kind) -> Sending<'a> {
        Sending { table, kind, generation: 0, group: 0 }
    }

    pub(super) fn group(self, group: usize) -> Self {
        Sending { group, ..self }
    }

    fn token(self, slice: SliceId) -> String {
        let nonzero = |number: String, nothing: bool| if nothing { String::new() } else { number };
        let generation = nonzero(self.generation.to_string(), self.generation == 0);
        let group = nonzero(format!(".{}", self.group), self.group == 0);
        format!("{slice}-{}{generation}{group}", self.kind.letter())
    }
}

impl Kind {
    const fn letter(self) -> char {
        match self {
            Kind::Events => 'e',
            Kind::Rollup => 'r',
            Kind::EventTimes => 't',
            Kind::DeadLetters => 'd',
            Kind::Ledger => 'l',
        }
    }

    const fn rows(self) -> Rows {
        match self {
            Kind::Events => Rows::Events,
            Kind::Rollup | Kind::EventTimes | Kind::DeadLetters | Kind::Ledger => Rows::Ours,
        }
    }
}

/// Stores slices in a ClickHouse whose tables were checked, or in a twin of one.
#[derive(Debug, Clone)]
pub struct ClickHouseSink<S: Store = ClickHouse> {
    store: S,
    pub(super) events: String,
    /// The column of the event time.
    pub(super) time: String,
    /// The column of the product.
    pub(super) product: String,
    /// What slices add to the rollups; none if there are no rollups.
    pub(super) partials: Option<Arc<Partials>>,
    /// What ledger rows call the rollups.
    pub(super) rollups: Arc<[u64]>,
    /// If an event that is sent twice counts once.
    pub(super) claims: Option<Arc<Claims>>,
    /// The number of the next token that nobody has used, for rows that may be there any number of times.
    unused: Arc<AtomicU64>,
}

impl ClickHouseSink {
    /// A sink into the tables of this config, after asking the server whether it keeps distinct values as we do. That it
    /// takes the settings of an insert is for the [preflight](super::preflight()) to find out.
    pub fn new(clickhouse: &ClickHouse, config: &Config) -> Result<Self, ClientError> {
        let ids = completion::ids(clickhouse, &Schema::from_config(config).rollups)?;
        // Of a config of before a rollup's table may be gone, or count something else now: it counts the slice later.
        let mut config = config.clone();
        let mut known = ids.iter();
        config.rollups.retain(|_| known.next().is_some_and(Option::is_some));
        let rollups = ids.into_iter().flatten().collect();
        let config = &config;
        let partials = Partials::new(clickhouse, config)?.map(Arc::new);
        Ok(Self::with(clickhouse.clone(), config, partials, rollups).with_unused_tokens(rand::random()))
    }

    /// The stored slices of contents that are found by these heads.
    pub fn known_slices(&self, heads: &[u64]) -> Result<Vec<KnownSlice>, SinkError> {
        let known = self.store.known_slices(heads);
        known.map_err(|error| error.into_sink_error("looking up what is stored", Rows::Ours))
    }
}

impl<S: Store> ClickHouseSink<S> {
    /// A sink into the tables of this config in any store, which is asked nothing.
    pub fn unchecked(store: S, config: &Config) -> Self {
        let partials = Partials::unchecked(config).map(Arc::new);
        let rollups = Schema::from_config(config).rollups.iter().map(|rollup| rollup.id("")).collect();
        Self::with(store, config, partials, rollups)
    }

    fn with(store: S, config: &Config, partials: Option<Arc<Partials>>, rollups: Arc<[u64]>) -> Self {
        ClickHouseSink {
            store,
            events: config.table.name.clone(),
            time: config.table.time.clone(),
            product: config.products.column_name().to_owned(),
            partials,
            rollups,
            claims: Claims::of(config).map(Arc::new),
            unused: Arc::default(),
        }
    }

    /// Where this sink needs a token that was never used, it takes the numbers from this one on. Two sinks should begin far
    /// apart.
    pub fn with_unused_tokens(self, from: u64) -> Self {
        self.unused.store(from, Ordering::Relaxed);
        self
    }

    /// The number of a token that nobody has used.
    pub(super) fn unused(&self) -> u64 {
        self.unused.fetch_add(1, Ordering::Relaxed)
    }

    /// What it stores in.
    pub fn store(&self) -> &S {
        &self.store
    }

    fn insert(&self, table: &str, kind: Kind, slice: SliceId, batch: &RecordBatch) -> Result<(), SinkError> {
        self.send(Sending::of(table, kind), slice, batch)
    }

    /// Inserts rows of a slice.
    pub(super) fn send(&self, sending: Sending<'_>, slice: SliceId, batch: &RecordBatch) -> Result<(), SinkError> {
        let Sending { table, kind, .. } = sending;
        self.store.insert(table, &sending.token(slice), batch).map_err(|error| {
            let too_many_parts = error.code() == Some(TOO_MANY_PARTS);
            match error.into_sink_error(&format!("insert into `{}`.`{table}`", self.store.database()), kind.rows()) {
                SinkError::Retry { detail } if too_many_parts && self.days_of(kind, batch) >= ASIDE_DAYS_MIN => {
                    SinkError::Behind { detail: format!("{detail}; the slice touches many days, and others go ahead") }
                }
                error => error,
            }
        })
    }

    /// Days that an insert touches.
    fn days_of(&self, kind: Kind, batch: &RecordBatch) -> usize {
        let time = match kind {
            Kind::Events => self.time.as_str(),
            Kind::Rollup => MINUTE,
            Kind::EventTimes | Kind::DeadLetters | Kind::Ledger => return 1,
        };
        batch.column_by_name(time).map_or(1, |_| Days::of(batch, time).count().len())
    }

    /// Inserts the groups of a slice's days, mostly one.
    fn send_all(&self, sending: Sending<'_>, slice: SliceId, inserts: &[RecordBatch]) -> Result<(), SinkError> {
        inserts.iter().enumerate().try_for_each(|(group, rows)| self.send(sending.group(group), slice, rows))
    }
}

/// ClickHouse's code for more parts in a partition, or in all, than it wants to merge.
const TOO_MANY_PARTS: u32 = 252;

impl<S: Store> ClickHouseSink<S> {
    /// The server's life in which a slice is stored. What another one acknowledged is not relied on.
    pub(super) fn begin(&self) -> Result<Life, SinkError> {
        let life = self.life()?;
        if let Some(partials) = &self.partials {
            partials.lives(life);
        }
        Ok(life)
    }

    /// Before it is written that the rollups have all of a slice, or that it is whole: what it consists of, and the users that
    /// were left out because they are known, were acknowledged by a server that still lives.
    pub(super) fn demand_alive(&self, life: Life) -> Result<(), SinkError> {
        match self.life()? == life {
            true => Ok(()),
            false => Err(SinkError::Retry {
                detail:
                    "ClickHouse was started again, or is another server, since the slice was begun: what is there is \
                         looked up"
                        .to_owned(),
            }),
        }
    }

    fn life(&self) -> Result<Life, SinkError> {
        self.store.life().map_err(|error| error.into_sink_error("asking ClickHouse since when it runs", Rows::Ours))
    }

    /// What the slice adds to each rollup, in the order of the config.
    pub(super) fn send_rollups(&self, slice: &LoadedSlice) -> Result<(), SinkError> {
        let Some(partials) = &self.partials else { return Ok(()) };
        let id = slice.meta.id;
        for mut insert in partials.inserts(&slice.decoded.batch) {
            let sending = Sending::of(partials.table(&insert), Kind::Rollup);
            let rows = insert.take_rows();
            if partials.adds(&insert) {
                let mut inserts = days::inserts(rows, Some(MINUTE)).into_iter().enumerate();
                inserts.try_for_each(|(group, rows)| self.send(sending.group(group), id, &with_markers(rows, id)))?;
            } else {
                self.send(sending, id, &rows)?;
            }
            partials.acknowledge(&insert);
        }
        Ok(())
    }
}

impl<S: Store> ClickHouseSink<S> {
    /// The slice's dead letters of these, if it has any.
    fn send_letters(&self, slice: &LoadedSlice, letters: Letters) -> Result<(), SinkError> {
        if letters.of(slice).next().is_none() {
            return Ok(());
        }
        let _permit = work(letter_bytes(slice, letters));
        self.insert(DEAD_LETTERS, letters.kind(), slice.meta.id, &letter_batch(slice, letters))
    }
}

/// Bytes of [`letter_batch`].
pub(super) fn letter_bytes(slice: &LoadedSlice, letters: Letters) -> usize {
    let letters = letters.of(slice);
    letters.map(|letter| DEAD_LETTER_ROW_BYTES + letter.record.len() + letter.fault.detail.len()).sum()
}

/// Numbers, keys and offsets of a dead letter's row.
const DEAD_LETTER_ROW_BYTES: usize = 8 + 4 + 4 + 8 + 8 + 4 + 4 + 4 + 4;

impl<S: Store> Sink for ClickHouseSink<S> {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let id = slice.meta.id;
        let life = self.begin()?;
        self.send_letters(slice, Letters::EventTimes)?;
        let (slice, stored) = self.claim(slice)?;
        let (slice, rejected) = self.without_rejected(slice)?;
        let slice = &*slice;
        let inserts = days::inserts(slice.decoded.batch.clone(), Some(&self.time));
        if inserts.len() > 1 {
            // It has more tokens than can be relied on: what an earlier run may have stored of it is looked for first.
            self.complete(slice, slice.rejected.len() as u64)?;
            return Ok(Stored { rejected, ..stored });
        }
        self.send_all(Sending::of(&self.events, Kind::Events), id, &inserts)?;
        self.send_rollups(slice)?;
        // Dead letters that are there tell that the rollups have all.
        self.demand_alive(life)?;
        self.send_letters(slice, Letters::Others)?;
        self.demand_alive(life)?;
        let row = ledger_batch(&self.events, slice, slice.rejected.len() as u64, &self.rollups);
        self.insert(LEDGER, Kind::Ledger, id, &row)?;
        Ok(Stored { rejected, ..stored })
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        // Its claims may be gone by now.
        if self.is_whole(slice)? {
            return Ok(Stored::default());
        }
        let (slice, decided) = self.decide_event_times(slice)?;
        let (slice, stored) = self.claim(&slice)?;
        let (slice, rejected) = self.set_aside(slice)?;
        let gone = Gone { rejected: rejected.iter().map(|(_, rows)| rows).sum(), event_times: decided.records };
        self.complete_decided(&slice, gone)?;
        Ok(Stored { rejected, event_times: decided.rows, ..stored })
    }

    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        self.find_rejected(slice)
    }
}

/// Which of a slice's dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    /// Those whose event times are too far away, which come first of all.
    EventTimes,
    /// The others, those of rejected rows too.
    Others,
}

impl Letters {
    fn kind(self) -> Kind {
        match self {
            Letters::EventTimes => Kind::EventTimes,
            Letters::Others => Kind::DeadLetters,
        }
    }

    fn has(self, letter: &DeadLetter) -> bool {
        (letter.fault.reason == Reason::EventTime) == (self == Letters::EventTimes)
    }

    /// These letters of a slice.
    pub(super) fn of(self, slice: &LoadedSlice) -> impl Iterator<Item = &DeadLetter> {
        slice.decoded.dead.iter().chain(&slice.rejected).filter(move |letter| self.has(letter))
    }
}

/// Dead letters of a slice, columns as in the dead-letter table.
pub(super) fn letter_batch(slice: &LoadedSlice, letters: Letters) -> RecordBatch {
    let dead: Vec<&DeadLetter> = letters.of(slice).collect();
    let slices = UInt64Array::from_value(slice.meta.id.0, dead.len());
    // Buffers that grow would be there twice.
    let detail_bytes = dead.iter().map(|letter| letter.fault.detail.len()).sum();
    let mut details = StringBuilder::with_capacity(dead.len(), detail_bytes);
    dead.iter().for_each(|letter| details.append_value(&letter.fault.detail));
    let details = details.finish();
    let record_bytes = dead.iter().map(|letter| letter.record.len()).sum();
    let mut records = BinaryBuilder::with_capacity(dead.len(), record_bytes);
    dead.iter().for_each(|letter| records.append_value(&letter.record));
    batch([
        ("slice", Arc::new(slices) as ArrayRef),
        ("row", Arc::new(UInt32Array::from_iter_values(dead.iter().map(|letter| letter.row)))),
        ("source", repeated(dead.iter().map(|_| &*slice.meta.source))),
        ("offset", Arc::new(UInt64Array::from_iter_values(dead.iter().map(|letter| letter.offset)))),
        ("length", Arc::new(UInt64Array::from_iter_values(dead.iter().map(|letter| letter.length)))),
        ("reason", repeated(dead.iter().map(|letter| letter.fault.reason.name()))),
        ("column", repeated(dead.iter().map(|letter| letter.fault.column.as_deref().unwrap_or("")))),
        ("detail", Arc::new(details)),
        ("record", Arc::new(records.finish())),
    ])
}

/// A column of few distinct texts: a key a row. A source's name is a path, and may be long.
fn repeated<'a>(texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    texts.for_each(|text| builder.append_value(text));
    Arc::new(builder.finish())
}

/// The slice's row of the ledger, with the names of the rollups that have counted it. So many rows are not in it any more
/// because they are dead letters.
pub(super) fn ledger_batch(stream: &str, slice: &LoadedSlice, gone: u64, rollups: &[u64]) -> RecordBatch {
    let SliceMeta { id, source, head, start, end, before, after } = &slice.meta;
    let decoded = &slice.decoded;
    let item = Arc::new(Field::new("item", DataType::UInt64, false));
    let mut names = ListBuilder::new(UInt64Builder::new()).with_field(item);
    names.values().append_slice(rollups);
    names.append(true);
    let count = |value: u64| Arc::new(UInt64Array::from_value(value, 1)) as ArrayRef;
    batch([
        ("slice", count(id.0)),
        ("stream", repeated(std::iter::once(stream))),
        ("head", count(*head)),
        ("source", Arc::new(StringArray::from_iter_values([&**source]))),
        ("start", count(*start)),
        ("end", count(*end)),
        ("bytes", count(end - start)),
        ("before", count(*before)),
        ("after", count(*after)),
        ("records", count(decoded.records)),
        ("loaded", count(decoded.batch.num_rows() as u64)),
        ("dead", count(decoded.dead.len() as u64 + gone)),
        ("filtered", count(decoded.filtered)),
        ("duplicates", count(decoded.duplicates)),
        ("rollups", Arc::new(names.finish())),
    ])
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length, one for each row of the slice")
}
