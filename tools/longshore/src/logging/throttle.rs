//! A rate for log lines: a fault that repeats a thousand times a second must neither fill the disk nor hide the others.
//!
//! What counts is the place in the code that an event comes from, not its text: an attempt's number or a position differs
//! each time, and it is the same complaint. There are as many places as the code has, so memory is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines from one place in a [`WINDOW`].
const LINES_MAX: u32 = 30;
/// How long a place's lines are counted, from the first one.
const WINDOW: Duration = Duration::from_secs(60);

/// Lets so many events of each place pass, and says afterwards how many it held back.
#[derive(Debug, Clone, Default)]
pub(super) struct Throttle {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

/// What a place in the code said in its window.
#[derive(Debug)]
struct Place {
    since: Instant,
    passed: u32,
    held_back: u64,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    HoldBack,
    /// The first that is held back in this window.
    HoldBackFirst,
}

impl Place {
    fn new(now: Instant) -> Place {
        Place { since: now, passed: 0, held_back: 0 }
    }

    fn judge(&mut self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.since) >= WINDOW && self.held_back == 0 {
            (self.since, self.passed) = (now, 0);
        }
        if self.passed < LINES_MAX {
            self.passed += 1;
            return Verdict::Pass;
        }
        self.held_back += 1;
        if self.held_back == 1 { Verdict::HoldBackFirst } else { Verdict::HoldBack }
    }

    /// Ends the window. Lines that it held back.
    fn end(&mut self, now: Instant) -> u64 {
        (self.since, self.passed) = (now, 0);
        std::mem::take(&mut self.held_back)
    }
}

impl Throttle {
    fn judge(&self, metadata: &'static Metadata<'static>, now: Instant) -> Verdict {
        let mut places = self.places.lock().expect("no panic while counting");
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place::new(now));
        place.judge(now)
    }

    /// Says what a place held back, once its window is over. A thread of its own waits for that: it may be the
    /// last thing that happens for hours, and it is rare. If there can be no thread, the end of the program says it.
    fn tell_later(&self, metadata: &'static Metadata<'static>) {
        let throttle = self.clone();
        let waiting = thread::Builder::new().name("log-throttle".into()).spawn(move || {
            thread::sleep(WINDOW);
            throttle.tell(metadata);
        });
        drop(waiting);
    }

    fn tell(&self, metadata: &'static Metadata<'static>) {
        let mut places = self.places.lock().expect("no panic while counting");
        let Some(place) = places.get_mut(&metadata.callsite()) else { return };
        let held_back = place.end(Instant::now());
        // Saying it comes through here again.
        drop(places);
        if held_back > 0 {
            let (file, line) = (metadata.file().unwrap_or(metadata.target()), metadata.line().unwrap_or_default());
            tracing::warn!(suppressed = held_back, "suppressed {held_back} more like those from {file}:{line}");
        }
    }

    /// Says what all places held back so far.
    pub(super) fn tell_all(&self) {
        let places = self.places.lock().expect("no panic while counting");
        let all: Vec<_> = places.keys().map(|place| place.0.metadata()).collect();
        drop(places);
        all.into_iter().for_each(|metadata| self.tell(metadata));
    }
}

impl<S: Subscriber> Filter<S> for Throttle {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Its own lines are as few as the places.
        if metadata.target() == module_path!() {
            return true;
        }
        match self.judge(metadata, Instant::now()) {
            Verdict::Pass => true,
            Verdict::HoldBack => false,
            Verdict::HoldBackFirst => {
                self.tell_later(metadata);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_pass_and_the_rest_is_counted_until_the_window_ends() {
        let start = Instant::now();
        let mut place = Place::new(start);
        let verdicts: Vec<Verdict> = (0..33).map(|_| place.judge(start)).collect();
        assert!(verdicts[..30].iter().all(|verdict| *verdict == Verdict::Pass));
        assert_eq!(verdicts[30..], [Verdict::HoldBackFirst, Verdict::HoldBack, Verdict::HoldBack]);
        assert_eq!(place.end(start + WINDOW), 3);
        assert_eq!(place.judge(start + WINDOW), Verdict::Pass);
    }

    #[test]
    fn a_place_that_says_little_is_never_held_back() {
        let start = Instant::now();
        let mut place = Place::new(start);
        for minute in 0..100 {
            for _ in 0..30 {
                assert_eq!(place.judge(start + WINDOW * minute), Verdict::Pass, "minute {minute}");
            }
        }
    }
}
