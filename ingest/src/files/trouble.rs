//! What is in the way of files that are to be followed, and what was lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use longshore_core::limits::FOLLOW_EMPTY_MS;

use super::lane::Lane;
use super::port::{Files, name_of};
use crate::feed::{Notice, NoticeKind, Trouble, TroubleKind};
use crate::follow::{RefusalKind, Refused, SourceId};

/// What was seen of that.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Since when patterns have been without a file.
    empty: BTreeMap<PathBuf, Duration>,
    /// What happened and was not told.
    notices: Vec<Notice>,
}

impl Watched {
    /// Notes which patterns are without a file.
    pub(super) fn empty_are(&mut self, patterns: Vec<PathBuf>, now: Duration) {
        let before = std::mem::take(&mut self.empty);
        let since = |pattern: PathBuf| (before.get(&pattern).copied().unwrap_or(now), pattern);
        self.empty = patterns.into_iter().map(since).map(|(since, pattern)| (pattern, since)).collect();
    }

    /// Notes that something happened.
    pub(super) fn note(&mut self, kind: NoticeKind, name: &str, bytes: u64, why: &str) {
        self.notices.push(Notice { name: name.into(), kind, bytes, why: why.to_owned() });
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// All that is in the way.
    pub(super) fn troubles<F: Files>(
        &self,
        files: &F,
        lanes: &BTreeMap<SourceId, Lane>,
        now: Duration,
    ) -> Vec<Trouble> {
        let mut all: Vec<Trouble> = files.refused().iter().filter_map(of_refused).collect();
        all.extend(lanes.values().filter(|lane| !lane.over()).filter_map(|lane| {
            let why = lane.unreadable.as_ref()?;
            let why = format!("{}: cannot be read: {why}; it is tried again", lane.name);
            Some(Trouble { kind: TroubleKind::Unreadable, at: lane.name.clone(), why, lasting: true })
        }));
        all.extend(self.empty.iter().map(|(pattern, since)| {
            let at: Arc<str> = name_of(pattern);
            let why = format!("{at}: no file is there; check the path, and what the application writes");
            let lasting = now.saturating_sub(*since) >= Duration::from_millis(FOLLOW_EMPTY_MS);
            Trouble { kind: TroubleKind::NoFiles, at, why, lasting }
        }));
        all
    }
}

/// What is refused, unless that is in order: a folder or a socket between files, or nothing, which is said by itself.
fn of_refused(refused: &Refused) -> Option<Trouble> {
    let kind = match refused.kind {
        RefusalKind::Unreadable => TroubleKind::Unreadable,
        RefusalKind::OverLimit => TroubleKind::OverLimit,
        RefusalKind::Link => TroubleKind::Link,
        RefusalKind::NoFile => return None,
    };
    let at = name_of(&refused.path);
    let why = format!("{at} is not followed: {}", refused.why);
    Some(Trouble { kind, at, why, lasting: true })
}
