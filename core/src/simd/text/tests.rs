//! Text rows: every kernel, at the block's end and beyond what is right.

use super::*;
use crate::column::span::SpanKind;

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
            let block = bytes[..size].to_vec().into_boxed_slice();
            let mut spans = Vec::new();
            for start in 0..=size {
                spans.extend((start..=size).step_by(7).map(|end| plain(start, end)));
                spans.push(plain(start, size));
            }
            let mut text = TextRows::default();
            text.push("before").expect("room");
            assert_eq!(text.push_spans(&block, &spans, kernels), Ok(()));
            let expected = spans.iter().map(|span| str::from_utf8(&bytes[span.start()..span.end()]).expect("ASCII"));
            assert_eq!(rows(&text), ["before"].into_iter().chain(expected).collect::<Vec<_>>(), "{kernels}, {size}");
        }
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
