//! Engines in one consumer group: killed, added and taken away, their brokers and their ClickHouse gone for a while, all
//! while records flow. When all are produced and stored, everything is compared once.
//!
//! Nothing is compared in between: what an engine that was killed had under way is another's only once the brokers have
//! noticed that it is gone, which takes its session's time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use longshore_core::config::ClickHouseSpec;
use longshore_sinks::clickhouse::{ClickHouse, Scratch};
use longshore_sinks::embedded::EmbeddedOptions;

use crate::audit::{Findings, audit, stored};
use crate::books::Books;
use crate::brokers::{Brokers, TOPIC, lines};
use crate::chance::Chance;
use crate::engine::Engine;
use crate::error::{ChaosError, at};
use crate::faults::Fault;
use crate::records::{ConfigText, SESSION_MS, Source};
use crate::report::{Failed, Report};
use crate::server::{Server, Target};
use crate::site::{PURPOSE, create_tables, make_folder};

/// What a run with a consumer group is to do.
pub struct GroupOptions<'a> {
    /// The `longshore` that is tested.
    pub engine: PathBuf,
    /// The program of the brokers.
    pub brokers: PathBuf,
    /// Its ClickHouse, which is ours.
    pub server: EmbeddedOptions,
    /// How it is used.
    pub clickhouse: &'a ClickHouseSpec,
    /// Everything goes here. Must not exist; it is made, and left.
    pub folder: PathBuf,
    /// Records that flow.
    pub records: u64,
    /// Faults meanwhile, evenly spread; the first is an engine killed, the second one added.
    pub faults: u64,
    /// Engines to begin with.
    pub engines: usize,
    /// What is written and done.
    pub seed: u64,
    /// Ends the run early.
    pub stop: &'a AtomicBool,
    /// Told what happens, in words.
    pub progress: &'a dyn Fn(&str),
}

/// Records that are produced at once.
const BATCH_RECORDS: u64 = 20_000;
/// So many may be produced and not stored, before the producer waits.
const AHEAD_RECORDS: u64 = 200_000;
/// Everything is stored that long after the last record, or never: the session of an engine that was killed last, the
/// longest wait between attempts, and the work itself on a machine that does other things.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(300);
/// Most engines at once.
const ENGINES_MAX: usize = 4;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LAST_WORDS: usize = 20;

/// Makes a run. What it found wrong is in the report.
///
/// # Errors
/// It could not be made: a process does not start, the brokers refuse.
pub fn run_group(options: &GroupOptions<'_>) -> Result<Report, ChaosError> {
    let mut run = Group::make(options)?;
    let begin = Instant::now();
    (0..options.engines).try_for_each(|_| run.add_engine())?;
    let (seed, records, stop) = (options.seed, options.records, options.stop);
    let flow = Flow { producing: AtomicBool::new(true), ..Flow::default() };
    let brokers = run.brokers.clone();
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let outcome = flow.produce(Chance::new(seed, 1), records, &brokers, stop);
            flow.producing.store(false, Ordering::Release);
            outcome
        });
        let hurt = run.hurt(options, &flow);
        flow.producing.store(false, Ordering::Release);
        let outcome = producer.join().expect("the producer does not panic");
        hurt.and(outcome.map_err(at("produce with", &options.brokers)))
    })?;
    let books = flow.books.into_inner().unwrap_or_else(PoisonError::into_inner);
    let findings = run.compare(options, &books)?;
    let mut report = run.report;
    report.time = begin.elapsed();
    (report.records, report.rows) = (books.records, books.rows.len() as u64);
    report.interrupted = options.stop.load(Ordering::Relaxed);
    (report.dead, report.compared) = (books.dead_count, u64::from(!report.interrupted));
    if !findings.is_clean() && !report.interrupted {
        let last_words = run.engines.first().map_or(String::new(), |engine| engine.last_words(LAST_WORDS));
        report.failed = Some(Failed { faults: report.done.keys().copied().collect(), findings, last_words });
    }
    Ok(report)
}

