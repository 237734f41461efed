//! Claims: which slice an event belongs to, where its producer sent it more than once.
//!
//! Before a slice's rows are sent, the keys of its events are inserted into a table of claims, all of them in one block.
//! Then the claims of these keys are read back. A key belongs to whoever claimed it first, by the number of the claim's
//! block, and rows whose key belongs to another slice are left out of the slice before anything else is made of it. That is
//! right without any lock of ours, because of three things:
//!
//! - a MergeTree table numbers a block and shows it under one lock. So of two slices, that of the smaller number is seen by
//!   the other one, which asks after its own block was shown; the smaller one need not see the other. Both come to
//!   the same answer, and whoever asks later comes to it too: numbers only rise, and `enable_block_number_column` keeps
//!   a row's number through merges. (Replicas number blocks before they are shown, so a replicated table is refused.)
//! - a claim stays, so a slice that is sent again leaves out the same rows: same bytes, same tokens. Claims are synced
//!   as rows are, and kept longer than they count.
//! - a row is left out only once a slice that claimed its key before is in the ledger: until then the slice is
//!   [behind](SinkError::Behind) that one. A claim whose slice is never stored keeps others waiting, and loses nothing.
//!   Slices wait for smaller numbers only, so none waits for itself in a circle.
//!
//! A claim counts against those that come within the window after it, by the server's clock at the moments of the claims.
//! Where a key is claimed over and over, each claim within the window of the one before is a duplicate.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt32Array, UInt64Array};
use longshore_core::config::Config;
use longshore_core::dedup::{EventKey, EventKeys};
use longshore_core::slice::SliceId;
use longshore_ingest::sink::{LoadedSlice, SinkError, Stored};

use super::check::{Difference, Found, Mend};
use super::client::ClickHouse;
use super::ddl::{BLOCK_NUMBERS, Table, claims_name};
use super::error::{ClientError, Rows};
use super::left_out::without;
use super::resume::GENERATIONS_MAX;
use super::sink::ClickHouseSink;
use super::sql::quote_table;
use super::store::Store;
use super::work::work;

/// A slice's claim to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub key: EventKey,
    /// By whom.
    pub slice: SliceId,
    /// The number of the block that it came in: the smaller one was first.
    pub block: u64,
    /// When, in milliseconds since 1970 by the server's clock.
    pub claimed_ms: i64,
}

/// How a config's slices claim their events.
#[derive(Debug)]
pub(super) struct Claims {
    keys: EventKeys,
    table: String,
    window: Duration,
}

impl Claims {
    /// `None` if the config does not ask for that.
    pub(super) fn of(config: &Config) -> Option<Claims> {
        let window = config.dedup.as_ref()?.window;
        Some(Claims { keys: EventKeys::new(config)?, table: claims_name(&config.table.name), window })
    }
}

