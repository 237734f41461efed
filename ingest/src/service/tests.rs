//! The threads of a service, with a feed that always has more and a sink that is away.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use longshore_core::config::{self, Env};

use super::*;
use crate::cut::{CutSlice, Of};
use crate::feed::SourceStatus;

const CONFIG: &str = r#"
version = 1
[[column]]
name = "ts"
type = "timestamp"
required = true
[products]
fixed = "shop"
[table]
time = "ts"
"#;

const HASH: ConfigHash = ConfigHash(7);

/// Gives away slices of one record, `left` of them, and remembers which are done.
struct Endless {
    left: u64,
    given: u64,
    done: Arc<Mutex<BTreeSet<u64>>>,
    draining: bool,
}

impl Feed for Endless {
    fn step(
        &mut self,
        now: Duration,
        wait: Duration,
        room: Room,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError> {
        if self.left == 0 || self.draining {
            std::thread::sleep(wait);
            return Ok(());
        }
        for _ in 0..(room.slices as u64).min(self.left) {
            let name: Arc<str> = "endless".into();
            let of = Of { name: &name, source_id: 1, header: None };
            let CutSlice { slice, meta } =
                CutSlice::new(of, self.given * 9, format!("{{\"ts\":{}}}\n", self.given % 10).into_bytes(), None);
            let (ticket, lease) = (Ticket(self.given), Lease::forever());
            planned.push(PlannedSlice { slice, meta, config: HASH, in_doubt: false, ticket, lease, since: now });
            self.given += 1;
            self.left -= 1;
        }
        Ok(())
    }

    fn done(&mut self, ticket: Ticket) -> Result<(), FeedError> {
        assert!(lock(&self.done).insert(ticket.0), "{ticket:?} is done twice");
        Ok(())
    }

    fn again(&mut self, _: Ticket, _: Duration) -> Result<(), FeedError> {
        unreachable!("nothing is given back here")
    }

    fn in_doubt(&self) -> Vec<SliceId> {
        Vec::new()
    }

    fn settle(&mut self, _: &dyn Fn(SliceId) -> bool) -> Result<(), FeedError> {
        Ok(())
    }

    fn set_config(&mut self, _: &str) -> Result<ConfigHash, FeedError> {
        Ok(HASH)
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn status(&self, now: Duration) -> Vec<SourceStatus> {
        let name = "endless".into();
        vec![SourceStatus { name, lag_bytes: 0, lag_records: None, lag: now, in_doubt: 0, stopped: None }]
    }

    fn close(&mut self) -> Result<(), FeedError> {
        Ok(())
    }
}

/// Refuses so many attempts, then takes everything.
struct AwayFor(AtomicU64);

impl Sink for AwayFor {
    fn write(&self, _: &LoadedSlice) -> Result<Stored, SinkError> {
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(SinkError::Retry { detail: "away".into() }),
            Err(_) => Ok(Stored::default()),
        }
    }
}

/// Wants somebody to look at the slices of every second until it is told that they did; takes the others.
struct Picky(Arc<AtomicU64>);

impl Sink for Picky {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let odd = slice.meta.start / 9 % 2 == 1;
        match odd && self.0.load(Ordering::Relaxed) == 0 {
            true => Err(SinkError::Pause { detail: "no such table".into() }),
            false => Ok(Stored::default()),
        }
    }
}

/// Takes a slice only after the one behind it, in groups of three.
#[derive(Default)]
struct Backwards {
    stored: Mutex<BTreeSet<u64>>,
    tried: Mutex<BTreeSet<u64>>,
}

impl Sink for Backwards {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let number = slice.meta.start / 9;
        assert!(lock(&self.tried).insert(number), "slice {number} was tried before, so it must be looked up");
        self.resume(slice)
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let (number, mut stored) = (slice.meta.start / 9, lock(&self.stored));
        if number % 3 < 2 && !stored.contains(&(number + 1)) {
            return Err(SinkError::Behind { detail: "the next one first".into() });
        }
        stored.insert(number);
        Ok(Stored::default())
    }
}

struct OnePlan(Arc<Plan>);

impl Plans for OnePlan {
    fn plan(&self, config: ConfigHash) -> Result<Arc<Plan>, String> {
        assert_eq!(config, HASH);
        Ok(self.0.clone())
    }

    fn current(&self) -> (u64, Arc<str>) {
        (1, CONFIG.into())
    }

