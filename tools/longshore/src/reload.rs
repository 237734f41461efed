//! SIGHUP: reads the config and what it names again, and has what is cut from then on processed as they say now.
//!
//! A slice keeps the config that it was cut under, whatever comes after. A config that has mistakes, that the tables do not
//! fit, or that changes what is fixed while the service runs is refused as a whole, with all that is wrong in the log, and
//! the one of before goes on. While ClickHouse is away it cannot be compared with the tables: it waits, and so does nothing
//! else.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender};
use std::time::Duration;

use longshore_core::budget::Command;
use longshore_core::config::{ClickHouseSpec, Config, PipelineSpec, RunSpec};
use longshore_core::limits::CONFIG_PROBLEMS_SHOWN;
use longshore_core::words::plural;
use longshore_ingest::service::Plan;
use longshore_sinks::clickhouse::{ClickHouse, ClientError, Schema};

use crate::bundle::Bundle;
use crate::metrics::Metrics;
use crate::output::whole;
use crate::run::processing::Processing;
use crate::{config_file, exposed, guarantee};

/// How long a ClickHouse that is away is left alone.
const AWAY_WAIT: Duration = Duration::from_secs(5);

/// Reloads what a service processes its slices by.
pub(crate) struct Reload {
    pub(crate) path: PathBuf,
    /// The config in force.
    pub(crate) config: Config,
    /// Its text, with the dictionary.
    pub(crate) text: String,
    pub(crate) client: ClickHouse,
    pub(crate) processing: Arc<Processing>,
    pub(crate) metrics: Arc<Metrics>,
    /// Who has rollups count what is stored without them.
    pub(crate) completing: Sender<Schema>,
}

/// What may come into force.
struct Candidate {
    config: Config,
    text: String,
}

/// What became of a reload.
enum Outcome {
    Applied,
    /// All that is wrong.
    Refused(Vec<String>),
    /// It cannot be told yet.
    Away(String),
}

impl Reload {
    /// Reloads at each signal, until the process ends: a thread that waits for ClickHouse must not keep it from that.
    pub(crate) fn start(mut self, hangups: Receiver<()>) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("reload".into());
        thread.spawn(move || self.serve(&hangups)).map(drop)
    }

    fn serve(&mut self, hangups: &Receiver<()>) {
        let mut asked = hangups.recv();
        while asked.is_ok() {
            tracing::info!("SIGHUP: reading {} again", self.path.display());
            asked = match self.candidate() {
                Ok(candidate) => self.until_told(candidate, hangups),
                Err(mistakes) => {
                    self.refuse(&mistakes);
                    hangups.recv()
                }
            };
        }
    }

    /// Applies or refuses a candidate once ClickHouse is there, unless another signal makes it old. The next signal.
    fn until_told(&mut self, candidate: Candidate, hangups: &Receiver<()>) -> Result<(), RecvError> {
        loop {
            match self.judge(&candidate) {
                Outcome::Applied => {
                    exposed::warn(&candidate.config);
                    (self.config, self.text) = (candidate.config, candidate.text);
                    self.metrics.reloaded(true);
                    return hangups.recv();
                }
                Outcome::Refused(mistakes) => {
                    self.refuse(&mistakes);
                    return hangups.recv();
                }
                Outcome::Away(why) => {
                    tracing::warn!(
                        "the new config waits until it can be compared with the tables: {why}; the one of before goes on"
                    );
                    match hangups.recv_timeout(AWAY_WAIT) {
                        Ok(()) => return Ok(()),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                    }
                }
            }
        }
    }

    fn refuse(&self, mistakes: &[String]) {
        for mistake in mistakes {
            tracing::error!("reload: {mistake}");
        }
        let path = self.path.display();
        let count = plural(mistakes.len(), "mistake");
        tracing::error!(
            "the reload is refused for {count}, the config of before goes on; `longshore validate -c {path}` shows \
             what is wrong with it, and SIGHUP tries again"
        );
        self.metrics.reloaded(false);
    }

    /// Reads everything that can be read without ClickHouse, or says all that is wrong.
    fn candidate(&self) -> Result<Candidate, Vec<String>> {
        let one = |error: anyhow::Error| vec![whole(&error)];
        let text = config_file::text(&self.path).map_err(one)?;
        let config = config_file::check(&text, &self.path).map_err(|problems| {
            problems.iter().take(CONFIG_PROBLEMS_SHOWN).map(ToString::to_string).collect::<Vec<_>>()
        })?;
        let mut mistakes = fixed(&self.config, &config);
        mistakes.extend(config_file::keyring(&config).err().map(|error| whole(&error)));
        let bundle = match Bundle::read(text, &self.path, &config) {
            Ok(bundle) => {
                match bundle.dictionary(&config) {
                    Ok(dictionary) => {
                        let memory = config_file::memory(&config, dictionary.as_ref(), Command::Run);
                        mistakes.extend(memory.err().map(|error| whole(&error)));
                    }
                    Err(error) => mistakes.push(whole(&error)),
                }
                Some(bundle)
            }
            Err(error) => {
                mistakes.push(whole(&error));
                None
            }
        };
        match bundle {
            Some(bundle) if mistakes.is_empty() => Ok(Candidate { text: bundle.text(), config }),
            _ => Err(mistakes),
        }
    }

    /// Compares a candidate with the tables, and puts it into force if it fits.
    fn judge(&self, candidate: &Candidate) -> Outcome {
        let Candidate { config, text } = candidate;
        match guarantee::objections(&self.client, config, &self.path) {
            Ok(objections) if objections.is_empty() => {}
            Ok(objections) => return Outcome::Refused(objections),
            Err(error) if error.is_transient() => return Outcome::Away(error.to_string()),
            Err(error) => return Outcome::Refused(vec![error.to_string()]),
        }
        let plan: Plan = match self.processing.make(text) {
            Ok(plan) => plan,
            Err(error) => {
                let transient = error.downcast_ref::<ClientError>().is_some_and(ClientError::is_transient);
                let why = whole(&error);
                return if transient { Outcome::Away(why) } else { Outcome::Refused(vec![why]) };
            }
        };
        if let Err(error) = self.processing.keep(text) {
            let why = error.to_string();
            return if error.is_transient() { Outcome::Away(why) } else { Outcome::Refused(vec![why]) };
        }
        let hash = self.processing.replace(text, plan);
        match *text == self.text {
            true => tracing::info!("reloaded: config and dictionary are as before; keys were read again"),
            false => {
                let changes = changes(self, candidate);
                tracing::info!("reloaded: {changes}; what is cut from now on is processed under config {hash}");
            }
        }
        // The thread is there as long as this one.
        let _ = self.completing.send(Schema::from_config(config));
        Outcome::Applied
    }
}

