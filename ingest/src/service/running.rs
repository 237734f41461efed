//! A feed's thread at work: it steps the feed, hands on what it plans, and tells it what became of it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use longshore_core::limits::{FEED_WAIT_MS, PLANNED_AT_ONCE};
use longshore_core::words::plural;

use super::{Back, Item, SLEEP_STEP, Service};
use crate::feed::{Feed, FeedError, PlannedSlice, Room};

/// How often a feed says how far it is.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// A feed that runs.
pub(super) struct Running<'a> {
    service: &'a Service<'a>,
    number: usize,
    feed: Box<dyn Feed>,
    cut: &'a Sender<Item<PlannedSlice>>,
    back: &'a Receiver<Back>,
    /// Slices that were planned, for which the decoders had no room yet.
    waiting: VecDeque<Item<PlannedSlice>>,
    /// Slices that were planned and have not come back.
    under_way: usize,
    /// Number of the config that the feed has.
    config: u64,
    /// When the board was told of the sources last.
    told: Option<Instant>,
}

impl<'a> Running<'a> {
    pub(super) fn new(
        service: &'a Service<'a>,
        number: usize,
        feed: Box<dyn Feed>,
        cut: &'a Sender<Item<PlannedSlice>>,
        back: &'a Receiver<Back>,
    ) -> Self {
        Running { service, number, feed, cut, back, waiting: VecDeque::new(), under_way: 0, config: 0, told: None }
    }

    /// Steps the feed until an end is asked for and what it gave away has come back. True if all of it was stored.
    pub(super) fn until_stopped(&mut self) -> Result<bool, FeedError> {
        self.settle()?;
        self.service.board.feed_runs(self.number);
        let mut planned = Vec::new();
        let mut all_stored = true;
        loop {
            self.service.board.feed_steps(self.number);
            all_stored &= self.take_back(Duration::ZERO)?;
            self.take_config()?;
            self.tell_status();
            self.hand_on();
            if self.service.board.stopping() {
                self.feed.drain();
                if self.under_way == 0 {
                    self.told = None;
                    self.tell_status();
                    self.feed.close()?;
                    return Ok(all_stored && self.feed.in_doubt().is_empty());
                }
                all_stored &= self.take_back(SLEEP_STEP)?;
                continue;
            }
            self.step(&mut planned)?;
        }
    }

    /// Slices of an earlier run that are stored need not be read again.
    fn settle(&mut self) -> Result<(), FeedError> {
        let in_doubt = self.feed.in_doubt();
        if in_doubt.is_empty() {
            return Ok(());
        }
        let stored =
            self.service.plans.stored(&in_doubt).map_err(|error| FeedError::Retry { detail: error.to_string() })?;
        tracing::info!("{} in doubt: {} stored, the rest is sent again", plural(in_doubt.len(), "slice"), stored.len());
        self.feed.settle(&|slice| stored.contains(&slice))
    }

    fn take_config(&mut self) -> Result<(), FeedError> {
        let (number, text) = self.service.plans.current();
        if number != self.config {
            self.feed.set_config(&text)?;
            self.config = number;
        }
        Ok(())
    }

    /// Says how far the sources are, now and then.
    fn tell_status(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= STATUS_EVERY) {
            let status = self.feed.status(self.service.begin.elapsed());
            self.service.board.sources_are(self.number, status);
            self.service.board.troubles_are(self.number, self.feed.troubles(self.service.begin.elapsed()));
            for notice in self.feed.take_notices() {
                self.service.board.notes(notice);
            }
            self.told = Some(Instant::now());
        }
    }

    /// One step, which plans nothing while something waits for room: a feed has to be stepped however long the sink is away,
    /// to stay in its group and to see what becomes of its files.
    fn step(&mut self, planned: &mut Vec<PlannedSlice>) -> Result<(), FeedError> {
        let now = self.service.begin.elapsed();
        if !self.waiting.is_empty() {
            return self.feed.step(now, Duration::ZERO, Room { slices: 0, bytes: 0 }, planned);
        }
        if self.under_way >= PLANNED_AT_ONCE {
            self.feed.step(now, Duration::ZERO, Room { slices: 0, bytes: 0 }, planned)?;
            self.take_back(Duration::from_millis(FEED_WAIT_MS))?;
            return Ok(());
        }
        let room = Room { slices: PLANNED_AT_ONCE - self.under_way, bytes: self.service.options.slice_bytes };
        self.feed.step(now, Duration::from_millis(FEED_WAIT_MS), room, planned)?;
        for what in planned.drain(..) {
            let (ticket, config, in_doubt, lease) = (what.ticket, what.config, what.in_doubt, what.lease.clone());
            self.under_way += 1;
            self.service.board.under_way.fetch_add(1, Ordering::Relaxed);
            self.waiting.push_back(Item { feed: self.number, ticket, config, in_doubt, lease, what });
        }
        Ok(())
    }

    /// Hands on what waits, as far as there is room within a moment.
    fn hand_on(&mut self) {
        while let Some(item) = self.waiting.pop_front() {
            match self.cut.send_timeout(item, Duration::from_millis(FEED_WAIT_MS)) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(item)) => {
                    self.waiting.push_front(item);
                    return;
                }
                Err(SendTimeoutError::Disconnected(_)) => unreachable!("decode threads outlive the feeds"),
            }
        }
    }

    /// Takes what has come back, waiting for the first of it. False if something of it was not stored.
    fn take_back(&mut self, wait: Duration) -> Result<bool, FeedError> {
        let mut all_stored = true;
        let mut next = self.back.recv_timeout(wait);
        while let Ok(back) = next {
            match back {
                Back::Buffer(buffer) => self.feed.reuse(buffer),
                Back::Stored(ticket) => {
                    self.came_back();
                    self.feed.done(ticket)?;
                }
                Back::Again(ticket, wait) => {
                    self.came_back();
                    self.feed.again(ticket, self.service.begin.elapsed() + wait)?;
                }
                Back::Dropped => {
                    self.came_back();
                    all_stored = false;
                }
            }
            next = self.back.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        Ok(all_stored)
    }

    /// A feed that failed must not be made again while its slices are on their way: they would be sent twice at once.
    pub(super) fn wait_for_all(&mut self) {
        // What was not handed on yet is nobody's.
        for _ in self.waiting.drain(..) {
            self.under_way -= 1;
            self.service.board.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        while self.under_way > 0 {
            if let Ok(Back::Stored(_) | Back::Again(..) | Back::Dropped) = self.back.recv() {
                self.came_back();
            }
        }
    }

    fn came_back(&mut self) {
        self.under_way -= 1;
        self.service.board.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
