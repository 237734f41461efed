//! Where records are sealed or a column has a mask, no reason shows what stands in a record: a needle is planted in every
//! field and key, in records that are wrong in every way, and looked for in all details.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::envelope::Keyring;

/// What must not be seen, as text and in digits, and how short a piece of it is still one.
const NEEDLE: &str = "QXZJWKVQYQ";
const DIGITS: &str = "8394617528";
const PIECE: usize = 4;

/// The key that records are sealed with, 16 bytes of zero.
const KEYRING: &str = "[[key]]\nid = \"k1\"\ncipher = \"aes-128-gcm\"\nsecret = \"AAAAAAAAAAAAAAAAAAAAAA==\"\n";

/// Fields of records, which are columns of the types that are drawn.
const FIELDS: [&str; 5] = ["f0", "f1", "f2", "f3", "f4"];

const TYPES: [&str; 14] = [
    "\"string\"",
    "\"low_cardinality\"",
    "\"u8\"",
    "\"i64\"",
    "\"f64\"",
    "\"decimal(9,2)\"",
    "\"bool\"",
    "\"timestamp\"",
    "\"date\"",
    "\"ipv4\"",
    "\"ipv6\"",
    "\"uuid\"",
    "\"list(u8)\"",
    "\"list(low_cardinality)\"",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// By an envelope of this layout, the first three, or by a mask.
    Tab,
    Json,
    Frame,
    Mask,
    /// Not at all.
    No,
}

fn config_text(format: &str, hidden: Hidden, types: &[usize], time: &str) -> String {
    let mut text = match hidden {
        Hidden::Tab => "[decode.envelope]\nlayout = \"tab\"\nkeyring = \"k.toml\"\n".to_owned(),
        Hidden::Json => "[decode.envelope]\nlayout = \"json\"\nkeyring = \"k.toml\"\n".to_owned(),
        Hidden::Frame => "[decode.envelope]\nlayout = \"frame\"\nkeyring = \"k.toml\"\n".to_owned(),
        Hidden::Mask | Hidden::No => String::new(),
    };
    text = format!("[decode]\nformat = \"{format}\"\nrecord_bytes_max = 2000\n{text}");
    text += "[products]\ncolumn = \"p\"\ndictionary = \"products.csv\"\nunknown = \"dead_letter\"\n";
    text += &format!("[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n{time}");
    let is_log = format == "access_log";
    let field = |name: &str| if is_log { format!("path = \"{name}\"\n") } else { String::new() };
    text += &format!("[[column]]\nname = \"p\"\ntype = \"low_cardinality\"\n{}", field("user"));
    let masked = if hidden == Hidden::Mask { "mask = \"redact\"\n" } else { "" };
    text += &format!("[[column]]\nname = \"m\"\ntype = \"string\"\n{masked}{}", field("agent"));
    let log_fields = ["host", "status", "request", "referer", "bytes"];
    for (index, (name, &ty)) in FIELDS.iter().zip(types).enumerate() {
        text += &format!("[[column]]\nname = \"{name}\"\ntype = {}\n{}", TYPES[ty], field(log_fields[index]));
    }
    text
}

/// A value that may be anything, with the needle in it.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!("\"{NEEDLE}\"")),
        Just(DIGITS.to_owned()),
        Just(format!("-{DIGITS}.{DIGITS}e3")),
        Just(format!("{{\"{NEEDLE}\":{DIGITS}}}")),
        Just(format!("[\"{NEEDLE}\",{DIGITS},null]")),
        Just(format!("\"203.0.113.{DIGITS}\"")),
        Just(format!("\"{NEEDLE}\\u00e9\\\"{NEEDLE}\"")),
        Just(format!("\"{NEEDLE}\n{NEEDLE}\"")),
        Just(NEEDLE.to_owned()),
        Just("1".to_owned()),
        Just("null".to_owned()),
    ]
}

