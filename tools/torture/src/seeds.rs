//! Many seeds on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::check::Findings;
use crate::env::lock;
use crate::simulation::{Options, Report, simulate};

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Records that were lost in all of them.
    pub lost: u64,
    /// Records that were there more than once.
    pub twice: u64,
    /// Faults and deaths.
    pub faults: u64,
    /// Records that were written.
    pub records: u64,
    /// Seeds with findings, in order.
    pub failed: Vec<(u64, Findings)>,
}

impl Summary {
    fn add(&mut self, seed: u64, report: Report) {
        self.seeds += 1;
        self.faults += report.faults();
        self.records += report.records;
        self.lost += report.findings.lost;
        self.twice += report.findings.twice;
        if !report.findings.is_clean() {
            self.failed.push((seed, report.findings));
        }
    }
}

/// Runs `count` seeds from `from` on, on so many threads, and tells how many are done now and then.
pub fn run(from: u64, count: u64, threads: usize, options: Options, progress: &(dyn Fn(u64) + Sync)) -> Summary {
    let next = AtomicU64::new(from);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(count) {
                        return;
                    }
                    let report = simulate(seed, options);
                    let mut summary = lock(&summary);
                    summary.add(seed, report);
                    progress(summary.seeds);
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary.failed.sort_by_key(|&(seed, _)| seed);
    summary
}

/// The first seed from nought on in which a run with these options goes wrong.
pub fn first_found(seeds: u64, options: Options) -> Option<(u64, Findings)> {
    (0..seeds).map(|seed| (seed, simulate(seed, options).findings)).find(|(_, findings)| !findings.is_clean())
}
