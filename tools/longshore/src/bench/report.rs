//! The figures of a bench, for people and for machines.

use std::fmt::Write as _;

use longshore_core::simd::Kernels;
use longshore_ingest::read::ReadMethod;
use longshore_ingest::stages::{Answer, PageCache};
use serde_json::{Map, Value, json};

use super::figures::{Figures, ServerFigures, Spread, Stage};
use super::verdict::{Ceilings, Machine, Verdict};
use crate::report::{grouped, plural, round};

/// Dead letters in a thousand records from which on the sample is called out.
const DEAD_PER_THOUSAND: u64 = 10;
/// Seconds on the clock for one of CPU from which on rates on the clock are called out.
const CROWDING: f64 = 1.2;
/// Cores that others use on the server from which on its figures are called out.
const BUSY_CORES: f64 = 0.1;

/// Everything that is told.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) subject: Subject,
    pub(super) figures: Figures,
    pub(super) verdict_on: Machine,
}

/// What was measured on, and how.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) answer: Answer,
    /// Of the sample, after decompression.
    pub(super) bytes: u64,
    pub(super) slices: usize,
    pub(super) inputs: usize,
    /// The sample is all there is.
    pub(super) whole: bool,
    pub(super) read: ReadMethod,
    pub(super) kernels: Kernels,
    /// Before anything was read.
    pub(super) page_cache: Option<PageCache>,
    /// Inputs that could not be read to their end.
    pub(super) input_errors: Vec<String>,
    /// Why the server was not measured, if it was to be.
    pub(super) server_error: Option<String>,
}

impl Report {
    /// A table and the verdict.
    pub(super) fn text(&self) -> String {
        let mut text = self.subject.text();
        let figures = &self.figures;
        let engine = figures.engine_cpu();
        let _ = writeln!(text, "\n{:<9} {:>11}  {:<18} {:>8}  of the", "", "MB/s", "", "CPU s");
        let _ = writeln!(text, "{:<9} {:>11}  {:<18} {:>8}  engine's", "stage", "a core", "(min to max)", "a GB");
        for &(stage, spread) in &figures.stages {
            let share = format!("{:.0}%", 100.0 * spread.median / engine);
            write_row(&mut text, stage.name(), spread, &share);
        }
        let _ = writeln!(text, "{:<9} {:>11.0}  {:<18} {engine:>8.2}  {:>8}", "engine", 1e3 / engine, "", "100%");
        if let Some(server) = &figures.server {
            write_server(&mut text, server, engine);
        }
        if let Some(error) = &self.subject.server_error {
            let _ = writeln!(text, "\nthe server was not measured: {error}");
        }
        let ceilings = Ceilings::new(figures, self.verdict_on);
        let Machine { cores, workers, .. } = self.verdict_on;
        let _ = write!(
            text,
            "\nat most     reader {:.0} MB/s, engine {:.0} on {} of {cores} cores",
            ceilings.reader,
            ceilings.engine,
            workers.min(cores)
        );
        if let Some(server) = ceilings.server {
            let _ = write!(text, ", server {server:.0} by itself");
        }
        let _ = writeln!(text, "; a load {:.0}", ceilings.load());
        if figures.crowding > CROWDING {
            let _ = writeln!(
                text,
                "            (others kept the cores busy, {:.1} s on the clock for each of CPU: alone it would be more)",
                figures.crowding
            );
        }
        let _ = writeln!(text, "bottleneck  {}", Verdict::new(figures, &ceilings, self.verdict_on).sentence);
        text
    }

    /// One JSON object, one line.
    pub(super) fn json(&self) -> String {
        let Report { subject, figures, verdict_on } = self;
        let engine = figures.engine_cpu();
        let stages: Vec<Value> =
            figures.stages.iter().map(|&(stage, spread)| stage_json(stage, spread, engine)).collect();
        let ceilings = Ceilings::new(figures, *verdict_on);
        let verdict = Verdict::new(figures, &ceilings, *verdict_on);
        let rate = |rate: f64| round(rate, 1);
        json!({
            "sample": subject.json(),
            "reader": subject.read.to_string(),
            "kernels": subject.kernels.name(),
            "page_cache": subject.page_cache.map(|cache| json!({"cached_bytes": cache.cached, "of_bytes": cache.of})),
            "cores": verdict_on.cores,
            "workers": verdict_on.workers,
            "stages": stages,
            "engine": {"cpu_seconds_a_gb": round(engine, 4), "megabytes_per_second_a_core": rate(1e3 / engine)},
            "server": figures.server.as_ref().map(|server| server_json(server, engine)),
            "server_error": subject.server_error,
            "input_errors": subject.input_errors,
            "megabytes_per_second_at_most": {
                "reader": rate(ceilings.reader),
                "engine": rate(ceilings.engine),
                "server": ceilings.server.map(rate),
                "shared": ceilings.shared.map(rate),
                "load": rate(ceilings.load()),
            },
            "wall_seconds_a_cpu_second": round(figures.crowding, 2),
            "bottleneck": {"stage": verdict.stage.name(), "sentence": verdict.sentence},
        })
        .to_string()
    }
}

