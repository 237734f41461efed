//! A ClickHouse that loses connections, applies inserts late or in part, and dies.
//!
//! It has the tables of [`records`](crate::records) and keeps ClickHouse's promises and no others: an insert is atomic
//! within a partition alone; what was acknowledged stays; a token that is remembered keeps rows out, by table and
//! partition, though they were lost when the server died between the two. Nobody's request is known to be over because its
//! connection is: it may be applied later, after it was sent again, after its sender died. Answers are computed from the
//! rows, by none of the product's code.

mod rows;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use longshore_core::dead_letter::Reason;
use longshore_core::dedup::EventKey;
use longshore_core::slice::SliceId;
use longshore_sinks::clickhouse::{Claim, ClientError, Day, Life as ServerLife, ServerException, Store};

pub use self::rows::{ClaimRow, DeadRow, LedgerRow, Row, Table};
use self::tables::{Block, Tables, blocks};
use crate::answers::{Answers, minute_of};
use crate::engine::Bug;
use crate::env::{Call, Env, Life, lock};
use crate::records::{Event, REFUSED_USER};

/// One insert in so many goes wrong.
const FAULT_ONCE_IN: usize = 6;
/// Codes that ask for patience: too many parts, memory, too many queries, a shutdown, time.
const CODES: [u32; 5] = [252, 241, 202, 236, 159];

/// ClickHouse's code for a row that breaks one.
const VIOLATED_CONSTRAINT: u32 = 469;

/// The server; clones are the same.
#[derive(Debug, Clone)]
pub struct Server {
    env: Env,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    tables: Tables,
    /// Inserts whose sender does not wait any more, and what of them is to be applied.
    under_way: Vec<VecDeque<Block>>,
    up: bool,
    /// How often it was started after it died.
    starts: u64,
    /// Events of [`REFUSED_USER`] are refused, and with them the inserts that they are in.
    constrained: bool,
    window: usize,
}

impl State {
    fn apply(&mut self, env: &Env, block: Block) {
        let (table, partition, rows) = (block.table.name(), block.partition, block.rows.len());
        let new = self.tables.insert(block, self.window);
        env.note(format_args!("  {table}/{partition}: {rows} rows {}", if new { "in" } else { "there already" }));
    }
}

impl Server {
    /// An empty one whose tables remember so many tokens each.
    pub fn new(env: Env, window: usize) -> Server {
        let (tables, under_way) = (Tables::default(), Vec::new());
        let state = State { tables, under_way, up: true, starts: 0, constrained: false, window };
        Server { env, state: Arc::new(Mutex::new(state)) }
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        lock(&self.state).up
    }

    /// Somebody puts a constraint on the events, or takes it away.
    pub fn constrain(&self, constrained: bool) {
        self.env.note(format_args!("the events are constrained: {constrained}"));
        lock(&self.state).constrained = constrained;
    }

    /// Whether it has one.
    pub fn is_constrained(&self) -> bool {
        lock(&self.state).constrained
    }

    /// What it says to rows that break a constraint.
    fn refuse(&self, rows: &[Row]) -> Result<(), ClientError> {
        let breaks = |row: &Row| matches!(row, Row::Event { event, .. } if event.user == REFUSED_USER);
        match self.is_constrained() && rows.iter().any(breaks) {
            true => Err(ClientError::Server(ServerException { code: VIOLATED_CONSTRAINT, message: "no".into() })),
            false => Ok(()),
        }
    }

    /// It dies: what is under way stays where it is.
    pub fn kill(&self) {
        let mut state = lock(&self.state);
        state.up = false;
        let under_way = std::mem::take(&mut state.under_way);
        drop(state);
        under_way.iter().for_each(|blocks| self.cut_off(blocks));
    }

    /// It dies in an insert of which these blocks are left: perhaps the first one's token is written already.
    fn cut_off(&self, blocks: &VecDeque<Block>) {
        let mut state = lock(&self.state);
        let Some(block) = blocks.front() else { return };
        if self.env.fault("a token without its rows", 2) {
            let window = state.window;
            state.tables.remember(block, window);
        }
    }

