//! One partition: messages in, slices out. Knows the plan, and cuts what is planned again before anything else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longshore_core::slice::{Slice, SliceId};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::draft::{Cutting, Draft};
use super::plan::{self, CutRule, PlannedEnd};
use super::port::{Assigned, Message, TopicPartition};
use crate::feed::{Lease, PlannedSlice, Term, Ticket};
use crate::journal::ConfigHash;
use crate::sink::SliceMeta;

/// How far a planned slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Planned by an earlier member, not read again yet.
    InDoubt,
    /// The same, read again.
    Read,
    Given(Ticket),
    Done,
}

#[derive(Debug)]
struct Entry {
    start: u64,
    planned: PlannedEnd,
    id: SliceId,
    state: State,
}

/// A partition that this member owns.
#[derive(Debug)]
pub(super) struct Partition {
    at: TopicPartition,
    name: Arc<str>,
    source_id: u64,
    revoked: Arc<AtomicBool>,
    term: Term,
    /// What the broker has.
    committed: u64,
    /// The plan: slices from `committed` on, without gaps.
    entries: VecDeque<Entry>,
    draft: Draft,
    /// Whole slices in order; those in doubt first.
    ready: VecDeque<(Draft, CutRule, ConfigHash)>,
    pub(super) stopped: Option<String>,
    pub(super) paused: bool,
    /// The partition's end as far as it is known.
    log_end: u64,
}

impl Partition {
    /// The partition as its predecessor left it.
    pub(super) fn new(assigned: Assigned, term: Term) -> Self {
        let Assigned { partition: at, committed, start } = assigned;
        let (committed, metadata) = committed.unwrap_or((start, String::new()));
        let (planned, stopped) = match plan::decode(committed, &metadata) {
            Ok(planned) => (planned, None),
            Err(error) => (Vec::new(), Some(format!("{at}, offset {committed}: {error}"))),
        };
        let mut start = committed;
        let entries = planned
            .into_iter()
            .map(|planned| {
                let id = slice_id(&at, start, planned.end, planned.hash);
                let entry = Entry { start, planned, id, state: State::InDoubt };
                start = planned.end;
                entry
            })
            .collect();
        let name: Arc<str> = at.to_string().into();
        Partition {
            source_id: xxh3_64(name.as_bytes()),
            name,
            revoked: Arc::default(),
            term,
            committed,
            entries,
            draft: Draft::at(&at, committed),
            ready: VecDeque::new(),
            stopped,
            paused: false,
            log_end: committed,
            at,
        }
    }

    /// Takes a message. Wrong are bytes that are not what was planned; the partition stops.
    pub(super) fn message(&mut self, message: &Message<'_>, now: Duration, cutting: Cutting) {
        let offset = message.offset;
        self.log_end = self.log_end.max(offset + 1);
        if self.stopped.is_some() {
            return;
        }
        if let Some(index) = self.first_in_doubt() {
            let PlannedEnd { end, rule, .. } = self.entries[index].planned;
            if offset >= end {
                return self.stop_changed(index, format!("the next message behind {} is {offset}", self.draft.next));
            }
            self.draft.add(message, rule, now);
            if offset + 1 == end {
                self.close_again(index);
            }
            return;
        }
        if !self.draft.has_room_for(message, cutting) {
            self.close(cutting.rule, cutting.config);
        }
        self.draft.add(message, cutting.rule, now);
        if self.draft.tail.is_some() {
            self.close(cutting.rule, cutting.config);
        }
    }

    /// Nothing is behind `offset` for now.
    pub(super) fn end(&mut self, offset: u64) {
        self.log_end = self.log_end.max(offset);
        let Some(index) = self.first_in_doubt().filter(|_| self.stopped.is_none()) else { return };
        if offset < self.entries[index].planned.end {
            self.stop_changed(index, format!("the partition ends at {offset}"));
        }
    }

    fn first_in_doubt(&self) -> Option<usize> {
        self.entries.iter().position(|entry| entry.state == State::InDoubt)
    }

    /// A planned slice was read again.
    fn close_again(&mut self, index: usize) {
        let PlannedEnd { end, config, rule, hash } = self.entries[index].planned;
        let found = self.draft.hash();
        if found != hash {
            return self.stop_changed(index, format!("its hash is {found:016x} and was {hash:016x}"));
        }
        self.entries[index].state = State::Read;
        let next = self.entries.get(index + 1).map_or(end, |entry| entry.start);
        self.ready.push_back((std::mem::replace(&mut self.draft, Draft::at(&self.at, next)), rule, config));
    }

    fn stop_changed(&mut self, index: usize, what: String) {
        let Entry { start, planned, id, .. } = &self.entries[index];
        self.stopped = Some(format!(
            "{}: slice {id}, offsets {start} to {}, was begun and cannot be read again ({what}): its messages expired or \
             were compacted, or the topic was made anew; what of it is stored stays. To go on without the rest, stop all \
             engines of the group and reset the group's offset of this partition to {}",
            self.name, planned.end, planned.end
        ));
        self.draft = Draft::at(&self.at, self.draft.start);
    }

    /// It cannot be read on. What was given away may still be stored.
    pub(super) fn stop(&mut self, why: String) {
        if self.stopped.is_none() {
            self.stopped = Some(format!("{}: {why}", self.name));
            self.draft = Draft::at(&self.at, self.draft.start);
        }
    }

    /// Ends the draft, if there is something in it that no plan asks for. It was made by that rule, and is processed under
    /// that config.
    pub(super) fn close(&mut self, rule: CutRule, config: ConfigHash) {
        if self.draft.is_empty() || self.stopped.is_some() || self.first_in_doubt().is_some() {
            return;
        }
        let next = self.draft.next;
        self.ready.push_back((std::mem::replace(&mut self.draft, Draft::at(&self.at, next)), rule, config));
    }

