//! The feed over a group's partitions: reads, plans, gives away, commits what is done. See the [module](super).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use longshore_core::budget::{Budget, Command};
use longshore_core::config::{Config, KafkaSpec};
use longshore_core::limits::{KAFKA_GROWING, KAFKA_SLICES_HELD};
use longshore_core::slice::SliceId;

use super::buffers::Buffers;
use super::draft::Cutting;
use super::partition::{Ages, Partition};
use super::plan::CutRule;
use super::port::{CommitError, Consumer, Event, TopicPartition};
use crate::clock::WallClock;
use crate::feed::{Feed, FeedError, PlannedSlice, Room, SourceStatus, Term, Ticket};
use crate::journal::ConfigHash;

/// How long a draft that is to grow is waited for while others could not be read.
const TURN: Duration = Duration::from_millis(5);

/// How a topic's slices are cut.
#[derive(Debug, Clone, Copy)]
pub struct KafkaOptions {
    /// How messages become bytes.
    pub rule: CutRule,
    /// Bytes of a slice; a single message may exceed it.
    pub slice_bytes: usize,
    /// Records of a slice; a single message of many lines may exceed it.
    pub records_max: usize,
    /// How long a message waits for others.
    pub slice_age: Duration,
    /// Bytes of all messages that are held, about: past it nothing more is read.
    pub held_bytes_max: usize,
}

impl KafkaOptions {
    /// As a config says of one of its sources.
    pub fn of(config: &Config, source: &KafkaSpec) -> Self {
        let record_bytes_max = u32::try_from(config.decode.record_bytes_max).expect("the config was checked");
        let budget = Budget::of(config, Command::Run);
        KafkaOptions {
            rule: CutRule { messages: source.messages, record_bytes_max },
            slice_bytes: budget.topic_slice_bytes,
            records_max: budget.topic_records_max,
            slice_age: config.run.slice_age,
            held_bytes_max: KAFKA_SLICES_HELD * budget.topic_slice_bytes,
        }
    }
}

/// How a config's text says how slices are cut; an error is for the operator.
type Rule = dyn Fn(&str) -> Result<KafkaOptions, String> + Send;

struct Rules(Box<Rule>);

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rules")
    }
}

/// A feed of the partitions that its consumer is assigned.
#[derive(Debug)]
pub struct KafkaFeed<C> {
    pub(super) consumer: C,
    term: Term,
    pub(super) options: KafkaOptions,
    rules: Option<Rules>,
    /// What the event times of new slices are compared with.
    clock: WallClock,
    config: ConfigHash,
    partitions: BTreeMap<TopicPartition, Partition>,
    tickets: HashMap<Ticket, TopicPartition>,
    tickets_given: u64,
    buffers: Buffers,
    draining: bool,
    /// Why the membership ended.
    ended: Option<FeedError>,
}

impl<C: Consumer> KafkaFeed<C> {
    /// A feed that plans under this config.
    pub fn new(consumer: C, options: KafkaOptions, config: ConfigHash) -> Self {
        KafkaFeed {
            term: consumer.term(),
            consumer,
            options,
            rules: None,
            clock: WallClock::system(),
            config,
            partitions: BTreeMap::new(),
            tickets: HashMap::new(),
            tickets_given: 0,
            buffers: Buffers::default(),
            draining: false,
            ended: None,
        }
    }

    /// The same, which cuts by what each new config says.
    pub fn with_rules(mut self, rules: impl Fn(&str) -> Result<KafkaOptions, String> + Send + 'static) -> Self {
        self.rules = Some(Rules(Box::new(rules)));
        self
    }

    /// The same by another clock than this machine's.
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    fn cutting(&self) -> Cutting {
        let KafkaOptions { rule, slice_bytes, records_max, .. } = self.options;
        Cutting { rule, config: self.config, slice_bytes, records_max }
    }

