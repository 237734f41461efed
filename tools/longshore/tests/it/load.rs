//! Whole loads of logs with late, unordered, repeated and broken records: every figure that an analyst can ask for is
//! what the generator computed from what it knows, to the last cent.

use std::fs;
use std::path::PathBuf;

use loggen::{Cipher, Envelope, Event, Options};
use serde_json::json;

use crate::support::channel_log::{
    assert_letters_are_of_the_source, assert_right, assert_summary, assert_tables, assert_verified, assert_views,
    config, envelope, generate, options, sealed,
};
use crate::support::shared::Site;

const RECORDS: u64 = 60_000;
const PLAIN: &str = "format = \"json\"";

/// The parts of a log with these shares of its lines.
fn split(log: &[u8], shares: &[usize]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    let total: usize = shares.iter().sum();
    let mut start = 0;
    let mut sum = 0;
    let part = |share: &usize| {
        sum += share;
        let end = lines.len() * sum / total;
        let part = lines[start..end].concat();
        start = end;
        part
    };
    shares.iter().map(part).collect()
}

#[test]
fn a_plain_log_gives_every_answer() {
    let site = Site::new("plain");
    let (log, right) = generate(&site, &options(&site, 101, RECORDS));
    assert_eq!(right.dead.len(), 5, "every reason that a plain log can have: {:?}", right.dead);
    let config = site.config(&config(PLAIN));
    let loaded = site.load(&config, &[&log]);
    assert_right(&site, &loaded, &right);
    assert_views(&site, "1");
    assert_letters_are_of_the_source(&site, &log, 0);
    assert_eq!(loaded["bytes"].as_u64(), Some(right.uncompressed_bytes));
}

#[test]
fn loading_everything_twice_changes_nothing() {
    let site = Site::new("twice");
    let (log, right) = generate(&site, &options(&site, 102, RECORDS));
    let config = site.config(&format!("{}\n[pipeline]\nslice_bytes = \"4 MiB\"\n", config(PLAIN)));
    let first = site.load(&config, &[&log]);
    assert_summary(&first, &right);
    let parts_of_rollups = "SELECT table, sum(rows) FROM system.parts WHERE database = '{db}' AND active \
                            AND table IN ('events', 'dead_letters', 'ledger') GROUP BY table ORDER BY table";
    let before = site.execute(parts_of_rollups);
    let second = site.load(&config, &[&log]);
    assert_eq!((&second["records"], &second["slices"]), (&json!(0), &json!(0)));
    assert_eq!(second["skipped_slices"], first["slices"]);
    assert_eq!(second["skipped_bytes"].as_u64(), Some(right.uncompressed_bytes));
    assert_eq!(site.execute(parts_of_rollups), before);
    assert_tables(&site, &right);
    assert_verified(&site);
}

/// One log for each cipher in this envelope. The seeds differ, so the keys do, too.
fn every_cipher(layout: &str, of: Envelope, seed: u64) {
    for (number, cipher) in [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305].into_iter().enumerate() {
        let site = Site::new(&format!("sealed_{layout}"));
        let asked = sealed(&site, options(&site, seed + number as u64, RECORDS), of, cipher);
        let (log, right) = generate(&site, &asked);
        assert_eq!(right.dead.len(), 8, "every reason that a sealed log can have: {:?}", right.dead);
        let config = site.config(&config(&envelope(layout)));
        let loaded = site.load(&config, &[&log]);
        assert_right(&site, &loaded, &right);
        // A frame's letter begins at its length, which takes four bytes.
        let prefix_bytes = if of == Envelope::Frame { 4 } else { 0 };
        assert_letters_are_of_the_source(&site, &log, prefix_bytes);
    }
}

#[test]
fn tab_envelopes_of_every_cipher_give_every_answer() {
    every_cipher("tab", Envelope::Tab, 110);
}

#[test]
fn json_envelopes_of_every_cipher_give_every_answer() {
    every_cipher("json", Envelope::Json, 120);
}

#[test]
fn frames_of_every_cipher_give_every_answer() {
    every_cipher("frame", Envelope::Frame, 130);
}

#[test]
fn dropped_events_are_counted_as_filtered_and_nowhere_else() {
    let site = Site::new("filtered");
    let (log, right) =
        generate(&site, &Options { drop_events: vec![Event::Heartbeat], ..options(&site, 140, RECORDS) });
    assert!(right.filtered > 2_000, "{right:?}");
    let config = site.config(&format!("{}\n[[filter]]\ndrop = {{ event = \"heartbeat\" }}\n", config(PLAIN)));
    let loaded = site.load(&config, &[&log]);
    assert_right(&site, &loaded, &right);
    assert_eq!(site.ask("SELECT count() FROM {db}.events WHERE event = 'heartbeat'"), ["0"]);
}

