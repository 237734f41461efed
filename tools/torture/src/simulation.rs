//! One run: a world that writes logs (or topics, in [`topics`]), an engine that stores them, and everything dying in between, as a seed says.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_ingest::files::FileFeed;
use longshore_ingest::journal::testing::{FaultyDisk, Lies};

use crate::check::{Books, Findings, check};
use crate::clickhouse::{LedgerRow, Server};
use crate::disk::LivingDisk;
use crate::engine::{Bug, Ended, Engine, Ground, Plans};
use crate::env::{Env, Life, lock};
use crate::files::{Folder, FollowedFolder};
use crate::records::{Common, Fate, Placed, Record, Setup};
use crate::topics;

/// Logs that are written.
const LOGS: usize = 3;
/// Steps with faults.
const STEPS: usize = 160;
/// Steps that whatever is left must be stored in once faults are over.
const DRAIN_STEPS: usize = 5_000;
/// Tokens that a table remembers: more than a run has, as ClickHouse's are more than any engine has under way.
pub(crate) const WINDOW: usize = 100_000;

/// How far ahead the engines' clocks are set: no event too old and some too far in the future, neither, some too old.
pub(crate) const CLOCKS_MS: [i64; 3] = [0, 2 * 3_600_000, 5 * 3_600_000];

/// How a run is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Print each step.
    pub verbose: bool,
    /// Put a bug in.
    pub bug: Option<Bug>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Hash of all that happened.
    pub trace: u64,
    /// Faults and deaths, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Records that were written.
    pub records: u64,
    /// What is wrong at the end.
    pub findings: Findings,
}

impl Report {
    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }
}

struct World {
    env: Env,
    bug: Option<Bug>,
    common: Common,
    server: Server,
    disk: FaultyDisk,
    folder: Folder,
    plans: Plans,
    /// The content that each log is written to now.
    logs: [usize; LOGS],
    setup: Setup,
    engine: Option<(Engine<FileFeed<LivingDisk, FollowedFolder>>, Life)>,
    /// Records by content, in order.
    written: Vec<Vec<Record>>,
    /// Ends of lines that are not written yet, by content.
    rest: Vec<Vec<u8>>,
    records: u64,
}

/// Runs a seed: every fourth one is about topics, the others about files.
pub fn simulate(seed: u64, options: Options) -> Report {
    match seed % 4 {
        3 => topics::simulate(seed, options),
        _ => simulate_files(seed, options),
    }
}

fn simulate_files(seed: u64, options: Options) -> Report {
    let env = Env::new(seed, options.verbose);
    let unplanned = env.once_in(4);
    let common = Common { dedup: env.once_in(2), unplanned };
    let window = if options.bug == Some(Bug::WindowTooSmall) { 2 } else { WINDOW };
    let mut world = World {
        bug: options.bug,
        common,
        server: Server::new(env.clone(), window),
        disk: FaultyDisk::new(env.word(), Lies::default()),
        folder: Folder::new(env.clone()),
        plans: Plans::default(),
        logs: [0; LOGS],
        setup: Setup::Quiet,
        engine: None,
        written: Vec::new(),
        rest: Vec::new(),
        records: 0,
        env,
    };
    for log in 0..LOGS {
        world.begin(log);
    }
    for _ in 0..STEPS {
        world.step();
    }
    let drained = world.drain();
    let (written, ends) = world.placed();
    let content_of = |row: &LedgerRow| world.folder.content_with(row).unwrap_or(usize::MAX);
    let books = Books { written: &written, ends: &ends, source: &content_of, plans: &lock(&world.plans), common };
    let mut findings = check(&world.server, &books);
    findings.stuck = !drained;
    let (trace, faults) = (world.env.trace(), world.env.faults());
    Report { trace, faults, records: world.records, findings }
}

