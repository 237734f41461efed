//! `longshore bench`: what each stage makes of a user's own input, and which one is the bottleneck.
//!
//! | file | holds |
//! | --- | --- |
//! | `figures.rs` | from what was measured to figures a stage: medians, spreads, differences |
//! | `verdict.rs` | which stage is the bottleneck, and what to do about it |
//! | `report.rs` | table and JSON |
//!
//! What is measured, and how, is `longshore_ingest::stages` and `longshore_sinks::clickhouse::Trial`.

mod figures;
mod report;
mod verdict;

use std::time::Duration;

use anyhow::anyhow;
use longshore_core::config::Config;
use longshore_core::decode::{DecodedSlice, Decoder, Scratch};
use longshore_core::limits::DRAIN_MS;
use longshore_core::words::plural;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::input::InputError;
use longshore_ingest::read::ReadMethod;
use longshore_ingest::reader::ReaderOptions;
use longshore_ingest::sink::LoadedSlice;
use longshore_ingest::stages::{Effort, Engine, PageCache, Sample, SampleOptions, StageError, Step};
use longshore_sinks::clickhouse::{ClickHouse, Rehearsal, Trial, TrialError, TrialRun};

use self::figures::{Figures, Measured, Stage};
use self::report::{Report, Subject};
use crate::cli::BenchArgs;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::inputs::Resolved;
use crate::output::{say, whole};
use crate::signals::{Phase, Stop};
use crate::{config_file, inputs, kernels, load};

/// Measures on what the command line or the config names.
pub(crate) fn run(args: &BenchArgs) -> CommandResult {
    let kernels = kernels::choose().or_exit(Exit::Usage)?;
    let config = config_file::read(&args.config.config).or_exit(Exit::Config)?;
    let keyring = config_file::keyring(&config).or_exit(Exit::Config)?;
    let dictionary = config_file::dictionary(&config).or_exit(Exit::Config)?;
    let decoder = Decoder::new(&config, keyring, dictionary).or_exit(Exit::Config)?.with_kernels(kernels);
    let resolved = inputs::resolve(&args.inputs, &config).or_exit(Exit::NoInput)?;
    for error in &resolved.missing {
        tracing::error!("{}", whole(error));
    }
    if resolved.inputs.is_empty() {
        let error = anyhow!("none of the inputs can be opened; nothing was measured");
        return Err(Failure { exit: Exit::NoInput, error });
    }
    let read = ReadMethod::choose(args.reader).or_exit(Exit::Refused)?;
    let database = format!("{}_bench_", config.clickhouse.database);
    let left = move || format!("a database {database}... may stay behind; the next bench names it");
    let phase = Phase::calls_end_after(Duration::from_millis(DRAIN_MS), left);
    let stop = Stop::on_interrupt("dropping what the bench made", phase).or_exit(Exit::Refused)?;
    let report = match (Bench { args, config: &config, decoder: &decoder, stop: &stop }).measure(&resolved, read) {
        Ok(report) => report,
        Err(Failure { exit: Exit::Interrupted, error }) => {
            tracing::warn!("{error}");
            return Ok(Exit::Interrupted);
        }
        Err(failure) => return Err(failure),
    };
    say!("{}", if args.json { report.json() } else { report.text().trim_end().to_owned() });
    Ok(if report.subject.input_errors.is_empty() { Exit::Done } else { Exit::NoInput })
}

/// What all measurements share.
struct Bench<'a> {
    args: &'a BenchArgs,
    config: &'a Config,
    decoder: &'a Decoder,
    stop: &'a Stop,
}

/// What inserting the sample came to.
struct Inserted {
    runs: Vec<TrialRun>,
    /// The server shares this machine's cores.
    is_local: bool,
    /// Cores that the server used for others' work before.
    busy_cores: Option<f64>,
}

