//! Logs that grow, and a feed over them: the real journal on a faulty disk, and the least that a feed must be around it.
//!
//! What is simulated here is the journal's part and the sink's: what is planned, what is in doubt after a death, which
//! config it belongs to. Where a followed file goes is the business of `ingest::files`, whose port a twin of these logs
//! can stand behind.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_core::slice::{Slice, SliceId};
use longshore_ingest::feed::{Feed, FeedError, Lease, PlannedSlice, Room, SourceStatus, Ticket};
use longshore_ingest::journal::testing::{FaultyDisk, FaultyFile};
use longshore_ingest::journal::{
    ConfigHash, Disk, DiskFile, Journal, JournaledSlice, Machine, OpenError, Options, SourceNumber,
};
use longshore_ingest::sink::SliceMeta;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::env::{Call, Env, Life, lock};

/// Logs by number, as bytes; clones are the same.
pub type Logs = Arc<Mutex<Vec<Vec<u8>>>>;

/// A slice for the journal, and what was read.
type Cut = (JournaledSlice, (Slice, SliceMeta));

/// Bytes of a slice at most.
const SLICE_BYTES: usize = 900;

/// A faulty disk that its engine may die at.
#[derive(Debug, Clone)]
pub struct LivingDisk {
    /// The disk.
    pub disk: FaultyDisk,
    /// The engine's life.
    pub life: Life,
    /// For how an operation ends that the engine dies in.
    pub env: Env,
}

/// A file on it.
#[derive(Debug)]
pub struct LivingFile {
    file: FaultyFile,
    life: Life,
    env: Env,
}

/// Makes a call in a life: the last one may be made or not, and fails.
fn living<T>(life: &Life, env: &Env, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match life.call() {
        Call::Made => call(),
        Call::Last => {
            env.note(format_args!("the engine dies at its disk"));
            if env.once_in(2) {
                let _ = call();
            }
            Err(io::Error::other("the engine died"))
        }
        Call::Never => Err(io::Error::other("the engine is dead")),
    }
}

impl Disk for LivingDisk {
    type File = LivingFile;

    fn dir(&self) -> &Path {
        self.disk.dir()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        living(&self.life, &self.env, || self.disk.list())
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        living(&self.life, &self.env, || self.disk.read(name, bytes_max))
    }

    fn create(&self, name: &str) -> io::Result<LivingFile> {
        let file = living(&self.life, &self.env, || self.disk.create(name))?;
        Ok(LivingFile { file, life: self.life.clone(), env: self.env.clone() })
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.overwrite(name, bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        living(&self.life, &self.env, || self.disk.sync_dir())
    }

    fn random(&self) -> u128 {
        self.disk.random()
    }
}

impl DiskFile for LivingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let LivingFile { file, life, env } = self;
        living(life, env, || file.append(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        let LivingFile { file, life, env } = self;
        living(life, env, || file.sync())
    }
}

/// What a feed is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where the journal is.
    pub disk: LivingDisk,
    /// What is read.
    pub logs: Logs,
    /// Which config each slice was cut under, as an oracle remembers it; the feed only writes to it.
    pub plans: Arc<Mutex<BTreeMap<SliceId, ConfigHash>>>,
}

/// A feed over the logs.
#[derive(Debug)]
pub struct LogFeed {
    parts: Parts,
    journal: Journal<LivingDisk>,
    configs: BTreeMap<ConfigHash, String>,
    config: Option<ConfigHash>,
    /// By log: its number in the journal, once it has one, and how far it was cut.
    sources: Vec<(Option<SourceNumber>, u64)>,
    /// Of an earlier run, to be given away first.
    in_doubt: Vec<JournaledSlice>,
    given: BTreeMap<Ticket, JournaledSlice>,
    tickets: u64,
    draining: bool,
}

fn failed(error: impl ToString) -> FeedError {
    FeedError::Retry { detail: error.to_string() }
}

impl LogFeed {
    /// Opens the journal and goes on where it is.
    pub fn open(parts: Parts) -> Result<LogFeed, OpenError> {
        let mut options = Options::new(Machine::named("torture"));
        options.segment_bytes = 2_000;
        let (journal, recovered) = Journal::open_on(parts.disk.clone(), options)?;
        let logs = lock(&parts.logs).len();
        let mut sources = vec![(None, 0); logs];
        for known in &recovered.sources {
            sources[usize::from(known.identity[0])] = (Some(known.number), known.cut_end);
        }
        Ok(LogFeed {
            parts,
            journal,
            configs: recovered.configs,
            config: None,
            sources,
            in_doubt: recovered.in_doubt,
            given: BTreeMap::new(),
            tickets: 0,
            draining: false,
        })
    }

    /// The text of a config that something was cut under.
    pub fn config_text(&self, hash: ConfigHash) -> Option<&str> {
        self.configs.get(&hash).map(String::as_str)
    }

    /// Slices that are not done.
    pub fn open_slices(&self) -> usize {
        self.journal.in_doubt_count()
    }

    /// Whether all whole lines were cut.
    pub fn is_at_end(&self) -> bool {
        let logs = lock(&self.parts.logs);
        logs.iter().zip(&self.sources).all(|(log, &(_, cut))| whole(log, cut, usize::MAX).is_empty())
    }