impl World {
    fn step(&mut self) {
        self.env.pass(Duration::from_millis(self.env.below(500) as u64));
        match self.env.below(44) {
            40 => self.rotate(),
            41 | 42 => self.go_or_come_back(),
            0..=7 => self.write(),
            8..=15 => self.with_engine(Engine::read),
            16..=29 => self.with_engine(Engine::store),
            30..=33 => self.server.go_on(),
            34 => {
                if self.env.fault("server killed", 3) {
                    self.server.kill();
                }
            }
            35 if self.env.once_in(3) => self.set_clock(),
            35 => self.env.pass(Duration::from_secs(self.env.below(100) as u64)),
            36 => {
                self.setup = *self.env.pick(&Setup::ALL);
                let text = self.setup.text(self.common);
                self.with_engine(|engine| engine.reload(&text));
            }
            // A constraint that refuses rows is no fault that time mends.
            37 if self.env.once_in(2) => self.server.constrain(!self.server.is_constrained()),
            37 => self.die("the engine is killed"),
            38 if self.env.once_in(3) => self.power_fails(),
            39 if self.env.once_in(3) => self.server_loses_power(),
            _ => self.server.start(),
        }
    }

    /// Of what nothing remembers a later moment must decide as an earlier one did: such a clock goes on.
    fn set_clock(&self) {
        let ahead = *self.env.pick(&CLOCKS_MS);
        self.env.set_clock(if self.common.unplanned { ahead.max(self.env.skew_ms()) } else { ahead });
    }

    /// The server's machine is back in a moment, or it takes minutes.
    fn server_loses_power(&mut self) {
        self.env.count("the server's machine loses power");
        self.server.lose_power();
        if self.bug == Some(Bug::ClaimsNotSynced) {
            self.server.lose_claims();
        }
        if self.env.once_in(2) {
            self.server.start();
        } else if self.env.once_in(2) {
            self.env.pass(Duration::from_secs(self.env.below(600) as u64));
        }
    }

    /// Writes some bytes of a log: half lines, lines, several.
    fn write(&mut self) {
        let log = self.logs[self.env.below(LOGS)];
        for _ in 0..self.env.below(6) {
            // Contents that begin with the same slice have it in common.
            let copy = if self.written[log].is_empty() { None } else { self.copy() };
            let record = copy.unwrap_or_else(|| Record::generate(self.records, &self.env));
            self.records += 1;
            self.rest[log].extend_from_slice(record.line.as_bytes());
            self.rest[log].push(b'\n');
            self.written[log].push(record);
        }
        // Of a file that was away the feed takes what is there for all there is, until it is told that it is back: half a
        // line would be a record.
        let bytes = match self.folder.was_away(log) {
            true => self.rest[log].len(),
            false => self.env.below(self.rest[log].len() + 1),
        };
        if self.folder.is_there(log) || self.folder.is_aside(log) {
            self.folder.append(log, &self.rest[log].drain(..bytes).collect::<Vec<u8>>());
        }
    }

    /// In some runs now and then an event that was written before, in whatever log.
    fn copy(&self) -> Option<Record> {
        if !self.common.dedup || !self.env.once_in(4) {
            return None;
        }
        let content = self.env.below(self.written.len());
        let records = &self.written[content];
        let record = (!records.is_empty()).then(|| records[self.env.below(records.len())].clone())?;
        matches!(record.fate, Fate::Event(_)).then_some(record)
    }

    /// A log begins a new content under its name.
    fn begin(&mut self, log: usize) {
        self.logs[log] = self.folder.create(&format!("/logs/{log}.log"));
        self.written.push(Vec::new());
        self.rest.push(Vec::new());
    }

    /// Writes what is left of the last line.
    fn end_line(&mut self, content: usize) {
        self.folder.append(content, &std::mem::take(&mut self.rest[content]));
    }

    /// A log is renamed, or copied and truncated, and goes on under its name.
    fn rotate(&mut self) {
        let log = self.env.below(LOGS);
        let content = self.logs[log];
        self.end_line(content);
        let copied = self.env.once_in(2);
        self.env.note(format_args!("log {log} is {}", if copied { "copied and truncated" } else { "renamed" }));
        self.folder.rotate(content, &format!("/logs/{log}.log.{content}"), copied);
        self.begin(log);
    }

