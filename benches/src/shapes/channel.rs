//! The channel log, 17 keys a record, by loggen; and two variants that break what a parser would like to assume.

use std::path::Path;

use loggen::Options;
use serde_json::value::RawValue;

use super::SEED;
use crate::rng::Rng;
use crate::twin::object;

/// One record in so many is off the template.
const OFF_TEMPLATE_ONE_IN: u64 = 100;

/// As the log is written: the keys in one order, no white space.
pub(super) fn plain(records: u64, folder: &Path) -> Vec<u8> {
    generated(records, false, folder)
}

/// The keys in another order in every record.
pub(super) fn shuffled(records: u64, folder: &Path) -> Vec<u8> {
    generated(records, true, folder)
}

/// The plain log in which one record of a hundred is written differently, with the same values.
pub(super) fn off_template(records: u64, folder: &Path) -> Vec<u8> {
    let plain = plain(records, folder);
    let mut rng = Rng::new(SEED ^ 0x0ff);
    let mut out = Vec::with_capacity(plain.len() + plain.len() / 64);
    for line in plain.split_inclusive(|&byte| byte == b'\n') {
        if rng.below(OFF_TEMPLATE_ONE_IN) == 0 {
            let text = std::str::from_utf8(line).expect("loggen writes UTF-8");
            out.extend_from_slice(rewritten(text.trim_end(), &mut rng).as_bytes());
            out.push(b'\n');
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

/// The same record in one of the ways in which another producer's serializer would write it.
fn rewritten(record: &str, rng: &mut Rng) -> String {
    let mut fields = object(record);
    let (mut colon, mut comma) = (":", ",");
    match rng.below(4) {
        // White space.
        0 => (colon, comma) = (": ", ", "),
        // Another order.
        1 => {
            let split = 1 + rng.below(fields.len() as u64 - 1) as usize;
            fields.rotate_left(split);
        }
        // A null left out instead of written, where there is one.
        2 => fields.retain(|(_, value)| value.get() != "null"),
        // A key that is not declared.
        _ => {
            let value = serde_json::value::to_raw_value(&rng.below(1_000_000)).expect("a number");
            let place = rng.below(fields.len() as u64) as usize;
            let mut with_more: Vec<String> = pairs(&fields, colon);
            with_more.insert(place, format!("\"trace_id\":{}", value.get()));
            return format!("{{{}}}", with_more.join(comma));
        }
    }
    format!("{{{}}}", pairs(&fields, colon).join(comma))
}

fn pairs(fields: &[(String, &RawValue)], colon: &str) -> Vec<String> {
    fields.iter().map(|(key, value)| format!("\"{key}\"{colon}{}", value.get())).collect()
}

fn generated(records: u64, shuffle_keys: bool, folder: &Path) -> Vec<u8> {
    let products_file = Some(folder.join("products.csv"));
    let options = Options { records, seed: SEED, broken_rate: 0.0, shuffle_keys, products_file, ..Options::default() };
    let mut bytes = Vec::new();
    loggen::generate(&options, &mut bytes).expect("valid options, and a folder that can be written");
    bytes
}
