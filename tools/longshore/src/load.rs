//! `longshore load`: files in, rows in ClickHouse, a summary out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::anyhow;
use indicatif::MultiProgress;
use longshore_core::budget::Command;
use longshore_core::config::Config;
use longshore_core::decode::Decoder;
use longshore_core::limits::WORKERS_DEFAULT_MAX;
use longshore_core::words::plural;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::input::{Input, InputError};
use longshore_ingest::known::{KnownSlice, StoredSlices};
use longshore_ingest::memory::Memory;
use longshore_ingest::pipeline::{self, Outcome, PipelineOptions};
use longshore_ingest::planned::{LoadPlans, Plans};
use longshore_ingest::progress::Progress;
use longshore_ingest::read::ReadMethod;
use longshore_ingest::reader::Books;
use longshore_ingest::retry::{RetryEnd, RetryPolicy, until_done};
use longshore_sinks::clickhouse::{ClickHouseSink, DEAD_LETTER_REASONS, Failures, GuardedSink, Schema};

use crate::bundle::Bundle;
use crate::cli::LoadArgs;
use crate::connect::{Server, Watched};
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::inputs::Resolved;
use crate::output::{say, whole};
use crate::report::{self, Report};
use crate::run::journal_options;
use crate::signals::{Phase, Stop};
use crate::{bar, completing, config_file, dead_letters, exposed, guarantee, inputs, kernels, schema};

/// What an end before the first record leaves.
const NOTHING_YET: &str = "nothing was loaded yet";
/// What an end in the middle leaves.
const ACKNOWLEDGED: &str = "what was acknowledged is stored, load the same inputs again to go on";

/// Loads what the command line or the config names.
pub(crate) fn run(args: &LoadArgs, bars: &MultiProgress) -> CommandResult {
    let kernels = kernels::choose().or_exit(Exit::Usage)?;
    let path = &args.config.config;
    let text = config_file::text(path).or_exit(Exit::Config)?;
    let config = config_file::parse(&text, path).or_exit(Exit::Config)?;
    exposed::warn(&config);
    let keyring = config_file::keyring(&config).or_exit(Exit::Config)?;
    let bundle = Bundle::read(text, path, &config).or_exit(Exit::Config)?;
    let dictionary = bundle.dictionary(&config).or_exit(Exit::Config)?;
    let memory = config_file::memory(&config, dictionary.as_ref(), Command::Load).or_exit(Exit::Config)?;
    let decoder = Decoder::new(&config, keyring, dictionary).or_exit(Exit::Config)?.with_kernels(kernels);
    let resolved = inputs::resolve(&args.inputs, &config).or_exit(Exit::NoInput)?;
    for error in &resolved.missing {
        tracing::error!("{}", whole(error));
    }
    for sentence in &resolved.repeated {
        tracing::warn!("{sentence}: it is loaded once");
    }
    if resolved.inputs.is_empty() {
        let error = anyhow!("none of the inputs can be opened; nothing was loaded");
        return Err(Failure { exit: Exit::NoInput, error });
    }
    let read = ReadMethod::choose(args.reader).or_exit(Exit::Refused)?;
    // Whatever is wrong with the plans is said before anything else begins.
    let (plans, torn) = LoadPlans::open(&config.run.journal, journal_options(&config)).or_exit(Exit::Data)?;
    torn.iter().for_each(|torn| tracing::warn!("{torn}"));
    let stop = Stop::on_interrupt("storing what was read", Phase::starting(NOTHING_YET)).or_exit(Exit::Refused)?;

    let opened = Server::open_while(&config.clickhouse, stop.calls()).or_exit(Exit::Unavailable);
    let server = stop.unless_asked(opened, NOTHING_YET)?;
    let load = Load { args, config: &config, bundle: &bundle, decoder: &decoder, plans: &plans, server: &server, read };
    let loaded = load.run(&resolved, memory, &stop, bars);
    stop.phase(Phase::closing(|| ACKNOWLEDGED.to_owned()));
    let closed = server.close().or_exit(Exit::Refused);
    for (name, slices) in plans.left() {
        let slices = plural(slices, "slice");
        tracing::warn!(
            "{name}: {slices}, planned by this load or one before, may be stored in part; load it again to complete them"
        );
    }
    if let Err(error) = plans.close() {
        tracing::warn!("{error}; the next load looks up what is stored");
    }
    let exit = loaded?;
    closed?;
    Ok(exit)
}

/// A load on an open server.
struct Load<'a> {
    args: &'a LoadArgs,
    config: &'a Config,
    bundle: &'a Bundle,
    decoder: &'a Decoder,
    plans: &'a LoadPlans,
    server: &'a Server,
    read: ReadMethod,
}