impl Subject {
    fn text(&self) -> String {
        let Answer { records, rows, dead, filtered, dead_by_reason } = &self.answer;
        let mut text = format!(
            "sample      {:.1} MB, {} of {} in {}: {}, {}, {}, {} filtered\n",
            self.bytes as f64 / 1e6,
            if self.whole { "all" } else { "the first" },
            plural(self.inputs, "input"),
            plural(self.slices, "slice"),
            plural(*records, "record"),
            plural(*rows, "row"),
            plural(*dead, "dead letter"),
            grouped(*filtered),
        );
        if dead * 1_000 >= records * DEAD_PER_THOUSAND && *dead > 0 {
            let reasons: Vec<String> =
                dead_by_reason.iter().map(|(reason, count)| format!("{} {}", reason.name(), grouped(*count))).collect();
            let _ = writeln!(
                text,
                "            these figures are of a sample that the config does not fit: {}",
                reasons.join(", ")
            );
        }
        let _ = write!(text, "read by     {}", self.read);
        match self.page_cache {
            Some(PageCache { cached, of }) => {
                let _ = writeln!(text, "; the page cache had {:.0}% of it", 100.0 * cached as f64 / of as f64);
            }
            None => text.push_str("; what the page cache had of it cannot be told\n"),
        }
        let _ = writeln!(text, "decoded by  {} kernels", self.kernels);
        for error in &self.input_errors {
            let _ = writeln!(text, "left out    {error}");
        }
        text
    }

    fn json(&self) -> Value {
        let answer = &self.answer;
        let by_reason: Map<String, Value> =
            answer.dead_by_reason.iter().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
        json!({
            "bytes": self.bytes,
            "inputs": self.inputs,
            "slices": self.slices,
            "whole": self.whole,
            "records": answer.records,
            "rows": answer.rows,
            "dead": answer.dead,
            "filtered": answer.filtered,
            "dead_by_reason": by_reason,
        })
    }
}

fn write_row(text: &mut String, name: &str, spread: Spread, share: &str) {
    let (rate, range) = match spread.rate() {
        Some(rate) => {
            let max = if rate.max.is_finite() { format!("{:.0}", rate.max) } else { "-".to_owned() };
            (format!("{:.0}", rate.median), format!("({:.0} to {max})", rate.min))
        }
        // So little that it is lost in what the other stages vary by.
        None => ("-".to_owned(), String::new()),
    };
    let _ = writeln!(text, "{name:<9} {rate:>11}  {range:<18} {:>8.2}  {share:>8}", spread.median);
}

fn write_server(text: &mut String, server: &ServerFigures, engine: f64) {
    match server.cpu {
        Some(cpu) => write_row(text, Stage::Server.name(), cpu, &format!("{:.1}x", cpu.median / engine)),
        None => text.push_str("server    its CPU time cannot be told: the user may not read system.events\n"),
    }
    if let Some(busy) = server.busy_cores.filter(|&busy| busy > BUSY_CORES) {
        let _ = writeln!(text, "          others kept {busy:.1} cores of the server busy, which its figures include");
    }
}

fn spread_json(spread: Spread) -> Value {
    json!({"median": round(spread.median, 4), "min": round(spread.min, 4), "max": round(spread.max, 4)})
}

fn stage_json(stage: Stage, spread: Spread, engine: f64) -> Value {
    json!({
        "stage": stage.name(),
        "cpu_seconds_a_gb": spread_json(spread),
        "megabytes_per_second_a_core": spread.rate().map(|rate| round(rate.median, 1)),
        "share_of_engine": round(spread.median / engine, 4),
        "repetitions": spread.repetitions,
    })
}

fn server_json(server: &ServerFigures, engine: f64) -> Value {
    json!({
        "cpu_seconds_a_gb": server.cpu.map(spread_json),
        "megabytes_per_second_a_core": server.cpu.and_then(Spread::rate).map(|rate| round(rate.median, 1)),
        "times_the_engine": server.cpu.map(|cpu| round(cpu.median / engine, 2)),
        "wall_seconds_a_gb": spread_json(server.wall),
        "repetitions": server.wall.repetitions,
        "local": server.is_local,
        "busy_cores_before": server.busy_cores.map(|cores| round(cores, 2)),
    })
}
