//! Formats and envelopes, end to end through a decoder.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::envelope::Keyring;
use crate::test_data::real_data;

#[test]
fn values_of_every_kind_reach_their_columns() {
    let decoder = decoder(&format!(
        r#"{COLUMNS}
[[column]]
name = "first"
type = "string"
path = "items[0].sku"
[[column]]
name = "items"
type = "json"
[[column]]
name = "raw_null"
type = "json"
nullable = true
path = "nothing"
[[column]]
name = "words"
type = "list(string)"
"#
    ));
    let decoded = decode(
        &decoder,
        &slice(
            0,
            r#"{"ts":1,"name":"a\u00e9\n","items":[{"sku":"x\"y"},2],"nothing":null,"words":["p\tq","","é"]}
{"\u0074s":2,"name":7.50,"items":"as \"it\" is","nothing":"null","words":[]}
{"ts":3,"name":true,"items":[],"words":null}
"#,
        ),
    );
    assert_eq!(decoded.dead, []);
    let batch = &decoded.batch;
    assert_eq!(texts(batch, "name"), ["aé\n", "7.50", "true"]);
    assert_eq!(texts(batch, "first"), ["x\"y", "", ""]);
    assert_eq!(texts(batch, "items"), [r#"[{"sku":"x\"y"},2]"#, r#""as \"it\" is""#, "[]"]);
    assert_eq!(texts(batch, "raw_null"), ["<null>", "\"null\"", "<null>"]);
    let words = batch.column_by_name("words").unwrap().as_list::<i32>();
    assert_eq!(words.offsets().iter().copied().collect::<Vec<_>>(), [0, 3, 3, 3]);
    let words: Vec<_> = words.values().as_string::<i32>().iter().flatten().collect();
    assert_eq!(words, ["p\tq", "", "é"]);
}

const ACCESS_LOG: &str = r#"
[decode]
format = "access_log"
[products]
fixed = "site"
[[column]]
name = "ts"
path = "time"
type = "timestamp"
format = "%d/%b/%Y:%H:%M:%S %z"
required = true
[[column]]
name = "host"
type = "ipv4"
[[column]]
name = "status"
type = "u16"
[[column]]
name = "bytes"
type = "u64"
nullable = true
[[column]]
name = "path"
type = "string"
[[column]]
name = "agent"
type = "low_cardinality"
nullable = true
"#;

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_of_an_access_log_have_9999_rows_and_one_dead_letter() {
    let decoder = decoder(ACCESS_LOG);
    let bytes = std::fs::read(real_data("apache_access.log")).unwrap();
    let decoded = decode(&decoder, &slice(0, bytes));
    // `head -8898 | wc -c`, and the line's own length: its agent is cut off.
    assert_eq!(places(&decoded.dead), [(8898, 2_111_246, 182, Reason::BadLine)]);
    assert_eq!((decoded.batch.num_rows(), decoded.records), (9_999, 10_000));
    assert_eq!(by_product(&decoded), [("site", 9_999)]);
    // Counted with awk.
    let bytes = decoded.batch.column_by_name("bytes").unwrap().as_primitive::<UInt64Type>();
    assert_eq!((bytes.null_count(), bytes.iter().flatten().sum::<u64>()), (669, 2_747_282_505));
    assert_eq!(decoded.batch.column_by_name("agent").unwrap().null_count(), 190);
    // Minutes with hits, and hits of the busiest: `awk | sort | uniq -c`.
    let times = decoded.batch.column_by_name("ts").unwrap();
    let times = times.as_primitive::<arrow_array::types::TimestampMillisecondType>();
    let mut hits = std::collections::BTreeMap::new();
    for time in times.values() {
        *hits.entry(time / 60_000).or_insert(0) += 1;
    }
    assert_eq!(hits.len(), 84);
    // 2015-05-19T19:05:00Z
    assert_eq!(hits.iter().max_by_key(|(_, hits)| **hits), Some((&(1_432_062_300 / 60), &136)));
}

#[test]
fn delimited_lines_follow_their_own_header() {
    let csv = "1,a,\"x,\"\"y\"\"\"\r\n2,,\n3,a\n4,c,\"open\n5,d\",e\nx,f,g\n6,\"\",é\n";
    let tsv = "1\ta\tx,\"y\"\r\n2\t\t\n3\ta\n4\tc\t\\q\n5\td\"\te\tf\nx\tf\tg\n6\t\\N\té\n";
    for (format, text) in [("csv", csv), ("tsv", tsv)] {
        let decoder = decoder(&format!("[decode]\nformat = \"{format}\"\n{COLUMNS}"));
        let decoded = decode(&decoder, &with_header(slice(10, text), &["ts", "p", "name"]));
        assert_eq!(texts(&decoded.batch, "name"), ["x,\"y\"", "", "é"], "{format}");
        assert_eq!(texts(&decoded.batch, "p"), ["a", "", ""]);
        assert_eq!(rows(&decoded.batch), [0, 1, 6]);
        let reasons: Vec<_> = decoded.dead.iter().map(|letter| (letter.row, letter.fault.reason)).collect();
        let bad_line = [2, 3, 4].map(|row| (row, Reason::BadLine));
        assert_eq!(reasons, [&bad_line[..], &[(5, Reason::TypeMismatch)]].concat());
    }
}

#[test]
fn a_header_may_order_fields_anyhow_and_lack_some() {
    let decoder = decoder(&format!("[decode]\nformat = \"csv\"\n{COLUMNS}"));
    let mut scratch = Scratch::new(&decoder);
    let mut names = |slice: Slice| {
        let decoded = decoder.decode(&slice, &mut scratch);
        (texts(&decoded.batch, "name"), decoded.dead.len())
    };
    assert_eq!(names(with_header(slice(0, "x,1,n\n"), &["other", "ts", "name"])), (vec!["n".to_owned()], 0));
    assert_eq!(names(with_header(slice(0, "1,n\n"), &["ts", "nam"])), (vec![String::new()], 0));
    assert_eq!(names(with_header(slice(0, "n,1\n"), &["name", "ts"])), (vec!["n".to_owned()], 0));
    assert_eq!(names(slice(0, "n,1\n")), (vec![], 1));
    assert_eq!(names(with_header(slice(0, "n,1\n"), &["name", "TS"])), (vec![], 1));
}

#[test]
fn delimited_text_that_is_not_utf8_is_dead() {
    let decoder = decoder(&format!("[decode]\nformat = \"tsv\"\n{COLUMNS}"));
    let decoded = decode(&decoder, &with_header(slice(0, &b"1\t\xFF\n2\tb\n"[..]), &["ts", "name"]));
    assert_eq!(places(&decoded.dead), [(0, 0, 3, Reason::BadUtf8)]);
    assert_eq!(texts(&decoded.batch, "name"), ["b"]);
}

const SECRET: [u8; 32] = [7; 32];

/// Nonce, ciphertext and tag apart.
pub(super) fn seal(plaintext: &[u8]) -> ([u8; 12], Vec<u8>) {
    let nonce = [9; 12];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &SECRET).unwrap());
    let mut text = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).unwrap();
    (nonce, text)
}

