//! What a service is asked to do, and what it says of itself: for signal handlers, metrics, and whoever asks whether all is
//! well.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use longshore_core::limits::{LIVE_STEP_MS_MAX, NOTICE_SHOWN_MS, NOTICES_SHOWN_MAX};
use longshore_core::slice::SliceId;

use super::lock;
use crate::feed::{Notice, NoticeKind, SourceStatus, Trouble};
use crate::lease::Lease;
use crate::progress::Progress;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Board {
    /// An end was asked for.
    pub stop: AtomicBool,
    /// What was stored.
    pub progress: Progress,
    /// Slices that were planned in this run, or read again, and are not stored.
    pub under_way: AtomicU64,
    /// Slices that cannot be stored until somebody does something, and why.
    paused: Mutex<BTreeMap<SliceId, Paused>>,
    /// Feeds by their numbers that do not run, and why.
    failing: Mutex<BTreeMap<usize, String>>,
    sources: Mutex<HashMap<usize, Vec<SourceStatus>>>,
    /// When the feeds that run began their last step, by their numbers.
    steps: Mutex<BTreeMap<usize, Instant>>,
    /// Threads that panicked.
    fallen: Mutex<Vec<&'static str>>,
    troubles: Mutex<HashMap<usize, Vec<Trouble>>>,
    notices: Mutex<Notices>,
    /// How sources are summed up; see [`sum_up_by`](Board::sum_up_by).
    label: OnceLock<Label>,
}

/// Under which label a source is summed up.
struct Label(Box<dyn Fn(&str) -> String + Send + Sync>);

impl std::fmt::Debug for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Label")
    }
}

/// What happened in this run.
#[derive(Debug, Default)]
struct Notices {
    /// The latest, oldest first.
    shown: VecDeque<(Instant, Notice)>,
    /// How many, and how many bytes, by label and kind.
    sums: BTreeMap<(String, NoticeKind), (u64, u64)>,
}

/// Why a slice is paused.
#[derive(Debug)]
struct Paused {
    why: String,
    /// A slice that no thread holds meanwhile may become another engine's, and then nobody here comes back to it.
    lease: Lease,
}

impl Board {
    /// All sources and how far they are, a second old at most unless its feed is failing.
    pub fn sources(&self) -> Vec<SourceStatus> {
        let mut all: Vec<SourceStatus> = lock(&self.sources).values().flatten().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// No feed has begun to follow anything yet, nor failed to.
    pub fn is_starting(&self) -> bool {
        lock(&self.sources).is_empty() && lock(&self.failing).is_empty()
    }

    /// Slices that cannot be stored until somebody does something, each with what to do.
    pub fn paused(&self) -> Vec<String> {
        let mut paused = lock(&self.paused);
        paused.retain(|_, paused| paused.lease.held());
        paused.values().map(|paused| paused.why.clone()).collect()
    }

    /// Why feeds do not run: each is made again after a while.
    pub fn failing(&self) -> Vec<String> {
        lock(&self.failing).values().cloned().collect()
    }

    /// Why the process does not work any more, and only a new start helps: a thread that panicked, a feed that makes no step.
    /// A ClickHouse, a broker or a disk that is away is none of it, as long as it is waited for in order.
    pub fn stuck(&self) -> Vec<String> {
        let limit = Duration::from_millis(LIVE_STEP_MS_MAX);
        let steps = lock(&self.steps);
        let longest = steps.values().map(Instant::elapsed).max().filter(|step| *step > limit);
        let fallen =
            lock(&self.fallen).iter().map(|what| format!("{what} panicked, as the log says")).collect::<Vec<_>>();
        let stalled = longest.map(|step| {
            format!("a feed has been in one step for {} s: a disk or a broker that hangs, or a bug", step.as_secs())
        });
        fallen.into_iter().chain(stalled).collect()
    }

    /// Runs a thread's work; that it panicked stays on the board, since nobody may be waiting for its end.
    pub(super) fn alive<T>(&self, thread: &'static str, work: impl FnOnce() -> T) -> T {
        let _alive = Alive { board: self, thread };
        work()
    }

    /// A feed begins a step.
    pub(super) fn feed_steps(&self, feed: usize) {
        lock(&self.steps).insert(feed, Instant::now());
    }

    /// A feed is not stepped from now on.
    pub(super) fn feed_rests(&self, feed: usize) {
        lock(&self.steps).remove(&feed);
    }

    /// Sums are made by this label of a source's name from now on, of which there are few. Before, all go together.
    pub fn sum_up_by(&self, label: impl Fn(&str) -> String + Send + Sync + 'static) {
        let _ = self.label.set(Label(Box::new(label)));
    }

    /// What is in the way of files that are to be followed, a second old at most, in the order of names.
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut all: Vec<Trouble> = lock(&self.troubles).values().flatten().cloned().collect();
        all.sort_by(|a, b| a.at.cmp(&b.at));
        all
    }

