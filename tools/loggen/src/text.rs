//! Bytes of numbers and of the record's free text. Hand-written: formatting is most of the work here.

use std::net::Ipv4Addr;

use crate::record::{Event, Record, Style};
use crate::rng::mix;

const DIGITS: &[u8; 10] = b"0123456789";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// `number` in decimal, with zeros before it up to `width` digits.
pub(crate) fn push_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = DIGITS[(number % 10) as usize];
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    push_padded(out, number, 1);
}

/// As in 129.90.
pub(crate) fn push_cents(out: &mut Vec<u8>, cents: u64) {
    push_number(out, cents / 100);
    out.push(b'.');
    push_padded(out, cents % 100, 2);
}

/// 16 hexadecimal digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, bits: u64) {
    let digits: [u8; 16] = std::array::from_fn(|at| HEX[(bits >> (60 - 4 * at)) as usize & 15]);
    out.extend_from_slice(&digits);
}

/// JSON's `\uXXXX` for one UTF-16 code unit.
pub(crate) fn push_unit_escape(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(unit >> shift & 15)]));
}

/// A random-looking UUID of version 4.
pub(crate) fn push_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    let start = out.len();
    push_hex(out, high & !0xf000 | 0x4000);
    push_hex(out, low & !(0b11 << 62) | 0b10 << 62);
    let digits: [u8; 32] = out[start..].try_into().expect("two times 16 digits");
    out.truncate(start);
    for (group, range) in [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().enumerate() {
        if group > 0 {
            out.push(b'-');
        }
        out.extend_from_slice(&digits[range]);
    }
}

pub(crate) fn push_product(out: &mut Vec<u8>, product: u8) {
    out.push(b'p');
    push_padded(out, u64::from(product) + 1, 2);
}

pub(crate) fn push_channel(out: &mut Vec<u8>, channel: u16) {
    out.extend_from_slice(b"ch-");
    push_padded(out, u64::from(channel), 3);
}

pub(crate) fn push_ip(out: &mut Vec<u8>, ip: u32) {
    for (at, octet) in Ipv4Addr::from_bits(ip).octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        push_number(out, u64::from(octet));
    }
}

/// The user's address: a third of them share 256 addresses of a carrier's NAT.
pub(crate) fn ip(person: u64) -> u32 {
    const FIRST_OCTETS: [u8; 8] = [36, 59, 101, 112, 123, 183, 203, 221];
    let bits = mix(person, 4);
    let [first, second, third, fourth, ..] = bits.to_le_bytes();
    let octets = if bits >> 32 & 0xff < 85 {
        [117, 136, third % 4, fourth % 64]
    } else {
        [FIRST_OCTETS[usize::from(first % 8)], second, third, fourth]
    };
    u32::from_be_bytes(octets)
}

pub(crate) fn os(person: u64) -> &'static str {
    ["android", "android", "android", "ios", "ios", "windows", "macos", "harmonyos"][person as usize & 7]
}

pub(crate) fn country(person: u64) -> &'static str {
    const SIXTEENTHS: [&str; 16] =
        ["CN", "CN", "CN", "CN", "CN", "CN", "US", "US", "DE", "FR", "GB", "JP", "KR", "BR", "IN", "SG"];
    SIXTEENTHS[(person >> 3) as usize & 15]
}

pub(crate) fn push_app_version(out: &mut Vec<u8>, person: u64) {
    push_number(out, 5 + (person >> 7 & 1));
    out.push(b'.');
    push_number(out, person >> 8 & 15);
    out.push(b'.');
    push_number(out, person >> 12 & 7);
}

/// One currency a product, so that amounts of a product add up to something.
pub(crate) fn currency(product: u8) -> &'static str {
    ["CNY", "USD", "EUR", "CNY"][usize::from(product % 4)]
}

