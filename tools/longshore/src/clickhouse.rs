//! `longshore clickhouse`: the embedded server by itself.

use std::time::Duration;

use anyhow::anyhow;
use longshore_core::config::{DATABASE_DEFAULT, EmbeddedSpec, ServerSpec};
use longshore_core::limits::EMBEDDED_STOP_SECONDS_MAX;
use longshore_sinks::embedded;

use crate::cli::ClickhouseArgs;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::signals::{Phase, Stop};
use crate::{config_file, connect};

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
    let patience = Duration::from_secs(EMBEDDED_STOP_SECONDS_MAX);
    let phase =
        Phase::ends_after(patience, || "the embedded ClickHouse is killed; what it acknowledged is kept".to_owned());
    let stop = Stop::when_told("ending ClickHouse", phase).or_exit(Exit::Refused)?;
    embedded::run_foreground(options, stop.flag()).or_exit(Exit::Unavailable)?;
    Ok(Exit::Done)
}
