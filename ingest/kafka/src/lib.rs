//! A member of a Kafka consumer group, over librdkafka: what stands behind the port
//! [`Consumer`](longshore_ingest::kafka::Consumer) when a real broker does.
//!
//! A package of its own, since librdkafka and its OpenSSL are C: the protocol, its simulation and whoever only reads files
//! build without them.
//!
//! # What the protocol asks for, and how it is had
//! - *Events and commits are one thread's.* librdkafka works in the background, but hands out messages and changes of the
//!   assignment only when it is polled; a change takes effect when we acknowledge it, which is after the feed heard of it.
//!   Partitions are handed over one by one (`cooperative-sticky`): what is not revoked is read on.
//! - *Offset and plan are one value, read after the assignment*: one OffsetFetch, after librdkafka joined the generation
//!   and before it reads.
//! - *A commit is synchronous.* librdkafka sends the same request again, twice at most, when its connection breaks before the
//!   answer. That the first copy is processed after the second and a later commit would take a broker that keeps a request
//!   of a broken connection back while it answers others of the same group; a request queue and the group's lock keep their
//!   order, so that it is not guarded against.
//! - *A commit carries the member's generation*, which the group's coordinator checks. There is one exception: a commit
//!   without a generation is taken while the group has no member at all. librdkafka forgets its generation when it is told
//!   that its session is over, so before and after each commit the [`Term`](longshore_ingest::feed::Term) and the
//!   assignment are asked for. What remains is the time between the question and the request, some microseconds, in which
//!   the session's end would have to become known, while whoever took over is gone as well.
//! - *The broker keeps metadata*: some drop it. What the group has must show it, or else a mark is written and read back
//!   when the first partition is assigned ([`plan::mark`](longshore_ingest::kafka::plan::mark)).
//! - *Where reading begins is decided once*: an offset that is chosen by `start` is committed before anything is read, so that
//!   "latest" means the same to the next engine.
//! - *An offset that is not there any more stops its partition*, and is not replaced by another.
//!
//! A membership that ended is not mended: it is dropped, and another one joins.

mod assign;
mod config;
mod consumer;
mod context;
mod errors;
mod probe;
mod pulse;

#[cfg(test)]
mod tests;

pub use consumer::RdConsumer;
