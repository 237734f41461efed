//! Slices that have to wait for others to be stored first, and those that go ahead meanwhile.
//!
//! An insert thread that waited with such a slice might keep from the sink the very slice that is waited for. So it keeps
//! the slice aside, takes the next one, and comes back to it. It keeps a few only: each is memory. Where all that it may
//! keep waits and goes on waiting, the slice that is waited for may be one that finds no room: then
//! [`later_or_back`](Turns::later_or_back) returns what waits, so that a service can give it back to where it comes from, and
//! read it again.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use longshore_core::limits::{BEHIND_BACK_MS, BEHIND_WAIT_MS, SLICES_BEHIND_MAX};

use crate::retry::sleep_unless;

/// What an insert thread has to do.
pub(crate) struct Turns<'a, T> {
    from: &'a Receiver<T>,
    behind: Vec<Turn<T>>,
    wait_max: Duration,
}

/// One thing to do, now.
pub(crate) struct Turn<T> {
    pub(crate) what: T,
    due: Instant,
    wait: Duration,
}

impl<T> Turn<T> {
    /// How long it was waited before this turn; zero if it is the first one.
    pub(crate) fn waited(&self) -> Duration {
        self.wait
    }
}

impl<'a, T> Turns<'a, T> {
    /// Takes from `from`; waits at most `wait_max` between two turns of one thing.
    pub(crate) fn new(from: &'a Receiver<T>, wait_max: Duration) -> Self {
        Turns { from, behind: Vec::new(), wait_max }
    }

    /// The next thing to do; `None` once there is no more. What waits is due at once when `hurry` says so.
    pub(crate) fn next(&mut self, hurry: impl Fn() -> bool) -> Option<Turn<T>> {
        let new = |what| Turn { what, due: Instant::now(), wait: Duration::ZERO };
        loop {
            let Some(at) = (0..self.behind.len()).min_by_key(|&at| self.behind[at].due) else {
                return self.from.recv().ok().map(new);
            };
            let left = self.behind[at].due.saturating_duration_since(Instant::now());
            if left.is_zero() || hurry() {
                return Some(self.behind.swap_remove(at));
            }
            if self.behind.len() < SLICES_BEHIND_MAX {
                match self.from.recv_timeout(left.min(Duration::from_millis(BEHIND_WAIT_MS))) {
                    Ok(what) => return Some(new(what)),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => {}
                }
            }
            sleep_unless(&hurry, left);
        }
    }

    /// Something has to wait for others. It is returned where it has waited for a while and keeps others from the last place,
    /// or from memory that is `short`.
    pub(crate) fn later_or_back(&mut self, turn: Turn<T>, short: bool) -> Option<T> {
        let patient = turn.wait < Duration::from_millis(BEHIND_BACK_MS).min(self.wait_max);
        if (short || self.is_last_place()) && !patient {
            return Some(turn.what);
        }
        self.later(turn);
        None
    }

    /// Something has to wait for somebody, and others need not. It is returned if it would keep them from the last place,
    /// or from memory that is `short`.
    pub(crate) fn aside_or_back(&mut self, turn: Turn<T>, short: bool) -> Option<T> {
        if short || self.is_last_place() {
            return Some(turn.what);
        }
        self.after(turn, self.wait_max);
        None
    }

    /// Something has to wait for others.
    pub(crate) fn later(&mut self, turn: Turn<T>) {
        let wait = (turn.wait * 2).max(Duration::from_millis(BEHIND_WAIT_MS)).min(self.wait_max);
        self.after(turn, wait);
    }

    fn after(&mut self, turn: Turn<T>, wait: Duration) {
        self.behind.push(Turn { what: turn.what, due: Instant::now() + wait, wait });
    }

    fn is_last_place(&self) -> bool {
        self.behind.len() + 1 >= SLICES_BEHIND_MAX
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;

    use super::*;

    /// Each of `numbers` waits until the ones it is behind were done; the order in which they are.
    fn order(numbers: &[u32], behind: impl Fn(u32, &[u32]) -> bool) -> Vec<u32> {
        let (send, receive) = unbounded();
        numbers.iter().for_each(|&number| send.send(number).unwrap());
        drop(send);
        let mut turns = Turns::new(&receive, Duration::from_millis(100));
        let mut done = Vec::new();
        while let Some(turn) = turns.next(|| false) {
            match behind(turn.what, &done) {
                true => turns.later(turn),
                false => done.push(turn.what),
            }
        }
        done
    }

    #[test]
    fn what_waits_lets_others_go_ahead_and_gets_its_turn() {
        // One thread, and what is waited for is behind what waits for it.
        let done = order(&[1, 2, 3, 4], |number, done| number < 3 && !done.contains(&3));
        assert_eq!(done.len(), 4);
        assert!(done.starts_with(&[3]) || done.starts_with(&[3, 4]), "{done:?}");
        assert_eq!(order(&[1, 2, 3], |_, _| false), [1, 2, 3]);
    }

    #[test]
    fn no_more_is_taken_than_may_wait() {
        let (send, receive) = unbounded();
        (0..10).for_each(|number| send.send(number).unwrap());
        let mut turns = Turns::new(&receive, Duration::from_millis(100));
        for _ in 0..50 {
            let turn = turns.next(|| true).expect("there is more");
            turns.later(turn);
        }
        for _ in 0..SLICES_BEHIND_MAX {
            let turn = turns.next(|| false).expect("there is more");
            turns.later(turn);
        }
        assert!(receive.len() >= 10 - SLICES_BEHIND_MAX, "{} are left", receive.len());
    }

    #[test]
    fn what_is_in_a_hurry_does_not_wait() {
        let (send, receive) = unbounded();
        send.send(1).unwrap();
        let mut turns = Turns::new(&receive, Duration::from_secs(3_600));
        for _ in 0..30 {
            let turn = turns.next(|| true).expect("there is more");
            turns.later(turn);
        }
        let turn = turns.next(|| true).expect("it is there, an hour before its time");
        assert!(turn.waited() > Duration::from_secs(600), "{:?}", turn.waited());
    }
}
