//! Input that is damaged, cut short, hostile or nonsense: every record of it is a row or a dead letter with its place
//! and its bytes, and its neighbours are loaded.

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use loggen::{Cipher, Envelope, Options, Summary};
use serde_json::{Value, json};

use crate::support::channel_log::{self, envelope, generate, sealed};
use crate::support::shared::Site;
use crate::support::small::{self, CONFIG, Letter, Log, assert_balance, letters, record, rows};

#[test]
fn an_empty_file_is_loaded_and_has_nothing() {
    for content in ["", "\n", "\r\n\r\n\n"] {
        let site = Site::new("empty");
        let loaded = Log { bytes: content.into(), ..Log::default() }.load(&site);
        assert_eq!((&loaded["inputs"], &loaded["records"]), (&json!(1), &json!(0)));
        assert_eq!(loaded["bytes"], json!(content.len()));
    }
}

#[test]
fn the_last_line_needs_no_ending() {
    Log::default().good("\n").bad("bad_json", "nonsense", "\n").good("").load(&Site::new("unended"));
    Log::default().good("\n").bad("bad_json", "{\"ts\":17951328000", "").load(&Site::new("unended"));
}

#[test]
fn lines_may_end_with_carriage_returns() {
    let log = Log::default().good("\r\n").bad("bad_json", "nonsense", "\r\n").good("\n").good("\r\n").good("\r");
    log.load(&Site::new("crlf"));
}

#[test]
fn a_line_of_200_megabytes_costs_itself_alone() {
    let site = Site::new("long");
    let head = format!("{}\n", record(1));
    let path = site.path("app.log");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    file.write_all(head.as_bytes()).unwrap();
    // "0123...": so that the head that is kept cannot come from anywhere else in the line.
    let block: Vec<u8> = (0..200_000_u32).flat_map(|n| format!("{n:010}").into_bytes()).collect();
    for _ in 0..100 {
        file.write_all(&block).unwrap();
    }
    file.write_all(format!("\n{}\n", record(3)).as_bytes()).unwrap();
    drop(file);

    let loaded = site.load(&site.config(CONFIG), &[&path]);
    assert_eq!(rows(&site), [1, 3]);
    let letter = Letter {
        reason: "too_long".to_owned(),
        offset: head.len() as u64,
        length: 200_000_000,
        record: block[..4096].to_vec(),
    };
    assert_eq!(letters(&site), [letter]);
    assert_balance(&site, 2, 1, 0);
    assert_eq!(loaded["bytes"].as_u64(), Some(fs::metadata(&path).unwrap().len()));
    let resident = loaded["peak_resident_bytes"].as_u64().unwrap();
    assert!(resident < 512 << 20, "{resident}");
    // It is not looked at again either.
    let again = site.load(&site.config(CONFIG), &[&path]);
    assert_eq!((&again["records"], &again["skipped_slices"]), (&json!(0), &loaded["slices"]));
}

