//! Every kernel against the `base64` crate, with the one rule that the crate does not have added to it here.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD as PADDED, STANDARD_NO_PAD as UNPADDED};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use proptest::prelude::*;

use super::{SLACK, append, decode, decode_16};
use crate::simd::Kernels;
use crate::simd::pages::{End, Pages};

const TWIN: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longer than two steps of the widest kernel and a rest of every kind.
const TEXT_BYTES: usize = 2 * 64 + 64;

fn twin(text: &[u8]) -> Option<Vec<u8>> {
    let half_a_padding = text.ends_with(b"=") && !text.len().is_multiple_of(4);
    TWIN.decode(text).ok().filter(|_| !half_a_padding)
}

/// What is behind `before` afterwards. A text that is refused must leave it alone.
fn appended(before: &[u8], text: &[u8], kernels: Kernels) -> Option<Vec<u8>> {
    let mut out = before.to_vec();
    let done = append(text, &mut out, kernels);
    assert_eq!(&out[..before.len()], before);
    match done {
        Some(()) => Some(out.split_off(before.len())),
        None => {
            assert_eq!(out.len(), before.len(), "a refused text leaves something");
            None
        }
    }
}

/// Bytes without a pattern: multiples of the golden ratio.
fn bytes(count: usize) -> Vec<u8> {
    (1..=count as u32).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect()
}

#[test]
fn every_length_is_decoded_with_its_padding_and_without() {
    for kernels in Kernels::all() {
        for count in 0..=TEXT_BYTES {
            let plain = bytes(count);
            for text in [PADDED.encode(&plain), UNPADDED.encode(&plain)] {
                assert_eq!(appended(b"before", text.as_bytes(), kernels), Some(plain.clone()), "{kernels}, {text}");
            }
        }
    }
}

/// Texts at either end of what can be read, and bytes where only they and the slack can be written.
#[test]
fn no_kernel_reads_or_writes_beyond_its_pages() {
    let mut pages = Pages::for_bytes(TEXT_BYTES + SLACK);
    for count in 0..=TEXT_BYTES / 4 * 3 {
        let plain = bytes(count);
        let text = UNPADDED.encode(&plain);
        for end in [End::First, End::Last] {
            let text = pages.put(end, text.as_bytes());
            for kernels in Kernels::all() {
                assert_eq!(appended(b"before", text, kernels), Some(plain.clone()), "{kernels}, {end:?}, {count}");
                if let Some(text) = text.first_chunk() {
                    assert_eq!(decode_16(text, kernels).map(Vec::from), Some(plain[..12].to_vec()));
                }
            }
        }
        let (quads, _) = text.as_bytes().as_chunks();
        for kernels in Kernels::all() {
            let room = pages.at(End::Last, 3 * quads.len() + SLACK);
            // SAFETY: `room` is as long as that.
            assert!(unsafe { decode(quads, room.as_mut_ptr(), kernels) });
            assert_eq!(room[..3 * quads.len()], plain[..3 * quads.len()], "{kernels}, {count}");
        }
    }
}

#[test]
fn every_symbol_has_its_value_at_every_place() {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for kernels in Kernels::all() {
        for (value, symbol) in alphabet.iter().enumerate() {
            for place in 0..TEXT_BYTES {
                let mut text = [b'A'; TEXT_BYTES];
                text[place] = *symbol;
                let mut bits = [0; TEXT_BYTES / 4 * 3 + 1];
                let shifted = ((value as u16) << 10 >> (6 * place % 8)).to_be_bytes();
                let byte = 6 * place / 8;
                bits[byte..byte + 2].copy_from_slice(&shifted);
                let expected = bits[..TEXT_BYTES / 4 * 3].to_vec();
                assert_eq!(appended(b"", &text, kernels), Some(expected), "{kernels}, {symbol} at {place}");
            }
        }
    }
}

/// Every byte at every place of texts that end in every way, in the whole steps of every kernel and behind them.
#[test]
fn every_byte_at_every_place_gets_the_twins_verdict() {
    for count in [12, 48, 49, 50, 95, 96, 97, 119, 142, 143] {
        let plain = bytes(count);
        for text in [PADDED.encode(&plain), UNPADDED.encode(&plain)] {
            let mut text = text.into_bytes();
            for place in 0..text.len() {
                let good = text[place];
                for byte in 0..=u8::MAX {
                    text[place] = byte;
                    let expected = twin(&text);
                    for kernels in Kernels::all() {
                        let found = appended(b"", &text, kernels);
                        assert_eq!(found, expected, "{kernels}, {}, {byte:#04x} at {place}", text.escape_ascii());
                    }
                }
                text[place] = good;
            }
        }
    }
}

