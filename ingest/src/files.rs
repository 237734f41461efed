//! Followed files as a feed: what the follower finds is cut into slices, journaled, and given away.
//!
//! A *lane* is a source: a content, whatever file it is in. The next slice of a lane begins where the last one ended, and
//! that is kept in the journal; so a restart goes on there, and reads nothing again but slices that are in doubt. Those
//! come first: their bytes are read again, cut by the same options, and must give the same id. If they do not, the
//! file was changed under the journal: that lane stops and says so, and the others go on.
//!
//! A slice is cut when it is full, when its oldest record has waited for `slice_age`, or when nothing more will follow. A
//! record that is not whole yet stays where it is until it is, or until its source has ended. All slices that are
//! ready are journaled with one sync.
//!
//! What a lane may hold back: at most [`LANE_SLICES_MAX`] slices of it are planned and not done, so that one that cannot
//! be stored makes neither the journal grow nor tokens be forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use longshore_core::limits::{LANE_SLICES_MAX, PLANNED_SLICES_MAX};
use longshore_core::slice::{CutAt, SliceId};

use crate::clock::WallClock;
use crate::content::Chain;
use crate::cut::{CutOptions, CutSlice};
use crate::feed::{Feed, FeedError, Lease, Notice, PlannedSlice, Room, SourceStatus, Ticket, Trouble};
use crate::follow::SourceId;
use crate::journal::{ConfigHash, Disk, Journal, JournaledSlice, Reached, Recovered, Refusal, WriteError};

mod changes;
mod cutting;
mod decompress;
mod journaled;
mod lane;
mod origin;
mod port;
mod trouble;
mod whereabouts;

pub use journaled::known_sources;
pub use origin::{LookUp, NothingThere};
pub use port::{Files, Nuls, ReadEnd, ReadError, SystemFiles};
pub use whereabouts::{SourceFile, Whereabouts, find};

use cutting::{Cutting, Outcome};
use journaled::known_source;
use lane::{Back, Held, Lane};
use origin::{Origin, Questions};
use trouble::Watched;

/// Reads out of a config's text how slices are cut, or says why it cannot be read.
pub type CutOptionsOf = Box<dyn Fn(&str) -> Result<CutOptions, String> + Send>;

/// How a feed of files works.
pub struct FileFeedOptions {
    /// A slice is cut once its oldest record has waited for so long.
    pub slice_age: Duration,
    /// How a config that slices were cut under says that they are cut.
    pub cut_options: CutOptionsOf,
    /// Tells what is stored of new files.
    pub look_up: Box<dyn LookUp>,
}

/// Followed files. See the [module](self).
pub struct FileFeed<D: Disk, F: Files> {
    journal: Journal<D>,
    files: F,
    /// A slice is cut once its oldest record has waited for so long.
    slice_age: Duration,
    cut_options: CutOptionsOf,
    /// What the event times of new slices are compared with.
    clock: WallClock,
    /// What new slices are cut under.
    config: Option<(ConfigHash, CutOptions)>,
    /// What slices were cut under that may have to be read again.
    configs: BTreeMap<ConfigHash, CutOptions>,
    lanes: BTreeMap<SourceId, Lane>,
    /// Lanes that may have something to cut or to cut again.
    active: BTreeSet<SourceId>,
    /// The lane that was served last: the next ones come first.
    served: Option<SourceId>,
    given: HashMap<Ticket, Given>,
    /// Lanes to which slices came back, by when these are to be read again.
    due: BTreeSet<(Duration, SourceId)>,
    /// Slices that came back and were not given away again.
    back: usize,
    /// These come before what is new, in this step.
    back_first: bool,
    tickets: u64,
    buffers: Vec<Vec<u8>>,
    draining: bool,
    watched: Watched,
    /// Names of sources that went between two runs, until that is said.
    unseen: Vec<String>,
    questions: Questions,
}

/// A slice that was given away and is not done.
struct Given {
    id: SourceId,
    journaled: JournaledSlice,
    /// When its oldest record was there.
    since: Duration,
}

/// A slice that was cut and is not journaled yet.
struct Candidate {
    id: SourceId,
    cut: CutSlice,
    records: u64,
    /// Of the content before it, and up to its end.
    chains: (Chain, Chain),
    /// Bytes of the file as stored, if all of it was read.
    stored: Option<u64>,
    /// When its oldest record was there.
    since: Duration,
}