#[test]
fn nul_bytes_are_no_json() {
    let site = Site::new("nul");
    let after = record(9);
    // At a line's beginning they are no part of it, and a line of them alone is none.
    let mut log = Log::default();
    log.bytes.extend([0; 1000]);
    log.bytes.extend(b"\n\0");
    let log = log
        .good("\n")
        .bad("bad_json", format!("{after}\0"), "\n")
        .bad("bad_json", r#"{"ts":1795132800000,"n":8,"user":"a_b"}"#.replace('_', "\0"), "\n")
        .bad("bad_json", r#"{"ts":1795132800000,"n":8,"other":"a_b"}"#.replace('_', "\0"), "\n")
        .good("\n");
    log.load(&site);
    // As an escape it is a character like any other.
    let escaped = site.write("escaped.log", r#"{"ts":1795132800000,"n":100,"user":"a\u0000b"}"#);
    site.load(&site.config(CONFIG), &[escaped]);
    assert_eq!(site.ask("SELECT hex(user) FROM {db}.events WHERE n = 100"), ["610062"]);
}

#[test]
fn bytes_that_are_not_utf8_are_dead_letters_wherever_they_stand() {
    // A lone continuation, an overlong `/`, a surrogate, a character cut short, one past U+10FFFF, Latin-1.
    let sequences: [&[u8]; 6] = [b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe4\xb8", b"\xf4\x90\x80\x80", b"caf\xe9"];
    let mut log = Log::default().good("\n");
    for bytes in sequences {
        for (key, before) in [("user", ""), ("other", "\"user\":\"a\","), ("user", "\"x\":{\"y\":[1]},")] {
            let start = format!("{{\"ts\":1795132800000,\"n\":77,{before}\"{key}\":\"");
            let record = [start.as_bytes(), bytes, b"\"}"].concat();
            log = log.bad("bad_utf8", record, "\n").good("\n");
        }
        let name = [b"{\"ts\":1795132800000,\"n\":77,\"", bytes, b"\":1}"].concat();
        log = log.bad("bad_utf8", name, "\n");
    }
    log.good("\n").load(&Site::new("utf8"));
}

#[test]
fn a_hundred_thousand_brackets_are_too_deep() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let (objects, ends) = ("{\"a\":".repeat(100_000), "}".repeat(100_000));
    let start = "{\"ts\":1795132800000,\"n\":77,";
    let log = Log::default()
        .good("\n")
        .bad("too_deep", format!("{start}\"other\":{open}{close}}}"), "\n")
        .bad("too_deep", format!("{start}\"user\":{open}{close}}}"), "\n")
        .bad("too_deep", format!("{start}\"other\":{open}"), "\n")
        .bad("too_deep", format!("{objects}1{ends}"), "\n")
        .good("\n")
        .bad("bad_json", format!("{open}{close}"), "\n")
        .bad("bad_json", &open, "\n")
        .bad("bad_json", &close, "\n")
        .good("\n");
    log.load(&Site::new("deep"));
}

#[test]
fn of_a_cut_gzip_file_all_whole_records_are_loaded_and_the_whole_file_completes_it() {
    let site = Site::new("cut_gzip");
    // Digits without an order, so that no block of the compressed data holds most of the records.
    let lines: Vec<String> = (0..20_000_u64).map(|n| noisy(n) + "\n").collect();
    let whole = gzip(&site, lines.concat().as_bytes());
    let path = site.write("app.log.gz", &whole[..whole.len() / 2]);
    let config = site.config(CONFIG);
    let output = site.try_load(&config, &[&path]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{said}");
    for part in ["app.log.gz is damaged", "gzip", "fetch the file again"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["input_errors"].as_array().unwrap().len(), 1, "{summary}");

    let found = rows(&site).len();
    assert!((2_000..18_000).contains(&found), "about half of 20,000: {found}");
    assert_eq!(rows(&site), (0..found as u64).collect::<Vec<_>>());
    let offset = lines[..found].concat().len() as u64;
    let cut = letters(&site);
    let [letter] = &cut[..] else { panic!("{cut:?}") };
    assert_eq!((letter.reason.as_str(), letter.offset), ("truncated_input", offset));
    assert!(lines[found].as_bytes().starts_with(&letter.record), "{letter:?}");
    assert_eq!(letter.length, letter.record.len() as u64);
    assert_balance(&site, found as u64, 1, 0);

    // The file arrives whole. What was loaded is known; the rest comes, from the record that was cut.
    fs::write(&path, &whole).unwrap();
    let rest = site.load(&config, &[&path]);
    assert_eq!(rest["loaded"].as_u64(), Some(20_000 - found as u64), "{rest}");
    assert_eq!(rest["skipped_bytes"].as_u64(), Some(offset));
    assert_eq!(rows(&site), (0..20_000).collect::<Vec<_>>());
    assert_eq!(letters(&site), cut);
    assert_balance(&site, 20_000, 1, 0);
}

/// Record `n` with 16 digits that compress badly.
fn noisy(n: u64) -> String {
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xd1b5_4a32_d192_ed03);
    format!("{{\"ts\":{},\"n\":{n},\"user\":\"{noise:016x}\"}}", 1_795_132_800_000 + n)
}

/// Compressed by the system's `gzip`.
fn gzip(site: &Site, content: &[u8]) -> Vec<u8> {
    let plain = site.write("to-compress", content);
    let output = std::process::Command::new("gzip").arg("-c").arg(plain).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A sealed log of which every record is right.
fn sealed_log(site: &Site, layout: Envelope, records: u64) -> (Vec<u8>, Summary) {
    let options = Options { records, products_file: Some(site.path("products.csv")), ..Options::default() };
    let (path, right) = generate(site, &sealed(site, options, layout, Cipher::Aes256Gcm));
    assert_eq!((right.loaded, right.dead.len()), (records, 0));
    (fs::read(path).unwrap(), right)
}

/// Where the frames of a log begin, and its end.
fn frame_starts(log: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some((prefix, _)) = log[*starts.last().unwrap()..].split_first_chunk() {
        starts.push(starts.last().unwrap() + 4 + u32::from_be_bytes(*prefix) as usize);
    }
    assert_eq!(starts.last(), Some(&log.len()));
    starts
}

/// The lines of a log with their places, without their endings.
fn places(log: &[u8]) -> Vec<(u64, &[u8])> {
    let mut offset = 0;
    log.split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            offset += line.len() as u64;
            (offset - line.len() as u64, line.strip_suffix(b"\n").unwrap_or(line))
        })
        .collect()
}

#[test]
fn a_cut_frame_is_a_dead_letter_and_all_before_it_are_loaded() {
    let site = Site::new("cut_frame");
    let (log, _) = sealed_log(&site, Envelope::Frame, 300);
    let starts = frame_starts(&log);
    let last = starts[299];
    let config = site.config(&channel_log::config(&envelope("frame")));
    // Inside the length, behind it, inside the frame, one byte before its end.
    for (number, end) in [last + 1, last + 3, last + 4, last + 40, log.len() - 1].into_iter().enumerate() {
        let path = site.write(&format!("{number}.log"), &log[..end]);
        let loaded = site.load(&config, &[path]);
        // What comes before is the same content, and known.
        let whole = if number == 0 { 299 } else { 0 };
        assert_eq!((&loaded["loaded"], &loaded["dead_by_reason"]), (&json!(whole), &json!({"truncated_frame": 1})));
        let letter = Letter {
            reason: "truncated_frame".to_owned(),
            offset: last as u64,
            length: (end - last) as u64,
            record: log[last..end].to_vec(),
        };
        assert_eq!(letters(&site)[number], letter);
    }
    assert_balance(&site, 299, 5, 0);
    // A length of 0 cannot be right: what follows is given up as one letter.
    let mut zeroed = log.clone();
    zeroed[starts[100]..starts[100] + 4].fill(0);
    let path = site.write("zeroed.log", &zeroed);
    let loaded = site.load(&config, &[path]);
    assert_eq!((&loaded["loaded"], &loaded["dead_by_reason"]), (&json!(100), &json!({"truncated_frame": 1})));
    let letter = letters(&site).pop().unwrap();
    assert_eq!((letter.offset, letter.length), (starts[100] as u64, (log.len() - starts[100]) as u64));
}

#[test]
fn under_a_wrong_key_only_its_records_do_not_open() {
    let site = Site::new("wrong_key");
    let (log, _) = sealed_log(&site, Envelope::Tab, 3_000);
    let keyring = fs::read_to_string(site.path("keyring.toml")).unwrap();
    // Another secret of the same length under the first key's id.
    let id = quoted(&keyring, "id");
    let secret = quoted(&keyring, "secret");
    let other = secret.chars().map(|c| if c.is_ascii_digit() { '7' } else { c }).collect::<String>();
    assert_ne!(secret, other);
    site.write("keyring.toml", keyring.replacen(&secret, &other, 1));

    let path = site.write("log", &log);
    let loaded = site.load(&site.config(&channel_log::config(&envelope("tab"))), &[path]);
    let under_it = |line: &[u8]| line.starts_with(format!("{id}\t").as_bytes());
    let expected: Vec<Letter> = places(&log)
        .into_iter()
        .filter(|(_, line)| under_it(line))
        .map(|(offset, line)| letter_of("tag_mismatch", offset, line))
        .collect();
    assert!((500..2_500).contains(&expected.len()), "a third of the records: {}", expected.len());
    assert_eq!(letters(&site), expected);
    assert_eq!(loaded["loaded"].as_u64(), Some(3_000 - expected.len() as u64));
    assert_balance(&site, 3_000 - expected.len() as u64, expected.len() as u64, 0);
}

/// The first value of this key in a keyring.
fn quoted(keyring: &str, key: &str) -> String {
    let line = keyring.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

fn letter_of(reason: &str, offset: u64, record: &[u8]) -> Letter {
    Letter { reason: reason.to_owned(), offset, length: record.len() as u64, record: record.to_vec() }
}

#[test]
fn a_flipped_bit_or_an_unknown_key_id_costs_that_record() {
    let site = Site::new("flipped");
    let (log, _) = sealed_log(&site, Envelope::Frame, 200);
    let starts = frame_starts(&log);
    let mut damaged = log.clone();
    // The last byte of the tag, a byte of the ciphertext, and one of the nonce.
    let id_bytes = usize::from(log[4]);
    damaged[starts[11] - 1] ^= 1;
    damaged[starts[50] + 5 + id_bytes + 12 + 30] ^= 0x80;
    damaged[starts[60] + 5 + id_bytes] ^= 4;
    // Another key id of the same length.
    damaged[starts[120] + 5] ^= 0x20;
    let path = site.write("log", &damaged);
    let config = site.config(&channel_log::config(&envelope("frame")));
    let loaded = site.load(&config, &[path]);
    assert_eq!(loaded["dead_by_reason"], json!({"tag_mismatch": 3, "unknown_key": 1}));
    // Of a frame the record is what follows the length.
    let of =
        |reason, frame: usize| letter_of(reason, starts[frame] as u64, &damaged[starts[frame] + 4..starts[frame + 1]]);
    let expected = [of("tag_mismatch", 10), of("tag_mismatch", 50), of("tag_mismatch", 60), of("unknown_key", 120)];
    assert_eq!(letters(&site), expected);
    let detail = site.ask("SELECT detail FROM {db}.dead_letter_reasons WHERE reason = 'unknown_key'").concat();
    let unknown = String::from_utf8_lossy(&damaged[starts[120] + 5..][..id_bytes]).into_owned();
    assert!(detail.contains("is not in the keyring") && !detail.contains(&unknown), "{detail}");
    assert_balance(&site, 196, 4, 0);
}

#[test]
fn a_file_of_noise_is_dead_letters_to_the_last_byte() {
    let site = Site::new("noise");
    // A linear congruential generator; the first byte is that of no compression.
    let mut state = 20_261_121_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = std::iter::once(b'x').chain(std::iter::repeat_with(&mut next).take(1_000_000)).collect();
    let path = site.write("app.log", &noise);
    let loaded = site.load(&site.config(CONFIG), &[path]);
    let expected: Vec<(u64, &[u8])> = places(&noise)
        .into_iter()
        .map(|(offset, line)| (offset, line.strip_suffix(b"\r").unwrap_or(line)))
        .map(|(offset, line)| {
            let nuls = line.iter().take_while(|byte| **byte == 0).count();
            (offset + nuls as u64, &line[nuls..])
        })
        .filter(|(_, line)| !line.is_empty())
        .collect();
    assert!(expected.len() > 3_000, "one byte of 256 ends a line");
    let found = letters(&site);
    let found: Vec<(u64, &[u8])> = found.iter().map(|letter| (letter.offset, letter.record.as_slice())).collect();
    assert_eq!(found, expected);
    assert_eq!(loaded["bytes"], json!(noise.len()));
    assert_balance(&site, 0, expected.len() as u64, 0);
}

#[test]
fn a_compressed_file_with_noise_in_it_is_damaged_and_the_next_file_is_loaded() {
    let site = Site::new("noisy_gzip");
    let lines: String = (0..20_000).map(|n| noisy(n) + "\n").collect();
    let mut packed = gzip(&site, lines.as_bytes());
    let middle = packed.len() / 2;
    packed[middle..middle + 2_000].fill(0xa5);
    let damaged = site.write("damaged.gz", &packed);
    let good = site.write("good.log", small::lines(0..50));
    let said = small::refused(&site, &site.config(CONFIG), &[damaged, good], 65);
    assert!(said.contains("damaged.gz is damaged") && said.contains("gzip"), "{said}");
    assert_eq!(site.ask("SELECT sum(loaded) FROM {db}.ledger WHERE source LIKE '%/good.log'"), ["50"]);
    assert_eq!(site.ask("SELECT countIf(records != loaded + dead + filtered) FROM {db}.ledger"), ["0"]);
}
