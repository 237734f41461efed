//! Addresses and UUIDs on every kernel, against the parsers of the standard library and by hand.

use proptest::prelude::*;

use super::*;
use crate::column::span::SpanKind;
use crate::simd::pages::everywhere;

type Kernel<T> = fn(&[u8], &[Span], &mut [T], Kernels) -> u64;

/// What the kernels read in a string of a block that goes on behind it, and in one that ends with it or is all of it.
fn read<T: Copy + Default + PartialEq + std::fmt::Debug>(text: &str, kernel: Kernel<T>) -> [Vec<Option<T>>; 3] {
    [("\"", "\",\"next\":\"0123456789\"}"), ("\"", "\""), ("", "")].map(|(before, behind)| {
        let block = format!("{before}{text}{behind}").into_bytes();
        let span = Span::new(SpanKind::Plain, before.len(), before.len() + text.len());
        let read = |kernels| {
            everywhere(&block, |block| {
                let mut out = [T::default(); 3];
                let done = kernel(block, &[Span::ABSENT, span, Span::ABSENT], &mut out, kernels);
                assert_eq!(done & !0b010, 0);
                (done != 0).then_some(out[1])
            })
        };
        Kernels::all().into_iter().map(read).collect()
    })
}

/// All kernels read `expected`. At the block's end they may leave it.
fn reads<T: Copy + Default + PartialEq + std::fmt::Debug>(text: &str, kernel: Kernel<T>, expected: Option<T>) {
    let [within, at_end, alone] = read(text, kernel);
    assert!(within.iter().all(|value| *value == expected), "{text}: {within:?}, not {expected:?}");
    for left in [at_end, alone] {
        assert!(left.iter().all(|value| value.is_none() || *value == expected), "{text}: {left:?}");
    }
}

#[test]
fn addresses_by_hand() {
    reads("1.2.3.4", ipv4s, Some(0x0102_0304));
    reads("123.49.253.164", ipv4s, Some(0x7b31_fda4));
    reads("255.255.255.255", ipv4s, Some(u32::MAX));
    reads("0.0.0.0", ipv4s, Some(0));
    for wrong in
        ["", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.00", "1.2.3.1000"]
    {
        reads(wrong, ipv4s, None);
    }
    for wrong in
        ["1.2.3.4 ", "1.2.3.-4", "1.2.3.a", "1.2.3.4.5.6.7.8.9", "::ffff:1.2.3.4", "1.2.3./", "1.2.3.:", "1234567"]
    {
        reads(wrong, ipv4s, None);
    }
}

#[test]
fn a_uuid_by_hand() {
    let bytes = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10];
    for text in ["01234567-89ab-cdef-fedc-ba9876543210", "01234567-89AB-CDEF-FEDC-BA9876543210"] {
        reads(text, uuids, Some(i128::from_ne_bytes(bytes)));
    }
}

/// Each of the 36 characters changed to each other one: what is not a UUID is not read.
#[test]
fn every_character_of_a_uuid_counts() {
    let text = "01234567-89ab-cdef-fedc-ba9876543210";
    for at in 0..text.len() {
        for byte in 0x20..0x7f_u8 {
            let mut changed = text.to_owned();
            changed.replace_range(at..at + 1, str::from_utf8(&[byte]).expect("ASCII"));
            let digits = changed.replace('-', "");
            let is_right = changed.match_indices('-').map(|(at, _)| at).eq([8, 13, 18, 23]) && digits.len() == 32;
            let bytes = u128::from_str_radix(&digits, 16).ok().filter(|_| is_right && !digits.starts_with('+'));
            reads(&changed, uuids, bytes.map(|bytes| i128::from_ne_bytes(bytes.to_be_bytes())));
        }
    }
}

#[test]
fn a_bare_number_is_no_address() {
    for kernels in Kernels::all() {
        let span = Span::new(SpanKind::Number, 0, 7);
        assert_eq!(ipv4s(b"1.2.3.4,         ", &[span], &mut [0], kernels), 0);
    }
}

proptest! {
    #[test]
    fn addresses_are_those_of_the_standard_library(
        text in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}|[0-9.:/]{5,16}",
        octets in any::<[u8; 4]>(),
    ) {
        reads(&text, ipv4s, text.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits));
        reads(&Ipv4Addr::from(octets).to_string(), ipv4s, Some(u32::from_be_bytes(octets)));
    }
}
