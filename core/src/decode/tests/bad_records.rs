//! Records that cannot be loaded, each between good ones that must not notice.

use proptest::prelude::*;

use super::*;
use crate::dead_letter::Fault;
use crate::limits::{DEAD_LETTER_DETAIL_BYTES, DEAD_LETTER_HEAD_BYTES, SLICE_RECORDS_MAX};
use crate::slice::Tail;

const MORE_COLUMNS: &str = r#"
[decode]
record_bytes_max = 6000
[products]
column = "p"
dictionary = "products.csv"
unknown = "dead_letter"
add = ["family"]
[[filter]]
drop = { event = ["heartbeat"] }
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "event"
type = "low_cardinality"
nullable = true
[[column]]
name = "p"
type = "low_cardinality"
[[column]]
name = "tags"
type = "list(u8)"
[[column]]
name = "raw"
type = "json"
path = "user"
[[column]]
name = "id"
type = "string"
path = "user.id"
mask = { truncate = 3 }
[[column]]
name = "n"
type = "i8"
nullable = true
"#;

fn good(number: usize) -> String {
    format!(
        r#"{{"ts":{number},"event":"view","p":"p1","tags":[{},2],"user":{{"id":"u-{number}"}},"n":-{}}}"#,
        number % 200,
        number % 100
    )
}

