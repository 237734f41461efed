//! Log lines on standard error, one an event, as text or as JSON, kept out of the progress bar's way and held to a rate.

mod throttle;

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use throttle::Throttle;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A time, a level and a sentence.
    Text,
    /// A JSON object with `timestamp` (RFC 3339, UTC), `level`, `message`, `target` and what else the event has.
    Json,
}

/// What was started; dropping it says what was still held back.
pub(crate) struct Logging {
    throttle: Throttle,
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.throttle.tell_all();
    }
}

/// Starts logging. `bars` are lifted out of the way of each line.
pub(crate) fn init(format: LogFormat, quiet: bool, verbose: u8, bars: &MultiProgress) -> Logging {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let bars = bars.clone();
    let lines = fmt::layer().with_writer(move || AboveBars { bars: bars.clone() });
    let lines = match format {
        LogFormat::Text => {
            let lines = lines.with_target(false).with_ansi(io::stderr().is_terminal());
            match goes_to_journal() {
                true => lines.without_time().boxed(),
                false => lines.with_timer(Utc).boxed(),
            }
        }
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let throttle = Throttle::default();
    // ClickHouse's client logs the server's answers as they are, and these may repeat rows: what we say of them does not.
    let levels = Targets::new().with_default(level).with_target("clickhouse", LevelFilter::OFF);
    registry().with(levels).with(lines.with_filter(throttle.clone())).init();
    Logging { throttle }
}

/// Whether standard error is systemd's journal, which has a time for each line. A `JOURNAL_STREAM` that was inherited by
/// somebody whose output goes elsewhere names another file (systemd.exec(5)).
fn goes_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// The time of a line: UTC, RFC 3339, milliseconds.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        let mut micros = String::new();
        SystemTime.format_time(&mut Writer::new(&mut micros))?;
        line.write_str(&milliseconds(&micros))
    }
}

/// `2026-11-21T12:00:00.123456Z` to the millisecond.
fn milliseconds(micros: &str) -> String {
    match micros.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}.{}Z", fraction.get(..3).unwrap_or("000")),
        None => micros.to_owned(),
    }
}

/// Writes to standard error above the progress bars.
struct AboveBars {
    bars: MultiProgress,
}

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
