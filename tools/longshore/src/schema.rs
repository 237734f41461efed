//! `longshore schema`: the tables that a config needs, and how the server's differ.

use std::path::Path;

use longshore_core::words::plural;
use longshore_sinks::clickhouse::{ClickHouse, Difference, Schema};

use crate::cli::SchemaArgs;
use crate::config_file;
use crate::connect::Server;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::output::say;

/// Prints, compares or applies.
pub(crate) fn run(args: &SchemaArgs) -> CommandResult {
    let config = config_file::read(&args.config.config).or_exit(Exit::Config)?;
    let tables = Schema::from_config(&config);
    if args.print {
        for statement in tables.statements().into_iter().chain(tables.comment_statements()) {
            say!("{statement};\n");
        }
        return Ok(Exit::Done);
    }
    let server = Server::open(&config.clickhouse).or_exit(Exit::Unavailable)?;
    let exit = match args.apply {
        true => apply(&server.client, &tables),
        false => compare(&server.client, &tables, &args.config.config),
    };
    server.close().or_exit(Exit::Refused)?;
    exit
}

/// Says how the server's tables differ, if they do.
pub(crate) fn compare(client: &ClickHouse, tables: &Schema, config: &Path) -> CommandResult {
    if tables.is_absent(client).or_exit(Exit::Refused)? {
        say!("{}", absent(client, tables, config)?);
        return Ok(Exit::Config);
    }
    let differences = tables.check(client).or_exit(Exit::Refused)?;
    let config = config.display();
    if differences.is_empty() {
        say!("the tables in {} are as the config has them", client.database());
        let uncommented = tables.uncommented(client).or_exit(Exit::Refused)?;
        if !uncommented.is_empty() {
            let objects = plural(uncommented.len(), "object");
            say!("but comments of {objects}, which harms nothing: `longshore schema -c {config} --apply` sets them");
        }
        for (rollup, slices) in tables.incomplete(client).or_exit(Exit::Refused)? {
            say!(
                "but rollup {rollup} has not counted {} that were stored without it: `longshore schema -c {config} --apply` \
                 has it count them, and so does a load or a service that uses it",
                plural(slices as usize, "slice")
            );
        }
        return Ok(Exit::Done);
    }
    for difference in &differences {
        say!("{difference}");
    }
    if differences.iter().all(|difference| difference.can_apply()) {
        say!(
            "`longshore schema -c {config} --apply` creates what is absent and sets what tables lack; a load does not"
        );
    }
    // What no load needs keeps nobody from loading.
    let needless = |difference: &Difference| difference.is_for_analysts() || difference.is_only_slow();
    Ok(if differences.iter().all(needless) { Exit::Done } else { Exit::Config })
}

/// Before anything is there: what will create it.
pub(crate) fn absent(client: &ClickHouse, tables: &Schema, config: &Path) -> Result<String, Failure> {
    let (database, config) = (client.database(), config.display());
    // Three tables at least.
    let objects = format!("{} tables and views", tables.statements().len() - 1);
    let what = match tables.has_database(client).or_exit(Exit::Refused)? {
        true => format!("the database {database} has none of the {objects} yet"),
        false => format!("the database {database} with its {objects} is not there yet"),
    };
    Ok(format!(
        "{what}: the first `longshore load -c {config}` (or `run`) creates all of it, and so does `longshore schema -c \
         {config} --apply`"
    ))
}

fn apply(client: &ClickHouse, tables: &Schema) -> CommandResult {
    let done = tables.apply(client).or_exit(Exit::Config)?;
    for step in &done {
        say!("{step}");
    }
    if done.is_empty() {
        say!("the tables in {} are as the config has them", client.database());
    }
    Ok(Exit::Done)
}

/// Before a load: creates everything in a database that has nothing of it yet, and in one of an earlier version what analysts
/// read of the dead letters.
pub(crate) fn create_if_fresh(client: &ClickHouse, tables: &Schema) -> Result<(), Failure> {
    if tables.is_absent(client).or_exit(Exit::Refused)? {
        tables.apply(client).or_exit(Exit::Refused)?;
        let objects = tables.statements().len() - 1;
        tracing::info!("created {objects} tables and views in the database {}", client.database());
    } else if let Some(done) = tables.apply_for_analysts(client).or_exit(Exit::Refused)? {
        tracing::info!("{done}");
    }
    Ok(())
}