struct Group<'a> {
    engines: Vec<Engine>,
    /// Given to no other engine of the run, so that each has a log of its own.
    engines_made: u64,
    brokers: Arc<Mutex<Brokers>>,
    scratch: Scratch,
    server: Server,
    password: String,
    chance: Chance,
    report: Report,
    options: &'a GroupOptions<'a>,
}

/// What producer and faults know of each other.
#[derive(Default)]
struct Flow {
    books: Mutex<Books>,
    producing: AtomicBool,
    /// Records that the ledger had when it was last looked at.
    stored: AtomicU64,
}

impl Flow {
    /// Sends all records, in batches, not too far ahead of what is stored, so that they flow as long as faults come. The
    /// brokers are free for commands in between.
    fn produce(
        &self,
        mut chance: Chance,
        records: u64,
        brokers: &Mutex<Brokers>,
        stop: &AtomicBool,
    ) -> std::io::Result<()> {
        let mut sent = 0;
        let mut moved = (0, Instant::now());
        while sent < records && self.producing.load(Ordering::Acquire) && !stop.load(Ordering::Relaxed) {
            let stored = self.stored.load(Ordering::Relaxed);
            if stored > moved.0 {
                moved = (stored, Instant::now());
            }
            if sent >= stored + AHEAD_RECORDS {
                if moved.1.elapsed() >= CATCH_UP_PATIENCE {
                    // The comparison says what is missing.
                    return Ok(());
                }
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            let count = BATCH_RECORDS.min(records - sent);
            let text = {
                let mut books = lock(&self.books);
                lines(sent, count, &mut chance, |record| books.enter(record))
            };
            lock(brokers).send(&text)?;
            sent += count;
        }
        Ok(())
    }
}

impl<'a> Group<'a> {
    fn make(options: &'a GroupOptions<'a>) -> Result<Self, ChaosError> {
        let folder = &options.folder;
        make_folder(folder)?;
        let own = EmbeddedOptions { data: Some(folder.join("clickhouse")), ..options.server.clone() };
        let server = Server::open(&Target::Own(own))?;
        let connection = server.connection(&options.clickhouse.database);
        let scratch = Scratch::new(&ClickHouse::connect(&connection)?, PURPOSE);
        let brokers = Brokers::start(&options.brokers, folder).map_err(at("start", &options.brokers))?;
        let text = ConfigText {
            source: Source::Topic { brokers: brokers.addresses(), topic: TOPIC },
            url: &connection.url,
            user: &connection.user,
            database: scratch.clickhouse().database(),
            clickhouse: options.clickhouse,
        };
        create_tables(&text.text(), &folder.join("chaos.toml"), scratch.clickhouse())?;
        Ok(Group {
            engines: Vec::new(),
            engines_made: 0,
            brokers: Arc::new(Mutex::new(brokers)),
            scratch,
            server,
            password: connection.password.expose().to_owned(),
            chance: Chance::new(options.seed, 0),
            report: Report { seed: options.seed, ..Report::default() },
            options,
        })
    }

    /// Spreads the faults over the time in which records flow.
    fn hurt(&mut self, options: &GroupOptions<'_>, flow: &Flow) -> Result<(), ChaosError> {
        while flow.producing.load(Ordering::Acquire) {
            let produced = lock(&flow.books).records;
            if let Ok(stored) = stored(self.scratch.clickhouse()) {
                flow.stored.store(stored, Ordering::Relaxed);
            }
            let due = (produced * (options.faults + 1) / options.records).min(options.faults);
            if self.report.faults() < due {
                let fault = match self.report.faults() {
                    0 => Fault::KillEngine,
                    1 => Fault::AddEngine,
                    _ => self.chance.weighted(&Fault::OF_A_GROUP),
                };
                let fault = self.possible(fault);
                (options.progress)(&format!("{produced} of {} records: {fault}", options.records));
                self.inflict(fault)?;
                *self.report.done.entry(fault).or_default() += 1;
            }
            self.tend()?;
            self.pause(LOOK_EVERY);
        }
        Ok(())
    }