impl Load<'_> {
    fn run(
        &self,
        Resolved { inputs, missing, repeated }: &Resolved,
        memory: Memory,
        stop: &Stop,
        bars: &MultiProgress,
    ) -> CommandResult {
        let &Load { args, config, decoder, plans, server, read, .. } = self;
        let prepare = || {
            schema::create_if_fresh(&server.client, &Schema::from_config(config))?;
            guarantee::demand(&server.client, config, &args.config.config)?;
            completing::before_load(&server.client, &Schema::from_config(config))?;
            let sink = ClickHouseSink::new(&server.client, config).or_exit(Exit::Refused)?;
            let whole = server.client.whole_slices(&plans.in_doubt()).or_exit(Exit::Refused)?;
            for slice in whole {
                plans.done(slice).or_exit(Exit::Refused)?;
            }
            Ok((sink, plans.set_config(&self.bundle.text()).or_exit(Exit::Refused)?))
        };
        let (sink, current) = stop.unless_asked(prepare(), NOTHING_YET)?;
        stop.phase(Phase::calls_end_after(config.run.drain, || ACKNOWLEDGED.to_owned()));

        let stored = Stored { sink: sink.clone(), stop: stop.flag() };
        let sink = GuardedSink::new(sink, config, &Failures::default());
        let progress = Progress::default();
        let options = |config: &Config| PipelineOptions {
            cut: CutOptions::of(config),
            read,
            workers: config.pipeline.workers.unwrap_or_else(default_workers),
            inserts_in_flight: config.clickhouse.inserts_in_flight,
            memory: memory.clone(),
            retry: RetryPolicy::default(),
        };
        let stored_bytes = inputs.iter().map(Input::stored_bytes).sum::<Option<u64>>();
        let start = Instant::now();
        // What an earlier load planned under another config is finished as that one says.
        for (hash, text) in plans.configs().into_iter().filter(|(hash, _)| *hash != current) {
            let (config, decoder, sink) = self.earlier(&text).or_exit(Exit::Config)?;
            let books = Books { stored: &stored, plans, config: hash, finish: true };
            let watched = Watched { sink: &sink, server };
            let again: Vec<Input> = inputs.iter().filter(|input| input.repeatable()).cloned().collect();
            let finished =
                pipeline::run(&again, books, &decoder, &watched, &options(&config), (&progress, stop.flag()));
            finished.map_err(|error| anyhow!(error)).or_exit(Exit::Refused)?;
        }
        let books = Books { stored: &stored, plans, config: current, finish: false };
        let watched = Watched { sink: &sink, server };
        let outcome = bar::with_bar(bars, &progress, stored_bytes, || {
            pipeline::run(inputs, books, decoder, &watched, &options(config), (&progress, stop.flag()))
        });
        let elapsed = start.elapsed();
        let (outcome, refused) = match outcome {
            Ok(outcome) => (outcome, None),
            Err(error) => (Outcome { input_errors: Vec::new(), alike: Vec::new(), stopped: true }, Some(error)),
        };
        let report = Report {
            totals: progress.totals(),
            inputs: inputs.len(),
            repeated: repeated.clone(),
            alike: outcome.alike.clone(),
            read,
            kernels: decoder.kernels(),
            elapsed,
            retries: progress.retries.load(Ordering::Relaxed),
            stopped: outcome.stopped,
            input_errors: missing
                .iter()
                .map(whole)
                .chain(outcome.input_errors.iter().map(ToString::to_string))
                .collect(),
            peak_resident_bytes: report::peak_resident_bytes(),
            dead_letters_view: format!("{}.{DEAD_LETTER_REASONS}", config.clickhouse.database),
        };
        let (dead, records) = (report.totals.dead, report.totals.records);
        if dead_letters::is_loud(dead, records) {
            tracing::warn!("{}", dead_letters::sentence(&report.totals.causes, dead, records));
        }
        say!("{}", if args.json { report.json() } else { report.text().trim_end().to_owned() });
        match refused {
            Some(error) => Err(Failure {
                exit: Exit::Refused,
                error: anyhow!(error).context(
                    "ClickHouse refused; what was acknowledged is stored, load the same inputs again to go on",
                ),
            }),
            None => Ok(exit_of(&outcome, !missing.is_empty(), report.totals.dead, args.fail_on_dead_letters)),
        }
    }

    /// How slices are processed that an earlier load planned under this text.
    fn earlier(&self, text: &str) -> anyhow::Result<(Config, Decoder, GuardedSink)> {
        let bundle = Bundle::parse(text);
        let config = bundle.config(&self.args.config.config)?;
        bundle.check_salts(&config)?;
        let decoder = Decoder::new(&config, config_file::keyring(&config)?, bundle.dictionary(&config)?)?;
        let sink = ClickHouseSink::new(&self.server.client, &config)?;
        let sink = GuardedSink::new(sink, &config, &Failures::default());
        Ok((config, decoder.with_kernels(self.decoder.kernels()), sink))
    }
}

/// Decoding threads where the config does not say.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_DEFAULT_MAX)
}

/// What the ledger has.
struct Stored<'a> {
    sink: ClickHouseSink,
    stop: &'a AtomicBool,
}

impl StoredSlices for Stored<'_> {
    fn found_by(&self, heads: &[u64]) -> Result<Vec<KnownSlice>, RetryEnd> {
        let what = "looking up what is stored";
        until_done(RetryPolicy::default(), self.stop, &what, || {}, || self.sink.known_slices(heads))
    }
}

/// The worst of what happened decides.
fn exit_of(outcome: &Outcome, missing: bool, dead: u64, fail_on_dead_letters: bool) -> Exit {
    let unreadable = |error: &InputError| matches!(error, InputError::Open { .. } | InputError::Read { .. });
    if outcome.stopped {
        Exit::Interrupted
    } else if missing || outcome.input_errors.iter().any(unreadable) {
        Exit::NoInput
    } else if !outcome.input_errors.is_empty() || (dead > 0 && fail_on_dead_letters) {
        Exit::Data
    } else {
        Exit::Done
    }
}