    fn stored(&self, _: &[SliceId]) -> Result<HashSet<SliceId>, SinkError> {
        unreachable!("nothing is in doubt")
    }
}

/// Runs `slices` against a sink that refuses `failures` attempts, and stops once `until` says so. Which are done.
fn serve(slices: u64, failures: u64, until: impl Fn(&Board, &BTreeSet<u64>) -> bool + Sync) -> (Ended, BTreeSet<u64>) {
    serve_into(Box::new(AwayFor(AtomicU64::new(failures))), slices, until)
}

/// The same into any sink.
fn serve_into(
    sink: Box<dyn Sink + Send>,
    slices: u64,
    until: impl Fn(&Board, &BTreeSet<u64>) -> bool + Sync,
) -> (Ended, BTreeSet<u64>) {
    let config = config::parse(CONFIG, Path::new("test.toml"), &Env::new()).expect("a valid config");
    let decoder = Decoder::new(&config, None, None).expect("a decoder");
    let plans = OnePlan(Arc::new(Plan { decoder, sink }));
    let (board, done) = (Board::default(), Arc::new(Mutex::new(BTreeSet::new())));
    let options = ServiceOptions {
        workers: 2,
        inserts_in_flight: 2,
        slice_bytes: 1_000,
        retry: RetryPolicy { wait_first: Duration::from_millis(1), wait_max: Duration::from_millis(4) },
        drain: Duration::from_millis(300),
    };
    let make: MakeFeed<'_> =
        Box::new(|| Ok(Box::new(Endless { left: slices, given: 0, done: done.clone(), draining: false })));
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !until(&board, &lock(&done)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            board.stop.store(true, Ordering::Release);
        });
        run(vec![make], &plans, &options, &board)
    });
    let done = lock(&done).clone();
    (ended, done)
}

#[test]
fn everything_is_stored_and_told_once() {
    let (ended, done) = serve(500, 20, |_, done| done.len() == 500);
    assert_eq!((ended, done), (Ended::Drained, (0..500).collect()));
}

/// The feed waits for room behind decoders that wait for inserts that wait for the sink: none of them may keep another
/// from seeing the end.
#[test]
fn a_sink_that_stays_away_does_not_keep_a_service_from_its_end() {
    let (ended, done) = serve(u64::MAX, u64::MAX, |board, _| board.progress.retries.load(Ordering::Relaxed) > 10);
    assert_eq!((ended, done), (Ended::InDoubt, BTreeSet::new()));
}

#[test]
fn paused_slices_are_those_that_wait_for_somebody_however_many_others_are_stored() {
    let mended = Arc::new(AtomicU64::new(0));
    let seen = Mutex::new(None);
    let (ended, done) = serve_into(Box::new(Picky(mended.clone())), 40, |board, done| {
        if mended.load(Ordering::Relaxed) == 0 {
            // Both insert threads are held by an odd slice each, after at least the even one before them was stored.
            let paused = board.paused();
            if paused.len() == 2 && !done.is_empty() {
                *lock(&seen) = Some((paused, done.clone()));
                mended.store(1, Ordering::Relaxed);
            }
            return false;
        }
        done.len() == 40 && board.paused().is_empty()
    });
    assert_eq!((ended, done), (Ended::Drained, (0..40).collect()));
    let (paused, done) = lock(&seen).take().expect("it was seen");
    assert!(paused.iter().all(|why| why.ends_with("of endless: no such table")), "{paused:?}");
    assert!(done.iter().all(|slice| slice % 2 == 0), "{done:?}");
}

#[test]
fn a_slice_that_waits_for_one_behind_it_lets_it_pass() {
    let (ended, done) = serve_into(Box::new(Backwards::default()), 60, |_, done| done.len() == 60);
    assert_eq!((ended, done), (Ended::Drained, (0..60).collect()));
}

/// A feed whose slices nobody takes is stepped all the same, and says how its sources are.
#[test]
fn sources_are_told_of_while_the_sink_is_away() {
    let lags = Mutex::new(Vec::new());
    let (ended, _) = serve(u64::MAX, u64::MAX, |board, _| {
        let lag = board.sources().first().map_or(Duration::ZERO, |source| source.lag);
        let mut lags = lock(&lags);
        if lags.last() != Some(&lag) {
            lags.push(lag);
        }
        // The third time that something new is said, long after the queues were full.
        lags.len() > 3
    });
    assert_eq!(ended, Ended::InDoubt);
}