    fn slice(&self, log: usize, start: u64, bytes: &[u8]) -> (Slice, SliceMeta) {
        let hash = xxh3_64(bytes);
        let id = SliceId(xxh3_64_with_seed(bytes, xxh3_64_with_seed(&start.to_le_bytes(), log as u64)));
        let source: Arc<str> = format!("log {log}").into();
        let slice = Slice { id, source: source.clone(), start, bytes: bytes.to_vec(), header: None, tail: None };
        let meta = SliceMeta { id, source, source_id: log as u64, start, end: slice.end(), hash };
        (slice, meta)
    }

    fn give(
        &mut self,
        journaled: JournaledSlice,
        read: (Slice, SliceMeta),
        in_doubt: bool,
        now: Duration,
    ) -> PlannedSlice {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.given.insert(ticket, journaled);
        let ((slice, meta), config) = (read, journaled.config);
        PlannedSlice { slice, meta, config, in_doubt, ticket, lease: Lease::forever(), since: now }
    }

    fn again(&mut self, journaled: JournaledSlice, now: Duration) -> PlannedSlice {
        let log = self.sources.iter().position(|&(number, _)| number == Some(journaled.source));
        let log = log.expect("the journal knows the source of what is in doubt");
        let bytes = lock(&self.parts.logs)[log][journaled.start as usize..journaled.end as usize].to_vec();
        let read = self.slice(log, journaled.start, &bytes);
        assert_eq!(read.1.id, journaled.slice, "the log is as it was");
        self.give(journaled, read, true, now)
    }

    /// Cuts the next slice of each log that has one, in the order of the logs.
    fn cut(&mut self, config: ConfigHash, room: usize) -> Result<Vec<Cut>, FeedError> {
        let mut cuts = Vec::new();
        for log in 0..self.sources.len() {
            let (number, start) = self.sources[log];
            let bytes = {
                let logs = lock(&self.parts.logs);
                whole(&logs[log], start, 1 + self.parts.disk.env.below(SLICE_BYTES)).to_vec()
            };
            if bytes.is_empty() || cuts.len() == room {
                continue;
            }
            let number = match number {
                Some(number) => number,
                None => self.journal.know(&[log as u8], &format!("log {log}"), 0).map_err(failed)?,
            };
            self.sources[log].0 = Some(number);
            let read = self.slice(log, start, &bytes);
            let SliceMeta { id: slice, end, hash, .. } = read.1;
            let journaled = JournaledSlice { slice, source: number, start, end, hash, config, records: None };
            lock(&self.parts.plans).insert(slice, config);
            cuts.push((journaled, read));
        }
        Ok(cuts)
    }
}

/// Whole lines of a log from `from` on: as many as fit in `bytes`, and one at least if there is one.
fn whole(log: &[u8], from: u64, bytes: usize) -> &[u8] {
    let rest = &log[from as usize..];
    let ends = rest.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
    let (mut last, mut any) = (0, false);
    for end in ends {
        if any && end > bytes {
            break;
        }
        (last, any) = (end, true);
    }
    &rest[..last]
}

impl Feed for LogFeed {
    fn step(
        &mut self,
        now: Duration,
        _wait: Duration,
        room: Room,
        planned: &mut Vec<PlannedSlice>,
    ) -> Result<(), FeedError> {
        while planned.len() < room.slices && !self.in_doubt.is_empty() {
            let journaled = self.in_doubt.remove(0);
            planned.push(self.again(journaled, now));
        }
        let Some(config) = self.config.filter(|_| !self.draining && self.in_doubt.is_empty()) else { return Ok(()) };
        let cuts = self.cut(config, room.slices.saturating_sub(planned.len()))?;
        let journaled: Vec<JournaledSlice> = cuts.iter().map(|&(journaled, _)| journaled).collect();
        self.journal.cut(&journaled).map_err(failed)?;
        for (journaled, read) in cuts {
            self.sources[read.1.source_id as usize].1 = journaled.end;
            planned.push(self.give(journaled, read, false, now));
        }
        Ok(())
    }

    fn done(&mut self, ticket: Ticket) -> Result<(), FeedError> {
        match self.given.remove(&ticket) {
            Some(journaled) => self.journal.done(&journaled).map_err(failed),
            None => Ok(()),
        }
    }

    fn in_doubt(&self) -> Vec<SliceId> {
        self.in_doubt.iter().map(|journaled| journaled.slice).collect()
    }

    fn settle(&mut self, stored: &dyn Fn(SliceId) -> bool) -> Result<(), FeedError> {
        let (settled, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.in_doubt).into_iter().partition(|journaled| stored(journaled.slice));
        self.in_doubt = open;
        settled.iter().try_for_each(|journaled| self.journal.done(journaled)).map_err(failed)
    }

    fn set_config(&mut self, config_text: &str) -> Result<ConfigHash, FeedError> {
        let hash = self.journal.keep_config(config_text).map_err(failed)?;
        self.configs.insert(hash, config_text.to_owned());
        self.config = Some(hash);
        Ok(hash)
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn status(&self, _now: Duration) -> Vec<SourceStatus> {
        Vec::new()
    }

    fn close(&mut self) -> Result<(), FeedError> {
        Ok(())
    }
}
