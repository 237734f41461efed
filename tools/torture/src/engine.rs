//! An engine as a service runs it, stepped: a feed, a decoder and a sink for each config, slices that are being stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_core::config::{Config, Env as Variables, KafkaMessages, parse};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::slice::{CutAt, SliceId};
use longshore_ingest::cut::{CutOptions, stream_of};
use longshore_ingest::feed::{Feed, PlannedSlice, Room};
use longshore_ingest::files::{FileFeed, FileFeedOptions, LookUp, known_sources};
use longshore_ingest::journal::{ConfigHash, Journal, Machine, Options as JournalOptions};
use longshore_ingest::kafka::KafkaOptions;
use longshore_ingest::kafka::plan::CutRule;
use longshore_ingest::known::KnownSlice;
use longshore_ingest::sink::{Attempts, LoadedSlice, RejectedRow, Sink as _, SinkError, Stored};
use longshore_sinks::clickhouse::{ClickHouseSink, Store};

use crate::clickhouse::{Connection, Row, Server, Table};
use crate::disk::LivingDisk;
use crate::env::{Call, Env, Life, lock};
use crate::files::{Folder, FollowedFolder};
use crate::records::LONG_BYTES;

/// A bug that is put in on purpose, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Each insert has a token of its own, so that none is recognised.
    TokenRemoved,
    /// A slice is reported as done when it is planned, before its inserts are acknowledged.
    DoneBeforeStored,
    /// One slice in doubt is taken for stored at each start.
    DoubtSkipped,
    /// Slices in doubt are processed under the config of the day instead of their own.
    ConfigForgotten,
    /// The server remembers too few tokens for what is under way.
    WindowTooSmall,
    /// After an attempt that failed a slice is sent again without looking what is there.
    SentAgainBlindly,
    /// A server that loses power loses claims.
    ClaimsNotSynced,
    /// A slice in doubt is decoded by the clock of the day instead of the moment at which it was cut.
    ClockForgotten,
    /// A slice's markers in a rollup are another insert than its rows.
    MarkerElsewhere,
    /// Of all days that a slice touches the marker of the first one is looked up.
    MarkerOfOneDay,
}

/// Bytes of a slice at most.
const SLICE_BYTES: usize = 700;
/// A slice that is not full is cut after this.
const SLICE_AGE: Duration = Duration::from_millis(800);
/// Slices that an engine holds at most.
const SLICES_MAX: usize = 4;

/// How a slice was planned, as an oracle sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Under which config.
    pub config: ConfigHash,
    /// When it was cut.
    pub cut_ms: Option<i64>,
}

/// How each slice was planned first.
pub type Plans = Arc<Mutex<BTreeMap<SliceId, Planned>>>;

/// What an engine runs on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Where the journal is.
    pub disk: LivingDisk,
    /// What is followed.
    pub folder: Folder,
    /// What is stored in.
    pub server: Server,
    /// What the engine planned; it only writes to it.
    pub plans: Plans,
}

/// What processes slices of one config.
struct Processing {
    decoder: Decoder,
    scratch: Scratch,
    sink: ClickHouseSink<Connection>,
}

/// A slice that is being stored.
struct Held {
    planned: PlannedSlice,
    /// Not sent again before this.
    retry_at: Duration,
    attempts: Attempts,
}

/// Texts of configs that slices may be of, where engines find them: the journal's, or those in ClickHouse.
pub type Configs = Arc<Mutex<BTreeMap<ConfigHash, String>>>;

/// A running engine.
pub struct Engine<F> {
    env: Env,
    feed: F,
    plans: Plans,
    configs: Configs,
    connection: Connection,
    processing: BTreeMap<ConfigHash, Processing>,
    config: ConfigHash,
    held: Vec<Held>,
    /// What the sink rejected of slices that are read again.
    rejected: BTreeMap<SliceId, Vec<RejectedRow>>,
    /// The ledger was asked about what is in doubt.
    settled: bool,
    /// Slices are compared with a moment that nothing remembers.
    unplanned: bool,
    bug: Option<Bug>,
}