    /// Its machine loses power: what it acknowledged was synced, of its tokens the newest were not.
    pub fn lose_power(&self) {
        self.kill();
        let mut state = lock(&self.state);
        for tokens in state.tables.tokens() {
            tokens.lose(self.env.below(tokens.len() + 1));
        }
    }

    /// A planted bug: claims were not synced when the power failed.
    pub fn lose_claims(&self) {
        let claims = self.rows(Table::Claims).len();
        lock(&self.state).tables.lose(Table::Claims, self.env.below(claims + 1));
    }

    /// It runs again.
    pub fn start(&self) {
        self.env.note(format_args!("the server starts"));
        let mut state = lock(&self.state);
        (state.up, state.starts) = (true, state.starts + 1);
    }

    /// Some insert that is under way is applied a bit further.
    pub fn go_on(&self) {
        let mut state = lock(&self.state);
        if state.under_way.is_empty() {
            return;
        }
        let at = self.env.below(state.under_way.len());
        match state.under_way[at].pop_front() {
            Some(block) => {
                self.env.note(format_args!("late, {}", block.token));
                state.apply(&self.env, block);
            }
            None => drop(state.under_way.swap_remove(at)),
        }
    }

    /// All that is under way is applied.
    pub fn finish(&self) {
        while !lock(&self.state).under_way.is_empty() {
            self.go_on();
        }
    }

    /// All rows of a table.
    pub fn rows(&self, table: Table) -> Vec<Row> {
        lock(&self.state).tables.rows(table).to_vec()
    }

    /// Bytes of the slices in the ledger.
    pub fn bytes_stored(&self) -> u64 {
        let rows = self.rows(Table::Ledger);
        rows.iter().map(|row| if let Row::Ledger(row) = row { row.end - row.start } else { 0 }).sum()
    }

    /// What the rollups say.
    pub fn answers(&self) -> Answers {
        let rows = Table::ROLLUPS.iter().flat_map(|&table| self.rows(table));
        answers(rows)
    }

    fn apply(&self, blocks: &mut VecDeque<Block>, count: usize) {
        let mut state = lock(&self.state);
        for _ in 0..count {
            let Some(block) = blocks.pop_front() else { break };
            state.apply(&self.env, block);
        }
    }

    /// An insert arrives.
    fn take(&self, mut blocks: VecDeque<Block>) -> Result<(), ClientError> {
        if !self.is_up() {
            return Err(lost("refused"));
        }
        let all = blocks.len();
        if self.env.is_calm() || !self.env.once_in(FAULT_ONCE_IN) {
            self.apply(&mut blocks, all);
            return Ok(());
        }
        let part = self.env.below(all + 1);
        match self.env.below(8) {
            0 => {
                self.env.count("refused by a code");
                let code = *self.env.pick(&CODES);
                return Err(ClientError::Server(ServerException { code, message: "not now".into() }));
            }
            1 => self.env.count("lost before it was applied"),
            2 => {
                self.env.count("applied, reply lost");
                self.apply(&mut blocks, all);
            }
            3 => {
                self.env.count("applied in part, reply lost");
                self.apply(&mut blocks, part);
            }
            4 | 5 => {
                self.env.count("under way when time was up");
                self.apply(&mut blocks, part);
                lock(&self.state).under_way.push(blocks);
            }
            6 => {
                self.env.count("doubled on its way");
                lock(&self.state).under_way.push(blocks.clone());
                self.apply(&mut blocks, all);
                return Ok(());
            }
            _ => {
                self.env.count("server killed in an insert");
                self.apply(&mut blocks, part);
                self.cut_off(&blocks);
                self.kill();
            }
        }
        match self.env.once_in(2) {
            true => Err(ClientError::TimedOut),
            false => Err(lost("reset")),
        }
    }
}

fn lost(how: &str) -> ClientError {
    ClientError::Network(how.to_owned())
}

