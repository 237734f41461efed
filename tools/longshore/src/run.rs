//! `longshore run`: follows the config's sources into ClickHouse until SIGTERM or Ctrl-C.

mod look_up;
mod ping;
pub(crate) mod processing;
mod topics;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::anyhow;
use longshore_core::budget::{Budget, Command};
use longshore_core::config::Config;
use longshore_core::limits::{FOLLOW_HANDLES_MAX, FOLLOW_LET_GO_MS};
use longshore_core::simd::Kernels;
use longshore_core::words::plural;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::feed::{Feed, FeedError};
use longshore_ingest::files::{FileFeed, FileFeedOptions, SystemFiles, known_sources};
use longshore_ingest::follow::FollowOptions;
use longshore_ingest::journal::{self, Journal, Machine, OpenError};
use longshore_ingest::memory::Memory;
use longshore_ingest::patterns::Wanted;
use longshore_ingest::retry::RetryPolicy;
use longshore_ingest::service::{self, Board, Ended, MakeFeed, ServiceOptions};
use longshore_sinks::clickhouse::Schema;
use longshore_sinks::embedded;

use self::look_up::LedgerLookUp;
use self::processing::Processing;
use crate::bundle::Bundle;
use crate::cli::RunArgs;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::load::default_workers;
use crate::metrics::{Endpoint, Metrics};
use crate::output::{say, whole};
use crate::reload::Reload;
use crate::signals::{self, Phase, Stop};
use crate::{completing, config_file, exposed, guarantee, inputs, kernels, schema};

/// Runs the service.
pub(crate) fn run(args: &RunArgs) -> CommandResult {
    if let Some(parent) = args.ends_with {
        embedded::die_with(parent).map_err(|why| anyhow!(why)).or_exit(Exit::Refused)?;
    }
    let stop = Stop::when_told("storing what was cut", Phase::starting(NOTHING_YET)).or_exit(Exit::Refused)?;
    let hangups = signals::hangups().or_exit(Exit::Refused)?;
    let kernels = kernels::choose().or_exit(Exit::Usage)?;
    let path = &args.config.config;
    let text = config_file::text(path).or_exit(Exit::Config)?;
    let config = config_file::parse(&text, path).or_exit(Exit::Config)?;
    exposed::warn(&config);
    let bundle = Bundle::read(text, path, &config).or_exit(Exit::Config)?;
    let patterns = patterns(&config).or_exit(Exit::Config)?;
    let dictionary = bundle.dictionary(&config).or_exit(Exit::Config)?;
    let memory = config_file::memory(&config, dictionary.as_ref(), Command::Run).or_exit(Exit::Config)?;
    drop(dictionary);
    if !patterns.is_empty() {
        // Whatever is wrong with the journal is said before anything else begins.
        drop(Journal::open(&config.run.journal, journal_options(&config)).or_exit(Exit::Data)?);
    }

    let endpoint = config.run.metrics.map(Endpoint::bind).transpose().or_exit(Exit::Refused)?;
    let board = Arc::new(Board::default());
    let metrics = Arc::new(Metrics::new(&config, board.clone()));
    let _serving = endpoint.map(|endpoint| endpoint.serve(metrics.clone())).transpose().or_exit(Exit::Refused)?;

    let opened = Server::open_while(&config.clickhouse, stop.calls()).or_exit(Exit::Unavailable);
    let server = stop.unless_asked(opened, NOTHING_YET)?;
    let analyst = server.analyst_files().or_exit(Exit::Unavailable)?;
    if let Some(analyst) = &analyst {
        tracing::info!("analysts connect to {analyst}; a shell by: {}", analyst.command());
    }
    let prepared = prepare(&config, &bundle, &server, metrics, (path, kernels, hangups));
    let prepared = stop.unless_asked(prepared, NOTHING_YET);
    let left = {
        let (board, kept) = (board.clone(), kept(&config));
        move || in_doubt(&board, &kept)
    };
    stop.phase(Phase::ends_after(config.run.drain, left.clone()));
    let ended =
        prepared.and_then(|processing| follow(&config, patterns, &processing, (&server, &board, &stop), memory));
    stop.phase(Phase::closing(left));
    drop(analyst);
    let closed = server.close().or_exit(Exit::Refused);
    let exit = ended?;
    closed?;
    Ok(exit)
}

