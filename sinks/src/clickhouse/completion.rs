//! Rollups that came later: they count the slices that were stored without them, while data goes on arriving.
//!
//! A ledger's row names the rollups that have counted its slice, each by its definition and its table. A slice whose row
//! does not name one is counted there from its events, and noted in `rollup_slices`. Slices that are not in the ledger are
//! left alone: whoever stores them writes a row, and they are counted by then or after it.
//!
//! Slices are counted in batches, a day after the other. A day's insert has what its slices add and a marker of each, in one
//! block of one partition, so that both are there or neither is; and slices whose marker is there are left out of it. So a
//! batch that was cut off is repeated harmlessly, once nothing of it is under way. Between looking for markers and inserting
//! nobody else may count the same slices. So who counts claims it: a row in `rollup_claims`, and then a look whether there
//! is another claim. Of two at the same time the one whose row comes last sees the other's, so never do both go on; whoever
//! sees one takes its own back and tries again later. A claim of somebody who died ends by itself: it lasts for `LEASE`,
//! no insert is begun after a third of it, and the server ends one after another third.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use longshore_core::column::layout::SLICE_COLUMN;

use super::client::ClickHouse;
use super::ddl::{LEDGER, ROLLUP_CLAIMS, ROLLUP_SLICES};
use super::error::ClientError;
use super::markers::MINUTE;
use super::rollup_ddl::Rollup;
use super::schema::Schema;
use super::sql::{name_list, quote_name, quote_table, quote_text};
use super::store::Day;

/// Slices of a batch at most.
const SLICES_MAX: usize = 512;
/// Rows of a batch's slices, beyond which no further one is in it: a day's insert is one block, in memory.
const ROWS_MAX: u64 = 1 << 20;
/// For so long a claim holds, by the server's clock.
const LEASE: Duration = Duration::from_secs(180);
/// A third of it, in which inserts are begun, and after which the server ends one.
const INSERT: Duration = Duration::from_secs(60);
/// Who finds another one's claim looks again after about so long.
const WAIT: Duration = Duration::from_millis(500);

/// What completing rollups came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// They have all stored slices, so many of which were counted just now.
    Whole(u64),
    /// Another engine is at it.
    Elsewhere,
}

/// A right to count slices for now.
struct ClaimToCount {
    id: u64,
    /// Before the server had it.
    since: Instant,
}

impl Schema {
    /// The rollups that lack stored slices, by name, and how many. The tables must be there.
    ///
    /// # Errors
    /// ClickHouse is away or refuses.
    pub fn incomplete(&self, clickhouse: &ClickHouse) -> Result<Vec<(String, u64)>, ClientError> {
        let mut incomplete = Vec::new();
        for (rollup, id) in self.countable(clickhouse)? {
            let count = clickhouse.look_up(&format!("SELECT uniqExact(slice) {}", self.lacking(id)))?;
            let count: u64 = number(count.first().and_then(|row| row.first()))?;
            if count > 0 {
                incomplete.push((rollup.name.clone(), count));
            }
        }
        Ok(incomplete)
    }

    /// Has every rollup count the stored slices that it lacks. Where another engine does that it is waited for, or not.
    ///
    /// # Errors
    /// ClickHouse is away or refuses. Nothing is counted twice when this is called again.
    pub fn complete(&self, clickhouse: &ClickHouse, wait: bool) -> Result<Completion, ClientError> {
        let mut counted = 0;
        for (rollup, id) in self.countable(clickhouse)? {
            while !self.batch(clickhouse, id)?.is_empty() {
                let Some(claim) = self.claim_to_count(clickhouse)? else {
                    if !wait {
                        return Ok(Completion::Elsewhere);
                    }
                    std::thread::sleep(WAIT + WAIT * (rand::random::<u32>() % 3));
                    continue;
                };
                // What somebody else has counted meanwhile is not in it any more.
                counted += self.count_batch(clickhouse, (rollup, id), &claim)?;
                self.note_claim(clickhouse, claim.id, -1)?;
            }
        }
        Ok(Completion::Whole(counted))
    }

    /// The rollups whose tables are there and count what the config says.
    fn countable(&self, clickhouse: &ClickHouse) -> Result<Vec<(&Rollup, u64)>, ClientError> {
        let ids = ids(clickhouse, &self.rollups)?;
        Ok(self.rollups.iter().zip(ids).filter_map(|(rollup, id)| Some((rollup, id?))).collect())
    }

