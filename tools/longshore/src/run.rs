//! `longshore run`: follows the config's sources into ClickHouse until SIGTERM or Ctrl-C.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use longshore_core::config::Config;
use longshore_core::decode::Decoder;
use longshore_core::limits::FOLLOW_HANDLES_MAX;
use longshore_core::simd::Kernels;
use longshore_core::slice::SliceId;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::feed::{Feed, FeedError};
use longshore_ingest::files::{FileFeed, FileFeedOptions, SystemFiles, known_sources};
use longshore_ingest::follow::FollowOptions;
use longshore_ingest::journal::{self, ConfigHash, Journal, Machine, OpenError};
use longshore_ingest::retry::RetryPolicy;
use longshore_ingest::service::{self, Board, Ended, MakeFeed, Plan, Plans, ServiceOptions};
use longshore_ingest::sink::SinkError;
use longshore_sinks::clickhouse::{ClickHouse, ClickHouseSink, Failures, GuardedSink, Schema, Store};
use longshore_sinks::embedded;

use crate::bundle::Bundle;
use crate::cli::RunArgs;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::load::default_workers;
use crate::metrics::{Endpoint, Metrics};
use crate::reload::Reload;
use crate::{config_file, guarantee, kernels, schema, signals};

/// Runs the service.
pub(crate) fn run(args: &RunArgs) -> CommandResult {
    if let Some(parent) = args.ends_with {
        embedded::die_with(parent).map_err(|why| anyhow!(why)).or_exit(Exit::Refused)?;
    }
    let stop = signals::stop_on_interrupt("storing what was cut").or_exit(Exit::Refused)?;
    let hangups = signals::hangups().or_exit(Exit::Refused)?;
    let kernels = kernels::choose().or_exit(Exit::Usage)?;
    let path = &args.config.config;
    let text = config_file::text(path).or_exit(Exit::Config)?;
    let config = config_file::parse(&text, path).or_exit(Exit::Config)?;
    let bundle = Bundle::read(text, path, &config).or_exit(Exit::Config)?;
    let patterns = patterns(&config).or_exit(Exit::Config)?;
    // Whatever is wrong with the journal is said before anything else begins.
    drop(Journal::open(&config.run.journal, journal_options(&config)).or_exit(Exit::Data)?);

    let endpoint = config.run.metrics.map(Endpoint::bind).transpose().or_exit(Exit::Refused)?;
    let board = Arc::new(Board::default());
    let metrics = Arc::new(Metrics::new(&config, board.clone()));
    let _serving = endpoint.map(|endpoint| endpoint.serve(metrics.clone())).transpose().or_exit(Exit::Refused)?;

    let server = Server::open(&config.clickhouse).or_exit(Exit::Unavailable)?;
    let ended = follow(&config, &bundle, patterns, &server, (&board, metrics), (path, kernels, &stop, hangups));
    let closed = server.close().or_exit(Exit::Refused);
    let exit = ended?;
    closed?;
    Ok(exit)
}

/// What to follow, as absolute paths.
fn patterns(config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    let paths = config.sources.iter().flat_map(|source| source.paths());
    let patterns = paths.map(std::path::absolute).collect::<Result<Vec<_>, _>>().context("a source's path")?;
    if patterns.is_empty() {
        return Err(anyhow!("nothing to follow: name files in a [[source]] of {}", config.path.display()));
    }
    Ok(patterns)
}

fn journal_options(config: &Config) -> journal::Options {
    journal::Options::new(config.run.machine.as_deref().map_or_else(Machine::this, Machine::named))
}

fn follow(
    config: &Config,
    bundle: &Bundle,
    patterns: Vec<PathBuf>,
    server: &Server,
    (board, metrics): (&Board, Arc<Metrics>),
    (path, kernels, stop, hangups): (&Path, Kernels, &AtomicBool, Receiver<()>),
) -> CommandResult {
    schema::create_if_fresh(&server.client, &Schema::from_config(config))?;
    guarantee::demand(&server.client, config, path)?;
    let processing = Processing::new(path, kernels, &server.client, bundle, metrics.clone()).or_exit(Exit::Config)?;
    let processing = Arc::new(processing);
    let (text, client) = (bundle.text(), server.client.clone());
    Reload { path: path.to_owned(), config: config.clone(), text, client, processing: processing.clone(), metrics }
        .start(hangups)
        .or_exit(Exit::Refused)?;
    let options = ServiceOptions {
        workers: config.pipeline.workers.unwrap_or_else(default_workers),
        inserts_in_flight: config.clickhouse.inserts_in_flight,
        slice_bytes: config.pipeline.slice_bytes,
        retry: RetryPolicy::default(),
        drain: config.run.drain,
    };
    let files: MakeFeed<'_> = Box::new(|| file_feed(config, &patterns, &processing));
    tracing::info!("following {} patterns; the journal is {}", patterns.len(), config.run.journal.display());
    let (ended, server_ended) = std::thread::scope(|scope| {
        let service = scope.spawn(|| service::run(vec![files], &*processing, &options, board));
        let mut server_ended = None;
        while !service.is_finished() {
            if server_ended.is_none() {
                server_ended = server.end();
            }
            if stop.load(Ordering::Relaxed) || server_ended.is_some() {
                board.stop.store(true, Ordering::Release);
            }
            std::thread::sleep(WATCH_EVERY);
        }
        (service.join().expect("the service does not panic"), server_ended)
    });
    let totals = board.progress.totals();
    println!(
        "stored {} records in {} slices: {} rows, {} dead letters, {} filtered",
        totals.records, totals.slices, totals.loaded, totals.dead, totals.filtered
    );
    if let Some(end) = server_ended {
        return Err(Failure { exit: Exit::Refused, error: anyhow!(end) });
    }
    match ended {
        Ended::Drained => Ok(Exit::Done),
        Ended::InDoubt => {
            tracing::warn!("not all that was cut is known to be stored; the next run finds out and sends the rest");
            Ok(Exit::Interrupted)
        }
    }
}