/// Tells what is stored of new files, at once or late.
struct Ledger {
    server: Server,
    env: Env,
    life: Life,
    heads: Option<Vec<u64>>,
}

impl LookUp for Ledger {
    fn ask(&mut self, heads: Vec<u64>) {
        self.heads = Some(heads);
    }

    fn answer(&mut self) -> Option<Vec<KnownSlice>> {
        if self.life.call() != Call::Made || !self.server.is_up() || self.env.fault("an answer is late", 4) {
            return None;
        }
        let heads = self.heads.take()?;
        let known = |row: Row| match row {
            Row::Ledger(row) if heads.contains(&row.head) => Some(KnownSlice {
                id: SliceId(row.slice),
                stream: stream_of("events"),
                head: row.head,
                length: row.end - row.start,
                before: row.before,
                after: row.after,
            }),
            _ => None,
        };
        Some(self.server.rows(Table::Ledger).into_iter().filter_map(known).collect())
    }
}

/// The engine is gone, by its own end or a failure that it does not go on after.
#[derive(Debug)]
pub struct Ended;

impl Engine<FileFeed<LivingDisk, FollowedFolder>> {
    /// Starts one over what is durable.
    pub fn start(env: &Env, ground: Ground, config_text: &str, bug: Option<Bug>) -> Result<Self, Ended> {
        let Ground { disk, folder, server, plans } = ground;
        let life = disk.life.clone();
        let mut options = JournalOptions::new(Machine::named("torture"));
        options.segment_bytes = 2_000;
        let (journal, recovered) = Journal::open_on(disk, options).map_err(|error| ended(env, &error))?;
        let known = known_sources(&recovered).map_err(|error| ended(env, &error))?;
        let files = FollowedFolder::follow(&folder, life.clone(), &known);
        let ledger = Ledger { server: server.clone(), env: env.clone(), life: life.clone(), heads: None };
        let cutting =
            FileFeedOptions { slice_age: SLICE_AGE, cut_options: Box::new(cut_options), look_up: Box::new(ledger) };
        let feed = FileFeed::new(journal, &recovered, files, cutting).map_err(|error| ended(env, &error))?;
        let feed = feed.with_clock(env.wall_clock());
        let connection = Connection { server, life, bug };
        env.note(format_args!("an engine starts, {} slices in doubt", recovered.in_doubt.len()));
        let configs = Arc::new(Mutex::new(recovered.configs));
        Engine::over(env, feed, (plans, configs), connection, config_text, bug)
    }

    /// Slices that the journal holds for not stored.
    pub fn open_slices(&self) -> usize {
        self.feed.journal().in_doubt_count()
    }
}

/// How the messages of a topic are cut into slices of a few records.
pub fn topic_options() -> KafkaOptions {
    KafkaOptions {
        rule: CutRule { messages: KafkaMessages::Record, record_bytes_max: LONG_BYTES as u32 },
        slice_bytes: SLICE_BYTES,
        records_max: 100,
        slice_age: SLICE_AGE,
        held_bytes_max: 6 * SLICE_BYTES,
    }
}

impl<F: Feed> Engine<F> {
    /// One over a feed, which has to plan under this config.
    pub fn over(
        env: &Env,
        mut feed: F,
        (plans, configs): (Plans, Configs),
        connection: Connection,
        config_text: &str,
        bug: Option<Bug>,
    ) -> Result<Self, Ended> {
        let config = feed.set_config(config_text).map_err(|error| ended(env, &error))?;
        lock(&configs).insert(config, config_text.to_owned());
        env.note(format_args!("its config is {config}"));
        Ok(Engine {
            env: env.clone(),
            feed,
            plans,
            configs,
            connection,
            processing: BTreeMap::new(),
            config,
            held: Vec::new(),
            rejected: BTreeMap::new(),
            settled: false,
            unplanned: false,
            bug,
        })
    }

