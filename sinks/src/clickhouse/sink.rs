//! Storing a slice: its rows, what it adds to the rollups, its dead letters, and last its ledger row, each under a token
//! made of the slice's id.
//!
//! The ledger row comes last, so a slice that is in the ledger is whole. Each of the inserts is repeated harmlessly, so
//! the slice as a whole is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use longshore_core::config::{Config, FilledBy};
use longshore_core::dead_letter::DeadLetter;
use longshore_core::slice::SliceId;
use longshore_ingest::known::KnownSlice;
use longshore_ingest::sink::{LoadedSlice, RejectedRow, Sink, SinkError, SliceMeta, Stored};

use super::acknowledged::Acknowledged;
use super::claims::Claims;
use super::client::ClickHouse;
use super::counted::Probe;
use super::ddl::{DEAD_LETTERS, LEDGER};
use super::error::{ClientError, Rows};
use super::life::Life;
use super::partials::Partials;
use super::store::Store;

/// What an insert of a slice is, which stands behind the slice's id in its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    /// Tokens are remembered table by table, so that rollups share one.
    Rollup,
    DeadLetters,
    Ledger,
}

impl Kind {
    const fn letter(self) -> char {
        match self {
            Kind::Events => 'e',
            Kind::Rollup => 'r',
            Kind::DeadLetters => 'd',
            Kind::Ledger => 'l',
        }
    }

    const fn rows(self) -> Rows {
        match self {
            Kind::Events => Rows::Events,
            Kind::Rollup | Kind::DeadLetters | Kind::Ledger => Rows::Ours,
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
    /// What slices add to the rollups. Where ClickHouse fills them, it is sent only if that was cut off; none if there are
    /// no rollups, or the server keeps their states in a form of its own.
    pub(super) partials: Option<Arc<Partials>>,
    /// For each rollup, how to find out what it has counted.
    pub(super) probes: Arc<[Option<Probe>]>,
    /// Rollups that have acknowledged slices which are not whole yet.
    pub(super) acknowledged: Arc<Acknowledged>,
    /// If an event that is sent twice counts once.
    pub(super) claims: Option<Arc<Claims>>,
    /// ClickHouse fills the rollups itself.
    pub(super) by_views: bool,
    /// What the tokens of this run end in; empty unless slices are to be stored again on purpose.
    run: String,
    /// The number of the next token that nobody has used, for rows that may be there any number of times.
    unused: Arc<AtomicU64>,
}

impl ClickHouseSink {
    /// A sink into the tables of this config, after asking the server whether it keeps distinct values as we do. That it
    /// takes the settings of an insert is for the [preflight](super::preflight()) to find out.
    ///
    /// With `reload`, slices that ClickHouse has already are stored once more: the tokens are of this run alone.
    pub fn new(clickhouse: &ClickHouse, config: &Config, reload: bool) -> Result<Self, ClientError> {
        let partials = Partials::new(clickhouse, config)?.map(Arc::new);
        let run = if reload { format!("-{:016x}", rand::random::<u64>()) } else { String::new() };
        Ok(Self { run, ..Self::with(clickhouse.clone(), config, partials) }.with_unused_tokens(rand::random()))
    }

    /// The stored slices of these sources.
    pub fn known_slices(&self, source_ids: &[u64]) -> Result<Vec<KnownSlice>, ClientError> {
        self.store.known_slices(source_ids)
    }
}

impl<S: Store> ClickHouseSink<S> {
    /// A sink into the tables of this config in any store, which is asked nothing.
    pub fn unchecked(store: S, config: &Config) -> Self {
        let partials = Partials::unchecked(config).map(Arc::new);
        Self::with(store, config, partials)
    }

    fn with(store: S, config: &Config, partials: Option<Arc<Partials>>) -> Self {
        ClickHouseSink {
            store,
            events: config.table.name.clone(),
            time: config.table.time.clone(),
            product: config.products.column_name().to_owned(),
            partials,
            probes: Probe::of(config).into(),
            acknowledged: Arc::new(Acknowledged::of(config)),
            claims: Claims::of(config).map(Arc::new),
            by_views: config.clickhouse.rollups == FilledBy::Views && !config.rollups.is_empty(),
            run: String::new(),
            unused: Arc::default(),
        }
    }

    /// Where this sink needs a token that was never used, it takes the numbers from this one on. Two sinks should begin far
    /// apart.
    pub fn with_unused_tokens(self, from: u64) -> Self {
        self.unused.store(from, Ordering::Relaxed);
        self
    }

    /// Slices are stored again on purpose: tokens of a run of its own are nobody else's, and what is there says nothing.
    pub(super) fn stores_again(&self) -> bool {
        !self.run.is_empty()
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
        self.insert_again(table, kind, 0, slice, batch)
    }

    /// An insert whose rows were sent under so many tokens before, none of which made them be there.
    pub(super) fn insert_again(
        &self,
        table: &str,
        kind: Kind,
        generation: u64,
        slice: SliceId,
        batch: &RecordBatch,
    ) -> Result<(), SinkError> {
        let generation = if generation == 0 { String::new() } else { generation.to_string() };
        let token = format!("{slice}-{}{generation}{}", kind.letter(), self.run);
        self.store.insert(table, &token, batch).map_err(|error| {
            error.into_sink_error(&format!("insert into `{}`.`{table}`", self.store.database()), kind.rows())
        })
    }
}

impl<S: Store> ClickHouseSink<S> {
    /// The server's life in which a slice is stored. What another one acknowledged is not relied on.
    pub(super) fn begin(&self) -> Result<Life, SinkError> {
        let life = self.life()?;
        if let Some(partials) = &self.partials {
            partials.lives(life);
        }
        self.acknowledged.server_is(life.server);
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
        for (rollup, insert) in partials.inserts(&slice.decoded.batch).iter().enumerate() {
            self.insert(partials.table(insert), Kind::Rollup, slice.meta.id, &insert.rows)?;
            self.acknowledged.add(slice.meta.id, rollup, insert.server());
            partials.acknowledge(insert);
        }
        Ok(())
    }
}

impl<S: Store> Sink for ClickHouseSink<S> {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let life = self.begin()?;
        let (slice, stored) = self.claim(slice)?;
        let (slice, rejected) = self.without_rejected(slice)?;
        let slice = &*slice;
        let id = slice.meta.id;
        let events = &slice.decoded.batch;
        self.insert(&self.events, Kind::Events, id, events)?;
        match self.by_views {
            true => (0..self.probes.len()).for_each(|rollup| self.acknowledged.add(id, rollup, life.server)),
            false => self.send_rollups(slice)?,
        }
        // Dead letters that are there tell that the rollups have all.
        self.demand_alive(life)?;
        self.insert(DEAD_LETTERS, Kind::DeadLetters, id, &dead_letter_batch(slice))?;
        self.demand_alive(life)?;
        self.insert(LEDGER, Kind::Ledger, id, &ledger_batch(slice, slice.rejected.len() as u64))?;
        self.acknowledged.forget(id);
        Ok(Stored { rejected, ..stored })
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        if self.stores_again() {
            return self.write(slice);
        }
        // Its claims may be gone by now.
        let id = slice.meta.id;
        if self.is_whole(slice)? {
            self.acknowledged.forget(id);
            return Ok(Stored::default());
        }
        let (slice, stored) = self.claim(slice)?;
        let (slice, rejected) = self.set_aside(slice)?;
        self.complete(&slice, rejected.iter().map(|(_, rows)| rows).sum())?;
        self.acknowledged.forget(id);
        Ok(Stored { rejected, ..stored })
    }

    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        self.find_rejected(slice)
    }
}

