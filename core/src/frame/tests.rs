use proptest::prelude::*;

use super::{Cut, FRAME_PREFIX_BYTES, Next, RECORD_OVERHEAD_BYTES, Records, cut};
use crate::config::Framing;

/// What a source is made of, by its offset.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Record { offset: usize, bytes: Vec<u8>, source_bytes: usize },
    TooLong { offset: usize },
    Truncated { offset: usize },
}

/// A source taken apart byte by byte, all of it at once.
fn pieces(framing: Framing, source: &[u8], record_bytes_max: usize) -> Vec<Piece> {
    match framing {
        Framing::Lines => line_pieces(source, record_bytes_max),
        Framing::Frames => frame_pieces(source, record_bytes_max),
    }
}

fn line_pieces(source: &[u8], record_bytes_max: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    while offset < source.len() {
        // NULs at its beginning are no part of a line.
        if source[offset] == 0 {
            offset += 1;
            continue;
        }
        let mut content_end = offset;
        while content_end < source.len() && source[content_end] != b'\n' {
            content_end += 1;
        }
        let next = if content_end < source.len() { content_end + 1 } else { content_end };
        if content_end > offset && source[content_end - 1] == b'\r' {
            content_end -= 1;
        }
        let bytes = source[offset..content_end].to_vec();
        if bytes.len() > record_bytes_max {
            pieces.push(Piece::TooLong { offset });
        } else if !bytes.is_empty() {
            pieces.push(Piece::Record { offset, bytes, source_bytes: next - offset });
        }
        offset = next;
    }
    pieces
}

fn frame_pieces(source: &[u8], record_bytes_max: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    while offset < source.len() {
        if source.len() - offset < 4 {
            pieces.push(Piece::Truncated { offset });
            break;
        }
        let length = source[offset..offset + 4].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let next = offset + 4 + length;
        if length == 0 || length > 1 << 30 {
            pieces.push(Piece::Truncated { offset });
            break;
        } else if length > record_bytes_max {
            pieces.push(Piece::TooLong { offset });
        } else if next > source.len() {
            pieces.push(Piece::Truncated { offset });
            break;
        } else {
            let bytes = source[offset + 4..next].to_vec();
            pieces.push(Piece::Record { offset, bytes, source_bytes: 4 + length });
        }
        offset = next;
    }
    pieces
}

/// A reader that gets its bytes in chunks of these sizes, over and over, and asks after each of them.
struct SmallReader<'a> {
    framing: Framing,
    source: &'a [u8],
    chunk_bytes: &'a [usize],
    records_max: usize,
    record_bytes_max: usize,
}

impl SmallReader<'_> {
    fn pieces(&self) -> Vec<Piece> {
        let capacity = self.record_bytes_max + RECORD_OVERHEAD_BYTES;
        let mut chunks = self.chunk_bytes.iter().cycle();
        let mut pieces = Vec::new();
        // The buffer is source[start..end].
        let (mut start, mut end) = (0, 0);
        loop {
            let bytes = &self.source[start..end];
            let at_end = end == self.source.len();
            let cut = cut(self.framing, bytes, self.records_max, at_end, self.record_bytes_max);
            let before = pieces.len();
            pieces.extend(Records::new(self.framing, &bytes[..cut.end]).map(|record| Piece::Record {
                offset: start + record.offset,
                bytes: record.bytes.to_vec(),
                source_bytes: record.source_bytes,
            }));
            assert_eq!(pieces.len() - before, cut.records, "Records yields what cut has counted");
            start += cut.end;
            match cut.next {
                Next::Full => assert_eq!(cut.records, self.records_max),
                Next::More => {
                    assert!(!at_end, "at the end it is known what follows");
                    assert!(end - start < capacity, "a full buffer gets somewhere");
                    end = (end + chunks.next().unwrap()).min(start + capacity).min(self.source.len());
                }
                Next::End => {
                    assert!(at_end && start == end);
                    return pieces;
                }
                Next::TooLong { length } => {
                    pieces.push(Piece::TooLong { offset: start });
                    start = self.past_too_long(start, length).min(self.source.len());
                    end = end.max(start);
                }
                Next::Truncated { .. } => {
                    pieces.push(Piece::Truncated { offset: start });
                    return pieces;
                }
            }
        }
    }

    fn past_too_long(&self, start: usize, length: Option<u64>) -> usize {
        match length {
            Some(length) => start + FRAME_PREFIX_BYTES + length as usize,
            None => {
                let newline = self.source[start..].iter().position(|byte| *byte == b'\n');
                newline.map_or(self.source.len(), |newline| start + newline + 1)
            }
        }
    }
}

