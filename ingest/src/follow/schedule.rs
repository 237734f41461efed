//! When to scan. Knows no clock: it is told the time.

use std::time::{Duration, Instant};

use longshore_core::limits::{FOLLOW_POLL_MS, FOLLOW_SCAN_COST_SHARE, FOLLOW_SCAN_MS, FOLLOW_WANTED_COST_SHARE};

/// The next scan: at regular intervals, and early if something asks for it, but never so often that scans take more than
/// their share of a core.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    last: Option<Ran>,
    /// End of the last scan that was not an early one.
    regular: Option<Instant>,
    /// Something happened that only a scan can tell.
    pub(super) wanted: bool,
    /// There are no events to wait for, or not for all files.
    pub(super) scan_only: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ran {
    end: Instant,
    cost: Duration,
}

impl Schedule {
    /// When the next scan is due; `None` is now.
    pub(super) fn next(&self) -> Option<Instant> {
        let (last, regular) = (self.last?, self.regular?);
        let every = Duration::from_millis(if self.scan_only { FOLLOW_POLL_MS } else { FOLLOW_SCAN_MS });
        let due = regular + every.max(last.cost * FOLLOW_SCAN_COST_SHARE);
        let early = last.end + last.cost * FOLLOW_WANTED_COST_SHARE;
        Some(if self.wanted { due.min(early) } else { due })
    }

    /// Whether a scan is due, and whether it is a regular one.
    pub(super) fn due(&self, now: Instant) -> Option<bool> {
        if self.next().is_some_and(|at| now < at) {
            return None;
        }
        let wanted = Schedule { wanted: false, ..Schedule { last: self.last, regular: self.regular, ..*self } };
        Some(wanted.next().is_none_or(|at| at <= now))
    }

    /// A scan ran.
    pub(super) fn ran(&mut self, begin: Instant, end: Instant, regular: bool) {
        // The first scan reads the head of every file: it says nothing about the next.
        let cost = if self.last.is_some() { end.saturating_duration_since(begin) } else { Duration::ZERO };
        self.last = Some(Ran { end, cost });
        if regular || self.regular.is_none() {
            self.regular = Some(end);
        }
    }
}
