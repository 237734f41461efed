//! `longshore clickhouse`: the embedded server by itself.

use anyhow::anyhow;
use longshore_core::config::{DATABASE_DEFAULT, EmbeddedSpec, ServerSpec};
use longshore_sinks::embedded;

use crate::cli::ClickhouseArgs;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::{config_file, connect, signals};

/// Runs the server until interrupted. What the command line says outranks the config.
pub(crate) fn run(args: &ClickhouseArgs) -> CommandResult {
    let (mut spec, database) = match &args.config {
        None => (EmbeddedSpec::default(), DATABASE_DEFAULT.to_owned()),
        Some(path) => {
            let clickhouse = config_file::read(path).or_exit(Exit::Config)?.clickhouse;
            match clickhouse.server {
                ServerSpec::Embedded(spec) => (spec, clickhouse.database),
                ServerSpec::Url(url) => {
                    let url = url.url;
                    let error =
                        anyhow!("{}: clickhouse.url is {url}, so there is no embedded server to run", path.display());
                    return Err(Failure { exit: Exit::Config, error });
                }
            }
        }
    };
    spec.data = args.data.clone().or(spec.data);
    spec.http_port = args.http_port.or(spec.http_port);
    spec.tcp_port = args.tcp_port.or(spec.tcp_port);
    let options = connect::options(&spec, &database).or_exit(Exit::Unavailable)?;
    let stop = signals::stop_when_told("ending ClickHouse").or_exit(Exit::Refused)?;
    embedded::run_foreground(options, &stop).or_exit(Exit::Unavailable)?;
    Ok(Exit::Done)
}
