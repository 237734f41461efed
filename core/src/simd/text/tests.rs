//! Text rows: every kernel, at the block's end and beyond what is right.

use std::ptr::NonNull;
use std::sync::Arc;

use super::*;
use crate::column::span::SpanKind;
use crate::simd::pages::{End, Pages, everywhere};
use crate::simd::places::Places;

fn plain(start: usize, end: usize) -> Span {
    Span::new(SpanKind::Plain, start, end)
}

fn rows(rows: &TextRows) -> Vec<&str> {
    (0..rows.len()).map(|row| rows.get(row)).collect()
}

#[test]
fn spans_near_the_blocks_end_are_copied_exactly() {
    let bytes: Vec<u8> = (0..300).map(|at| b'a' + (at % 26) as u8).collect();
    for kernels in Kernels::all() {
        for size in [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300] {
            let mut spans = Vec::new();
            for start in 0..=size {
                spans.extend((start..=size).step_by(7).map(|end| plain(start, end)));
                spans.push(plain(start, size));
            }
            let copied = everywhere(&bytes[..size], |block| {
                let mut text = TextRows::default();
                text.push("before").expect("room");
                assert_eq!(text.push_spans(block, &spans, kernels), Ok(()));
                rows(&text).into_iter().map(str::to_owned).collect::<Vec<_>>()
            });
            let expected = spans.iter().map(|span| str::from_utf8(&bytes[span.start()..span.end()]).expect("ASCII"));
            assert_eq!(copied, ["before"].into_iter().chain(expected).collect::<Vec<_>>(), "{kernels}, {size}");
        }
    }
}

/// Rows of every length that matters, at every distance from the end of Arrow's own buffer, which has pages of its own.
/// Neither end of the text may be crossed, and no row may touch its neighbours, which were written before or will be
/// written after it.
#[test]
fn scattered_rows_are_read_and_written_within_their_text() {
    const ORDERS: [[u32; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for len in [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 129, 130] {
        for behind in 0..=CHUNK_BYTES_MAX {
            let offsets = OffsetBuffer::<i32>::from_lengths([3, len, behind]);
            let bytes: Vec<u8> = (0..offsets[3]).map(|at| b'a' + (at % 26) as u8).collect();
            let whole = str::from_utf8(&bytes).expect("ASCII");
            let row = |row: u32| &whole[offsets[row as usize] as usize..offsets[row as usize + 1] as usize];
            for end in [End::First, End::Last] {
                let mut pages = Pages::for_bytes(bytes.len());
                let place = NonNull::from_ref(pages.put(end, &bytes)).cast();
                // SAFETY: the bytes are the pages' own, which the buffer keeps alive, and nobody writes to them.
                let values = unsafe { Buffer::from_custom_allocation(place, bytes.len(), Arc::new(pages)) };
                let texts = StringArray::new(offsets.clone(), values, None);
                for (kernels, order) in
                    Kernels::all().into_iter().flat_map(|kernels| ORDERS.map(|order| (kernels, order)))
                {
                    let mut places = Places::default();
                    places.set(order.into_iter());
                    let mut scattered = TextRows::default();
                    scattered.scatter(&texts, &places, kernels);
                    let expected = order.map(row);
                    assert_eq!(rows(&scattered), expected, "{kernels}, {len} before {behind}, {end:?}, {order:?}");
                }
            }
        }
    }
}

#[test]
fn a_part_of_an_array_is_scattered_alone() {
    let texts = StringArray::from(vec!["before", "c", "", "a", "behind"]).slice(1, 3);
    let mut places = Places::default();
    places.set([2, 0, 1].into_iter());
    for kernels in Kernels::all() {
        let mut scattered = TextRows::default();
        scattered.scatter(&texts, &places, kernels);
        assert_eq!(rows(&scattered), ["a", "c", ""]);
    }
}

#[test]
fn what_is_missing_has_no_text_wherever_its_span_points() {
    let far = Span::new(SpanKind::Null, 1 << 31, (1 << 31) + 4);
    for kernels in Kernels::all() {
        let mut text = TextRows::default();
        text.push_spans(b"null,\"ab\"", &[Span::ABSENT, plain(6, 8), far, plain(0, 4)], kernels).expect("room");
        assert_eq!(rows(&text), ["", "ab", "", "null"]);
    }
}

#[test]
fn a_refused_span_leaves_no_trace() {
    let block = "é".repeat(100).into_bytes();
    let wrong = [vec![plain(0, 2), plain(2, 3), plain(3, 4)], vec![plain(0, 201)], vec![plain(0, 2), plain(300, 301)]];
    for kernels in Kernels::all() {
        for spans in &wrong {
            let mut text = TextRows::default();
            text.push("whole").expect("room");
            let push = std::panic::AssertUnwindSafe(|| text.push_spans(&block, spans, kernels));
            assert!(std::panic::catch_unwind(push).is_err(), "{spans:?}");
            text.push("next").expect("room");
            assert_eq!(rows(&text), ["whole", "next"]);
            let array = text.finish(None);
            assert_eq!(array.value_data(), b"wholenext");
        }
    }
}

#[test]
fn offsets_end_at_two_gibibytes() {
    // The same 16 MiB so many times that they would not fit; nothing is copied.
    let block = vec![b'a'; 16 << 20];
    for kernels in Kernels::all() {
        let mut text = TextRows::default();
        assert_eq!(text.push_spans(&block, &vec![plain(0, 16 << 20); 128], kernels), Err(Full));
        assert_eq!(text.len(), 0);
    }
}
