//! The embedded ClickHouse.

mod confined;
mod life;
mod outside;
mod refusals;
mod rights;