impl<S: Store> ClickHouseSink<S> {
    /// The slice without the rows whose events are stored already, and what was left out. The same for every attempt.
    pub(super) fn claim<'s>(&self, slice: &'s LoadedSlice) -> Result<(Cow<'s, LoadedSlice>, Stored), SinkError> {
        let Some(claims) = &self.claims else { return Ok((Cow::Borrowed(slice), Stored::default())) };
        let batch = &slice.decoded.batch;
        let permit = work(batch.num_rows() * CLAIM_BYTES);
        let firsts = claims.keys.firsts(batch);
        let mut left_out = firsts.repeated;
        if !firsts.keys.is_empty() {
            let keys: Vec<EventKey> = firsts.keys.iter().map(|(key, _)| *key).collect();
            let (own, others) = self.claim_keys(claims, slice, &keys)?;
            let earlier = earlier(&own, &others, claims.window).map_err(|why| self.judgement(claims, slice, &why))?;
            self.demand_stored(claims, slice, &earlier)?;
            let lost = |key: &EventKey| earlier.contains_key(key);
            left_out.extend(firsts.keys.iter().filter(|(key, _)| lost(key)).map(|(_, row)| *row));
        }
        drop((firsts.keys, permit));
        if left_out.is_empty() {
            return Ok((Cow::Borrowed(slice), Stored::default()));
        }
        let (mut rest, duplicates) = without(slice, &left_out, &self.product);
        rest.decoded.duplicates += left_out.len() as u64;
        Ok((Cow::Owned(rest), Stored { duplicates, ..Stored::default() }))
    }

    /// Claims keys; the slice's own claim to one of them, which stands for all, and the claims of others.
    fn claim_keys(
        &self,
        claims: &Claims,
        slice: &LoadedSlice,
        keys: &[EventKey],
    ) -> Result<(Claim, Vec<Claim>), SinkError> {
        let id = slice.meta.id;
        let (store, table) = (self.store(), &claims.table);
        let error = |error: ClientError| {
            error.into_sink_error(&format!("claiming events in `{}`.`{table}`", store.database()), Rows::Ours)
        };
        for generation in 0..GENERATIONS_MAX {
            let generation = if generation == 0 { String::new() } else { generation.to_string() };
            let token = format!("{id}-c{generation}");
            store.insert(table, &token, &claims_batch(id, keys)).map_err(error)?;
            let found = store.claims(table, id, keys).map_err(error)?;
            let (own, others): (Vec<Claim>, Vec<Claim>) = found.into_iter().partition(|claim| claim.slice == id);
            // Claimed again, when its token was forgotten: the first claim counts.
            if let Some(own) = own.into_iter().min_by_key(|claim| claim.block) {
                return Ok((own, others));
            }
            // A server that died may remember a token whose rows it lost. To claim twice changes nothing.
        }
        let detail = format!("`{}`.`{table}` took the claims of slice {id}, and they are not there", store.database());
        Err(SinkError::Retry { detail })
    }

    /// Of each key that others claimed before, one of them has to be stored.
    fn demand_stored(
        &self,
        claims: &Claims,
        slice: &LoadedSlice,
        earlier: &BTreeMap<EventKey, Vec<SliceId>>,
    ) -> Result<(), SinkError> {
        let slices: Vec<SliceId> = earlier.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if slices.is_empty() {
            return Ok(());
        }
        let database = self.store().database();
        let whole = self.store().whole_slices(&slices).map_err(|error| {
            let what = format!("asking `{database}` for slices that claimed events of slice {}", slice.meta.id);
            error.into_sink_error(&what, Rows::Ours)
        })?;
        let awaited = awaited(earlier, &whole);
        let Some(first) = awaited.first() else { return Ok(()) };
        let more = match awaited.len() {
            1 => String::new(),
            slices => format!(" (and {} more)", slices - 1),
        };
        let table = quote_table(database, &claims.table);
        Err(SinkError::Behind {
            detail: format!(
                "events of it were claimed by slice {first}{more}, which is not stored yet, and are left out only once it \
                 is. If an engine or a load was stopped, start it again, with the same inputs. If that slice can never be \
                 stored, give up its claims: ALTER TABLE {table} DELETE WHERE slice = {}",
                first.0
            ),
        })
    }

    fn judgement(&self, claims: &Claims, slice: &LoadedSlice, why: &str) -> SinkError {
        let table = quote_table(self.store().database(), &claims.table);
        SinkError::Stuck {
            detail: format!("whose the events of slice {} are cannot be told from {table}: {why}", slice.meta.id),
        }
    }
}

/// The slices that claimed each key before `own` did and within the window; keys that nobody did are not there.
fn earlier(own: &Claim, others: &[Claim], window: Duration) -> Result<BTreeMap<EventKey, Vec<SliceId>>, String> {
    let window_ms = window.as_millis() as i64;
    let mut earlier: BTreeMap<EventKey, Vec<SliceId>> = BTreeMap::new();
    for claim in others {
        if claim.block == own.block {
            return Err(format!(
                "it has slices {} and {} in one block, so it was not made as it should be, or its parts were changed by hand",
                own.slice, claim.slice
            ));
        }
        if claim.block < own.block && own.claimed_ms.saturating_sub(claim.claimed_ms) <= window_ms {
            earlier.entry(claim.key).or_default().push(claim.slice);
        }
    }
    Ok(earlier)
}