    /// What happened lately, oldest first: for a day, or until the service ends.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = lock(&self.notices);
        let shown = Duration::from_millis(NOTICE_SHOWN_MS);
        notices.shown.retain(|(at, _)| at.elapsed() < shown);
        notices.shown.iter().map(|(_, notice)| notice.clone()).collect()
    }

    /// How often each kind of thing happened, and to how many bytes, by label.
    pub fn noticed(&self) -> BTreeMap<(String, NoticeKind), (u64, u64)> {
        lock(&self.notices).sums.clone()
    }

    pub(super) fn troubles_are(&self, feed: usize, troubles: Vec<Trouble>) {
        lock(&self.troubles).insert(feed, troubles);
    }

    pub(super) fn notes(&self, notice: Notice) {
        let label = self.label.get().map_or_else(String::new, |Label(of)| of(&notice.name));
        let mut notices = lock(&self.notices);
        let (times, bytes) = notices.sums.entry((label, notice.kind)).or_default();
        (*times, *bytes) = (*times + 1, *bytes + notice.bytes);
        // Of what goes on, the latest says it all.
        if notice.kind != NoticeKind::Lost {
            notices.shown.retain(|(_, shown)| shown.kind != notice.kind || shown.name != notice.name);
        }
        notices.shown.push_back((Instant::now(), notice));
        if notices.shown.len() > NOTICES_SHOWN_MAX {
            notices.shown.pop_front();
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A slice waits for another one that is not stored, or for somebody. It counts as paused until its next attempt, or until
    /// it is another engine's.
    pub(super) fn slice_waits(&self, slice: SliceId, why: String, lease: &Lease) {
        let mut paused = lock(&self.paused);
        paused.retain(|_, paused| paused.lease.held());
        paused.insert(slice, Paused { why, lease: lease.clone() });
    }

    pub(super) fn sources_are(&self, feed: usize, status: Vec<SourceStatus>) {
        lock(&self.sources).insert(feed, status);
    }

    pub(super) fn feed_fails(&self, feed: usize, why: String) {
        lock(&self.failing).insert(feed, why);
    }

    pub(super) fn feed_runs(&self, feed: usize) {
        lock(&self.failing).remove(&feed);
    }
}

/// A thread that works.
struct Alive<'a> {
    board: &'a Board,
    thread: &'static str,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.board.fallen).push(self.thread);
        }
    }
}

/// A slice's pause, if it has one. Over when this is dropped.
pub(super) struct Pause<'a> {
    board: &'a Board,
    slice: SliceId,
}

impl<'a> Pause<'a> {
    pub(super) fn new(board: &'a Board, slice: SliceId) -> Self {
        Pause { board, slice }
    }

    pub(super) fn because(&self, why: &str) {
        lock(&self.board.paused).insert(self.slice, Paused { why: why.to_owned(), lease: Lease::forever() });
    }

    pub(super) fn end(&self) {
        lock(&self.board.paused).remove(&self.slice);
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lease::Term;

    #[test]
    fn a_thread_that_panicked_and_a_feed_that_makes_no_step_are_said() {
        let board = Board::default();
        board.alive("an insert thread", || board.feed_steps(0));
        assert!(board.stuck().is_empty());
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| board.alive("a decode thread", || panic!("a broken invariant")));
            assert!(panics.join().is_err());
        });
        assert_eq!(board.stuck(), ["a decode thread panicked, as the log says"]);
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_millis(LIVE_STEP_MS_MAX + 1_000)) else {
            return;
        };
        lock(&board.steps).insert(0, long_ago);
        assert!(board.stuck()[1].starts_with("a feed has been in one step for 121 s"), "{:?}", board.stuck());
        board.feed_rests(0);
        assert_eq!(board.stuck().len(), 1);
    }

    #[test]
    fn notices_are_summed_up_by_label_and_kind_and_the_latest_are_shown() {
        let board = Board::default();
        board.sum_up_by(|name| name.split('/').next().unwrap_or_default().to_owned());
        for number in 0..NOTICES_SHOWN_MAX as u64 + 3 {
            let name = if number == 0 { "b/x" } else { "a/x" }.into();
            let kind = if number == 1 { NoticeKind::Nuls } else { NoticeKind::Lost };
            board.notes(Notice { name, kind, bytes: number + 1, why: format!("loss {number}") });
        }
        let shown = board.notices();
        assert_eq!((shown.len(), &*shown[0].why, &*shown[31].why), (32, "loss 3", "loss 34"));
        let sums =
            [("a", NoticeKind::Lost, (33, 627)), ("a", NoticeKind::Nuls, (1, 2)), ("b", NoticeKind::Lost, (1, 1))];
        // 3 + 4 + ... + 35
        assert_eq!(board.noticed(), sums.map(|(label, kind, sum)| ((label.to_owned(), kind), sum)).into());
    }

    #[test]
    fn what_became_another_engines_is_not_paused_here() {
        let board = Board::default();
        let revoked = Arc::new(AtomicBool::new(false));
        board.slice_waits(SliceId(1), "look at it".to_owned(), &Lease::until(revoked.clone(), Term::unbounded()));
        board.slice_waits(SliceId(2), "and at this".to_owned(), &Lease::forever());
        assert_eq!(board.paused(), ["look at it", "and at this"]);
        revoked.store(true, Ordering::Release);
        assert_eq!(board.paused(), ["and at this"]);
        Pause::new(&board, SliceId(2)).end();
        assert!(board.paused().is_empty());
    }
}