    fn poll(&mut self, now: Duration, wait: Duration) -> Result<(), FeedError> {
        let cutting = self.cutting();
        let KafkaFeed { consumer, term, partitions, tickets, buffers, .. } = self;
        let polled = consumer.poll(wait, &mut |event| match event {
            Event::Assigned(assigned) => {
                let at = assigned.partition.clone();
                tickets.retain(|_, of| *of != at);
                if let Some(before) = partitions.insert(at, Partition::new(assigned, term.clone())) {
                    before.revoke();
                }
            }
            Event::Revoked(at) => {
                tickets.retain(|_, of| of != at);
                if let Some(partition) = partitions.remove(at) {
                    partition.revoke();
                }
            }
            Event::Message(message) => {
                if let Some(partition) = partitions.get_mut(message.partition) {
                    partition.message(&message, now, cutting, buffers);
                }
            }
            Event::End(at, offset) => {
                if let Some(partition) = partitions.get_mut(at) {
                    partition.end(offset);
                }
            }
            Event::Stopped(at, why) => {
                if let Some(partition) = partitions.get_mut(at) {
                    partition.stop(why);
                }
            }
        });
        partitions.values_mut().for_each(Partition::was_polled);
        polled.map_err(|error| self.end(error))
    }

    /// Has slices that were taken back read again, those that are due, and reads on elsewhere where that is done.
    fn read_again(&mut self, now: Duration) -> Result<(), FeedError> {
        let mut failed = None;
        for (at, partition) in &mut self.partitions {
            if let Some(next) = partition.wake(now)
                && let Err(error) = self.consumer.seek(at, next)
            {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(self.end(error)))
    }

    fn held_bytes(&self) -> usize {
        self.partitions.values().map(Partition::held_bytes).sum()
    }

    fn holds_too_much(&self) -> bool {
        self.held_bytes() > self.options.held_bytes_max
    }

    fn ages(&self, now: Duration) -> Ages {
        Ages { now, slice_age: self.options.slice_age }
    }

    /// The partition to give a slice away of. Its draft ends only then: as long as there is no room it grows, so that slices
    /// are not the smaller the more partitions share a sink that is slow. If too much is held and nothing is due, the next
    /// one that does not grow any more has to go. `refused` are left out.
    fn next(&self, now: Duration, refused: &[TopicPartition]) -> Option<TopicPartition> {
        let ages = self.ages(now);
        let asked = || self.partitions.iter().filter(|(at, _)| !refused.contains(at));
        let due = asked().filter_map(|(at, partition)| Some((partition.next_due(ages)?, at))).min();
        let grown = || {
            let grown = asked().filter(|(_, partition)| partition.can_be_closed() && partition.has_grown(ages));
            grown.filter_map(|(at, partition)| Some((partition.growth(ages)?, at))).min()
        };
        let too_much = || grown().filter(|_| self.holds_too_much());
        due.map(|(_, at)| at).or_else(|| too_much().map(|(_, at)| at)).cloned()
    }

    /// The partitions that are read on. If all were until there is no room, each would have a small draft, and slices would be
    /// the smaller the more partitions there are; so from half of what may be held on some grow and the others wait. Past all
    /// of it one grows, if nothing is whole: it has to come to its end.
    fn grow(&self, now: Duration) -> BTreeSet<TopicPartition> {
        let ages = self.ages(now);
        let held = self.held_bytes();
        let is_whole = || self.partitions.values().any(|partition| partition.next_ready().is_some());
        let (count, may_grow): (_, fn(&Partition, Ages) -> bool) = match held {
            _ if held <= self.options.held_bytes_max / 2 => (usize::MAX, |_, _| true),
            // What has grown leaves its place to others.
            _ if held <= self.options.held_bytes_max => (KAFKA_GROWING, |partition, ages| !partition.has_grown(ages)),
            _ if is_whole() => return BTreeSet::new(),
            // Nothing begins.
            _ => (1, |partition, _| partition.holds_something()),
        };
        let growing = self.partitions.iter().filter(|(_, partition)| may_grow(partition, ages));
        let mut order: Vec<_> = growing.filter_map(|(at, partition)| Some((partition.growth(ages)?, at))).collect();
        if order.len() > count {
            order.sort_unstable();
        }
        order.into_iter().take(count).map(|(_, at)| at.clone()).collect()
    }

    /// Gives away slices while there is room.
    fn give(&mut self, now: Duration, mut room: Room, planned: &mut Vec<PlannedSlice>) -> Result<(), FeedError> {
        let mut refused = Vec::new();
        while !room.is_full()
            && let Some(at) = self.next(now, &refused)
        {
            let Some(slice) = self.give_one(&at)? else {
                refused.push(at);
                continue;
            };
            let bytes = slice.slice.bytes.len();
            self.buffers.was_given(bytes);
            room.take(bytes);
            planned.push(slice);
        }
        Ok(())
    }

    fn give_one(&mut self, at: &TopicPartition) -> Result<Option<PlannedSlice>, FeedError> {
        let (rule, config, now_ms) = (self.options.rule, self.config, self.clock.now_ms());
        let partition = self.partitions.get_mut(at).expect("nothing is polled while slices are given away");
        if partition.can_be_closed() {
            partition.close(rule, config);
        }
        let Ok(commit) = partition.plan_next(now_ms) else { return Ok(None) };
        let in_doubt = commit.is_none();
        if let Some(commit) = commit
            && !self.commit(at, commit)?
        {
            self.partitions.get_mut(at).expect("it was there").unplan();
            return Ok(None);
        }
        self.tickets_given += 1;
        let ticket = Ticket(self.tickets_given);
        self.tickets.insert(ticket, at.clone());
        let partition = self.partitions.get_mut(at).expect("it was there");
        Ok(Some(partition.give(ticket, in_doubt)))
    }

    fn commit_progress(&mut self) -> Result<(), FeedError> {
        let progress = |(at, partition): (&TopicPartition, &Partition)| {
            partition.has_progress().then(|| (at.clone(), partition.commit_text()))
        };
        let commits: Vec<_> = self.partitions.iter().filter_map(progress).collect();
        // What the group refuses now is committed with what is done next.
        commits.into_iter().try_for_each(|(at, commit)| self.commit(&at, commit).map(drop))
    }

    /// Commits. False if the group refused it for now, so that it was not and will not be. What is not known to be
    /// committed must not be followed by another commit, so it ends the membership.
    fn commit(&mut self, at: &TopicPartition, (offset, metadata): (u64, String)) -> Result<bool, FeedError> {
        self.check_term()?;
        let detail = |error: CommitError| {
            format!(
                "{at}: offset {offset} was not committed: {error}; this engine joins the group anew, nothing is lost"
            )
        };
        match self.consumer.commit(at, offset, &metadata) {
            Ok(()) => {
                self.partitions.get_mut(at).expect("only owned partitions are committed").committed(offset);
                Ok(true)
            }
            Err(CommitError::Fenced { detail }) => {
                tracing::debug!("{at}: offset {offset} is committed later: {detail}");
                Ok(false)
            }
            Err(error @ CommitError::Unknown { .. }) => Err(self.end(FeedError::Retry { detail: detail(error) })),
            Err(CommitError::Refused { detail }) => {
                Err(self.end(FeedError::Refuse { detail: format!("{at}: {detail}") }))
            }
        }
    }

    /// An engine that was away must not go on as the member that it was.
    fn check_term(&mut self) -> Result<(), FeedError> {
        if self.term.lasts() {
            return Ok(());
        }
        let detail = "this engine was away, or out of reach, for longer than its session with the consumer group lasts, or \
                      the group dropped it: it joins anew, nothing is lost";
        Err(self.end(FeedError::Retry { detail: detail.to_owned() }))
    }

    fn set_pauses(&mut self, now: Duration) -> Result<(), FeedError> {
        let growing = self.grow(now);
        let mut failed = None;
        for (at, partition) in &mut self.partitions {
            let paused = self.draining || !growing.contains(at);
            if paused == partition.is_paused() {
                continue;
            }
            match self.consumer.set_paused(at, paused) {
                Ok(()) => partition.set_paused(paused, now),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(self.end(error)))
    }

    /// Gives the membership up: all leases end before the group hears of it.
    fn end(&mut self, error: FeedError) -> FeedError {
        self.partitions.values().for_each(Partition::revoke);
        self.partitions.clear();
        self.tickets.clear();
        self.consumer.leave();
        self.ended = Some(error.clone());
        error
    }

    fn check(&self) -> Result<(), FeedError> {
        self.ended.clone().map_or(Ok(()), Err)
    }
}

impl<C> Drop for KafkaFeed<C> {
    /// Whoever drops a feed without closing it must not leave leases behind that look held.
    fn drop(&mut self) {
        self.partitions.values().for_each(Partition::revoke);
    }
}

impl<C: Consumer> Feed for KafkaFeed<C> {
    fn step(
        &mut self,
        now: Duration,
        wait: Duration,
        room: Room,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError> {
        self.check()?;
        self.check_term()?;
        if !self.draining {
            self.read_again(now)?;
        }
        let wait = match room.is_full() || self.draining {
            true => wait,
            false if self.next(now, &[]).is_some() => Duration::ZERO,
            // What grows may be at its end, and others wait for their turn.
            false if self.held_bytes() > self.options.held_bytes_max / 2 => wait.min(TURN),
            false => wait,
        };
        self.poll(now, wait)?;
        if !self.draining {
            self.give(now, room, planned)?;
        }
        self.commit_progress()?;
        self.buffers.trim(self.options.held_bytes_max.saturating_sub(self.held_bytes()));
        self.set_pauses(now)
    }

    fn done(&mut self, ticket: Ticket) -> Result<(), FeedError> {
        if let Some(partition) = self.tickets.remove(&ticket).and_then(|at| self.partitions.get_mut(&at)) {
            partition.done(ticket);
        }
        Ok(())
    }

    fn again(&mut self, ticket: Ticket, due: Duration) -> Result<(), FeedError> {
        if let Some(partition) = self.tickets.remove(&ticket).and_then(|at| self.partitions.get_mut(&at)) {
            partition.again(ticket, due);
        }
        Ok(())
    }

    fn reuse(&mut self, buffer: Vec<u8>) {
        self.buffers.keep(buffer);
    }

    fn in_doubt(&self) -> Vec<SliceId> {
        self.partitions.values().flat_map(Partition::in_doubt).collect()
    }

    fn settle(&mut self, stored: &dyn Fn(SliceId) -> bool) -> Result<(), FeedError> {
        self.check()?;
        self.partitions.values_mut().for_each(|partition| partition.settle(stored));
        Ok(())
    }

    fn set_config(&mut self, config_text: &str) -> Result<ConfigHash, FeedError> {
        let hash = ConfigHash::of(config_text);
        if hash == self.config {
            return Ok(hash);
        }
        let options = match &self.rules {
            Some(rules) => rules.0(config_text).map_err(|detail| FeedError::Refuse { detail })?,
            None => self.options,
        };
        // What came so far came under the config before.
        let (rule, config) = (self.options.rule, self.config);
        self.partitions.values_mut().for_each(|partition| partition.close(rule, config));
        (self.options, self.config) = (options, hash);
        Ok(hash)
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn status(&self, now: Duration) -> Vec<SourceStatus> {
        let status = |partition: &Partition| SourceStatus {
            name: partition.name().clone(),
            lag_bytes: partition.held_bytes() as u64,
            lag_records: Some(partition.lag_records()),
            lag: partition.waiting_since().map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            in_doubt: partition.planned(),
            stopped: partition.stopped.clone(),
        };
        self.partitions.values().map(status).collect()
    }

    fn close(&mut self) -> Result<(), FeedError> {
        self.check()?;
        self.commit_progress()?;
        self.partitions.values().for_each(Partition::revoke);
        self.partitions.clear();
        self.consumer.leave();
        Ok(())
    }
}