/// The slice's dead letters, those of rejected rows too, columns as in the dead-letter table.
pub(super) fn dead_letter_batch(slice: &LoadedSlice) -> RecordBatch {
    let dead: Vec<&DeadLetter> = slice.decoded.dead.iter().chain(&slice.rejected).collect();
    let slices = UInt64Array::from_value(slice.meta.id.0, dead.len());
    let source = StringArray::from_iter_values(std::iter::repeat_n(&*slice.meta.source, dead.len()));
    batch([
        ("slice", Arc::new(slices) as ArrayRef),
        ("row", Arc::new(UInt32Array::from_iter_values(dead.iter().map(|letter| letter.row)))),
        ("source", Arc::new(source)),
        ("offset", Arc::new(UInt64Array::from_iter_values(dead.iter().map(|letter| letter.offset)))),
        ("length", Arc::new(UInt64Array::from_iter_values(dead.iter().map(|letter| letter.length)))),
        ("reason", Arc::new(StringArray::from_iter_values(dead.iter().map(|letter| letter.fault.reason.name())))),
        (
            "column",
            Arc::new(StringArray::from_iter_values(
                dead.iter().map(|letter| letter.fault.column.as_deref().unwrap_or("")),
            )),
        ),
        ("detail", Arc::new(StringArray::from_iter_values(dead.iter().map(|letter| &letter.fault.detail)))),
        ("record", Arc::new(BinaryArray::from_iter_values(dead.iter().map(|letter| &letter.record)))),
    ])
}

/// The slice's row of the ledger. So many rows are not in it any more because they were rejected.
pub(super) fn ledger_batch(slice: &LoadedSlice, rejected: u64) -> RecordBatch {
    let SliceMeta { id, source, source_id, start, end, hash } = &slice.meta;
    let decoded = &slice.decoded;
    let count = |value: u64| Arc::new(UInt64Array::from_value(value, 1)) as ArrayRef;
    batch([
        ("slice", count(id.0)),
        ("source_id", count(*source_id)),
        ("source", Arc::new(StringArray::from_iter_values([&**source]))),
        ("start", count(*start)),
        ("end", count(*end)),
        ("bytes", count(end - start)),
        ("hash", count(*hash)),
        ("records", count(decoded.records)),
        ("loaded", count(decoded.batch.num_rows() as u64)),
        ("dead", count(decoded.dead.len() as u64 + rejected)),
        ("filtered", count(decoded.filtered)),
        ("duplicates", count(decoded.duplicates)),
    ])
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length, one for each row of the slice")
}
