//! The loop: write, hurt, let it catch up, compare.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use longshore_core::config::ClickHouseSpec;

use crate::audit::{Findings, audit, stored};
use crate::chance::Chance;
use crate::error::{ChaosError, at};
use crate::faults::{Fault, Rights};
use crate::proxy::Trick;
use crate::report::{Failed, Report};
use crate::server::Target;
use crate::site::Site;

/// What a run is to do.
pub struct Options<'a> {
    /// The `longshore` that is tested.
    pub engine: PathBuf,
    /// Its ClickHouse.
    pub target: Target,
    /// How it uses it; where it is, `target` says. The database gives its scratch database the name.
    pub clickhouse: &'a ClickHouseSpec,
    /// Logs, journal and the engine's log go here. Must not exist; it is made, and left.
    pub folder: PathBuf,
    /// How many faults.
    pub faults: u64,
    /// No fault is begun after so long.
    pub time: Option<Duration>,
    /// What is written and done.
    pub seed: u64,
    /// Give the journal a small disk of its own, where mounting is permitted, and fill it.
    pub full_disk: bool,
    /// Ends the run early.
    pub stop: &'a AtomicBool,
    /// Told after every comparison.
    pub progress: &'a dyn Fn(&Report),
}

/// Everything is stored that long after a fault, or never: twice the longest wait between two attempts, and some more.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(90);
/// An insert comes well before that while the application writes.
const INSERT_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the ledger.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Lines of the engine's log in a report of what went wrong.
const LAST_WORDS: usize = 20;

/// Makes a run. What it found wrong is in the report.
///
/// # Errors
/// It could not be made: ClickHouse cannot be reached, a process does not start.
pub fn run(options: &Options<'_>) -> Result<Report, ChaosError> {
    let site = Site::make(options)?;
    let mut run = Run {
        chance: Chance::new(options.seed, 0),
        report: Report {
            seed: options.seed,
            disk: options.full_disk.then_some(site.disk.is_some()),
            ..Report::default()
        },
        begin: Instant::now(),
        site,
        options,
    };
    run.until_done()?;
    run.report.time = run.begin.elapsed();
    if run.report.failed.is_some() {
        run.site.keep_journal().map_err(at("keep the journal in", &options.folder))?;
    }
    Ok(run.report)
}

struct Run<'a> {
    site: Site,
    options: &'a Options<'a>,
    chance: Chance,
    report: Report,
    begin: Instant,
}

