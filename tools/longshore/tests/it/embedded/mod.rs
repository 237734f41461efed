//! The embedded ClickHouse.

mod life;
mod refusals;
mod rights;
