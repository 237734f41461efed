//! Runs one measurement each time it is told to, so that a driver can let ours and a rival's take turns.
//!
//! `runner parse` and `runner engine` make ready, print one JSON object about what they are about to measure, and then
//! read lines: `run SECONDS` measures passes for at least that long and prints one JSON object. The end of the input
//! ends the program. `runner generate` writes an input.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Parser;
use longshore_benches::answer::Answer;
use longshore_benches::case::{self, Case};
use longshore_benches::clock::thread_cpu_seconds;
use longshore_benches::shapes::{WORKLOADS, Workload};
use longshore_benches::{engine, twin};
use longshore_core::simd::Kernels;
use longshore_ingest::input::Input;
use longshore_ingest::read::{ReadMethod, ReaderChoice};
use serde_json::{Map, Value, json};

/// The command's own, so that freshly freed buffers cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
enum Cli {
    /// Write the records of a workload, and what its config names beside them
    Generate {
        /// Name of the workload
        workload: String,
        /// Records to write
        #[arg(long)]
        records: u64,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Decode a workload's file from memory into Arrow columns, on one core
    Parse {
        /// Name of the workload
        workload: String,
        /// The file that `generate` wrote
        input: PathBuf,
        /// The SIMD kernels to use instead of the widest
        #[arg(long)]
        kernels: Option<String>,
        /// Check the answer against the serde_json twin before measuring
        #[arg(long)]
        check: bool,
    },
    /// Name the SIMD kernels of this machine, the widest last
    Kernels,
    /// Name the readers that work on this machine
    Readers,
    /// Read, decode and encode files, on all cores, and send the result nowhere
    Engine {
        /// How files are read: auto, io_uring or pread
        #[arg(long, default_value = "auto")]
        reader: ReaderChoice,
        /// The config
        config: PathBuf,
        /// The inputs
        inputs: Vec<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli::Generate { workload, records, out } => generate(&workload, records, &out),
        Cli::Parse { workload, input, kernels, check } => parse(&workload, &input, kernels.as_deref(), check),
        Cli::Kernels => {
            println!("{}", Kernels::all().iter().map(Kernels::to_string).collect::<Vec<_>>().join(" "));
            Ok(())
        }
        Cli::Readers => {
            let readers = [ReaderChoice::Pread, ReaderChoice::IoUring].map(ReadMethod::choose);
            readers.into_iter().flatten().for_each(|reader| println!("{reader}"));
            Ok(())
        }
        Cli::Engine { reader, config, inputs } => engine(reader, &config, &inputs),
    }
}

fn named(workload: &str) -> anyhow::Result<Workload> {
    let names = || WORKLOADS.map(|workload| workload.name).join(", ");
    Workload::named(workload).ok_or_else(|| anyhow!("no workload {workload:?}; there are: {}", names()))
}

fn folder_of(file: &Path) -> anyhow::Result<&Path> {
    file.parent().with_context(|| format!("{} has no folder", file.display()))
}

fn generate(workload: &str, records: u64, out: &Path) -> anyhow::Result<()> {
    let bytes = (named(workload)?.generate)(records, folder_of(out)?);
    std::fs::write(out, bytes).with_context(|| format!("writing {}", out.display()))
}

fn parse(workload: &str, input: &Path, kernels: Option<&str>, check: bool) -> anyhow::Result<()> {
    let bytes = std::fs::read(input).with_context(|| format!("reading {}", input.display()))?;
    let mut case = Case::new(named(workload)?.config, folder_of(input)?, &bytes)?;
    if let Some(name) = kernels {
        case = case.with_kernels(Kernels::named(name)?);
    }
    let answer = case.answer()?;
    ensure!(answer.rows == case.records, "{} rows of {} records", answer.rows, case.records);
    if check {
        answer.ensure_same(&twin::answer(&bytes, &case.config.columns)?)?;
    }
    drop(bytes);
    let mut buffers = case.buffers();
    serve(&ready(&case, &answer, check), |seconds_min| {
        let mut passes = Vec::new();
        while passes.iter().sum::<f64>() < seconds_min || passes.is_empty() {
            let start = thread_cpu_seconds();
            let rows = case.pass(&mut buffers);
            passes.push(thread_cpu_seconds() - start);
            ensure!(rows == case.records, "{rows} rows of {} records", case.records);
        }
        Ok(json!({ "bytes": case.bytes, "passes_cpu_seconds": passes }))
    })
}

fn ready(case: &Case, answer: &Answer, checked: bool) -> Value {
    let columns: Map<String, Value> = answer
        .columns
        .iter()
        .map(|column| (column.name.clone(), json!([column.text_bytes, column.number.to_string(), column.float])))
        .collect();
    json!({
        "bytes": case.bytes,
        "records": case.records,
        "slices": case.slices.len(),
        "checked": checked,
        "digest": answer.digest(),
        "columns": columns,
    })
}

fn engine(reader: ReaderChoice, config: &Path, inputs: &[PathBuf]) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(config).with_context(|| format!("reading {}", config.display()))?;
    let (config, decoder) = case::decoder(&text, folder_of(config)?)?;
    let inputs: Vec<Input> = inputs.iter().map(|path| Input::file(path)).collect::<Result<_, _>>()?;
    let read = ReadMethod::choose(reader)?;
    serve(&json!({ "inputs": inputs.len() }), |_| {
        let run = engine::run(&config, &decoder, &inputs, read)?;
        Ok(json!({
            "bytes": run.totals.bytes,
            "records": run.totals.loaded,
            "by_product": run.totals.rows_by_product.iter().map(|(name, rows)| (name.to_string(), json!(rows))).collect::<Map<_, _>>(),
            "encoded_bytes": run.encoded_bytes,
            "seconds": run.seconds,
            "cpu_seconds": run.cpu_seconds,
        }))
    })
}

/// Says that it is ready, then answers each `run SECONDS` with a measurement, until the input ends.
fn serve(ready: &Value, mut measure: impl FnMut(f64) -> anyhow::Result<Value>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let seconds = line.strip_prefix("run ").and_then(|seconds| seconds.parse().ok());
        let seconds = seconds.with_context(|| format!("expected `run SECONDS`, got {line:?}"))?;
        writeln!(out, "{}", measure(seconds)?)?;
        out.flush()?;
    }
    Ok(())
}
