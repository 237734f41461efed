//! `longshore chaos`: an acceptance test of a user's own ClickHouse, by faults on purpose.
//!
//! The records are generated and their config is built in, because the right answers have to be known without asking the
//! engine: of a user's own records nobody knows them. What is the user's is all that the guarantee depends on: the server,
//! the way to it, the user's rights and profile, and the `[clickhouse]` section. A server on a URL is only talked to. An
//! embedded one is started for the test, of the same library and with the same memory, on a folder of its own, and killed
//! too: the user's data folder is not touched.

use std::time::Duration;

use anyhow::Context;
use longshore_chaos::{ChaosError, Options, PURPOSE, Report, Target};
use longshore_core::config::{ClickHouseSpec, ServerSpec};
use longshore_core::words::plural;
use longshore_sinks::clickhouse::{ClickHouse, Connection, Scratch};

use crate::cli::ChaosArgs;
use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::output::say;
use crate::signals::{Phase, Stop};
use crate::{config_file, connect};

/// How long a test that shall end may take for the fault under way, for its engine's end and for dropping its database.
const END_PATIENCE: Duration = Duration::from_secs(120);

/// Makes the run and prints its report.
pub(crate) fn run(args: &ChaosArgs) -> CommandResult {
    let config = config_file::read(&args.config.config).or_exit(Exit::Config)?;
    let database = format!("{}_{PURPOSE}_", config.clickhouse.database);
    let left = move || format!("a database {database}... may stay behind; the next test names it");
    let phase = Phase::ends_after(END_PATIENCE, left);
    let stop = Stop::on_interrupt("ending the test and dropping its database", phase).or_exit(Exit::Refused)?;
    let target = target(&config.clickhouse).or_exit(Exit::Unavailable)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = parent.join(format!("longshore-chaos-{:016x}", rand::random::<u64>()));
    let engine = std::env::current_exe().context("cannot find the path of this program").or_exit(Exit::Refused)?;
    tracing::info!("seed {seed}, logs and journal in {}", folder.display());
    let options = Options {
        engine,
        target,
        clickhouse: &config.clickhouse,
        folder: folder.clone(),
        faults: args.faults,
        time: args.minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        seed,
        full_disk: false,
        stop: stop.flag(),
        progress: &|report| progress(report, args.faults),
    };
    let report = longshore_chaos::run(&options).map_err(failure)?;
    say!("{report}");
    if report.is_clean() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("removing {}", folder.display()))
            .or_exit(Exit::Refused)?;
    } else {
        say!("the logs, the journal and the engine's log are in {}", folder.display());
    }
    Ok(match (report.failed.is_some(), report.interrupted) {
        (true, _) => Exit::Refused,
        (false, true) => Exit::Interrupted,
        (false, false) => Exit::Done,
    })
}

/// A line every tenth fault or so.
fn progress(report: &Report, faults: u64) {
    if report.compared.is_multiple_of(10) {
        let records = plural(report.records, "record");
        tracing::info!("{} of {faults} faults, {records}: each there once", report.faults());
    }
}

/// The config's server, or one like it.
fn target(spec: &ClickHouseSpec) -> anyhow::Result<Target> {
    match &spec.server {
        ServerSpec::Embedded(embedded) => {
            let options = connect::options(embedded, &spec.database)?;
            Ok(Target::Own(longshore_sinks::embedded::EmbeddedOptions { http_port: None, tcp_port: None, ..options }))
        }
        ServerSpec::Url(url) => {
            let connection = Connection::new(url, &spec.database, spec.compression);
            let left = Scratch::left_behind(&ClickHouse::connect(&connection)?, &spec.database, PURPOSE)?;
            for database in left {
                tracing::warn!("an earlier test left the database {database} behind, or is running: it may be dropped");
            }
            Ok(Target::Theirs(connection))
        }
    }
}

fn failure(error: ChaosError) -> Failure {
    let exit = match &error {
        ChaosError::Embedded(_) | ChaosError::Connect(_) | ChaosError::Url { .. } => Exit::Unavailable,
        _ => Exit::Refused,
    };
    Failure { exit, error: error.into() }
}