/// Merges the rows of rollups as a reader of ClickHouse's views would see them.
fn answers(rows: impl Iterator<Item = Row>) -> Answers {
    let mut answers = Answers::default();
    let mut first = BTreeMap::new();
    let (mut buyers, mut visitors) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        match row {
            Row::FirstSeen(product, user, time, channel) => {
                let seen = (time, channel);
                let earliest = first.entry((product, user)).or_insert_with(|| seen.clone());
                if seen < *earliest {
                    *earliest = seen;
                }
            }
            Row::Gmv(group, orders, amount, people) => {
                let known: &mut BTreeSet<u64> = buyers.entry(group.clone()).or_default();
                known.extend(people);
                let gmv = answers.gmv.entry(group).or_default();
                *gmv = (gmv.0 + orders, gmv.1 + amount, known.len() as u64);
            }
            Row::PvUv(group, pv, people) => {
                let known: &mut BTreeSet<u64> = visitors.entry(group.clone()).or_default();
                known.extend(people);
                let views = answers.pv_uv.entry(group).or_default();
                *views = (views.0 + pv, known.len() as u64);
            }
            Row::Event { .. } | Row::Marker(..) | Row::Dead(_) | Row::Ledger(_) | Row::Claim(_) => {}
        }
    }
    for ((product, _), (time, channel)) in first {
        *answers.new_users.entry((product, channel, minute_of(time))).or_default() += 1;
    }
    answers
}

/// An engine's connection to the server.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The server.
    pub server: Server,
    /// The engine's life.
    pub life: Life,
    /// A planted bug, which may be one of the sender's.
    pub bug: Option<Bug>,
}

impl Store for Connection {
    fn database(&self) -> &str {
        "torture"
    }

    /// As the client knows it, which asks nothing while its connections last.
    fn life(&self) -> Result<ServerLife, ClientError> {
        Ok(ServerLife { server: 0, start: lock(&self.server.state).starts })
    }

