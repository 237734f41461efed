//! Slices that loads plan: a load that died is finished by what it had planned, whatever its inputs and its config became.
//!
//! Every slice is journaled before anything of it is sent, with the config that it is processed under and the moment at which
//! it was cut. The next load reads those that are in doubt again, by the place in a content that each begins at: contents are
//! known by what they hold, so it does not matter what the files are called by then.
//!
//! Loads may run beside each other. Each has a journal of its own, and takes over those that no load holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_core::limits::LOADS_MAX;
use longshore_core::slice::SliceId;

use crate::clock::WallClock;
use crate::content::Chain;
use crate::cut::CutSlice;
use crate::journal::{
    ConfigHash, Disk, Journal, JournaledSlice, LockedDirectory, OpenError, Options, Reached, Recovered, SourceNumber,
    Torn, WriteError,
};

/// What loads have planned, as a reader and a pipeline ask for it.
pub trait Plans: Sync {
    /// Slices in doubt that begin at this offset of a content whose whole blocks before it hash to `before`.
    fn in_doubt_at(&self, start: u64, before: Chain) -> Vec<JournaledSlice>;

    /// Plans a new slice, of the content between these places. Durable when this returns, with the moment at which it was
    /// cut, in milliseconds since 1970.
    ///
    /// # Errors
    /// The slice must not be sent.
    fn plan(&self, slice: &CutSlice, chains: (Chain, Chain)) -> Result<i64, WriteError>;

    /// A slice is stored.
    ///
    /// # Errors
    /// Nothing more can be planned.
    fn done(&self, slice: SliceId) -> Result<(), WriteError>;

    /// Whether a slice that was in doubt is stored by now.
    fn was_finished(&self, slice: SliceId) -> bool;
}

/// Nothing is planned: what dies is lost. For measurements.
#[derive(Debug, Clone, Copy)]
pub struct NothingPlanned;

impl Plans for NothingPlanned {
    fn in_doubt_at(&self, _: u64, _: Chain) -> Vec<JournaledSlice> {
        Vec::new()
    }

    fn plan(&self, _: &CutSlice, _: (Chain, Chain)) -> Result<i64, WriteError> {
        Ok(WallClock::system().now_ms())
    }

    fn done(&self, _: SliceId) -> Result<(), WriteError> {
        Ok(())
    }

    fn was_finished(&self, _: SliceId) -> bool {
        false
    }
}

/// The plans of a load, and of those before it that died. See the [module](self).
pub struct LoadPlans<D: Disk = LockedDirectory> {
    inner: Mutex<Inner<D>>,
    clock: WallClock,
}

struct Inner<D: Disk> {
    /// The first one takes what is new.
    journals: Vec<Journal<D>>,
    /// Configs of slices in doubt.
    configs: BTreeMap<ConfigHash, String>,
    /// What new slices are processed under.
    config: Option<ConfigHash>,
    in_doubt: HashMap<(u64, Chain), Vec<SliceId>>,
    /// Slices that are not done, with the journal that has each.
    open: HashMap<SliceId, (usize, JournaledSlice)>,
    /// Slices of earlier loads that are done by now.
    finished: HashSet<SliceId>,
    /// Sources of journals, with how many of their slices are not done.
    sources: HashMap<(usize, SourceNumber), usize>,
    /// What each source is called.
    names: HashMap<(usize, SourceNumber), Arc<str>>,
    /// The source that new slices are of.
    current: Option<Current>,
    /// Names for sources: each is another one.
    identities: u128,
}

/// The source that is read.
struct Current {
    name: Arc<str>,
    number: SourceNumber,
    end: u64,
}

impl LoadPlans {
    /// Opens the journals of loads in a folder: those that no load holds, or a new one if all are held.
    ///
    /// # Errors
    /// One of them cannot be read, or as many loads run as there may be.
    pub fn open(folder: &Path, options: Options) -> Result<(LoadPlans, Vec<Torn>), OpenError> {
        let mut opened = Vec::new();
        let mut unused = Vec::new();
        let mut held = None;
        for number in 1..=LOADS_MAX {
            let dir = folder.join(format!("load-{number}"));
            if !dir.exists() {
                unused.push(dir);
                continue;
            }
            match Journal::open(&dir, options) {
                Ok(journal) => opened.push(journal),
                Err(error @ OpenError::Held { .. }) => held = Some(error),
                Err(error) => return Err(error),
            }
        }
        for dir in unused {
            if !opened.is_empty() {
                break;
            }
            match Journal::open(&dir, options) {
                Ok(journal) => opened.push(journal),
                // Another load was faster.
                Err(error @ OpenError::Held { .. }) => held = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(error)) = (opened.is_empty(), held) {
            return Err(error);
        }
        let torn = opened.iter().filter_map(|(_, recovered)| recovered.torn.clone()).collect();
        Ok((LoadPlans::of(opened, WallClock::system()), torn))
    }
}

impl<D: Disk> LoadPlans<D> {
    /// Those of these journals, the first of which takes what is new. None of them has another user.
    pub fn of(opened: Vec<(Journal<D>, Recovered)>, clock: WallClock) -> LoadPlans<D> {
        let mut inner = Inner {
            journals: Vec::new(),
            configs: BTreeMap::new(),
            config: None,
            in_doubt: HashMap::new(),
            open: HashMap::new(),
            finished: HashSet::new(),
            sources: HashMap::new(),
            names: HashMap::new(),
            current: None,
            identities: 0,
        };
        for (at, (journal, recovered)) in opened.into_iter().enumerate() {
            if at == 0 {
                inner.identities = journal.random();
            }
            inner.journals.push(journal);
            inner.configs.extend(recovered.configs);
            for source in recovered.sources {
                inner.sources.insert((at, source.number), 0);
                inner.names.insert((at, source.number), source.name);
            }
            for slice in recovered.in_doubt {
                inner.in_doubt.entry((slice.start, slice.before)).or_default().push(slice.slice);
                inner.open(at, slice);
            }
        }
        LoadPlans { inner: Mutex::new(inner), clock }
    }

