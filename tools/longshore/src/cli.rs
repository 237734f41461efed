//! The command line: what can be typed, nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use longshore_core::config::byte_size;
use longshore_core::limits::{
    BENCH_REPETITIONS, BENCH_REPETITIONS_CEILING, BENCH_SAMPLE_BYTES_CEILING, BENCH_SECONDS, BENCH_SECONDS_CEILING,
    CHAOS_FAULTS, CHAOS_FAULTS_CEILING,
};
use longshore_ingest::read::ReaderChoice;

use crate::logging::LogFormat;

/// Loads raw product logs, encrypted or not, into ClickHouse, where rollup tables answer by the minute.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say less: warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How log lines on standard error look
    #[arg(long, global = true, value_name = "FORMAT", env = "LONGSHORE_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// The exit codes, as `longshore help` shows them; `exit.rs` has the same.
const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  ClickHouse refused, or something else that waiting does not cure
   64  usage error
   65  input or a journal is damaged, or there are dead letters and --fail-on-dead-letters was given
   66  an input cannot be opened or read
   69  ClickHouse cannot be reached at start, or the embedded one does not start
   78  the config, keyring or dictionary is wrong, or the tables differ from the config
  130  interrupted, and not all is stored: load the same inputs, or start the service, again";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load files into ClickHouse
    ///
    /// Slices that the ledger has already are skipped, so a load that was cut short is finished by running it again.
    Load(LoadArgs),
    /// Follow the config's sources into ClickHouse until SIGTERM or Ctrl-C
    ///
    /// What was cut is journaled before it is sent, so whatever dies, the next run goes on where this one was.
    Run(RunArgs),
    /// Measure each stage on some of the input, and say which one is the bottleneck
    ///
    /// With ClickHouse it inserts the sample into a database of its own, which it drops at the end.
    Bench(BenchArgs),
    /// Kill the engine and its connections at random, and prove that nothing is lost or doubled
    ///
    /// An acceptance test of the config's ClickHouse: generated logs are followed into a database of its own, which is
    /// dropped at the end, while things go wrong on purpose; after each fault everything is compared with what was written.
    Chaos(ChaosArgs),
    /// Check a config and report every problem in it
    Validate(ValidateArgs),
    /// Show the tables and views of a config, and how the server's differ
    Schema(SchemaArgs),
    /// Run the embedded ClickHouse by itself, for analysts, until interrupted
    Clickhouse(ClickhouseArgs),
    /// Show what a journal says, and what can be done if it is damaged
    ///
    /// Changes and locks nothing: an engine may hold the journal meanwhile.
    Doctor(DoctorArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// The config (TOML)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Files to load, `-` for standard input; default: the config's sources
    ///
    /// Plain, gzip, zstd or lz4, told apart by content.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 65 if any record became a dead letter
    #[arg(long)]
    pub(crate) fail_on_dead_letters: bool,
    /// How files are read: auto (io_uring where the system allows it), io_uring (or fail), pread
    #[arg(long, value_name = "READER", default_value = "auto")]
    pub(crate) reader: ReaderChoice,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Die at once when this process, which must be the one that starts it, does
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) ends_with: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// How many faults
    #[arg(long, value_name = "N", default_value_t = CHAOS_FAULTS,
          value_parser = clap::value_parser!(u64).range(1..=CHAOS_FAULTS_CEILING))]
    pub(crate) faults: u64,
    /// Begin no fault after so many minutes
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: Option<u64>,
    /// Which faults and records; default: others each time
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Where logs and journal of the test go, in a folder that is removed if all is well; default: the temporary folder
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Files to measure on, `-` for standard input; default: the config's sources
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Print the figures as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not connect to ClickHouse: the engine's own stages only
    #[arg(long)]
    pub(crate) no_server: bool,
    /// How much of the inputs to measure on, after decompression, such as "64 MiB"; memory takes three times that
    #[arg(long, value_name = "SIZE", default_value = "128 MiB", value_parser = sample_bytes)]
    pub(crate) sample: u64,
    /// Repetitions of each measurement
    #[arg(long, value_name = "N", default_value_t = BENCH_REPETITIONS as u64,
          value_parser = clap::value_parser!(u64).range(1..=BENCH_REPETITIONS_CEILING as u64))]
    pub(crate) repetitions: u64,
    /// Begin no repetition of a measurement after so many seconds of it
    #[arg(long, value_name = "N", default_value_t = BENCH_SECONDS,
          value_parser = clap::value_parser!(u64).range(1..=BENCH_SECONDS_CEILING))]
    pub(crate) seconds: u64,
    /// How files are read, as for load
    #[arg(long, value_name = "READER", default_value = "auto")]
    pub(crate) reader: ReaderChoice,
}

/// A size that a sample may have.
fn sample_bytes(text: &str) -> Result<u64, String> {
    let bytes = byte_size(text).ok_or("it is a number of bytes, or one with a unit, such as \"64 MiB\"")?;
    match bytes {
        1..=BENCH_SAMPLE_BYTES_CEILING => Ok(bytes),
        _ => Err(format!("it is from 1 byte to {} GiB", BENCH_SAMPLE_BYTES_CEILING >> 30)),
    }
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Do not connect to ClickHouse to compare the tables
    #[arg(long)]
    pub(crate) no_connect: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Create what is absent, add new columns, set comments and what the guarantee needs; nothing else is ever altered
    #[arg(long)]
    pub(crate) apply: bool,
    /// Print the statements that would create everything, without connecting
    #[arg(long, conflicts_with = "apply")]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ClickhouseArgs {
    /// Take the [clickhouse.embedded] section of this config
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// HTTP port on loopback; default: a free one
    #[arg(long, value_name = "PORT")]
    pub(crate) http_port: Option<u16>,
    /// Native port on loopback; default: a free one
    #[arg(long, value_name = "PORT")]
    pub(crate) tcp_port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The journal's directory
    #[arg(value_name = "JOURNAL_DIR")]
    pub(crate) journal: PathBuf,
    /// Print everything as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use longshore_core::limits::BENCH_SAMPLE_BYTES;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_sample_of_a_bench_is_what_the_limits_say() {
        let cli = Cli::parse_from(["longshore", "bench", "-c", "app.toml"]);
        let Command::Bench(args) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(args.sample, BENCH_SAMPLE_BYTES);
        assert_eq!(sample_bytes("2 GiB"), Ok(2 << 30));
        assert!(sample_bytes("0").is_err() && sample_bytes("2049 MiB").is_err() && sample_bytes("much").is_err());
    }
}