/// Slices of which one at least has to be stored, since none of those that claimed some key is.
fn awaited(earlier: &BTreeMap<EventKey, Vec<SliceId>>, whole: &HashSet<SliceId>) -> BTreeSet<SliceId> {
    let open = earlier.values().filter(|slices| slices.iter().all(|slice| !whole.contains(slice)));
    open.filter_map(|slices| slices.iter().min().copied()).collect()
}

/// Claims of a slice, columns as in the table.
fn claims_batch(slice: SliceId, keys: &[EventKey]) -> RecordBatch {
    let hashes = FixedSizeBinaryArray::try_from_iter(keys.iter().map(|key| key.hash)).expect("hashes of one length");
    let columns: [(&str, ArrayRef); 3] = [
        ("hour", Arc::new(UInt32Array::from_iter_values(keys.iter().map(|key| key.hour)))),
        ("key", Arc::new(hashes)),
        ("slice", Arc::new(UInt64Array::from_value(slice.0, keys.len()))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// What of the tables keeps claims from being what they are for; what any table may lack is not looked at here.
pub(super) fn compare(claims: &Table, events: &Table, found: &Found) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |table: &Table, what, expected: &str, actual: &str, mend| {
        let (object, expected, actual) = (table.name.clone(), expected.to_owned(), actual.to_owned());
        differences.push(Difference { object, what, expected, actual, mend });
    };
    for table in [claims, events] {
        let shared = |engine: &str| engine.starts_with("Replicated") || engine.starts_with("Shared");
        if let Some(actual) = found.table(&table.name).filter(|actual| shared(&actual.engine)) {
            let expected = "MergeTree on one server, because [dedup] goes by the order of its blocks";
            differ(table, "engine", expected, &actual.engine, Mend::Nobody);
        }
    }
    let Some(actual) = found.table(&claims.name) else { return differences };
    let (name, value) = BLOCK_NUMBERS;
    let numbers = found.setting(actual, name);
    if numbers != value {
        // Merges may have taken the numbers already.
        differ(claims, "table settings", &format!("{name} = {value}"), &format!("{name} = {numbers}"), Mend::Nobody);
    }
    if let (Some((_, wanted)), Some(kept)) = (claims.expires, kept_seconds(&actual.engine_full))
        && kept < wanted
    {
        let (table, expiry) = (quote_table(found.database(), &claims.name), claims.expiry().unwrap_or_default());
        let mend = Mend::Setting(format!("ALTER TABLE {table} MODIFY TTL {expiry}"));
        differ(claims, "TTL", &format!("TTL of {wanted} seconds or more"), &format!("TTL of {kept} seconds"), mend);
    }
    differences
}

/// Seconds that a TTL of our form keeps rows; none for any other, or where there is none: somebody meant that.
fn kept_seconds(engine_full: &str) -> Option<u64> {
    let (_, seconds) = engine_full.split_once(" TTL toDateTime(claimed) + toIntervalSecond(")?;
    seconds.split_once(')')?.0.parse().ok()
}

/// Bytes of a row's key, in all the forms that it takes on its way, and of what another slice claims of it.
const CLAIM_BYTES: usize = 200;
/// Keys that are asked for at once: what is found comes as text first.
const KEYS_AT_ONCE: usize = 65_536;
/// Bytes of the query without its keys.
const QUERY_BYTES: usize = 4 << 10;

impl ClickHouse {
    /// The claims to keys by other slices, and the slice's own to some of them.
    pub(super) fn claims(&self, table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        let mut claims = Vec::new();
        for some in keys.chunks(KEYS_AT_ONCE) {
            claims.extend(self.claims_at_once(table, slice, some)?);
        }
        Ok(claims)
    }

    /// The same for some keys.
    fn claims_at_once(&self, table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        let hours: Vec<String> =
            keys.iter().map(|key| key.hour).collect::<BTreeSet<_>>().iter().map(u32::to_string).collect();
        // One literal: a list of so many would take the server longer to parse than to look up.
        let hex = keys.iter().fold(String::with_capacity(32 * keys.len()), |mut hex, key| {
            push_hex(&mut hex, key);
            hex
        });
        let sql = format!(
            "SELECT hour, hex(key), slice, _block_number, toUnixTimestamp64Milli(claimed) FROM {} \
             WHERE hour IN ({}) AND key IN (SELECT toFixedString(unhex(substring('{hex}', 32 * number + 1, 32)), 16) \
             FROM numbers({})) AND (slice != {} OR key = toFixedString(unhex('{}'), 16))",
            quote_table(self.database(), table),
            hours.join(", "),
            keys.len(),
            slice.0,
            &hex[..32],
        );
        let bytes = (sql.len() + QUERY_BYTES).to_string();
        let rows = self.look_up_with(&sql, [("max_query_size", bytes.as_str())])?;
        rows.iter().map(|row| claim(row).ok_or_else(|| ClientError::Invalid(format!("not a claim: {row:?}")))).collect()
    }
}

fn push_hex(hex: &mut String, key: &EventKey) {
    for byte in key.hash {
        let _ = write!(hex, "{byte:02X}");
    }
}

fn claim(row: &[String]) -> Option<Claim> {
    let [hour, key, slice, block, claimed] = row else { return None };
    let hash = u128::from_str_radix(key, 16).ok()?.to_be_bytes();
    Some(Claim {
        key: EventKey { hour: hour.parse().ok()?, hash },
        slice: SliceId(slice.parse().ok()?),
        block: block.parse().ok()?,
        claimed_ms: claimed.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim_of(key: u8, slice: u64, block: u64, claimed_ms: i64) -> Claim {
        Claim { key: EventKey { hour: 0, hash: [key; 16] }, slice: SliceId(slice), block, claimed_ms }
    }

    fn key(byte: u8) -> EventKey {
        EventKey { hour: 0, hash: [byte; 16] }
    }

    const WINDOW: Duration = Duration::from_millis(1_000);

    #[test]
    fn the_smaller_block_is_first_whatever_the_clock_says() {
        let own = claim_of(1, 7, 20, 5_000);
        let others = [claim_of(1, 8, 19, 5_003), claim_of(2, 9, 21, 4_900), claim_of(3, 8, 19, 5_003)];
        let found = earlier(&own, &others, WINDOW).unwrap();
        assert_eq!(found, BTreeMap::from([(key(1), vec![SliceId(8)]), (key(3), vec![SliceId(8)])]));
    }

    #[test]
    fn a_claim_counts_for_as_long_as_the_window() {
        let own = claim_of(1, 7, 20, 5_000);
        let at = |claimed| earlier(&own, &[claim_of(1, 8, 3, claimed)], WINDOW).unwrap().len();
        assert_eq!((at(4_000), at(3_999)), (1, 0));
    }

    #[test]
    fn two_slices_in_one_block_are_nobodys_doing_of_ours() {
        assert!(earlier(&claim_of(1, 7, 20, 0), &[claim_of(1, 8, 20, 0)], WINDOW).is_err());
    }

    #[test]
    fn one_stored_slice_a_key_is_enough() {
        let own = claim_of(1, 7, 20, 500);
        let others = [claim_of(1, 3, 10, 0), claim_of(1, 4, 11, 0), claim_of(2, 5, 12, 0), claim_of(3, 3, 10, 0)];
        let earlier = earlier(&own, &others, WINDOW).unwrap();
        let awaited = |whole: &[u64]| awaited(&earlier, &whole.iter().map(|&slice| SliceId(slice)).collect());
        // The second claimant of key 1 is stored, so the event is: it stored it, or left it out for the first.
        assert_eq!(awaited(&[4]), BTreeSet::from([SliceId(3), SliceId(5)]));
        assert_eq!(awaited(&[3]), BTreeSet::from([SliceId(5)]));
        assert_eq!(awaited(&[3, 5]), BTreeSet::new());
        assert_eq!(awaited(&[4, 5]), BTreeSet::from([SliceId(3)]), "key 3 is claimed by slice 3 alone");
    }
}
