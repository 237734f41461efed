//! Whether all is well, for whoever asks `/healthz`.

use std::sync::atomic::Ordering;

use longshore_ingest::service::Board;

/// Lines that one answer has at most: files that were all changed at once are said by their number.
const LINES_MAX: usize = 20;

/// What is not well, a line each. A ClickHouse that is away is no complaint: everything waits, and goes on by itself. Lag
/// is for an alert, which knows how much of it is too much.
pub(super) fn complaints(board: &Board) -> Vec<String> {
    if board.stop.load(Ordering::Relaxed) {
        return vec!["stopping: what was cut is being stored".to_owned()];
    }
    if board.is_starting() {
        return vec!["starting: nothing is followed yet".to_owned()];
    }
    let mut lines: Vec<String> = board.failing().iter().map(|why| format!("not following: {why}")).collect();
    lines.extend(board.paused().iter().map(|why| format!("paused: {why}")));
    let stopped =
        board.sources().into_iter().filter_map(|source| Some(format!("{}: {}", source.name, source.stopped?)));
    lines.extend(stopped.map(|why| format!("stopped: {why}")));
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more, as the log says"));
    }
    lines
}
