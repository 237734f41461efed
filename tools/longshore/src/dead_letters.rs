//! Saying why records become dead letters: when most of them do, it is a config that does not fit, and somebody has to
//! hear of it before the day is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use longshore_core::limits::{DEAD_CAUSES_SHOWN, DEAD_LETTERS_LOUD_EVERY_MS, DEAD_LETTERS_LOUD_MIN, DEAD_PERCENT_LOUD};
use longshore_core::words::{grouped, plural};
use longshore_ingest::causes::{Cause, Causes};
use longshore_ingest::sink::{LoadedSlice, RejectedRow, Sink, SinkError, Stored};
use serde_json::{Value, json};

use crate::metrics::Metrics;
use crate::report::round;

/// Whether so many dead letters are too many to be broken records.
pub(crate) fn is_loud(dead: u64, records: u64) -> bool {
    dead * 100 > records * DEAD_PERCENT_LOUD
}

/// What is wrong and what to look at, in a sentence or two.
pub(crate) fn sentence(causes: &Causes, dead: u64, records: u64) -> String {
    let mut text = String::new();
    if let Some(&first) = causes.top().first() {
        let all = if first.count == dead { String::new() } else { format!(" in {} of them", grouped(first.count)) };
        text = format!("{}{all}: {}. ", named(first), first.reason.advice());
    }
    let share = share(dead, records);
    format!("{} of {} ({share}) became dead letters. {text}", grouped(dead), plural(records, "record"))
        .trim_end()
        .to_owned()
}

/// `type_mismatch in column amount`.
fn named(cause: &Cause) -> String {
    match &cause.column {
        Some(column) => format!("{} in column {column}", cause.reason),
        None => cause.reason.to_string(),
    }
}

fn share(count: u64, records: u64) -> String {
    format!("{:.1}%", 100.0 * count as f64 / records.max(1) as f64)
}

/// The most frequent causes for people, a line each.
pub(crate) fn lines(causes: &Causes, records: u64) -> Vec<String> {
    let top = causes.top();
    let mut lines: Vec<String> = top
        .iter()
        .take(DEAD_CAUSES_SHOWN)
        .map(|cause| {
            let example = cause.example.as_ref().map(|example| {
                let detail: String =
                    example.detail.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                format!(", such as {} at offset {}: {detail}", example.source, example.offset)
            });
            let (count, share) = (grouped(cause.count), share(cause.count, records));
            format!("{}: {count}, {share} of the records{}", named(cause), example.unwrap_or_default())
        })
        .collect();
    if top.len() > DEAD_CAUSES_SHOWN {
        lines.push(format!("and {} more", plural(top.len() - DEAD_CAUSES_SHOWN, "cause")));
    }
    lines
}

/// The same for programs.
pub(crate) fn json(causes: &Causes, records: u64) -> Value {
    let cause = |cause: &&Cause| {
        let example = cause.example.as_ref();
        json!({
            "reason": cause.reason.name(),
            "column": cause.column.as_deref(),
            "count": cause.count,
            "share": round(cause.count as f64 / records.max(1) as f64, 4),
            "example": example.map(|example| json!({
                "source": *example.source, "offset": example.offset, "detail": example.detail,
            })),
        })
    };
    causes.top().iter().take(DEAD_CAUSES_SHOWN).map(cause).collect()
}

/// Watches what a service stores, and says when too much of a source becomes dead letters: at once the first time, and
/// then at most every [`DEAD_LETTERS_LOUD_EVERY_MS`].
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// By the config's name of the source.
    sources: Mutex<HashMap<String, Watch>>,
}

/// One source since it was last judged.
#[derive(Debug, Default)]
struct Watch {
    records: u64,
    dead: u64,
    causes: Causes,
    since: Option<Instant>,
    said: Option<Instant>,
}

impl Watch {
    /// Counts a slice that was stored now. What there is to say, if there is something.
    fn count(&mut self, slice: &LoadedSlice, stored: &Stored, now: Instant) -> Option<String> {
        let every = Duration::from_millis(DEAD_LETTERS_LOUD_EVERY_MS);
        // What was long ago neither hides what happens now nor is it said again.
        if self.since.is_none_or(|since| now.duration_since(since) >= every) {
            *self = Watch { since: Some(now), said: self.said, ..Watch::default() };
        }
        self.records += slice.decoded.records;
        self.dead += self.causes.count(slice, stored);
        let quiet = self.said.is_some_and(|said| now.duration_since(said) < every);
        if quiet || self.dead < DEAD_LETTERS_LOUD_MIN || !is_loud(self.dead, self.records) {
            return None;
        }
        self.said = Some(now);
        let example = lines(&self.causes, self.records).into_iter().next().unwrap_or_default();
        Some(format!("{} ({example})", sentence(&self.causes, self.dead, self.records)))
    }
}

impl Alarm {
    fn count(&self, source: String, slice: &LoadedSlice, stored: &Stored) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let said = sources.entry(source.clone()).or_default().count(slice, stored, Instant::now());
        drop(sources);
        if let Some(said) = said {
            tracing::warn!("source {source}: {said}");
        }
    }

    /// A sink that watches what goes into this one.
    pub(crate) fn around(self: &Arc<Self>, sink: Box<dyn Sink + Send>, names: &Arc<Metrics>) -> Box<dyn Sink + Send> {
        Box::new(Watching { sink, alarm: self.clone(), names: names.clone() })
    }
}

/// Watches what goes into a sink.
struct Watching {
    sink: Box<dyn Sink + Send>,
    alarm: Arc<Alarm>,
    names: Arc<Metrics>,
}

impl Watching {
    fn watch(&self, slice: &LoadedSlice, outcome: Result<Stored, SinkError>) -> Result<Stored, SinkError> {
        if let Ok(stored) = &outcome {
            self.alarm.count(self.names.source_name(&slice.meta.source), slice, stored);
        }
        outcome
    }
}

impl Sink for Watching {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.watch(slice, self.sink.write(slice))
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.watch(slice, self.sink.resume(slice))
    }

    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        self.sink.rejected(slice)
    }
}

#[cfg(test)]
mod tests;