/// What to follow, as absolute paths.
fn patterns(config: &Config) -> anyhow::Result<Vec<Wanted>> {
    let patterns = inputs::of_config(config)?.into_iter().map(|(_, wanted)| wanted).collect();
    if config.sources.is_empty() {
        return Err(anyhow!("nothing to follow: name files or topics in a [[source]] of {}", config.path.display()));
    }
    Ok(patterns)
}

/// How a journal of this config is opened.
pub(crate) fn journal_options(config: &Config) -> journal::Options {
    journal::Options::new(config.run.machine.as_deref().map_or_else(Machine::this, Machine::named))
}

/// What an end before anything is followed leaves.
const NOTHING_YET: &str = "nothing was cut; what an earlier run left in doubt stays so until the next start";

/// Looks at server and tables, and gets ready to process slices and reloads.
fn prepare(
    config: &Config,
    bundle: &Bundle,
    server: &Server,
    metrics: Arc<Metrics>,
    (path, kernels, hangups): (&Path, Kernels, Receiver<()>),
) -> Result<Arc<Processing>, Failure> {
    schema::create_if_fresh(&server.client, &Schema::from_config(config))?;
    guarantee::demand(&server.client, config, path)?;
    let processing = Processing::new(path, kernels, &server.client, bundle, metrics.clone()).or_exit(Exit::Config)?;
    let processing = Arc::new(processing);
    let (text, client) = (bundle.text(), server.client.clone());
    ping::start(client.clone(), metrics.reach().clone()).or_exit(Exit::Refused)?;
    let completing = completing::start(client.clone(), Schema::from_config(config)).or_exit(Exit::Refused)?;
    let (path, config) = (path.to_owned(), config.clone());
    Reload { path, config, text, client, processing: processing.clone(), metrics, completing }
        .start(hangups)
        .or_exit(Exit::Refused)?;
    Ok(processing)
}

/// Follows the sources until an end is asked for.
fn follow(
    config: &Config,
    patterns: Vec<Wanted>,
    processing: &Processing,
    (server, board, stop): (&Server, &Board, &Stop),
    memory: Memory,
) -> CommandResult {
    let options = ServiceOptions {
        workers: config.pipeline.workers.unwrap_or_else(default_workers),
        inserts_in_flight: config.clickhouse.inserts_in_flight,
        slice_bytes: Budget::of(config, Command::Run).slice_bytes,
        memory,
        retry: RetryPolicy::default(),
        drain: config.run.drain,
    };
    let mut feeds: Vec<MakeFeed<'_>> = Vec::new();
    if !patterns.is_empty() {
        let followed = plural(patterns.len(), "pattern");
        tracing::info!("following {followed}; the journal is {}", config.run.journal.display());
        feeds.push(Box::new(|| file_feed(config, &patterns, processing)));
    }
    for source in &config.sources {
        let Some(spec) = source.kafka() else { continue };
        tracing::info!("following {} as a member of the group {:?}", spec.topics.join(", "), spec.group);
        feeds.push(Box::new(move || topics::feed(&source.name, spec, processing)));
    }
    let (ended, server_ended) = std::thread::scope(|scope| {
        let service = scope.spawn(|| service::run(feeds, processing, &options, board));
        let mut server_ended = None;
        while !service.is_finished() {
            if server_ended.is_none() {
                server_ended = server.end();
            }
            if stop.is_asked() || server_ended.is_some() {
                board.stop.store(true, Ordering::Release);
            }
            std::thread::sleep(WATCH_EVERY);
        }
        (service.join().expect("the service does not panic"), server_ended)
    });
    let totals = board.progress.totals();
    say!(
        "stored {} in {}: {}, {}, {} filtered, {}",
        plural(totals.records, "record"),
        plural(totals.slices, "slice"),
        plural(totals.loaded, "row"),
        plural(totals.dead, "dead letter"),
        totals.filtered,
        plural(totals.duplicates, "duplicate")
    );
    if let Some(end) = server_ended {
        return Err(Failure { exit: Exit::Refused, error: anyhow!(end) });
    }
    match ended {
        Ended::Drained => Ok(Exit::Done),
        Ended::InDoubt => {
            tracing::warn!("{}", in_doubt(board, &kept(config)));
            Ok(Exit::Interrupted)
        }
    }
}

