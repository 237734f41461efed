//! Quick conversions: what they know, what they leave, and that they agree with the parsers of the standard library.

use proptest::prelude::*;

use super::*;
use crate::column::span::SpanKind;
use crate::simd::Kernels;
use crate::simd::numbers::{decimals, integers};
use crate::simd::pages::everywhere;

/// The kernels' answer for `text` with sixteen other digits in front of it, which must not count; all kernels agree.
fn on<T: Copy + Default + PartialEq + std::fmt::Debug>(
    text: &str,
    kernel: impl Fn(&[u8], &[Span], &mut [T], Kernels) -> u64,
) -> Option<T> {
    let block = format!("9876543210987654{text}").into_bytes().into_boxed_slice();
    at(&block, Span::new(SpanKind::Number, 16, block.len()), kernel)
}

fn at<T: Copy + Default + PartialEq + std::fmt::Debug>(
    block: &[u8],
    span: Span,
    kernel: impl Fn(&[u8], &[Span], &mut [T], Kernels) -> u64,
) -> Option<T> {
    let answers = Kernels::all().into_iter().map(|kernels| {
        everywhere(block, |block| {
            let mut out = [T::default(); 9];
            // Alone, so that a kernel which mixes its rows up is found, and as four neighbours, which go through at once.
            let spans = [Span::ABSENT, span, Span::ABSENT, Span::ABSENT, span, span, span, span, span];
            let done = kernel(block, &spans, &mut out, kernels);
            assert!([0, 0b1_1111_0010].contains(&done), "what is absent is left, and the others are alike: {done:b}");
            assert!(out[4..].iter().all(|value| *value == out[4]));
            assert!(done == 0 || out[4] == out[1]);
            (done != 0).then_some(out[1])
        })
    });
    let answers: Vec<_> = answers.collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0]
}

#[test]
fn integers_of_the_common_shape() {
    assert_eq!(on("0", integers), Some(0));
    assert_eq!(on("-1", integers), Some(-1));
    assert_eq!(on("-0", integers), Some(0));
    assert_eq!(on("1795161604193", integers), Some(1_795_161_604_193));
    assert_eq!(on("-9999999999999999", integers), Some(-9_999_999_999_999_999));
    for left in ["", "-", "1.0", "1e3", "--1", "12345678901234567", "1:", "/1", "1\u{e9}", "+1"] {
        assert_eq!(on(left, integers), None, "{left}");
    }
}

#[test]
fn a_number_at_the_blocks_beginning_is_left() {
    let block = b"123456789012345,";
    assert_eq!(at(block, Span::new(SpanKind::Number, 0, 15), integers), None);
    let block = b"[123456789012345,";
    assert_eq!(at(block, Span::new(SpanKind::Number, 1, 16), integers), Some(123_456_789_012_345));
    assert_eq!(at(block, Span::new(SpanKind::Number, 90, 92), integers), None);
}

/// Of every length, at every distance from the block's beginning.
#[test]
fn numbers_near_the_blocks_beginning_are_read_within_it_or_left() {
    for len in 1..=17 {
        for before in 0..=17 {
            let block = [&b"[[[[[[[[[[[[[[[[["[..before], &b"12345678912345678"[..len]].concat();
            let span = Span::new(SpanKind::Number, before, block.len());
            let is_read = len <= 16 && block.len() >= 16;
            let number = "12345678912345678"[..len].parse().expect("it fits");
            assert_eq!(at(&block, span, integers), is_read.then_some(number), "{len} behind {before}");
            let short = at(&block, span, decimals).map(|Short { units, after }| (units, after));
            assert_eq!(short, is_read.then_some((number, 0)), "{len} behind {before}");
        }
    }
}

#[test]
fn decimals_of_the_common_shape() {
    let short = |text| on(text, decimals).map(|Short { units, after }| (units, after));
    assert_eq!(short("0.21"), Some((21, 2)));
    assert_eq!(short("-12345678.901234"), Some((-12_345_678_901_234, 6)));
    assert_eq!(short("1234567890123456"), Some((1_234_567_890_123_456, 0)));
    assert_eq!(short("1.23456789012345"), Some((123_456_789_012_345, 14)));
    assert_eq!(short("0.00"), Some((0, 2)));
    for left in ["", ".", "1.", ".5", "-.5", "1.2.3", "1..2", "1.5e3", "1.2345678901234567", "1,5", "1.\u{ae}", "-0.0"]
    {
        assert_eq!(short(left), None, "{left}");
    }
}

proptest! {
    #[test]
    fn floats_are_those_of_the_standard_library(text in "-?[0-9]{1,16}(\\.[0-9]{1,14})?") {
        let short = on(&text, decimals);
        if let Some(value) = short.and_then(Short::double) {
            prop_assert_eq!(value.to_bits(), text.parse::<f64>().expect("a number").to_bits());
        } else {
            prop_assert!(text.len() >= 16 || text.starts_with("-0"), "{} was left", text);
        }
        if let Some(value) = short.and_then(Short::single) {
            prop_assert_eq!(value.to_bits(), text.parse::<f32>().expect("a number").to_bits());
        }
    }

    #[test]
    fn short_singles_are_taken(text in "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?") {
        let short = on(&text, decimals);
        prop_assert_eq!(short.and_then(Short::single), Some(text.parse::<f32>().expect("a number")));
    }

    #[test]
    fn only_numbers_are_taken(text in "[-0-9.:/]{1,17}") {
        if let Some(value) = on(&text, integers) {
            prop_assert_eq!(Ok(value), text.parse::<i64>());
        }
        if on(&text, decimals).is_some() {
            prop_assert!(text.parse::<f64>().is_ok());
        }
    }
}
