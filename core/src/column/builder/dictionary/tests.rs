//! The dictionary against a vector, and its hash table.

use std::collections::HashSet;

use arrow_array::{Array, StringArray};
use proptest::prelude::*;

use super::*;

/// Keys and values of a finished dictionary.
fn parts(array: ArrayRef) -> (Vec<i32>, Vec<String>) {
    let array = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>().expect("a dictionary");
    let values = array.values().as_any().downcast_ref::<StringArray>().expect("of text");
    (array.keys().values().to_vec(), values.iter().map(|value| value.expect("not null").to_owned()).collect())
}

#[test]
fn keys_count_first_appearances() {
    let mut cells = DictionaryCells::default();
    for value in ["b", "a", "a", "", "b", "c", ""] {
        cells.push(value).expect("room");
    }
    assert_eq!((cells.get(4), cells.key(5)), ("b", 3));
    let values = ["b", "a", "", "c"].map(str::to_owned).to_vec();
    assert_eq!(parts(cells.finish(None)), (vec![0, 1, 1, 2, 0, 3, 2], values));
    // The next batch starts anew.
    cells.push("c").expect("room");
    assert_eq!(parts(cells.finish(None)), (vec![0], vec!["c".to_owned()]));
    assert_eq!(parts(cells.finish(None)), (vec![], vec![]));
}

#[test]
fn a_value_that_was_cut_back_keeps_its_key() {
    let mut cells = DictionaryCells::default();
    cells.push("kept").expect("room");
    cells.push("dropped").expect("room");
    cells.truncate(1);
    cells.push("new").expect("room");
    cells.push("dropped").expect("room");
    let values = ["kept", "dropped", "new"].map(str::to_owned).to_vec();
    assert_eq!(parts(cells.finish(None)), (vec![0, 2, 1], values));
}

#[test]
fn a_hundred_thousand_values() {
    let mut cells = DictionaryCells::default();
    for _ in 0..2 {
        for number in 0..100_000 {
            cells.push(&format!("value {number}")).expect("room");
        }
    }
    let (keys, values) = parts(cells.finish(None));
    assert_eq!(values.len(), 100_000);
    assert_eq!(values[99_999], "value 99999");
    let expected: Vec<i32> = (0..100_000).chain(0..100_000).collect();
    assert_eq!(keys, expected);
}

#[test]
fn the_hash_sees_every_byte_and_the_length() {
    // Seeds that stay the same, so that a collision is found in every run or in none.
    for seed in 1..200u64 {
        let seeds = [seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), seed.wrapping_mul(0xd1b5_4a32_d192_ed03)];
        let slots = Slots::new(seeds);
        for length in 0..40 {
            let zeros = vec![0u8; length];
            let mut hashes = HashSet::from([slots.hash(&zeros), slots.hash(&vec![0; length + 1])]);
            for at in 0..length {
                let mut changed = zeros.clone();
                changed[at] = 1;
                hashes.insert(slots.hash(&changed));
            }
            assert_eq!(hashes.len(), length + 2, "length {length}, seed {seed}");
        }
    }
}

proptest! {
    #[test]
    fn rows_are_what_was_pushed(values in proptest::collection::vec("[ab]{0,3}|\\PC{0,20}", 0..200)) {
        let mut cells = DictionaryCells::default();
        for value in &values {
            cells.push(value).expect("room");
        }
        let (keys, dictionary) = parts(cells.finish(None));
        let rows: Vec<&String> = keys.iter().map(|&key| &dictionary[key as usize]).collect();
        prop_assert_eq!(rows, values.iter().collect::<Vec<_>>());
        prop_assert_eq!(dictionary.iter().collect::<HashSet<_>>().len(), dictionary.len(), "each value once");
    }
}

proptest! {
    /// Values that no table has are united at the end: the batch is the same, but for values that no row has any more.
    #[test]
    fn few_tabled_values_change_nothing(
        batches in proptest::collection::vec(proptest::collection::vec(("[abc]{0,2}|[a-c]{17,18}", any::<bool>()), 0..60), 1..3),
        tabled_max in 1..8usize,
    ) {
        let (mut all, mut few) = (DictionaryCells::default(), DictionaryCells::default());
        few.set_tabled_max(tabled_max);
        for batch in batches {
            for (value, stays) in &batch {
                for cells in [&mut all, &mut few] {
                    cells.push(value).expect("room");
                    if !stays {
                        let rows = cells.len();
                        cells.truncate(rows - 1);
                    }
                }
            }
            let rows = |(keys, values): (Vec<i32>, Vec<String>)| -> Vec<String> {
                keys.iter().map(|&key| values[key as usize].clone()).collect()
            };
            let (all, few) = (parts(all.finish(None)), parts(few.finish(None)));
            prop_assert_eq!(few.1.iter().collect::<HashSet<_>>().len(), few.1.len(), "each value once");
            prop_assert!(few.1.len() <= all.1.len());
            prop_assert_eq!(rows(few), rows(all));
        }
    }
}