    /// There is always an engine, and there are not too many.
    fn possible(&self, fault: Fault) -> Fault {
        match fault {
            Fault::AddEngine if self.engines.len() >= ENGINES_MAX => Fault::RemoveEngine,
            Fault::KillEngine | Fault::RemoveEngine if self.engines.len() < 2 => Fault::AddEngine,
            other => other,
        }
    }

    fn inflict(&mut self, fault: Fault) -> Result<(), ChaosError> {
        let time = self.chance.millis(200, 2_000);
        let at_engine = self.chance.below(self.engines.len() as u64) as usize;
        match fault {
            Fault::KillEngine => {
                // Gone for good: its partitions are others' once its session is over.
                self.engines.swap_remove(at_engine).kill().map_err(at("kill", &self.options.engine))?;
            }
            Fault::RemoveEngine => {
                let mut engine = self.engines.swap_remove(at_engine);
                let status = engine.terminate().map_err(at("stop", &self.options.engine))?;
                if status.is_none() {
                    self.report.complaints.push("an engine did not end by SIGTERM in time".to_owned());
                }
            }
            Fault::AddEngine => self.add_engine()?,
            Fault::FreezeEngine => {
                // For less than its session, or for longer: then its partitions are others', and it has to notice.
                let time = if self.chance.once_in(2) {
                    time
                } else {
                    self.chance.millis(SESSION_MS + 1_000, SESSION_MS + 3_000)
                };
                self.engines[at_engine].set_frozen(true);
                self.pause(time);
                self.engines[at_engine].set_frozen(false);
            }
            Fault::BrokersAway => {
                // The producer waits: what it sends while they are away nobody could tell the fate of.
                let mut brokers = lock(&self.brokers);
                brokers.set_up(false).map_err(at("command", &self.options.brokers))?;
                self.pause(time);
                brokers.set_up(true).map_err(at("command", &self.options.brokers))?;
            }
            Fault::KillServer => {
                if let Some(server) = self.server.own() {
                    server.kill();
                }
                self.pause(time);
                self.server.own().map_or(Ok(()), |server| server.start())?;
            }
            other => unreachable!("{other} is no fault of a group"),
        }
        Ok(())
    }

    fn add_engine(&mut self) -> Result<(), ChaosError> {
        self.engines_made += 1;
        let GroupOptions { engine: program, folder, .. } = self.options;
        let log = folder.join(format!("engine-{}.log", self.engines_made));
        let mut engine = Engine::new(program.clone(), folder.join("chaos.toml"), self.password.clone(), log);
        engine.start().map_err(at("start", program))?;
        self.engines.push(engine);
        self.report.engine_starts += 1;
        Ok(())
    }

    /// Starts what has ended by itself again.
    fn tend(&mut self) -> Result<(), ChaosError> {
        if let Some(server) = self.server.own()
            && server.tend()?
        {
            self.report.server_ends += 1;
        }
        for engine in &mut self.engines {
            if let Some(status) = engine.tend().map_err(at("start", &self.options.engine))? {
                self.report.complaints.push(format!("an engine ended by itself: {status}"));
            }
        }
        Ok(())
    }

    /// Waits until all is stored, then compares.
    fn compare(&mut self, options: &GroupOptions<'_>, books: &Books) -> Result<Findings, ChaosError> {
        let begin = Instant::now();
        loop {
            self.tend()?;
            let state = match stored(self.scratch.clickhouse()) {
                Ok(found) if found >= books.records => None,
                Ok(found) => Some(format!("{found} of {} records are in the ledger", books.records)),
                Err(error) => Some(format!("ClickHouse does not answer ({error})")),
            };
            let over = begin.elapsed() >= CATCH_UP_PATIENCE || options.stop.load(Ordering::Relaxed);
            if over || state.is_none() {
                let mut findings = audit(self.scratch.clickhouse(), books)?;
                let seconds = begin.elapsed().as_secs();
                let stuck = state.map(|state| format!("{seconds} s after the last record, {state}"));
                findings.details.splice(0..0, stuck.into_iter().chain(self.report.complaints.drain(..)));
                return Ok(findings);
            }
            self.pause(LOOK_EVERY);
        }
    }

    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.options.stop.load(Ordering::Relaxed) && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
