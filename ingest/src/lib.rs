//! Longshore's ingest: sources, the reader that cuts slices, and the pipeline that drives them to a sink.
//!
//! Knows files, threads and time; knows neither ClickHouse nor any format. A slice's way through: [`input`] opens and
//! decompresses a source that [`read`] brings into memory, [`reader`] cuts it into slices, [`pipeline`] decodes them on every core and hands them to a
//! [`sink::Sink`], retrying as [`retry`] says and counting in [`progress`].
//! [`patterns`] says which files a config's paths lead to, and which links count.
//! [`journal`] keeps on disk which slices were cut and which are done.
//! [`stages`] runs some of these by themselves and measures them.

pub mod causes;
pub mod clock;
pub mod content;
pub mod cut;
pub mod feed;
#[cfg(target_os = "linux")]
pub mod files;
#[cfg(target_os = "linux")]
pub mod follow;
pub mod input;
pub mod journal;
pub mod kafka;
pub mod known;
pub mod lease;
pub mod memory;
pub mod patterns;
pub mod pipeline;
pub mod planned;
pub mod progress;
pub mod read;
pub mod reader;
pub mod retry;
pub mod service;
pub mod sink;
pub mod stages;
mod turns;
