//! `longshore validate`: every problem of a config at once.

use std::path::Path;

use longshore_core::budget::Command;
use longshore_core::config::Config;
use longshore_core::decode::Decoder;
use longshore_core::words::plural;
use longshore_sinks::clickhouse::{ClickHouse, Schema};

use crate::cli::ValidateArgs;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, OrExit};
use crate::output::{say, whole};
use crate::{config_file, exposed, guarantee, schema};

/// Checks the config, the files that it names, and (unless told not to connect) the server's tables.
pub(crate) fn run(args: &ValidateArgs) -> CommandResult {
    let path = args.config.config.display();
    let config = config_file::read(&args.config.config).or_exit(Exit::Config)?;
    let mut problems = Vec::new();
    let keyring = config_file::keyring(&config).map_err(|error| problems.push(error)).ok().flatten();
    let dictionary = config_file::dictionary(&config).map_err(|error| problems.push(error)).ok().flatten();
    for command in [Command::Load, Command::Run] {
        if let Err(error) = config_file::memory(&config, dictionary.as_ref(), command) {
            problems.push(error);
            break;
        }
    }
    if problems.is_empty() {
        Decoder::new(&config, keyring, dictionary).or_exit(Exit::Config)?;
    }
    for problem in &problems {
        eprintln!("{path}: {}", whole(problem));
    }
    if !problems.is_empty() {
        return Ok(Exit::Config);
    }
    say!(
        "{path}: the config is right: {}, {}, {}",
        plural(config.columns.len(), "column"),
        plural(config.rollups.len(), "rollup"),
        plural(config.sources.len(), "source")
    );
    exposed::warn(&config);
    if args.no_connect {
        return Ok(Exit::Done);
    }
    let server = Server::open(&config.clickhouse).or_exit(Exit::Unavailable)?;
    let exit = against(&server.client, &config, &args.config.config);
    server.close().or_exit(Exit::Refused)?;
    exit
}

/// Compares the config with a server: its tables, if there are any, and what it can promise.
fn against(client: &ClickHouse, config: &Config, path: &Path) -> CommandResult {
    let tables = Schema::from_config(config);
    if tables.is_absent(client).or_exit(Exit::Refused)? {
        say!("{}", schema::absent(client, &tables, path)?);
        return guarantee::show_of_nothing(client, config);
    }
    let compared = schema::compare(client, &tables, path)?;
    let promised = guarantee::show(client, config)?;
    Ok(if compared == Exit::Done { promised } else { compared })
}
