//! What following many idle files costs: memory, and CPU time with events and with scans alone.
//!
//! `cargo run --release -p longshore-ingest --example follow_idle -- FILES SECONDS`

use std::time::{Duration, Instant};

use longshore_core::limits::{FOLLOW_FILES_MAX, FOLLOW_HANDLES_MAX, FOLLOW_LET_GO_MS};
use longshore_ingest::follow::{Change, FollowOptions, Follower};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let files = arguments.next().transpose()?.unwrap_or(10_000).min(FOLLOW_FILES_MAX as u64);
    let seconds = arguments.next().transpose()?.unwrap_or(60).min(600);
    let folder = tempfile::tempdir()?;
    for number in 0..files {
        let line = format!("{{\"file\":{number},\"text\":\"a record\"}}\n");
        std::fs::write(folder.path().join(format!("{number:05}.log")), line.repeat(40))?;
    }
    println!("{files} files of some 1,400 bytes, {seconds} s each; resident before: {} KiB", resident_kib()?);
    for events in [true, false] {
        let patterns = vec![folder.path().join("*.log").into()];
        let options = FollowOptions {
            patterns,
            events,
            handles_max: FOLLOW_HANDLES_MAX,
            let_go: Duration::from_millis(FOLLOW_LET_GO_MS),
        };
        let mut follower = Follower::new(&options, [])?;
        let begin = cpu_seconds();
        let found =
            follower.wait(Duration::ZERO).iter().filter(|change| matches!(change, Change::Found { .. })).count();
        let first = cpu_seconds() - begin;
        let (begin, until) = (cpu_seconds(), Instant::now() + Duration::from_secs(seconds));
        while Instant::now() < until {
            let changes = follower.wait(until.saturating_duration_since(Instant::now()));
            assert!(changes.is_empty(), "nobody writes: {changes:?}");
        }
        let idle = cpu_seconds() - begin;
        println!(
            "events {events}: {found} found in {first:.3} CPU s; then {:.3} % of a core; resident {} KiB; {} open",
            100.0 * idle / seconds as f64,
            resident_kib()?,
            follower.handles()
        );
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
