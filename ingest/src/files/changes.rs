//! What the follower tells, taken in: where sources are, how much there is of them, and what was lost.

use std::path::Path;
use std::time::Duration;

use longshore_core::words::plural;

use super::lane::Lane;
use super::port::{Files, name_of};
use super::{Candidate, FileFeed, journal_error};
use crate::feed::{FeedError, NoticeKind};
use crate::follow::{Away, Change, SourceId};
use crate::journal::Disk;

impl<D: Disk, F: Files> FileFeed<D, F> {
    /// Takes in what the follower tells.
    pub(super) fn take_in(&mut self, change: Change, now: Duration) -> Result<(), FeedError> {
        match change {
            Change::Found { id, path, compression, size, position } => {
                let name = name_of(&path);
                let lane = self.lanes.entry(id).or_insert_with(|| Lane::found(id, name, compression));
                lane.is_at(compression, size, position);
                self.wake(id, now);
            }
            Change::Rotated { id, path, compression, size, position }
            | Change::Back { id, path, compression, size, position } => {
                let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
                tracing::info!("{} goes on as {}", lane.name, path.display());
                lane.is_at(compression, size, position);
                self.wake(id, now);
            }
            Change::Grew { id, size } => {
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.grew(size);
                    self.wake(id, now);
                }
            }
            Change::Vanished { id, path, away, lost_bytes_min } => {
                self.vanished(id, &path, away, lost_bytes_min, now)?;
            }
            Change::LetGo { id } => self.left(id, now)?,
            Change::Truncated { id, path, lost_bytes_min } => {
                let how = "was truncated, and no copy of what it had is followed";
                self.ended(id, &path, how, lost_bytes_min)?;
            }
            Change::Rewritten { id, path, lost_bytes_min } => {
                let how = "was rewritten: what it has now is read from its first byte, as another file's";
                self.ended(id, &path, how, lost_bytes_min)?;
            }
            Change::Forgotten { id } => self.forget(id)?,
            Change::Held { path, like } => {
                let other =
                    self.lanes.get(&like).map_or_else(|| "another file".to_owned(), |lane| lane.name.to_string());
                let why = format!(
                    "{} is equal to {other} byte by byte, as far as it goes: both count as one until they part",
                    path.display()
                );
                tracing::info!("{why}");
                self.watched.note(NoticeKind::Equal, &name_of(&path), 0, &why);
            }
            Change::OtherName { path, name } => {
                tracing::info!("{} is the same file as {}: it is read once, as that", path.display(), name.display());
            }
            Change::Refused { path, why } => tracing::warn!("{} is not followed: {why}", path.display()),
            Change::ScanOnly { why } => tracing::warn!("files are found by scans alone, a second late: {why}"),
        }
        Ok(())
    }

    /// A source by its path, or by the name of an earlier run if this one has not seen it yet.
    fn called(&self, id: SourceId, path: &Path) -> String {
        match self.lanes.get(&id) {
            Some(lane) if path.as_os_str().is_empty() => lane.name.to_string(),
            _ => path.display().to_string(),
        }
    }

    /// A source's content is gone. What was cut of it is in memory or in doubt.
    fn ended(&mut self, id: SourceId, path: &Path, how: &str, lost_bytes_min: u64) -> Result<(), FeedError> {
        let name = self.called(id, path);
        let what = format!("{name} {how}");
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        if lost_bytes_min > 0 {
            let why = format!("{what}; lost, because it was not read: at least {}", plural(lost_bytes_min, "byte"));
            tracing::error!("{why}");
            self.watched.note(NoticeKind::Lost, &name, lost_bytes_min, &why);
        } else {
            tracing::info!("{what}; all that was seen of it had been read");
        }
        lane.end(&what);
        let is_journaled = lane.number.is_some();
        self.active.remove(&id);
        if is_journaled { self.introduce(id, None).map(|_| ()) } else { Ok(()) }
    }

    /// A source that will not come back is forgotten, unless something of it is in doubt.
    fn forget(&mut self, id: SourceId) -> Result<(), FeedError> {
        let Some(lane) = self.lanes.get(&id).filter(|lane| lane.given == 0 && lane.to_read_again() == 0) else {
            return Ok(());
        };
        if let Some(number) = lane.number {
            self.journal.forget(number).map_err(journal_error)?;
        }
        self.lanes.remove(&id);
        self.active.remove(&id);
        Ok(())
    }

    /// No path leads to a source any more.
    fn vanished(
        &mut self,
        id: SourceId,
        path: &Path,
        away: Away,
        lost_bytes_min: u64,
        now: Duration,
    ) -> Result<(), FeedError> {
        let name = self.called(id, path);
        if lost_bytes_min > 0 {
            let lost = plural(lost_bytes_min, "byte");
            let why = format!(
                "{name} is gone, and at least {lost} of it not read: lost unless it, or a copy of it, is put back where \
                 it is followed"
            );
            tracing::error!("{why}");
            self.watched.note(NoticeKind::Lost, &name, lost_bytes_min, &why);
        }
        match away {
            Away::Open => {
                tracing::info!("{name} is not followed by any name now: it is read until its writer lets go of it");
                Ok(())
            }
            Away::Unseen if lost_bytes_min == 0 => {
                self.unseen.push(name);
                self.left(id, now)
            }
            Away::Unseen | Away::Closed => self.left(id, now),
        }
    }

    /// Nothing more is to come of a source. It is noted, so that a later run does not miss it.
    fn left(&mut self, id: SourceId, now: Duration) -> Result<(), FeedError> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        lane.vanished();
        let is_journaled = lane.number.is_some();
        self.wake(id, now);
        if is_journaled { self.introduce(id, None).map(|_| ()) } else { Ok(()) }
    }

    /// Says which sources have NUL bytes before records: once in the log.
    pub(super) fn say_nuls(&mut self, candidates: &[Candidate]) {
        for Candidate { id, .. } in candidates {
            let Some(lane) = self.lanes.get_mut(id).filter(|lane| lane.nul_bytes > lane.nul_bytes_told) else {
                continue;
            };
            let before = std::mem::replace(&mut lane.nul_bytes_told, lane.nul_bytes);
            let why = format!(
                "{}: {} before records passed over: a file that is truncated under a program which keeps its place begins \
                 with them; have the program open its log to append",
                lane.name,
                plural(lane.nul_bytes, "NUL byte")
            );
            if before == 0 {
                tracing::warn!("{why}");
            }
            self.watched.note(NoticeKind::Nuls, &lane.name, lane.nul_bytes - before, &why);
        }
    }

    /// Says which sources went between two runs.
    pub(super) fn say_unseen(&mut self) {
        let mut unseen = std::mem::take(&mut self.unseen);
        if unseen.is_empty() {
            return;
        }
        let (count, shown) = (unseen.len(), UNSEEN_SHOWN_MAX);
        unseen.truncate(shown);
        let more = if count > shown { format!(", and {} more", count - shown) } else { String::new() };
        let why = format!(
            "gone since the last run: {}{more}; all that was seen of them was read, what was written after that is not known",
            unseen.join(", ")
        );
        tracing::warn!("{why}");
        self.watched.note(NoticeKind::Unseen, &unseen[0], 0, &why);
    }
}

/// Names in one line.
const UNSEEN_SHOWN_MAX: usize = 8;
