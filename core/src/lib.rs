//! Longshore's pure core: bytes in, Arrow batches and dead letters out.
//!
//! Nothing here does I/O, reads the clock or knows of async, so that all of it can be tested, fuzzed and
//! benched without a disk. A record's way through: [`frame`] cuts a slice into records, [`envelope`] opens
//! them, a format ([`json`], [`access_log`], [`delimited`]) finds the declared fields, [`column`] turns their text
//! into typed values, [`product`] looks the product up, and [`decode`] drives all of it for one slice.

pub mod access_log;
pub mod budget;
pub mod column;
pub mod config;
pub mod dead_letter;
pub mod decode;
pub mod dedup;
pub mod delimited;
pub mod envelope;
pub mod frame;
pub mod json;
pub mod limits;
pub mod message;
mod order;
mod place;
pub mod product;
pub mod rollup;
pub mod simd;
pub mod slice;
pub mod words;

#[cfg(test)]
mod test_data;
