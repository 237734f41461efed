//! `longshore load`: files in, rows in ClickHouse, a summary out.

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::anyhow;
use indicatif::MultiProgress;
use longshore_core::budget::Command;
use longshore_core::config::Config;
use longshore_core::decode::Decoder;
use longshore_core::limits::WORKERS_DEFAULT_MAX;
use longshore_ingest::clock::WallClock;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::input::{Input, InputError};
use longshore_ingest::known::KnownSlices;
use longshore_ingest::memory::Memory;
use longshore_ingest::pipeline::{self, Outcome, PipelineOptions};
use longshore_ingest::progress::Progress;
use longshore_ingest::read::ReadMethod;
use longshore_ingest::retry::RetryPolicy;
use longshore_sinks::clickhouse::{ClickHouseSink, DEAD_LETTER_REASONS, Failures, GuardedSink, Schema};

use crate::cli::LoadArgs;
use crate::connect::{Server, Watched};
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::inputs::Resolved;
use crate::output::{say, whole};
use crate::report::{self, Report};
use crate::signals::{Phase, Stop};
use crate::{bar, completing, config_file, dead_letters, exposed, guarantee, inputs, kernels, schema};

/// What an end before the first record leaves.
const NOTHING_YET: &str = "nothing was loaded yet";
/// What an end in the middle leaves.
const ACKNOWLEDGED: &str = "what was acknowledged is stored, load the same inputs again to go on";

/// Loads what the command line or the config names.
pub(crate) fn run(args: &LoadArgs, bars: &MultiProgress) -> CommandResult {
    let kernels = kernels::choose().or_exit(Exit::Usage)?;
    let config = config_file::read(&args.config.config).or_exit(Exit::Config)?;
    exposed::warn(&config);
    let keyring = config_file::keyring(&config).or_exit(Exit::Config)?;
    let dictionary = config_file::dictionary(&config).or_exit(Exit::Config)?;
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
    let stop = Stop::on_interrupt("storing what was read", Phase::starting(NOTHING_YET)).or_exit(Exit::Refused)?;

    let opened = Server::open_while(&config.clickhouse, stop.calls()).or_exit(Exit::Unavailable);
    let server = stop.unless_asked(opened, NOTHING_YET)?;
    let loaded = load(args, &config, &decoder, &resolved, &server, (read, memory, &stop, bars));
    stop.phase(Phase::closing(|| ACKNOWLEDGED.to_owned()));
    let closed = server.close().or_exit(Exit::Refused);
    let exit = loaded?;
    closed?;
    Ok(exit)
}

fn load(
    args: &LoadArgs,
    config: &Config,
    decoder: &Decoder,
    Resolved { inputs, missing, repeated }: &Resolved,
    server: &Server,
    (read, memory, stop, bars): (ReadMethod, Memory, &Stop, &MultiProgress),
) -> CommandResult {
    let prepare = || {
        schema::create_if_fresh(&server.client, &Schema::from_config(config))?;
        guarantee::demand(&server.client, config, &args.config.config)?;
        completing::before_load(&server.client, &Schema::from_config(config))?;
        let sink = ClickHouseSink::new(&server.client, config, args.reload).or_exit(Exit::Refused)?;
        let known = if args.reload { KnownSlices::default() } else { known_slices(&sink, inputs)? };
        Ok((sink, known))
    };
    let (sink, known) = stop.unless_asked(prepare(), NOTHING_YET)?;
    stop.phase(Phase::calls_end_after(config.run.drain, || ACKNOWLEDGED.to_owned()));

    let sink = GuardedSink::new(sink, config, &Failures::default());
    let progress = Progress::default();
    let options = PipelineOptions {
        cut: CutOptions::of(config),
        read,
        workers: config.pipeline.workers.unwrap_or_else(default_workers),
        inserts_in_flight: config.clickhouse.inserts_in_flight,
        memory,
        retry: RetryPolicy::default(),
        clock: WallClock::system(),
    };
    let stored_bytes = inputs.iter().map(Input::stored_bytes).sum::<Option<u64>>();
    let start = Instant::now();
    let watched = Watched { sink: &sink, server };
    let outcome = bar::with_bar(bars, &progress, stored_bytes, || {
        pipeline::run(inputs, &known, decoder, &watched, &options, (&progress, stop.flag()))
    });
    let elapsed = start.elapsed();
    let (outcome, refused) = match outcome {
        Ok(outcome) => (outcome, None),
        Err(error) => (Outcome { input_errors: Vec::new(), stopped: true }, Some(error)),
    };
    let report = Report {
        totals: progress.totals(),
        inputs: inputs.len(),
        repeated: repeated.clone(),
        read,
        kernels: decoder.kernels(),
        elapsed,
        retries: progress.retries.load(Ordering::Relaxed),
        stopped: outcome.stopped,
        input_errors: missing.iter().map(whole).chain(outcome.input_errors.iter().map(ToString::to_string)).collect(),
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
            error: anyhow!(error)
                .context("ClickHouse refused; what was acknowledged is stored, load the same inputs again to go on"),
        }),
        None => Ok(exit_of(&outcome, !missing.is_empty(), report.totals.dead, args.fail_on_dead_letters)),
    }
}

/// Decoding threads where the config does not say.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_DEFAULT_MAX)
}

/// The slices of these inputs that the ledger has.
fn known_slices(sink: &ClickHouseSink, inputs: &[Input]) -> Result<KnownSlices, Failure> {
    let sources: Vec<u64> = inputs.iter().map(|input| input.source_id).collect();
    let names: Vec<&str> = inputs.iter().map(|input| &*input.name).collect();
    let decided = sink.decided_slices(&names).or_exit(Exit::Refused)?;
    Ok(KnownSlices::new(sink.known_slices(&sources).or_exit(Exit::Refused)?).with_begun(decided))
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
