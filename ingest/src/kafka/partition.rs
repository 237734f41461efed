//! One partition: messages in, slices out. Knows the plan, and reads what is in doubt again before anything else.
//!
//! There are two drafts: of the slice behind the plan, which grows until it is given away or full, and of a planned slice
//! that is read again. Whenever such a one is to be read, or was, reading goes on elsewhere: where says
//! [`wake`](Partition::wake). The draft behind the plan is kept meanwhile, so that slices which go back again and again do not
//! keep new ones from being cut.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longshore_core::limits::{KAFKA_PLAN_SLICES_MAX, KAFKA_QUIET_MS};
use longshore_core::slice::{CutAt, Slice, SliceId};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::buffers::Buffers;
use super::draft::{Cutting, Draft};
use super::plan::{self, CutRule, PlannedEnd};
use super::port::{Assigned, Message, TopicPartition};
use crate::feed::{Lease, PlannedSlice, Term, Ticket};
use crate::journal::ConfigHash;
use crate::sink::SliceMeta;

/// How far a planned slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Planned by an earlier member, or given away and taken back: it has to be read again.
    InDoubt,
    /// It was read, and is not given away.
    Read,
    Given(Ticket),
    /// Taken back, and in doubt from then on.
    Back {
        due: Duration,
    },
    Done,
}

#[derive(Debug)]
struct Entry {
    start: u64,
    planned: PlannedEnd,
    id: SliceId,
    state: State,
    /// When its first message came, if it came to this member.
    since: Option<Duration>,
}

impl Entry {
    /// Whether it is neither stored nor with somebody who stores it.
    fn is_here(&self) -> bool {
        !matches!(self.state, State::Given(_) | State::Done)
    }
}

/// A partition that this member owns.
#[derive(Debug)]
pub(super) struct Partition {
    at: TopicPartition,
    name: Arc<str>,
    /// By what its slices are found.
    head: u64,
    revoked: Arc<AtomicBool>,
    term: Term,
    /// What the broker has.
    committed: u64,
    /// The plan: slices from `committed` on, without gaps.
    entries: VecDeque<Entry>,
    /// The slice behind the plan and what is ready.
    draft: Draft,
    /// Since when it is read on without a pause.
    growing_since: Duration,
    /// It was looked for more since then.
    looked: bool,
    /// When the last message came.
    last_message: Duration,
    /// Nothing more was there when it was looked last.
    at_end: bool,
    /// A slice of the plan that is being read again.
    again: Option<Draft>,
    /// Whole slices; those in doubt first, the others in order.
    ready: VecDeque<(Draft, CutRule, ConfigHash)>,
    /// What comes next has this offset at least.
    position: u64,
    /// Where reading has to go on instead; what comes until it does is not wanted.
    sought: Option<u64>,
    pub(super) stopped: Option<String>,
    paused: bool,
    /// The partition's end as far as it is known.
    log_end: u64,
}

impl Partition {
    /// The partition as its predecessor left it.
    pub(super) fn new(assigned: Assigned, term: Term) -> Self {
        let Assigned { partition: at, committed, start } = assigned;
        let (committed, metadata) = committed.unwrap_or((start, String::new()));
        let (planned, refused) = match plan::decode(committed, &metadata) {
            Ok(planned) => (planned, None),
            Err(error) => (Vec::new(), Some(format!("offset {committed}: {error}"))),
        };
        let mut start = committed;
        let entries = planned
            .into_iter()
            .map(|planned| {
                let id = slice_id(&at, start, planned.end, planned.hash);
                let entry = Entry { start, planned, id, state: State::InDoubt, since: None };
                start = planned.end;
                entry
            })
            .collect();
        let name: Arc<str> = at.to_string().into();
        let mut partition = Partition {
            head: xxh3_64(name.as_bytes()),
            name,
            revoked: Arc::default(),
            term,
            committed,
            entries,
            draft: Draft::at(&at, start),
            growing_since: Duration::ZERO,
            looked: false,
            last_message: Duration::ZERO,
            at_end: false,
            again: None,
            ready: VecDeque::new(),
            position: committed,
            sought: None,
            stopped: None,
            paused: false,
            log_end: committed,
            at,
        };
        partition.go_on();
        if let Some(why) = refused {
            partition.stop(why);
        }
        partition
    }