    /// The slices that a rollup lacks, as the end of a SELECT from the ledger. Slices without rows add nothing.
    fn lacking(&self, id: u64) -> String {
        let table = |name| quote_table(&self.database, name);
        format!(
            "FROM {} WHERE stream = {} AND loaded > 0 AND NOT has(rollups, {id}) \
             AND slice NOT IN (SELECT slice FROM {} WHERE rollup = {id})",
            table(LEDGER),
            quote_text(&self.events.name),
            table(ROLLUP_SLICES)
        )
    }

    /// Some of the slices that a rollup lacks: those that stand together in a source are of the same days.
    fn batch(&self, clickhouse: &ClickHouse, id: u64) -> Result<Vec<u64>, ClientError> {
        let sql = format!("SELECT slice, loaded {} ORDER BY head, start LIMIT {SLICES_MAX}", self.lacking(id));
        let (mut slices, mut rows) = (Vec::new(), 0_u64);
        for row in clickhouse.look_up(&sql)? {
            let (slice, loaded): (u64, u64) = (number(row.first())?, number(row.get(1))?);
            rows = rows.saturating_add(loaded);
            if !slices.is_empty() && rows > ROWS_MAX {
                break;
            }
            slices.push(slice);
        }
        Ok(slices)
    }

    /// Counts a batch and notes that its slices are counted; how many they are.
    fn count_batch(
        &self,
        clickhouse: &ClickHouse,
        (rollup, id): (&Rollup, u64),
        claim: &ClaimToCount,
    ) -> Result<u64, ClientError> {
        let slices = self.batch(clickhouse, id)?;
        if slices.is_empty() {
            return Ok(0);
        }
        for (day, slices) in self.days_of(clickhouse, &slices)? {
            let lacking = match rollup.adds() {
                true => self.unmarked(clickhouse, rollup, day, slices)?,
                false => slices,
            };
            if lacking.is_empty() {
                continue;
            }
            if claim.since.elapsed() > INSERT {
                // The rest is for the next claim, which finds these days' markers.
                return Ok(0);
            }
            clickhouse.execute(&self.counting(rollup, day, &lacking))?;
        }
        let table = quote_table(&self.database, ROLLUP_SLICES);
        clickhouse.execute(&format!(
            "INSERT INTO {table} (rollup, slice) SELECT {id}, arrayJoin([{}]) SETTINGS {}",
            list(&slices),
            alone()
        ))?;
        Ok(slices.len() as u64)
    }

    /// The days of slices, and which of them have rows on each.
    fn days_of(&self, clickhouse: &ClickHouse, slices: &[u64]) -> Result<BTreeMap<Day, Vec<u64>>, ClientError> {
        let mut days: BTreeMap<Day, Vec<u64>> = BTreeMap::new();
        let rows = clickhouse.look_up(&format!(
            "SELECT DISTINCT toInt32(toDate({})) AS day, {SLICE_COLUMN} FROM {} WHERE {SLICE_COLUMN} IN ({}) ORDER BY ALL",
            quote_name(&self.time),
            quote_table(&self.database, &self.events.name),
            list(slices)
        ))?;
        for row in rows {
            days.entry(number(row.first())?).or_default().push(number(row.get(1))?);
        }
        Ok(days)
    }

    /// Those of these slices that a rollup does not have on a day.
    fn unmarked(
        &self,
        clickhouse: &ClickHouse,
        rollup: &Rollup,
        day: Day,
        slices: Vec<u64>,
    ) -> Result<Vec<u64>, ClientError> {
        let marked = clickhouse.look_up(&format!(
            "SELECT DISTINCT {SLICE_COLUMN} FROM {} WHERE product = '' AND {MINUTE} = {} AND {SLICE_COLUMN} IN ({})",
            quote_table(&self.database, &rollup.target.name),
            start_of(day),
            list(&slices)
        ))?;
        let marked: BTreeSet<u64> = marked.iter().map(|row| number(row.first())).collect::<Result<_, _>>()?;
        Ok(slices.into_iter().filter(|slice| !marked.contains(slice)).collect())
    }

