//! Arbitrary bytes through the decoder: every kernel of the machine, the careful way, and the naive twin of the tests.
//! All must agree on every value, dead letter and count, and kernels on every byte.
//!
//! The first byte chooses the config, whether records are lines or sealed frames, and whether rows are sorted; the second
//! one where the rest is cut into two slices. Sealed, a record is what stands between two bytes 0x1E, line feeds and all.

#![no_main]

#[path = "../../src/decode/tests/twin/mod.rs"]
mod twin;

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use longshore_core::config::{self, Env};
use longshore_core::dead_letter::DeadLetter;
use longshore_core::decode::{DecodedSlice, Decoder, Scratch};
use longshore_core::envelope::Keyring;
use longshore_core::product::Dictionary;
use longshore_core::simd::Kernels;
use longshore_core::slice::{CutAt, Slice, SliceId};

use twin::batch::{Found, difference};
use twin::{Expected, Record, Twin, configs, lines};

/// All ways under one config.
struct Ways {
    careful: Decoder,
    fast: Vec<(Kernels, Decoder)>,
    twin: Twin,
    is_sealed: bool,
}

const SECRET: [u8; 32] = [7; 32];

/// Between sealed records.
const SEPARATOR: u8 = 0x1E;

impl Ways {
    fn new(sections: &str, dictionary: Option<&str>, is_sealed: bool) -> Ways {
        let envelope = "[decode.envelope]\nlayout = \"frame\"\nkeyring = \"keys.toml\"\n";
        let text = configs::whole(&format!("{}{sections}", if is_sealed { envelope } else { "" }));
        let config = config::parse(&text, Path::new("fuzz.toml"), &Env::new()).expect("a config");
        let decoder = || {
            let secret = STANDARD.encode(SECRET);
            let keyring = format!("[[key]]\nid = \"k1\"\ncipher = \"aes-256-gcm\"\nsecret = \"{secret}\"\n");
            let keyring = is_sealed.then(|| Keyring::parse(&keyring, "keys.toml").expect("a keyring"));
            let dictionary = dictionary.map(|csv| Dictionary::parse_csv(csv.as_bytes(), "products.csv"));
            Decoder::new(&config, keyring, dictionary.map(|read| read.expect("a dictionary"))).expect("a decoder")
        };
        Ways {
            careful: decoder().careful(),
            fast: Kernels::all().into_iter().map(|kernels| (kernels, decoder().with_kernels(kernels))).collect(),
            twin: Twin::new(&text, dictionary),
            is_sealed,
        }
    }

    fn all() -> &'static [Ways] {
        static ALL: OnceLock<Vec<Ways>> = OnceLock::new();
        ALL.get_or_init(|| {
            let sections = [
                (configs::CHANNELS, Some(configs::DICTIONARY)),
                (configs::TYPES, None),
                (configs::NESTED, Some(configs::DICTIONARY)),
                (configs::FEW, None),
            ];
            let ways = |is_sealed| sections.map(|(sections, csv)| Ways::new(sections, csv, is_sealed));
            [ways(false), ways(true)].into_iter().flatten().collect()
        })
    }

    /// A slice of the input, and what must come of it.
    fn slice(&self, start: u64, input: &[u8]) -> (Slice, Expected) {
        let slice = |bytes| Slice { id: SliceId(1), source: "fuzz".into(), start, bytes, header: None, tail: None, messages: None, cut: CutAt::Unknown };
        if !self.is_sealed {
            return (slice(input.to_vec()), self.twin.decode(lines(start, input)));
        }
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        for (row, text) in (0..).zip(input.split(|&byte| byte == SEPARATOR)) {
            let frame = seal(text);
            let (offset, length) = (start + bytes.len() as u64, frame.len() as u64);
            bytes.extend((frame.len() as u32).to_be_bytes());
            bytes.extend(frame);
            records.push(Record { row, offset, length, text: Cow::Borrowed(without_line_ending(text)) });
        }
        (slice(bytes), self.twin.decode(records))
    }
}

fn seal(text: &[u8]) -> Vec<u8> {
    let nonce = [9; 12];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &SECRET).expect("32 bytes"));
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).expect("short");
    [&[2], &b"k1"[..], &nonce, &sealed].concat()
}

fn without_line_ending(text: &[u8]) -> &[u8] {
    match text {
        [text @ .., b'\r', b'\n'] | [text @ .., b'\n'] => text,
        text => text,
    }
}

fn found(decoded: &DecodedSlice) -> Found<'_> {
    let dead = |letter: &'_ DeadLetter| (letter.row, letter.offset, letter.length, letter.fault.reason.name());
    let columns = decoded.dead.iter().map(|letter| letter.fault.column.as_deref());
    Found {
        batch: &decoded.batch,
        dead: decoded.dead.iter().map(dead).zip(columns).map(|((a, b, c, d), column)| (a, b, c, d, column)).collect(),
        filtered: decoded.filtered,
        by_product: decoded.rows_by_product.iter().map(|(product, rows)| (product.to_string(), *rows)).collect(),
    }
}

/// Two decoded slices that must be the same.
fn assert_same(one: &DecodedSlice, other: &DecodedSlice, way: &dyn std::fmt::Display) {
    for (one, other) in one.batch.columns().iter().zip(other.batch.columns()) {
        assert_eq!(one, other, "{way}");
    }
    assert_eq!(one.batch.num_rows(), other.batch.num_rows(), "{way}");
    assert_eq!(one.dead, other.dead, "{way}");
    assert_eq!((one.records, one.filtered), (other.records, other.filtered), "{way}");
    assert_eq!(one.rows_by_product, other.rows_by_product, "{way}");
}

fn assert_same_bytes(one: &DecodedSlice, other: &DecodedSlice, kernels: Kernels) {
    for (one, other) in one.batch.columns().iter().zip(other.batch.columns()) {
        let (one, other) = (one.to_data(), other.to_data());
        assert_eq!((one.buffers(), one.nulls()), (other.buffers(), other.nulls()), "{kernels}: other bytes");
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, cut, input @ ..] = input else { return };
    let ways = &Ways::all()[usize::from(*choice) % Ways::all().len()];
    let (head, tail) = input.split_at(input.len() * usize::from(*cut) / 256);
    // The second slice finds what the first one left in the scratch, and the first one what the second one left.
    let (first, second) = (ways.slice(0, head), ways.slice(head.len() as u64, tail));
    let slices = [&first, &second, &first];
    // Sorted rows have been copied, and what lies under a null may not be: half of the inputs keep their order.
    let scratch = |decoder| match *choice {
        0..128 => Scratch::new(decoder),
        128.. => Scratch::new(decoder).unsorted(),
    };
    let mut reused = scratch(&ways.careful);
    let careful: Vec<_> = slices.iter().map(|(slice, _)| ways.careful.decode(slice, &mut reused)).collect();
    for (decoded, (_, expected)) in careful.iter().zip(&slices) {
        assert_eq!(difference(&found(decoded), expected), None, "the careful way");
    }
    let mut scalar: Option<Vec<DecodedSlice>> = None;
    for (kernels, decoder) in &ways.fast {
        let mut reused = scratch(decoder);
        let fast: Vec<_> = slices.iter().map(|(slice, _)| decoder.decode(slice, &mut reused)).collect();
        for (fast, careful) in fast.iter().zip(&careful) {
            assert_same(fast, careful, kernels);
        }
        for (one, other) in scalar.iter().flatten().zip(&fast) {
            assert_same_bytes(one, other, *kernels);
        }
        scalar.get_or_insert(fast);
    }
});
