//! Memory for decoded slices: each takes what it may need before it is decoded, gives back what it does not need once that
//! is known, and the rest when it is stored.
//!
//! So many ordinary slices are on their way at once, and of those that are made to hurt as many as there is room for, at
//! least one. Whoever asks first is served first, so that a large slice gets its turn. Nobody waits for memory who holds
//! some that others wait for, but for slices that wait for other slices to be stored: while somebody waits for
//! memory ([`Memory::is_short`]), a service gives those back to their feeds.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many bytes, and who waits for some of them. Clones are the same memory.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
    total: usize,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// The most that was held.
    peak: usize,
    /// Number of the next one to wait.
    next: u64,
    /// Who waits, first come, first served.
    waiting: VecDeque<u64>,
}

impl State {
    /// Whether that many bytes are there. One alone may have all there is, and more: it could never be served.
    fn has(&self, bytes: usize, total: usize) -> bool {
        self.held == 0 || self.held + bytes <= total
    }

    /// Whether it is the turn of this one, and that many bytes are there.
    fn is_served(&self, ticket: u64, bytes: usize, total: usize) -> bool {
        self.waiting.front() == Some(&ticket) && self.has(bytes, total)
    }

    fn take(&mut self, bytes: usize) {
        self.held += bytes;
        self.peak = self.peak.max(self.held);
    }
}

/// Bytes that somebody has; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    of: Memory,
    bytes: usize,
}

impl Memory {
    /// So many bytes.
    pub fn new(total: usize) -> Memory {
        Memory(Arc::new(Shared { state: Mutex::default(), freed: Condvar::new(), total }))
    }

    /// Takes so many bytes, if they are there and nobody waits for some.
    #[cfg(test)]
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Permit> {
        let mut state = self.state();
        if !state.waiting.is_empty() || !state.has(bytes, self.0.total) {
            return None;
        }
        state.take(bytes);
        Some(Permit { of: self.clone(), bytes })
    }

    /// Takes so many bytes, and waits for them; calls `meanwhile` every now and then, which may free some that the caller
    /// keeps, and which ends the waiting by returning false: then it is `None`.
    pub fn take(&self, bytes: usize, mut meanwhile: impl FnMut() -> bool) -> Option<Permit> {
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        state.waiting.push_back(ticket);
        loop {
            if state.is_served(ticket, bytes, self.0.total) {
                state.waiting.pop_front();
                state.take(bytes);
                drop(state);
                // There may be some for the next one, too.
                self.0.freed.notify_all();
                return Some(Permit { of: self.clone(), bytes });
            }
            drop(state);
            let goes_on = meanwhile();
            state = self.state();
            if !goes_on {
                state.waiting.retain(|waiting| *waiting != ticket);
                drop(state);
                self.0.freed.notify_all();
                return None;
            }
            if !state.is_served(ticket, bytes, self.0.total) {
                state = self.0.freed.wait_timeout(state, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// Somebody waits for memory.
    pub fn is_short(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// The most that was held at once, bytes.
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// It turned out to be so many bytes.
    pub fn resize(&mut self, bytes: usize) {
        let mut state = self.of.state();
        state.held -= self.bytes;
        state.take(bytes);
        drop(state);
        self.bytes = bytes;
        self.of.0.freed.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.state().held -= self.bytes;
        self.of.0.freed.notify_all();
    }
}

/// How often whoever waits looks around.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_is_given_back_is_there_again() {
        let memory = Memory::new(100);
        let mut first = memory.try_take(70).expect("all is there");
        assert!(memory.try_take(40).is_none());
        first.resize(60);
        let second = memory.try_take(40).expect("just enough");
        assert!(memory.try_take(1).is_none());
        drop((first, second));
        assert!(memory.try_take(100).is_some());
        assert_eq!(memory.peak(), 100);
    }

    #[test]
    fn one_alone_may_have_more_than_there_is() {
        let memory = Memory::new(100);
        let alone = memory.try_take(1_000).expect("nobody else has any");
        assert!(memory.try_take(1).is_none());
        drop(alone);
        assert!(memory.try_take(1).is_some());
    }

    #[test]
    fn no_more_is_held_than_there_is_and_everybody_is_served() {
        let memory = Memory::new(100);
        let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (memory, held, most) = (&memory, &held, &most);
                scope.spawn(move || {
                    for turn in 0..200 {
                        let bytes = 1 + (thread * 37 + turn * 13) % 100;
                        let mut permit = memory.take(bytes, || true).expect("it does not give up");
                        most.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(bytes - bytes / 2, Ordering::SeqCst);
                        permit.resize(bytes / 2);
                        held.fetch_sub(bytes / 2, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 100);
        assert!(memory.peak() <= 100 && !memory.is_short());
    }

    #[test]
    fn a_large_one_gets_its_turn_and_one_that_gives_up_keeps_nobody() {
        let memory = Memory::new(100);
        let small = memory.try_take(10).expect("it is there");
        std::thread::scope(|scope| {
            let mut looks = 0;
            let given_up = memory.take(95, || {
                looks += 1;
                looks < 3
            });
            assert!(given_up.is_none() && !memory.is_short());
            let large = scope.spawn(|| memory.take(95, || true).is_some());
            while !memory.is_short() {
                std::thread::yield_now();
            }
            assert!(memory.try_take(1).is_none(), "the large one comes first");
            drop(small);
            assert!(large.join().expect("no panic"));
        });
    }

    #[test]
    fn whoever_waits_can_free_what_it_keeps() {
        let memory = Memory::new(100);
        let mut kept = Some(memory.try_take(60).expect("it is there"));
        let permit = memory.take(80, || {
            kept = None;
            true
        });
        assert!(permit.is_some());
    }
}