fn lines_source() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\0".to_vec()),
        1 => Just(vec![0; 20]),
        5 => prop::collection::vec(b'a'..=b'c', 0..14),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn frames_source() -> impl Strategy<Value = Vec<u8>> {
    let frame = |bytes: Vec<u8>| [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
    let piece = prop_oneof![
        20 => prop::collection::vec(any::<u8>(), 1..14).prop_map(frame),
        1 => prop::collection::vec(any::<u8>(), 1..6),
        1 => Just(vec![0; 4]),
        1 => Just((1u32 << 30).to_be_bytes().to_vec()),
        1 => Just(((1u32 << 30) + 1).to_be_bytes().to_vec()),
    ];
    (prop::collection::vec(piece, 0..20), 0usize..20).prop_map(|(pieces, cut_off)| {
        let mut source = pieces.concat();
        source.truncate(source.len().saturating_sub(if cut_off < 8 { cut_off } else { 0 }));
        source
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn however_lines_arrive_they_are_those_of_the_whole(
        source in lines_source(),
        chunk_bytes in prop::collection::vec(1usize..20, 1..5),
        records_max in 1usize..6,
        record_bytes_max in 1usize..16,
    ) {
        let framing = Framing::Lines;
        let reader = SmallReader { framing, source: &source, chunk_bytes: &chunk_bytes, records_max, record_bytes_max };
        prop_assert_eq!(reader.pieces(), pieces(framing, &source, record_bytes_max));
    }

    #[test]
    fn however_frames_arrive_they_are_those_of_the_whole(
        source in frames_source(),
        chunk_bytes in prop::collection::vec(1usize..20, 1..5),
        records_max in 1usize..6,
        record_bytes_max in 1usize..16,
    ) {
        let framing = Framing::Frames;
        let reader = SmallReader { framing, source: &source, chunk_bytes: &chunk_bytes, records_max, record_bytes_max };
        prop_assert_eq!(reader.pieces(), pieces(framing, &source, record_bytes_max));
    }

    #[test]
    fn no_bytes_make_it_panic(
        source in prop::collection::vec(any::<u8>(), 0..100),
        at_end in any::<bool>(),
        records_max in 1usize..5,
        record_bytes_max in 1usize..100,
    ) {
        for framing in [Framing::Lines, Framing::Frames] {
            let cut = cut(framing, &source, records_max, at_end, record_bytes_max);
            prop_assert_eq!(Records::new(framing, &source[..cut.end]).count(), cut.records);
        }
        // Any bytes are lines.
        Records::new(Framing::Lines, &source).for_each(drop);
    }
}

fn cut_line(bytes: &[u8], at_end: bool) -> Cut {
    cut(Framing::Lines, bytes, 100, at_end, 5)
}

fn cut_frame(bytes: &[u8], at_end: bool) -> Cut {
    cut(Framing::Frames, bytes, 100, at_end, 40)
}

#[test]
fn blank_lines_are_bytes_but_no_records() {
    let whole = |end, records| Cut { end, records, next: Next::End };
    assert_eq!(cut_line(b"", true), whole(0, 0));
    assert_eq!(cut_line(b"\n", true), whole(1, 0));
    assert_eq!(cut_line(b"\n\r\n\n", true), whole(4, 0));
    assert_eq!(cut_line(b"\r", true), whole(1, 0));
    assert_eq!(cut_line(b"\na\n\r\nb", true), whole(6, 2));
    assert_eq!(cut_line(b" \n\r\r\n", true), whole(5, 2), "a space, or a lone return, is a line");
}

#[test]
fn nuls_before_a_record_are_bytes_but_no_part_of_it() {
    let source = [&[0; 200][..], b"one\n\0\0two\nt\0ree\n\0\n\0"].concat();
    let cut = cut(Framing::Lines, &source, 10, false, 20);
    // Nothing stands behind the last one yet.
    assert_eq!((cut.end, cut.records, cut.next), (source.len() - 1, 3, Next::More));
    let records: Vec<_> = Records::new(Framing::Lines, &source).map(|record| (record.offset, record.bytes)).collect();
    assert_eq!(records, [(200, &b"one"[..]), (206, b"two"), (210, b"t\0ree")]);
    assert_eq!(super::nuls_of_lines(&source), 204);
    // No buffer is ever full of them.
    let full = super::cut(Framing::Lines, &[0; 24], 10, false, 20);
    assert_eq!((full.end, full.records), (24, 0));
}

#[test]
fn a_line_that_is_not_ended_is_a_record_at_the_end_only() {
    assert_eq!(cut_line(b"a\nbc", false), Cut { end: 2, records: 1, next: Next::More });
    assert_eq!(cut_line(b"a\nbc", true), Cut { end: 4, records: 2, next: Next::End });
    assert_eq!(cut_line(b"", false), Cut { end: 0, records: 0, next: Next::More });
}

#[test]
fn line_endings_do_not_count_for_the_limit() {
    let too_long = |end, records| Cut { end, records, next: Next::TooLong { length: None } };
    assert_eq!(cut_line(b"12345\r\n", false), Cut { end: 7, records: 1, next: Next::More });
    assert_eq!(cut_line(b"12345\r", false), Cut { end: 0, records: 0, next: Next::More }, "the ending may follow");
    assert_eq!(cut_line(b"12345\r", true), Cut { end: 6, records: 1, next: Next::End });
    assert_eq!(cut_line(b"12345\rx", false), too_long(0, 0));
    assert_eq!(cut_line(b"123456", false), too_long(0, 0), "however it goes on");
    assert_eq!(cut_line(b"a\n123456\nb\n", true), too_long(2, 1));
}

#[test]
fn records_know_where_they_were() {
    let lines: Vec<_> = Records::new(Framing::Lines, b"\nab\r\n\r\nc\nd")
        .map(|record| (record.offset, record.bytes, record.source_bytes))
        .collect();
    assert_eq!(lines, [(1, &b"ab"[..], 4), (7, b"c", 2), (9, b"d", 1)]);
    let frames: Vec<_> = Records::new(Framing::Frames, b"\0\0\0\x02ab\0\0\0\x01\n")
        .map(|record| (record.offset, record.bytes, record.source_bytes))
        .collect();
    assert_eq!(frames, [(0, &b"ab"[..], 6), (6, b"\n", 5)]);
}

#[test]
fn a_frame_longer_than_the_limit_can_be_passed_over() {
    let bytes = [&b"\0\0\0\x01a"[..], &[0, 0, 0, 41], &[7; 41]].concat();
    for present in 9..bytes.len() {
        let cut = cut_frame(&bytes[..present], false);
        assert_eq!(cut, Cut { end: 5, records: 1, next: Next::TooLong { length: Some(41) } });
    }
    let next = cut_frame(&(1u32 << 30).to_be_bytes(), false).next;
    assert_eq!(next, Next::TooLong { length: Some(1 << 30) }, "the longest that is believed");
}

#[test]
fn a_frame_too_short_for_an_envelope_costs_itself_only() {
    let cut = cut_frame(b"\0\0\0\x01a\0\0\0\x02bc", true);
    assert_eq!(cut, Cut { end: 11, records: 2, next: Next::End });
}

#[test]
fn a_length_that_cannot_be_right_loses_the_rest() {
    let detail = |length: u32| {
        format!(
            "{length} cannot be a frame's length (1 to 1073741824): from here to the source's end no frame can be \
             found; is the source damaged, or not made of frames?"
        )
    };
    for length in [0, (1 << 30) + 1, u32::MAX, u32::from_be_bytes(*b"{\"us")] {
        let bytes = [&b"\0\0\0\x01a"[..], &length.to_be_bytes(), b"more"].concat();
        for at_end in [false, true] {
            let next = Next::Truncated { detail: detail(length) };
            assert_eq!(cut_frame(&bytes, at_end), Cut { end: 5, records: 1, next });
        }
    }
}

#[test]
fn a_frame_is_truncated_at_the_end_only() {
    let bytes = b"\0\0\0\x01a\0\0\0\x05bcd";
    let truncated = |detail: &str| Cut { end: 5, records: 1, next: Next::Truncated { detail: detail.into() } };
    assert_eq!(cut_frame(bytes, false), Cut { end: 5, records: 1, next: Next::More });
    assert_eq!(cut_frame(bytes, true), truncated("the source ends 3 bytes into a frame of 5: it is cut short"));
    assert_eq!(
        cut_frame(&bytes[..7], true),
        truncated("the source ends 2 bytes into a frame's length of 4: it is cut short")
    );
    assert_eq!(cut_frame(&bytes[..5], true), Cut { end: 5, records: 1, next: Next::End });
}

#[test]
fn a_slice_is_full_at_the_limit_of_records() {
    let full = |end| Cut { end, records: 2, next: Next::Full };
    assert_eq!(cut(Framing::Lines, b"a\n\nb\nc\n", 2, true, 10), full(5));
    assert_eq!(cut(Framing::Lines, b"a\nb\n", 2, true, 10), full(4));
    assert_eq!(cut(Framing::Frames, b"\0\0\0\x01a\0\0\0\x01b\0", 2, true, 10), full(10));
}

#[test]
#[should_panic(expected = "a slice holds whole frames")]
fn torn_frames_are_a_broken_invariant() {
    Records::new(Framing::Frames, b"\0\0\0\x02a").for_each(drop);
}
