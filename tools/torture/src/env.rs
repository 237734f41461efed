//! What all twins share: one source of chance, one clock, one trace of what happened.
//!
//! A run is a function of its seed because nothing else decides: no thread, no real clock, no map's random order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_ingest::clock::WallClock;
use longshore_ingest::journal::testing::Random;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::records::CLOCK_MS;

/// Locks what one thread uses; a lock is there because the ports ask for something that could be shared.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chance, clock and trace; clones are the same.
#[derive(Debug, Clone)]
pub struct Env(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: Random,
    now: Duration,
    /// How far the engines' wall clock is ahead.
    skew_ms: i64,
    /// Faults are over: whatever is asked from now on works.
    calm: bool,
    faults: BTreeMap<&'static str, u64>,
    trace: u64,
    steps: u64,
    verbose: bool,
}

impl Env {
    /// That of a seed; prints its trace if `verbose`.
    pub fn new(seed: u64, verbose: bool) -> Env {
        Env(Arc::new(Mutex::new(State {
            // Neighbours begin far apart.
            random: Random(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x2545_f491_4f6c_dd1d),
            now: Duration::from_secs(1),
            skew_ms: 0,
            calm: false,
            faults: BTreeMap::new(),
            trace: 0,
            steps: 0,
            verbose,
        })))
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&self, bound: usize) -> usize {
        lock(&self.0).random.below(bound)
    }

    /// 64 random bits.
    pub fn word(&self) -> u64 {
        lock(&self.0).random.word()
    }

    /// True once in `times`.
    pub fn once_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Whether this fault comes now, which it does once in `times`; counted and traced if so.
    pub fn fault(&self, what: &'static str, times: usize) -> bool {
        let comes = {
            let mut state = lock(&self.0);
            !state.calm && state.random.once_in(times)
        };
        if comes {
            self.count(what);
        }
        comes
    }

    /// Counts and traces a fault that comes.
    pub fn count(&self, what: &'static str) {
        *lock(&self.0).faults.entry(what).or_default() += 1;
        self.note(format_args!("fault: {what}"));
    }

    /// The time since the beginning.
    pub fn now(&self) -> Duration {
        lock(&self.0).now
    }

    /// Time goes by.
    pub fn pass(&self, time: Duration) {
        lock(&self.0).now += time;
    }

    /// What the engines' wall clock says, in milliseconds since 1970.
    pub fn wall_ms(&self) -> i64 {
        let state = lock(&self.0);
        CLOCK_MS + state.now.as_millis() as i64 + state.skew_ms
    }

    /// Somebody sets it: so much ahead of what it was at the beginning.
    pub fn set_clock(&self, skew_ms: i64) {
        self.note(format_args!("the clock is set {skew_ms} ms ahead"));
        lock(&self.0).skew_ms = skew_ms;
    }

    /// How far it is ahead.
    pub fn skew_ms(&self) -> i64 {
        lock(&self.0).skew_ms
    }

    /// It, as a feed reads it.
    pub fn wall_clock(&self) -> WallClock {
        let env = self.clone();
        WallClock::of(move || env.wall_ms())
    }

    /// No faults from now on.
    pub fn calm(&self) {
        lock(&self.0).calm = true;
    }

    /// Whether faults are over.
    pub fn is_calm(&self) -> bool {
        lock(&self.0).calm
    }

    /// Adds a line to the trace.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let line = what.to_string();
        let mut state = lock(&self.0);
        state.trace = xxh3_64_with_seed(line.as_bytes(), state.trace);
        state.steps += 1;
        if state.verbose {
            println!("{:>5} {:>11.3} s  {line}", state.steps, state.now.as_secs_f64());
        }
    }

    /// A hash of all lines so far: two runs that did the same have the same.
    pub fn trace(&self) -> u64 {
        lock(&self.0).trace
    }

    /// Faults so far, by kind.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).faults.clone()
    }
}

/// What becomes of an engine's call to the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It is made.
    Made,
    /// The engine dies in it: it may have been made or not, and nobody learns how it ended.
    Last,
    /// The engine is dead: it is not made.
    Never,
}

/// An engine's life: it may end at any call to a twin. Clones are the same life.
#[derive(Debug, Clone)]
pub struct Life(Arc<AtomicU64>);

/// It does not end by itself.
const FOREVER: u64 = u64::MAX;

impl Life {
    /// One that ends in the `calls`th call from now on; without a number it does not.
    pub fn new(calls: Option<u64>) -> Life {
        Life(Arc::new(AtomicU64::new(calls.unwrap_or(FOREVER).max(1))))
    }

    /// One more call.
    pub fn call(&self) -> Call {
        match self.0.load(Ordering::Relaxed) {
            0 => Call::Never,
            FOREVER => Call::Made,
            left => {
                self.0.store(left - 1, Ordering::Relaxed);
                if left == 1 { Call::Last } else { Call::Made }
            }
        }
    }

    /// Whether it has ended.
    pub fn over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// It does not end by itself any more.
    pub fn spare(&self) {
        if !self.over() {
            self.0.store(FOREVER, Ordering::Relaxed);
        }
    }
}
