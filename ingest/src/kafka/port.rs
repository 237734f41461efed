//! What the feed needs of a member of a consumer group, so that a twin can stand in for the broker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::feed::{FeedError, Term};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Number of the partition, from 0.
    pub partition: u32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka:{}/{}", self.topic, self.partition)
    }
}

/// A partition that this member reads from now on.
///
/// `committed` must be read after the assignment, and offset and metadata from one answer. Whoever implements
/// [`Consumer`] makes sure that the broker keeps metadata at all, by reading back what it committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Which.
    pub partition: TopicPartition,
    /// The group's offset and its metadata.
    pub committed: Option<(u64, String)>,
    /// Where to begin if nothing is committed.
    pub start: u64,
}

/// A message, borrowed for the time of the call.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its partition.
    pub partition: &'a TopicPartition,
    /// Its offset.
    pub offset: u64,
    /// What the producer or the broker stamped it with, milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Its value; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// What happens at a member.
#[derive(Debug)]
pub enum Event<'a> {
    /// It reads a partition from now on, beginning at the committed offset or at the start.
    Assigned(Assigned),
    /// It does not any more. Acknowledged to the group when the call returns.
    Revoked(&'a TopicPartition),
    /// Messages come in the order of their offsets, each once, from where reading began or was sought.
    Message(Message<'a>),
    /// There is nothing behind the messages so far: the partition's end, for now.
    End(&'a TopicPartition, u64),
    /// It cannot be read on, for a reason that passes by itself only if somebody does something: its offset expired, say.
    Stopped(&'a TopicPartition, String),
}

/// Why an offset is not known to be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The group refused it, since it is between two generations or the member is not of its generation any more. It was
    /// not committed and will not be; whether the member is still one is told by its next events.
    #[error("the group refused it: {detail}")]
    Fenced {
        /// What the broker said.
        detail: String,
    },
    /// It may have been committed, or may be yet.
    #[error("its outcome is unknown: {detail}")]
    Unknown {
        /// What happened.
        detail: String,
    },
    /// No commit will do, until somebody does something.
    #[error("{detail}")]
    Refused {
        /// What the broker said and what to do.
        detail: String,
    },
}

/// A member of a consumer group. One thread's; events are told and commits made on that thread alone.
pub trait Consumer {
    /// Tells what happened, some messages at most; waits for `wait` if nothing did.
    ///
    /// # Errors
    /// The member cannot go on; it is to be dropped and made again.
    fn poll(&mut self, wait: Duration, event: &mut dyn FnMut(Event<'_>)) -> Result<(), FeedError>;

    /// Commits an offset with its metadata, and returns once the group's coordinator acknowledged it.
    ///
    /// # Errors
    /// See [`CommitError`].
    fn commit(&mut self, partition: &TopicPartition, offset: u64, metadata: &str) -> Result<(), CommitError>;

    /// Reads on at another offset. No message from before the call is told after it.
    ///
    /// # Errors
    /// The member cannot go on.
    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), FeedError>;

    /// Reads no further for now, or reads on. Where it stands is kept.
    ///
    /// # Errors
    /// The member cannot go on.
    fn set_paused(&mut self, partition: &TopicPartition, paused: bool) -> Result<(), FeedError>;

    /// How long the membership is known to last. It ends with the membership at the latest, and if the member was away for
    /// so long that the group may have given its partitions to others.
    fn term(&self) -> Term;

    /// Leaves the group.
    fn leave(&mut self);
}
