//! Quick conversions: what they know, what they leave, and that they agree with the parsers of the standard library.

use proptest::prelude::*;

use super::*;
use crate::column::span::SpanKind;

/// Runs `quick` on `text` with sixteen other digits in front of it, which must not count.
fn on<T>(text: &str, quick: impl Fn(&[u8], Span) -> Option<T>) -> Option<T> {
    let block = format!("9876543210987654{text}");
    quick(block.as_bytes(), Span::new(SpanKind::Number, 16, block.len()))
}

#[test]
fn integers_of_the_common_shape() {
    assert_eq!(on("0", integer::<i64>), Some(0));
    assert_eq!(on("-1", integer::<i64>), Some(-1));
    assert_eq!(on("1795161604193", integer::<i64>), Some(1_795_161_604_193));
    assert_eq!(on("-9999999999999999", integer::<i64>), Some(-9_999_999_999_999_999));
    assert_eq!(on("255", integer::<u8>), Some(255));
    for left in ["", "-", "1.0", "1e3", "--1", "12345678901234567", "1:", "/1", "1\u{e9}", "+1"] {
        assert_eq!(on(left, integer::<i64>), None, "{left}");
    }
    assert_eq!(on("256", integer::<u8>), None);
    assert_eq!(on("-1", integer::<u8>), None);
}

#[test]
fn a_number_at_the_blocks_beginning_is_left() {
    let block = b"123456789012345,";
    assert_eq!(integer::<i64>(block, Span::new(SpanKind::Number, 0, 15)), None);
    let block = b"[123456789012345,";
    assert_eq!(integer::<i64>(block, Span::new(SpanKind::Number, 1, 16)), Some(123_456_789_012_345));
    assert_eq!(integer::<i64>(block, Span::new(SpanKind::Number, 90, 92)), None);
}

#[test]
fn decimals_of_the_common_shape() {
    let short = |text| on(text, short_decimal).map(|Short { magnitude, negative, after }| (magnitude, negative, after));
    assert_eq!(short("0.21"), Some((21, false, 2)));
    assert_eq!(short("-12345678.901234"), Some((12_345_678_901_234, true, 6)));
    assert_eq!(short("1234567890123456"), Some((1_234_567_890_123_456, false, 0)));
    assert_eq!(short("1.23456789012345"), Some((123_456_789_012_345, false, 14)));
    for left in ["", ".", "1.", ".5", "-.5", "1.2.3", "1..2", "1.5e3", "1.2345678901234567", "1,5", "1.\u{ae}"] {
        assert_eq!(short(left), None, "{left}");
    }
}

proptest! {
    #[test]
    fn floats_are_those_of_the_standard_library(text in "-?[0-9]{1,16}(\\.[0-9]{1,14})?") {
        if let Some(value) = on(&text, double) {
            prop_assert_eq!(value.to_bits(), text.parse::<f64>().expect("a number").to_bits());
        } else {
            prop_assert!(text.len() >= 16, "{} was left", text);
        }
        if let Some(value) = on(&text, single) {
            prop_assert_eq!(value.to_bits(), text.parse::<f32>().expect("a number").to_bits());
        }
    }

    #[test]
    fn short_singles_are_taken(text in "-?[0-9]{1,4}(\\.[0-9]{1,3})?") {
        prop_assert_eq!(on(&text, single), Some(text.parse::<f32>().expect("a number")));
    }

    #[test]
    fn only_numbers_are_taken(text in "[-0-9.:/]{1,17}") {
        if let Some(value) = on(&text, integer::<i64>) {
            prop_assert_eq!(Ok(value), text.parse::<i64>());
        }
        if on(&text, short_decimal).is_some() {
            prop_assert!(text.parse::<f64>().is_ok());
        }
    }
}
