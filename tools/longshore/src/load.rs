//! `longshore load`: files in, rows in ClickHouse, a summary out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::anyhow;
use indicatif::MultiProgress;
use longshore_core::config::Config;
use longshore_core::decode::Decoder;
use longshore_core::limits::WORKERS_DEFAULT_MAX;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::input::{Input, InputError};
use longshore_ingest::known::KnownSlices;
use longshore_ingest::pipeline::{self, Outcome, PipelineOptions};
use longshore_ingest::progress::Progress;
use longshore_ingest::read::ReadMethod;
use longshore_ingest::retry::RetryPolicy;
use longshore_sinks::clickhouse::{ClickHouseSink, Failures, GuardedSink, Schema};

use crate::cli::LoadArgs;
use crate::connect::{Server, Watched};
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::inputs::Resolved;
use crate::output::say;
use crate::report::{self, Report};
use crate::{bar, config_file, guarantee, inputs, kernels, schema, signals};

/// Loads what the command line or the config names.
pub(crate) fn run(args: &LoadArgs, bars: &MultiProgress) -> CommandResult {
    let kernels = kernels::choose().or_exit(Exit::Usage)?;
    let config = config_file::read(&args.config.config).or_exit(Exit::Config)?;
    let keyring = config_file::keyring(&config).or_exit(Exit::Config)?;
    let dictionary = config_file::dictionary(&config).or_exit(Exit::Config)?;
    let decoder = Decoder::new(&config, keyring, dictionary).or_exit(Exit::Config)?.with_kernels(kernels);
    let resolved = inputs::resolve(&args.inputs, &config).or_exit(Exit::NoInput)?;
    for error in &resolved.missing {
        tracing::error!("{error:#}");
    }
    for sentence in &resolved.repeated {
        tracing::warn!("{sentence}: it is loaded once");
    }
    if resolved.inputs.is_empty() {
        let error = anyhow!("none of the inputs can be opened; nothing was loaded");
        return Err(Failure { exit: Exit::NoInput, error });
    }
    let read = ReadMethod::choose(args.reader).or_exit(Exit::Refused)?;
    let stop = signals::stop_on_interrupt("storing what was read").or_exit(Exit::Refused)?;

    let server = Server::open(&config.clickhouse).or_exit(Exit::Unavailable)?;
    let loaded = load(args, &config, &decoder, &resolved, &server, (read, &stop, bars));
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
    (read, stop, bars): (ReadMethod, &Arc<AtomicBool>, &MultiProgress),
) -> CommandResult {
    let tables = Schema::from_config(config);
    schema::create_if_fresh(&server.client, &tables)?;
    guarantee::demand(&server.client, config, &args.config.config)?;
    let sink = ClickHouseSink::new(&server.client, config, args.reload).or_exit(Exit::Refused)?;
    let known = if args.reload { KnownSlices::default() } else { known_slices(&sink, inputs)? };

    let sink = GuardedSink::new(sink, config, &Failures::default());
    let progress = Progress::default();
    let options = PipelineOptions {
        cut: CutOptions::of(config),
        read,
        workers: config.pipeline.workers.unwrap_or_else(default_workers),
        inserts_in_flight: config.clickhouse.inserts_in_flight,
        retry: RetryPolicy::default(),
    };
    let stored_bytes = inputs.iter().map(Input::stored_bytes).sum::<Option<u64>>();
    let start = Instant::now();
    let watched = Watched { sink: &sink, server };
    let outcome = bar::with_bar(bars, &progress, stored_bytes, || {
        pipeline::run(inputs, &known, decoder, &watched, &options, (&progress, stop))
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
        input_errors: missing
            .iter()
            .map(|error| format!("{error:#}"))
            .chain(outcome.input_errors.iter().map(ToString::to_string))
            .collect(),
        peak_resident_bytes: report::peak_resident_bytes(),
        dead_letters_table: format!("{}.dead_letters", config.clickhouse.database),
    };
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
    Ok(KnownSlices::new(sink.known_slices(&sources).or_exit(Exit::Refused)?))
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