    fn insert(&self, table: &str, token: &str, batch: &RecordBatch) -> Result<(), ClientError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Server { env, .. } = &self.server;
        let unknown = || ClientError::Server(ServerException { code: 60, message: format!("no table {table}") });
        let table = Table::named(table).ok_or_else(unknown)?;
        let rows = rows::read(table, batch).map_err(ClientError::Invalid)?;
        let token = match self.bug {
            Some(Bug::TokenRemoved) => format!("{token}-{:x}", env.word()),
            _ => token.to_owned(),
        };
        let mut blocks = match self.bug {
            Some(Bug::MarkerElsewhere) => apart(table, &token, rows.clone()),
            _ => VecDeque::from(blocks(table, &token, rows.clone())),
        };
        match self.life.call() {
            Call::Never => Err(lost("the engine is dead")),
            Call::Made => {
                env.note(format_args!("insert {token} into {}", table.name()));
                if self.server.is_up() {
                    self.server.refuse(&rows)?;
                }
                self.server.take(blocks)
            }
            Call::Last => {
                env.note(format_args!("the engine dies in insert {token} into {}", table.name()));
                if self.server.is_up() && self.server.refuse(&rows).is_ok() {
                    let part = env.below(blocks.len() + 1);
                    self.server.apply(&mut blocks, part);
                    if env.once_in(2) {
                        lock(&self.server.state).under_way.push(blocks);
                    }
                }
                Err(lost("the engine dies"))
            }
        }
    }

    fn whole_slices(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, ClientError> {
        self.ask()?;
        let in_ledger = self.server.rows(Table::Ledger).into_iter().filter_map(|row| match row {
            Row::Ledger(row) => Some(SliceId(row.slice)),
            _ => None,
        });
        Ok(in_ledger.filter(|id| slices.contains(id)).collect())
    }

    fn rows_by_day(
        &self,
        _events: &str,
        _time: &str,
        slice: SliceId,
        days: &[Day],
    ) -> Result<BTreeMap<Day, u64>, ClientError> {
        self.ask()?;
        let mut found = BTreeMap::new();
        for row in self.server.rows(Table::Events) {
            let day = row.partition() as Day;
            if matches!(row, Row::Event { slice: of, .. } if of == slice.0) && days.contains(&day) {
                *found.entry(day).or_default() += 1;
            }
        }
        Ok(found)
    }

    fn is_quiet(&self, _table: &str, slice: SliceId) -> Result<bool, ClientError> {
        self.ask()?;
        let state = lock(&self.server.state);
        let mut blocks = state.under_way.iter().flatten();
        Ok(!blocks.any(|block| block.token.starts_with(&format!("{slice}-"))))
    }

    fn dead_letters(&self, slice: SliceId) -> Result<u64, ClientError> {
        self.ask()?;
        let dead = self.server.rows(Table::DeadLetters);
        let is = |row: &&Row| matches!(row, Row::Dead(dead) if dead.slice == slice.0 && dead.reason != Reason::EventTime.name());
        Ok(dead.iter().filter(is).count() as u64)
    }

    fn open_trial(&self, _events: &str) -> Result<String, ClientError> {
        self.ask().map(|()| "trial".to_owned())
    }

    fn try_rows(&self, _trial: &str, rows: &RecordBatch) -> Result<(), ClientError> {
        self.ask()?;
        self.server.refuse(&rows::read(Table::Events, rows).map_err(ClientError::Invalid)?)
    }

    fn close_trial(&self, _trial: &str) -> Result<(), ClientError> {
        self.ask()
    }

    fn dead_rows(&self, slice: SliceId, reason: Reason) -> Result<BTreeSet<u32>, ClientError> {
        self.ask()?;
        let rejected = |row| match row {
            Row::Dead(dead) if dead.slice == slice.0 && dead.reason == reason.name() => Some(dead.row),
            _ => None,
        };
        Ok(self.server.rows(Table::DeadLetters).into_iter().filter_map(rejected).collect())
    }

    fn claims(&self, _table: &str, slice: SliceId, keys: &[EventKey]) -> Result<Vec<Claim>, ClientError> {
        self.ask()?;
        let claim = |row| match row {
            Row::Claim(ClaimRow { hour, key, slice, block }) => {
                Some(Claim { key: EventKey { hour, hash: key }, slice: SliceId(slice), block, claimed_ms: 0 })
            }
            _ => None,
        };
        let claims = self.server.rows(Table::Claims).into_iter().filter_map(claim);
        let asked = |claim: &Claim| match claim.slice == slice {
            true => keys.first() == Some(&claim.key),
            false => keys.contains(&claim.key),
        };
        Ok(claims.filter(asked).collect())
    }

    fn marked(&self, table: &str, slice: SliceId, days: &[Day]) -> Result<BTreeSet<Day>, ClientError> {
        self.ask()?;
        let table = Table::named(table).expect("a rollup of the config");
        let rows = self.server.rows(table);
        let is_there = |day: &&Day| rows.contains(&Row::Marker(slice.0, i64::from(**day)));
        if self.bug == Some(Bug::MarkerOfOneDay) {
            // What holds of the first day is taken to hold of all.
            return Ok(days.first().filter(is_there).map_or(BTreeSet::new(), |_| days.iter().copied().collect()));
        }
        Ok(days.iter().filter(is_there).copied().collect())
    }
}

/// A planted bug: rows in one insert, and the markers in one behind it.
fn apart(table: Table, token: &str, rows: Vec<Row>) -> VecDeque<Block> {
    let (markers, rows): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| matches!(row, Row::Marker(..)));
    let mut all = blocks(table, token, rows);
    all.extend(blocks(table, &format!("{token}m"), markers));
    all.into()
}

impl Connection {
    /// A query arrives, and its answer comes back, or not.
    fn ask(&self) -> Result<(), ClientError> {
        let env = &self.server.env;
        if self.life.call() != Call::Made || !self.server.is_up() || env.fault("query lost", 8) {
            return Err(lost("no answer"));
        }
        Ok(())
    }
}

/// The events of rows.
pub fn events(rows: &[Row]) -> Vec<Event> {
    rows.iter()
        .filter_map(|row| match row {
            Row::Event { event, .. } => Some(event.clone()),
            _ => None,
        })
        .collect()
}
