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

/// What is hidden, bit by bit: an IPv4 address is looked for at every place where the documents put one.
fn naive_v6(v4_bits: u32, v6_bits: u32, address: Ipv6Addr) -> Ipv6Addr {
    let o = address.octets();
    if o[..10] == [0; 10] && o[10..12] == [255; 2] {
        let mut mapped = o;
        hide(&mut mapped, &[12, 13, 14, 15], v4_bits);
        return Ipv6Addr::from(mapped);
    }
    let mut kept = o;
    let low = [12, 13, 14, 15];
    let mut at = |is_there: bool, places: [usize; 4]| {
        if is_there {
            hide(&mut kept, &places, v4_bits);
        }
    };
    at(o[..12] == [0; 12] && o[12..] > [0, 0, 0, 1][..], low);
    at(o[..8] == [0; 8] && o[8..12] == [255, 255, 0, 0], low);
    at(o[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], low);
    let local = o[..6] == [0, 0x64, 0xff, 0x9b, 0, 1];
    at(local, [6, 7, 9, 10]);
    at(local, [7, 9, 10, 11]);
    at(local, [9, 10, 11, 12]);
    at(local, low);
    let teredo = o[..4] == [0x20, 1, 0, 0];
    at(teredo, [4, 5, 6, 7]);
    at(teredo, low);
    let six_to_four = o[..2] == [0x20, 2];
    at(six_to_four, [2, 3, 4, 5]);
    at(six_to_four && o[2..6] == o[12..], low);
    at((o[8] == 0 || o[8] == 2) && o[9..12] == [0, 0x5e, 0xfe], low);
    hide(&mut kept, &std::array::from_fn::<usize, 16, _>(|place| place), v6_bits);
    Ipv6Addr::from(kept)
}

/// Clears the bits behind the first `bits` of those that the bytes at `places` have.
fn hide(bytes: &mut [u8; 16], places: &[usize], bits: u32) {
    for (index, &place) in places.iter().enumerate() {
        for bit in 0..8 {
            if index as u32 * 8 + bit >= bits {
                bytes[place] &= !(0x80 >> bit);
            }
        }
    }
}

#[test]
fn an_embedded_ipv4_address_keeps_what_it_would_keep_by_itself() {
    let mask = |v4: u8, v6: u8| AddressMask::new(&Mask::IpPrefix { v4, v6 }).expect("a mask for addresses");
    // 203.0.113.7 is cb00:7107; inverted, as Teredo has it, 34ff:8ef8.
    for (what, address, at_48, at_128) in [
        ("6to4", "2002:cb00:7107::1", "2002:cb00:7100::", "2002:cb00:7100::1"),
        ("6to4, twice", "2002:cb00:7107::cb00:7107", "2002:cb00:7100::", "2002:cb00:7100::cb00:7100"),
        ("NAT64", "64:ff9b::203.0.113.7", "64:ff9b::", "64:ff9b::cb00:7100"),
        ("NAT64, /48", "64:ff9b:1:cb00:71:700::", "64:ff9b:1::", "64:ff9b:1:cb00:71::"),
        // The first byte might be the last one of another form.
        ("NAT64, /96", "64:ff9b:1::203.0.113.7", "64:ff9b:1::", "64:ff9b:1::7100"),
        ("Teredo", "2001:0:cb00:7107:0:1234:34ff:8ef8", "2001:0:cb00::", "2001:0:cb00:7100:0:1234:34ff:8e00"),
        ("compatible", "::203.0.113.7", "::", "::203.0.113.0"),
        ("translated", "::ffff:0:203.0.113.7", "::", "::ffff:0:cb00:7100"),
        ("ISATAP", "2001:db8::5efe:203.0.113.7", "2001:db8::", "2001:db8::5efe:cb00:7100"),
        ("ISATAP, unique", "2001:db8::200:5efe:203.0.113.7", "2001:db8::", "2001:db8::200:5efe:cb00:7100"),
        ("mapped", "::ffff:203.0.113.7", "::ffff:203.0.113.0", "::ffff:203.0.113.0"),
        ("none", "2001:db8:1:2:3:4:cb00:7107", "2001:db8:1::", "2001:db8:1:2:3:4:cb00:7107"),
        ("loopback", "::1", "::", "::1"),
    ] {
        let address: Ipv6Addr = address.parse().expect("an address");
        let masked = |v6| mask(24, v6).v6(address);
        assert_eq!(masked(48), at_48.parse::<Ipv6Addr>().expect("an address"), "{what}");
        assert_eq!(masked(128), at_128.parse::<Ipv6Addr>().expect("an address"), "{what}");
    }
}

proptest::proptest! {
    #[test]
    fn address_masks_are_as_their_naive_twin(
        form in 0..14_usize, random: [u8; 16], copied: bool, v4 in 0..=32_u8, v6 in 0..=128_u8,
    ) {
        const PREFIXES: [&[u8]; 11] = [
            &[0; 12],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255],
            &[0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0],
            &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0x64, 0xff, 0x9b, 0, 1],
            &[0x20, 1, 0, 0],
            &[0x20, 2],
            &[0; 15],
            &[0x20, 1, 0xd, 0xb8],
            &[0, 0x64, 0xff, 0x9b, 0, 2],
            &[],
        ];
        let mut bytes = random;
        match PREFIXES.get(form) {
            Some(prefix) => bytes[..prefix.len()].copy_from_slice(prefix),
            None => bytes[8..12].copy_from_slice(&[[0, 0, 0x5e, 0xfe], [2, 0, 0x5e, 0xfe], [4, 0, 0x5e, 0xfe]][form - 11]),
        }
        if copied {
            bytes.copy_within(2..6, 12);
        }
        let address = Ipv6Addr::from(bytes);
        let mask = AddressMask::new(&Mask::IpPrefix { v4, v6 }).expect("a mask for addresses");
        proptest::prop_assert_eq!(mask.v6(address), naive_v6(v4.into(), v6.into(), address), "{}", address);
    }
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
