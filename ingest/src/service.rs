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

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use longshore_core::decode::Scratch;
use longshore_core::limits::{AWAY_MS_MAX, BEHIND_AWAY_MS, SLICES_DECODED_QUEUED, SLICES_READ_AHEAD};
use longshore_core::slice::SliceId;

use crate::feed::{Feed, FeedError, Lease, PlannedSlice, Ticket};
use crate::journal::ConfigHash;
use crate::memory::{Memory, Permit};
use crate::retry::{RetryPolicy, sleep_unless};
use crate::sink::{Attempts, LoadedSlice, RejectedRow, SinkError, Stored};
use crate::turns::Turns;

mod board;
mod leased;
mod plans;
mod running;

pub use board::Board;
pub use plans::{Plan, Plans};

use board::Pause;
use leased::Leased;
use running::Running;

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
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Set whichever way this is left.
        let _ended = SetWhenDropped(&ended);
        scope.spawn(|| service.keep_deadline(&ended));
        for _ in 0..options.workers {
            let (cut, decoded_send) = (cut.clone(), decoded_send.clone());
            let (service, backs) = (&service, &backs_send);
            scope.spawn(move || service.board.alive("a decode thread", || service.decode(&cut, &decoded_send, backs)));
        }
        for _ in 0..options.inserts_in_flight {
            let decoded = decoded.clone();
            let (service, backs) = (&service, &backs_send);
            scope.spawn(move || service.board.alive("an insert thread", || service.insert(&decoded, backs)));
        }
        // The threads' handles must be the only ones, so that ends travel from stage to stage.
        drop((cut, decoded, decoded_send));
        let threads: Vec<_> = feeds
            .into_iter()
            .zip(backs)
            .enumerate()
            .map(|(number, (make, back))| {
                let (service, cut_send) = (&service, cut_send.clone());
                let feed = move || service.feed(number, make, &cut_send, &back);
                scope.spawn(move || service.board.alive("a feed's thread", feed))
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

/// Sets a flag when it goes out of scope.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
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
    rejected: Mutex<Leased<Vec<RejectedRow>>>,
    /// How long slices that were given back were left alone the last time.
    away: Mutex<Leased<Duration>>,
    /// When the wish for an end was first seen, by whichever thread.
    stopped_at: OnceLock<Instant>,
    begin: Instant,
}

impl Service<'_> {
    /// The time for draining is over. Every thread that waits asks by itself, since any of the others may be stuck behind it.
    fn aborted(&self) -> bool {
        self.board.stopping() && self.stopped_at.get_or_init(Instant::now).elapsed() >= self.options.drain
    }

    /// Has everything that waits for the world beyond fail once the time for draining is over.
    fn keep_deadline(&self, ended: &AtomicBool) {
        while !ended.load(Ordering::Acquire) {
            if self.aborted() {
                return self.plans.give_up();
            }
            std::thread::sleep(SLEEP_STEP);
        }
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
                            self.board.feed_rests(number);
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
            let Some(mut permit) = self.options.memory.take(bytes, || !self.aborted()) else {
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
            let rejected = match lock(&self.rejected).get(what.meta.id) {
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
            let (feed, ticket, id, lease) = (*feed, *ticket, what.loaded.meta.id, &lease.clone());
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
                    Back::Again(ticket, self.leave_alone(id, BEHIND_AWAY, lease))
                }
                Fate::Stuck(why) => {
                    let wait = self.options.retry.wait_max;
                    tracing::error!("paused: {why}; nothing is lost, others go ahead, it is tried again in {wait:.0?}");
                    self.board.slice_waits(id, why, lease);
                    turn.what.in_doubt = true;
                    if turns.aside_or_back(turn, self.options.memory.is_short()).is_none() {
                        continue;
                    }
                    Back::Again(ticket, self.leave_alone(id, wait, lease))
                }
                Fate::Rejected(rows) => {
                    lock(&self.rejected).insert(id, rows, lease);
                    Back::Again(ticket, Duration::ZERO)
                }
                Fate::Dropped => Back::Dropped,
            };
            if matches!(back, Back::Stored(_) | Back::Dropped) {
                lock(&self.rejected).remove(id);
                lock(&self.away).remove(id);
            }
            let _ = backs[feed].send(back);
        }
    }

    /// For how long a slice is given back: the double each time, so that many of them leave time for others.
    fn leave_alone(&self, slice: SliceId, first: Duration, lease: &Lease) -> Duration {
        let mut away = lock(&self.away);
        let wait = away.get(slice).map_or(first, |last| (*last * 2).min(AWAY_MAX.max(first)));
        away.insert(slice, wait, lease);
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
            if self.aborted() {
                tracing::debug!("{}: {error}", loaded.meta);
                return Fate::Dropped;
            }
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

/// A slice that waits for another for longer than this is told of.
const BEHIND_TOLD: Duration = Duration::from_secs(10);
/// A slice that was given back because it waits for another is read again after this.
const BEHIND_AWAY: Duration = Duration::from_millis(BEHIND_AWAY_MS);
/// Longest time for which a slice is given back.
const AWAY_MAX: Duration = Duration::from_millis(AWAY_MS_MAX);
/// How often a wish for an end is looked for.
const SLEEP_STEP: Duration = Duration::from_millis(20);

/// What a panicked thread left is still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
