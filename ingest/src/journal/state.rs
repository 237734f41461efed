//! What a journal's records come to: sources, positions, and slices that are not done.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use longshore_core::limits::{
    JOURNAL_IDENTITY_BYTES_MAX, JOURNAL_NAME_BYTES_MAX, JOURNAL_SLICES_MAX, JOURNAL_SOURCES_MAX,
};
use longshore_core::slice::SliceId;

use super::error::Refusal;
use super::format::{JournaledSlice, Reached, Record, SourceNumber};

/// A source that a journal knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSource {
    /// Its number in this journal.
    pub number: SourceNumber,
    /// Its identity, opaque to the journal.
    pub identity: Arc<[u8]>,
    /// Its name, for people.
    pub name: Arc<str>,
    /// Everything before is stored: the end of the last slice before which all are done.
    pub position: u64,
    /// Where the next slice is to be cut: the end of the last slice, done or in doubt.
    pub cut_end: Reached,
}

/// Everything that a journal knows. A position moves only here, and only over slices that are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    sources: BTreeMap<SourceNumber, Source>,
    numbers: HashMap<Arc<[u8]>, SourceNumber>,
    next_source: u32,
    /// Slices in all `pending`.
    slices: usize,
    /// Of the next cut.
    sequence: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    identity: Arc<[u8]>,
    name: Arc<str>,
    reached: Reached,
    /// Slices from there on, each beginning where the one before ends. The first is not done.
    pending: VecDeque<Pending>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    cut: JournaledSlice,
    /// Order among all cuts.
    sequence: u64,
    done: bool,
}

impl Source {
    fn cut_end(&self) -> Reached {
        self.pending.back().map_or(self.reached, |last| self.behind(&last.cut))
    }

    /// Behind a slice of it.
    fn behind(&self, cut: &JournaledSlice) -> Reached {
        Reached { position: cut.end, chain: cut.after, ..self.reached }
    }
}

impl State {
    /// All sources, by number.
    pub(super) fn sources(&self) -> Vec<KnownSource> {
        let known = |(&number, source): (&SourceNumber, &Source)| KnownSource {
            number,
            identity: source.identity.clone(),
            name: source.name.clone(),
            position: source.reached.position,
            cut_end: source.cut_end(),
        };
        self.sources.iter().map(known).collect()
    }

    /// The position of a source.
    pub(super) fn position(&self, source: SourceNumber) -> Option<u64> {
        self.sources.get(&source).map(|source| source.reached.position)
    }

    /// Slices that were cut and are not done, as they were cut.
    pub(super) fn in_doubt(&self) -> Vec<JournaledSlice> {
        self.ordered().into_iter().filter(|pending| !pending.done).map(|pending| pending.cut).collect()
    }

    /// How many there are, without those that are done.
    pub(super) fn in_doubt_count(&self) -> usize {
        self.sources.values().flat_map(|source| &source.pending).filter(|pending| !pending.done).count()
    }

    fn ordered(&self) -> Vec<&Pending> {
        let mut all: Vec<&Pending> = self.sources.values().flat_map(|source| &source.pending).collect();
        all.sort_unstable_by_key(|pending| pending.sequence);
        all
    }