impl<D: Disk, F: Files> FileFeed<D, F> {
    /// Goes on where a journal says. `files` must know the [`known_sources`] of `recovered`.
    pub fn new(
        journal: Journal<D>,
        recovered: &Recovered,
        files: F,
        options: FileFeedOptions,
    ) -> Result<FileFeed<D, F>, FeedError> {
        let mut configs = BTreeMap::new();
        for (&hash, text) in &recovered.configs {
            let cut = (options.cut_options)(text).map_err(|why| FeedError::Refuse {
                detail: format!("slices in doubt were cut under config {hash}, which cannot be used any more: {why}"),
            })?;
            configs.insert(hash, cut);
        }
        let mut lanes = BTreeMap::new();
        let mut ids = HashMap::new();
        for source in &recovered.sources {
            let (known, stored) = known_source(source)?;
            ids.insert(source.number, known.identity.id);
            lanes.insert(known.identity.id, Lane::known(known.identity.id, source, known.identity.compression, stored));
        }
        for slice in &recovered.in_doubt {
            let id = ids[&slice.source];
            lanes.get_mut(&id).expect("a slice in doubt is of a source").in_doubt.push_back(*slice);
        }
        Ok(FileFeed {
            journal,
            files,
            slice_age: options.slice_age,
            cut_options: options.cut_options,
            questions: Questions::new(options.look_up),
            clock: WallClock::system(),
            config: None,
            configs,
            lanes,
            active: BTreeSet::new(),
            served: None,
            given: HashMap::new(),
            due: BTreeSet::new(),
            back: 0,
            back_first: false,
            tickets: 0,
            buffers: Vec::new(),
            draining: false,
            watched: Watched::default(),
            unseen: Vec::new(),
        })
    }

    /// The same by another clock than this machine's.
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// The journal, for its size.
    pub fn journal(&self) -> &Journal<D> {
        &self.journal
    }

