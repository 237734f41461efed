//! The metrics of `longshore run` under `/metrics`, and whether all is well, under `/livez`, `/readyz` and `/healthz`.
//!
//! Counters are bumped where a slice is stored, by a sink that stands around the real one; everything else is read off the
//! service's board when somebody asks. The label `source` is a name of the config's, not a file: logs rotate for months,
//! and a label must not have a value for each of them. Which file it is stands in the log.

mod exposition;
mod gauges;
mod health;
mod http;
mod names;
mod reach;

use std::sync::Arc;
use std::time::Instant;

use longshore_core::config::Config;
use longshore_core::dead_letter::Reason;
use longshore_ingest::service::Board;
use longshore_ingest::sink::{self, LoadedSlice, Sink, SinkError};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use gauges::Gauges;
pub(crate) use http::Endpoint;
use names::Names;
pub(crate) use reach::Reach;

/// A label and its value.
type Label = (&'static str, String);

/// Kinds of errors, as `sinks/` tells them apart.
const KINDS: [&str; 5] = ["retry", "pause", "isolate", "refuse", "behind"];

/// See the [module](self).
pub(crate) struct Metrics {
    registry: Registry,
    board: Arc<Board>,
    reach: Arc<Reach>,
    names: Arc<Names>,
    stored: Stored,
    failed: Family<[Label; 1], Counter>,
    seconds: Histogram,
    reloads: Family<[Label; 1], Counter>,
}

/// What was stored, by source.
#[derive(Default)]
struct Stored {
    slices: Family<[Label; 1], Counter>,
    bytes: Family<[Label; 1], Counter>,
    records: Family<[Label; 1], Counter>,
    rows: Family<[Label; 1], Counter>,
    filtered: Family<[Label; 1], Counter>,
    duplicates: Family<[Label; 1], Counter>,
    dead: Family<[Label; 2], Counter>,
}

impl Metrics {
    /// All of them, at zero.
    pub(crate) fn new(config: &Config, board: Arc<Board>) -> Self {
        let names = Arc::new(Names::of(config));
        let mut registry = Registry::with_prefix("longshore");
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The engine that runs", Info::new(version));
        let stored = Stored::default();
        stored.register(&mut registry);
        // A counter that is not there until something is counted hides the first time from a rate.
        names.all().for_each(|source| stored.begin(source));
        let failed = Family::default();
        let help = "Attempts to store a slice that failed and were repeated, by what helps: retry waits, the others want \
                    somebody";
        registry.register("failed_attempts", help, failed.clone());
        KINDS.iter().for_each(|kind| drop(failed.get_or_create(&[("kind", (*kind).to_owned())])));
        let seconds = Histogram::new(exponential_buckets(0.01, 2.0, 14));
        let help = "Time that storing a slice took: all its inserts, in attempts that succeeded";
        registry.register_with_unit("store", help, Unit::Seconds, seconds.clone());
        let reloads = Family::default();
        registry.register("config_reloads", "SIGHUPs by their outcome", reloads.clone());
        for outcome in ["applied", "refused"] {
            drop(reloads.get_or_create(&[("outcome", outcome.to_owned())]));
        }
        board.sum_up_by({
            let names = names.clone();
            move |name| names.of_source(name)
        });
        let journal = config.run.journal.clone();
        let reach = Arc::new(Reach::default());
        let gauges = Gauges { board: board.clone(), reach: reach.clone(), names: names.clone(), journal };
        registry.register_collector(Box::new(gauges));
        Metrics { registry, board, reach, names, stored, failed, seconds, reloads }
    }

    /// All of them in OpenMetrics.
    fn openmetrics(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to memory succeeds");
        text
    }

    /// Whether ClickHouse answers, for who asks it.
    pub(crate) fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    /// The config's name of the source that a file or a partition is of.
    pub(crate) fn source_name(&self, found: &str) -> String {
        self.names.of_source(found)
    }

    /// A reload was applied or refused.
    pub(crate) fn reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.reloads.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    /// A sink that counts what goes into this one.
    pub(crate) fn around(self: &Arc<Self>, sink: Box<dyn Sink + Send>) -> Box<dyn Sink + Send> {
        Box::new(Counting { sink, metrics: self.clone() })
    }
}

impl Stored {
    fn register(&self, registry: &mut Registry) {
        registry.register("stored_slices", "Slices that ClickHouse acknowledged, whole", self.slices.clone());
        let help = "Bytes of the slices that were stored, after decompression";
        registry.register_with_unit("stored", help, Unit::Bytes, self.bytes.clone());
        let help = "Records of the slices that were stored: rows, dead letters, filtered ones and duplicates together";
        registry.register("records", help, self.records.clone());
        registry.register("rows", "Records that became rows of the events table", self.rows.clone());
        registry.register("filtered_records", "Records that a declared filter dropped", self.filtered.clone());
        let help = "Records whose events were stored already";
        registry.register("duplicate_records", help, self.duplicates.clone());
        registry.register("dead_letters", "Records that became dead letters", self.dead.clone());
    }

    /// Makes a source's counters, at zero.
    fn begin(&self, source: &str) {
        let label = [("source", source.to_owned())];
        for family in [&self.slices, &self.bytes, &self.records, &self.rows, &self.filtered, &self.duplicates] {
            drop(family.get_or_create(&label));
        }
        for reason in Reason::ALL {
            drop(self.dead.get_or_create(&[("source", source.to_owned()), ("reason", reason.name().to_owned())]));
        }
    }

    fn count(&self, source: &str, slice: &LoadedSlice, became: &sink::Stored) {
        let label = [("source", source.to_owned())];
        let decoded = &slice.decoded;
        let [duplicates, rejected, event_times] = [&became.duplicates, &became.rejected, &became.event_times]
            .map(|rows| rows.iter().map(|(_, rows)| rows).sum::<u64>());
        self.slices.get_or_create(&label).inc();
        self.bytes.get_or_create(&label).inc_by(slice.meta.end - slice.meta.start);
        self.records.get_or_create(&label).inc_by(decoded.records);
        self.rows.get_or_create(&label).inc_by(decoded.batch.num_rows() as u64 - duplicates - rejected - event_times);
        self.duplicates.get_or_create(&label).inc_by(duplicates);
        self.filtered.get_or_create(&label).inc_by(decoded.filtered);
        let dead = |reason: Reason, count| {
            let reason = reason.name().to_owned();
            self.dead.get_or_create(&[("source", source.to_owned()), ("reason", reason)]).inc_by(count);
        };
        decoded.dead.iter().for_each(|letter| dead(letter.fault.reason, 1));
        dead(Reason::Rejected, rejected);
        if event_times > 0 {
            dead(Reason::EventTime, event_times);
        }
    }
}

/// Counts what goes into a sink.
struct Counting {
    sink: Box<dyn Sink + Send>,
    metrics: Arc<Metrics>,
}

impl Counting {
    fn count(
        &self,
        slice: &LoadedSlice,
        begin: Instant,
        outcome: Result<sink::Stored, SinkError>,
    ) -> Result<sink::Stored, SinkError> {
        let metrics = &self.metrics;
        match &outcome {
            Ok(became) => {
                metrics.seconds.observe(begin.elapsed().as_secs_f64());
                metrics.stored.count(&metrics.names.of_source(&slice.meta.source), slice, became);
            }
            Err(error) => {
                let kind = match error {
                    SinkError::Retry { .. } => KINDS[0],
                    SinkError::Pause { .. } | SinkError::Stuck { .. } => KINDS[1],
                    SinkError::Isolate { .. } => KINDS[2],
                    SinkError::Refuse { .. } => KINDS[3],
                    SinkError::Behind { .. } => KINDS[4],
                };
                metrics.failed.get_or_create(&[("kind", kind.to_owned())]).inc();
            }
        }
        outcome
    }
}

impl Sink for Counting {
    fn write(&self, slice: &LoadedSlice) -> Result<sink::Stored, SinkError> {
        let begin = Instant::now();
        self.count(slice, begin, self.sink.write(slice))
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<sink::Stored, SinkError> {
        let begin = Instant::now();
        self.count(slice, begin, self.sink.resume(slice))
    }

    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<sink::RejectedRow>, SinkError> {
        self.sink.rejected(slice)
    }
}

#[cfg(test)]
mod tests;