    /// The records that make this state out of nothing.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.sources.len() + self.slices + 2);
        records.push(Record::SnapshotBegin { records: 0, next_source: self.next_source });
        records.extend(self.sources.iter().map(|(&number, source)| Record::Source {
            number,
            reached: source.reached,
            identity: source.identity.clone(),
            name: source.name.clone(),
        }));
        for pending in self.ordered() {
            records.push(Record::Cut(pending.cut));
            if pending.done {
                let JournaledSlice { source, start, slice, .. } = pending.cut;
                records.push(Record::Done { source, start, slice });
            }
        }
        let count = records.len() as u64 - 1;
        records[0] = Record::SnapshotBegin { records: count, next_source: self.next_source };
        records.push(Record::SnapshotEnd { records: count });
        records
    }

    /// The record that makes a source known, from there on.
    pub(super) fn introduce(&self, identity: &[u8], name: &str, reached: Reached) -> Result<Record, Refusal> {
        check_lengths(identity, name)?;
        if let Some(&number) = self.numbers.get(identity) {
            return Err(Refusal::KnownAlready(number));
        }
        if self.sources.len() >= JOURNAL_SOURCES_MAX || self.next_source == u32::MAX {
            return Err(Refusal::TooManySources);
        }
        let number = SourceNumber(self.next_source);
        Ok(Record::Source { number, reached, identity: identity.into(), name: name.into() })
    }

    /// The record that makes a source known by another identity or name.
    pub(super) fn rename(&self, number: SourceNumber, identity: &[u8], name: &str) -> Result<Record, Refusal> {
        check_lengths(identity, name)?;
        if !self.sources.contains_key(&number) {
            return Err(Refusal::UnknownSource(number));
        }
        match self.numbers.get(identity) {
            Some(&other) if other != number => Err(Refusal::KnownAlready(other)),
            _ => Ok(Record::Identified { number, identity: identity.into(), name: name.into() }),
        }
    }

    /// Whether these can be cut, in this order.
    pub(super) fn check_cuts(&self, cuts: &[JournaledSlice]) -> Result<(), Refusal> {
        if self.slices + cuts.len() > JOURNAL_SLICES_MAX {
            return Err(Refusal::Full);
        }
        let mut ends = HashMap::new();
        for cut in cuts {
            let source = self.sources.get(&cut.source).ok_or(Refusal::UnknownSource(cut.source))?;
            let expected = ends.insert(cut.source, cut.end).unwrap_or_else(|| source.cut_end().position);
            check_next(cut, expected)?;
        }
        Ok(())
    }

    /// Where a slice is among its source's, if it is in doubt.
    fn find(&self, source_number: SourceNumber, start: u64, slice: SliceId) -> Result<usize, Refusal> {
        let source = self.sources.get(&source_number).ok_or(Refusal::UnknownSource(source_number))?;
        let found = source.pending.binary_search_by_key(&start, |pending| pending.cut.start).ok();
        found
            .filter(|&at| source.pending[at].cut.slice == slice && !source.pending[at].done)
            .ok_or(Refusal::NotInDoubt { slice, source_number, start })
    }

    /// Whether this slice is in doubt.
    pub(super) fn check_done(&self, cut: &JournaledSlice) -> Result<(), Refusal> {
        self.find(cut.source, cut.start, cut.slice).map(|_| ())
    }

    /// Slices in doubt of a source, which would be given up with it.
    pub(super) fn in_doubt_of(&self, source: SourceNumber) -> Result<Vec<JournaledSlice>, Refusal> {
        let source = self.sources.get(&source).ok_or(Refusal::UnknownSource(source))?;
        Ok(source.pending.iter().filter(|pending| !pending.done).map(|pending| pending.cut).collect())
    }

    /// Takes in a record. Refuses one that contradicts those before it.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), Refusal> {
        match record {
            Record::Source { number, reached, identity, name } => {
                if let Some(&number) = self.numbers.get(&identity) {
                    return Err(Refusal::KnownAlready(number));
                }
                if self.sources.contains_key(&number) {
                    return Err(Refusal::KnownAlready(number));
                }
                self.next_source = self.next_source.max(number.0.saturating_add(1));
                self.numbers.insert(identity.clone(), number);
                self.sources.insert(number, Source { identity, name, reached, pending: VecDeque::new() });
            }
            Record::Cut(cut) => {
                let source = self.sources.get_mut(&cut.source).ok_or(Refusal::UnknownSource(cut.source))?;
                check_next(&cut, source.cut_end().position)?;
                source.pending.push_back(Pending { cut, sequence: self.sequence, done: false });
                self.sequence += 1;
                self.slices += 1;
            }
            Record::Done { source, start, slice } => self.done(source, start, slice)?,
            Record::Forgotten { source } => {
                let source = self.sources.remove(&source).ok_or(Refusal::UnknownSource(source))?;
                self.numbers.remove(&source.identity);
                self.slices -= source.pending.len();
            }
            Record::Identified { number, identity, name } => {
                if let Some(&other) = self.numbers.get(&identity).filter(|&&other| other != number) {
                    return Err(Refusal::KnownAlready(other));
                }
                let source = self.sources.get_mut(&number).ok_or(Refusal::UnknownSource(number))?;
                self.numbers.remove(&source.identity);
                self.numbers.insert(identity.clone(), number);
                (source.identity, source.name) = (identity, name);
            }
            Record::SnapshotBegin { next_source, .. } => self.next_source = next_source,
            Record::SnapshotEnd { .. } => {}
        }
        Ok(())
    }

    /// Marks a slice, and moves the position over what is done from there without a gap.
    fn done(&mut self, source_number: SourceNumber, start: u64, slice: SliceId) -> Result<(), Refusal> {
        let at = self.find(source_number, start, slice)?;
        let source = self.sources.get_mut(&source_number).expect("it was found");
        source.pending[at].done = true;
        while source.pending.front().is_some_and(|first| first.done) {
            let first = source.pending.pop_front().expect("there is one");
            source.reached = source.behind(&first.cut);
            self.slices -= 1;
        }
        Ok(())
    }
}

fn check_lengths(identity: &[u8], name: &str) -> Result<(), Refusal> {
    if identity.len() > JOURNAL_IDENTITY_BYTES_MAX {
        return Err(Refusal::TooLong { what: "the source's identity", bytes: identity.len() });
    }
    if name.len() > JOURNAL_NAME_BYTES_MAX {
        return Err(Refusal::TooLong { what: "the source's name", bytes: name.len() });
    }
    Ok(())
}

fn check_next(cut: &JournaledSlice, expected: u64) -> Result<(), Refusal> {
    if cut.start == expected && cut.start < cut.end {
        return Ok(());
    }
    let &JournaledSlice { slice, source: source_number, start, end, .. } = cut;
    Err(Refusal::NotNext { slice, source_number, start, end, expected })
}
