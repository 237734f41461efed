//! `longshore run`'s engine over followed files, with parts of its guarantee left out, to measure what they cost.
//!
//! Feed, service, decoder and sink are the product's, so that nothing else differs between two runs. What a [`Without`]
//! names is taken away at the ports that the libraries have: the journal's disk keeps nothing and syncs nothing, and the
//! store sends no tokens, or no provenance columns. The tables have to fit: the driver takes the columns and the
//! deduplication windows out of them. There is no such choice in the product.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use longshore_core::budget::{Budget, Command};
use longshore_core::config::{ClickHouseSpec, Config, ServerSpec};
use longshore_core::decode::Decoder;
use longshore_core::limits::FOLLOW_HANDLES_MAX;
use longshore_core::slice::SliceId;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::feed::{Feed, FeedError};
use longshore_ingest::files::{FileFeed, FileFeedOptions, NothingThere, SystemFiles, known_sources};
use longshore_ingest::follow::FollowOptions;
use longshore_ingest::journal::{ConfigHash, Disk, Journal, LockedDirectory, Machine, Options};
use longshore_ingest::memory::Memory;
use longshore_ingest::progress::Totals;
use longshore_ingest::retry::RetryPolicy;
use longshore_ingest::service::{self, Board, Ended, Plan, Plans, ServiceOptions};
use longshore_ingest::sink::SinkError;
use longshore_sinks::clickhouse::{ClickHouse, ClickHouseSink, Connection, Store};

use crate::engine::default_workers;

mod nothing;
mod store;

use nothing::NoDisk;
use store::Partial;

/// Parts of the guarantee that a run does without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Without {
    /// Nothing is kept of what was cut.
    pub journal: bool,
    /// Inserts have no deduplication token.
    pub tokens: bool,
    /// Rows do not say which slice they are of, and where in it they stood.
    pub provenance: bool,
}

impl Without {
    /// The parts of these names: `journal`, `tokens`, `provenance`.
    ///
    /// # Errors
    /// A name that is none of them.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Without> {
        let mut without = Without::default();
        for name in names {
            match name {
                "journal" => without.journal = true,
                "tokens" => without.tokens = true,
                "provenance" => without.provenance = true,
                _ => bail!("no part {name:?}; there are: journal, tokens, provenance"),
            }
        }
        Ok(without)
    }
}

/// How the files of one config are loaded.
#[derive(Debug)]
pub struct Job<'a> {
    /// The config's text; its journal is kept under it.
    pub text: &'a str,
    /// The same, checked.
    pub config: &'a Config,
    /// What the run does without.
    pub without: Without,
    /// The run ends once so many records are stored.
    pub records: u64,
    /// The run fails if that takes longer.
    pub patience: Duration,
}

/// Follows the config's files until all records are stored.
///
/// # Errors
/// The server is away or refuses, or something took longer than the job allows.
pub fn run(job: &Job<'_>, decoder: Decoder) -> anyhow::Result<Totals> {
    let client = connect(job.config)?;
    let store = Partial::new(client.clone(), job.without);
    let sink = ClickHouseSink::unchecked(store, job.config);
    let plan = Arc::new(Plan { decoder, sink: Box::new(sink) });
    let plans = OnePlan { text: job.text.into(), plan, client };
    let options = ServiceOptions {
        workers: job.config.pipeline.workers.unwrap_or_else(default_workers),
        inserts_in_flight: job.config.clickhouse.inserts_in_flight,
        slice_bytes: job.config.pipeline.slice_bytes,
        memory: Memory::new(Budget::of(job.config, Command::Run).decoded_bytes),
        retry: RetryPolicy::default(),
        drain: job.config.run.drain,
    };
    let board = Board::default();
    let ended = std::thread::scope(|scope| {
        let make: service::MakeFeed<'_> = Box::new(|| make_feed(job));
        let running = scope.spawn(|| service::run(vec![make], &plans, &options, &board));
        await_records(&board, job, || running.is_finished());
        board.stop.store(true, Ordering::Release);
        running.join().expect("the service does not panic")
    });
    let totals = board.progress.totals();
    ensure!(
        ended == Ended::Drained && totals.records == job.records,
        "{} of {} records stored",
        totals.records,
        job.records
    );
    let retries = board.progress.retries.load(Ordering::Relaxed);
    ensure!(retries == 0, "{retries} attempts failed: the run measured more than it should");
    Ok(totals)
}