/// How often the service's surroundings are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// The followed files, going on where the journal says.
fn file_feed(config: &Config, patterns: &[PathBuf], processing: &Processing) -> Result<Box<dyn Feed>, FeedError> {
    let refuse = |error: &dyn std::fmt::Display| FeedError::Refuse { detail: error.to_string() };
    let (journal, recovered) =
        Journal::open(&config.run.journal, journal_options(config)).map_err(|error| match &error {
            OpenError::Disk(_) => FeedError::Retry { detail: error.to_string() },
            _ => refuse(&error),
        })?;
    if let Some(torn) = &recovered.torn {
        tracing::warn!("{torn}");
    }
    processing.know(&recovered.configs);
    let follow = FollowOptions { patterns: patterns.to_vec(), events: true, handles_max: FOLLOW_HANDLES_MAX };
    let files = SystemFiles::follow(&follow, known_sources(&recovered)?).map_err(|error| refuse(&error))?;
    let path = processing.path.clone();
    let cut_options = move |text: &str| {
        let config = Bundle::parse(text).config(&path).map_err(|error| format!("{error:#}"))?;
        Ok(CutOptions::of(&config))
    };
    let options = FileFeedOptions { slice_age: config.run.slice_age, cut_options: Box::new(cut_options) };
    Ok(Box::new(FileFeed::new(journal, &recovered, files, options)?))
}

/// How slices are processed: a decoder and a sink for each config that slices were cut under.
pub(crate) struct Processing {
    path: PathBuf,
    kernels: Kernels,
    client: ClickHouse,
    metrics: Arc<Metrics>,
    /// Of all slices, whatever their config.
    failures: Failures,
    /// What slices are cut under from now on, with a number that grows.
    current: Mutex<(u64, Arc<str>)>,
    texts: Mutex<BTreeMap<ConfigHash, String>>,
    plans: Mutex<HashMap<ConfigHash, Arc<Plan>>>,
}

impl Processing {
    fn new(
        path: &Path,
        kernels: Kernels,
        client: &ClickHouse,
        bundle: &Bundle,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let current: Arc<str> = bundle.text().into();
        let processing = Processing {
            path: path.to_owned(),
            kernels,
            client: client.clone(),
            metrics,
            failures: Failures::default(),
            texts: Mutex::new(BTreeMap::from([(ConfigHash::of(&current), current.to_string())])),
            plans: Mutex::new(HashMap::new()),
            current: Mutex::new((1, current.clone())),
        };
        processing.plan(ConfigHash::of(&current)).map_err(|why| anyhow!(why))?;
        Ok(processing)
    }

    /// What is cut from now on is processed by this plan, which was made of the text.
    pub(crate) fn replace(&self, text: &str, plan: Plan) -> ConfigHash {
        let hash = ConfigHash::of(text);
        self.know(&BTreeMap::from([(hash, text.to_owned())]));
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Slices of the config before are under way. Should there be older ones, their plans are made again: each plan
        // remembers users, and takes memory.
        let before = ConfigHash::of(&current.1);
        plans.retain(|known, _| *known == before);
        plans.insert(hash, Arc::new(plan));
        if *current.1 != *text {
            *current = (current.0 + 1, text.into());
        }
        hash
    }

    /// Configs that slices in doubt were cut under.
    fn know(&self, configs: &BTreeMap<ConfigHash, String>) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.extend(configs.iter().map(|(&hash, text)| (hash, text.clone())));
    }

    /// How slices that were cut under this text are processed.
    pub(crate) fn make(&self, text: &str) -> anyhow::Result<Plan> {
        let bundle = Bundle::parse(text);
        let config = bundle.config(&self.path)?;
        let decoder = Decoder::new(&config, config_file::keyring(&config)?, bundle.dictionary(&config)?)?;
        let sink = ClickHouseSink::new(&self.client, &config, false)?;
        let sink = GuardedSink::new(sink, &config, &self.failures);
        Ok(Plan { decoder: decoder.with_kernels(self.kernels), sink: self.metrics.around(Box::new(sink)) })
    }
}

impl Plans for Processing {
    fn plan(&self, config: ConfigHash) -> Result<Arc<Plan>, String> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&config) {
            return Ok(plan.clone());
        }
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = texts.get(&config).ok_or("its text is not known here")?;
        let plan = Arc::new(self.make(text).map_err(|error| format!("{error:#}"))?);
        plans.insert(config, plan.clone());
        Ok(plan)
    }

    fn current(&self) -> (u64, Arc<str>) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stored(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, SinkError> {
        Store::whole_slices(&self.client, slices).map_err(|error| SinkError::Retry { detail: error.to_string() })
    }
}
