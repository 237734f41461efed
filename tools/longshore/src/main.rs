//! The `longshore` command. This file only says which command runs; each has a file of its own.

mod bar;
mod bench;
mod bundle;
mod chaos;
mod cli;
mod clickhouse;
mod completing;
mod config_file;
mod connect;
mod dead_letters;
mod doctor;
mod exit;
mod exposed;
mod guarantee;
mod inputs;
mod kernels;
mod load;
mod logging;
mod metrics;
mod output;
mod reload;
mod report;
mod run;
mod schema;
mod signals;
mod validate;

use std::process::ExitCode;

use clap::Parser;
use indicatif::MultiProgress;
use longshore_sinks::embedded;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::logging::LogFormat;
use crate::output::whole;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The embedded server is this same program, started again.
    if let Some(exit) = embedded::child_main(std::env::args_os()) {
        return exit;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let bars = MultiProgress::new();
    let logging = logging::init(cli.log_format, cli.quiet, cli.verbose, &bars);
    let outcome = match &cli.command {
        Command::Load(args) => load::run(args, &bars),
        Command::Run(args) => run::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Chaos(args) => chaos::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Clickhouse(args) => clickhouse::run(args),
        Command::Doctor(args) => doctor::run(args),
    };
    drop(logging);
    match outcome {
        Ok(exit) => exit.into(),
        Err(Failure { exit, error }) => {
            match cli.log_format {
                LogFormat::Text => eprintln!("longshore: {}", whole(&error)),
                LogFormat::Json => tracing::error!(exit = exit as i32, "{}", whole(&error)),
            }
            exit.into()
        }
    }
}
