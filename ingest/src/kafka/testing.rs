//! A group and its broker in memory: generations, one owner a partition, commits that fail, take effect late, or both. For
//! tests and simulations.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::feed::{FeedError, Term};
use crate::kafka::{Assigned, CommitError, Consumer, Event, Message, TopicPartition};

/// Numbers that depend on the seed alone (SplitMix64).
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// True once in so many.
    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What the broker does wrong, to see that the simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Nothing.
    Nothing,
    /// Metadata is not kept.
    NoMetadata,
    /// Commits of earlier generations are taken.
    NoFencing,
}

#[derive(Debug, Clone)]
struct Late {
    member: u64,
    generation: u64,
    partition: usize,
    commit: (u64, String),
}

/// The broker, with one topic and one group.
#[derive(Debug)]
pub struct Broker {
    /// Chance.
    pub dice: Dice,
    /// What it does wrong.
    pub planted: Planted,
    /// Commits do not fail from now on.
    pub calm: bool,
    /// Messages of each partition: offset and value.
    pub logs: Vec<Vec<(u64, Option<Vec<u8>>)>>,
    /// The group's offset of each partition, with its metadata.
    pub committed: Vec<Option<(u64, String)>>,
    owners: Vec<Option<u64>>,
    targets: Vec<u64>,
    generation: u64,
    /// Members and the generation that each has heard of.
    members: BTreeMap<u64, u64>,
    members_made: u64,
    late: Vec<Late>,
}

/// The broker, for its members and whoever drives them.
pub type Shared = Rc<RefCell<Broker>>;

impl Broker {
    /// One of a topic `t` with so many partitions.
    pub fn new(seed: u64, partitions: usize, planted: Planted) -> Shared {
        Rc::new(RefCell::new(Broker {
            dice: Dice(seed),
            planted,
            calm: false,
            logs: vec![Vec::new(); partitions],
            committed: vec![None; partitions],
            owners: vec![None; partitions],
            targets: vec![0; partitions],
            generation: 0,
            members: BTreeMap::new(),
            members_made: 0,
            late: Vec::new(),
        }))
    }

    /// Offset behind the last message.
    pub fn end(&self, partition: usize) -> u64 {
        self.logs[partition].last().map_or(0, |(offset, _)| offset + 1)
    }

    /// Appends a message, sometimes behind offsets that stay empty.
    pub fn produce(&mut self, partition: usize, payload: Option<Vec<u8>>) {
        let gap = if self.dice.one_in(8) { self.dice.below(3) } else { 0 };
        let offset = self.end(partition) + gap;
        self.logs[partition].push((offset, payload));
    }

    /// A new generation, with other owners.
    pub fn rebalance(&mut self) {
        self.generation += 1;
        let members: Vec<u64> = self.members.keys().copied().collect();
        for target in &mut self.targets {
            *target = if members.is_empty() { 0 } else { members[self.dice.below(members.len() as u64) as usize] };
        }
    }

    /// The session of a member ends; it does not know yet.
    pub fn kick(&mut self, member: u64) {
        self.members.remove(&member);
        self.owners.iter_mut().filter(|owner| **owner == Some(member)).for_each(|owner| *owner = None);
        self.rebalance();
    }

    /// Members, by number.
    pub fn members(&self) -> Vec<u64> {
        self.members.keys().copied().collect()
    }

    /// Commits that were on their way arrive.
    pub fn deliver_late(&mut self) {
        for late in std::mem::take(&mut self.late) {
            if self.accepts(late.member, late.generation) {
                self.keep(late.partition, late.commit);
            }
        }
    }

    fn accepts(&self, member: u64, generation: u64) -> bool {
        let current = self.members.contains_key(&member) && generation == self.generation;
        current || self.planted == Planted::NoFencing
    }

    fn keep(&mut self, partition: usize, (offset, metadata): (u64, String)) {
        let metadata = if self.planted == Planted::NoMetadata { String::new() } else { metadata };
        self.committed[partition] = Some((offset, metadata));
    }
}

/// A member.
#[derive(Debug)]
pub struct TwinConsumer {
    /// Its number.
    pub member: u64,
    term: Term,
    broker: Shared,
    generation: u64,
    /// Owned partitions and the offset to read from.
    owned: BTreeMap<usize, u64>,
    paused: Vec<usize>,
}

