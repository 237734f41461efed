//! The threads of a service, with a feed that always has more and a sink that is away.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use longshore_core::config::{self, Env};
use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_core::decode::Decoder;

use super::*;
use crate::cut::{CutSlice, Of, Place};
use crate::feed::{Room, SourceStatus};
use crate::sink::Sink;

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

/// Gives away slices of one record, `left` of them, and remembers which are done. A ticket is the slice's number and how
/// often it was given away before.
struct Endless {
    left: u64,
    given: u64,
    /// Slices that came back, and when they are due.
    back: Vec<(Ticket, Duration)>,
    back_first: bool,
    done: Arc<Mutex<BTreeSet<u64>>>,
    draining: bool,
}

const AGAIN: u64 = 1 << 32;

fn give(ticket: Ticket, since: Duration) -> PlannedSlice {
    let name: Arc<str> = "endless".into();
    let of = Of { name: &name, header: None, stream: 1 };
    let number = ticket.0 % AGAIN;
    let record = format!("{{\"ts\":{}}}\n", number % 10).into_bytes();
    let place = Place { head: 1, start: number * 9, before: number, after: number + 1 };
    let CutSlice { slice, meta, .. } = CutSlice::new(of, place, record, None);
    let (in_doubt, lease) = (ticket.0 >= AGAIN, Lease::forever());
    PlannedSlice { slice, meta, config: HASH, in_doubt, ticket, lease, since }
}

impl Feed for Endless {
    fn step(
        &mut self,
        now: Duration,
        wait: Duration,
        room: Room,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError> {
        let due = self.back.iter().position(|(_, due)| *due <= now);
        self.back_first = !self.back_first || self.left == 0;
        if let Some(at) = due.filter(|_| room.slices > 0 && self.back_first) {
            planned.push(give(self.back.swap_remove(at).0, now));
            return Ok(());
        }
        if self.left == 0 || self.draining {
            std::thread::sleep(wait);
            return Ok(());
        }
        for _ in 0..(room.slices as u64).min(self.left) {
            planned.push(give(Ticket(self.given), now));
            self.given += 1;
            self.left -= 1;
        }
        Ok(())
    }

    fn done(&mut self, ticket: Ticket) -> Result<(), FeedError> {
        assert!(lock(&self.done).insert(ticket.0 % AGAIN), "{ticket:?} is done twice");
        Ok(())
    }

    fn again(&mut self, ticket: Ticket, due: Duration) -> Result<(), FeedError> {
        self.back.push((Ticket(ticket.0 + AGAIN), due));
        Ok(())
    }

    fn in_doubt(&self) -> Vec<SliceId> {
        self.back.iter().map(|(ticket, _)| give(*ticket, Duration::ZERO).meta.id).collect()
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

/// A plan, and whether its sink need not be waited for any more.
struct OnePlan(Arc<Plan>, Arc<AtomicBool>);

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

    fn give_up(&self) {
        self.1.store(true, Ordering::Release);
    }
}

/// Takes one slice, and does not answer for the next ones until it is given up.
struct Hanging(AtomicU64, Arc<AtomicBool>);

impl Sink for Hanging {
    fn write(&self, _: &LoadedSlice) -> Result<Stored, SinkError> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(Stored::default());
        }
        while !self.1.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(SinkError::Retry { detail: "given up".into() })
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
    serve_until_given_up((sink, Arc::default()), slices, until)
}

/// The same into a sink that sees when it is given up.
fn serve_until_given_up(
    sink: (Box<dyn Sink + Send>, Arc<AtomicBool>),
    slices: u64,
    until: impl Fn(&Board, &BTreeSet<u64>) -> bool + Sync,
) -> (Ended, BTreeSet<u64>) {
    serve_within(1 << 30, sink, slices, until)
}

/// The same with so many bytes for decoded slices.
fn serve_within(
    memory: usize,
    (sink, given_up): (Box<dyn Sink + Send>, Arc<AtomicBool>),
    slices: u64,
    until: impl Fn(&Board, &BTreeSet<u64>) -> bool + Sync,
) -> (Ended, BTreeSet<u64>) {
    let config = config::parse(CONFIG, Path::new("test.toml"), &Env::new()).expect("a valid config");
    let decoder = Decoder::new(&config, None, None).expect("a decoder");
    let plans = OnePlan(Arc::new(Plan { decoder, sink }), given_up);
    let (board, done) = (Board::default(), Arc::new(Mutex::new(BTreeSet::new())));
    let options = ServiceOptions {
        workers: 2,
        inserts_in_flight: 2,
        slice_bytes: 1_000,
        memory: Memory::new(memory),
        retry: RetryPolicy { wait_first: Duration::from_millis(1), wait_max: Duration::from_millis(4) },
        drain: Duration::from_millis(300),
    };
    let make: MakeFeed<'_> = Box::new(|| {
        Ok(Box::new(Endless {
            left: slices,
            given: 0,
            back: Vec::new(),
            back_first: false,
            done: done.clone(),
            draining: false,
        }))
    });
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
fn a_sink_that_does_not_answer_is_given_up_when_the_time_for_draining_is_over() {
    let given_up = Arc::new(AtomicBool::new(false));
    let sink = Box::new(Hanging(AtomicU64::new(0), given_up.clone()));
    let (ended, done) = serve_until_given_up((sink, given_up.clone()), u64::MAX, |_, done| done.len() == 1);
    assert_eq!((ended, done.len(), given_up.load(Ordering::Acquire)), (Ended::InDoubt, 1, true));
}