    /// The same whose slices are compared with a moment that nothing remembers, as those of a load are.
    pub fn unplanned(mut self, unplanned: bool) -> Self {
        self.unplanned = unplanned;
        self
    }

    /// The config is another from now on.
    pub fn reload(&mut self, config_text: &str) -> Result<(), Ended> {
        lock(&self.configs).insert(ConfigHash::of(config_text), config_text.to_owned());
        self.config = self.feed.set_config(config_text).map_err(|error| ended(&self.env, &error))?;
        self.env.note(format_args!("the config is {} from now on", self.config));
        Ok(())
    }

    /// Takes new slices.
    pub fn read(&mut self) -> Result<(), Ended> {
        if !self.settled && !self.settle()? {
            return Ok(());
        }
        let room = Room { slices: SLICES_MAX.saturating_sub(self.held.len()), bytes: usize::MAX };
        let mut planned = Vec::new();
        let now = self.env.now();
        let stepped = self.feed.step(now, Duration::ZERO, room, &mut planned);
        stepped.map_err(|error| ended(&self.env, &error))?;
        for mut planned in planned {
            self.env.note(format_args!(
                "planned {} of {}, {} to {}, in doubt: {}",
                planned.meta.id, planned.meta.source, planned.meta.start, planned.meta.end, planned.in_doubt
            ));
            let cut_ms = match planned.slice.cut {
                CutAt::Planned(cut_ms) => Some(cut_ms),
                CutAt::Unknown | CutAt::Backfill(_) => None,
            };
            let plan = Planned { config: planned.config, cut_ms };
            lock(&self.plans).entry(planned.meta.id).or_insert(plan);
            if self.unplanned {
                planned.slice.cut = CutAt::Backfill(self.env.wall_ms());
            }
            if self.bug == Some(Bug::ClockForgotten) && planned.in_doubt {
                planned.slice.cut = CutAt::Planned(self.env.wall_ms());
            }
            if self.bug == Some(Bug::DoneBeforeStored) {
                self.feed.done(planned.ticket).map_err(|error| ended(&self.env, &error))?;
            }
            if self.bug == Some(Bug::ConfigForgotten) {
                planned.config = self.config;
            }
            let attempts = Attempts::new(planned.in_doubt);
            self.held.push(Held { planned, retry_at: now, attempts });
        }
        Ok(())
    }

    /// Asks the ledger about the slices in doubt. False if there was no answer.
    fn settle(&mut self) -> Result<bool, Ended> {
        let in_doubt = self.feed.in_doubt();
        let Ok(mut whole) = self.connection.whole_slices(&in_doubt) else { return Ok(false) };
        self.env.note(format_args!("{} of {} slices in doubt are in the ledger", whole.len(), in_doubt.len()));
        if self.bug == Some(Bug::DoubtSkipped) {
            whole.extend(in_doubt.first());
        }
        self.feed.settle(&|slice| whole.contains(&slice)).map_err(|error| ended(&self.env, &error))?;
        self.settled = true;
        Ok(true)
    }

