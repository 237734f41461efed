//! Integers and floats, row by row of the table in the documentation, and against arithmetic on digit strings.

use proptest::prelude::*;

use super::*;

fn number<T: TryFrom<i64> + TryFrom<i128>>(text: &str) -> Result<T, Cause> {
    let bare = integer(Value::Number(text));
    // In quotes and in formats without types the same rules hold.
    for value in [Value::String(text), Value::Text(text)] {
        assert_eq!(integer::<T>(value).err(), bare.as_ref().err().copied(), "{value:?}");
    }
    bare
}

#[test]
fn integers_as_json_writes_them() {
    assert_eq!(number::<i64>("0"), Ok(0));
    assert_eq!(number::<i64>("-0"), Ok(0));
    assert_eq!(number::<u8>("-0"), Ok(0));
    assert_eq!(number::<i64>("7"), Ok(7));
    assert_eq!(number::<i64>("12345678"), Ok(12_345_678));
    assert_eq!(number::<i64>("-123456789"), Ok(-123_456_789));
    assert_eq!(number::<i64>("123456789012345678"), Ok(123_456_789_012_345_678));
    assert_eq!(number::<i64>("1234567890123456789"), Ok(1_234_567_890_123_456_789));
}

#[test]
fn fractions_and_exponents_of_integers_when_the_value_is_one() {
    assert_eq!(number::<i64>("1e3"), Ok(1000));
    assert_eq!(number::<i64>("1E+3"), Ok(1000));
    assert_eq!(number::<i64>("1.0"), Ok(1));
    assert_eq!(number::<i64>("12.50e1"), Ok(125));
    assert_eq!(number::<i64>("-12.50e1"), Ok(-125));
    assert_eq!(number::<i64>("1200e-2"), Ok(12));
    assert_eq!(number::<i64>("0.00e5"), Ok(0));
    assert_eq!(number::<i64>("-0.0"), Ok(0));
    assert_eq!(number::<u8>("2.55e2"), Ok(255));
    assert_eq!(number::<i64>("1.5"), Err(Cause::Fraction));
    assert_eq!(number::<i64>("1e-1"), Err(Cause::Fraction));
    assert_eq!(number::<i64>("12.505e1"), Err(Cause::Fraction));
    assert_eq!(number::<i64>("-0.1"), Err(Cause::Fraction));
}