/// A record of the format, and what is done to its text.
fn record(format: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let values = proptest::collection::vec(value(), 7);
    let damage = (0..12_usize, any::<prop::sample::Index>(), proptest::bool::ANY);
    (values, damage, any::<bool>()).prop_map(move |(values, (damage, place, known), good_time)| {
        let product = if known { "p1".to_owned() } else { NEEDLE.to_owned() };
        let bare = |value: &String| value.trim_matches('"').replace(['\t', '\n', ',', ' '], "");
        let mut text = match format {
            "json" => {
                let fields: String =
                    FIELDS.iter().zip(&values).map(|(name, value)| format!(",\"{name}\":{value}")).collect();
                let time = if good_time { "1700000000000" } else { &values[6] };
                format!("{{\"ts\":{time},\"p\":\"{product}\",\"{NEEDLE}\":\"{NEEDLE}\",\"m\":\"{NEEDLE}\"{fields}}}")
            }
            "access_log" => {
                let time = if good_time { "20/Nov/2026:08:00:00 +0000" } else { NEEDLE };
                let [host, status, request, referer, bytes] = [0, 1, 2, 3, 4].map(|index| bare(&values[index]));
                format!("{host} - {product} [{time}] \"{request}\" {status} {bytes} \"{referer}\" \"{NEEDLE}\"")
            }
            _ => {
                let time = if good_time { "1700000000000".to_owned() } else { bare(&values[6]) };
                let mut cells = vec![time, product, NEEDLE.to_owned()];
                cells.extend(values[..5].iter().map(bare));
                cells.join(if format == "csv" { "," } else { "\t" })
            }
        };
        let mut at = place.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        match damage {
            0 => text.truncate(at),
            1 => text.insert_str(at, NEEDLE),
            2 => text.insert(at, '"'),
            3 => text.insert(at, '\\'),
            4 => text.insert_str(at, if format == "csv" { "," } else { "\t" }),
            5 => text.insert(at, '\u{1}'),
            6 => text = NEEDLE.repeat(300),
            7 => text = format!("{NEEDLE}\t{NEEDLE}=="),
            8 => text = format!("{{\"key\":\"{NEEDLE}\",\"nonce\":\"{NEEDLE}\",\"data\":\"{NEEDLE}=\"}}"),
            _ => {}
        }
        let mut bytes = text.into_bytes();
        if damage == 9 {
            bytes.insert(at, 0xff);
        }
        bytes
    })
}

/// How a sealed record is spoilt around what it seals.
fn seal(layout: Hidden, plain: &[u8], spoil: usize) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[0; 16]).expect("16 bytes are a key"));
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([7; 12]), Aad::empty(), &mut sealed).expect("it fits");
    if spoil == 1 {
        sealed[0] ^= 1;
    }
    let id = if spoil == 2 { NEEDLE } else { "k1" };
    let rubbish = if spoil == 3 { NEEDLE } else { "" };
    match layout {
        Hidden::Tab | Hidden::Json if spoil == 4 => plain.to_vec(),
        Hidden::Tab => format!("{id}\t{}{rubbish}", STANDARD.encode([&[7; 12][..], &sealed].concat())).into_bytes(),
        Hidden::Json => format!(
            "{{\"key\":\"{id}\",\"nonce\":\"{}{rubbish}\",\"data\":\"{}\",\"{NEEDLE}\":1}}",
            STANDARD.encode([7; 12]),
            STANDARD.encode(&sealed)
        )
        .into_bytes(),
        Hidden::Frame if spoil >= 3 => [NEEDLE.as_bytes(), plain].concat(),
        Hidden::Frame => [&[id.len() as u8], id.as_bytes(), &[7; 12], &sealed[..]].concat(),
        Hidden::Mask | Hidden::No => plain.to_vec(),
    }
}

