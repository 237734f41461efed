//! Masks by hand, and the hash against the published test vectors.

use super::*;

fn apply(mask: &Mask, text: &str) -> String {
    let mask = TextMask::new(mask).expect("a mask for text");
    mask.apply(text, &mut [0; HASH_CHARS]).to_owned()
}

#[test]
fn hashes_are_rfc_4231() {
    // Test cases 1, 2 and 6: the first 128 bits of HMAC-SHA-256.
    let hash = |salt: &[u8], text: &str| apply(&Mask::Hash { salt: salt.to_vec() }, text);
    assert_eq!(hash(&[0x0b; 20], "Hi There"), "b0344c61d8db38535ca8afceaf0bf12b");
    assert_eq!(hash(b"Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c7");
    let long = "Test Using Larger Than Block-Size Key - Hash Key First";
    assert_eq!(hash(&[0xaa; 131], long), "60e431591ee0b67f0d8a26aacbf5b77f");
}

#[test]
fn redaction() {
    assert_eq!(apply(&Mask::Redact, "secret"), "***");
    assert_eq!(apply(&Mask::Redact, ""), "***");
}

#[test]
fn truncation_counts_characters() {
    let truncate = |chars: usize, text: &str| apply(&Mask::Truncate { chars }, text);
    assert_eq!(truncate(3, "abcdef"), "abc");
    assert_eq!(truncate(3, "abc"), "abc");
    assert_eq!(truncate(3, "ab"), "ab");
    assert_eq!(truncate(0, "abc"), "");
    assert_eq!(truncate(2, "日本語"), "日本");
    assert_eq!(truncate(1, "e\u{301}"), "e", "a letter and its combining accent are two characters");
}

#[test]
fn address_prefixes() {
    let mask = |v4: u8, v6: u8| AddressMask::new(&Mask::IpPrefix { v4, v6 }).expect("a mask for addresses");
    let v4 = |bits: u8| mask(bits, 0).v4(Ipv4Addr::new(203, 0, 113, 255)).octets();
    assert_eq!(v4(32), [203, 0, 113, 255]);
    assert_eq!(v4(24), [203, 0, 113, 0]);
    assert_eq!(v4(25), [203, 0, 113, 128]);
    assert_eq!(v4(0), [0, 0, 0, 0]);
    let v6 = |bits: u8| mask(0, bits).v6("2001:db8:1:2:3:4:5:6".parse().expect("an address")).to_string();
    assert_eq!(v6(128), "2001:db8:1:2:3:4:5:6");
    assert_eq!(v6(48), "2001:db8:1::");
    assert_eq!(v6(0), "::");
    let mapped: Ipv6Addr = "::ffff:203.0.113.255".parse().expect("an address");
    assert_eq!(mask(24, 48).v6(mapped).to_string(), "::ffff:203.0.113.0");
}

#[test]
fn which_mask_is_for_which_type() {
    let list = |item: ColumnType| ColumnType::List(Box::new(item));
    let hash = Mask::Hash { salt: b"salt".to_vec() };
    let prefix = Mask::IpPrefix { v4: 24, v6: 48 };
    for ty in [ColumnType::String, ColumnType::LowCardinality, list(ColumnType::String)] {
        assert_eq!(check_mask(&hash, &ty), Ok(()), "{ty:?}");
        assert_eq!(check_mask(&Mask::Truncate { chars: 3 }, &ty), Ok(()), "{ty:?}");
        assert!(check_mask(&prefix, &ty).is_err(), "{ty:?}");
    }
    for ty in [ColumnType::U64, ColumnType::Json, ColumnType::Ipv4, list(ColumnType::U64)] {
        assert!(check_mask(&hash, &ty).is_err(), "{ty:?}");
        assert!(check_mask(&Mask::Truncate { chars: 3 }, &ty).is_err(), "{ty:?}");
        assert_eq!(check_mask(&Mask::Redact, &ty), Ok(()), "{ty:?}");
    }
    assert_eq!(check_mask(&prefix, &ColumnType::Ipv6), Ok(()));
    assert!(check_mask(&Mask::IpPrefix { v4: 33, v6: 48 }, &ColumnType::Ipv4).is_err());
    assert!(check_mask(&Mask::IpPrefix { v4: 32, v6: 129 }, &ColumnType::Ipv4).is_err());
}