impl Bench<'_> {
    fn measure(&self, Resolved { inputs, missing, .. }: &Resolved, read: ReadMethod) -> Result<Report, Failure> {
        let effort = self.effort();
        let options = self.sample_options(read);
        let page_cache = PageCache::of(inputs, options.bytes);
        let sample = Sample::read(inputs, &options, self.stop.flag()).map_err(failure)?;
        tracing::info!("measuring on {:.1} MB of {}", sample.bytes as f64 / 1e6, plural(inputs.len(), "input"));
        let read_runs =
            sample.measure_reading(inputs, &options, (page_cache, effort), self.stop.flag()).map_err(failure)?;
        let rehearsal = Rehearsal::new(self.config);
        let aggregate = |decoded: &DecodedSlice| drop(rehearsal.aggregate(&decoded.batch));
        let encode = |decoded: &DecodedSlice| drop(rehearsal.encode(&decoded.batch));
        let mut steps: Vec<(Stage, Step<'_>)> = vec![(Stage::Encode, &encode)];
        if rehearsal.aggregates() {
            steps.insert(0, (Stage::Aggregate, &aggregate));
        }
        let (stages, steps): (Vec<Stage>, Vec<Step<'_>>) = steps.into_iter().unzip();
        let engine = Engine { decoder: self.decoder, sample: &sample, steps: &steps };
        let (answer, engine_runs) = engine.measure(effort, self.stop.flag()).map_err(failure)?;
        let (inserted, server_error) = match self.args.no_server {
            true => (None, None),
            false => self.insert(&sample)?,
        };
        let measured = Measured { sample_bytes: sample.bytes, read: &read_runs, engine: &engine_runs, steps: &stages };
        let workers = self.config.pipeline.workers.unwrap_or_else(load::default_workers);
        Ok(Report {
            figures: Figures::new(&measured, inserted.as_ref()),
            verdict_on: verdict::Machine {
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                workers,
                is_compressed: sample.stored_bytes < sample.read_bytes,
            },
            subject: Subject {
                answer,
                bytes: sample.bytes,
                slices: sample.slices.len(),
                inputs: inputs.len(),
                whole: sample.whole,
                read,
                kernels: self.decoder.kernels(),
                page_cache,
                input_errors: missing
                    .iter()
                    .map(whole)
                    .chain(sample.input_errors.iter().map(ToString::to_string))
                    .collect(),
                server_error,
            },
        })
    }

    fn effort(&self) -> Effort {
        Effort { repetitions: self.args.repetitions as usize, budget: Duration::from_secs(self.args.seconds) }
    }

    /// Slices as a load would cut them, unless one of them is more than the sample.
    fn sample_options(&self, read: ReadMethod) -> SampleOptions {
        let cut = CutOptions::of(self.config);
        let sample_bytes = usize::try_from(self.args.sample).unwrap_or(usize::MAX);
        let reader = ReaderOptions {
            cut: CutOptions { slice_bytes: cut.slice_bytes.min(sample_bytes.max(cut.record_bytes_max)), ..cut },
            read,
        };
        SampleOptions { reader, bytes: self.args.sample }
    }

    /// Inserts the sample where ClickHouse is to be had, or says why not: the engine's own figures stand without it.
    fn insert(&self, sample: &Sample) -> Result<(Option<Inserted>, Option<String>), Failure> {
        let server = match Server::open_while(&self.config.clickhouse, self.stop.calls()) {
            Ok(server) => server,
            Err(error) => return Ok((None, Some(whole(&error)))),
        };
        let inserted = self.insert_into(&server.client, sample);
        let closed = server.close();
        match inserted {
            Ok(inserted) => {
                closed.or_exit(Exit::Refused)?;
                Ok((Some(inserted), None))
            }
            Err(TrialError::Stopped) => Err(failure(StageError::Stopped)),
            Err(error) => Ok((None, Some(error.to_string()))),
        }
    }

    fn insert_into(&self, client: &ClickHouse, sample: &Sample) -> Result<Inserted, TrialError> {
        for database in Trial::left_behind(client, self.config)? {
            tracing::warn!("an earlier bench left the database {database} behind, or is running: it may be dropped");
        }
        let trial = Trial::new(client, self.config);
        tracing::info!("inserting into the database {}, which is dropped afterwards", trial.database());
        let busy_cores = trial.busy_cores();
        let slices = self.decoded(sample);
        let runs = self.effort().repeat(|| trial.run(&slices, self.stop.flag()))?;
        Ok(Inserted { runs, is_local: client.is_local(), busy_cores })
    }

    /// The sample as an insert takes it.
    fn decoded(&self, sample: &Sample) -> Vec<LoadedSlice> {
        let mut scratch = Scratch::new(self.decoder);
        let decode = |slice: &longshore_ingest::cut::CutSlice| {
            LoadedSlice::new(slice.meta.clone(), self.decoder.decode(&slice.slice, &mut scratch))
        };
        sample.slices.iter().map(decode).collect()
    }
}

fn failure(error: StageError) -> Failure {
    let exit = match &error {
        StageError::Stopped => Exit::Interrupted,
        StageError::Empty | StageError::Input(InputError::Damaged { .. } | InputError::Header { .. }) => Exit::Data,
        StageError::Input(_) => Exit::NoInput,
    };
    Failure { exit, error: error.into() }
}
