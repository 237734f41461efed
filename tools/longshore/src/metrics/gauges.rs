//! What stands on the service's board, read when somebody asks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longshore_ingest::feed::{NoticeKind, TroubleKind};
use longshore_ingest::service::Board;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::names::Names;
use super::reach::Reach;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) board: Arc<Board>,
    pub(super) reach: Arc<Reach>,
    pub(super) names: Arc<Names>,
    /// The journal's directory.
    pub(super) journal: PathBuf,
}

/// How far the files or the partition of one source are.
#[derive(Debug, Default)]
struct Together {
    followed: u64,
    stopped: u64,
    in_doubt: u64,
    lag_bytes: u64,
    lag_records: Option<u64>,
    lag: Duration,
    unreadable: u64,
    over_limit: u64,
    refused_links: u64,
    without_files: u64,
    losses: u64,
    lost_bytes: u64,
    unseen: u64,
    nul_bytes: u64,
}

impl Gauges {
    fn by_source(&self) -> BTreeMap<String, Together> {
        let mut sources: BTreeMap<String, Together> = BTreeMap::new();
        for name in self.names.all() {
            sources.entry(name.to_owned()).or_default();
        }
        for status in self.board.sources() {
            let together = sources.entry(self.names.of_source(&status.name)).or_default();
            together.followed += 1;
            together.stopped += u64::from(status.stopped.is_some());
            together.in_doubt += status.in_doubt as u64;
            together.lag_bytes += status.lag_bytes;
            if let Some(records) = status.lag_records {
                *together.lag_records.get_or_insert(0) += records;
            }
            together.lag = together.lag.max(status.lag);
        }
        for trouble in self.board.troubles() {
            let together = sources.entry(self.names.of_trouble(&trouble.at)).or_default();
            *match trouble.kind {
                TroubleKind::Unreadable => &mut together.unreadable,
                TroubleKind::OverLimit => &mut together.over_limit,
                TroubleKind::Link => &mut together.refused_links,
                TroubleKind::NoFiles => &mut together.without_files,
            } += 1;
        }
        for ((source, kind), (times, bytes)) in self.board.noticed() {
            let together = sources.entry(source).or_default();
            match kind {
                NoticeKind::Lost => (together.losses, together.lost_bytes) = (times, bytes),
                NoticeKind::Unseen => together.unseen = times,
                NoticeKind::Nuls => together.nul_bytes = bytes,
                NoticeKind::Equal => {}
            }
        }
        sources
    }
}

impl Collector for Gauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauges = Writer(encoder);
        let board = &self.board;
        let help = "Slices that are planned and being stored, or wait for it";
        gauges.one("slices_under_way", help, None, board.under_way.load(Ordering::Relaxed))?;
        let help = "Slices that cannot be stored until somebody does what the log says";
        gauges.one("paused_slices", help, None, board.paused().len() as u64)?;
        let help = "Feeds (all followed files, a consumer group) that do not run and are made again, as the log says";
        gauges.one("failing_feeds", help, None, board.failing().len() as u64)?;
        let help = "Whether ClickHouse answered when it was asked last: 1 or 0";
        gauges.one("clickhouse_reachable", help, None, u64::from(self.reach.complaint().is_none()))?;
        let help = "Size of the journal's files";
        gauges.one("journal_size", help, Some(&Unit::Bytes), bytes_in(&self.journal))?;

        let sources = self.by_source();
        let help = "Files or partitions that are followed and not read to an end for good";
        gauges.each("followed_inputs", help, None, &sources, |source| Some(source.followed))?;
        let help = "Files or partitions of which nothing more is read until somebody does what the log says";
        gauges.each("stopped_inputs", help, None, &sources, |source| Some(source.stopped))?;
        let help = "Slices that are planned and not known to be stored";
        gauges.each("slices_in_doubt", help, None, &sources, |source| Some(source.in_doubt))?;
        let help = "Bytes that are there and not stored; of a topic, those that were fetched";
        gauges.each("lag", help, Some(&Unit::Bytes), &sources, |source| Some(source.lag_bytes))?;
        let help = "How long the oldest of what is not stored has been there";
        gauges.each("lag", help, Some(&Unit::Seconds), &sources, |source| Some(source.lag.as_secs_f64()))?;
        let help = "Messages of a topic that are there and not stored";
        gauges.each("lag_records", help, None, &sources, |source| source.lag_records)?;
        let help = "Files and folders that cannot be read, and are tried again, as /healthz and the log say";
        gauges.each("unreadable_inputs", help, None, &sources, |source| Some(source.unreadable))?;
        let help = "Files that wait until others are gone, since too many are followed";
        gauges.each("inputs_over_limit", help, None, &sources, |source| Some(source.over_limit))?;
        let help = "Links that wildcards found and that are not followed, as /healthz and the log say";
        gauges.each("refused_links", help, None, &sources, |source| Some(source.refused_links))?;
        let help = "Paths and patterns of the config that no file is there for";
        gauges.each("patterns_without_files", help, None, &sources, |source| Some(source.without_files))?;
        let help = "Times that bytes were gone before they were read: truncated, deleted, or written over";
        gauges.counter("losses", help, None, &sources, |source| source.losses)?;
        let help = "Bytes that were seen and were gone before they were read, at least";
        gauges.counter("lost", help, Some(&Unit::Bytes), &sources, |source| source.lost_bytes)?;
        let help = "Starts at which files were gone that the run before had followed, so that their ends are not known";
        gauges.counter("unseen_ends", help, None, &sources, |source| source.unseen)?;
        let help = "NUL bytes before records, which a file has that was truncated under its writer; passed over";
        gauges.counter("nul", help, Some(&Unit::Bytes), &sources, |source| source.nul_bytes)
    }
}

/// Writes gauges.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn one(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> Result<(), fmt::Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A counter by source.
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        sources: &BTreeMap<String, Together>,
        value: impl Fn(&Together) -> u64,
    ) -> Result<(), fmt::Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (source, together) in sources {
            let label = [("source", source.as_str())];
            metric.encode_family(&label)?.encode_counter::<NoLabelSet, _, u64>(&value(together), None)?;
        }
        Ok(())
    }

    /// One by source, of those that have a value.
    fn each<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        sources: &BTreeMap<String, Together>,
        value: impl Fn(&Together) -> Option<V>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (source, together) in sources {
            if let Some(value) = value(together) {
                metric.encode_family(&[("source", source.as_str())])?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

/// Bytes of the files in a folder.
fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(|file| file.is_file()).map(|file| file.len()).sum()
}