    /// Sends one of the slices that are due.
    pub fn store(&mut self) -> Result<(), Ended> {
        let now = self.env.now();
        let due: Vec<usize> = (0..self.held.len()).filter(|&at| self.held[at].retry_at <= now).collect();
        if due.is_empty() {
            return Ok(());
        }
        let at = *self.env.pick(&due);
        if !self.held[at].planned.lease.held() {
            self.env.note(format_args!("{} is another engine's now", self.held[at].planned.meta.id));
            self.held.swap_remove(at);
            return Ok(());
        }
        match self.attempt(at) {
            Ok(_) => {
                let held = self.held.swap_remove(at);
                self.rejected.remove(&held.planned.meta.id);
                if self.bug != Some(Bug::DoneBeforeStored) {
                    self.feed.done(held.planned.ticket).map_err(|error| ended(&self.env, &error))?;
                }
                Ok(())
            }
            // What it waits for may be what there is no room for.
            Err(SinkError::Behind { .. }) if self.held.len() >= SLICES_MAX => {
                self.give_back(at, now + Duration::from_secs(1 + self.env.below(5) as u64))
            }
            // Somebody would have to look, and others go ahead.
            Err(SinkError::Stuck { detail }) if self.held.len() >= SLICES_MAX => {
                self.env.note(format_args!("stuck: {detail}"));
                self.give_back(at, now + Duration::from_secs(15))
            }
            // Its records are needed once more.
            Err(SinkError::Isolate { .. }) => self.give_back(at, now),
            Err(SinkError::Retry { .. } | SinkError::Behind { .. }) => {
                self.held[at].retry_at = now + Duration::from_millis(1 + self.env.below(2_000) as u64);
                Ok(())
            }
            // Somebody would have to look.
            Err(error) => {
                self.env.note(format_args!("paused: {error}"));
                self.held[at].retry_at = now + Duration::from_secs(15);
                Ok(())
            }
        }
    }

    /// An attempt to store what is held there. Rows that are rejected are remembered, for when the slice is read again.
    fn attempt(&mut self, at: usize) -> Result<Stored, SinkError> {
        let Held { planned: PlannedSlice { slice, meta, config, in_doubt, .. }, attempts, .. } = &self.held[at];
        let mut attempts = match self.bug {
            Some(Bug::SentAgainBlindly) => Attempts::new(*in_doubt),
            _ => *attempts,
        };
        self.env.note(format_args!("{attempts:?} of {}", meta.id));
        let (config, meta, slice) = (*config, meta.clone(), slice.clone());
        let rows = self.rejected.get(&meta.id).cloned().unwrap_or_default();
        let processing = self.processing(config);
        let decoded = processing.decoder.decode(&slice, &mut processing.scratch);
        let rejected = processing.decoder.dead_letters(&slice, &rows);
        let loaded = LoadedSlice { meta, decoded, rejected };
        let mut outcome = attempts.make(&processing.sink, &loaded);
        if let Err(SinkError::Isolate { .. }) = outcome {
            match processing.sink.rejected(&loaded) {
                Ok(rows) => drop(self.rejected.insert(loaded.meta.id, rows)),
                Err(error) => outcome = Err(error),
            }
        }
        self.held[at].attempts = attempts;
        outcome
    }

    /// What is held there is read again.
    fn give_back(&mut self, at: usize, due: Duration) -> Result<(), Ended> {
        let planned = self.held.swap_remove(at).planned;
        self.env.note(format_args!("{} goes back to its feed", planned.meta.id));
        self.feed.again(planned.ticket, due).map_err(|error| ended(&self.env, &error))
    }

    fn processing(&mut self, hash: ConfigHash) -> &mut Processing {
        let Engine { env, processing, configs, connection, .. } = self;
        processing.entry(hash).or_insert_with(|| {
            let text = lock(configs).get(&hash).cloned().expect("the config of what is in doubt is kept");
            let config = read_config(&text);
            let decoder = Decoder::new(&config, None, None).expect("it needs neither keys nor a dictionary");
            let scratch = Scratch::new(&decoder);
            let sink = ClickHouseSink::unchecked(connection.clone(), &config).with_unused_tokens(env.word());
            Processing { decoder, scratch, sink }
        })
    }
}

fn read_config(text: &str) -> Config {
    let config = parse(text, Path::new("torture.toml"), &Variables::default());
    config.unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Slices of a few records, which no config may ask for.
fn cut_options(text: &str) -> Result<CutOptions, String> {
    Ok(CutOptions { slice_bytes: SLICE_BYTES, record_bytes_max: LONG_BYTES, ..CutOptions::of(&read_config(text)) })
}

fn ended(env: &Env, why: &dyn std::fmt::Display) -> Ended {
    env.note(format_args!("the engine ends: {why}"));
    Ended
}