    /// A lane has something to do, perhaps.
    fn wake(&mut self, id: SourceId, now: Duration) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && lane.is_awake(now)
        {
            lane.since.get_or_insert(now);
            self.active.insert(id);
        }
    }

    /// Lanes to look at, beginning behind the one that was served last.
    fn turns(&self) -> Vec<SourceId> {
        let Some(served) = self.served else { return self.active.iter().copied().collect() };
        let behind = self.active.range((std::ops::Bound::Excluded(served), std::ops::Bound::Unbounded));
        behind.chain(self.active.range(..=served)).copied().collect()
    }

    /// How long nothing is due: zero if something is.
    fn patience(&self, now: Duration, wait: Duration) -> Duration {
        let wait = if self.questions.any() { wait.min(ANSWER_WAIT) } else { wait };
        let again = self.due.first().map_or(wait, |(due, _)| due.saturating_sub(now).min(wait));
        if self.planned_slices() >= PLANNED_SLICES_MAX {
            return again;
        }
        let free = self.active.iter().map(|id| &self.lanes[id]).filter(|lane| lane.planned_now() < LANE_SLICES_MAX);
        let due = |lane: &Lane| lane.due_in(now, self.slice_age, self.slice_bytes(), self.draining);
        free.filter_map(due).min().map_or(again, |due| due.min(again))
    }

    /// Slices that are planned and not done, but for those of an earlier run.
    fn planned_slices(&self) -> usize {
        self.given.len() + self.back
    }

    fn slice_bytes(&self) -> u64 {
        self.config.map_or(u64::MAX, |(_, cut)| cut.slice_bytes as u64)
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Wakes the lanes to which slices came back that are to be read again by now.
    fn wake_due(&mut self, now: Duration) {
        while let Some(&(due, id)) = self.due.first().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, id));
            if self.lanes.get(&id).is_some_and(|lane| lane.is_awake(now)) {
                self.active.insert(id);
            }
        }
    }

    /// Reads slices again and gives them away: those of an earlier run, or those that came `back`.
    fn resend(&mut self, back: bool, now: Duration, room: &mut Room, planned: &mut Vec<PlannedSlice>) {
        for id in self.turns() {
            loop {
                let lane = self.lanes.get_mut(&id).expect("an active lane");
                let next = match back {
                    true => lane.next_back(now).map(|back| (back.journaled, back.since)),
                    false => lane.next_in_doubt().map(|journaled| (*journaled, now)),
                };
                let Some((journaled, since)) = next.filter(|_| lane.readable(now)) else { break };
                if room.is_full() {
                    return;
                }
                let cut = self.configs[&journaled.config];
                let buffer = self.buffers.pop().unwrap_or_default();
                let cut_ms = journaled.cut_ms;
                let cutting = Cutting { files: &mut self.files, options: &cut, lane, now, cut_ms };
                let outcome = cutting.again(&journaled, buffer);
                let lane = self.lanes.get_mut(&id).expect("an active lane");
                match outcome {
                    Outcome::Cut { slice, .. } => {
                        lane.gives_again(&journaled);
                        self.back -= usize::from(back);
                        room.take(usize::try_from(slice.meta.end - slice.meta.start).unwrap_or(usize::MAX));
                        self.give(id, *slice, journaled, true, since, planned);
                    }
                    Outcome::Later => break,
                    Outcome::Stop(why) => {
                        lane.stop(why);
                        self.active.remove(&id);
                        break;
                    }
                    Outcome::Nothing { .. } => unreachable!("a slice in doubt is something"),
                }
            }
        }
    }

    fn give(
        &mut self,
        id: SourceId,
        cut: CutSlice,
        journaled: JournaledSlice,
        in_doubt: bool,
        since: Duration,
        planned: &mut Vec<PlannedSlice>,
    ) {
        let ticket = self.ticket();
        self.given.insert(ticket, Given { id, journaled, since });
        let CutSlice { slice, meta, .. } = cut;
        let config = journaled.config;
        planned.push(PlannedSlice { slice, meta, config, in_doubt, ticket, lease: Lease::forever(), since });
    }

    /// Cuts what is ready, as much as there is room for. Nothing of it is journaled yet.
    fn cut(&mut self, now: Duration, room: &mut Room) -> Result<Vec<Candidate>, FeedError> {
        let Some((_, options)) = self.config else { return Ok(Vec::new()) };
        let mut candidates = Vec::new();
        for id in self.turns() {
            loop {
                let lane = self.lanes.get_mut(&id).expect("an active lane");
                let due = lane.cut_due_in(now, self.slice_age, options.slice_bytes as u64);
                let full = lane.planned_now() >= LANE_SLICES_MAX
                    || self.given.len() + self.back + candidates.len() >= PLANNED_SLICES_MAX;
                if room.is_full() || full {
                    break;
                }
                if due != Some(Duration::ZERO) || !lane.in_doubt.is_empty() || !lane.readable(now) {
                    break;
                }
                self.served = Some(id);
                if !matches!(lane.origin, Origin::Settled) {
                    if self.find_origin(id, &options, now)? {
                        continue;
                    }
                    break;
                }
                let since = lane.since.unwrap_or(now);
                let buffer = self.buffers.pop().unwrap_or_default();
                let cut_ms = self.clock.now_ms();
                match (Cutting { files: &mut self.files, options: &options, lane, now, cut_ms }).next(buffer) {
                    Outcome::Cut { slice, records, content, stored } => {
                        room.take(usize::try_from(slice.meta.end - slice.meta.start).unwrap_or(usize::MAX));
                        let lane = self.lanes.get_mut(&id).expect("an active lane");
                        if let Some((known, head)) = lane.known.take_if(|(known, _)| known.contains(slice.meta.id)) {
                            lane.pass(slice.meta.end, content, Origin::Found(known, head));
                            continue;
                        }
                        lane.known = None;
                        let before = lane.chain();
                        lane.cut_to(slice.meta.end, content);
                        let chains = (before, lane.chain());
                        candidates.push(Candidate { id, cut: *slice, records, chains, stored, since });
                    }
                    Outcome::Nothing { all_read } => {
                        self.rest(id, all_read, now);
                        break;
                    }
                    Outcome::Later => break,
                    Outcome::Stop(why) => {
                        self.lanes.get_mut(&id).expect("an active lane").stop(why);
                        self.active.remove(&id);
                        break;
                    }
                }
            }
        }
        Ok(candidates)
    }

    /// A lane has nothing more to cut for now.
    fn rest(&mut self, id: SourceId, all_read: bool, now: Duration) {
        let lane = self.lanes.get_mut(&id).expect("an active lane");
        lane.rest(all_read);
        if !lane.reads_again(now) {
            self.active.remove(&id);
        }
    }

    /// Journals what was cut, all with one sync, and gives it away.
    fn plan(
        &mut self,
        candidates: Vec<Candidate>,
        now: Duration,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError> {
        let Some((config, _)) = self.config.filter(|_| !candidates.is_empty()) else { return Ok(()) };
        let mut slices = Vec::with_capacity(candidates.len());
        for Candidate { id, cut, records, chains: (before, after), .. } in &candidates {
            let origin = self.lanes.get(id).map_or(0, |lane| lane.reached.origin);
            let first = Reached { position: cut.meta.start, chain: *before, head: cut.meta.head, origin };
            let source = self.introduce(*id, Some(first))?;
            let &crate::sink::SliceMeta { id: slice, start, end, .. } = &cut.meta;
            let cut_ms = match cut.slice.cut {
                CutAt::Planned(cut_ms) | CutAt::Backfill(cut_ms) => cut_ms,
                CutAt::Unknown => 0,
            };
            let (before, after, records) = (*before, *after, Some(*records));
            slices.push(JournaledSlice { slice, source, start, end, before, after, config, records, cut_ms });
        }
        self.journal.cut(&slices).map_err(journal_error)?;
        for (Candidate { id, cut, stored, since, .. }, journaled) in candidates.into_iter().zip(slices) {
            let lane = self.lanes.get_mut(&id).expect("a lane that was cut");
            lane.planned();
            // What is left has not waited yet, and if nothing is, nothing waits.
            lane.since = self.active.contains(&id).then_some(now);
            if let Some(stored) = stored {
                lane.stored = stored;
                self.introduce(id, None)?;
            }
            self.give(id, cut, journaled, false, since, planned);
        }
        Ok(())
    }
}