#[test]
fn integers_at_the_ends_of_their_range() {
    assert_eq!(number::<i8>("-128"), Ok(-128));
    assert_eq!(number::<i8>("-129"), Err(Cause::Range));
    assert_eq!(number::<i8>("128"), Err(Cause::Range));
    assert_eq!(number::<i16>("32767"), Ok(32767));
    assert_eq!(number::<i16>("32768"), Err(Cause::Range));
    assert_eq!(number::<i32>("-2147483648"), Ok(-2_147_483_648));
    assert_eq!(number::<i32>("2147483648"), Err(Cause::Range));
    assert_eq!(number::<i64>("9223372036854775807"), Ok(i64::MAX));
    assert_eq!(number::<i64>("9223372036854775808"), Err(Cause::Range), "2^63");
    assert_eq!(number::<i64>("-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(number::<i64>("-9223372036854775809"), Err(Cause::Range));
    assert_eq!(number::<u8>("255"), Ok(255));
    assert_eq!(number::<u8>("256"), Err(Cause::Range));
    assert_eq!(number::<u8>("300"), Err(Cause::Range));
    assert_eq!(number::<u8>("-1"), Err(Cause::Range));
    assert_eq!(number::<u16>("65536"), Err(Cause::Range));
    assert_eq!(number::<u32>("4294967295"), Ok(u32::MAX));
    assert_eq!(number::<u32>("4294967296"), Err(Cause::Range));
    assert_eq!(number::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(number::<u64>("18446744073709551616"), Err(Cause::Range), "2^64");
    assert_eq!(number::<u64>("1.8446744073709551615e19"), Ok(u64::MAX));
    assert_eq!(number::<u64>("-1"), Err(Cause::Range));
}

#[test]
fn huge_exponents_cost_nothing() {
    for text in ["1e999999999", "1e99999999999999999999999999", "-1e400"] {
        assert_eq!(number::<i64>(text), Err(Cause::Range), "{text}");
    }
    for text in ["1e-999999999", "1e-99999999999999999999999999"] {
        assert_eq!(number::<i64>(text), Err(Cause::Fraction), "{text}");
    }
    assert_eq!(number::<i64>("0e999999999999999999999"), Ok(0));
    assert_eq!(number::<i64>("0e-999999999999999999999"), Ok(0));
    let zeros = "0".repeat(1_000_000);
    assert_eq!(number::<i64>(&format!("1{zeros}e-1000000")), Ok(1));
    assert_eq!(number::<i64>(&format!("{zeros}17")), Ok(17), "leading zeros, as logs of fixed width write them");
    assert_eq!(number::<i64>(&format!("0.{zeros}25e1000002")), Ok(25));
}

#[test]
fn what_is_not_a_number() {
    let texts = [
        "",
        " ",
        "-",
        "+1",
        " 1",
        "1 ",
        "1_000",
        "1,000",
        "0x10",
        "1.",
        ".5",
        "1e",
        "1e+",
        "e5",
        "--1",
        "1-",
        "null",
        "NaN",
        "Infinity",
        "inf",
        "true",
        "١",
        "1\0",
        "12345678 ",
        "1234567/",
        "1234567:",
        "é1234567",
    ];
    for text in texts {
        for value in [Value::String(text), Value::Text(text)] {
            assert_eq!(integer::<i64>(value), Err(Cause::Form), "{value:?}");
            assert_eq!(double(value), Err(Cause::Form), "{value:?}");
            assert_eq!(single(value), Err(Cause::Form), "{value:?}");
        }
    }
    for value in [Value::Bool(true), Value::Json("[1]"), Value::Json("{}")] {
        assert_eq!(integer::<i64>(value), Err(Cause::Kind), "{value:?}");
        assert_eq!(double(value), Err(Cause::Kind), "{value:?}");
    }
}

#[test]
fn floats_are_the_nearest() {
    assert_eq!(double(Value::Number("0.1")), Ok(0.1));
    assert_eq!(double(Value::String("-2.5e-3")), Ok(-0.0025));
    assert_eq!(double(Value::Text("007.5")), Ok(7.5));
    assert_eq!(double(Value::Number("-0")).map(f64::to_bits), Ok(0x8000_0000_0000_0000));
    // 2^53 + 1 lies between two doubles and goes to the even one.
    assert_eq!(double(Value::Number("9007199254740993")), Ok(9_007_199_254_740_992.0));
    assert_eq!(double(Value::Number("1e308")), Ok(1e308));
    assert_eq!(double(Value::Number("1e309")), Err(Cause::Range));
    assert_eq!(double(Value::Number("-1e309")), Err(Cause::Range));
    assert_eq!(double(Value::Number("1e-999999999")), Ok(0.0));
    assert_eq!(single(Value::Number("3.4028235e38")), Ok(f32::MAX));
    assert_eq!(single(Value::Number("3.5e38")), Err(Cause::Range));
    // Halfway between two singles but for the last digit: by way of a double it would round down to even.
    assert_eq!(single(Value::Number("1.00000005960464477540")).map(f32::to_bits), Ok(0x3f80_0001));
}

/// Sign, digits before the point, digits after it, exponent.
fn literals() -> impl Strategy<Value = (bool, String, String, i32)> {
    (any::<bool>(), "[0-9]{1,22}|0{0,9}[0-9]{1,9}", "[0-9]{0,12}|[0-9]{0,4}0{0,9}", -25i32..25)
}

/// The number as an integer times ten to `shift`, by moving the point in the text. `None`: digits are left after it.
fn move_point(whole: &str, fraction: &str, by: i32) -> Option<String> {
    let mut digits = format!("{whole}{fraction}");
    let mut point = whole.len() as i32 + by;
    while point < 0 {
        digits.insert(0, '0');
        point += 1;
    }
    while (point as usize) > digits.len() {
        digits.push('0');
    }
    let (integer, rest) = digits.split_at(point as usize);
    rest.bytes().all(|digit| digit == b'0').then(|| format!("0{integer}"))
}

fn write(negative: bool, whole: &str, fraction: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent = if exponent == 0 { String::new() } else { format!("e{exponent}") };
    format!("{sign}{whole}{point}{fraction}{exponent}")
}

/// Eight bytes of ASCII by a pattern.
fn eight(pattern: &'static str) -> impl Strategy<Value = [u8; 8]> {
    pattern.prop_map(|text| text.into_bytes().try_into().expect("eight bytes"))
}

proptest! {
    #[test]
    fn integers_agree_with_moving_the_point((negative, whole, fraction, exponent) in literals()) {
        let text = write(negative, &whole, &fraction, exponent);
        let exact = move_point(&whole, &fraction, exponent);
        // More than 38 digits are out of any range.
        let magnitude = exact.as_ref().and_then(|digits| digits.parse::<i128>().ok());
        let value = magnitude.map(|value| if negative { -value } else { value });
        let got = number::<i64>(&text);
        match (exact, value.and_then(|value| i64::try_from(value).ok())) {
            (_, Some(fits)) => prop_assert_eq!(got, Ok(fits), "{}", text),
            (Some(_), None) => prop_assert_eq!(got, Err(Cause::Range), "{}", text),
            (None, None) => prop_assert!(got.is_err(), "{}", text),
        }
    }

    #[test]
    fn integers_agree_with_the_standard_library(value in any::<i64>(), narrow in -40_000i64..40_000) {
        let text = value.to_string();
        prop_assert_eq!(number::<i64>(&text), Ok(value));
        prop_assert_eq!(number::<u64>(&text).ok(), text.parse().ok());
        let text = narrow.to_string();
        prop_assert_eq!(number::<i8>(&text).ok(), text.parse().ok());
        prop_assert_eq!(number::<u8>(&text).ok(), text.parse().ok());
        prop_assert_eq!(number::<i16>(&text).ok(), text.parse().ok());
        prop_assert_eq!(number::<u16>(&text).ok(), text.parse().ok());
    }

    #[test]
    fn the_grammar_is_json_but_for_leading_zeros(text in "[-+.eE0-9 ]{1,14}") {
        let sign = if text.starts_with('-') { "-" } else { "" };
        let unsigned = &text[sign.len()..];
        let zeros = unsigned.bytes().take_while(|&byte| byte == b'0').count();
        let digits_follow = unsigned[zeros..].starts_with(|c: char| c.is_ascii_digit());
        let kept = if digits_follow { zeros } else { zeros.saturating_sub(1) };
        let json = format!("{sign}{}", &unsigned[kept..]);
        let is_number = !text.contains(' ') && serde_json::from_str::<serde_json::Number>(&json).is_ok();
        prop_assert_eq!(Literal::scan(text.as_bytes()).is_some(), is_number, "{}", json);
    }

    #[test]
    fn eight_digits_are_digits_and_nothing_else(block in prop_oneof![any::<[u8; 8]>(), eight("[0-9]{8}"), eight("[/-:]{8}")]) {
        let text = str::from_utf8(&block).ok().filter(|text| !text.starts_with('+'));
        prop_assert_eq!(eight_digits(block), text.and_then(|text| text.parse::<u64>().ok()));
    }

    #[test]
    fn flooring_is_division(value in any::<i64>(), shift in 0u32..10) {
        let floored = i128::from(value).div_euclid(10i128.pow(shift));
        prop_assert_eq!(scaled(value.to_string().as_bytes(), -(shift as i32), Excess::Floor), Ok(floored));
    }
}
