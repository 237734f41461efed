//! Rollups: what a slice adds to each, inserted under tokens of its own.
//!
//! Each insert is made
//! once for its token, so a slice that is sent again adds nothing: sums and states are the same bytes, because
//! aggregation is deterministic. Of new users fewer may be sent the second time, or more after a restart, and it does
//! not matter which of the two ClickHouse keeps: what was left out had been acknowledged before, and the table takes
//! the minimum.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use longshore_core::config::Config;
use longshore_core::limits::KNOWN_USERS_BYTES_MAX;
use longshore_core::rollup::RollupKind;
use longshore_core::rollup::aggregate::{Aggregator, Partial};
use longshore_core::rollup::known::{KnownUsers, Sighting, UserKeys};
use longshore_core::rollup::sample::{StateSample, state_samples};

use super::client::ClickHouse;
use super::error::ClientError;
use super::life::Life;
use super::rollup_ddl::target_name;
use super::sql::quote_text;
use super::types::{clickhouse_type, plain};
use super::work::work;

/// The rollups of a config.
#[derive(Debug)]
pub(super) struct Partials {
    aggregator: Aggregator,
    rollups: Vec<Target>,
    /// The server's life that what is known was acknowledged in.
    life: Mutex<Life>,
}

/// A rollup's table.
#[derive(Debug)]
struct Target {
    table: String,
    /// The users that it has for certain; only of new users.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    users: Mutex<KnownUsers>,
    /// Whether of events at the same moment others than the first may decide: there are `by` columns.
    ties_matter: bool,
}

/// Rows for one table. Once they are acknowledged, [`Partials::acknowledge`] has to know.
#[derive(Debug)]
pub(super) struct Insert {
    rollup: usize,
    rows: RecordBatch,
    sightings: Vec<Sighting>,
    /// The life that this was made for: one that ended meanwhile acknowledges nothing.
    life: Life,
}

impl Insert {
    /// The rows, of which nothing is kept.
    pub(super) fn take_rows(&mut self) -> RecordBatch {
        let none = RecordBatch::new_empty(self.rows.schema());
        std::mem::replace(&mut self.rows, none)
    }
}

impl Partials {
    /// `None` if there are no rollups. Asks the server whether states of distinct values are what we write; if they are not,
    /// it is an error.
    pub(super) fn new(clickhouse: &ClickHouse, config: &Config) -> Result<Option<Partials>, ClientError> {
        check_states(clickhouse, config)?;
        Ok(Partials::unchecked(config))
    }

    /// The same without asking a server.
    pub(super) fn unchecked(config: &Config) -> Option<Partials> {
        if config.rollups.is_empty() {
            return None;
        }
        let keys = UserKeys::random();
        let new_users = config.rollups.iter().filter(|spec| matches!(spec.kind, RollupKind::NewUsers { .. })).count();
        let rollups = config.rollups.iter().map(|spec| {
            let known = matches!(spec.kind, RollupKind::NewUsers { .. }).then(|| Known {
                users: Mutex::new(KnownUsers::new(keys, KNOWN_USERS_BYTES_MAX / new_users)),
                ties_matter: !spec.by.is_empty(),
            });
            Target { table: target_name(spec), known }
        });
        Some(Partials { aggregator: Aggregator::new(config, keys), rollups: rollups.collect(), life: Mutex::default() })
    }

    /// The server lives this life now. After another one it may have lost users that it had acknowledged: they are sent again.
    pub(super) fn lives(&self, life: Life) {
        let mut known = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if *known < life {
            *known = life;
            self.rollups.iter().filter_map(|target| target.known.as_ref()).for_each(|known| known.users().clear());
        }
    }

    /// What a batch of events adds to the rollups, in the order of the config, one at a time. Users that ClickHouse is known
    /// to have are left out. Waits until there is memory for it, which is given back with the iterator.
    pub(super) fn inserts<'b>(&'b self, events: &'b RecordBatch) -> impl Iterator<Item = Insert> + 'b {
        let permit = work(self.aggregator.bytes_max(events));
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        self.aggregator.aggregate(events).enumerate().map(move |(rollup, partial)| {
            let _held = &permit;
            let (rows, sightings) = match partial {
                Partial::Groups(rows) => (rows, Vec::new()),
                Partial::Sightings(sightings) => self.new_users(rollup, events, sightings),
            };
            Insert { rollup, rows, sightings, life }
        })
    }

    fn new_users(
        &self,
        rollup: usize,
        events: &RecordBatch,
        mut sightings: Vec<Sighting>,
    ) -> (RecordBatch, Vec<Sighting>) {
        if let Some(known) = &self.rollups[rollup].known {
            let users = known.users();
            sightings.retain(|sighting| match users.first(sighting.user) {
                Some(first) => sighting.time < first || (sighting.time == first && known.ties_matter),
                None => true,
            });
        }
        (self.aggregator.first_seen(rollup, events, &sightings), sightings)
    }

    /// Whether an insert is for a rollup that sums, so that it must be there once.
    pub(super) fn adds(&self, insert: &Insert) -> bool {
        self.rollups[insert.rollup].known.is_none()
    }

    /// The table that an insert is for.
    pub(super) fn table(&self, insert: &Insert) -> &str {
        &self.rollups[insert.rollup].table
    }

    /// Remembers that ClickHouse has these rows.
    pub(super) fn acknowledge(&self, insert: &Insert) {
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if *life != insert.life {
            return;
        }
        if let Some(known) = &self.rollups[insert.rollup].known {
            let mut users = known.users();
            insert.sightings.iter().for_each(|sighting| users.acknowledge(sighting));
        }
    }
}

impl Known {
    fn users(&self) -> MutexGuard<'_, KnownUsers> {
        // A table of a thread that panicked lacks users at worst.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the server keeps distinct values as we do, for all types that the config's rollups count.
///
/// # Errors
/// [`ClientError::Invalid`] if it does not.
pub(super) fn check_states(clickhouse: &ClickHouse, config: &Config) -> Result<(), ClientError> {
    state_samples(config).iter().try_for_each(|sample| check_state(clickhouse, sample))
}

/// Whether the server writes the sample's state as we do. Versions 24.8 to 26.7 do; one that does not would count
/// every user twice in silence.
fn check_state(clickhouse: &ClickHouse, sample: &StateSample) -> Result<(), ClientError> {
    let ty = clickhouse_type(plain(&sample.ty), false);
    let value = format!("CAST({}, {})", quote_text(sample.value), quote_text(&ty));
    let theirs = clickhouse.value(&format!("SELECT hex(uniqExactState({value}))"))?;
    let ours: String = sample.state.iter().map(|byte| format!("{byte:02X}")).collect();
    if ours == theirs {
        return Ok(());
    }
    let (major, minor) = clickhouse.version();
    Err(ClientError::Invalid(format!(
        "ClickHouse {major}.{minor} keeps distinct values of type {ty} in another form than this engine writes \
         ({theirs} instead of {ours}), so that its rollups would be wrong"
    )))
}
