//! Everything that can die, dying: the way of a slice, simulated deterministically from a seed.
//!
//! The real journal, decoder and ClickHouse sink run over twins of clock, disk and ClickHouse that fail, lose, double,
//! reorder and die ([`clickhouse`], [`feed`], [`env`](mod@env)), stepped by one thread ([`simulation`]). When the faults
//! stop and everything has drained, events, dead letters, ledger and every rollup are compared with an oracle that knows
//! only what was written ([`answers`], `check`). The same seed does the same again.

pub mod answers;
mod check;
pub mod clickhouse;
pub mod engine;
pub mod env;
pub mod feed;
pub mod records;
pub mod seeds;
pub mod simulation;

pub use check::Findings;
