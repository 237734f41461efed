//! Records of a topic: what the topic says of their messages becomes columns, and where dead letters stand.

use arrow_array::types::TimestampMillisecondType;

use super::*;
use crate::message::Messages;
use crate::simd::Kernels;

#[test]
fn messages_become_columns_and_places_of_dead_letters() {
    let message = "[message]\noffset = \"at\"\nkey = \"k\"\ntimestamp = \"sent\"\nheaders = { app = \"app\" }\n";
    let decoder = decoder(&format!("{COLUMNS}{message}"));
    let lines = concat!(
        "{\"ts\": 1700000000, \"name\": \"a\", \"p\": \"z\"}\n",
        "not JSON\n",
        "{\"ts\": 1700000001, \"name\": \"b\", \"p\": \"y\"}\n",
        "{\"ts\": 1700000002, \"name\": \"c\", \"p\": \"x\"}\n",
    );
    // Two messages of a record each, and one of two lines. Products are such that rows are sorted the other way round.
    let mut messages = Messages::of_lines("t".into(), 3);
    messages.push(0, 40, Some(1000), Some(b"k0"), [("app", Some(&b"web"[..]))]);
    messages.push(1, 41, Some(2000), Some(b"k1"), []);
    messages.push(2, 45, Some(3000), None, [("app", Some(&b"ios"[..]))]);
    let decoded = decode(&decoder, &Slice { messages: Some(messages), ..slice(40, lines) });
    assert_eq!(rows(&decoded.batch), [0, 2, 3]);
    assert_eq!(texts(&decoded.batch, "name"), ["a", "b", "c"]);
    let at = decoded.batch.column_by_name("at").unwrap().as_primitive::<UInt64Type>();
    assert_eq!(at.values(), &[40, 45, 45]);
    let sent = decoded.batch.column_by_name("sent").unwrap().as_primitive::<TimestampMillisecondType>();
    assert_eq!(sent.values(), &[1000, 3000, 3000]);
    assert_eq!(texts(&decoded.batch, "k"), ["k0", "<null>", "<null>"]);
    assert_eq!(texts(&decoded.batch, "app"), ["web", "ios", "ios"]);
    let dead: Vec<(u32, u64)> = decoded.dead.iter().map(|letter| (letter.row, letter.offset)).collect();
    assert_eq!(dead, [(1, 41)]);

    let of_a_file = decode(&decoder, &slice(40, lines));
    assert_eq!(texts(&of_a_file.batch, "k"), ["<null>"; 3]);
    assert_eq!(of_a_file.dead[0].offset, 40 + lines.find("not").unwrap() as u64);
}

/// Messages that are one record each, at offsets from 0 on.
fn message_slice(payloads: &[&[u8]]) -> Slice {
    let mut messages = Messages::of_records("t".into(), 0);
    let mut bytes = Vec::new();
    for (number, payload) in (0..).zip(payloads) {
        messages.push(number, u64::from(number), None, None, []);
        bytes.extend_from_slice(payload);
        messages.push_end(bytes.len() as u32);
        bytes.push(b'\n');
    }
    Slice { bytes, messages: Some(messages), ..slice(0, "") }
}

#[test]
fn a_message_is_one_record_whatever_line_ends_it_holds() {
    let decoder = decoder(COLUMNS);
    let payloads: [&[u8]; 6] = [
        b"{\n  \"ts\": 1700000000,\n  \"name\": \"a\",\n  \"p\": \"z\"\n}",
        b"\xef\xbb\xbf{\"ts\": 1}",
        b"{\"ts\": 1700000001, \"name\": \"b\", \"p\": \"z\"}\n{\"ts\": 1700000001, \"name\": \"c\", \"p\": \"z\"}",
        b"\r\n",
        b"{\"ts\": 1700000002,\r\n \"name\": \"d\", \"p\": \"z\"}",
        b"{\"ts\": 1700000003, \"name\": \"e\nf\", \"p\": \"z\"}",
    ];
    let decoded = decode(&decoder, &message_slice(&payloads));
    assert_eq!(decoded.records, 6);
    assert_eq!(rows(&decoded.batch), [0, 4]);
    assert_eq!(texts(&decoded.batch, "name"), ["a", "d"]);
    let dead: Vec<_> = decoded.dead.iter().map(|letter| (letter.row, letter.offset, &letter.record[..])).collect();
    assert_eq!(dead, [(1, 1, payloads[1]), (2, 2, payloads[2]), (3, 3, payloads[3]), (5, 5, payloads[5])]);
}

/// Messages of many sizes over several chunks, some with line feeds between their members: the rows are those of the same
/// records as lines, with spaces instead, by all kernels and by the careful way.
#[test]
fn messages_over_chunks_are_the_rows_that_their_lines_are() {
    let records: Vec<String> = (0..6_000)
        .map(|number: usize| {
            let filler = "x".repeat(number * 7919 % 211 + if number.is_multiple_of(997) { 300_000 } else { 0 });
            let gap = if number.is_multiple_of(3) { "\n" } else { " " };
            format!("{{\"ts\": {},{gap}\"name\": \"{filler}\",{gap}\"p\": \"z\"}}", 1_700_000_000 + number)
        })
        .collect();
    let payloads: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
    let messages = message_slice(&payloads);
    let lines: String = records.iter().map(|record| record.replace('\n', " ") + "\n").collect();
    let wanted = decode(&decoder(COLUMNS), &slice(0, lines));
    assert_eq!((wanted.records, wanted.dead.len()), (6_000, 0));
    for kernels in Kernels::all() {
        assert_eq!(
            decode(&decoder(COLUMNS).with_kernels(kernels), &messages).batch,
            wanted.batch,
            "{}",
            kernels.name()
        );
    }
    assert_eq!(decode(&decoder(COLUMNS).careful(), &messages).batch, wanted.batch);
}
