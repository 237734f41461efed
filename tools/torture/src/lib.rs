//! Everything that can die, dying: the way of a slice, simulated deterministically from a seed.
//!
//! The real feed of followed files, journal, decoder and ClickHouse sink run over twins of clock, disk, files and
//! ClickHouse that fail, lose, double, reorder and die ([`disk`], [`files`], [`clickhouse`], [`env`](mod@env)), stepped by
//! one thread ([`simulation`]); and so does the feed of topics over the twin of a consumer group. When the faults stop and everything has drained, events, dead letters, ledger and every rollup are compared with an oracle that knows
//! only what was written ([`answers`], `check`). The same seed does the same again.

pub mod answers;
mod check;
pub mod clickhouse;
pub mod disk;
pub mod engine;
pub mod env;
pub mod files;
pub mod records;
pub mod seeds;
pub mod simulation;
mod topics;

pub use check::Findings;