/// A record that is bad for each reason that an open line can have, with the column to blame and the detail, which shows
/// no value because a column has a mask.
fn bad_lines() -> Vec<(Vec<u8>, Reason, Option<&'static str>, &'static str)> {
    let deep = format!(r#"{{"ts":1,"x":{}"#, "[".repeat(500));
    vec![
        (
            br#"{"ts":1,"event":"view","p":"p1" "n":3}"#.to_vec(),
            Reason::BadJson,
            None,
            "bad JSON at byte 32: expected ',' or '}' after a member",
        ),
        (b"x".to_vec(), Reason::BadJson, None, "bad JSON at byte 0: expected a JSON object as the record"),
        (
            b"\xEF\xBB\xBF{\"ts\":1,\"p\":\"p1\"}".to_vec(),
            Reason::BadJson,
            None,
            "bad JSON at byte 0: expected a JSON object as the record",
        ),
        (b"\x01\0\0".to_vec(), Reason::BadJson, None, "bad JSON at byte 0: expected a JSON object as the record"),
        (deep.into_bytes(), Reason::TooDeep, None, "nested deeper than 128 levels at byte 139"),
        (b"{\"ts\":1,\"skipped\":\"\xC3(\",\"p\":\"p1\"}".to_vec(), Reason::BadUtf8, None, "not UTF-8 at byte 19"),
        (
            br#"{"event":"view","p":"p1","tags":[1]}"#.to_vec(),
            Reason::MissingField,
            Some("ts"),
            "the field is absent, and the column is required",
        ),
        (
            br#"{"ts":1,"event":"view","p":"p1","tags":[1,2,300]}"#.to_vec(),
            Reason::TypeMismatch,
            Some("tags"),
            "a number (not shown, records are sealed or have masked columns) is out of range; the column wants a \
             JSON array, each item an integer from 0 to 255",
        ),
        (
            br#"{"ts":1,"event":"view","p":"p1","tags":7}"#.to_vec(),
            Reason::TypeMismatch,
            Some("tags"),
            "a number (not shown, records are sealed or have masked columns) has the wrong type; the column wants a \
             JSON array, each item an integer from 0 to 255",
        ),
        (
            br#"{"ts":1,"event":"new event","p":"p1","user":{"id":{"secret":1}}}"#.to_vec(),
            Reason::TypeMismatch,
            Some("id"),
            "an object (not shown, the column has a mask) has the wrong type; \
             the column wants text (declare it json to keep any value)",
        ),
        (
            br#"{"ts":1,"event":"view","p":"p1","n":128}"#.to_vec(),
            Reason::TypeMismatch,
            Some("n"),
            "a number (not shown, records are sealed or have masked columns) is out of range; the column wants an \
             integer from -128 to 127",
        ),
        (
            br#"{"ts":1,"event":"view","p":"p\"9"}"#.to_vec(),
            Reason::UnknownProduct,
            Some("p"),
            "the dictionary has no such product (not shown, records are sealed or have masked columns): add it there, \
             or set a default product",
        ),
        (
            br#"{"ts":1,"event":"view"}"#.to_vec(),
            Reason::UnknownProduct,
            Some("p"),
            "the dictionary has no such product (not shown, records are sealed or have masked columns): add it there, \
             or set a default product",
        ),
        (
            "é".repeat(3001).into_bytes(),
            Reason::TooLong,
            None,
            "6002 bytes; the limit is 6000 (decode.record_bytes_max)",
        ),
        // A filter would drop it, if only it were right.
        (
            br#"{"ts":1,"event":"heartbeat","p":"p1","n":"x"}"#.to_vec(),
            Reason::TypeMismatch,
            Some("n"),
            "a string (not shown, records are sealed or have masked columns) does not have the right form; the column \
             wants an integer from -128 to 127",
        ),
    ]
}

#[test]
fn one_bad_record_never_costs_its_neighbours() {
    let decoder = decoder_with_products(MORE_COLUMNS, "id,family\np1,games\np2,tools\n");
    let bad = bad_lines();
    let mut bytes = Vec::new();
    let mut expected_places = Vec::new();
    let mut good_rows = Vec::new();
    for (number, (line, reason, ..)) in bad.iter().enumerate() {
        good_rows.push(3 * number as u32);
        bytes.extend_from_slice(good(number).as_bytes());
        bytes.push(b'\n');
        expected_places.push((3 * number as u32 + 1, 1000 + bytes.len() as u64, line.len() as u64, *reason));
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(
            br#"
{"ts":1,"event":"heartbeat","p":"nobody knows","tags":[9],"user":{"id":"gone"}}
"#,
        );
    }
    let decoded = decode(&decoder, &slice(1000, bytes));

    assert_eq!(places(&decoded.dead), expected_places);
    for (letter, (line, _, column, detail)) in decoded.dead.iter().zip(&bad) {
        assert_eq!((letter.fault.column.as_deref(), letter.fault.detail.as_str()), (*column, *detail));
        assert_eq!(letter.record, line[..line.len().min(DEAD_LETTER_HEAD_BYTES.max(6000))][..letter.record.len()]);
        let kept = if letter.fault.reason == Reason::TooLong { DEAD_LETTER_HEAD_BYTES } else { line.len() };
        assert_eq!(letter.record.len(), kept);
    }
    assert_eq!(decoded.filtered, bad.len() as u64);
    assert_eq!(by_product(&decoded), [("p1", bad.len() as u64)]);

    // The good ones, as if they were alone.
    let batch = &decoded.batch;
    assert_eq!(rows(batch), good_rows);
    let numbers = 0..bad.len();
    assert_eq!(texts(batch, "event"), vec!["view"; bad.len()]);
    assert_eq!(texts(batch, "p"), vec!["p1"; bad.len()]);
    assert_eq!(texts(batch, "product_family"), vec!["games"; bad.len()]);
    assert_eq!(texts(batch, "raw"), numbers.clone().map(|n| format!(r#"{{"id":"u-{n}"}}"#)).collect::<Vec<_>>());
    assert_eq!(texts(batch, "id"), numbers.clone().map(|n| format!("u-{n}")[..3].to_owned()).collect::<Vec<_>>());
    let tags = batch.column_by_name("tags").unwrap().as_list::<i32>();
    assert_eq!(
        tags.offsets().iter().copied().collect::<Vec<_>>(),
        (0..=bad.len() as i32).map(|n| 2 * n).collect::<Vec<_>>()
    );
    let items: Vec<u8> = tags.values().as_primitive::<arrow_array::types::UInt8Type>().values().to_vec();
    assert_eq!(items, numbers.clone().flat_map(|n| [n as u8, 2]).collect::<Vec<_>>());
    let n: Vec<i8> =
        batch.column_by_name("n").unwrap().as_primitive::<arrow_array::types::Int8Type>().values().to_vec();
    assert_eq!(n, numbers.map(|n| -(n as i8)).collect::<Vec<_>>());
}

#[test]
fn the_tail_is_one_more_dead_letter() {
    let decoder = decoder(COLUMNS);
    let mut slice = slice(500, "{\"ts\":1,\"p\":\"a\"}\n\n");
    slice.tail = Some(Tail {
        reason: Reason::TruncatedInput,
        head: b"{\"ts\":2".to_vec(),
        length: 7,
        consumed: 7,
        detail: "the input ends inside this record".to_owned() + &"!".repeat(1000),
    });
    let decoded = decode(&decoder, &slice);
    assert_eq!((rows(&decoded.batch), decoded.records), (vec![0], 2));
    assert_eq!(places(&decoded.dead), [(1, 518, 7, Reason::TruncatedInput)]);
    assert_eq!(decoded.dead[0].record, b"{\"ts\":2");
    assert_eq!(decoded.dead[0].fault.detail.len(), DEAD_LETTER_DETAIL_BYTES);

    slice.bytes.clear();
    let decoded = decode(&decoder, &slice);
    assert_eq!(places(&decoded.dead), [(0, 500, 7, Reason::TruncatedInput)]);
    assert_eq!((decoded.batch.num_rows(), decoded.records), (0, 1));
}

#[test]
fn blank_lines_carriage_returns_and_a_missing_last_line_ending_are_no_records() {
    let decoder = decoder(COLUMNS);
    let text = "\n\r\n{\"ts\":1,\"name\":\"a\"}\r\n\n{\"ts\":2,\"name\":\"b\\r\"}\n \n{\"ts\":3,\"name\":\"c\"}";
    let decoded = decode(&decoder, &slice(0, text));
    assert_eq!(texts(&decoded.batch, "name"), ["a", "b\r", "c"]);
    assert_eq!(rows(&decoded.batch), [0, 1, 3]);
    // A line of one space is a record, and not a good one; before it stand 1 + 2 + 21 + 1 + 22 bytes.
    assert_eq!(places(&decoded.dead), [(2, 47, 1, Reason::BadJson)]);

    for empty in ["", "\n", "\r\n\r\n"] {
        let decoded = decode(&decoder, &slice(0, empty));
        assert_eq!((decoded.records, decoded.batch.num_rows()), (0, 0));
    }
}

#[test]
fn a_byte_order_mark_is_dropped_at_the_start_of_a_source_only() {
    let decoder = decoder(COLUMNS);
    let text = "\u{feff}{\"ts\":1}\nbad\n\u{feff}{\"ts\":2}\n";
    let decoded = decode(&decoder, &slice(0, text));
    assert_eq!(rows(&decoded.batch), [0]);
    assert_eq!(places(&decoded.dead), [(1, 12, 3, Reason::BadJson), (2, 16, 11, Reason::BadJson)]);
    let decoded = decode(&decoder, &slice(7, text));
    assert_eq!(places(&decoded.dead)[0], (0, 7, 11, Reason::BadJson));
}

#[test]
fn more_records_than_a_slice_should_have_are_decoded_all_the_same() {
    let decoder = decoder(COLUMNS);
    let records = SLICE_RECORDS_MAX + 10;
    let decoded = decode(&decoder, &slice(0, "{\"ts\":1}\n".repeat(records)));
    assert_eq!(decoded.batch.num_rows(), records);
    assert_eq!(rows(&decoded.batch).last(), Some(&(records as u32 - 1)));
}

#[test]
fn a_scratch_carries_nothing_from_slice_to_slice() {
    let decoder = decoder_with_products(MORE_COLUMNS, "id,family\np1,games\np2,tools\n");
    let first: Vec<u8> = bad_lines().into_iter().flat_map(|(line, ..)| [line, b"\n".to_vec()].concat()).collect();
    let second = format!("{}\n{}\n", good(1), good(2).replace("p1", "p2").replace("view", "paid"));
    let mut scratch = Scratch::new(&decoder);
    for bytes in [&first[..], second.as_bytes(), &first, b"", second.as_bytes()] {
        let slice = slice(0, bytes);
        let used = decoder.decode(&slice, &mut scratch);
        let fresh = decoder.decode(&slice, &mut Scratch::new(&decoder));
        assert_eq!((used.batch, used.dead, used.filtered), (fresh.batch, fresh.dead, fresh.filtered));
        assert_eq!(used.rows_by_product, fresh.rows_by_product);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Bytes of any kind: everything is accounted for, in order, and what is dead is as it was in the source.
    #[test]
    fn every_record_is_a_row_a_dead_letter_or_filtered(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize), 0..12),
    ) {
        let pieces = [
            good(1), good(77), "\n".to_owned(), "\r\n".to_owned(), "{\"ts\":1,\"event\":\"heartbeat\"}".to_owned(),
            "{\"ts\":5,\"p\":\"p2\"}".to_owned(),
        ];
        for (place, piece) in places {
            let place = place.index(bytes.len() + 1);
            bytes.splice(place..place, [b"\n", pieces[piece].as_bytes(), b"\n"].concat());
        }
        let decoder = decoder_with_products(MORE_COLUMNS, "id,family\np1,games\np2,tools\n");
        let decoded = decode(&decoder, &slice(1, bytes.clone()));
        let lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        // NULs at its beginning are no part of a line.
        let lines = lines.filter(|line| line.iter().any(|&byte| byte != 0));
        prop_assert_eq!(decoded.records, lines.count() as u64);
        for letter in &decoded.dead {
            let start = letter.offset as usize - 1;
            prop_assert_eq!(&letter.record[..], &bytes[start..start + letter.length as usize]);
        }
        let mut positions: Vec<u32> = rows(&decoded.batch);
        prop_assert!(positions.is_sorted());
        positions.extend(decoded.dead.iter().map(|letter| letter.row));
        positions.sort_unstable();
        positions.dedup();
        prop_assert_eq!(positions.len() as u64 + decoded.filtered, decoded.records);
    }
}

#[test]
fn a_time_that_no_minute_holds_is_dead_only_as_the_event_time() {
    let sections = format!("{COLUMNS}[[column]]\nname = \"born\"\ntype = \"timestamp\"\n");
    let record = |ts: &str, born: &str| format!("{{\"ts\":{ts},\"p\":\"a\",\"name\":\"{ts}\",\"born\":{born}}}\n");
    // 2106-02-07T06:28:15.999Z is the last event time; 1969 and 2106-02-07T06:28:16Z are birthdays.
    let text =
        [record("0", "-1"), record("4294967295999", "4294967296000"), record("-1", "0"), record("4294967296000", "0")]
            .concat();
    let decoded = decode(&decoder(&sections), &slice(0, text));
    assert_eq!(texts(&decoded.batch, "name"), ["0", "4294967295999"]);
    let faults: Vec<_> = decoded.dead.iter().map(|dead| (dead.row, dead.fault.reason)).collect();
    assert_eq!(faults, [(2, Reason::TypeMismatch), (3, Reason::TypeMismatch)]);
    let detail = &decoded.dead[0].fault.detail;
    assert!(detail.starts_with("the number -1 cannot be the event time, which is from 1970-01-01 to"), "{detail}");
}

/// The records of rows that were decoded, as the dead letters that they become when a sink rejects them.
#[test]
fn rows_become_dead_letters_with_their_bytes_and_places() {
    let fault = |what: &str| Fault::new(Reason::Rejected, what);
    let good = |name: &str| format!("{{\"ts\": 1700000000, \"name\": \"{name}\", \"p\": \"z\"}}");
    let lines = format!("{}\r\n\n{}\nnot JSON\n{}", good("a"), good("b"), good("c"));
    let text = decoder(COLUMNS);
    let letters = text.dead_letters(&slice(100, lines.clone()), &[(0, fault("one")), (3, fault("two"))]);
    let place = 100 + lines.find(&good("c")).unwrap() as u64;
    let letter = |row, offset, name: &str, what: &str| DeadLetter {
        row,
        offset,
        length: good(name).len() as u64,
        fault: fault(what),
        record: good(name).into_bytes(),
    };
    assert_eq!(letters, [letter(0, 100, "a", "one"), letter(3, place, "c", "two")]);
    // Behind a byte order mark, which is no part of the record.
    let marked = text.dead_letters(&slice(0, format!("\u{feff}{}\n", good("a"))), &[(0, fault("one"))]);
    assert_eq!(marked, [letter(0, 3, "a", "one")]);
}
