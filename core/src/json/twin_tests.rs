//! The reader against `serde_json` and `simd-json`: same verdict, same values, over generated and damaged records.

use proptest::prelude::*;
use serde_json::Value as Tree;

use super::{Plan, RawValue, validate};
use crate::column::value::Value;
use crate::column::{Path, Step};

/// Keys that generated records and declared paths share.
const KEYS: [&str; 7] = ["a", "b", "ts", "", "é\"\\", "session_identifier_long", "session_identifier_lonG"];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(&KEYS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

/// JSON text of a string, its characters escaped or not as `choices` say.
fn quoted(text: &str, choices: u32) -> String {
    let mut out = String::from("\"");
    for (index, character) in text.chars().enumerate() {
        let escape = choices.rotate_right(index as u32) & 3 == 3;
        if escape || character < ' ' || matches!(character, '"' | '\\') {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
    out
}

fn string() -> impl Strategy<Value = String> {
    (prop_oneof!["[a-z0-9/ ]{0,40}", any::<String>()], any::<u32>()).prop_map(|(text, choices)| quoted(&text, choices))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u32>().prop_map(|n| format!("{}.{:03}", n / 1000, n % 1000)),
        "-?(0|[1-9][0-9]{0,12})(\\.[0-9]{1,6})?([eE][+-]?[0-9])?",
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\t\r\n ")]
}

fn value() -> impl Strategy<Value = String> {
    let scalar =
        prop_oneof![string(), number(), Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned())];
    scalar.prop_recursive(4, 40, 6, |inner| {
        let array = (prop::collection::vec(inner.clone(), 0..6), space())
            .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},{space}"))));
        prop_oneof![array, object(inner)]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (key(), any::<u32>(), space(), value)
        .prop_map(|(key, choices, space, value)| format!("{}{space}:{space}{value}", quoted(&key, choices)));
    (prop::collection::vec(member, 0..6), space())
        .prop_map(|(members, space)| format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}"))))
}

fn record() -> impl Strategy<Value = String> {
    object(value())
}

fn path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![
        3 => prop::sample::select(&KEYS[..]).prop_map(|key| Step::Key(key.to_owned())),
        1 => (0..4_usize).prop_map(Step::Index),
    ];
    prop::collection::vec(step, 0..4).prop_map(Path)
}

/// A record and ways to damage it: bytes to overwrite, then a place to cut.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"{}[]:,\"\\ \n0123456789+-.eEtfnu\0\x7F".to_vec())];
    (record(), prop::collection::vec((any::<prop::sample::Index>(), byte), 0..4), any::<Option<prop::sample::Index>>())
        .prop_map(|(record, flips, cut)| {
            let mut bytes = record.into_bytes();
            for (place, byte) in flips {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            bytes
        })
}

fn lookup<'t>(tree: &'t Tree, path: &Path) -> Option<&'t Tree> {
    path.0.iter().try_fold(tree, |tree, step| match (tree, step) {
        (Tree::Object(members), Step::Key(key)) => members.get(key),
        (Tree::Array(items), Step::Index(index)) => items.get(*index),
        _ => None,
    })
}

/// Whether a found value says what the other parser read.
fn says(found: RawValue<'_>, tree: &Tree) -> bool {
    let mut scratch = String::new();
    match (found.value(&mut scratch), tree) {
        (Value::Null, Tree::Null) => true,
        (Value::Bool(found), Tree::Bool(other)) => found == *other,
        (Value::String(found), Tree::String(other)) => found == other,
        // With `arbitrary_precision` a number keeps its text, but for a `+` that it adds to the exponent.
        (Value::Number(found), Tree::Number(other)) => {
            let plain = |text: &str| text.to_ascii_lowercase().replace("e+", "e");
            plain(found) == plain(&other.to_string())
        }
        (Value::Json(found), Tree::Object(_)) => serde_json::from_str::<Tree>(found).ok().as_ref() == Some(tree),
        (Value::Json(text), Tree::Array(others)) => {
            let elements: Vec<RawValue<'_>> = found.elements().collect();
            text == found.text()
                && elements.len() == others.len()
                && elements.iter().zip(others).all(|(element, other)| says(*element, other))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn verdicts_are_serde_jsons(bytes in damaged()) {
        let ours = validate(&bytes);
        let theirs = serde_json::from_slice::<Tree>(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?} {}", ours, theirs, String::from_utf8_lossy(&bytes));
    }

    /// `simd-json` refuses integers past 64 bits, which are JSON all the same; the generated ones fit, and damage that
    /// makes longer ones is passed over.
    #[test]
    fn verdicts_are_simd_jsons(bytes in damaged()) {
        let ours = validate(&bytes);
        let theirs = simd_json::to_owned_value(&mut bytes.clone());
        match (&ours, &theirs) {
            (Ok(()), Err(error)) => {
                let text = format!("{error:?}");
                prop_assert!(text.contains("InvalidNumber") || text.contains("Overflow"), "{} {}", text, String::from_utf8_lossy(&bytes));
            }
            _ => prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?} {}", ours, theirs, String::from_utf8_lossy(&bytes)),
        }
    }

    /// Several records in a row through the same slots, so that what one leaves behind is seen in the next.
    #[test]
    fn values_are_serde_jsons(
        records in prop::collection::vec(prop_oneof![3 => record().prop_map(String::into_bytes), 1 => damaged()], 1..6),
        paths in prop::collection::vec(path(), 0..8),
    ) {
        let plan = Plan::new(&paths);
        let mut slots = plan.slots();
        for bytes in &records {
            let Ok(record) = std::str::from_utf8(bytes) else { continue };
            let ours = plan.extract(record, &mut slots);
            let theirs = serde_json::from_slice::<Tree>(bytes);
            let is_object = matches!(&theirs, Ok(Tree::Object(_)));
            prop_assert_eq!(ours.is_ok(), is_object, "{:?} {:?} {}", ours, theirs, record);
            let (true, Ok(tree)) = (is_object, theirs) else { continue };
            for (column, path) in paths.iter().enumerate() {
                let found = plan.value(column, record, &slots);
                match (found, lookup(&tree, path)) {
                    (None, None) => {}
                    (Some(found), Some(tree)) => prop_assert!(says(found, tree), "{:?}: {:?} is not {} in {}", path, found, tree, record),
                    (found, tree) => prop_assert!(false, "{:?}: found {:?}, expected {:?} in {}", path, found, tree, record),
                }
            }
        }
    }
}
