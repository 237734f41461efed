//! Where slices end up: ClickHouse, its tables and its views.
//!
//! Knows what was decoded, not how.

pub mod clickhouse;
pub mod embedded;