fn sealed_decoder(layout: &str) -> Decoder {
    sealed_decoder_of(layout, COLUMNS, None)
}

pub(super) fn sealed_decoder_of(layout: &str, sections: &str, dictionary: Option<&str>) -> Decoder {
    let secret = STANDARD.encode(SECRET);
    let keyring = format!("[[key]]\nid = \"k1\"\ncipher = \"aes-256-gcm\"\nsecret = \"{secret}\"\n");
    let sections = format!("[decode.envelope]\nlayout = \"{layout}\"\nkeyring = \"keys.toml\"\n{sections}");
    let dictionary = dictionary.map(|text| Dictionary::parse_csv(text.as_bytes(), "products.csv").unwrap());
    Decoder::new(&config(&sections), Some(Keyring::parse(&keyring, "keys.toml").unwrap()), dictionary).unwrap()
}

#[test]
fn sealed_lines_are_opened_and_what_cannot_be_opened_is_kept_sealed() {
    let tab = |id: &str, plaintext: &str| {
        let (nonce, text) = seal(plaintext.as_bytes());
        format!("{id}\t{}", STANDARD.encode([&nonce[..], &text].concat()))
    };
    let flipped = {
        let mut line = tab("k1", r#"{"ts":1,"name":"flipped"}"#).into_bytes();
        line[30] = if line[30] == b'A' { b'B' } else { b'A' };
        String::from_utf8(line).unwrap()
    };
    let lines = [
        (tab("k1", r#"{"ts":1,"name":"a"}"#), None),
        ("no tab".to_owned(), Some(Reason::BadEnvelope)),
        (tab("k2", r#"{"ts":1}"#), Some(Reason::UnknownKey)),
        (flipped, Some(Reason::TagMismatch)),
        (tab("k1", "not json"), Some(Reason::BadJson)),
        (tab("k1", ""), Some(Reason::BadJson)),
        // Sealed with its line ending.
        (tab("k1", "{\"ts\":2,\"name\":\"b\"}\r\n"), None),
    ];
    let text: String = lines.iter().flat_map(|(line, _)| [line, "\n"]).collect();
    let decoded = decode(&sealed_decoder("tab"), &slice(0, text));
    assert_eq!(texts(&decoded.batch, "name"), ["a", "b"]);
    assert_eq!(rows(&decoded.batch), [0, 6]);
    let bad: Vec<_> = lines.iter().filter_map(|(line, reason)| Some((line.as_bytes(), (*reason)?))).collect();
    let dead: Vec<_> = decoded.dead.iter().map(|letter| (&letter.record[..], letter.fault.reason)).collect();
    assert_eq!(dead, bad);
}

#[test]
fn envelopes_of_json_and_frames_are_opened() {
    let line = |plaintext: &str| {
        let (nonce, text) = seal(plaintext.as_bytes());
        let (nonce, data) = (STANDARD.encode(nonce), STANDARD.encode(text));
        format!("{{\"key\":\"k1\",\"nonce\":\"{nonce}\",\"data\":\"{data}\"}}\n")
    };
    let text = line(r#"{"ts":1,"name":"a"}"#) + "{}\n" + &line(r#"{"ts":2,"name":"b"}"#);
    let decoded = decode(&sealed_decoder("json"), &slice(0, text));
    assert_eq!(texts(&decoded.batch, "name"), ["a", "b"]);
    assert_eq!(decoded.dead[0].fault.reason, Reason::BadEnvelope);

    let frame = |plaintext: &str| {
        let (nonce, text) = seal(plaintext.as_bytes());
        let body = [&[2], &b"k1"[..], &nonce, &text].concat();
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    };
    // A newline in a plaintext, or in a ciphertext, ends nothing.
    let bytes =
        [frame("{\"ts\":1,\n\"name\":\"a\"}"), b"\0\0\0\x02\x0Ax".to_vec(), frame(r#"{"ts":2,"name":"b"}"#)].concat();
    let second = frame("{\"ts\":1,\n\"name\":\"a\"}").len() as u64;
    let decoded = decode(&sealed_decoder("frame"), &slice(100, bytes));
    assert_eq!(texts(&decoded.batch, "name"), ["a", "b"]);
    assert_eq!(places(&decoded.dead), [(1, 100 + second, 2, Reason::BadEnvelope)]);
    assert_eq!(decoded.dead[0].record, b"\x0Ax");
}

/// The quick way over JSON and the careful one mask alike, lists included.
#[test]
fn masked_addresses_are_the_same_by_both_ways() {
    let sections = format!(
        "{COLUMNS}[[column]]\nname = \"v6\"\ntype = \"ipv6\"\nmask = {{ ip_prefix = {{ v4 = 24, v6 = 64 }} }}\n\
         [[column]]\nname = \"all\"\ntype = \"list(ipv6)\"\nmask = {{ ip_prefix = {{ v4 = 24, v6 = 64 }} }}\n"
    );
    let addresses = [
        ("2002:cb00:7107:1:2::3", "2002:cb00:7100:1::"),
        ("203.0.113.7", "::ffff:203.0.113.0"),
        ("2001:0:cb00:7107:8000:1234:34ff:8ef8", "2001:0:cb00:7100::"),
        ("64:ff9b::203.0.113.7", "64:ff9b::"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
    ];
    let log: String = addresses
        .iter()
        .map(|(address, _)| {
            format!("{{\"ts\":1,\"name\":\"n\",\"p\":\"p\",\"v6\":\"{address}\",\"all\":[\"::1\",\"{address}\"]}}\n")
        })
        .collect();
    let quick = decode(&decoder(&sections), &slice(0, log.clone()));
    let careful = decode(&decoder(&sections).careful(), &slice(0, log));
    assert_eq!(quick.batch, careful.batch);
    assert_eq!(quick.dead, []);
    let stored = |column: &dyn Array| -> Vec<std::net::Ipv6Addr> {
        let bytes = column.as_fixed_size_binary();
        bytes.iter().map(|value| <[u8; 16]>::try_from(value.expect("not null")).expect("16 bytes").into()).collect()
    };
    let wanted: Vec<std::net::Ipv6Addr> =
        addresses.iter().map(|(_, masked)| masked.parse().expect("an address")).collect();
    assert_eq!(stored(quick.batch.column_by_name("v6").unwrap()), wanted);
    let lists = stored(quick.batch.column_by_name("all").unwrap().as_list::<i32>().values());
    assert_eq!(lists.into_iter().skip(1).step_by(2).collect::<Vec<_>>(), wanted);
}