/// A piece of the needle that stands in the text, if one does.
fn piece_in(text: &str) -> Option<&'static str> {
    let pieces = |needle: &'static str| (0..=needle.len() - PIECE).map(move |at| &needle[at..at + PIECE]);
    pieces(NEEDLE).chain(pieces(DIGITS)).find(|piece| text.contains(piece))
}

/// The details of what a slice of these records leaves dead.
fn details(format: &str, hidden: Hidden, types: &[usize], records: &[Vec<u8>], careful: bool) -> Vec<String> {
    let time = match format {
        "access_log" => "format = \"%d/%b/%Y:%H:%M:%S %z\"\npath = \"time\"\n",
        _ => "",
    };
    let config = config(&config_text(format, hidden, types, time));
    let keyring = Keyring::parse(KEYRING, "k.toml").expect("a keyring");
    let dictionary = Dictionary::parse_csv(b"id,name\np1,One\n", "products.csv").expect("a dictionary");
    let decoder = Decoder::new(&config, Some(keyring), Some(dictionary)).expect("a decoder");
    let decoder = if careful { decoder.careful() } else { decoder };
    let mut bytes = Vec::new();
    for record in records {
        match hidden {
            Hidden::Frame => {
                bytes.extend((record.len() as u32).to_be_bytes());
                bytes.extend(record);
            }
            _ => {
                bytes.extend(record.iter().filter(|&&byte| byte != b'\n'));
                bytes.push(b'\n');
            }
        }
    }
    let mut slice = slice(0, bytes);
    if matches!(format, "csv" | "tsv") {
        slice = with_header(slice, &["ts", "p", "m", "f0", "f1", "f2", "f3", "f4"]);
    }
    let dead = decode(&decoder, &slice).dead;
    dead.into_iter().map(|letter| format!("{:?}: {}", letter.fault.column, letter.fault.detail)).collect()
}

fn format() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("json"), 1 => Just("csv"), 1 => Just("tsv"), 1 => Just("access_log")]
}

proptest! {
    #[test]
    fn no_reason_shows_a_value_where_records_are_sealed_or_a_column_is_masked(
        (format, records) in format().prop_flat_map(|format| {
            (Just(format), proptest::collection::vec((record(format), 0..7_usize), 1..12))
        }),
        hidden in prop_oneof![Just(Hidden::Tab), Just(Hidden::Json), Just(Hidden::Frame), Just(Hidden::Mask)],
        types in proptest::collection::vec(0..TYPES.len(), FIELDS.len()),
        careful: bool,
    ) {
        // What is divided by lines and named by a header cannot be framed.
        let hidden = if hidden == Hidden::Frame && format != "json" { Hidden::Tab } else { hidden };
        let hidden = if matches!(format, "csv" | "tsv") { Hidden::Mask } else { hidden };
        let records: Vec<Vec<u8>> = records.iter().map(|(plain, spoil)| seal(hidden, plain, *spoil)).collect();
        for detail in details(format, hidden, &types, &records, careful) {
            prop_assert_eq!(piece_in(&detail), None, "{}", detail);
        }
    }
}

/// The search finds what there is to find: without envelope and mask the same records are quoted.
#[test]
fn without_envelope_and_mask_values_are_shown() {
    let record = |product: &str, value: &str| {
        format!("{{\"ts\":1700000000000,\"p\":\"{product}\",\"m\":\"x\",\"f0\":{value}}}").into_bytes()
    };
    let records = [record("p1", DIGITS), record("p1", &format!("\"{NEEDLE}\"")), record(NEEDLE, "1")];
    let types = [2, 0, 0, 0, 0];
    let shown = details("json", Hidden::No, &types, &records, false);
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|detail| piece_in(detail).is_some()), "{shown:?}");
    let hidden = details("json", Hidden::Mask, &types, &records, false);
    assert_eq!(hidden.len(), 3);
    assert!(hidden.iter().all(|detail| piece_in(detail).is_none()), "{hidden:?}");
}
