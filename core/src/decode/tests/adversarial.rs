//! Records made to hurt cost no more than their size: what comes of them is right and bounded.

use super::shapes::{SECTIONS, SHAPES, Shape};
use super::twin::batch::difference;
use super::twin::{Twin, configs, lines};
use super::*;
use crate::limits::{DEAD_LETTER_DETAIL_BYTES, RECORD_BYTES_MAX};
use crate::simd::Kernels;

/// Bytes of lines of each shape, where one is not longer.
const BYTES: usize = 300 << 10;

fn decode_shape(shape: &Shape, kernels: Kernels) -> (Slice, u64, DecodedSlice) {
    let (bytes, count) = shape.lines(BYTES, 20_000);
    let slice = slice(0, bytes);
    let decoded = decode(&decoder(SECTIONS).with_kernels(kernels), &slice);
    (slice, count, decoded)
}

#[test]
fn what_is_loaded_is_known_beforehand() {
    for shape in SHAPES {
        for kernels in Kernels::all() {
            let (_, count, decoded) = decode_shape(shape, kernels);
            let loaded: Vec<u32> = (0..count).filter(|&row| (shape.is_loaded)(row)).map(|row| row as u32).collect();
            assert_eq!(rows(&decoded.batch), loaded, "{}, {kernels}", shape.name);
            assert_eq!((decoded.records, decoded.filtered), (count, 0), "{}, {kernels}", shape.name);
        }
    }
}

#[test]
fn values_are_the_twins() {
    let twin = Twin::new(&configs::whole(SECTIONS), None);
    for shape in SHAPES {
        let (slice, _, decoded) = decode_shape(shape, Kernels::widest());
        let expected = twin.decode(lines(0, &slice.bytes));
        assert_eq!(difference(&super::paths::found(&decoded), &expected), None, "{}", shape.name);
    }
}

/// What is handed on: a batch grows with its rows and their text, a dead letter keeps its record and a short detail.
#[test]
fn what_comes_of_a_slice_is_bounded_by_its_size() {
    for shape in SHAPES {
        let (slice, _, decoded) = decode_shape(shape, Kernels::widest());
        // Twice the text, as vectors that grow may have; and per row the widest value of each column.
        let batch = decoded.batch.get_array_memory_size();
        let rows = decoded.batch.num_rows() * decoded.batch.num_columns();
        assert!(batch <= 4 * slice.bytes.len() + 2 * 16 * rows + (1 << 20), "{}: {batch} bytes", shape.name);
        let kept: usize = decoded.dead.iter().map(|letter| letter.record.len()).sum();
        assert!(kept <= slice.bytes.len(), "{}", shape.name);
        assert!(decoded.dead.iter().all(|letter| letter.fault.detail.len() <= DEAD_LETTER_DETAIL_BYTES));
    }
}

/// A record at the limit is read, one byte more is not, and is not looked into.
#[test]
fn the_longest_record_is_read() {
    let record = |bytes: usize| {
        let rest = "{\"ts\":1,\"name\":\"\"}".len();
        format!("{{\"ts\":1,\"name\":\"{}\"}}\n", "\\\"".repeat((bytes - rest) / 2) + &"x".repeat((bytes - rest) % 2))
    };
    let text = record(RECORD_BYTES_MAX) + &record(RECORD_BYTES_MAX + 1);
    for kernels in Kernels::all() {
        let decoded = decode(&decoder(SECTIONS).with_kernels(kernels), &slice(0, text.as_str()));
        assert_eq!(rows(&decoded.batch), [0]);
        let second = RECORD_BYTES_MAX as u64 + 1;
        assert_eq!(places(&decoded.dead), [(1, second, second, Reason::TooLong)]);
    }
}