/// `page`, decoded: a path and a query.
pub(crate) fn push_page(out: &mut Vec<u8>, record: &Record) {
    let noise = record.noise;
    let path: &[u8] = match record.event {
        Event::PageView | Event::Click => [&b"/item/"[..], b"/list/", b"/topic/", b"/live/"][noise as usize & 3],
        Event::AddToCart => b"/cart/",
        Event::Register => b"/register/",
        Event::OrderPaid => b"/paid/",
        Event::Heartbeat => b"/ping/",
    };
    out.extend_from_slice(path);
    push_number(out, 100_000 + (noise >> 2 & 0xf_ffff));
    let special: &str = match record.style {
        Style::Plain | Style::EscapedSlashes | Style::EscapedKeys => "",
        Style::Quotes => "/\"red\" shoes\\size 42",
        Style::Controls => "/line one\nline two\tend",
        Style::RawUnicode | Style::EscapedUnicode => "/商品/手机壳-café-\u{1f600}",
    };
    out.extend_from_slice(special.as_bytes());
    out.extend_from_slice(b"?f=");
    out.extend_from_slice(PLACES[(noise >> 22) as usize & 7].as_bytes());
}

const PLACES: [&str; 8] = ["home", "search", "push", "cart", "me", "banner", "share", "tab"];

/// `referrer`, decoded: empty or a URL.
pub(crate) fn push_referrer(out: &mut Vec<u8>, record: &Record) {
    const SITES: [&str; 8] =
        ["", "", "", "", "", "https://t.co/", "https://www.baidu.com/s?wd=", "https://m.weibo.cn/"];
    let site = SITES[(record.noise >> 31) as usize & 7];
    out.extend_from_slice(site.as_bytes());
    if site.ends_with('/') {
        push_number(out, record.noise >> 34 & 0xff_ffff);
    }
    if site.ends_with('=') {
        let words = if record.style == Style::RawUnicode { "礼物" } else { "liwu" };
        out.extend_from_slice(words.as_bytes());
    }
}

/// `props` is JSON itself, of 3 to 6 keys: `title` is called for the one key whose text needs escaping.
pub(crate) fn push_props(out: &mut Vec<u8>, record: &Record, push_title: impl FnOnce(&mut Vec<u8>, &str)) {
    let bits = mix(record.noise, 1);
    out.extend_from_slice(b"{\"n\":");
    push_number(out, bits & 63);
    out.extend_from_slice(b",\"net\":\"");
    out.extend_from_slice(["wifi", "4g", "5g", "cell"][(bits >> 6) as usize & 3].as_bytes());
    out.extend_from_slice(b"\",\"ab\":[");
    push_number(out, bits >> 8 & 7);
    out.push(b',');
    push_number(out, bits >> 11 & 127);
    out.push(b']');
    if bits >> 17 & 3 == 3 {
        out.extend_from_slice(b",\"dur_ms\":");
        push_number(out, bits >> 19 & 0xffff);
    }
    if bits >> 35 & 3 == 3 {
        out.extend_from_slice(if bits >> 45 & 1 == 1 { b",\"dark\":true" } else { b",\"dark\":false" });
    }
    let title = match record.style {
        Style::Quotes => "say \"hi\" \\o/",
        Style::Controls => "a\nb\tc",
        Style::RawUnicode | Style::EscapedUnicode => "新品\u{1f525}é",
        Style::EscapedSlashes => "a/b",
        Style::Plain | Style::EscapedKeys => "",
    };
    if !title.is_empty() {
        out.extend_from_slice(b",\"title\":");
        push_title(out, title);
    } else if bits >> 37 & 3 == 3 {
        out.extend_from_slice(b",\"scroll\":0.");
        push_padded(out, bits >> 39 & 63, 2);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_std_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            assert_eq!(written(|out| push_number(out, number)), number.to_string());
            assert_eq!(written(|out| push_padded(out, number, 11)), format!("{number:011}"));
            assert_eq!(written(|out| push_hex(out, number)), format!("{number:016x}"));
        }
        assert_eq!(written(|out| push_cents(out, 7)), "0.07");
        assert_eq!(written(|out| push_cents(out, 12_990)), "129.90");
        assert_eq!(written(|out| push_ip(out, 0x0a00_01ff)), "10.0.1.255");
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        assert_eq!(written(|out| push_uuid(out, u64::MAX, u64::MAX)), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(written(|out| push_uuid(out, 0, 0)), "00000000-0000-4000-8000-000000000000");
    }
}
