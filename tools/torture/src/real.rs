//! `torture real`: the engine's own processes under faults, with every right: the ClickHouse is started for it, so that it
//! may be killed, and the journal gets a small disk that can be filled. `torture group`: engines in one consumer group.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use longshore_chaos::{GroupOptions, Options, Report, Target};
use longshore_core::config::{ClickHouseSpec, EmbeddedSpec, Guarantee, ServerSpec, WireCompression};
use longshore_core::limits::INSERTS_IN_FLIGHT;
use longshore_sinks::embedded::EmbeddedOptions;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::mounts;

/// What both runs of real processes are told.
#[derive(Debug, clap::Args)]
struct Common {
    /// Which records and faults; others each time unless said.
    #[arg(long)]
    seed: Option<u64>,
    /// The `longshore` to kill; the one beside this program unless said.
    #[arg(long, value_name = "FILE")]
    engine: Option<PathBuf>,
    /// Where the files of the run go, in a folder that is removed if all is well; the temporary folder unless said.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// `torture real`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many faults.
    #[arg(long, default_value_t = 200)]
    faults: u64,
    #[command(flatten)]
    common: Common,
}

/// `torture group`.
#[derive(Debug, clap::Args)]
pub(crate) struct GroupArgs {
    /// Records that flow through the topic.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// How many faults meanwhile; the first is an engine killed, the second one added.
    #[arg(long, default_value_t = 8)]
    faults: u64,
    /// Engines in the group at the beginning.
    #[arg(long, default_value_t = 2)]
    engines: usize,
    /// The brokers; the program beside this one unless said.
    #[arg(long, value_name = "FILE")]
    brokers: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// What is needed for a run.
struct Place {
    engine: PathBuf,
    folder: PathBuf,
    seed: u64,
    stop: Arc<AtomicBool>,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

impl Place {
    fn of(common: &Common) -> Outcome<Place> {
        let parent = common.folder.clone().unwrap_or_else(std::env::temp_dir);
        let place = Place {
            engine: program(common.engine.as_deref(), "longshore")?,
            folder: parent.join(format!("longshore-torture-{:016x}", rand::random::<u64>())),
            seed: common.seed.unwrap_or_else(rand::random),
            stop: stop_on_interrupt()?,
        };
        eprintln!("seed {}, files in {}", place.seed, place.folder.display());
        Ok(place)
    }

    /// Prints the report; whether all was well. The files of a run that was not are kept.
    fn end(&self, report: &Report) -> Outcome<bool> {
        println!("{report}");
        let clean = report.is_clean() && !report.interrupted;
        match clean {
            true => std::fs::remove_dir_all(&self.folder)?,
            false => println!("its files are in {}", self.folder.display()),
        }
        Ok(clean)
    }
}

/// The program that was named, or the one beside this.
fn program(named: Option<&Path>, name: &str) -> Outcome<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name(name),
    };
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("{}: no such program; build it with `cargo build`", path.display()).into()),
    }
}

/// Makes the run and prints its report; whether all was well.
pub(crate) fn run(args: &Args) -> bool {
    told(torture(args))
}

/// The same for a consumer group.
pub(crate) fn run_group(args: &GroupArgs) -> bool {
    told(torture_group(args))
}

fn told(outcome: Outcome<bool>) -> bool {
    outcome.unwrap_or_else(|error| {
        eprintln!("torture: {error}");
        false
    })
}

fn torture(args: &Args) -> Outcome<bool> {
    mounts::enter()?;
    let place = Place::of(&args.common)?;
    let options = Options {
        target: Target::Own(EmbeddedOptions::new(place.engine.clone())),
        engine: place.engine.clone(),
        clickhouse: &clickhouse(),
        folder: place.folder.clone(),
        faults: args.faults,
        time: None,
        seed: place.seed,
        full_disk: true,
        stop: &place.stop,
        progress: &|report| progress(report, args.faults),
    };
    place.end(&longshore_chaos::run(&options)?)
}

fn torture_group(args: &GroupArgs) -> Outcome<bool> {
    let place = Place::of(&args.common)?;
    let options = GroupOptions {
        engine: place.engine.clone(),
        brokers: program(args.brokers.as_deref(), "brokers")?,
        server: EmbeddedOptions::new(place.engine.clone()),
        clickhouse: &clickhouse(),
        folder: place.folder.clone(),
        records: args.records,
        faults: args.faults,
        engines: args.engines.max(1),
        seed: place.seed,
        stop: &place.stop,
        progress: &|what| eprintln!("{what}"),
    };
    place.end(&longshore_chaos::run_group(&options)?)
}

/// As a config without a `[clickhouse]` section has it.
fn clickhouse() -> ClickHouseSpec {
    ClickHouseSpec {
        server: ServerSpec::Embedded(EmbeddedSpec::default()),
        database: "torture".to_owned(),
        inserts_in_flight: INSERTS_IN_FLIGHT,
        compression: WireCompression::Auto,
        guarantee: Guarantee::ExactlyOnce,
        fsync: true,
    }
}

fn progress(report: &Report, faults: u64) {
    if report.compared.is_multiple_of(20) {
        eprintln!("{} of {faults} faults, {} records: each there once", report.faults(), report.records);
    }
}

/// The first interrupt ends the run in order, the second at once; the kernel then ends what it started.
fn stop_on_interrupt() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}
