//! Rollups that came later count the slices that were stored without them, before a load and while a service runs.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use longshore_core::words::plural;
use longshore_sinks::clickhouse::{ClickHouse, Completion, Schema};

use crate::exit::{Exit, Failure, OrExit};

/// After a start or a reload it is looked again after so long, then after the double, and so on: slices that were cut under
/// a config of before are stored without the rollup even now.
const LOOK_FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Before a load: has the rollups count what is stored.
pub(crate) fn before_load(client: &ClickHouse, tables: &Schema) -> Result<(), Failure> {
    say(tables.complete(client, false).or_exit(Exit::Refused)?);
    Ok(())
}

/// While a service runs: the same now and then, in a thread that lasts as long as the process. It is told of other tables.
pub(crate) fn start(client: ClickHouse, mut tables: Schema) -> io::Result<Sender<Schema>> {
    let (sender, others) = channel();
    let serve = move || {
        let mut wait = LOOK_FIRST;
        loop {
            match tables.complete(&client, false) {
                Ok(completion) => say(completion),
                Err(error) => tracing::warn!("rollups that came later do not count what is stored for now: {error}"),
            }
            match others.recv_timeout(wait) {
                Ok(other) => (tables, wait) = (other, LOOK_FIRST),
                Err(RecvTimeoutError::Timeout) => wait = LOOK_MAX.min(wait * 2),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    std::thread::Builder::new().name("completing".into()).spawn(serve)?;
    Ok(sender)
}

fn say(completion: Completion) {
    match completion {
        Completion::Whole(0) => {}
        Completion::Whole(slices) => {
            tracing::info!("rollups counted {} that had been stored without them", plural(slices as usize, "slice"));
        }
        Completion::Elsewhere => tracing::info!("another engine has rollups count what was stored without them"),
    }
}