    /// A file goes away, with whole lines or while its writer goes on, or one is let go of or comes back.
    fn go_or_come_back(&mut self) {
        let content = self.env.below(self.written.len());
        if self.folder.is_there(content) && !self.folder.was_away(content) && self.env.once_in(2) {
            self.env.count("a file is renamed out of the pattern and its writer goes on");
            return self.folder.set_aside(content);
        }
        self.end_line(content);
        let lets_go = self.folder.is_aside(content) && self.env.once_in(2);
        let is_there = !self.folder.is_there(content) && !lets_go;
        self.env.count(if is_there { "a file is back" } else { "a file is away" });
        self.folder.show(content, is_there);
    }

    /// Lets the engine do something; starts it if there is none.
    fn with_engine(
        &mut self,
        act: impl FnOnce(&mut Engine<FileFeed<LivingDisk, FollowedFolder>>) -> Result<(), Ended>,
    ) {
        if self.engine.is_none() {
            self.start_engine();
        }
        let Some((engine, life)) = &mut self.engine else { return };
        let outcome = act(engine);
        if life.over() {
            self.die("the engine died in a call");
        } else if outcome.is_err() {
            self.env.count("an engine gave up and is made anew");
            self.engine = None;
        }
    }

    fn start_engine(&mut self) {
        let dies = !self.env.is_calm() && !self.env.once_in(3);
        let life = Life::new(dies.then(|| 1 + self.env.below(60) as u64));
        let faulty = !self.env.is_calm() && self.env.once_in(3);
        self.disk.plan(None, faulty.then(|| 10 + self.env.below(60)));
        let disk = LivingDisk { disk: self.disk.clone(), life: life.clone(), env: self.env.clone() };
        let (folder, server, plans) = (self.folder.clone(), self.server.clone(), self.plans.clone());
        let ground = Ground { disk, folder, server, plans };
        match Engine::start(&self.env, ground, &self.setup.text(self.common), self.bug) {
            Ok(engine) => self.engine = Some((engine.unplanned(self.common.unplanned), life)),
            Err(Ended) => self.env.count("an engine could not start"),
        }
    }

    fn die(&mut self, how: &'static str) {
        if self.engine.take().is_some() {
            self.env.count(how);
        }
    }

    /// Of the engine's machine: what its disk did not sync is lost or torn.
    fn power_fails(&mut self) {
        self.env.count("the engine's machine loses power");
        self.engine = None;
        self.disk.restart();
    }

    /// No more faults: everything has to be stored now. False if it is not.
    fn drain(&mut self) -> bool {
        self.env.note(format_args!("faults are over"));
        self.env.calm();
        self.engine = None;
        self.server.start();
        for content in 0..self.written.len() {
            self.folder.show(content, true);
            self.end_line(content);
        }
        for _ in 0..DRAIN_STEPS {
            self.env.pass(Duration::from_millis(500));
            self.with_engine(Engine::read);
            self.with_engine(Engine::store);
            self.server.go_on();
            let planned = self.engine.as_ref().map_or(1, |(engine, _)| engine.open_slices());
            if planned == 0 && self.server.bytes_stored() >= self.bytes() {
                self.server.finish();
                return true;
            }
        }
        false
    }
}

impl World {
    /// Records with the bytes that they take up, by content, and where each content ends.
    fn placed(&self) -> (Vec<Vec<Placed>>, Vec<u64>) {
        let placed = |records: &Vec<Record>| {
            let mut start = 0;
            let place = |record: &Record| {
                let end = start + record.line.len() as u64 + 1;
                let placed = Placed { start, end, record: record.clone() };
                start = end;
                placed
            };
            records.iter().map(place).collect()
        };
        let written: Vec<Vec<Placed>> = self.written.iter().map(placed).collect();
        let ends = written.iter().map(|records| records.last().map_or(0, |placed| placed.end)).collect();
        (written, ends)
    }

    /// Bytes of all contents.
    fn bytes(&self) -> u64 {
        (0..self.written.len()).map(|content| self.folder.length(content)).sum()
    }
}

/// The events that must be there of a record under a config.
pub(crate) fn is_loaded(record: &Record, setup: Setup) -> bool {
    matches!(&record.fate, Fate::Event(event) if !setup.drops(event))
}