    /// When the draft's first message came, if it is to be ended by age.
    pub(super) fn waiting_since(&self) -> Option<Duration> {
        (!self.draft.is_empty() && self.first_in_doubt().is_none()).then_some(self.draft.since)
    }

    /// Whether the draft cannot be ended before its planned end is read.
    pub(super) fn reads_again(&self) -> bool {
        self.stopped.is_none() && self.first_in_doubt().is_some()
    }

    /// Slices that wait to be given away.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Bytes held.
    pub(super) fn held_bytes(&self) -> usize {
        self.ready.iter().map(|(draft, ..)| draft.held_bytes()).sum::<usize>() + self.draft.held_bytes()
    }

    /// Bytes of the draft.
    pub(super) fn draft_bytes(&self) -> usize {
        self.draft.bytes.len()
    }

    /// What must be committed before the next ready slice is given away: nothing if it is planned already. `Err` if there
    /// is no next one, or no room for it in the plan.
    pub(super) fn plan_next(&mut self) -> Result<Option<(u64, String)>, ()> {
        let Some((draft, rule, config)) = self.ready.front() else { return Err(()) };
        if self.entries.iter().any(|entry| entry.start == draft.start) {
            return Ok(None);
        }
        let done = self.done_in_front();
        if self.entries.len() - done >= longshore_core::limits::KAFKA_PLAN_SLICES_MAX {
            return Err(());
        }
        let planned = PlannedEnd { end: draft.next, config: *config, rule: *rule, hash: draft.hash() };
        let id = slice_id(&self.at, draft.start, draft.next, planned.hash);
        self.entries.push_back(Entry { start: draft.start, planned, id, state: State::Read });
        Ok(Some(self.commit_text()))
    }

    /// Takes back what was planned last: the group refused it, so nobody knows of it.
    pub(super) fn unplan(&mut self) {
        self.entries.pop_back();
    }

    /// The next ready slice, whose plan is committed.
    pub(super) fn give(&mut self, ticket: Ticket, in_doubt: bool) -> PlannedSlice {
        let (draft, ..) = self.ready.pop_front().expect("a slice was planned");
        let entry = self.entries.iter_mut().find(|entry| entry.start == draft.start).expect("it is in the plan");
        entry.state = State::Given(ticket);
        let (id, hash) = (entry.id, entry.planned.hash);
        let meta = SliceMeta {
            id,
            source: self.name.clone(),
            source_id: self.source_id,
            start: draft.start,
            end: draft.next,
            hash,
        };
        let slice = Slice {
            id,
            source: self.name.clone(),
            start: draft.start,
            bytes: draft.bytes,
            header: None,
            tail: draft.tail,
            messages: draft.messages,
        };
        let lease = Lease::until(self.revoked.clone(), self.term.clone());
        PlannedSlice { slice, meta, config: entry.planned.config, in_doubt, ticket, lease, since: draft.since }
    }

    /// A slice is stored.
    pub(super) fn done(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.state == State::Given(ticket)) {
            entry.state = State::Done;
        }
    }

    /// Slices of an earlier member that were not given away.
    pub(super) fn in_doubt(&self) -> impl Iterator<Item = SliceId> + '_ {
        self.entries.iter().filter(|entry| entry.state == State::InDoubt).map(|entry| entry.id)
    }

    /// Takes those that are stored as done. Returns where to read on, if that is elsewhere now.
    pub(super) fn settle(&mut self, stored: &dyn Fn(SliceId) -> bool) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        // Only from the front: what lies between is read again in any case, and storing it again changes nothing.
        let mut moved = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::InDoubt) {
            if !stored(entry.id) {
                break;
            }
            entry.state = State::Done;
            moved = Some(entry.planned.end);
        }
        if let Some(next) = moved {
            self.draft = Draft::at(&self.at, next);
        }
        moved
    }

    fn done_in_front(&self) -> usize {
        self.entries.iter().take_while(|entry| entry.state == State::Done).count()
    }

    /// Offset and plan as they are to be committed now.
    pub(super) fn commit_text(&self) -> (u64, String) {
        let done = self.done_in_front();
        let offset = done.checked_sub(1).map_or(self.committed, |last| self.entries[last].planned.end);
        let planned: Vec<PlannedEnd> = self.entries.iter().skip(done).map(|entry| entry.planned).collect();
        (offset, plan::encode(offset, &planned))
    }

    /// There is something done that the broker does not know of.
    pub(super) fn has_progress(&self) -> bool {
        self.done_in_front() > 0
    }

    /// The broker has this offset.
    pub(super) fn committed(&mut self, offset: u64) {
        self.committed = offset;
        self.entries.drain(..self.done_in_front());
    }

    /// It is not this member's any more.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Messages that are there and not stored; gaps count as messages.
    pub(super) fn lag_records(&self) -> u64 {
        self.log_end.saturating_sub(self.committed)
    }

    /// Planned slices that are not done.
    pub(super) fn planned(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state != State::Done).count()
    }
}

/// A function of what any engine sees alike. The bytes belong to it, since a topic that is made anew begins at offset 0
/// again, and its slices must not be taken for the old one's.
pub(super) fn slice_id(at: &TopicPartition, start: u64, end: u64, hash: u64) -> SliceId {
    let mut identity = Xxh3::new();
    identity.update(b"kafka\0");
    identity.update(at.topic.as_bytes());
    identity.update(b"\0");
    identity.update(&at.partition.to_le_bytes());
    identity.update(&start.to_le_bytes());
    identity.update(&end.to_le_bytes());
    identity.update(&hash.to_le_bytes());
    SliceId(identity.digest())
}
