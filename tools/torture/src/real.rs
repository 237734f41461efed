//! `torture real`: the engine's own processes under faults, with every right: the ClickHouse is started for it, so that it
//! may be killed, and the journal gets a small disk that can be filled.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use longshore_chaos::{Options, Report, Target};
use longshore_core::config::{ClickHouseSpec, EmbeddedSpec, FilledBy, Guarantee, ServerSpec, WireCompression};
use longshore_core::limits::INSERTS_IN_FLIGHT;
use longshore_sinks::embedded::EmbeddedOptions;
use signal_hook::consts::{SIGINT, SIGTERM};

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many faults.
    #[arg(long, default_value_t = 200)]
    faults: u64,
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

/// Makes the run and prints its report; whether all was well.
pub(crate) fn run(args: &Args) -> bool {
    match torture(args) {
        Ok(clean) => clean,
        Err(error) => {
            eprintln!("torture: {error}");
            false
        }
    }
}

fn torture(args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let engine = match &args.engine {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("longshore"),
    };
    if !engine.is_file() {
        return Err(format!("{}: no such program; build it with `cargo build -p longshore`", engine.display()).into());
    }
    let stop = stop_on_interrupt()?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = parent.join(format!("longshore-torture-{:016x}", rand::random::<u64>()));
    eprintln!("seed {seed}, files in {}", folder.display());
    let options = Options {
        target: Target::Own(EmbeddedOptions::new(engine.clone())),
        engine,
        clickhouse: &clickhouse(),
        folder: folder.clone(),
        faults: args.faults,
        time: None,
        seed,
        full_disk: true,
        stop: &stop,
        progress: &|report| progress(report, args.faults),
    };
    let report = longshore_chaos::run(&options)?;
    println!("{report}");
    let clean = report.is_clean() && !report.interrupted;
    match clean {
        true => std::fs::remove_dir_all(&folder)?,
        false => println!("its files are in {}", folder.display()),
    }
    Ok(clean)
}

/// As a config without a `[clickhouse]` section has it.
fn clickhouse() -> ClickHouseSpec {
    ClickHouseSpec {
        server: ServerSpec::Embedded(EmbeddedSpec::default()),
        database: "torture".to_owned(),
        inserts_in_flight: INSERTS_IN_FLIGHT,
        compression: WireCompression::Auto,
        rollups: FilledBy::Engine,
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