#[test]
fn late_files_give_the_same_answers_as_files_in_order() {
    let site = Site::new("reversed");
    let (log, right) = generate(&site, &options(&site, 150, RECORDS));
    let parts = split(&fs::read(log).unwrap(), &[1, 30, 7, 20, 2]);
    let parts: Vec<PathBuf> =
        parts.iter().enumerate().map(|(number, part)| site.write(&format!("part-{number}"), part)).collect();
    let config = site.config(&config(PLAIN));
    // The parts stay apart, so that the query has to bring them together and no merge has done so before.
    assert!(site.command().args(["schema", "--apply", "-c"]).arg(&config).output().unwrap().status.success());
    for rollup in ["new_users_first_seen", "gmv", "pv_uv", "requests_by_ip"] {
        site.execute(&format!("SYSTEM STOP MERGES {{db}}.{rollup}"));
    }
    let mut records = 0;
    for part in parts.iter().rev() {
        records += site.load(&config, &[part])["records"].as_u64().unwrap();
    }
    assert_eq!(records, right.records);
    assert_tables(&site, &right);
    assert_verified(&site);
    assert_eq!(site.ask("SELECT uniqExact(source) FROM {db}.ledger"), ["5"]);
}

#[test]
fn many_inputs_of_one_load_are_as_good_as_one() {
    let site = Site::new("together");
    let asked = sealed(&site, options(&site, 151, RECORDS), Envelope::Tab, Cipher::Aes256Gcm);
    let (log, right) = generate(&site, &asked);
    for (number, part) in split(&fs::read(log).unwrap(), &[5, 1, 9, 3]).iter().enumerate() {
        site.write(&format!("app-{number}.sealed"), part);
    }
    let sources = "[[source]]\npaths = [\"app-[13].sealed\", \"app-0.sealed\"]\n[[source]]\npaths = [\"*-2.sealed\"]\n";
    let config = site.config(&format!("{sources}{}", config(&envelope("tab"))));
    let loaded = site.load::<PathBuf>(&config, &[]);
    assert_eq!(loaded["inputs"], json!(4));
    assert_right(&site, &loaded, &right);
}

#[test]
fn keys_in_any_order_and_many_small_slices_give_the_same_answers() {
    let site = Site::new("slices");
    let (log, right) = generate(&site, &Options { shuffle_keys: true, ..options(&site, 160, RECORDS) });
    let decode = format!("{PLAIN}\nrecord_bytes_max = \"4 KiB\"");
    let pipeline = "\n[pipeline]\nslice_bytes = \"64 KiB\"\nworkers = 3\n";
    let config = site.config(&format!("{}{pipeline}", config(&decode)));
    let loaded = site.load(&config, &[&log]);
    assert_right(&site, &loaded, &right);
    // No slice is longer than 64 KiB.
    let slices = loaded["slices"].as_u64().unwrap();
    assert!(slices >= right.uncompressed_bytes.div_ceil(65_536), "{slices}");
    assert_eq!(site.ask("SELECT count() FROM {db}.ledger"), [slices.to_string()]);
    // Slices lie side by side, from the first byte to the last.
    let slices = site.ask("SELECT start, `end` FROM {db}.ledger ORDER BY start");
    let mut end = "0".to_owned();
    for slice in slices {
        let (start, next) = slice.split_once('\t').unwrap();
        assert_eq!(start, end);
        end = next.to_owned();
    }
    assert_eq!(end, right.uncompressed_bytes.to_string());
}

#[test]
fn records_of_unknown_products_go_to_the_default_with_the_dictionarys_columns() {
    let site = Site::new("products");
    let (log, right) = generate(&site, &options(&site, 170, RECORDS));
    let dictionary = fs::read_to_string(site.path("products.csv")).unwrap();
    site.write("products.csv", format!("{dictionary}other,Other,\"none, yet\",,\n"));
    let config = config(PLAIN).replace(
        "unknown = \"dead_letter\"",
        "unknown = \"default\"\ndefault = \"other\"\nadd = [\"family\", \"region\"]",
    );
    let loaded = site.load(&site.config(&config), &[&log]);

    let mut dead = right.dead.clone();
    let unknown = dead.remove("unknown_product").unwrap();
    assert_eq!(loaded["dead_by_reason"], serde_json::to_value(&dead).unwrap());
    assert_eq!(loaded["loaded"].as_u64(), Some(right.loaded + unknown));
    assert_eq!(loaded["loaded_by_product"]["other"].as_u64(), Some(unknown));
    let dead: u64 = dead.values().sum();
    let ledger = "SELECT sum(records), sum(loaded), sum(dead) FROM {db}.ledger";
    assert_eq!(site.ask(ledger), [format!("{}\t{}\t{dead}", right.records, right.loaded + unknown)]);
    // The known ones are as ever.
    assert_views(&site, "product != 'other'");

    let of_products = "SELECT product, product_family, product_region, count() FROM {db}.events \
                       GROUP BY ALL ORDER BY product";
    let mut expected = vec![format!("other\tnone, yet\t\t{unknown}")];
    for line in dictionary.lines().skip(1) {
        // id, name, family, owner, region; an owner in quotes may have a comma in it.
        let cells: Vec<&str> = line.split(',').collect();
        expected.push(format!(
            "{}\t{}\t{}\t{}",
            cells[0],
            cells[2],
            cells[cells.len() - 1],
            right.loaded_by_product[cells[0]]
        ));
    }
    assert_eq!(site.ask(of_products), expected);
}
