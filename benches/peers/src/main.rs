//! Rivals on the files of Longshore's benches, driven like Longshore's own runner.
//!
//! `longshore-peers PEER WORKLOAD FILE` reads the file, parses it once, prints one JSON object with what it found, and
//! then answers each line `run SECONDS` with the CPU seconds of each pass over the file, one thread, from memory.

#![allow(missing_docs)]

mod arrow;
mod lines;

use std::io::{BufRead, Write};

use anyhow::{Context, bail, ensure};
use rustix::time::{ClockId, clock_gettime};

/// The allocator of Longshore's command, so that buffers cost both the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A rival that is ready to go over its input.
pub(crate) trait Peer {
    /// Parses all of the input once; gives the records.
    fn pass(&mut self) -> anyhow::Result<u64>;

    /// What it found, as a JSON object of column names and `[bytes of text, sum of integers, sum of floats]`; empty if
    /// it extracts nothing.
    fn columns(&mut self) -> anyhow::Result<String>;
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [peer, workload, file] = arguments.as_slice() else {
        bail!("usage: longshore-peers arrow-json|sonic-rs|simd-json WORKLOAD FILE");
    };
    let input = std::fs::read(file).with_context(|| format!("reading {file}"))?;
    let bytes = input.len();
    let mut peer: Box<dyn Peer> = match peer.as_str() {
        "arrow-json" => Box::new(arrow::ArrowJson::new(workload, input)?),
        "sonic-rs" => Box::new(lines::SonicRs::new(input)),
        "simd-json" => Box::new(lines::SimdJson::new(input)),
        other => bail!("no peer {other:?}; there are arrow-json, sonic-rs and simd-json"),
    };
    let columns = peer.columns()?;
    let records = peer.pass()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, r#"{{"bytes":{bytes},"records":{records},"columns":{columns}}}"#)?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let seconds = line.strip_prefix("run ").and_then(|seconds| seconds.parse::<f64>().ok());
        let seconds = seconds.with_context(|| format!("expected `run SECONDS`, got {line:?}"))?;
        let mut passes: Vec<f64> = Vec::new();
        while passes.iter().sum::<f64>() < seconds || passes.is_empty() {
            let start = thread_cpu_seconds();
            let again = peer.pass()?;
            passes.push(thread_cpu_seconds() - start);
            ensure!(again == records, "{again} records, first {records}");
        }
        writeln!(out, r#"{{"bytes":{bytes},"passes_cpu_seconds":{passes:?}}}"#)?;
        out.flush()?;
    }
    Ok(())
}

fn thread_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
