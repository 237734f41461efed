//! The records that the parse benches run on: a shape a module, the same bytes from the same seed on every machine.

mod ad_event;
mod channel;
mod nested;
mod wide;

use std::path::Path;

use crate::rng::Rng;

/// Seed of all inputs.
pub const SEED: u64 = 1;
/// First event time, ms since 1970: 2026-11-20T08:00:00Z.
const START_MS: u64 = 1_795_161_600_000;

/// A config and the records to decode under it.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Name on the command line and in the results.
    pub name: &'static str,
    /// The config's text.
    pub config: &'static str,
    /// That many records, a line each. A file that the config names is written into the folder.
    pub generate: fn(records: u64, folder: &Path) -> Vec<u8>,
}

/// All of them. Two may share their records and differ in the config.
pub const WORKLOADS: [Workload; 7] = [
    Workload { name: "channel-log", config: CHANNEL_LOG, generate: channel::plain },
    Workload { name: "off-template", config: CHANNEL_LOG, generate: channel::off_template },
    Workload { name: "shuffled-keys", config: CHANNEL_LOG, generate: channel::shuffled },
    Workload { name: "wide-5", config: include_str!("../../configs/wide-5.toml"), generate: wide::records },
    Workload { name: "wide-100", config: include_str!("../../configs/wide-100.toml"), generate: wide::records },
    Workload { name: "ad-event", config: include_str!("../../configs/ad-event.toml"), generate: ad_event::records },
    Workload { name: "nested", config: include_str!("../../configs/nested.toml"), generate: nested::records },
];

/// Config of the channel log, 17 columns. The line `# ENVELOPE` stands where an envelope's section goes.
pub const CHANNEL_LOG: &str = include_str!("../../configs/channel-log.toml");

impl Workload {
    /// The workload of that name.
    pub fn named(name: &str) -> Option<Workload> {
        WORKLOADS.into_iter().find(|workload| workload.name == name)
    }
}

/// Event times that grow by about a millisecond a record and jitter by three seconds, as they do behind a load balancer.
fn event_time(record: u64, rng: &mut Rng) -> u64 {
    START_MS + record + rng.below(3_000)
}

/// A random UUID's text.
fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.bits(), rng.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 50),
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests;
