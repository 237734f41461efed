//! Addresses and UUIDs, and the bytes they are stored as.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::column::mismatch::Cause;
use crate::column::value::Value;

/// An IPv4 address in dotted decimals without leading zeros, or mapped into IPv6 (`::ffff:192.0.2.1`).
#[inline]
pub(in crate::column) fn ipv4(value: Value<'_>) -> Result<Ipv4Addr, Cause> {
    let text = string(value)?;
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let v6: Ipv6Addr = text.parse().map_err(|_| Cause::Form)?;
    v6.to_ipv4_mapped().ok_or(Cause::Range)
}

/// An IPv6 address by RFC 4291 without zone or brackets, or an IPv4 address, which is mapped.
#[inline]
pub(in crate::column) fn ipv6(value: Value<'_>) -> Result<Ipv6Addr, Cause> {
    let text = string(value)?;
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(address);
    }
    let v4: Ipv4Addr = text.parse().map_err(|_| Cause::Form)?;
    Ok(v4.to_ipv6_mapped())
}

/// A UUID's bytes in the order in which they are written: 32 hex digits in any case, with its four hyphens or none.
#[inline]
pub(in crate::column) fn uuid(value: Value<'_>) -> Result<[u8; 16], Cause> {
    uuid_bytes(string(value)?.as_bytes()).ok_or(Cause::Form)
}

/// The same for text; `None` if it is not one.
#[inline]
pub(crate) fn uuid_bytes(text: &[u8]) -> Option<[u8; 16]> {
    // First digit of each byte: a hyphen stands in front of bytes 4, 6, 8 and 10.
    const HYPHENATED: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let hyphens = match text.len() {
        32 => 0,
        36 if [8, 13, 18, 23].iter().all(|&at| text[at] == b'-') => 1,
        _ => return None,
    };
    let mut bytes = [0; 16];
    let mut seen = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        let at = if hyphens == 0 { 2 * index } else { HYPHENATED[index] };
        let (high, low) = (HEX[usize::from(text[at])], HEX[usize::from(text[at + 1])]);
        seen |= high | low;
        *byte = high << 4 | (low & 15);
    }
    (seen < 16).then_some(bytes)
}

/// Value of a hex digit; 255 for other bytes.
const HEX: [u8; 256] = {
    let mut values = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// Addresses and UUIDs are text; a bare number is not one.
#[inline]
fn string(value: Value<'_>) -> Result<&str, Cause> {
    match value {
        Value::String(text) | Value::Text(text) => Ok(text),
        _ => Err(Cause::Kind),
    }
}

/// The bytes of addresses and UUIDs in Arrow: the one place that decides their order.
pub(in crate::column) mod stored {
    use super::{Ipv4Addr, Ipv6Addr};

    /// `a.b.c.d` as the number `a * 2^24 + b * 2^16 + c * 2^8 + d`.
    #[inline]
    pub(in crate::column) fn ipv4(address: Ipv4Addr) -> u32 {
        address.to_bits()
    }

    /// Network byte order. Sixteen bytes as they lie in memory, in the one type of that size that Arrow has vectors of.
    #[inline]
    pub(in crate::column) fn ipv6(address: Ipv6Addr) -> i128 {
        i128::from_ne_bytes(address.octets())
    }

    /// The order in which the UUID is written (RFC 9562), as [`ipv6`] has it.
    #[inline]
    pub(in crate::column) fn uuid(bytes: [u8; 16]) -> i128 {
        i128::from_ne_bytes(bytes)
    }
}

#[cfg(test)]
mod tests;
