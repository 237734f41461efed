//! Whether all is well, for whoever asks `/healthz`.

use std::sync::atomic::Ordering;

use longshore_ingest::feed::TroubleKind;
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
    lines.extend(troubles(board, |kind| match kind {
        TroubleKind::Unreadable => Some("unreadable"),
        TroubleKind::OverLimit => Some("too many files"),
        TroubleKind::Link | TroubleKind::NoFiles => None,
    }));
    bounded(lines)
}

/// What is well and ought to be seen, a line each: what is not followed may be wanted, and what is lost is lost.
pub(super) fn warnings(board: &Board) -> Vec<String> {
    let mut lines: Vec<String> = board.losses().iter().map(|loss| format!("warning: lost: {}", loss.why)).collect();
    lines.extend(troubles(board, |kind| match kind {
        TroubleKind::Unreadable | TroubleKind::OverLimit => None,
        TroubleKind::Link => Some("warning: link"),
        TroubleKind::NoFiles => Some("warning: no files"),
    }));
    bounded(lines)
}

/// Those that are called something, once they have lasted.
fn troubles(board: &Board, name: impl Fn(TroubleKind) -> Option<&'static str>) -> Vec<String> {
    let lasting = board.troubles().into_iter().filter(|trouble| trouble.lasting);
    lasting.filter_map(|trouble| Some(format!("{}: {}", name(trouble.kind)?, trouble.why))).collect()
}

fn bounded(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more, as the log says"));
    }
    lines
}