impl Run<'_> {
    fn until_done(&mut self) -> Result<(), ChaosError> {
        let rights = Rights { server: self.site.server.own().is_some(), disk: self.site.disk.is_some() };
        let choice = Fault::choice(rights);
        self.start_engine()?;
        while self.report.faults() < self.options.faults && !self.is_over() {
            self.site.application.write();
            let time = self.chance.millis(50, 300);
            self.pause(time);
            let mut faults = vec![self.chance.weighted(&choice)];
            if self.report.faults() + 2 <= self.options.faults && self.chance.once_in(6) {
                faults.push(self.chance.weighted(&choice));
            }
            for &fault in &faults {
                match self.inflict(fault)? {
                    true => *self.report.done.entry(fault).or_default() += 1,
                    false => self.report.missed += 1,
                }
            }
            let time = self.chance.millis(0, 100);
            self.pause(time);
            let findings = self.compare()?;
            if self.options.stop.load(Ordering::Relaxed) {
                // It may not have caught up.
                break;
            }
            if !findings.is_clean() {
                let last_words = self.site.engine.last_words(LAST_WORDS);
                self.report.failed = Some(Failed { faults, findings, last_words });
                if matches!(self.options.target, Target::Own(_)) {
                    // Its tables tell what went wrong, and the server's files are kept.
                    self.site.scratch.keep();
                }
                return Ok(());
            }
            (self.options.progress)(&self.report);
        }
        self.report.interrupted = self.options.stop.load(Ordering::Relaxed);
        Ok(())
    }

    fn is_over(&self) -> bool {
        // What is never played, since the engine makes no inserts, does not go on for ever.
        self.options.stop.load(Ordering::Relaxed)
            || self.options.time.is_some_and(|time| self.begin.elapsed() >= time)
            || self.report.missed > self.options.faults + 20
    }

    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.options.stop.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn start_engine(&mut self) -> Result<(), ChaosError> {
        self.site.engine.start().map_err(at("start", &self.options.engine))?;
        self.report.engine_starts = self.site.engine.starts;
        Ok(())
    }

    fn kill_engine(&mut self) -> Result<(), ChaosError> {
        self.site.engine.kill().map_err(at("kill", &self.options.engine))
    }

    /// Does something bad, and undoes what has to be undone. False if there was no occasion.
    fn inflict(&mut self, fault: Fault) -> Result<bool, ChaosError> {
        match fault {
            Fault::KillEngine => self.engine_dies()?,
            Fault::KillEngineAtAnswer => {
                let time = self.chance.millis(500, 1_000);
                if !self.plays(Trick::Hold(time)) {
                    return Ok(false);
                }
                self.engine_dies()?;
            }
            Fault::KillServer => self.server_dies()?,
            Fault::KillServerInInsert => {
                if !self.plays(Trick::Tell) {
                    return Ok(false);
                }
                self.server_dies()?;
            }
            Fault::KillBoth => {
                self.kill_engine()?;
                self.server_dies()?;
                self.start_engine()?;
            }
            Fault::FreezeEngine => {
                let time = self.chance.millis(200, 1_500);
                self.site.engine.set_frozen(true);
                self.pause(time);
                self.site.engine.set_frozen(false);
            }
            Fault::FreezeServer => self.server_freezes(),
            Fault::StopEngine => return self.engine_stops(),
            Fault::CutBefore => return Ok(self.plays(Trick::CutBefore)),
            Fault::CutWithin => return Ok(self.plays(Trick::CutWithin)),
            Fault::CutAfter => return Ok(self.plays(Trick::CutAfter)),
            Fault::HoldAnswer => {
                let time = self.chance.millis(200, 1_500);
                return Ok(self.plays(Trick::Hold(time)));
            }
            Fault::NetworkAway => {
                let time = self.chance.millis(100, 1_000);
                self.site.proxy.set_open(false);
                self.pause(time);
                self.site.proxy.set_open(true);
            }
            Fault::FullDisk => self.disk_fills()?,
            Fault::AddEngine | Fault::RemoveEngine | Fault::BrokersAway => {
                unreachable!("{fault} is a fault of a consumer group, which is not among the choice")
            }
        }
        Ok(true)
    }

    /// Waits for one of the next inserts, of whichever table, and plays that trick on it.
    fn plays(&mut self, trick: Trick) -> bool {
        let skip = self.chance.below(8);
        self.site.proxy.arm(trick, skip);
        self.site.proxy.played(INSERT_PATIENCE, self.options.stop)
    }

    fn engine_dies(&mut self) -> Result<(), ChaosError> {
        self.kill_engine()?;
        let time = self.chance.millis(0, 400);
        self.pause(time);
        self.start_engine()
    }

    fn server_dies(&mut self) -> Result<(), ChaosError> {
        let time = self.chance.millis(0, 800);
        if let Some(server) = self.site.server.own() {
            server.kill();
        }
        self.pause(time);
        self.site.server.own().map_or(Ok(()), |server| server.start())
    }

    fn server_freezes(&mut self) {
        let time = self.chance.millis(200, 1_500);
        if let Some(server) = self.site.server.own() {
            server.set_frozen(true);
        }
        self.pause(time);
        if let Some(server) = self.site.server.own() {
            server.set_frozen(false);
        }
    }

    /// SIGTERM; what an end by it looks like is part of what is tested.
    fn engine_stops(&mut self) -> Result<bool, ChaosError> {
        let begin = Instant::now();
        while !self.site.engine.catches_sigterm() {
            if begin.elapsed() > INSERT_PATIENCE {
                return Ok(false);
            }
            self.pause(Duration::from_millis(1));
        }
        let status = self.site.engine.terminate().map_err(at("stop", &self.options.engine))?;
        // Drained; or not all of it, if ClickHouse was away until now; or not begun, for the same reason.
        let is_good =
            |status: ExitStatus| matches!(status.code(), Some(0 | 130)) || self.site.engine.did_not_start(status);
        if !status.is_some_and(is_good) {
            let how = status.map_or("not in time, and was killed".to_owned(), |status| status.to_string());
            self.report.complaints.push(format!("the engine was sent SIGTERM and ended {how}"));
        }
        let time = self.chance.millis(0, 400);
        self.pause(time);
        self.start_engine()?;
        Ok(true)
    }

    fn disk_fills(&mut self) -> Result<(), ChaosError> {
        let time = self.chance.millis(300, 1_200);
        let Some(disk) = &self.site.disk else { return Ok(()) };
        disk.fill().map_err(at("fill the disk of", &self.site.folder))?;
        self.pause(time);
        disk.clear().map_err(at("empty the disk of", &self.site.folder))
    }

    /// The application rests, the engine catches up, and everything is compared.
    fn compare(&mut self) -> Result<Findings, ChaosError> {
        let records = {
            let writer = self.site.application.rest().map_err(at("write logs in", &self.site.folder))?;
            writer.books.records
        };
        let begin = Instant::now();
        let mut stuck = self.catch_up(records, begin)?;
        let mut findings = loop {
            let writer = self.site.application.rest().map_err(at("write logs in", &self.site.folder))?;
            match audit(self.site.scratch.clickhouse(), &writer.books) {
                Ok(findings) => break findings,
                // It may have ended by itself only now.
                Err(error) if begin.elapsed() >= CATCH_UP_PATIENCE => return Err(error.into()),
                Err(_) => {
                    drop(writer);
                    stuck = self.catch_up(records, begin)?;
                }
            }
        };
        findings.details.splice(0..0, stuck.into_iter().chain(self.report.complaints.drain(..)));
        let mut writer = self.site.application.rest().map_err(at("write logs in", &self.site.folder))?;
        writer.all_read();
        self.report.compared += 1;
        self.report.records = writer.books.records;
        self.report.rows = writer.books.rows.len() as u64;
        self.report.dead = writer.books.dead_count;
        Ok(findings)
    }

    /// Waits until the ledger has all records; why it has not, if it has not.
    fn catch_up(&mut self, records: u64, begin: Instant) -> Result<Option<String>, ChaosError> {
        loop {
            self.tend()?;
            let state = match stored(self.site.clickhouse()) {
                // More than were written: the comparison says which.
                Ok(found) if found >= records => return Ok(None),
                Ok(found) => format!("{found} of {records} records are in the ledger"),
                Err(error) => format!("ClickHouse does not answer ({error})"),
            };
            let seconds = begin.elapsed().as_secs();
            if self.options.stop.load(Ordering::Relaxed) {
                return Ok(Some(format!("interrupted {seconds} s after the faults: {state}")));
            }
            if begin.elapsed() >= CATCH_UP_PATIENCE {
                return Ok(Some(format!("{seconds} s after the faults, {state}")));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts what has ended by itself again, as a service manager does.
    fn tend(&mut self) -> Result<(), ChaosError> {
        if let Some(server) = self.site.server.own()
            && server.tend()?
        {
            self.report.server_ends += 1;
        }
        if let Some(status) = self.site.engine.tend().map_err(at("start", &self.options.engine))? {
            self.report.complaints.push(format!("the engine ended by itself: {status}"));
        }
        self.report.engine_starts = self.site.engine.starts;
        Ok(())
    }
}
