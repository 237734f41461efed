//! What a shape proves, against the reader that decides what is JSON.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::json::validate;
use crate::simd::pages::everywhere;

/// Where `text`, behind one byte and before many, is found after `known` was remembered.
fn found(known: &str, text: &str) -> Vec<Option<usize>> {
    found_before(&" ".repeat(64), known, text)
}

/// The same before other bytes.
fn found_before(behind: &str, known: &str, text: &str) -> Vec<Option<usize>> {
    let place = |text: &str| format!("x{text}{behind}").into_bytes();
    let find = |kernels| {
        let shapes = everywhere(&place(known), |known_bytes| {
            let mut shapes = Shapes::default();
            shapes.add(kernels, known_bytes, 1..1 + known.len());
            shapes
        });
        let shaped = everywhere(&place(text), |text| shapes.clone().find(kernels, text, 1))?;
        assert_eq!(shaped.quotes, text[..shaped.len].matches('"').count());
        Some(shaped.len)
    };
    // Levels without shapes find nothing, which is right as well.
    Kernels::all().into_iter().map(find).collect()
}

fn widest(known: &str, text: &str) -> Option<usize> {
    *found(known, text).last().unwrap()
}

fn has_shapes() -> bool {
    widest("{}", "{}").is_some()
}

#[test]
fn what_differs_in_strings_and_digits_alone_has_the_same_shape() {
    if !has_shapes() {
        return;
    }
    let known = r#"{"n":12,"net":"cell","ab":[6,112],"dur_ms":55754}"#;
    for same in [r#"{"n":0,"net":"","ab":[7,18],"dur_ms":1}"#, r#"{"other":3,"é":"{}[],:1","":[0,0],"x":10}"#] {
        assert_eq!(widest(known, same), Some(same.len()), "{same}");
        assert_eq!(widest(known, &format!("{same},\"next\":[1]}}")), Some(same.len()));
    }
    assert_eq!(widest(r#"{"a":0.5}"#, r#"{"b":10.05}"#), Some(11));
    assert_eq!(widest("[-1]", "[-0]"), Some(4));
    let whole = format!("[\"{}\"]", "x".repeat(60));
    assert_eq!((whole.len(), widest(&whole, &whole)), (64, Some(64)));
}

/// A shape is of 64 bytes, and not all of them may be there.
#[test]
fn near_the_end_nothing_is_read_beyond_it() {
    let value = r#"{"n":12,"net":"cell"}"#;
    for behind in 0..70 {
        let found = found_before(&" ".repeat(behind), value, value);
        let is_found = has_shapes() && value.len() + behind >= 64;
        assert_eq!(*found.last().unwrap(), is_found.then_some(value.len()), "{behind} bytes behind it");
    }
}

#[test]
fn what_is_no_json_is_not_found() {
    let pairs = [
        (r#"{"n":1}"#, r#"{"n":01}"#),
        (r#"{"n":1}"#, r#"{"n":00}"#),
        (r#"[-1]"#, r#"[-01]"#),
        (r#"[1.5]"#, r#"[01.5]"#),
        (r#"[1.5]"#, r#"[1.5.5]"#),
        (r#"{"n":1}"#, r#"{"n":1"#),
        (r#"{"n":1}"#, r#"{"n:1}"#),
        (r#"{"n":1}"#, r#"{"n":}"#),
        (r#"{"n":true}"#, r#"{"n":trve}"#),
        ("[1 ]", "[1]"),
    ];
    for (known, wrong) in pairs {
        assert!(found(known, wrong).iter().all(Option::is_none), "{wrong}");
    }
}

#[test]
fn the_shapes_that_came_last_are_remembered() {
    if !has_shapes() {
        return;
    }
    let text = |nested: usize| format!("{}{}{}", "[".repeat(nested), "]".repeat(nested), " ".repeat(70));
    let mut shapes = Shapes::default();
    let kernels = Kernels::widest();
    for nested in 1..=SHAPES + 2 {
        shapes.add(kernels, text(nested).as_bytes(), 0..2 * nested);
    }
    for nested in 1..=SHAPES + 2 {
        let expected = (nested > 2).then_some(Shaped { len: 2 * nested, quotes: 0 });
        assert_eq!(shapes.find(kernels, text(nested).as_bytes(), 0), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Values made of few pieces, so that shapes meet: what is found is JSON.
    #[test]
    fn what_is_found_is_json(
        known in prop::collection::vec(select(PIECES.to_vec()), 1..8),
        text in prop::collection::vec(select(PIECES.to_vec()), 1..8),
    ) {
        let (known, text) = (format!("[{}]", known.concat()), format!("[{}]", text.concat()));
        if validate(known.as_bytes()).is_ok() {
            for len in found(&known, &text).into_iter().flatten() {
                prop_assert!(validate(&text.as_bytes()[..len]).is_ok(), "{} after {}", text, known);
            }
            if let Ok(()) = validate(text.as_bytes()) && has_shapes() && known == text {
                let has_leading_zero = text.contains("e0") || text.contains("-0");
                prop_assert!(has_leading_zero || widest(&known, &text) == Some(text.len()));
            }
        }
    }
}

const PIECES: [&str; 22] = [
    "1", "0", "10", "00", "-", ".", "e", "5", ",", ",", ",", "\"\"", "\"a1\"", "\"[,\"", "[", "]", "{", "}", ":",
    "null", " ", "0.0",
];

/// Values of as many shapes as numbers: each has one key more.
fn of_shape(number: usize) -> String {
    let value = format!("[{}]", "[],".repeat(number) + "0");
    value + &" ".repeat(200)
}

#[test]
fn all_that_have_room_are_found_again_and_the_common_ones_stay() {
    if !has_shapes() {
        return;
    }
    let kernels = Kernels::widest();
    let mut shapes = Shapes::default();
    let len = |number: usize| 3 + 3 * number;
    let add = |shapes: &mut Shapes, number| shapes.add(kernels, of_shape(number).as_bytes(), 0..len(number));
    let find =
        |shapes: &mut Shapes, number| shapes.find(kernels, of_shape(number).as_bytes(), 0).map(|shaped| shaped.len);
    assert!(len(19) <= BLOCK && SHAPES > 20);
    (0..20).for_each(|number| add(&mut shapes, number));
    // Those that were added last are not among the first, and are moved there.
    for _ in 0..100 {
        for number in (0..20).rev() {
            assert_eq!(find(&mut shapes, number), Some(len(number)), "{number}");
        }
    }
    // More new shapes than places, each used once, and one that is used all the time.
    for letters in 1..2 * SHAPES {
        let name = ["true", "false", "null", "{}"][letters % 4];
        let value = format!("[{}0]{}", format!("{name},").repeat(letters / 4 + 1), " ".repeat(200));
        let end = value.trim_end().len();
        if end <= BLOCK {
            shapes.add(kernels, value.as_bytes(), 0..end);
            assert_eq!(shapes.find(kernels, value.as_bytes(), 0).map(|shaped| shaped.len), Some(end), "{value}");
            (0..3).for_each(|_| assert_eq!(find(&mut shapes, 19), Some(len(19)), "after {value}"));
        }
    }
    let left = (0..20).filter(|&number| find(&mut shapes, number).is_some()).count();
    assert!(left < 20, "the others made room");
}