impl<D: Disk, F: Files> Feed for FileFeed<D, F> {
    fn step(
        &mut self,
        now: Duration,
        wait: Duration,
        mut room: Room,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError> {
        for change in self.files.wait(self.patience(now, wait)) {
            self.take_in(change, now)?;
        }
        self.say_unseen();
        self.watched.empty_are(self.files.without_files(), now);
        self.wake_due(now);
        self.take_answers(now);
        if room.is_full() {
            return Ok(());
        }
        self.resend(false, now, &mut room, planned);
        // What came back may come back again and again. It and what is new take turns, so that neither waits for the other.
        self.back_first = !self.back_first;
        if self.back_first {
            self.resend(true, now, &mut room, planned);
        }
        if !self.draining {
            let candidates = self.cut(now, &mut room)?;
            self.say_nuls(&candidates);
            self.plan(candidates, now, planned)?;
        }
        if !self.back_first {
            self.resend(true, now, &mut room, planned);
        }
        Ok(())
    }

    fn done(&mut self, ticket: Ticket) -> Result<(), FeedError> {
        let Some(Given { id, journaled, .. }) = self.given.remove(&ticket) else { return Ok(()) };
        let lane = self.lanes.get_mut(&id).expect("a lane of which a slice was given away");
        lane.given -= 1;
        self.journal.done(&journaled).map_err(journal_error)
    }

    fn again(&mut self, ticket: Ticket, due: Duration) -> Result<(), FeedError> {
        let Some(Given { id, journaled, since }) = self.given.remove(&ticket) else { return Ok(()) };
        let lane = self.lanes.get_mut(&id).expect("a lane of which a slice was given away");
        lane.takes_back(Back { journaled, since, due });
        self.back += 1;
        self.due.insert((due, id));
        Ok(())
    }

    fn reuse(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS_KEPT {
            self.buffers.push(buffer);
        }
    }

    fn in_doubt(&self) -> Vec<SliceId> {
        self.lanes.values().flat_map(Lane::all_to_read_again).map(|journaled| journaled.slice).collect()
    }

    fn settle(&mut self, stored: &dyn Fn(SliceId) -> bool) -> Result<(), FeedError> {
        for lane in self.lanes.values_mut() {
            for journaled in lane.in_doubt.iter().filter(|journaled| stored(journaled.slice)) {
                self.journal.done(journaled).map_err(journal_error)?;
            }
            lane.in_doubt.retain(|journaled| !stored(journaled.slice));
        }
        Ok(())
    }

    fn set_config(&mut self, config_text: &str) -> Result<ConfigHash, FeedError> {
        let cut = (self.cut_options)(config_text).map_err(|detail| FeedError::Refuse { detail })?;
        let hash = self.journal.keep_config(config_text).map_err(journal_error)?;
        self.config = Some((hash, cut));
        self.configs.insert(hash, cut);
        Ok(hash)
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn status(&self, now: Duration) -> Vec<SourceStatus> {
        let mut held: HashMap<SourceId, Held> = HashMap::new();
        for Given { id, journaled, since } in self.given.values() {
            held.entry(*id).or_insert(Held { bytes: 0, since: *since }).add(journaled, *since);
        }
        let lanes = self.lanes.iter().filter(|(_, lane)| !lane.over());
        lanes.map(|(id, lane)| lane.status(now, held.get(id).copied())).collect()
    }

    fn troubles(&self, now: Duration) -> Vec<Trouble> {
        self.watched.troubles(&self.files, &self.lanes, now)
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        self.watched.take_notices()
    }

    fn close(&mut self) -> Result<(), FeedError> {
        // How much there is of each, so that a later run knows what it lost.
        let known: Vec<SourceId> =
            self.lanes.iter().filter(|(_, lane)| lane.number.is_some()).map(|(id, _)| *id).collect();
        for id in known {
            self.introduce(id, None)?;
        }
        self.journal.flush().map_err(journal_error)
    }
}

/// How long nothing else is waited for while something is asked.
const ANSWER_WAIT: Duration = Duration::from_millis(10);

/// Buffers that wait to be filled again.
const BUFFERS_KEPT: usize = 2;

fn journal_error(error: WriteError) -> FeedError {
    let detail = error.to_string();
    match error {
        WriteError::Disk(_) | WriteError::Poisoned { .. } | WriteError::Refused(Refusal::Full) => {
            FeedError::Retry { detail }
        }
        WriteError::Refused(_) => FeedError::Refuse { detail },
    }
}

#[cfg(test)]
mod tests;