    /// The statement that adds slices of a day to a rollup.
    fn counting(&self, rollup: &Rollup, day: Day, slices: &[u64]) -> String {
        let target = quote_table(&self.database, &rollup.target.name);
        let time = format!("e.{}", quote_name(&self.time));
        let of_slices = format!("toInt32(toDate({time})) = {day} AND e.{SLICE_COLUMN} IN ({})", list(slices));
        let (names, select) = (name_list(rollup.select.names()), rollup.select.sql(Some(&of_slices)));
        let settings = alone();
        if !rollup.adds() {
            return format!("INSERT INTO {target} ({names}) SELECT {names} FROM (\n{select}\n)\nSETTINGS {settings}");
        }
        let nothing = |name: &str| {
            let column = rollup.target.columns.iter().find(|column| column.name == name);
            let ty = quote_text(column.map(|column| column.ty.as_str()).unwrap_or_default());
            let value = if name == MINUTE { start_of(day) } else { format!("defaultValueOfTypeName({ty})") };
            format!("CAST({value}, {ty}) AS {}", quote_name(name))
        };
        let marker: Vec<String> = rollup.select.names().map(nothing).collect();
        format!(
            "INSERT INTO {target} ({names}, {SLICE_COLUMN}) SELECT {names}, {SLICE_COLUMN} FROM (\n\
             SELECT {names}, toUInt64(0) AS {SLICE_COLUMN} FROM (\n{select}\n)\nUNION ALL\n\
             SELECT {}, arrayJoin([{}]::Array(UInt64)) AS {SLICE_COLUMN}\n)\nSETTINGS {settings}",
            marker.join(", "),
            list(slices)
        )
    }

    /// The right to count, unless somebody else has it or asks for it.
    fn claim_to_count(&self, clickhouse: &ClickHouse) -> Result<Option<ClaimToCount>, ClientError> {
        let claim = ClaimToCount { id: rand::random(), since: Instant::now() };
        self.note_claim(clickhouse, claim.id, 1)?;
        let claims = clickhouse.look_up(&format!(
            "SELECT claim FROM {} WHERE at > now64(3) - toIntervalSecond({}) GROUP BY claim HAVING sum(held) > 0",
            quote_table(&self.database, ROLLUP_CLAIMS),
            LEASE.as_secs()
        ))?;
        if claims.len() == 1 && number::<u64>(claims[0].first())? == claim.id {
            return Ok(Some(claim));
        }
        self.note_claim(clickhouse, claim.id, -1)?;
        Ok(None)
    }

    /// Claims, or gives a claim back.
    fn note_claim(&self, clickhouse: &ClickHouse, claim: u64, held: i8) -> Result<(), ClientError> {
        let table = quote_table(&self.database, ROLLUP_CLAIMS);
        let settings = alone();
        clickhouse.execute(&format!("INSERT INTO {table} (claim, held) SELECT {claim}, {held} SETTINGS {settings}"))
    }
}

/// The settings of an insert that is one block for each partition, that no token keeps out, and that ends in time.
fn alone() -> String {
    format!(
        "max_threads = 1, max_insert_threads = 1, max_insert_block_size = {BLOCK_ROWS}, min_insert_block_size_rows = \
         {BLOCK_ROWS}, min_insert_block_size_bytes = 0, max_partitions_per_insert_block = 0, optimize_on_insert = 0, \
         async_insert = 0, insert_deduplicate = 0, insert_deduplication_token = '{:016x}', max_execution_time = {}, \
         timeout_overflow_mode = 'throw'",
        rand::random::<u64>(),
        INSERT.as_secs()
    )
}

/// More rows than an insert has.
const BLOCK_ROWS: u64 = 1 << 32;

fn start_of(day: Day) -> String {
    format!("toDateTime({}, 'UTC')", i64::from(day) * 86_400)
}

fn list(slices: &[u64]) -> String {
    slices.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn number<T: std::str::FromStr>(text: Option<&String>) -> Result<T, ClientError> {
    let text = text.map_or("", String::as_str);
    text.parse().map_err(|_| ClientError::Invalid(format!("`{text}` is not a number")))
}

/// What ledger rows call rollups: a hash of the definition and of the table's own id, so that a table that was dropped and
/// made anew lacks everything. An id that nobody knows costs a second look, and counts nothing twice. `None` where the table
/// is not there, or counts something else: nobody may add to it what this definition makes of events.
pub(super) fn ids(clickhouse: &ClickHouse, rollups: &[Rollup]) -> Result<Vec<Option<u64>>, ClientError> {
    if rollups.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = rollups.iter().map(|rollup| quote_text(&rollup.target.name)).collect();
    let rows = clickhouse.rows(&format!(
        "SELECT name, toString(uuid), comment FROM system.tables WHERE database = {} AND name IN ({})",
        quote_text(clickhouse.database()),
        names.join(", ")
    ))?;
    let id = |rollup: &Rollup| {
        let is_it = |row: &&Vec<String>| row.first() == Some(&rollup.target.name) && row.get(2) == Some(&rollup.mark());
        rows.iter().find(is_it).and_then(|row| row.get(1)).map(|table| rollup.id(table))
    };
    Ok(rollups.iter().map(id).collect())
}
