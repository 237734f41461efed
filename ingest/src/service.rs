//! The service: feeds that give planned slices away, decoders on every core, insert threads, for as long as nobody asks
//! for an end.
//!
//! ```text
//!  feed threads --[SLICES_READ_AHEAD]--> decode threads --[SLICES_DECODED_QUEUED]--> insert threads --> sink
//!       ^                                     |                                          |
//!       +----------- used buffers ------------+-------------- what is stored ------------+
//! ```
//! A stage that cannot hand on waits, so a sink that is away stops the feeds; nothing is dropped. The way back is not
//! bounded by itself, but by what is on its way forth. A slice that cannot be stored stays with its insert thread, which
//! tries again until it can be, or until the service ends: then it is in doubt, and sent again by the next run. One that
//! waits for another slice, or for somebody to look at it alone, makes room: it is set aside, or goes back to its feed.
//!
//! A feed that fails is dropped once all that it gave away has come back, and made again after a while.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded, unbounded};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::limits::{
    AWAY_MS_MAX, BEHIND_AWAY_MS, FEED_WAIT_MS, PLANNED_AT_ONCE, SLICES_DECODED_QUEUED, SLICES_READ_AHEAD,
};
use longshore_core::slice::SliceId;

use crate::feed::{Feed, FeedError, Lease, PlannedSlice, Room, Ticket};
use crate::journal::ConfigHash;
use crate::memory::{Memory, Permit};
use crate::retry::{RetryPolicy, sleep_unless};
use crate::sink::{Attempts, LoadedSlice, RejectedRow, Sink, SinkError, Stored};
use crate::turns::Turns;

mod board;

pub use board::Board;

use board::Pause;

/// How slices that were cut under one config are processed.
pub struct Plan {
    /// From bytes to columns.
    pub decoder: Decoder,
    /// Where the columns go.
    pub sink: Box<dyn Sink + Send>,
}

/// What a service has to know of the world beyond it.
pub trait Plans: Sync {
    /// How to process slices of this config. It is asked once a slice, so it should remember.
    ///
    /// # Errors
    /// Why it cannot be processed now, for the operator; it is asked again.
    fn plan(&self, config: ConfigHash) -> Result<Arc<Plan>, String>;

    /// The text of the config that new slices are planned under, and its number, which grows when it is another.
    fn current(&self) -> (u64, Arc<str>);

    /// Which of these slices are stored, whole.
    fn stored(&self, slices: &[SliceId]) -> Result<std::collections::HashSet<SliceId>, SinkError>;
}

/// Makes a feed, at start and after it failed.
pub type MakeFeed<'a> = Box<dyn FnMut() -> Result<Box<dyn Feed>, FeedError> + Send + 'a>;

/// Bounds of a service.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Decoding threads.
    pub workers: usize,
    /// Inserts under way at once.
    pub inserts_in_flight: usize,
    /// Bytes of a slice.
    pub slice_bytes: usize,
    /// Memory for decoded slices.
    pub memory: Memory,
    /// Waiting for the sink, and for feeds.
    pub retry: RetryPolicy,
    /// How long storing what was cut may take once an end was asked for.
    pub drain: Duration,
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All that was cut is stored.
    Drained,
    /// Not all of it was stored in time; the next run sends it again.
    InDoubt,
}

/// Runs until an end is asked for, and until what was cut is stored or the time for that is over.
pub fn run(feeds: Vec<MakeFeed<'_>>, plans: &dyn Plans, options: &ServiceOptions, board: &Board) -> Ended {
    let (cut_send, cut) = bounded(SLICES_READ_AHEAD);
    let (decoded_send, decoded) = bounded(SLICES_DECODED_QUEUED);
    let (rejected, away) = Default::default();
    let service = Service { plans, options, board, rejected, away, stopped_at: OnceLock::new(), begin: Instant::now() };
    let (backs_send, backs): (Vec<_>, Vec<_>) = feeds.iter().map(|_| unbounded()).unzip();
    std::thread::scope(|scope| {
        for _ in 0..options.workers {
            let (cut, decoded_send) = (cut.clone(), decoded_send.clone());
            let (service, backs) = (&service, &backs_send);
            scope.spawn(move || service.decode(&cut, &decoded_send, backs));
        }
        for _ in 0..options.inserts_in_flight {
            let decoded = decoded.clone();
            let (service, backs) = (&service, &backs_send);
            scope.spawn(move || service.insert(&decoded, backs));
        }
        // The threads' handles must be the only ones, so that ends travel from stage to stage.
        drop((cut, decoded, decoded_send));
        let threads: Vec<_> = feeds
            .into_iter()
            .zip(backs)
            .enumerate()
            .map(|(number, (make, back))| {
                let (service, cut_send) = (&service, cut_send.clone());
                scope.spawn(move || service.feed(number, make, &cut_send, &back))
            })
            .collect();
        drop(cut_send);
        let drained: Vec<bool> =
            threads.into_iter().map(|thread| thread.join().expect("a feed's thread does not panic")).collect();
        match drained.into_iter().all(|drained| drained) {
            true => Ended::Drained,
            false => Ended::InDoubt,
        }
    })
}

