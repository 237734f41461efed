//! The reader over real files: what it sends, put together again, is the file.

use std::io::Write;
use std::path::{Path, PathBuf};

use crossbeam_channel::unbounded;

use longshore_core::config::{Format, Framing};
use longshore_core::slice::SliceId;

use longshore_core::limits::SLICE_RECORDS_MAX;

use super::*;
use crate::known::KnownSlice;
use crate::read::tests::{failing_raw, methods};

mod stop;

const LINES: ReaderOptions = ReaderOptions {
    cut: CutOptions {
        framing: Framing::Lines,
        format: Format::Json,
        slice_bytes: 1_000,
        records_max: SLICE_RECORDS_MAX,
        record_bytes_max: 200,
        stream: 1,
    },
    read: ReadMethod::Pread,
};

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Fixture { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }
}

/// Reads a file by each way to read files; they must not differ in anything.
fn read_known(
    path: &Path,
    options: &ReaderOptions,
    known: &Vec<KnownSlice>,
) -> (Vec<CutSlice>, Vec<InputError>, Progress) {
    let by =
        |read| read_inputs(&[Input::file(path).expect("the file exists")], &ReaderOptions { read, ..*options }, known);
    let all: Vec<_> = methods().into_iter().map(by).collect();
    let told = |(slices, errors, progress): &(Vec<CutSlice>, Vec<InputError>, Progress)| {
        let stored_read = progress.stored_read.load(Ordering::Relaxed);
        (format!("{slices:?}"), format!("{errors:?}"), progress.totals(), stored_read)
    };
    assert!(all.windows(2).all(|pair| told(&pair[0]) == told(&pair[1])), "the readers differ");
    all.into_iter().next().expect("there is pread")
}

fn read_inputs(
    inputs: &[Input],
    options: &ReaderOptions,
    known: &Vec<KnownSlice>,
) -> (Vec<CutSlice>, Vec<InputError>, Progress) {
    let progress = Progress::default();
    let stop = AtomicBool::new(false);
    let (send, receive) = unbounded();
    let (_, used) = unbounded();
    let books = Books { stored: known, ..Books::NONE };
    let reading = Reader::new(options, books, &progress, &stop).read_all(inputs, &send, &used);
    assert!(reading.end.is_none(), "{:?}", reading.end);
    drop(send);
    // Each is cut at another moment.
    let timeless = |mut slice: CutSlice| {
        slice.slice.cut = CutAt::Unknown;
        slice
    };
    (receive.into_iter().map(timeless).collect(), reading.errors, progress)
}

fn read(path: &Path, options: &ReaderOptions) -> (Vec<CutSlice>, Vec<InputError>) {
    let (slices, errors, _) = read_known(path, options, &Vec::new());
    (slices, errors)
}

fn known(slices: &[CutSlice]) -> Vec<KnownSlice> {
    slices.iter().map(|slice| KnownSlice::of(1, &slice.meta)).collect()
}

fn joined(slices: &[CutSlice]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.slice.bytes.clone()).collect()
}

/// Lines of 1 to 90 bytes, different from each other.
fn some_lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("{n}:{}\n", "x".repeat((n * 37) % 83)).into_bytes()).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("compressed");
    encoder.finish().expect("compressed")
}