/// What cannot change while a service runs, and did.
fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let ClickHouseSpec { server, database, inserts_in_flight, compression, guarantee: _, fsync: _ } = &new.clickhouse;
    let PipelineSpec { slice_bytes: _, workers, memory_max } = &new.pipeline;
    let RunSpec { journal, slice_age, drain, metrics, machine } = &new.run;
    let changed = [
        ("[[source]]", old.sources != new.sources),
        ("the server of [clickhouse]", old.clickhouse.server != *server),
        ("clickhouse.database", old.clickhouse.database != *database),
        ("clickhouse.inserts_in_flight", old.clickhouse.inserts_in_flight != *inserts_in_flight),
        ("clickhouse.compression", old.clickhouse.compression != *compression),
        ("pipeline.workers", old.pipeline.workers != *workers),
        ("pipeline.memory_max", old.pipeline.memory_max != *memory_max),
        ("run.journal", old.run.journal != *journal),
        ("run.slice_age", old.run.slice_age != *slice_age),
        ("run.drain", old.run.drain != *drain),
        ("run.metrics", old.run.metrics != *metrics),
        ("run.machine", old.run.machine != *machine),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(what, _)| format!("{what} is fixed while the service runs: set it back, or restart")).collect()
}

/// What is another than before, by section; columns by their names.
fn changes(now: &Reload, candidate: &Candidate) -> String {
    let (old, new) = (&now.config, &candidate.config);
    let mut changes = Vec::new();
    let named = |config: &Config, name: &str| config.columns.iter().find(|column| *column.name == *name).cloned();
    let gone = old.columns.iter().filter(|column| named(new, &column.name).is_none());
    changes.extend(gone.map(|column| format!("without column {}", column.name)));
    for column in &new.columns {
        match named(old, &column.name) {
            None => changes.push(format!("with column {}", column.name)),
            Some(before) if before != *column => changes.push(format!("column {}", column.name)),
            Some(_) => {}
        }
    }
    let sections = [
        ("[decode]", old.decode != new.decode),
        ("[products]", old.products != new.products),
        ("the product dictionary", Bundle::parse(&now.text).dictionary != Bundle::parse(&candidate.text).dictionary),
        ("[[filter]]", old.filters != new.filters),
        ("[table]", old.table != new.table),
        ("[[rollup]]", old.rollups != new.rollups),
        ("[clickhouse]", old.clickhouse != new.clickhouse),
        ("[pipeline]", old.pipeline != new.pipeline),
    ];
    changes.extend(sections.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section.to_owned()));
    if changes.is_empty() {
        return "only how the file is written has changed".to_owned();
    }
    format!("changed: {}", changes.join(", "))
}
