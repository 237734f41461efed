//! IPv4 addresses that stand in IPv6 addresses: of tunnels and translators, which give each IPv4 host an IPv6 address.
//! A prefix of 48 bits would keep the whole of such a host's address, or its last bits would give it away.
//!
//! A translator's prefix of its operator's own (RFC 6052), and 6rd's (RFC 5969), look like any other network's: nobody can
//! tell them here.

/// Forms whose prefix says so: the prefix, its length, and how many bits stand in front of the IPv4 address.
const FORMS: [(u128, u32, &[u32]); 6] = [
    // RFC 4291, IPv4-compatible; `::` and `::1` are none.
    (0, 96, &[96]),
    // RFC 2765, IPv4-translated: ::ffff:0:a.b.c.d.
    (0xffff_0000 << 32, 96, &[96]),
    // RFC 6052, the well-known prefix of NAT64: 64:ff9b::a.b.c.d.
    (0x0064_ff9b << 96, 96, &[96]),
    // RFC 8215, NAT64 within a network: which of RFC 6052's forms it uses is for the network to say.
    (0x0064_ff9b_0001 << 80, 48, &[48, 56, 64, 96]),
    // RFC 4380, Teredo: its server's address, and the client's with all bits inverted.
    (0x2001_0000 << 96, 32, &[32, 96]),
    // RFC 3056, 6to4.
    (0x2002 << 112, 16, &[16]),
];

/// RFC 6052: these 8 bits, from 64 on, are zero, and an address that would take them goes on behind them.
const SKIPPED: (u32, u32) = (64, 8);

/// RFC 5214, ISATAP: what the second half of an address begins with; the IPv4 address follows.
const ISATAP: u32 = 0x0000_5efe;
/// The bit of it that says whether the address is unique in the world.
const ISATAP_UNIQUE: u32 = 0x0200_0000;

/// The bits of an IPv6 address that hold bits of an IPv4 address that are not kept: those of `hidden`.
pub(super) fn hidden_bits(address: u128, hidden: u32) -> u128 {
    let mut bits = 0;
    for (prefix, length, places) in FORMS {
        if (address ^ prefix) >> (128 - length) == 0 && address > 1 {
            bits |= places.iter().map(|&place| placed(hidden, place)).fold(0, |all, bits| all | bits);
        }
    }
    let last = address as u32;
    let is_isatap = (address >> 32) as u32 & !ISATAP_UNIQUE == ISATAP;
    // A host of 6to4 that has no better number takes its IPv4 address once more.
    let is_6to4_twice = address >> 112 == 0x2002 && (address >> 80) as u32 == last;
    if is_isatap || is_6to4_twice {
        bits |= u128::from(hidden);
    }
    bits
}

/// 32 bits behind `place` others of an IPv6 address, which skip what RFC 6052 skips unless they stand elsewhere.
const fn placed(v4: u32, place: u32) -> u128 {
    let (from, skipped) = SKIPPED;
    let whole = (v4 as u128) << 96 >> place;
    if place >= from + skipped || place + 32 <= from {
        return whole;
    }
    // Bits in front of the gap stay, the others move behind it.
    let behind = u128::MAX >> from;
    (whole & !behind) | ((whole & behind) >> skipped)
}
