//! Records of a topic: what the topic says of their messages becomes columns, and where dead letters stand.

use arrow_array::types::TimestampMillisecondType;

use super::*;
use crate::message::Messages;

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
    let mut messages = Messages::new("t".into(), 3);
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
