//! What a service is asked to do, and what it says of itself: for signal handlers, metrics, and whoever asks whether all is
//! well.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use longshore_core::slice::SliceId;

use super::lock;
use crate::feed::SourceStatus;
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
    paused: Mutex<BTreeMap<SliceId, String>>,
    /// Feeds by their numbers that do not run, and why.
    failing: Mutex<BTreeMap<usize, String>>,
    sources: Mutex<HashMap<usize, Vec<SourceStatus>>>,
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
        lock(&self.paused).values().cloned().collect()
    }

    /// Why feeds do not run: each is made again after a while.
    pub fn failing(&self) -> Vec<String> {
        lock(&self.failing).values().cloned().collect()
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A slice waits for another one that is not stored. It counts as paused until its next attempt.
    pub(super) fn slice_waits(&self, slice: SliceId, why: String) {
        lock(&self.paused).insert(slice, why);
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
        lock(&self.board.paused).insert(self.slice, why.to_owned());
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