fn lz4(content: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(content).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn slices_are_whole_lines_and_together_the_file() {
    let fixture = Fixture::new();
    let content = some_lines(500);
    let (slices, errors) = read(&fixture.file("a.log", &content), &LINES);
    assert!(errors.is_empty());
    assert_eq!(joined(&slices), content);
    assert!(slices.len() > 15, "{} slices", slices.len());
    let mut offset = 0;
    for slice in &slices {
        assert_eq!(slice.meta.start, offset);
        assert_eq!(slice.meta.end, offset + slice.slice.bytes.len() as u64);
        assert!(slice.slice.bytes.len() <= 1_000 && slice.slice.bytes.ends_with(b"\n"));
        assert_eq!(slice.slice.tail, None);
        offset = slice.meta.end;
    }
}

#[test]
fn a_slice_ends_at_the_last_line_ending_that_fits() {
    let fixture = Fixture::new();
    // 200 + 1 bytes a line: four fit in 1,000 bytes, a fifth does not.
    let content: Vec<u8> = (0..9).flat_map(|n| format!("{}\n", n.to_string().repeat(200)).into_bytes()).collect();
    let (slices, _) = read(&fixture.file("a.log", &content), &LINES);
    assert_eq!(slices.iter().map(|slice| slice.slice.bytes.len()).collect::<Vec<_>>(), [804, 804, 201]);
}

#[test]
fn compression_changes_nothing_about_the_slices() {
    let fixture = Fixture::new();
    let content = some_lines(500);
    let (plain, _) = read(&fixture.file("a.log", &content), &LINES);
    let places = |slices: &[CutSlice]| -> Vec<_> {
        slices.iter().map(|slice| (slice.meta.start, slice.meta.end, slice.meta.after)).collect()
    };
    let half = content.len() / 2;
    let members = |compress: fn(&[u8]) -> Vec<u8>| [compress(&content[..half]), compress(&content[half..])].concat();
    let zstd = |content: &[u8]| zstd::encode_all(content, 1).expect("compressed");
    let forms = [gzip(&content), members(gzip), zstd(&content), members(zstd), lz4(&content), members(lz4)];
    for (index, form) in forms.iter().enumerate() {
        let (slices, errors) = read(&fixture.file(&format!("{index}.log"), form), &LINES);
        assert!(errors.is_empty(), "form {index}: {errors:?}");
        assert_eq!(places(&slices), places(&plain), "form {index}");
    }
}

#[test]
fn short_records_end_a_slice_by_their_number() {
    let fixture = Fixture::new();
    let options = ReaderOptions { cut: CutOptions { slice_bytes: 1 << 20, ..LINES.cut }, ..LINES };
    let content = b"x\n".repeat(SLICE_RECORDS_MAX * 2 + 5);
    let (slices, _) = read(&fixture.file("a.log", &content), &options);
    let records: Vec<usize> = slices.iter().map(|slice| slice.slice.bytes.len() / 2).collect();
    assert_eq!(records, [SLICE_RECORDS_MAX, SLICE_RECORDS_MAX, 5]);
}

#[test]
fn a_line_past_the_limit_is_a_tail_with_its_head_and_length() {
    let fixture = Fixture::new();
    for (ending, ending_bytes) in [("\n", 1), ("\r\n", 2)] {
        let long = "y".repeat(70_000);
        let content = format!("before{ending}{long}{ending}after{ending}");
        let (slices, errors) = read(&fixture.file("a.log", content.as_bytes()), &LINES);
        assert!(errors.is_empty());
        let before = 6 + ending_bytes;
        let [first, tail, last] = slices.as_slice() else { panic!("{} slices", slices.len()) };
        assert_eq!(first.slice.bytes, format!("before{ending}").as_bytes());
        let what = tail.slice.tail.as_ref().expect("a tail");
        assert_eq!((what.reason, what.length, what.consumed), (Reason::TooLong, 70_000, 70_000 + ending_bytes));
        assert!(what.head == long.as_bytes()[..DEAD_LETTER_HEAD_BYTES], "{} bytes of head", what.head.len());
        assert_eq!((tail.meta.start, tail.meta.end), (before, before + 70_000 + ending_bytes));
        assert_eq!(last.slice.bytes, format!("after{ending}").as_bytes());
        assert_eq!(last.meta.end, content.len() as u64);
    }
}

#[test]
fn a_line_of_exactly_the_limit_is_a_record() {
    let fixture = Fixture::new();
    let options = ReaderOptions { cut: CutOptions { slice_bytes: 200, ..LINES.cut }, ..LINES };
    let line = "z".repeat(200);
    let content = format!("{line}\r\n{line}\n{line}");
    let (slices, _) = read(&fixture.file("a.log", content.as_bytes()), &options);
    assert!(slices.iter().all(|slice| slice.slice.tail.is_none()));
    assert_eq!(joined(&slices), content.as_bytes());
    let (slices, _) = read(&fixture.file("b.log", format!("{line}z\n").as_bytes()), &options);
    assert_eq!(slices[0].slice.tail.as_ref().map(|tail| tail.length), Some(201));
}

#[test]
fn the_last_line_needs_no_ending_and_an_empty_file_gives_nothing() {
    let fixture = Fixture::new();
    let (slices, errors) = read(&fixture.file("a.log", b"one\ntwo"), &LINES);
    assert!(errors.is_empty());
    assert_eq!(joined(&slices), b"one\ntwo");
    let (slices, errors) = read(&fixture.file("b.log", b""), &LINES);
    assert!(slices.is_empty() && errors.is_empty());
}

#[test]
fn a_file_cut_short_gives_its_whole_records_a_tail_and_an_error() {
    let fixture = Fixture::new();
    let content = some_lines(20_000);
    let packed = gzip(&content);
    let path = fixture.file("a.log.gz", &packed[..packed.len() / 2]);
    let (slices, errors) = read(&path, &LINES);
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(matches!(error, InputError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("a.log.gz is damaged"), "{error}");
    let (last, whole) = slices.split_last().expect("some slices");
    let got = joined(whole);
    assert!(got.len() > 10_000 && content.starts_with(&got) && got.ends_with(b"\n"));
    let tail = last.slice.tail.as_ref().expect("a tail");
    assert_eq!(tail.reason, Reason::TruncatedInput);
    assert!(!tail.head.is_empty() && content[got.len()..].starts_with(&tail.head));

    // The whole file arrives: only what is new is sent.
    std::fs::write(&path, &packed).expect("written");
    let (slices, errors, progress) = read_known(&path, &LINES, &known(&slices));
    assert!(errors.is_empty());
    assert_eq!(joined(&slices), content[got.len()..]);
    assert_eq!(progress.totals().skipped_bytes, got.len() as u64);
}

#[test]
fn what_was_stored_is_not_sent_again() {
    let fixture = Fixture::new();
    let content = some_lines(300);
    let path = fixture.file("a.log", &content);
    let (slices, _) = read(&path, &LINES);
    let stored = known(&slices);

    let (again, _, progress) = read_known(&path, &LINES, &stored);
    assert!(again.is_empty());
    assert_eq!(progress.totals().skipped_bytes, content.len() as u64);
    for slice_bytes in [300, 5_000] {
        let (again, _, _) =
            read_known(&path, &ReaderOptions { cut: CutOptions { slice_bytes, ..LINES.cut }, ..LINES }, &stored);
        assert!(again.is_empty(), "slices of {slice_bytes} bytes: {} sent again", again.len());
    }

    let grown = [content.as_slice(), b"and\nmore\n"].concat();
    std::fs::write(&path, &grown).expect("written");
    let (more, _, _) = read_known(&path, &LINES, &stored);
    assert_eq!(joined(&more), b"and\nmore\n");
    assert_eq!(more[0].meta.start, content.len() as u64);

    let replaced = some_lines(301).split_off(5);
    std::fs::write(&path, &replaced).expect("written");
    let (new, _, _) = read_known(&path, &LINES, &stored);
    assert_eq!(joined(&new), replaced, "another content under the same path is loaded whole");
}

#[test]
fn the_same_lines_at_two_places_are_two_slices() {
    let fixture = Fixture::new();
    let block = some_lines(30);
    let options = ReaderOptions {
        cut: CutOptions { slice_bytes: block.len(), record_bytes_max: block.len() - 8, ..LINES.cut },
        ..LINES
    };
    let (slices, _) = read(&fixture.file("a.log", &block.repeat(3)), &options);
    assert_eq!(slices.len(), 3);
    let mut ids: Vec<SliceId> = slices.iter().map(|slice| slice.meta.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_header_is_read_once_and_is_no_record() {
    let fixture = Fixture::new();
    let options = ReaderOptions { cut: CutOptions { format: Format::Csv, ..LINES.cut }, ..LINES };
    let content = [b"a,b\r\n".as_slice(), &b"1,2\r\n".repeat(400)].concat();
    let (slices, errors) = read(&fixture.file("a.csv", &content), &options);
    assert!(errors.is_empty());
    assert_eq!(joined(&slices), b"1,2\r\n".repeat(400));
    assert_eq!(slices[0].meta.start, 5);
    for slice in &slices {
        assert_eq!(slice.slice.header.as_deref(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
    }
    let (slices, errors) = read(&fixture.file("b.csv", b"a,a\n1,2\n"), &options);
    assert!(slices.is_empty());
    assert!(matches!(errors.as_slice(), [InputError::Header { .. }]), "{errors:?}");
    let (slices, errors) = read(&fixture.file("c.csv", b""), &options);
    assert!(slices.is_empty() && errors.is_empty());
}

#[test]
fn frames_are_cut_between_frames_and_a_torn_one_is_a_tail() {
    let fixture = Fixture::new();
    let options = ReaderOptions { cut: CutOptions { framing: Framing::Frames, ..LINES.cut }, ..LINES };
    let frame = |length: usize| [(length as u32).to_be_bytes().as_slice(), &vec![7; length]].concat();
    let whole: Vec<u8> = (0..100).flat_map(|n| frame(50 + n)).collect();
    let content = [whole.clone(), frame(150)[..100].to_vec()].concat();
    let (slices, errors) = read(&fixture.file("a.bin", &content), &options);
    assert!(errors.is_empty());
    assert_eq!(joined(&slices), whole);
    let tail = slices.last().and_then(|slice| slice.slice.tail.as_ref()).expect("a tail");
    assert_eq!((tail.reason, tail.consumed), (Reason::TruncatedFrame, 100));
    assert_eq!(slices.last().expect("slices").meta.end, content.len() as u64);
}

#[test]
fn a_frame_past_the_limit_is_passed_over() {
    let fixture = Fixture::new();
    let options = ReaderOptions { cut: CutOptions { framing: Framing::Frames, ..LINES.cut }, ..LINES };
    let frame = |length: usize| [(length as u32).to_be_bytes().as_slice(), &vec![7; length]].concat();
    let content = [frame(60), frame(100_000), frame(61)].concat();
    let (slices, _) = read(&fixture.file("a.bin", &content), &options);
    let [first, tail, last] = slices.as_slice() else { panic!("{} slices", slices.len()) };
    assert_eq!((first.slice.bytes.len(), last.slice.bytes.len()), (64, 65));
    let tail = tail.slice.tail.as_ref().expect("a tail");
    assert_eq!((tail.reason, tail.length, tail.consumed), (Reason::TooLong, 100_000, 100_004));
    assert_eq!(last.meta.start, 64 + 100_004);
}

#[test]
fn one_missing_file_does_not_cost_the_others() {
    let fixture = Fixture::new();
    let (gone, there) = (fixture.file("gone.log", b"x\n"), fixture.file("there.log", b"y\n"));
    let inputs = [Input::file(&gone).expect("exists"), Input::file(&there).expect("exists")];
    std::fs::remove_file(&gone).expect("removed");
    for read in methods() {
        let options = ReaderOptions { read, ..LINES };
        let (slices, errors, _) = read_inputs(&inputs, &options, &Vec::new());
        assert!(matches!(errors.as_slice(), [InputError::Open { .. }]), "{errors:?}");
        assert_eq!(joined(&slices), b"y\n");
    }
}

#[test]
fn a_read_error_in_the_middle_costs_what_is_behind_it() {
    let content = some_lines(500);
    let bad_at = 10_000;
    let progress = Progress::default();
    let stop = AtomicBool::new(false);
    let (send, receive) = unbounded();
    let (_, used) = unbounded();
    let mut reader = Reader::new(&LINES, Books::NONE, &progress, &stop);
    let raw = failing_raw(&content, bad_at, progress.stored_read.clone());
    let mut source = Source::new(&mut reader, Stream::new("a.log".into(), raw).expect("opens"), Vec::new(), 0);
    assert!(source.read(&send, &used).is_ok());
    let error = source.failure.as_ref().expect("a failure").to_string();
    assert_eq!(error, "cannot read a.log past byte 10000: a bad sector");
    drop(send);
    let slices: Vec<CutSlice> = receive.into_iter().collect();
    let whole = 1 + content[..bad_at].iter().rposition(|byte| *byte == b'\n').expect("some lines");
    assert!(joined(&slices) == content[..whole], "{} of {whole} bytes", joined(&slices).len());
    assert!(slices.iter().all(|slice| slice.slice.tail.is_none()), "the half line can be read again");
}

#[test]
fn many_small_files_keep_their_bytes_apart() {
    let fixture = Fixture::new();
    let contents: Vec<Vec<u8>> =
        (0..300).map(|n| [format!("{n}\n").into_bytes(), some_lines(n % 40), vec![b'y'; n % 3]].concat()).collect();
    let paths: Vec<PathBuf> =
        (0..).zip(&contents).map(|(n, content)| fixture.file(&format!("{n:03}"), content)).collect();
    let inputs: Vec<Input> = paths.iter().map(|path| Input::file(path).expect("exists")).collect();
    for read in methods() {
        let (slices, errors, progress) = read_inputs(&inputs, &ReaderOptions { read, ..LINES }, &Vec::new());
        assert!(errors.is_empty(), "{errors:?}");
        for (input, content) in inputs.iter().zip(&contents) {
            let of_input = slices.iter().filter(|slice| slice.meta.source == input.name);
            let bytes: Vec<u8> = of_input.flat_map(|slice| slice.slice.bytes.clone()).collect();
            assert!(bytes == *content, "{read}: {}", input.name);
        }
        assert_eq!(progress.stored_read.load(Ordering::Relaxed), contents.iter().map(|c| c.len() as u64).sum::<u64>());
    }
}

#[test]
fn slices_of_several_blocks_do_not_depend_on_the_reader() {
    let fixture = Fixture::new();
    let content = some_lines(60_000);
    assert!(content.len() > 2 << 20, "more than io_uring reads ahead at once");
    let path = fixture.file("a.log", &content);
    for slice_bytes in [1_000, 300_000, 262_144, 3 << 20] {
        let (slices, errors) = read(&path, &ReaderOptions { cut: CutOptions { slice_bytes, ..LINES.cut }, ..LINES });
        assert!(errors.is_empty() && joined(&slices) == content, "slices of {slice_bytes} bytes");
        let places: Vec<(u64, u64)> = slices.iter().map(|slice| (slice.meta.start, slice.meta.end)).collect();
        assert_eq!(places, places_by_hand(&content, slice_bytes));
    }
}

/// Where slices of whole lines begin and end: as many lines as fit.
fn places_by_hand(content: &[u8], slice_bytes: usize) -> Vec<(u64, u64)> {
    let mut places: Vec<(u64, u64)> = vec![(0, 0)];
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let (start, end) = *places.last().expect("one");
        let after = end + line.len() as u64;
        if after - start <= slice_bytes as u64 {
            places.last_mut().expect("one").1 = after;
        } else {
            places.push((end, after));
        }
    }
    places
}

#[test]
fn an_unterminated_line_at_the_end_of_a_full_window_is_a_slice_of_its_own_however_it_is_read() {
    let fixture = Fixture::new();
    // 10 lines of 100 bytes fill the window exactly; the last has no ending. Whether the reader knows that the file
    // ends there must not matter: it would depend on what it has read before.
    let content = [b"x".repeat(99), b"\n".to_vec()].concat().repeat(9);
    let content = [content, b"y".repeat(100)].concat();
    let path = fixture.file("a.log", &content);
    let (slices, _) = read(&path, &LINES);
    assert_eq!(slices.iter().map(|slice| slice.slice.bytes.len()).collect::<Vec<_>>(), [900, 100]);
    // A slice known at the start that is longer than the window makes the reader read on to the end at once.
    let other = KnownSlice { id: SliceId(1), length: 5_000, after: 0, ..KnownSlice::of(1, &slices[0].meta) };
    let (again, _, _) = read_known(&path, &LINES, &vec![other]);
    assert_eq!(again.iter().map(|slice| slice.meta.id).collect::<Vec<_>>(), [slices[0].meta.id, slices[1].meta.id]);
}
