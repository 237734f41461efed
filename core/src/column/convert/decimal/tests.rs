//! Decimals, row by row of the table in the documentation, and against arithmetic on digit strings.

use proptest::prelude::*;

use super::*;

fn decimal(precision: u8, scale: u8, text: &str) -> Result<i128, Cause> {
    let rule = DecimalRule::new(precision, scale).expect("a decimal type");
    let bare = rule.convert(Value::Number(text));
    for value in [Value::String(text), Value::Text(text)] {
        assert_eq!(rule.convert(value), bare, "{value:?}");
    }
    bare
}

#[test]
fn money_is_exact() {
    assert_eq!(decimal(18, 2, "0"), Ok(0));
    assert_eq!(decimal(18, 2, "-0.00"), Ok(0));
    assert_eq!(decimal(18, 2, "12"), Ok(1_200));
    assert_eq!(decimal(18, 2, "12.3"), Ok(1_230));
    assert_eq!(decimal(18, 2, "12.34"), Ok(1_234));
    assert_eq!(decimal(18, 2, "-12.34"), Ok(-1_234));
    assert_eq!(decimal(18, 2, "0.07"), Ok(7));
    assert_eq!(decimal(18, 2, "1.234e1"), Ok(1_234));
    assert_eq!(decimal(18, 2, "1234e-2"), Ok(1_234));
    assert_eq!(decimal(18, 2, "0.0001234E5"), Ok(1_234));
    assert_eq!(decimal(18, 2, "1e3"), Ok(100_000));
    assert_eq!(decimal(38, 0, "12345678901234567890"), Ok(12_345_678_901_234_567_890));
    assert_eq!(decimal(38, 38, "0.1"), Ok(10i128.pow(37)));
}

#[test]
fn more_digits_after_the_point_must_be_zeros() {
    assert_eq!(decimal(18, 2, "12.3400"), Ok(1_234));
    assert_eq!(decimal(18, 2, "12.34000000000000000000000000000000000000000000"), Ok(1_234));
    assert_eq!(decimal(18, 2, "12.345"), Err(Cause::Fraction));
    assert_eq!(decimal(18, 2, "0.001"), Err(Cause::Fraction));
    assert_eq!(decimal(18, 2, "1e-3"), Err(Cause::Fraction));
    assert_eq!(decimal(18, 0, "1.0"), Ok(1));
    assert_eq!(decimal(18, 0, "1.5"), Err(Cause::Fraction));
}

#[test]
fn decimals_at_the_ends_of_their_precision() {
    assert_eq!(decimal(5, 2, "999.99"), Ok(99_999));
    assert_eq!(decimal(5, 2, "-999.99"), Ok(-99_999));
    assert_eq!(decimal(5, 2, "1000"), Err(Cause::Range));
    assert_eq!(decimal(5, 2, "1000.00"), Err(Cause::Range));
    assert_eq!(decimal(5, 2, "-1000.00"), Err(Cause::Range));
    assert_eq!(decimal(5, 5, "0.99999"), Ok(99_999));
    assert_eq!(decimal(5, 5, "1"), Err(Cause::Range));
    let nines = "9".repeat(38);
    assert_eq!(decimal(38, 0, &nines), Ok(10i128.pow(38) - 1));
    assert_eq!(decimal(38, 0, &format!("1{}", "0".repeat(38))), Err(Cause::Range));
    assert_eq!(decimal(38, 30, "99999999"), Ok(99_999_999 * 10i128.pow(30)));
    assert_eq!(decimal(38, 30, "100000000"), Err(Cause::Range));
    assert_eq!(decimal(38, 38, "999999999999999999"), Err(Cause::Range), "too large for the arithmetic, too");
    assert_eq!(decimal(18, 2, "1e999999999"), Err(Cause::Range));
    assert_eq!(decimal(18, 2, "1e-999999999"), Err(Cause::Fraction));
}

#[test]
fn what_is_not_a_decimal() {
    for text in ["", "-", ".", "1.", ".5", "-.5", "+1", "1,5", "1 ", "$1", "1.2.3", "null", "NaN", "1e", "1..2"] {
        assert_eq!(decimal(18, 2, text), Err(Cause::Form), "{text}");
    }
    let rule = DecimalRule::new(18, 2).expect("a decimal type");
    assert_eq!(rule.convert(Value::Bool(true)), Err(Cause::Kind));
    assert_eq!(rule.convert(Value::Json("[]")), Err(Cause::Kind));
}

#[test]
fn types_that_are_not_decimals() {
    for (precision, scale) in [(0, 0), (39, 0), (5, 6)] {
        assert!(DecimalRule::new(precision, scale).is_err(), "decimal({precision}, {scale})");
    }
}

proptest! {
    /// The point is moved in the text; the short way and the long way must agree with it.
    #[test]
    fn decimals_agree_with_digit_strings(
        negative in any::<bool>(),
        whole in "0{0,3}[0-9]{1,20}",
        fraction in "[0-9]{0,10}0{0,3}",
        precision in 1u8..=38,
        scale in 0u8..=12,
    ) {
        let scale = scale.min(precision);
        let point = if fraction.is_empty() { "" } else { "." };
        let text = format!("{}{whole}{point}{fraction}", if negative { "-" } else { "" });
        let (kept, rest) = fraction.split_at(fraction.len().min(scale.into()));
        let digits = format!("{whole}{kept:0<width$}", width = usize::from(scale));
        let significant = digits.trim_start_matches('0');
        let fits = rest.trim_matches('0').is_empty() && significant.len() <= usize::from(precision);
        let expected = if !fits {
            Err(())
        } else {
            let magnitude: i128 = format!("0{significant}").parse().expect("at most 38 digits");
            Ok(if negative { -magnitude } else { magnitude })
        };
        let got = decimal(precision, scale, &text).map_err(|_| ());
        prop_assert_eq!(got, expected, "{} as decimal({}, {})", text, precision, scale);
    }
}
