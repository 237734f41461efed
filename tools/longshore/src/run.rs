//! `longshore run`: follows the config's sources into ClickHouse until SIGTERM or Ctrl-C.

pub(crate) mod processing;
mod topics;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::anyhow;
use longshore_core::config::Config;
use longshore_core::limits::FOLLOW_HANDLES_MAX;
use longshore_core::simd::Kernels;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::feed::{Feed, FeedError};
use longshore_ingest::files::{FileFeed, FileFeedOptions, SystemFiles, known_sources};
use longshore_ingest::follow::FollowOptions;
use longshore_ingest::journal::{self, Journal, Machine, OpenError};
use longshore_ingest::patterns::Wanted;
use longshore_ingest::retry::RetryPolicy;
use longshore_ingest::service::{self, Board, Ended, MakeFeed, ServiceOptions};
use longshore_sinks::clickhouse::Schema;
use longshore_sinks::embedded;

use self::processing::Processing;
use crate::bundle::Bundle;
use crate::cli::RunArgs;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::load::default_workers;
use crate::metrics::{Endpoint, Metrics};
use crate::output::say;
use crate::reload::Reload;
use crate::{config_file, guarantee, inputs, kernels, schema, signals};

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
    if !patterns.is_empty() {
        // Whatever is wrong with the journal is said before anything else begins.
        drop(Journal::open(&config.run.journal, journal_options(&config)).or_exit(Exit::Data)?);
    }

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
fn patterns(config: &Config) -> anyhow::Result<Vec<Wanted>> {
    let patterns = inputs::of_config(config)?.into_iter().map(|(_, wanted)| wanted).collect();
    if config.sources.is_empty() {
        return Err(anyhow!("nothing to follow: name files or topics in a [[source]] of {}", config.path.display()));
    }
    Ok(patterns)
}

fn journal_options(config: &Config) -> journal::Options {
    journal::Options::new(config.run.machine.as_deref().map_or_else(Machine::this, Machine::named))
}

fn follow(
    config: &Config,
    bundle: &Bundle,
    patterns: Vec<Wanted>,
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
    let mut feeds: Vec<MakeFeed<'_>> = Vec::new();
    if !patterns.is_empty() {
        tracing::info!("following {} patterns; the journal is {}", patterns.len(), config.run.journal.display());
        feeds.push(Box::new(|| file_feed(config, &patterns, &processing)));
    }
    for source in &config.sources {
        let Some(spec) = source.kafka() else { continue };
        tracing::info!("following {} as a member of the group {:?}", spec.topics.join(", "), spec.group);
        let processing = &processing;
        feeds.push(Box::new(move || topics::feed(&source.name, spec, processing)));
    }
    let (ended, server_ended) = std::thread::scope(|scope| {
        let service = scope.spawn(|| service::run(feeds, &*processing, &options, board));
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
    say!(
        "stored {} records in {} slices: {} rows, {} dead letters, {} filtered, {} duplicates",
        totals.records,
        totals.slices,
        totals.loaded,
        totals.dead,
        totals.filtered,
        totals.duplicates
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