/// A partition of the topic.
pub fn topic_partition(partition: usize) -> TopicPartition {
    TopicPartition { topic: Arc::from("t"), partition: partition as u32 }
}

impl TwinConsumer {
    /// Joins the group.
    pub fn join(broker: &Shared) -> Self {
        let mut group = broker.borrow_mut();
        group.members_made += 1;
        let member = group.members_made;
        group.members.insert(member, 0);
        group.rebalance();
        TwinConsumer {
            member,
            term: Term::unbounded(),
            broker: broker.clone(),
            generation: 0,
            owned: BTreeMap::new(),
            paused: Vec::new(),
        }
    }

    /// Hears of the group's latest generation: gives up first, and takes what others have given up.
    fn sync(&mut self, group: &mut Broker, event: &mut dyn FnMut(Event<'_>)) {
        self.generation = group.generation;
        let lost: Vec<usize> = self.owned.keys().copied().filter(|&p| group.targets[p] != self.member).collect();
        for partition in lost {
            event(Event::Revoked(&topic_partition(partition)));
            self.owned.remove(&partition);
            group.owners[partition] = None;
        }
        for partition in 0..group.logs.len() {
            if group.targets[partition] == self.member && group.owners[partition].is_none() {
                group.owners[partition] = Some(self.member);
                self.paused.retain(|paused| *paused != partition);
                let committed = group.committed[partition].clone();
                self.owned.insert(partition, committed.as_ref().map_or(0, |(offset, _)| *offset));
                event(Event::Assigned(Assigned { partition: topic_partition(partition), committed, start: 0 }));
            }
        }
    }
}

impl Consumer for TwinConsumer {
    fn poll(&mut self, _: Duration, event: &mut dyn FnMut(Event<'_>)) -> Result<(), FeedError> {
        let broker = self.broker.clone();
        let mut group = broker.borrow_mut();
        if !group.members.contains_key(&self.member) {
            return Err(FeedError::Retry { detail: "unknown member".into() });
        }
        self.sync(&mut group, event);
        for (&partition, next) in self.owned.iter_mut().filter(|(partition, _)| !self.paused.contains(partition)) {
            let at = topic_partition(partition);
            let count = 1 + group.dice.below(6) as usize;
            let from = group.logs[partition].partition_point(|(offset, _)| offset < next);
            for (offset, payload) in group.logs[partition][from..].iter().take(count) {
                event(Event::Message(Message {
                    partition: &at,
                    offset: *offset,
                    timestamp: Some(*offset as i64),
                    key: None,
                    headers: &[],
                    payload: payload.as_deref(),
                }));
                *next = offset + 1;
            }
            if *next >= group.end(partition) {
                event(Event::End(&at, *next));
            }
        }
        Ok(())
    }

    fn commit(&mut self, partition: &TopicPartition, offset: u64, metadata: &str) -> Result<(), CommitError> {
        let mut group = self.broker.borrow_mut();
        let (partition, commit) = (partition.partition as usize, (offset, metadata.to_owned()));
        if !group.accepts(self.member, self.generation) {
            return Err(CommitError::Fenced { detail: "illegal generation".into() });
        }
        if !group.calm && group.dice.one_in(12) {
            match group.dice.below(3) {
                0 => group.keep(partition, commit),
                1 => {
                    let (member, generation) = (self.member, self.generation);
                    group.late.push(Late { member, generation, partition, commit });
                }
                _ => {}
            }
            return Err(CommitError::Unknown { detail: "timed out".into() });
        }
        group.keep(partition, commit);
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), FeedError> {
        self.owned.insert(partition.partition as usize, offset);
        Ok(())
    }

    fn set_paused(&mut self, partition: &TopicPartition, paused: bool) -> Result<(), FeedError> {
        let partition = partition.partition as usize;
        self.paused.retain(|other| *other != partition);
        if paused {
            self.paused.push(partition);
        }
        Ok(())
    }

    fn term(&self) -> Term {
        self.term.clone()
    }

    fn leave(&mut self) {
        let mut group = self.broker.borrow_mut();
        if group.members.contains_key(&self.member) {
            group.kick(self.member);
        }
        self.owned.clear();
    }
}
