//! The table settings that the guarantee rests on: how many tokens a table remembers, and what is on the disk when an
//! insert is acknowledged.
//!
//! **Merges.** ClickHouse does not sync what a merge writes, so a merge replaces synced parts by one that is in the page
//! cache. It keeps the old parts for `old_parts_lifetime` (480 s) for exactly this: at the next start a damaged part is
//! set aside and the parts that it was made of come back. Linux writes dirty pages back after some 30 s. So merges are not
//! synced, which would write every row to the disk once more for each merge; what is checked is that the old parts
//! stay long enough, or that merges are synced.

use super::check::{Difference, Found, FoundTable, Mend};
use super::ddl::{BLOCK_NUMBERS, DEDUPLICATION_WINDOW, Table};
use super::sql::quote_table;

/// Days that a slice may touch without anybody's noticing: ClickHouse's own limit for an insert.
const SLICE_DAYS: u64 = 100;
/// Seconds that an attempt can take with the wait behind it: the time-outs of an insert (`insert.rs`) and the longest
/// wait of a retry. A replicated table that forgets tokens earlier takes the next attempt for new.
const ATTEMPT_SECONDS: u64 = 120 + 600 + 15;
/// Seconds that old parts have to stay where merges are not synced: ten times what Linux leaves pages dirty.
const OLD_PARTS_SECONDS: u64 = 300;
/// What [`Difference`] says of them.
const TABLE_SETTINGS: &str = "table settings";

/// Settings that every start looks up where a table has none of its own.
pub(super) const NAMES: [&str; 9] = [
    BLOCK_NUMBERS.0,
    "non_replicated_deduplication_window",
    "replicated_deduplication_window",
    "replicated_deduplication_window_seconds",
    AFTER_INSERT.0,
    PART_DIRECTORY.0,
    OLD_PARTS.0,
    "min_rows_to_fsync_after_merge",
    "min_compressed_bytes_to_fsync_after_merge",
];

/// Settings that have a part on the disk, and its name in the folder, before it is acknowledged, and that let it stay
/// until what a merge made of it is on the disk too. An embedded server keeps old parts for 0 s unless it is told.
pub(super) const FSYNC: [(&str, u64); 3] = [AFTER_INSERT, PART_DIRECTORY, OLD_PARTS];
const AFTER_INSERT: (&str, u64) = ("fsync_after_insert", 1);
const PART_DIRECTORY: (&str, u64) = ("fsync_part_directory", 1);
/// Seconds: ClickHouse's own default for a server.
const OLD_PARTS: (&str, u64) = ("old_parts_lifetime", 480);

/// What a config wants of its tables' durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Parts are synced before they are acknowledged.
    pub(super) fsync: bool,
    /// Slices that can be between their first insert and their ledger row.
    pub(super) slices_in_flight: u64,
}

/// Compares a table's settings with what the guarantee needs.
pub(super) fn compare(wanted: Wanted, table: &Table, found: &Found, actual: &FoundTable) -> Vec<Difference> {
    // On replicated and shared servers the same engine has a prefix, and settings of its own.
    let shared = actual.engine.starts_with("Shared");
    let replicated = shared || actual.engine.starts_with("Replicated");
    let days = if actual.partition_key.is_empty() { 1 } else { SLICE_DAYS };
    let window_min = wanted.slices_in_flight * days;
    let mut checks = Vec::new();
    if replicated {
        checks.push(("replicated_deduplication_window", window_min, DEDUPLICATION_WINDOW));
        checks.push(("replicated_deduplication_window_seconds", ATTEMPT_SECONDS, 3600));
    } else {
        checks.push(("non_replicated_deduplication_window", window_min, DEDUPLICATION_WINDOW));
    }
    if wanted.fsync && !replicated {
        checks.extend([AFTER_INSERT, PART_DIRECTORY].map(|(name, value)| (name, value, value)));
        let value = |name| found.setting(actual, name);
        if value("min_rows_to_fsync_after_merge") == 0 && value("min_compressed_bytes_to_fsync_after_merge") == 0 {
            let (name, seconds) = OLD_PARTS;
            checks.push((name, OLD_PARTS_SECONDS, seconds));
        }
    }
    let altered = quote_table(found.database(), &table.name);
    let short = checks.into_iter().filter_map(|(name, least, good)| {
        let value = found.setting(actual, name);
        (value < least).then(|| Difference {
            object: table.name.clone(),
            what: TABLE_SETTINGS,
            expected: if least == good { format!("{name} = {good}") } else { format!("{name} of {least} or more") },
            actual: format!("{name} = {value}"),
            mend: Mend::Setting(format!("ALTER TABLE {altered} MODIFY SETTING {name} = {good}")),
        })
    });
    short.collect()
}