/// What a service that ends leaves, one sentence.
fn in_doubt(board: &Board, kept: &str) -> String {
    let sources: Vec<_> = board.sources().into_iter().filter(|source| source.in_doubt > 0).collect();
    let slices: usize = sources.iter().map(|source| source.in_doubt).sum();
    let completes = "the next start finds out what of them is stored and sends the rest";
    if slices == 0 {
        return format!("not all slices that were cut are known to be stored: {kept} them, and {completes}");
    }
    let shown = sources.iter().take(SOURCES_NAMED).map(|source| format!("{} of {}", source.in_doubt, source.name));
    let mut list: Vec<String> = shown.collect();
    if sources.len() > SOURCES_NAMED {
        list.push(format!("others of {} more", sources.len() - SOURCES_NAMED));
    }
    let stay = if slices == 1 { "1 slice stays in doubt" } else { &format!("{slices} slices stay in doubt") };
    format!("{stay}: {}; {kept} them, and {completes}", list.join(", "))
}

/// What has the slices in doubt.
fn kept(config: &Config) -> String {
    let journal = format!("the journal {} has", config.run.journal.display());
    let topics = config.sources.iter().any(|source| source.kafka().is_some());
    let files = config.sources.iter().any(|source| !source.paths().is_empty());
    match (files, topics) {
        (_, false) => journal,
        (false, true) => "the group's offsets have".to_owned(),
        (true, true) => format!("{journal}, or the group's offsets have"),
    }
}

/// Sources that a sentence names.
const SOURCES_NAMED: usize = 3;

/// How often the service's surroundings are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// The followed files, going on where the journal says.
fn file_feed(config: &Config, patterns: &[Wanted], processing: &Processing) -> Result<Box<dyn Feed>, FeedError> {
    let refuse = |error: &dyn std::fmt::Display| FeedError::Refuse { detail: error.to_string() };
    let (journal, recovered) =
        Journal::open(&config.run.journal, journal_options(config)).map_err(|error| match &error {
            OpenError::Disk(_) => FeedError::Retry { detail: error.to_string() },
            _ => refuse(&error),
        })?;
    if let Some(torn) = &recovered.torn {
        tracing::warn!("{torn}");
    }
    processing.recovered(&recovered.configs);
    let follow = FollowOptions {
        patterns: patterns.to_vec(),
        events: true,
        handles_max: FOLLOW_HANDLES_MAX,
        let_go: Duration::from_millis(FOLLOW_LET_GO_MS),
    };
    let files = SystemFiles::follow(&follow, known_sources(&recovered)?).map_err(|error| refuse(&error))?;
    let path = processing.path.clone();
    let cut_options = move |text: &str| {
        let config = Bundle::parse(text).config(&path).map_err(|error| whole(&error))?;
        Ok(CutOptions::of(&config))
    };
    let look_up = LedgerLookUp::start(processing.client().clone()).map_err(|error| refuse(&error))?;
    let (slice_age, cut_options) = (config.run.slice_age, Box::new(cut_options));
    let options = FileFeedOptions { slice_age, cut_options, look_up: Box::new(look_up) };
    Ok(Box::new(FileFeed::new(journal, &recovered, files, options)?))
}
