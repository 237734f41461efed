//! The command line: what can be typed, nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use longshore_ingest::read::ReaderChoice;

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
}

/// The exit codes, as `longshore help` shows them; `exit.rs` has the same.
const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  ClickHouse refused, or something else that waiting does not cure
   64  usage error
   65  input is damaged, or there are dead letters and --fail-on-dead-letters was given
   66  an input cannot be opened or read
   69  ClickHouse cannot be reached at start, or the embedded one does not start
   78  the config, keyring or dictionary is wrong, or the tables differ from the config
  130  interrupted; what was read is stored, load the same inputs again to go on";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load files into ClickHouse
    ///
    /// Slices that the ledger has already are skipped, so a load that was cut short is finished by running it again.
    Load(LoadArgs),
    /// Check a config and report every problem in it
    Validate(ValidateArgs),
    /// Show the tables and views of a config, and how the server's differ
    Schema(SchemaArgs),
    /// Run the embedded ClickHouse by itself, for analysts, until interrupted
    Clickhouse(ClickhouseArgs),
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
    /// Load slices that the ledger has already once more (they will be in the tables twice)
    #[arg(long)]
    pub(crate) reload: bool,
    /// How files are read: auto (io_uring where the system allows it), io_uring (or fail), pread
    #[arg(long, value_name = "READER", default_value = "auto")]
    pub(crate) reader: ReaderChoice,
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
    /// Create what is absent and add new columns; nothing else is ever altered
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