/// Returns once all records are stored, the service ended by itself, or time is over.
fn await_records(board: &Board, job: &Job<'_>, over: impl Fn() -> bool) {
    let deadline = Instant::now() + job.patience;
    while board.progress.totals().records < job.records && !over() && Instant::now() < deadline {
        std::thread::sleep(LOOK_EVERY);
    }
}

/// How often a run is looked at: little against a run, and next to nothing of a core.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The server of a config that names one.
fn connect(config: &Config) -> anyhow::Result<ClickHouse> {
    let ClickHouseSpec { server: ServerSpec::Url(url), database, compression, .. } = &config.clickhouse else {
        bail!("the config of this bench has a server on a URL");
    };
    Ok(ClickHouse::connect(&Connection::new(url, database, *compression))?)
}

/// What the config follows, as absolute paths.
fn patterns(config: &Config) -> Vec<PathBuf> {
    config.sources.iter().flat_map(|source| source.paths()).map(PathBuf::from).collect()
}

fn make_feed(job: &Job<'_>) -> Result<Box<dyn Feed>, FeedError> {
    match job.without.journal {
        true => Ok(Box::new(file_feed(NoDisk, job.config, patterns(job.config))?)),
        false => {
            let disk = LockedDirectory::lock(&job.config.run.journal).map_err(refuse)?;
            Ok(Box::new(file_feed(disk, job.config, patterns(job.config))?))
        }
    }
}

/// The feed of `longshore run`, with its journal on this disk.
pub(crate) fn file_feed<D: Disk>(
    disk: D,
    config: &Config,
    patterns: Vec<PathBuf>,
) -> Result<FileFeed<D, SystemFiles>, FeedError> {
    let (journal, recovered) = Journal::open_on(disk, Options::new(Machine::this())).map_err(refuse)?;
    let patterns = patterns.into_iter().map(Into::into).collect();
    let follow = FollowOptions { patterns, events: true, handles_max: FOLLOW_HANDLES_MAX, let_go: Duration::ZERO };
    let files = SystemFiles::follow(&follow, known_sources(&recovered)?).map_err(refuse)?;
    let cut = CutOptions::of(config);
    let options = FileFeedOptions {
        slice_age: config.run.slice_age,
        cut_options: Box::new(move |_| Ok(cut)),
        look_up: Box::new(NothingThere::default()),
    };
    FileFeed::new(journal, &recovered, files, options)
}

fn refuse(error: impl std::fmt::Display) -> FeedError {
    FeedError::Refuse { detail: error.to_string() }
}

/// All slices are processed alike.
struct OnePlan {
    text: Arc<str>,
    plan: Arc<Plan>,
    client: ClickHouse,
}

impl Plans for OnePlan {
    fn plan(&self, _config: ConfigHash) -> Result<Arc<Plan>, String> {
        Ok(self.plan.clone())
    }

    fn current(&self) -> (u64, Arc<str>) {
        (1, self.text.clone())
    }

    fn stored(&self, slices: &[SliceId]) -> Result<std::collections::HashSet<SliceId>, SinkError> {
        Store::whole_slices(&self.client, slices).map_err(|error| SinkError::Retry { detail: error.to_string() })
    }
}

/// An error of a feed as one of the bench.
pub(crate) fn failed(error: FeedError) -> anyhow::Error {
    anyhow!("{error}")
}
