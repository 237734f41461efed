//! The rate at which records made to hurt are decoded, on one core: the shapes of the core's own test, one after another,
//! by the widest kernels and by the others.
//!
//! Prints a table of megabytes per CPU second, medians of several runs, and the peak of resident memory; exits with 1 if
//! a shape is slower than the floors or needs more memory than the bound. `adversarial [--runs N] [PART OF A NAME]`.

#[path = "../../../core/src/decode/tests/shapes.rs"]
mod shapes;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use longshore_core::config::{self, Env};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::limits::SLICE_RECORDS_MAX;
use longshore_core::simd::Kernels;
use longshore_core::slice::{CutAt, Slice, SliceId};

use self::shapes::{SECTIONS, SHAPES, Shape};

/// Bytes of a slice; the reader's are thrice as long.
const SLICE_BYTES: usize = 8 << 20;
/// Megabytes per CPU second below which a shape has found a weakness.
const FLOOR: f64 = 50.0;
/// Records per CPU second that will do instead: of a record of one byte, the dead letter is what costs.
const RECORDS_FLOOR: f64 = 1e6;
/// Mebibytes of resident memory for one slice: its bytes, its columns and its dead letters.
const RESIDENT_MIB_MAX: u64 = 128;
const RUNS: usize = 5;

/// The global allocator of the command, so that dead letters cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("adversarial: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every shape holds.
fn bench() -> anyhow::Result<bool> {
    let (mut runs, mut part) = (RUNS, String::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => runs = arguments.next().context("--runs needs a number")?.parse()?,
            name if !name.starts_with('-') => part = argument,
            _ => bail!("usage: adversarial [--runs N] [PART OF A NAME]"),
        }
    }
    ensure!(runs > 0, "--runs must be at least 1");
    let kernels: Vec<Kernels> = Kernels::all().into_iter().rev().collect();
    print!("{:<42}", "MB per CPU second");
    kernels.iter().for_each(|kernels| print!("{:>9}", kernels.name()));
    println!("{:>9}{:>9}", "MiB", "holds");
    let mut all_hold = true;
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&part)) {
        let (bytes, records) = shape.lines(SLICE_BYTES, SLICE_RECORDS_MAX as u64);
        let slice = Slice {
            id: SliceId(1),
            source: shape.name.into(),
            start: 0,
            bytes,
            header: None,
            tail: None,
            messages: None,
            cut: CutAt::Unknown,
        };
        reset_peak()?;
        print!("{:<42}", shape.name);
        let (megabytes, mut holds) = (slice.bytes.len() as f64 / 1e6, true);
        for &kernels in &kernels {
            let seconds = measure(shape, &slice, records, kernels, runs)?;
            holds &= megabytes / seconds >= FLOOR || records as f64 / seconds >= RECORDS_FLOOR;
            print!("{:>9.0}", megabytes / seconds);
        }
        let resident_mib = peak_kib()? >> 10;
        holds &= resident_mib <= RESIDENT_MIB_MAX;
        println!("{resident_mib:>9}{:>9}", if holds { "yes" } else { "NO" });
        all_hold &= holds;
    }
    Ok(all_hold)
}

/// CPU seconds for the slice, the median; the scratch is used again, as a worker does.
fn measure(shape: &Shape, slice: &Slice, records: u64, kernels: Kernels, runs: usize) -> anyhow::Result<f64> {
    let text = format!("version = 1\n[table]\ntime = \"ts\"\n{SECTIONS}");
    let config = config::parse(&text, Path::new("adversarial.toml"), &Env::new());
    let config = config.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let decoder = Decoder::new(&config, None, None)?.with_kernels(kernels);
    let mut scratch = Scratch::new(&decoder);
    let loaded = (0..records).filter(|&row| (shape.is_loaded)(row)).count();
    let mut seconds = Vec::new();
    // The first one warms up.
    for _ in 0..=runs {
        let start = cpu_seconds()?;
        let decoded = decoder.decode(slice, &mut scratch);
        let (rows, dead) = (decoded.batch.num_rows(), decoded.dead.len());
        scratch.recycle(decoded.batch);
        drop(decoded.dead);
        seconds.push(cpu_seconds()? - start);
        ensure!((rows, dead) == (loaded, records as usize - loaded), "{}: {rows} rows, {dead} dead", shape.name);
    }
    let mut seconds = seconds.split_off(1);
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// CPU time of this process, user and system: what other processes do does not count.
fn cpu_seconds() -> anyhow::Result<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// The peak of resident memory, from here on.
fn reset_peak() -> anyhow::Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")
}

fn peak_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
