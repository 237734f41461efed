//! Log lines on standard error, one an event, as text or as JSON, kept out of the progress bar's way and held to a rate.

mod throttle;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use throttle::Throttle;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A level and a sentence.
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
        LogFormat::Text => lines.with_target(false).without_time().with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let throttle = Throttle::default();
    // ClickHouse's client logs the server's answers as they are, and these may repeat rows: what we say of them does not.
    let levels = Targets::new().with_default(level).with_target("clickhouse", LevelFilter::OFF);
    registry().with(levels).with(lines.with_filter(throttle.clone())).init();
    Logging { throttle }
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
