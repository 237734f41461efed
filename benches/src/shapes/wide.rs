//! Wide records: an event time and 99 attributes of five kinds, of which a config declares five or all.

use std::fmt::Write as _;
use std::path::Path;

use super::{SEED, event_time};
use crate::rng::Rng;

const WORDS: [&str; 8] =
    ["alpha", "checkout", "recommendation", "north-west", "v2.14.0-rc1", "unknown", "/api/v1/items", "Ünïcode"];
const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

/// Fields of a record, the time included.
pub(super) const FIELDS: usize = 100;

pub(super) fn records(records: u64, _: &Path) -> Vec<u8> {
    let mut rng = Rng::new(SEED);
    let mut out = String::with_capacity(records as usize * 2_300);
    for record in 0..records {
        let time = event_time(record, &mut rng);
        write!(out, r#"{{"ts":{time}"#).expect("a string takes any text");
        for field in 1..FIELDS {
            write!(out, r#","{}":"#, name(field)).expect("a string takes any text");
            value(field, &mut rng, &mut out);
        }
        out.push_str("}\n");
    }
    out.into_bytes()
}

/// Name of a field after the time; the prefix says what it holds.
pub(super) fn name(field: usize) -> String {
    let kind = ["level", "text", "count", "ratio", "flag"][field % 5];
    format!("{kind}_{field:02}")
}

fn value(field: usize, rng: &mut Rng, out: &mut String) {
    let written = match field % 5 {
        0 => write!(out, r#""{}""#, rng.pick(&LEVELS)),
        1 => write!(out, r#""{}-{}""#, rng.pick(&WORDS), rng.below(10_000)),
        2 => write!(out, "{}", rng.below(1 << (8 + field % 40))),
        3 => write!(out, "{}.{:03}", rng.below(1_000), rng.below(1_000)),
        _ => write!(out, "{}", rng.below(2) == 1),
    };
    written.expect("a string takes any text");
}
