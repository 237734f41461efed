//! `torture`: runs the simulation, or kills real processes.

mod mounts;
mod real;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use longshore_torture::seeds::run;
use longshore_torture::simulation::{Options, simulate};

/// Finds out whether anything is lost or doubled, whatever dies.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the deterministic simulation.
    Simulate(Simulate),
    /// Kills a real engine, a real ClickHouse and the connections between them.
    Real(real::Args),
    /// Kills, adds and removes real engines of one consumer group while records flow.
    Group(real::GroupArgs),
}

#[derive(Debug, Args)]
struct Simulate {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// This seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Print each step.
    #[arg(long, requires = "seed")]
    verbose: bool,
}

fn main() -> ExitCode {
    let clean = match Cli::parse().command {
        Command::Simulate(Simulate { seed: Some(seed), verbose, .. }) => one(seed, verbose),
        Command::Simulate(Simulate { from, seeds, .. }) => many(from, seeds),
        Command::Real(args) => real::run(&args),
        Command::Group(args) => real::run_group(&args),
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, verbose: bool) -> bool {
    let report = simulate(seed, Options { verbose, bug: None });
    report.faults.iter().for_each(|(what, count)| println!("{count:>6} {what}"));
    let (trace, records) = (report.trace, report.records);
    println!("seed {seed}: trace {trace:016x}, {records} records, {}, faults {}", report.findings, report.faults());
    report.findings.is_clean()
}

fn many(from: u64, seeds: u64) -> bool {
    let begin = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let progress = |done: u64| {
        if done.is_multiple_of(1_000) {
            let rate = done as f64 / begin.elapsed().as_secs_f64();
            eprintln!("{done} of {seeds} seeds, {rate:.0} a second");
        }
    };
    let summary = run(from, seeds, threads, Options::default(), &progress);
    for (seed, findings) in &summary.failed {
        println!("seed {seed}: {findings}\n  `torture simulate --seed {seed} --verbose` replays it");
    }
    let (lost, twice, faults) = (summary.lost, summary.twice, summary.faults);
    println!("simulated {} seeds: lost {lost}, twice {twice}, faults {faults}", summary.seeds);
    summary.failed.is_empty()
}