    /// Slices that earlier loads planned and that are not known to be stored.
    pub fn in_doubt(&self) -> Vec<SliceId> {
        self.inner().open.keys().copied().collect()
    }

    /// The configs that these were planned under, with their texts.
    pub fn configs(&self) -> BTreeMap<ConfigHash, String> {
        let inner = self.inner();
        let used: HashSet<ConfigHash> = inner.open.values().map(|(_, slice)| slice.config).collect();
        inner.configs.iter().filter(|(hash, _)| used.contains(hash)).map(|(&hash, text)| (hash, text.clone())).collect()
    }

    /// What has slices in doubt, by name, and how many.
    pub fn left(&self) -> BTreeMap<Arc<str>, usize> {
        let inner = self.inner();
        let mut left = BTreeMap::new();
        for (source, slices) in inner.sources.iter().filter(|(_, slices)| **slices > 0) {
            *left.entry(inner.names[source].clone()).or_default() += slices;
        }
        left
    }

    /// New slices are processed under this config from now on.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn set_config(&self, text: &str) -> Result<ConfigHash, WriteError> {
        let mut inner = self.inner();
        let hash = inner.journals[0].keep_config(text)?;
        inner.config = Some(hash);
        Ok(hash)
    }

    /// Forgets sources of which everything is stored, and waits until that is durable.
    ///
    /// # Errors
    /// Slices that are stored will be looked up again by the next load.
    pub fn close(self) -> Result<(), WriteError> {
        let mut inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        inner.current = None;
        inner.forget_stored()?;
        inner.journals.into_iter().try_for_each(Journal::close)
    }

    fn inner(&self) -> MutexGuard<'_, Inner<D>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Inner<D> {
    /// A slice that is not done.
    fn open(&mut self, journal: usize, slice: JournaledSlice) {
        *self.sources.entry((journal, slice.source)).or_default() += 1;
        self.open.insert(slice.slice, (journal, slice));
    }

    /// Forgets sources that nothing more comes of, all with one sync a journal.
    fn forget_stored(&mut self) -> Result<(), WriteError> {
        let current = self.current.as_ref().map(|current| (0, current.number));
        let over: Vec<_> = self
            .sources
            .iter()
            .filter(|(of, slices)| **slices == 0 && Some(**of) != current)
            .map(|(of, _)| *of)
            .collect();
        for at in 0..self.journals.len() {
            let numbers: Vec<SourceNumber> =
                over.iter().filter(|(journal, _)| *journal == at).map(|(_, number)| *number).collect();
            self.journals[at].forget_all(&numbers)?;
        }
        for source in over {
            self.sources.remove(&source);
            self.names.remove(&source);
        }
        Ok(())
    }

    /// The number of the source that a slice is of, which begins where the last one of it ended.
    fn source(&mut self, slice: &CutSlice, before: Chain) -> Result<SourceNumber, WriteError> {
        let meta = &slice.meta;
        if let Some(current) =
            self.current.as_ref().filter(|current| current.name == meta.source && current.end == meta.start)
        {
            return Ok(current.number);
        }
        if self.sources.len() >= SOURCES_KEPT {
            self.current = None;
            self.forget_stored()?;
        }
        self.identities = self.identities.wrapping_add(1);
        let reached = Reached { position: meta.start, chain: before, head: meta.head, origin: 0 };
        let number = self.journals[0].know(&self.identities.to_le_bytes(), &meta.source, reached)?;
        self.sources.insert((0, number), 0);
        self.names.insert((0, number), meta.source.clone());
        self.current = Some(Current { name: meta.source.clone(), number, end: meta.start });
        Ok(number)
    }
}

impl<D: Disk + Send> Plans for LoadPlans<D>
where
    D::File: Send,
{
    fn in_doubt_at(&self, start: u64, before: Chain) -> Vec<JournaledSlice> {
        let inner = self.inner();
        let ids = inner.in_doubt.get(&(start, before)).into_iter().flatten();
        ids.filter_map(|id| inner.open.get(id)).map(|(_, slice)| *slice).collect()
    }

    fn plan(&self, slice: &CutSlice, (before, after): (Chain, Chain)) -> Result<i64, WriteError> {
        let mut inner = self.inner();
        let source = inner.source(slice, before)?;
        let config = inner.config.expect("a load says its config before it cuts");
        let cut_ms = self.clock.now_ms();
        let (id, start, end) = (slice.meta.id, slice.meta.start, slice.meta.end);
        let journaled = JournaledSlice { slice: id, source, start, end, before, after, config, records: None, cut_ms };
        inner.journals[0].cut(&[journaled])?;
        if let Some(current) = &mut inner.current {
            current.end = end;
        }
        inner.open(0, journaled);
        Ok(cut_ms)
    }

    fn done(&self, slice: SliceId) -> Result<(), WriteError> {
        let mut inner = self.inner();
        let Some((journal, journaled)) = inner.open.remove(&slice) else { return Ok(()) };
        if inner.in_doubt.contains_key(&(journaled.start, journaled.before)) {
            inner.finished.insert(slice);
        }
        if let Some(slices) = inner.sources.get_mut(&(journal, journaled.source)) {
            *slices -= 1;
        }
        inner.journals[journal].done(&journaled)
    }

    fn was_finished(&self, slice: SliceId) -> bool {
        self.inner().finished.contains(&slice)
    }
}

/// Sources that are kept before those are forgotten of which everything is stored.
const SOURCES_KEPT: usize = 1_024;
