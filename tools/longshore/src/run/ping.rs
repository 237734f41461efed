//! Looks now and then whether ClickHouse answers, and whether it is still the server that acknowledged what was sent: a
//! service that has nothing to store would not notice either.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use longshore_core::limits::PING_MS;
use longshore_sinks::clickhouse::ClickHouse;

use crate::metrics::Reach;

/// Looks from now on, until the process ends.
pub(super) fn start(client: ClickHouse, reach: Arc<Reach>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("ping".into());
    let look = move || {
        loop {
            reach.found(client.ping().map_err(|error| error.to_string()));
            std::thread::sleep(Duration::from_millis(PING_MS));
        }
    };
    thread.spawn(look).map(drop)
}
