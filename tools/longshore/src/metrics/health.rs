//! Whether all is well, for whoever asks. Three questions, each a list of lines, empty if the answer is yes:
//!
//! - `/livez`: does the process work? A new start helps where it does not.
//! - `/readyz`: can it do its work now: does ClickHouse answer, can the sources be read?
//! - `/healthz`: need nobody do anything?
//!
//! What is not well with the sources is said by [`unreadable`], for both of the last.

use std::sync::atomic::Ordering;

use longshore_ingest::feed::{Notice, NoticeKind, TroubleKind};
use longshore_ingest::service::Board;

use super::reach::Reach;

/// Lines that one answer has at most: files that were all changed at once are said by their number.
const LINES_MAX: usize = 20;

/// Why only a new start helps.
pub(super) fn not_live(board: &Board) -> Vec<String> {
    bounded(board.stuck().into_iter().map(|why| format!("stuck: {why}")).collect())
}

/// Why nothing of some source can be stored now, whether somebody has to act or waiting helps.
pub(super) fn not_ready(board: &Board, reach: &Reach) -> Vec<String> {
    if let Some(line) = begins_or_ends(board) {
        return vec![line];
    }
    let away = reach.complaint().map(|why| format!("away: {why}"));
    bounded(away.into_iter().chain(unreadable(board)).collect())
}

/// What somebody has to do something about. A ClickHouse that is away is no complaint: everything waits, and goes on by
/// itself. Lag is for an alert, which knows how much of it is too much.
pub(super) fn complaints(board: &Board) -> Vec<String> {
    if let Some(line) = begins_or_ends(board) {
        return vec![line];
    }
    let stuck = not_live(board);
    let paused = board.paused().into_iter().map(|why| format!("paused: {why}"));
    bounded(stuck.into_iter().chain(paused).chain(unreadable(board)).collect())
}

/// It follows nothing yet, or nothing new any more.
fn begins_or_ends(board: &Board) -> Option<String> {
    if board.stop.load(Ordering::Relaxed) {
        return Some("stopping: what was cut is being stored".to_owned());
    }
    board.is_starting().then(|| "starting: nothing is followed yet".to_owned())
}

/// Sources of which nothing more is read.
fn unreadable(board: &Board) -> Vec<String> {
    let failing = board.failing().into_iter().map(|why| format!("not following: {why}"));
    let stopped =
        |source: longshore_ingest::feed::SourceStatus| Some(format!("stopped: {}: {}", source.name, source.stopped?));
    let stopped = board.sources().into_iter().filter_map(stopped).collect::<Vec<_>>();
    let troubles = troubles(board, |kind| match kind {
        TroubleKind::Unreadable => Some("unreadable"),
        TroubleKind::OverLimit => Some("too many files"),
        TroubleKind::Link | TroubleKind::NoFiles => None,
    });
    failing.chain(stopped).chain(troubles).collect()
}

/// What is well and ought to be seen, a line each: what is not followed may be wanted, and what is lost is lost.
pub(super) fn warnings(board: &Board) -> Vec<String> {
    let noticed = |notice: &Notice| {
        let what = match notice.kind {
            NoticeKind::Lost => "lost",
            NoticeKind::Unseen => "unseen",
            NoticeKind::Nuls => "NUL bytes",
            NoticeKind::Equal => "equal files",
        };
        format!("warning: {what}: {}", notice.why)
    };
    let mut lines: Vec<String> = board.notices().iter().map(noticed).collect();
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
