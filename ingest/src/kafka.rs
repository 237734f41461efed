//! Topics as sources: which slices there are is agreed through the group's committed offsets.
//!
//! # The protocol
//! Per partition the group commits an offset, before which everything is stored, and with it a metadata text: a
//! [`plan`] of the next slices, each with its end, the config that it is processed under, and a hash of its bytes. A
//! slice begins where the one before it ends, the first one at the offset.
//!
//! 1. A slice is cut by size, count, or by age once there is room to give it away, so two engines would cut differently.
//!    Therefore it is added to the plan and committed, synchronously, before it is given away. Nothing of it is stored before
//!    that.
//! 2. When the first slices of a plan are done, the next commit moves the offset over them and leaves them out.
//! 3. Whoever is assigned the partition reads offset and plan, which are one value, and cuts exactly these slices again
//!    before any others. They are in doubt: the engine before may have stored them, partly or wholly. They have the same
//!    ids, which are a hash of topic, partition and offsets, and the same bytes, which the plan's hash proves.
//! 4. A slice that was given away may come back without being stored. It stays in the plan as it is and is in doubt again, as
//!    if another engine had planned it: when it is due the consumer is sought to its start, it is read to its end and proven,
//!    and then reading goes on where it was.
//!
//! # Why that is right
//! *Every offset is in one slice.* The slices of which anything was stored were in a commit that the broker acknowledged.
//! A commit only appends to the plan that its engine read or wrote last, or drops slices from its front that are done; a
//! slice that came back is neither. New slices go behind the plan's end, whatever is read again meanwhile.
//! So if commits of one partition form one sequence, ends are never changed once acknowledged, and slices tile the
//! partition. They form one sequence because at any time one engine's commits are accepted: the group's coordinator
//! refuses those of an earlier generation, and an engine commits for a partition only between the assignment, when it
//! reads offset and plan, and the revocation. The coordinator checks the generation and not who owns the partition, so
//! that the second half is ours: the consumer's own thread alone commits, and its rebalance callbacks run on that thread.
//!
//! *A commit whose outcome is unknown* may still arrive after later ones of the same generation, and would take back an
//! end. So it ends the membership: the feed fails, and is made again as another member, in a later generation.
//!
//! *An engine that lost a partition* may still be storing slices of it. They were planned, so that its successor stores
//! the same bytes under the same tokens. It must only not begin long after, when the tokens are forgotten: its lease ends
//! before the revocation is acknowledged, and is asked for before every attempt.
//!
//! *The bytes of a planned slice are still there*, unless the topic expired or compacted them, or was made anew. Then the
//! hash differs, or a message past the slice's last comes without it: the partition stops and says so, the others go on.
//!
//! A broker that does not keep the metadata keeps no plan, and nothing can be promised over it: see [`Assigned`].
//!
//! # Messages
//! A message's payload is a record, or, where the config says so, as many as it has lines. Messages that are empty or null
//! (tombstones) are no records, as blank lines are none; one line end behind a record is no part of it. One that is longer
//! than a record may be is a dead letter with its head; its bytes are not copied. Offsets that no message has, such as
//! those of transactions' markers, belong to the slice that they are in.
//!
//! A record may hold line feeds, so that a slice carries where its records end, and what else is known of their messages
//! ([`Messages`](longshore_core::message::Messages)).

mod buffers;
mod draft;
mod feed;
mod partition;
pub mod plan;
mod port;
pub mod testing;

#[cfg(test)]
mod tests;

pub use feed::{KafkaFeed, KafkaOptions};
pub use port::{Assigned, CommitError, Consumer, Event, Message, TopicPartition};