#[test]
fn an_end_in_time_gives_nothing_up() {
    let given_up = Arc::new(AtomicBool::new(false));
    let sink = Box::new(AwayFor(AtomicU64::new(0)));
    let (ended, _) = serve_until_given_up((sink, given_up.clone()), 3, |_, done| done.len() == 3);
    assert_eq!((ended, given_up.load(Ordering::Acquire)), (Ended::Drained, false));
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

/// Takes every slice only after the last of so many.
struct LastFirst {
    last: u64,
    stored: Mutex<BTreeSet<u64>>,
}

impl Sink for LastFirst {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.resume(slice)
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let (number, mut stored) = (slice.meta.start / 9, lock(&self.stored));
        if number != self.last && !stored.contains(&self.last) {
            return Err(SinkError::Behind { detail: "the last one first".into() });
        }
        assert!(stored.insert(number), "{number} is stored twice");
        Ok(Stored::default())
    }
}

/// All that a service can hold waits for a slice that has not been read yet.
#[test]
fn slices_that_wait_make_room_for_the_one_that_they_wait_for() {
    let sink = LastFirst { last: 99, stored: Mutex::default() };
    let (ended, done) = serve_into(Box::new(sink), 100, |_, done| done.len() == 100);
    assert_eq!((ended, done), (Ended::Drained, (0..100).collect()));
}

/// One of them takes all memory: it goes back to its feed, however few wait, so that the one that it waits for can come.
#[test]
fn a_slice_that_waits_gives_back_memory_that_others_need() {
    let sink = LastFirst { last: 9, stored: Mutex::default() };
    let (ended, done) = serve_within(1, (Box::new(sink), Arc::default()), 10, |_, done| done.len() == 10);
    assert_eq!((ended, done), (Ended::Drained, (0..10).collect()));
}

/// Nobody knows what of every slice but each tenth is stored.
struct Lost;

impl Sink for Lost {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        match (slice.meta.start / 9).is_multiple_of(10) {
            true => Ok(Stored::default()),
            false => Err(SinkError::Stuck { detail: "look at it".into() }),
        }
    }
}

#[test]
fn slices_that_somebody_has_to_look_at_do_not_stop_the_others() {
    let tenths: BTreeSet<u64> = (0..500).step_by(10).collect();
    let said = Mutex::new(Vec::new());
    let (ended, done) = serve_into(Box::new(Lost), 500, |board, done| {
        *lock(&said) = board.paused();
        done.len() == 50
    });
    assert_eq!((ended, done), (Ended::InDoubt, tenths));
    let said = lock(&said);
    assert!(said.len() > 100 && said.iter().all(|why| why.ends_with("of endless: look at it")), "{}", said.len());
}

/// Rejects the row of every third slice until its record comes with it.
#[derive(Default)]
struct Rejecting(Arc<Mutex<Vec<(u64, DeadLetter)>>>);

impl Sink for Rejecting {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let number = slice.meta.start / 9;
        match number.is_multiple_of(3) {
            true => Err(SinkError::Isolate { detail: "no multiple of three".into() }),
            false => Ok(Stored::default()),
        }
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let [letter] = &slice.rejected[..] else { panic!("it is resumed for the sake of its rejected row") };
        lock(&self.0).push((slice.meta.start / 9, letter.clone()));
        Ok(Stored { rejected: vec![("shop".into(), 1)], ..Stored::default() })
    }

    fn rejected(&self, _: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        Ok(vec![(0, Fault::new(Reason::Rejected, "no multiple of three"))])
    }
}

#[test]
fn rejected_rows_come_with_their_records_and_count_as_dead() {
    let letters = Arc::new(Mutex::new(Vec::new()));
    let counted = Mutex::new((0, 0));
    let (ended, done) = serve_into(Box::new(Rejecting(letters.clone())), 30, |board, done| {
        let progress = &board.progress;
        *lock(&counted) = (progress.loaded.load(Ordering::Relaxed), progress.dead.load(Ordering::Relaxed));
        done.len() == 30
    });
    assert_eq!((ended, done, *lock(&counted)), (Ended::Drained, (0..30).collect(), (20, 10)));
    let mut letters = lock(&letters).clone();
    letters.sort_by_key(|(number, _)| *number);
    let wanted = (0..30).step_by(3).map(|number| {
        let fault = Fault::new(Reason::Rejected, "no multiple of three");
        let record = format!("{{\"ts\":{}}}", number % 10).into_bytes();
        (number, DeadLetter { row: 0, offset: number * 9, length: 8, fault, record })
    });
    assert_eq!(letters, wanted.collect::<Vec<_>>());
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
