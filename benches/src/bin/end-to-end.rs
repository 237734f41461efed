//! From file to queryable: `longshore load` with the embedded ClickHouse on this machine's cores.
//!
//! Two million channel-log records (about 800 MB of JSON), 17 columns, the rollups new users, GMV and PV/UV; plain and
//! sealed in turn, several runs of each into an empty server, medians. Each run's counts are checked against the
//! generator's. Prints one table, and exits with 1 if a count is wrong.
//!
//! Every run has a data folder of its own, and all are deleted at the end: ext4 searches past inodes that were freed
//! within the last minutes for each file it creates, so that deleting a server's files slows the next server down by
//! a third. `--data DIR` puts the folders elsewhere, such as on a tmpfs.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

const USAGE: &str = "usage: end-to-end [--records N] [--runs N] [--data DIR]";
const RECORDS: u64 = 2_000_000;
const RUNS: usize = 5;

/// One way to hand over the same records.
struct Variant {
    name: &'static str,
    input: PathBuf,
    config: PathBuf,
}

/// What one run reported.
struct Run {
    megabytes_per_second: f64,
    seconds: f64,
    peak_resident_mebibytes: f64,
}

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end-to-end: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> anyhow::Result<()> {
    let Arguments { records, runs, data } = arguments()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let variants = [variant(&root, &folder, records, "plain", &[])?, sealed(&root, &folder, records)?];
    let expected = loaded_and_dead(&folder.join("plain.expected"))?;

    let data = tempfile::tempdir_in(data.as_deref().unwrap_or(&folder)).context("a folder for the servers' data")?;
    let mut results: Vec<Vec<Run>> = variants.iter().map(|_| Vec::new()).collect();
    for round in 0..runs {
        for (variant, results) in variants.iter().zip(&mut results) {
            let data = data.path().join(format!("{}-{round}", variant.name));
            let run = run(&root, &data, variant, expected);
            results.push(run.with_context(|| format!("{}, run {round}", variant.name))?);
        }
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{records} records, 17 columns, 3 rollups, embedded ClickHouse, {cores} cores, medians of {runs} (min to max)"
    );
    println!("{:<22} {:>9} {:>18} {:>9} {:>15}", "input", "MB/s", "", "seconds", "peak RSS, MiB");
    for (variant, results) in variants.iter().zip(&results) {
        let rate = spread(results, |run| run.megabytes_per_second);
        let seconds = spread(results, |run| run.seconds);
        let memory = spread(results, |run| run.peak_resident_mebibytes);
        println!(
            "{:<22} {:>9.0} {:>18} {:>9.2} {:>15.0}",
            variant.name,
            rate.median,
            format!("({:.0} to {:.0})", rate.min, rate.max),
            seconds.median,
            memory.max,
        );
    }
    Ok(())
}

struct Arguments {
    records: u64,
    runs: usize,
    data: Option<PathBuf>,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut parsed = Arguments { records: RECORDS, runs: RUNS, data: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match name.as_str() {
            "--records" => parsed.records = value.parse().context(USAGE)?,
            "--runs" => parsed.runs = value.parse().context(USAGE)?,
            "--data" => parsed.data = Some(value.into()),
            _ => bail!(USAGE),
        }
    }
    ensure!(parsed.records > 0 && parsed.runs > 0, USAGE);
    Ok(parsed)
}

fn sealed(root: &Path, folder: &Path, records: u64) -> anyhow::Result<Variant> {
    let keyring = folder.join("keyring.toml");
    let keyring = keyring.to_str().context("the path is not UTF-8")?;
    variant(root, folder, records, "sealed", &["--encrypt", "aes-256-gcm", "--envelope", "tab", "--keyring", keyring])
}

/// Generates the input, unless an earlier bench left it, and writes the config for it.
fn variant(root: &Path, folder: &Path, records: u64, name: &'static str, seal: &[&str]) -> anyhow::Result<Variant> {
    let input = folder.join(format!("{name}-{records}.log"));
    let expected = folder.join(format!("{name}.expected"));
    if !input.exists() || !expected.join("summary.json").exists() {
        let partial = folder.join(format!("{name}.partial"));
        let status = Command::new(root.join("target/release/loggen"))
            .args(["--records", &records.to_string(), "--seed", "1", "--broken-rate", "0"])
            .args(seal)
            .arg("--products-file")
            .arg(folder.join("products.csv"))
            .arg("--expect")
            .arg(&expected)
            .arg("--out")
            .arg(&partial)
            .status()
            .context("cannot run loggen; `make build` builds it")?;
        ensure!(status.success(), "loggen failed: {status}");
        std::fs::rename(&partial, &input)?;
    }
    let envelope =
        if seal.is_empty() { "" } else { "[decode.envelope]\nlayout = \"tab\"\nkeyring = \"keyring.toml\"\n" };
    let template = std::fs::read_to_string(root.join("benches/configs/channel-log.toml"))?;
    let config = folder.join(format!("{name}.toml"));
    std::fs::write(&config, template.replace("# ENVELOPE\n", envelope))?;
    Ok(Variant { name, input, config })
}

fn loaded_and_dead(expected: &Path) -> anyhow::Result<(u64, u64)> {
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(expected.join("summary.json"))?)?;
    let loaded = summary["loaded"].as_u64().context("summary.json has no `loaded`")?;
    let records = summary["records"].as_u64().context("summary.json has no `records`")?;
    Ok((loaded, records - loaded))
}

/// One load into an empty server.
fn run(root: &Path, data: &Path, variant: &Variant, expected: (u64, u64)) -> anyhow::Result<Run> {
    let output = Command::new(root.join("target/release/longshore"))
        .args(["load", "--quiet", "--json", "-c"])
        .arg(&variant.config)
        .arg(&variant.input)
        .env("LONGSHORE_BENCH_DATA", data)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run longshore; `make build` builds it")?;
    ensure!(output.status.success(), "longshore failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).context("the summary")?;
    let count = |key: &str| report[key].as_u64().with_context(|| format!("the summary has no `{key}`"));
    let figure = |key: &str| report[key].as_f64().with_context(|| format!("the summary has no `{key}`"));
    let got = (count("loaded")?, count("dead")?);
    ensure!(got == expected, "loaded and dead are {got:?}, expected {expected:?}");
    Ok(Run {
        megabytes_per_second: figure("megabytes_per_second")?,
        seconds: figure("seconds")?,
        peak_resident_mebibytes: figure("peak_resident_bytes")? / f64::from(1 << 20),
    })
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

fn spread(runs: &[Run], figure: impl Fn(&Run) -> f64) -> Spread {
    let mut values: Vec<f64> = runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    Spread { min: values[0], median: values[values.len() / 2], max: values[values.len() - 1] }
}
