//! Masks: what happens to a value between its conversion and its column, so that what must not be stored never is.
//!
//! A mask sees values that already fit their type, so a masked column rejects the same records as an unmasked one.
//! Nulls and the config's defaults say nothing of a person and are not masked.

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_lc_rs::hmac;

use super::{ColumnType, Mask};

mod embedded;

/// What a redacted text becomes.
pub const REDACTED: &str = "***";

/// Characters of a hashed text: 128 bits in lower-case hex.
pub const HASH_CHARS: usize = 32;

/// Says whether a mask makes sense for a type: `hash` and `truncate` for text, `ip_prefix` for addresses, `redact` for
/// all. A list takes what its items take.
///
/// # Errors
/// A sentence that names what the mask is for.
pub fn check_mask(mask: &Mask, ty: &ColumnType) -> Result<(), String> {
    let item = match ty {
        ColumnType::List(item) => item,
        other => other,
    };
    let text = matches!(item, ColumnType::String | ColumnType::LowCardinality);
    let address = matches!(item, ColumnType::Ipv4 | ColumnType::Ipv6);
    match mask {
        Mask::Redact => Ok(()),
        Mask::Hash { .. } if !text => Err("the mask `hash` is for string and low-cardinality columns".to_owned()),
        Mask::Truncate { .. } if !text => {
            Err("the mask `truncate` is for string and low-cardinality columns".to_owned())
        }
        Mask::IpPrefix { .. } if !address => Err("the mask `ip_prefix` is for ipv4 and ipv6 columns".to_owned()),
        Mask::IpPrefix { v4, v6 } if *v4 > 32 || *v6 > 128 => {
            Err("the mask `ip_prefix` keeps at most 32 bits of IPv4 and 128 of IPv6".to_owned())
        }
        _ => Ok(()),
    }
}

/// A mask over text, ready to be applied.
pub(super) enum TextMask {
    /// HMAC-SHA-256 under this key.
    Hash(Box<hmac::Key>),
    /// [`REDACTED`].
    Redact,
    /// This many characters.
    Truncate(usize),
}

impl TextMask {
    /// The mask of a text column; `None` for masks that are not for text.
    pub(super) fn new(mask: &Mask) -> Option<Self> {
        match mask {
            Mask::Hash { salt } => Some(TextMask::Hash(Box::new(hmac::Key::new(hmac::HMAC_SHA256, salt)))),
            Mask::Redact => Some(TextMask::Redact),
            Mask::Truncate { chars } => Some(TextMask::Truncate(*chars)),
            Mask::IpPrefix { .. } => None,
        }
    }

    /// What is stored instead of `text`; `hash` is room for it.
    pub(super) fn apply<'a>(&self, text: &'a str, hash: &'a mut [u8; HASH_CHARS]) -> &'a str {
        match self {
            TextMask::Hash(key) => {
                let tag = hmac::sign(key, text.as_bytes());
                hex(tag.as_ref(), hash)
            }
            TextMask::Redact => REDACTED,
            TextMask::Truncate(chars) => match text.char_indices().nth(*chars) {
                Some((end, _)) => &text[..end],
                None => text,
            },
        }
    }
}

/// The first bytes of `tag` in hex, as many as fit `room`.
fn hex<'a>(tag: &[u8], room: &'a mut [u8; HASH_CHARS]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (pairs, _) = room.as_chunks_mut::<2>();
    for (pair, &byte) in pairs.iter_mut().zip(tag) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    str::from_utf8(room).expect("hex digits are ASCII")
}

/// A mask over addresses: which bits are kept.
#[derive(Clone, Copy)]
pub(super) struct AddressMask {
    v4: u32,
    v6: u128,
}

impl AddressMask {
    /// The mask of an address column; `None` for masks that are not for addresses.
    pub(super) fn new(mask: &Mask) -> Option<Self> {
        let Mask::IpPrefix { v4, v6 } = mask else { return None };
        // A shift by the full width would overflow: keeping no bit is the one case of it.
        let v4 = u32::MAX.checked_shl(32 - u32::from(*v4)).unwrap_or(0);
        let v6 = u128::MAX.checked_shl(128 - u32::from(*v6)).unwrap_or(0);
        Some(AddressMask { v4, v6 })
    }

    pub(super) fn v4(self, address: Ipv4Addr) -> Ipv4Addr {
        Ipv4Addr::from_bits(address.to_bits() & self.v4)
    }

    /// An IPv4 address in an IPv6 column keeps the bits that it would keep in an IPv4 column. One that is embedded in an
    /// IPv6 address keeps none but those, and of them what the IPv6 prefix keeps.
    pub(super) fn v6(self, address: Ipv6Addr) -> Ipv6Addr {
        match address.to_ipv4_mapped() {
            Some(v4) => self.v4(v4).to_ipv6_mapped(),
            None => {
                let bits = address.to_bits();
                Ipv6Addr::from_bits(bits & self.v6 & !embedded::hidden_bits(bits, !self.v4))
            }
        }
    }
}

#[cfg(test)]
mod tests;