    /// Takes a message. Wrong are bytes that are not what was planned; the partition stops.
    pub(super) fn message(&mut self, message: &Message<'_>, now: Duration, cutting: Cutting, buffers: &mut Buffers) {
        self.log_end = self.log_end.max(message.offset + 1);
        // Of what is passed over as well: reading may not have to go on elsewhere after all.
        self.position = message.offset + 1;
        (self.at_end, self.last_message) = (false, now);
        if self.stopped.is_some() || self.sought.is_some() {
            return;
        }
        if self.again.is_some() {
            return self.message_again(message, now, buffers);
        }
        if !self.draft.has_room_for(message, cutting) {
            self.close(cutting.rule, cutting.config);
        }
        self.draft.add(message, cutting.rule, buffers, now);
        if self.draft.tail.is_some() {
            self.close(cutting.rule, cutting.config);
        }
    }

    /// A message of the slice that is read again.
    fn message_again(&mut self, message: &Message<'_>, now: Duration, buffers: &mut Buffers) {
        let Some(draft) = &mut self.again else { return };
        let index = self.entries.iter().position(|entry| entry.start == draft.start).expect("it is in the plan");
        let PlannedEnd { end, rule, .. } = self.entries[index].planned;
        if message.offset >= end {
            let what = format!("the next message behind {} is {}", draft.next, message.offset);
            return self.stop_changed(index, what);
        }
        draft.add(message, rule, buffers, now);
        if message.offset + 1 == end {
            self.close_again(index);
        }
    }

    /// Nothing is behind `offset` for now.
    pub(super) fn end(&mut self, offset: u64) {
        self.log_end = self.log_end.max(offset);
        if self.stopped.is_some() || self.sought.is_some() {
            return;
        }
        self.at_end = true;
        let Some(draft) = &self.again else { return };
        let index = self.entries.iter().position(|entry| entry.start == draft.start).expect("it is in the plan");
        if offset < self.entries[index].planned.end {
            self.stop_changed(index, format!("the partition ends at {offset}"));
        }
    }

    /// A planned slice was read again.
    fn close_again(&mut self, index: usize) {
        let Entry { planned: PlannedEnd { config, rule, hash, .. }, since, .. } = self.entries[index];
        let mut draft = self.again.take().expect("it was read");
        let found = draft.hash();
        if found != hash {
            return self.stop_changed(index, format!("its hash is {found:016x} and was {hash:016x}"));
        }
        self.entries[index].state = State::Read;
        draft.since = since.unwrap_or(draft.since);
        let behind = self.ready.iter().take_while(|(draft, ..)| self.is_planned(draft)).count();
        self.ready.insert(behind, (draft, rule, config));
        self.go_on();
    }

    /// Chooses what is read next: the first slice in doubt, or what is behind the plan.
    fn go_on(&mut self) {
        let in_doubt = self.entries.iter().find(|entry| entry.state == State::InDoubt).map(|entry| entry.start);
        self.again = in_doubt.map(|start| Draft::at(&self.at, start));
        let next = in_doubt.unwrap_or(self.draft.next);
        self.sought = (next != self.position).then_some(next);
    }