/// A slice on its way, with whom it comes from.
struct Item<T> {
    feed: usize,
    ticket: Ticket,
    config: ConfigHash,
    in_doubt: bool,
    lease: Lease,
    what: T,
}

/// What comes back to a feed.
enum Back {
    /// Memory.
    Buffer(Vec<u8>),
    /// A slice is stored.
    Stored(Ticket),
    /// A slice is to be read again after a while.
    Again(Ticket, Duration),
    /// A slice was given up: it is in doubt, or another engine's.
    Dropped,
}

/// What the threads share.
struct Service<'a> {
    plans: &'a dyn Plans,
    options: &'a ServiceOptions,
    board: &'a Board,
    /// What the sinks have rejected of slices that are read again.
    rejected: Mutex<HashMap<SliceId, Vec<RejectedRow>>>,
    /// How long slices that were given back were left alone the last time.
    away: Mutex<HashMap<SliceId, Duration>>,
    /// When the wish for an end was first seen, by whichever thread.
    stopped_at: OnceLock<Instant>,
    begin: Instant,
}

impl Service<'_> {
    /// The time for draining is over. Every thread that waits asks by itself, since any of the others may be stuck behind it.
    fn aborted(&self) -> bool {
        self.board.stopping() && self.stopped_at.get_or_init(Instant::now).elapsed() >= self.options.drain
    }

    /// A feed's thread. True if all that it gave away was stored.
    fn feed(
        &self,
        number: usize,
        mut make: MakeFeed<'_>,
        cut: &Sender<Item<PlannedSlice>>,
        back: &Receiver<Back>,
    ) -> bool {
        let mut wait = self.options.retry.wait_first;
        loop {
            let error = match make() {
                Ok(feed) => {
                    let mut running = Running::new(self, number, feed, cut, back);
                    match running.until_stopped() {
                        Ok(drained) => return drained,
                        Err(error) => {
                            wait = self.options.retry.wait_first;
                            running.wait_for_all();
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            if self.board.stopping() {
                tracing::error!("{error}");
                return false;
            }
            if matches!(error, FeedError::Refuse { .. }) {
                wait = self.options.retry.wait_max;
            }
            self.board.feed_fails(number, error.to_string());
            tracing::error!("{error}; nothing is lost, it is tried again in {:.1} s", wait.as_secs_f64());
            sleep_unless(|| self.board.stopping(), wait);
            wait = (wait * 2).min(self.options.retry.wait_max);
        }
    }

    /// A decode thread, until the feeds are gone.
    fn decode(&self, cut: &Receiver<Item<PlannedSlice>>, decoded: &Sender<Item<Ready>>, backs: &[Sender<Back>]) {
        let mut scratches: Vec<(ConfigHash, Scratch)> = Vec::new();
        for Item { feed, ticket, config, in_doubt, lease, what } in cut {
            let Some(plan) = self.plan(config, what.meta.id) else {
                let _ = backs[feed].send(Back::Dropped);
                continue;
            };
            let bytes = plan.decoder.decoded_bytes_max(&what.slice);
            let memory = &self.options.memory;
            let permit = memory.try_take(bytes).or_else(|| memory.take(bytes, || !self.aborted()));
            let Some(mut permit) = permit else {
                let _ = backs[feed].send(Back::Dropped);
                continue;
            };
            let at = scratches.iter().position(|(known, _)| *known == config).unwrap_or_else(|| {
                // The config before this one may still have slices on their way; older ones are over.
                scratches.truncate(1);
                scratches.insert(0, (config, Scratch::new(&plan.decoder)));
                0
            });
            let outcome = plan.decoder.decode(&what.slice, &mut scratches[at].1);
            permit.resize(plan.decoder.stored_bytes_max(&outcome, bytes, in_doubt));
            let rejected = match lock(&self.rejected).get(&what.meta.id) {
                Some(rows) => plan.decoder.dead_letters(&what.slice, rows),
                None => Vec::new(),
            };
            let _ = backs[feed].send(Back::Buffer(what.slice.bytes));
            let loaded = LoadedSlice { meta: what.meta, decoded: outcome, rejected };
            let item = Item { feed, ticket, config, in_doubt, lease, what: Ready { loaded, plan, _permit: permit } };
            if decoded.send(item).is_err() {
                return;
            }
        }
    }

    /// A slice's plan; waits until it can be had, or until the end.
    fn plan(&self, config: ConfigHash, slice: SliceId) -> Option<Arc<Plan>> {
        let pause = Pause::new(self.board, slice);
        loop {
            match self.plans.plan(config) {
                Ok(plan) => return Some(plan),
                Err(why) => {
                    self.pause(&pause, &format!("config {config}: {why}"));
                    if sleep_unless(|| self.aborted(), self.options.retry.wait_max) {
                        return None;
                    }
                }
            }
        }
    }

    /// An insert thread, until the decoders are gone.
    fn insert(&self, decoded: &Receiver<Item<Ready>>, backs: &[Sender<Back>]) {
        let mut turns = Turns::new(decoded, self.options.retry.wait_max);
        while let Some(mut turn) = turns.next(|| self.aborted()) {
            let Item { feed, ticket, in_doubt, lease, what, .. } = &turn.what;
            let (feed, ticket, id) = (*feed, *ticket, what.loaded.meta.id);
            let back = match self.store(what, *in_doubt, lease) {
                Fate::Stored(became) => {
                    self.board.progress.stored(&what.loaded, &became);
                    Back::Stored(ticket)
                }
                Fate::Behind(why) => {
                    if turn.waited() >= BEHIND_TOLD {
                        tracing::error!("{why}");
                        self.board.slice_waits(id, why, lease);
                    }
                    turn.what.in_doubt = true;
                    if turns.later_or_back(turn, self.options.memory.is_short()).is_none() {
                        continue;
                    }
                    Back::Again(ticket, self.leave_alone(id, BEHIND_AWAY))
                }
                Fate::Stuck(why) => {
                    let wait = self.options.retry.wait_max;
                    tracing::error!("paused: {why}; nothing is lost, others go ahead, it is tried again in {wait:.0?}");
                    self.board.slice_waits(id, why, lease);
                    turn.what.in_doubt = true;
                    if turns.aside_or_back(turn, self.options.memory.is_short()).is_none() {
                        continue;
                    }
                    Back::Again(ticket, self.leave_alone(id, wait))
                }
                Fate::Rejected(rows) => {
                    lock(&self.rejected).insert(id, rows);
                    Back::Again(ticket, Duration::ZERO)
                }
                Fate::Dropped => Back::Dropped,
            };
            if matches!(back, Back::Stored(_) | Back::Dropped) {
                lock(&self.rejected).remove(&id);
                lock(&self.away).remove(&id);
            }
            let _ = backs[feed].send(back);
        }
    }

    /// For how long a slice is given back: the double each time, so that many of them leave time for others.
    fn leave_alone(&self, slice: SliceId, first: Duration) -> Duration {
        let mut away = lock(&self.away);
        let wait = away.get(&slice).map_or(first, |last| (*last * 2).min(AWAY_MAX.max(first)));
        away.insert(slice, wait);
        wait
    }

    /// Stores a slice, however long it takes, unless it has to wait for another one.
    fn store(&self, Ready { loaded, plan, .. }: &Ready, in_doubt: bool, lease: &Lease) -> Fate {
        let policy = self.options.retry;
        let mut attempts = Attempts::new(in_doubt);
        let (mut wait, mut away_since) = (policy.wait_first, None::<Instant>);
        let pause = Pause::new(self.board, loaded.meta.id);
        loop {
            if !lease.held() || self.aborted() {
                return Fate::Dropped;
            }
            let error = match attempts.make(&*plan.sink, loaded) {
                Ok(became) => {
                    if let Some(since) = away_since {
                        let seconds = since.elapsed().as_secs_f64();
                        tracing::info!("{}: stored after {seconds:.1} s", loaded.meta);
                    }
                    return Fate::Stored(became);
                }
                Err(SinkError::Behind { detail }) => {
                    return Fate::Behind(format!("{}: {detail}", loaded.meta));
                }
                Err(SinkError::Stuck { detail }) => return Fate::Stuck(format!("{}: {detail}", loaded.meta)),
                Err(SinkError::Isolate { detail }) => match plan.sink.rejected(loaded) {
                    Ok(rows) => {
                        let (meta, count) = (&loaded.meta, rows.len());
                        tracing::error!("{meta}: {count} of its rows are rejected and become dead letters ({detail})");
                        return Fate::Rejected(rows);
                    }
                    Err(SinkError::Stuck { detail }) => return Fate::Stuck(format!("{}: {detail}", loaded.meta)),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.board.progress.retries.fetch_add(1, Ordering::Relaxed);
            away_since.get_or_insert_with(Instant::now);
            let what = format!("{}: {error}", loaded.meta);
            match error {
                SinkError::Retry { .. } => {
                    pause.end();
                    tracing::warn!("{what}; trying again in {:.1} s, nothing is lost", wait.as_secs_f64());
                }
                SinkError::Pause { .. }
                | SinkError::Isolate { .. }
                | SinkError::Refuse { .. }
                | SinkError::Stuck { .. }
                | SinkError::Behind { .. } => {
                    wait = policy.wait_max;
                    self.pause(&pause, &what);
                }
            }
            if sleep_unless(|| self.aborted(), wait) {
                return Fate::Dropped;
            }
            wait = (wait * 2).min(policy.wait_max);
        }
    }

    /// A slice cannot be stored until somebody does something.
    fn pause(&self, pause: &Pause<'_>, why: &str) {
        let seconds = self.options.retry.wait_max.as_secs_f64();
        tracing::error!("paused: {why}; nothing is lost, it is tried again every {seconds:.0} s");
        pause.because(why);
    }
}

/// What came of storing a slice.
enum Fate {
    /// All of it is stored.
    Stored(Stored),
    /// Another slice has to be stored first; why.
    Behind(String),
    /// Somebody has to look at it; why.
    Stuck(String),
    /// The sink rejects some of its rows, whose records have to be read again.
    Rejected(Vec<RejectedRow>),
    /// It is another engine's now, or time is over.
    Dropped,
}

/// A decoded slice with its plan.
struct Ready {
    loaded: LoadedSlice,
    plan: Arc<Plan>,
    /// Its memory.
    _permit: Permit,
}

/// A feed that runs.
struct Running<'a> {
    service: &'a Service<'a>,
    number: usize,
    feed: Box<dyn Feed>,
    cut: &'a Sender<Item<PlannedSlice>>,
    back: &'a Receiver<Back>,
    /// Slices that were planned, for which the decoders had no room yet.
    waiting: VecDeque<Item<PlannedSlice>>,
    /// Slices that were planned and have not come back.
    under_way: usize,
    /// Number of the config that the feed has.
    config: u64,
    /// When the board was told of the sources last.
    told: Option<Instant>,
}

impl<'a> Running<'a> {
    fn new(
        service: &'a Service<'a>,
        number: usize,
        feed: Box<dyn Feed>,
        cut: &'a Sender<Item<PlannedSlice>>,
        back: &'a Receiver<Back>,
    ) -> Self {
        Running { service, number, feed, cut, back, waiting: VecDeque::new(), under_way: 0, config: 0, told: None }
    }

    /// Steps the feed until an end is asked for and what it gave away has come back. True if all of it was stored.
    fn until_stopped(&mut self) -> Result<bool, FeedError> {
        self.settle()?;
        self.service.board.feed_runs(self.number);
        let mut planned = Vec::new();
        let mut all_stored = true;
        loop {
            all_stored &= self.take_back(Duration::ZERO)?;
            self.take_config()?;
            self.tell_status();
            self.hand_on();
            if self.service.board.stopping() {
                self.feed.drain();
                if self.under_way == 0 {
                    self.feed.close()?;
                    return Ok(all_stored && self.feed.in_doubt().is_empty());
                }
                all_stored &= self.take_back(SLEEP_STEP)?;
                continue;
            }
            self.step(&mut planned)?;
        }
    }

    /// Slices of an earlier run that are stored need not be read again.
    fn settle(&mut self) -> Result<(), FeedError> {
        let in_doubt = self.feed.in_doubt();
        if in_doubt.is_empty() {
            return Ok(());
        }
        let stored =
            self.service.plans.stored(&in_doubt).map_err(|error| FeedError::Retry { detail: error.to_string() })?;
        tracing::info!(
            "{} slices are in doubt, of which {} are stored; the others are sent again",
            in_doubt.len(),
            stored.len()
        );
        self.feed.settle(&|slice| stored.contains(&slice))
    }

    fn take_config(&mut self) -> Result<(), FeedError> {
        let (number, text) = self.service.plans.current();
        if number != self.config {
            self.feed.set_config(&text)?;
            self.config = number;
        }
        Ok(())
    }

    /// Says how far the sources are, now and then.
    fn tell_status(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= STATUS_EVERY) {
            let status = self.feed.status(self.service.begin.elapsed());
            self.service.board.sources_are(self.number, status);
            self.told = Some(Instant::now());
        }
    }

    /// One step, which plans nothing while something waits for room: a feed has to be stepped however long the sink is away,
    /// to stay in its group and to see what becomes of its files.
    fn step(&mut self, planned: &mut Vec<PlannedSlice>) -> Result<(), FeedError> {
        let now = self.service.begin.elapsed();
        if !self.waiting.is_empty() {
            return self.feed.step(now, Duration::ZERO, Room { slices: 0, bytes: 0 }, planned);
        }
        if self.under_way >= PLANNED_AT_ONCE {
            self.feed.step(now, Duration::ZERO, Room { slices: 0, bytes: 0 }, planned)?;
            self.take_back(Duration::from_millis(FEED_WAIT_MS))?;
            return Ok(());
        }
        let room = Room { slices: PLANNED_AT_ONCE - self.under_way, bytes: self.service.options.slice_bytes };
        self.feed.step(now, Duration::from_millis(FEED_WAIT_MS), room, planned)?;
        for what in planned.drain(..) {
            let (ticket, config, in_doubt, lease) = (what.ticket, what.config, what.in_doubt, what.lease.clone());
            self.under_way += 1;
            self.service.board.under_way.fetch_add(1, Ordering::Relaxed);
            self.waiting.push_back(Item { feed: self.number, ticket, config, in_doubt, lease, what });
        }
        Ok(())
    }

    /// Hands on what waits, as far as there is room within a moment.
    fn hand_on(&mut self) {
        while let Some(item) = self.waiting.pop_front() {
            match self.cut.send_timeout(item, Duration::from_millis(FEED_WAIT_MS)) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(item)) => {
                    self.waiting.push_front(item);
                    return;
                }
                Err(SendTimeoutError::Disconnected(_)) => unreachable!("decode threads outlive the feeds"),
            }
        }
    }

    /// Takes what has come back, waiting for the first of it. False if something of it was not stored.
    fn take_back(&mut self, wait: Duration) -> Result<bool, FeedError> {
        let mut all_stored = true;
        let mut next = self.back.recv_timeout(wait);
        while let Ok(back) = next {
            match back {
                Back::Buffer(buffer) => self.feed.reuse(buffer),
                Back::Stored(ticket) => {
                    self.came_back();
                    self.feed.done(ticket)?;
                }
                Back::Again(ticket, wait) => {
                    self.came_back();
                    self.feed.again(ticket, self.service.begin.elapsed() + wait)?;
                }
                Back::Dropped => {
                    self.came_back();
                    all_stored = false;
                }
            }
            next = self.back.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        Ok(all_stored)
    }

    /// A feed that failed must not be made again while its slices are on their way: they would be sent twice at once.
    fn wait_for_all(&mut self) {
        // What was not handed on yet is nobody's.
        for _ in self.waiting.drain(..) {
            self.under_way -= 1;
            self.service.board.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        while self.under_way > 0 {
            if let Ok(Back::Stored(_) | Back::Again(..) | Back::Dropped) = self.back.recv() {
                self.came_back();
            }
        }
    }

    fn came_back(&mut self) {
        self.under_way -= 1;
        self.service.board.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A slice that waits for another for longer than this is told of.
const BEHIND_TOLD: Duration = Duration::from_secs(10);
/// A slice that was given back because it waits for another is read again after this.
const BEHIND_AWAY: Duration = Duration::from_millis(BEHIND_AWAY_MS);
/// Longest time for which a slice is given back.
const AWAY_MAX: Duration = Duration::from_millis(AWAY_MS_MAX);
/// How often a wish for an end is looked for.
const SLEEP_STEP: Duration = Duration::from_millis(20);
/// How often a feed says how far it is.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// What a panicked thread left is still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
