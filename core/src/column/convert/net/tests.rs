//! Addresses and UUIDs, row by row of the table in the documentation.

use proptest::prelude::*;

use super::*;

fn v4(text: &str) -> Result<[u8; 4], Cause> {
    assert_eq!(ipv4(Value::String(text)), ipv4(Value::Text(text)));
    ipv4(Value::String(text)).map(|address| address.octets())
}

fn v6(text: &str) -> Result<[u16; 8], Cause> {
    assert_eq!(ipv6(Value::String(text)), ipv6(Value::Text(text)));
    ipv6(Value::String(text)).map(|address| address.segments())
}

#[test]
fn ipv4_addresses() {
    assert_eq!(v4("192.0.2.1"), Ok([192, 0, 2, 1]));
    assert_eq!(v4("0.0.0.0"), Ok([0, 0, 0, 0]));
    assert_eq!(v4("255.255.255.255"), Ok([255, 255, 255, 255]));
    assert_eq!(v4("::ffff:192.0.2.1"), Ok([192, 0, 2, 1]), "mapped");
    assert_eq!(v4("::ffff:c000:201"), Ok([192, 0, 2, 1]), "mapped, in hex");
    assert_eq!(v4("2001:db8::1"), Err(Cause::Range));
    assert_eq!(v4("::192.0.2.1"), Err(Cause::Range), "compatible, not mapped");
    for text in
        ["", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1 ", "192.0.2.1:80", "1.2.3.4.5", "0x7f.1", "localhost"]
    {
        assert_eq!(v4(text), Err(Cause::Form), "{text}");
    }
    assert_eq!(ipv4(Value::Number("3221225985")), Err(Cause::Kind));
    assert_eq!(ipv4(Value::Bool(true)), Err(Cause::Kind));
}

#[test]
fn ipv6_addresses() {
    assert_eq!(v6("2001:db8::1"), Ok([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
    assert_eq!(v6("2001:DB8:0:0:0:0:0:1"), Ok([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
    assert_eq!(v6("::"), Ok([0; 8]));
    assert_eq!(v6("192.0.2.1"), Ok([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]), "mapped");
    assert_eq!(v6("::ffff:192.0.2.1"), Ok([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]));
    for text in ["", ":", "1::2::3", "fe80::1%eth0", "[::1]", "::1 ", "12345::", "192.0.2.01", "1:2:3:4:5:6:7"] {
        assert_eq!(v6(text), Err(Cause::Form), "{text}");
    }
    assert_eq!(ipv6(Value::Number("1")), Err(Cause::Kind));
}

#[test]
fn uuids() {
    let bytes = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let good = [
        "00112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-AABBCCDDEEFF",
        "00112233445566778899aabbccddeeff",
    ];
    for text in good {
        assert_eq!(uuid(Value::String(text)), Ok(bytes), "{text}");
        assert_eq!(uuid(Value::Text(text)), Ok(bytes), "{text}");
    }
    let bad = [
        "",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "{00112233-4455-6677-8899-aabbccddeeff}",
        "urn:uuid:00112233-4455-6677-8899-aabbccddeeff",
        "0011223344-55-6677-8899-aabbccddeeff",
        "00112233_4455_6677_8899_aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg",
        "00112233-4455-6677-8899-aabbccddee-f",
        "0011223344556677-8899-aabbccddeeff---",
        "00112233445566778899aabbccddeefg",
        "é0112233-4455-6677-8899-aabbccddeeff",
    ];
    for text in bad {
        assert_eq!(uuid(Value::String(text)), Err(Cause::Form), "{text}");
    }
    assert_eq!(uuid(Value::Number("11")), Err(Cause::Kind));
}

#[test]
fn stored_bytes() {
    assert_eq!(stored::ipv4(Ipv4Addr::new(192, 0, 2, 1)), 0xc000_0201);
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    assert_eq!(stored::ipv6(address).to_ne_bytes(), [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

proptest! {
    #[test]
    fn uuids_are_a_number_in_hex(number in any::<u128>(), upper in any::<bool>()) {
        let hex = if upper { format!("{number:032X}") } else { format!("{number:032x}") };
        let hyphenated = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        prop_assert_eq!(uuid(Value::String(&hex)), Ok(number.to_be_bytes()));
        prop_assert_eq!(uuid(Value::String(&hyphenated)), Ok(number.to_be_bytes()));
    }

    #[test]
    fn every_byte_of_a_uuid_counts(at in 0usize..36, byte in any::<u8>()) {
        let mut text = *b"00112233-4455-6677-8899-aabbccddeeff";
        text[at] = byte;
        let Ok(text) = str::from_utf8(&text) else { return Ok(()) };
        let hyphen = [8, 13, 18, 23].contains(&at);
        let fits = if hyphen { byte == b'-' } else { byte.is_ascii_hexdigit() };
        prop_assert_eq!(uuid(Value::String(text)).is_ok(), fits);
    }
}
