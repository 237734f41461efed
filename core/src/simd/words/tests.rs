//! Words on every kernel, against a map: known texts are found in any place, and nothing else is.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::column::span::SpanKind;
use crate::simd::pages::everywhere;

const SEEDS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];

/// Words of these texts, keys counted from zero, with a key for each longer text.
fn words_of(texts: &[String]) -> (Words, HashMap<&str, i32>) {
    let mut words = Words::new(SEEDS);
    let mut keys = HashMap::new();
    for (key, text) in (0..).zip(texts) {
        match Word::of(text.as_bytes()) {
            Some(word) if keys.contains_key(text.as_str()) => assert!(words.find(word).is_some()),
            Some(word) => {
                assert_eq!(words.find(word), None, "{text:?} is new");
                words.push(word);
                keys.insert(text.as_str(), key);
                continue;
            }
            None => {}
        }
        words.push_none();
    }
    (words, keys)
}

/// A block of these texts, one behind the other, and their spans; `None` for one that is missing.
fn block_of(texts: &[Option<&str>]) -> (Vec<u8>, Vec<Span>) {
    let mut block = Vec::new();
    let mut spans = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        let start = block.len();
        spans.push(match text {
            None if row % 2 == 0 => Span::ABSENT,
            None => {
                block.extend_from_slice(b"null");
                Span::new(SpanKind::Null, start, start + 4)
            }
            Some(text) => {
                block.extend_from_slice(text.as_bytes());
                Span::new(SpanKind::Plain, start, block.len())
            }
        });
    }
    (block, spans)
}

/// Looks all rows up, from wherever a row was left on: each one that is known and not too near the end is found.
fn check(texts: &[String], rows: &[Option<&str>]) {
    let (words, known) = words_of(texts);
    let (block, spans) = block_of(rows);
    let found = |block: &[u8], kernels| {
        let mut keys = vec![None; spans.len()];
        let mut at = 0;
        while at < spans.len() {
            let mut some = vec![i32::MIN; spans.len() - at];
            let count = words.find_spans(block, &spans[at..], &mut some, kernels);
            (0..count).for_each(|row| keys[at + row] = Some(some[row]));
            at += count + 1;
        }
        keys
    };
    for kernels in Kernels::all() {
        let keys = everywhere(&block, |block| found(block, kernels));
        for ((key, span), text) in keys.into_iter().zip(&spans).zip(rows) {
            let is_near_end = span.start() + 16 > block.len();
            let expected = known.get(text.unwrap_or("")).copied().filter(|_| !is_near_end);
            assert_eq!(key, expected, "{kernels}: {text:?} at {span:?}");
        }
    }
}

#[test]
fn each_length_and_each_byte_tell_words_apart() {
    let text = "0123456789abcdef";
    let mut texts: Vec<String> = (0..=16).map(|length| text[..length].to_owned()).collect();
    for length in 1..=16 {
        for at in 0..length {
            texts.push(format!("{}#{}", &text[..at], &text[at + 1..length]));
        }
    }
    let rows: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).chain([Some(text); 3]).collect();
    check(&texts, &rows);
    // The same without those of odd keys: what is not known is not found.
    let some: Vec<String> = texts.iter().step_by(2).cloned().collect();
    check(&some, &rows);
}

#[test]
fn a_full_table_and_an_empty_one() {
    let texts: Vec<String> = (0..5_000).map(|number| format!("v{number}")).collect();
    let rows: Vec<Option<&str>> = (0..2_000).map(|row| Some(texts[row * 7 % texts.len()].as_str())).collect();
    check(&texts, &rows);
    check(&[], &rows);
    check(&[], &[]);
    let (mut words, _) = words_of(&texts);
    words.clear();
    assert!(texts.iter().all(|text| words.find(Word::of(text.as_bytes()).expect("short")).is_none()));
    // It held five thousand words, and may keep its slots; a batch of one word later it has given them up.
    assert!(words.slots.len() > 5_000);
    words.push(Word::of(b"one").expect("short"));
    words.clear();
    assert_eq!(words.slots.len(), SLOTS_MIN);
}

#[test]
fn one_bit_anywhere_changes_the_home() {
    // Over many seeds, a bit that often left the hash as it is would let texts be made that all share a slot.
    for bit in 0..128 {
        let same = (0..1_000u64).filter(|seed| {
            let seeds = [seed.wrapping_mul(SEEDS[0]), (seed + 7).wrapping_mul(SEEDS[1])];
            let mut words = Words::new(seeds);
            words.set_slots(1 << 16);
            words.home(Word(0)) == words.home(Word(1 << bit))
        });
        assert!(same.count() < 10, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn rows_are_found_as_in_a_map(
        texts in proptest::collection::vec("[ab]{0,4}|[a-d]{14,18}|\\PC{0,6}", 0..40),
        rows in proptest::collection::vec((0..60usize, any::<bool>()), 0..80),
        tail in 0..20usize,
    ) {
        let long = "x".repeat(tail);
        let row = |&(at, is_there): &(usize, bool)| match texts.get(at) {
            Some(text) => Some(text.as_str()),
            None if is_there => Some("unknown"),
            None => None,
        };
        let rows: Vec<Option<&str>> = rows.iter().map(row).chain([Some(long.as_str())]).collect();
        check(&texts, &rows);
    }
}
