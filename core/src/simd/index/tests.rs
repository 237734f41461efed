//! The index against a walk byte by byte, at every level of the machine.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::simd::pages::everywhere;

/// What the index says, found by its definition.
fn naive(chunk: &[u8]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let mut quotes = Vec::new();
    let mut is_escaped = false;
    for (at, &byte) in (0..).zip(chunk) {
        if byte == b'"' && !is_escaped {
            quotes.push(at);
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    let newlines = (0..).zip(chunk).filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at).collect();
    let is_odd = |block: &[u8]| block.iter().any(|&byte| byte >= 0x80 || byte == b'\\' || byte < 0x20 && byte != b'\n');
    let odd = (0..).step_by(64).zip(chunk.chunks(64)).filter(|(_, block)| is_odd(block)).map(|(at, _)| at).collect();
    (quotes, newlines, odd)
}

/// Every kernel over the chunk, wherever it stands.
fn check(chunk: &[u8]) {
    let expected = naive(chunk);
    for kernels in Kernels::all() {
        // One index for all places, so that each finds what the last one left.
        let index = RefCell::new(Index::default());
        let found = everywhere(chunk, |chunk| {
            let mut index = index.borrow_mut();
            index.build(kernels, chunk);
            let (quotes, sentinels) = index.quotes().split_at(index.quotes().len() - SENTINELS);
            assert_eq!(sentinels, [u32::MAX; SENTINELS]);
            (quotes.to_vec(), index.newlines().to_vec(), index.odd().to_vec())
        });
        assert_eq!(found, expected, "{kernels}: quotes, line feeds and odd blocks of {}", chunk.escape_ascii());
    }
}

#[test]
fn every_byte_at_every_place_of_a_block() {
    for byte in 0..=255 {
        for at in 0..64 {
            let mut chunk = [b'x'; 64];
            chunk[at] = byte;
            check(&chunk);
        }
    }
}

#[test]
fn every_length_up_to_three_blocks() {
    for byte in [b'"', b'\n', b'\\', 0x80] {
        for length in 0..=192 {
            check(&vec![byte; length]);
        }
    }
}

#[test]
fn runs_of_backslashes_across_blocks() {
    for before in 60..68 {
        for backslashes in 0..70 {
            let mut chunk = vec![b'x'; before];
            chunk.extend(std::iter::repeat_n(b'\\', backslashes));
            chunk.extend(b"\"\"x\n\"");
            check(&chunk);
        }
    }
}

proptest! {
    #[test]
    fn any_text_of_telling_bytes(chunk in proptest::collection::vec(
        prop_oneof![
            4 => Just(b'"'), 3 => Just(b'\\'), 1 => Just(b'\n'), 1 => Just(0x80), 1 => Just(0xFF), 1 => Just(0x1F),
            1 => Just(b' '), 4 => any::<u8>(),
        ],
        0..400,
    )) {
        check(&chunk);
    }
}
