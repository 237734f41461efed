//! `longshore validate`: every problem of a config at once.

use longshore_core::budget::Command;
use longshore_core::decode::Decoder;
use longshore_sinks::clickhouse::Schema;

use crate::cli::ValidateArgs;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, OrExit};
use crate::output::say;
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
        eprintln!("{path}: {problem:#}");
    }
    if !problems.is_empty() {
        return Ok(Exit::Config);
    }
    say!(
        "{path}: the config is right: {} columns, {} rollups, {} sources",
        config.columns.len(),
        config.rollups.len(),
        config.sources.len()
    );
    exposed::warn(&config);
    if args.no_connect {
        return Ok(Exit::Done);
    }
    let server = Server::open(&config.clickhouse).or_exit(Exit::Unavailable)?;
    let compared = schema::compare(&server.client, &Schema::from_config(&config), &args.config.config);
    let exit = match compared {
        Ok(Exit::Done) => guarantee::show(&server.client, &config),
        Ok(differ) => guarantee::show(&server.client, &config).map(|_| differ),
        Err(failure) => Err(failure),
    };
    server.close().or_exit(Exit::Refused)?;
    exit
}
