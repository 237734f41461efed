//! What a run came to, as data and as text.

use std::fmt;
use std::time::Duration;

use longshore_core::words::plural;

use crate::audit::Findings;
use crate::faults::{Counts, Fault};

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Of records and faults.
    pub seed: u64,
    /// Faults that were done, by kind.
    pub done: Counts,
    /// Faults that had no occasion: no insert came.
    pub missed: u64,
    /// How often everything was compared.
    pub compared: u64,
    /// Records that were written.
    pub records: u64,
    /// Those of them that are rows.
    pub rows: u64,
    /// Those that are dead letters.
    pub dead: u64,
    /// How often the engine was started.
    pub engine_starts: u64,
    /// How often a ClickHouse of our own ended by itself, which is a fault of its own that is not counted.
    pub server_ends: u64,
    /// Whether a small disk could be mounted for the journal, if one was wanted.
    pub disk: Option<bool>,
    /// How long it took.
    pub time: Duration,
    /// A stop was asked for before all was done.
    pub interrupted: bool,
    /// What went wrong.
    pub failed: Option<Failed>,
    /// What the engine did that it should not, since the last comparison.
    pub(crate) complaints: Vec<String>,
}

/// What went wrong.
#[derive(Debug)]
pub struct Failed {
    /// After which faults.
    pub faults: Vec<Fault>,
    /// What is wrong.
    pub findings: Findings,
    /// The last lines of the engine's log.
    pub last_words: String,
}

impl Report {
    /// How many faults were done.
    pub fn faults(&self) -> u64 {
        self.done.values().sum()
    }

    /// Whether nothing was found wrong, and there was something to find.
    pub fn is_clean(&self) -> bool {
        self.failed.is_none() && self.compared > 0
    }
}

impl fmt::Display for Report {
    /// A table of the faults, what was compared, what is wrong, and last the verdict in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, count) in &self.done {
            writeln!(f, "{count:>6}  {fault}")?;
        }
        if self.disk == Some(false) {
            writeln!(f, "     0  disk of the journal full: NOT TESTED, a small disk cannot be mounted here")?;
        }
        if self.missed > 0 {
            writeln!(f, "        {} more had no occasion and are not counted", self.missed)?;
        }
        if self.server_ends > 0 {
            writeln!(
                f,
                "        ClickHouse ended by itself {} and was started again",
                plural(self.server_ends, "time")
            )?;
        }
        let Report { records, rows, dead, compared, engine_starts, .. } = self;
        writeln!(
            f,
            "{}, of which {}, {} and {} filtered, in {:.0} s; the engine was started {}",
            plural(*records, "record"),
            plural(*rows, "row"),
            plural(*dead, "dead letter"),
            records - rows - dead,
            self.time.as_secs_f64(),
            plural(*engine_starts, "time"),
        )?;
        let compared = plural(*compared, "time");
        writeln!(f, "compared {compared}: events, every rollup, dead letters and ledger")?;
        if self.interrupted {
            writeln!(f, "INTERRUPTED before all was done: what follows was true at the last comparison")?;
        }
        let (lost, twice) = match &self.failed {
            None => (0, 0),
            Some(Failed { faults, findings, last_words }) => {
                let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
                writeln!(f, "WRONG after fault {} ({}), seed {}:", self.faults(), faults.join(", then "), self.seed)?;
                findings.details.iter().try_for_each(|detail| writeln!(f, "  {detail}"))?;
                writeln!(f, "the engine's last words:")?;
                last_words.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
                (findings.lost, findings.twice)
            }
        };
        write!(f, "lost {lost}, twice {twice}, faults {}", self.faults())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            seed: 7,
            done: Counts::from([(Fault::KillEngine, 2), (Fault::CutAfter, 1)]),
            compared: 3,
            records: 100,
            rows: 80,
            dead: 5,
            engine_starts: 3,
            time: Duration::from_secs(6),
            ..Report::default()
        }
    }

    #[test]
    fn the_last_line_is_the_verdict_and_the_faults_are_added_up() {
        let report = report();
        assert!(report.is_clean());
        assert_eq!(
            report.to_string(),
            "     2  engine killed (kill -9)\n     1  connection cut before an acknowledgement\n\
             100 records, of which 80 rows, 5 dead letters and 15 filtered, in 6 s; the engine was started 3 times\n\
             compared 3 times: events, every rollup, dead letters and ledger\n\
             lost 0, twice 0, faults 3"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_the_seed_and_what_was_not_done_is_told_too() {
        let findings = Findings { lost: 1, twice: 0, details: vec!["record 9 is nowhere".to_owned()] };
        let failed = Failed { faults: vec![Fault::CutAfter], findings, last_words: "bye".to_owned() };
        let report = Report { failed: Some(failed), disk: Some(false), missed: 4, ..report() };
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(text.contains("WRONG after fault 3 (connection cut before an acknowledgement), seed 7:"), "{text}");
        assert!(text.contains("\n  record 9 is nowhere\nthe engine's last words:\n  bye\n"), "{text}");
        assert!(text.contains("NOT TESTED") && text.contains("4 more had no occasion"), "{text}");
        assert!(text.ends_with("lost 1, twice 0, faults 3"), "{text}");
    }

    #[test]
    fn a_run_without_a_comparison_proves_nothing() {
        assert!(!Report { compared: 0, ..report() }.is_clean());
        assert!(Report { interrupted: true, ..report() }.to_string().contains("INTERRUPTED"));
    }
}
