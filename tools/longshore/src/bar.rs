//! The progress bar of a load: bytes, rate, time left. Only on a terminal.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use longshore_ingest::progress::Progress;

use crate::report::grouped;

/// How often the bar looks at the counters.
const REFRESH: Duration = Duration::from_millis(100);

/// Runs `work` with a bar that follows `progress`, if standard error is a terminal.
///
/// `stored_bytes` is the size of all inputs as stored, where it is known.
pub(crate) fn with_bar<T: Send>(
    bars: &MultiProgress,
    progress: &Progress,
    stored_bytes: Option<u64>,
    work: impl FnOnce() -> T + Send,
) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = bars.add(match stored_bytes {
        Some(bytes) => ProgressBar::new(bytes).with_style(style(
            "{bar:30} {percent:>3}%  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left  {msg}",
        )),
        None => ProgressBar::new_spinner().with_style(style("{spinner} {decimal_bytes}  {decimal_bytes_per_sec}  {msg}")),
    });
    let outcome = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            bar.set_position(progress.stored_read.load(Ordering::Relaxed));
            let loaded = progress.loaded.load(Ordering::Relaxed);
            let dead = progress.dead.load(Ordering::Relaxed);
            bar.set_message(format!("{} rows, {} dead", grouped(loaded), grouped(dead)));
            std::thread::sleep(REFRESH);
        }
        worker.join()
    });
    bar.finish_and_clear();
    match outcome {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is valid").progress_chars("=> ")
}
