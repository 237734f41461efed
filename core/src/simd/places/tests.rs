//! Places against rows that are looked up one by one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::StringArray;
use proptest::prelude::*;

use super::*;

/// An order of as many rows.
fn orders() -> impl Strategy<Value = Vec<u32>> {
    (0..300_u32).prop_flat_map(|rows| Just((0..rows).collect::<Vec<_>>()).prop_shuffle())
}

fn places(order: &[u32]) -> Places {
    let mut places = Places::default();
    places.set(order.iter().copied());
    places
}

proptest! {
    #[test]
    fn values_and_bits_move_with_their_row(order in orders(), seed: u64, one_in in 1..9_u64, offset in 0..70_usize) {
        let places = places(&order);
        let values: Vec<u64> = (0..order.len() as u64).map(|row| (row ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mut moved = Reused::default();
        places.scatter(values.iter().copied(), &mut moved);
        prop_assert!(moved.iter().eq(order.iter().map(|&row| &values[row as usize])));

        // Few or nearly all of them, from somewhere within a byte on.
        for is_set in [|hash: u64, of| hash.is_multiple_of(of), |hash: u64, of| !hash.is_multiple_of(of)] {
            let bit = |row: u32| is_set(values[row as usize] >> 7, one_in);
            let before = std::iter::repeat_n(true, offset);
            let bits: BooleanBuffer = before.chain((0..order.len() as u32).map(bit)).collect();
            let mut used = Reused::default();
            used.give_back(vec![0xa5; 64]);
            let moved = places.scatter_bits(&bits.slice(offset, order.len()), &mut used);
            prop_assert!(moved.iter().eq(order.iter().map(|&row| bit(row))));
            let behind = moved.values().len() * 8 - order.len();
            prop_assert!(behind < 8 && moved.values().last().is_none_or(|last| last.leading_zeros() as usize >= behind));
        }
    }
}

#[test]
fn keys_under_nulls_may_be_anything_wherever_they_go() {
    let keys = Int32Array::new(vec![1, 77, 0].into(), Some(vec![true, false, true].into()));
    let column = DictionaryArray::new(keys, std::sync::Arc::new(StringArray::from(vec!["a", "b"])));
    let moved = places(&[2, 0, 1]).scatter_keys(&column, (&mut Reused::default(), &mut Reused::default()));
    assert_eq!(moved.keys().iter().collect::<Vec<_>>(), [Some(0), Some(1), None]);
    moved.to_data().validate_full().expect("a dictionary that Arrow takes");
}

#[test]
fn an_order_that_is_none_leaves_no_places() {
    for order in [&[0, 0][..], &[1, 2], &[0, 3, 1], &[u32::MAX]] {
        let mut places = places(&[1, 0]);
        assert!(catch_unwind(AssertUnwindSafe(|| places.set(order.iter().copied()))).is_err(), "{order:?}");
        assert_eq!((places.len(), places.rows()), (0, &[][..]));
    }
}

#[test]
fn too_few_values_are_no_rows() {
    let mut moved = Reused::default();
    let scatter = || places(&[1, 0]).scatter([7].into_iter(), &mut moved);
    assert!(catch_unwind(AssertUnwindSafe(scatter)).is_err());
    assert_eq!(moved.len(), 0);
}