/// All texts of up to six bytes out of the few that decide about bits to spare and padding.
#[test]
fn every_short_text_gets_the_twins_verdict() {
    const BYTES: &[u8] = b"ABQgw/+=*\0\xC1";
    let mut texts = vec![Vec::new()];
    for length in 0..=6 {
        for text in &texts {
            let expected = twin(text);
            for kernels in Kernels::all() {
                assert_eq!(appended(b"", text, kernels), expected, "{kernels}, {}", text.escape_ascii());
            }
        }
        if length == 6 {
            break;
        }
        // The last two lengths would take minutes with all bytes at all places.
        let next = if length < 3 { BYTES } else { b"Aw=*" };
        texts = texts.iter().flat_map(|text| next.iter().map(|byte| [&text[..], &[*byte]].concat())).collect();
    }
}

#[test]
fn sixteen_symbols_are_twelve_bytes() {
    for kernels in Kernels::all() {
        let plain = bytes(12);
        let text = UNPADDED.encode(&plain);
        let text: [u8; 16] = text.as_bytes().try_into().unwrap();
        assert_eq!(decode_16(&text, kernels).map(Vec::from), Some(plain));
        for place in 0..16 {
            for byte in 0..=u8::MAX {
                let mut text = text;
                text[place] = byte;
                // Padding would make fewer bytes of them.
                let expected = twin(&text).filter(|bytes| bytes.len() == 12);
                assert_eq!(decode_16(&text, kernels).map(Vec::from), expected, "{kernels}, {byte:#04x} at {place}");
            }
        }
    }
}

#[test]
fn no_kernel_writes_past_the_slack() {
    const GUARD: [u8; 128] = [0xEE; 128];
    for kernels in Kernels::all() {
        for count in 0..=TEXT_BYTES / 4 {
            let quads = vec![*b"////"; count];
            let room = 3 * count + SLACK;
            let mut out = [&vec![0; room][..], &GUARD].concat();
            // SAFETY: `out` has that room and the guard behind it.
            assert!(unsafe { decode(&quads, out.as_mut_ptr(), kernels) });
            assert_eq!(out[..3 * count], vec![0xFF; 3 * count]);
            assert_eq!(out[room..], GUARD, "{kernels}, {count} quads");
        }
    }
}

#[test]
fn a_buffer_that_is_reused_stays_where_it_is() {
    let text = PADDED.encode(bytes(400));
    for kernels in Kernels::all() {
        let mut out = Vec::new();
        append(text.as_bytes(), &mut out, kernels).unwrap();
        let (place, capacity) = (out.as_ptr(), out.capacity());
        for _ in 0..100 {
            out.clear();
            append(text.as_bytes(), &mut out, kernels).unwrap();
        }
        assert_eq!((out.as_ptr(), out.capacity()), (place, capacity));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded(before in prop::collection::vec(any::<u8>(), 0..40), plain in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for text in [PADDED.encode(&plain), UNPADDED.encode(&plain)] {
            for kernels in Kernels::all() {
                let found = appended(&before, text.as_bytes(), kernels);
                prop_assert_eq!(found.as_ref(), Some(&plain));
            }
        }
    }

    /// Base64 with a few bytes changed, put in or taken out.
    #[test]
    fn any_damage_gets_the_twins_verdict(
        plain in prop::collection::vec(any::<u8>(), 0..300),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop_oneof![any::<u8>(), Just(b'='), Just(b'A')]), 0..4),
    ) {
        let mut text = PADDED.encode(&plain).into_bytes();
        for (place, kind, byte) in damage {
            let place = place.index(text.len() + 1);
            match kind {
                0 => text.insert(place, byte),
                1 if place < text.len() => text[place] = byte,
                _ if place < text.len() => drop(text.remove(place)),
                _ => {}
            }
        }
        let expected = twin(&text);
        for kernels in Kernels::all() {
            prop_assert_eq!(&appended(b"", &text, kernels), &expected, "{}", kernels);
        }
    }
}