    /// Where to read on, if that is elsewhere: slices that were taken back may be due.
    pub(super) fn wake(&mut self, now: Duration) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        for entry in &mut self.entries {
            if matches!(entry.state, State::Back { due } if due <= now) {
                entry.state = State::InDoubt;
            }
        }
        if self.again.is_none() {
            self.go_on();
        }
        let next = self.sought.take()?;
        self.position = next;
        Some(next)
    }

    fn stop_changed(&mut self, index: usize, what: String) {
        let Entry { start, planned, id, .. } = &self.entries[index];
        let why = format!(
            "slice {id}, offsets {start} to {}, was begun and cannot be read again ({what}): its messages expired or \
             were compacted, or the topic was made anew; what of it is stored stays. To go on without the rest, stop all \
             engines of the group and reset the group's offset of this partition to {}",
            planned.end, planned.end
        );
        self.stop(why);
    }

    /// It cannot be read on. What was given away may still be stored.
    pub(super) fn stop(&mut self, why: String) {
        if self.stopped.is_none() {
            tracing::error!("{}: {why}; nothing more is read of it, the other partitions go on", self.name);
            self.stopped = Some(format!("{}: {why}", self.name));
            self.draft = Draft::at(&self.at, self.draft.start);
            self.again = None;
        }
    }

    /// Ends the draft behind the plan, if there is something in it. It was made by that rule, and is processed under that
    /// config.
    pub(super) fn close(&mut self, rule: CutRule, config: ConfigHash) {
        if self.draft.is_empty() || self.stopped.is_some() {
            return;
        }
        let next = self.draft.next;
        self.ready.push_back((std::mem::replace(&mut self.draft, Draft::at(&self.at, next)), rule, config));
    }

    /// Whether a slice is in the plan.
    fn is_planned(&self, draft: &Draft) -> bool {
        self.entries.back().is_some_and(|last| draft.start < last.planned.end)
    }

    /// Whether the plan takes one more slice.
    fn plan_has_room(&self) -> bool {
        self.entries.len() - self.done_in_front() < KAFKA_PLAN_SLICES_MAX
    }

    /// The slice that could be given away now: it is whole, or it is old and has had its time to grow. Those in doubt come
    /// first, then those that have waited longest.
    pub(super) fn next_due(&self, ages: Ages) -> Option<Turn> {
        if self.can_be_closed() {
            let due = ages.is_old(self.draft.since) && self.has_grown(ages);
            return due.then_some(Turn { is_new: true, since: self.draft.since });
        }
        self.next_ready()
    }

    /// The same, of whole slices alone.
    pub(super) fn next_ready(&self) -> Option<Turn> {
        let (draft, ..) = self.ready.front()?;
        let is_new = !self.is_planned(draft);
        (!is_new || self.plan_has_room()).then_some(Turn { is_new, since: draft.since })
    }

    /// Whether it was read on in vain for a moment, or for as long as a slice may wait. What came during a pause is not known
    /// before it was looked.
    pub(super) fn has_grown(&self, ages: Ages) -> bool {
        let reads = !self.paused;
        let at_end = self.at_end && self.looked;
        reads && (at_end || ages.is_quiet(self.growing_since.max(self.last_message)) || ages.is_old(self.growing_since))
    }

    /// How soon it should be read on while others wait, so that its slices become large: the least first. Those that have
    /// waited for as long as a slice may wait come first, the longest first of all, then the largest drafts.
    pub(super) fn growth(&self, ages: Ages) -> Option<Growth> {
        if self.stopped.is_some() || self.has_enough() {
            return None;
        }
        if let Some(draft) = &self.again {
            return Some(Growth::Again(Reverse(draft.held_bytes())));
        }
        let since = if self.draft.is_empty() { self.growing_since } else { self.draft.since };
        Some(match ages.is_old(since) {
            true => Growth::Old(since),
            false => Growth::Young(Reverse(self.draft.held_bytes())),
        })
    }

    /// Whether it is a part of what is held, or would have to be before anything can go: a planned slice that is read again.
    pub(super) fn holds_something(&self) -> bool {
        self.again.is_some() || self.can_be_closed()
    }

    /// It is read on from now on, or not.
    pub(super) fn set_paused(&mut self, paused: bool, now: Duration) {
        (self.paused, self.growing_since, self.looked) = (paused, now, false);
    }

    /// All that was there was told, or some of it, unless it is paused.
    pub(super) fn was_polled(&mut self) {
        self.looked = !self.paused;
    }

    /// Whether the draft behind the plan could be given away, were it ended now.
    pub(super) fn can_be_closed(&self) -> bool {
        self.ready.is_empty() && !self.draft.is_empty() && self.plan_has_room()
    }

    /// Whether what is whole is to be given away before more is read. A slice of a plan that is full cannot be, until those
    /// in doubt are read again.
    pub(super) fn has_enough(&self) -> bool {
        !self.ready.is_empty() && (self.again.is_none() || self.next_ready().is_some())
    }

    /// When the first message came of those that were not given away.
    pub(super) fn waiting_since(&self) -> Option<Duration> {
        let drafts = self.ready.iter().map(|(draft, ..)| draft).chain(&self.again).chain([&self.draft]);
        drafts.filter(|draft| !draft.is_empty()).map(|draft| draft.since).min()
    }

    /// Bytes held.
    pub(super) fn held_bytes(&self) -> usize {
        let drafts = self.ready.iter().map(|(draft, ..)| draft).chain(&self.again).chain([&self.draft]);
        drafts.map(Draft::held_bytes).sum()
    }

    /// What must be committed before the next ready slice is given away: nothing if it is planned already. `Err` if there
    /// is no next one, or no room for it in the plan.
    ///
    /// A new slice is cut at `now_ms`, milliseconds since 1970.
    pub(super) fn plan_next(&mut self, now_ms: i64) -> Result<Option<(u64, String)>, ()> {
        let Some((draft, rule, config)) = self.ready.front() else { return Err(()) };
        if self.is_planned(draft) {
            return Ok(None);
        }
        if !self.plan_has_room() {
            return Err(());
        }
        let cut_ms = u64::try_from(now_ms).ok();
        let planned = PlannedEnd { end: draft.next, config: *config, rule: *rule, hash: draft.hash(), cut_ms };
        let id = slice_id(&self.at, draft.start, draft.next, planned.hash);
        self.entries.push_back(Entry { start: draft.start, planned, id, state: State::Read, since: None });
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
        entry.since = Some(draft.since);
        let (id, hash) = (entry.id, entry.planned.hash);
        let meta = SliceMeta {
            id,
            source: self.name.clone(),
            head: self.head,
            start: draft.start,
            end: draft.next,
            before: 0,
            after: hash,
        };
        let slice = Slice {
            id,
            source: self.name.clone(),
            start: draft.start,
            bytes: draft.bytes,
            header: None,
            tail: draft.tail,
            messages: draft.messages,
            cut: entry.planned.cut_ms.map_or(CutAt::Unknown, |cut_ms| CutAt::Planned(cut_ms.cast_signed())),
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

    /// A slice is taken back, and read again once it is due.
    pub(super) fn again(&mut self, ticket: Ticket, due: Duration) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.state == State::Given(ticket)) {
            entry.state = State::Back { due };
        }
    }

    /// Planned slices that are here: neither given away nor done.
    pub(super) fn in_doubt(&self) -> impl Iterator<Item = SliceId> + '_ {
        self.entries.iter().filter(|entry| entry.is_here()).map(|entry| entry.id)
    }

    /// Takes those that are stored as done.
    pub(super) fn settle(&mut self, stored: &dyn Fn(SliceId) -> bool) {
        if self.stopped.is_some() {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.is_here() && stored(entry.id)) {
            entry.state = State::Done;
            self.ready.retain(|(draft, ..)| draft.start != entry.start);
            self.again.take_if(|draft| draft.start == entry.start);
        }
        if self.again.is_none() {
            self.go_on();
        }
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

    pub(super) fn is_paused(&self) -> bool {
        self.paused
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

/// What is old or quiet at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    pub(super) now: Duration,
    /// What waits for so long is old.
    pub(super) slice_age: Duration,
}

impl Ages {
    pub(super) fn is_old(self, since: Duration) -> bool {
        self.now.saturating_sub(since) >= self.slice_age
    }

    fn is_quiet(self, since: Duration) -> bool {
        self.now.saturating_sub(since) >= Duration::from_millis(KAFKA_QUIET_MS)
    }
}

/// When a partition is read on, compared with others: the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Growth {
    /// A planned slice is read again, of so many bytes so far: it cannot be given away before its end is read.
    Again(Reverse<usize>),
    /// It waits since then.
    Old(Duration),
    /// It has not waited for long, and holds so many bytes.
    Young(Reverse<usize>),
}

/// When a slice is given away, compared with others: the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// It is not planned yet.
    is_new: bool,
    /// When its first message came.
    since: Duration,
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
