//! A stop while a pipe is silent: whole records that it said are cut, nothing is made of a half one.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;
use crate::content::Prefix;

/// What a test waits for happens well before this, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pipe with a name.
fn pipe(fixture: &Fixture) -> PathBuf {
    let path = fixture.folder.path().join("pipe");
    mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).expect("made");
    path
}

/// Reads a pipe that says something and then neither ends nor goes on, until a stop.
fn read_until_stop(said: &[u8], options: &ReaderOptions, known: &Vec<KnownSlice>) -> (Vec<CutSlice>, Progress) {
    let fixture = Fixture::new();
    let path = pipe(&fixture);
    read_path_until_stop(&path, said, options, known)
}

fn read_path_until_stop(
    path: &Path,
    said: &[u8],
    options: &ReaderOptions,
    known: &Vec<KnownSlice>,
) -> (Vec<CutSlice>, Progress) {
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let (send, receive) = unbounded();
    let (_, used) = unbounded();
    let input = Input::file(path).expect("exists");
    let errors = std::thread::scope(|scope| {
        let books = Books { stored: known, ..Books::NONE };
        let mut reader = Reader::new(options, books, &progress, &stop);
        let reading = scope.spawn(move || reader.read_all(&[input], &send, &used).errors);
        // Held open until the reader is done.
        let mut writer = File::options().write(true).open(path).expect("opens");
        writer.write_all(said).expect("written");
        await_that("the pipe is empty", || rustix::io::ioctl_fionread(&writer).expect("a pipe") == 0);
        // The reader has the bytes now; whatever it does with them, it does before it looks at the flag again.
        assert!(!reading.is_finished(), "it waits for more");
        stop.store(true, Ordering::Relaxed);
        await_that("it stops", || reading.is_finished());
        drop(writer);
        reading.join().expect("no panic")
    });
    assert!(errors.is_empty(), "{errors:?}");
    (receive.into_iter().collect(), progress)
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn whole_lines_are_cut_and_a_half_one_is_nothing() {
    let content = some_lines(500);
    for half in ["", "half a line", "\r"] {
        let said = [content.as_slice(), half.as_bytes()].concat();
        let (slices, progress) = read_until_stop(&said, &LINES, &Vec::new());
        assert!(joined(&slices) == content, "{half:?}: {} of {} bytes", joined(&slices).len(), content.len());
        assert!(slices.iter().all(|slice| slice.slice.tail.is_none()), "{half:?}");
        assert_eq!(progress.cut_bytes.load(Ordering::Relaxed), content.len() as u64);
        // The slices are those that a file would give.
        let places: Vec<(u64, u64)> = slices.iter().map(|slice| (slice.meta.start, slice.meta.end)).collect();
        assert_eq!(places, places_by_hand(&content, LINES.cut.slice_bytes));
    }
}

#[test]
fn a_pipe_that_says_nothing_can_be_stopped() {
    // Less than what tells the compression; not even the header; nothing.
    for said in ["", "a", "a,b"] {
        for format in [Format::Json, Format::Csv] {
            let options = ReaderOptions { cut: CutOptions { format, ..LINES.cut }, ..LINES };
            let (slices, _) = read_until_stop(said.as_bytes(), &options, &Vec::new());
            assert!(slices.is_empty(), "{said:?}: {slices:?}");
        }
    }
}

#[test]
fn lines_behind_a_header_are_cut() {
    let options = ReaderOptions { cut: CutOptions { format: Format::Csv, ..LINES.cut }, ..LINES };
    let (slices, _) = read_until_stop(b"a,b\n1,2\n3,4\n5,", &options, &Vec::new());
    assert_eq!(joined(&slices), b"1,2\n3,4\n");
    assert_eq!(slices[0].slice.header.as_deref(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
}

#[test]
fn what_a_stop_leaves_half_is_no_tail() {
    // A line that is too long already and may become longer; one that is too long and whole.
    let long = "x".repeat(5_000);
    let (slices, _) = read_until_stop(format!("a\n{long}").as_bytes(), &LINES, &Vec::new());
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].slice.bytes, b"a\n");
    let (slices, _) = read_until_stop(format!("a\n{long}\nb\nc").as_bytes(), &LINES, &Vec::new());
    let [first, tail, last] = slices.as_slice() else { panic!("{slices:?}") };
    assert_eq!((first.slice.bytes.as_slice(), last.slice.bytes.as_slice()), (b"a\n".as_slice(), b"b\n".as_slice()));
    assert_eq!(tail.slice.tail.as_ref().map(|tail| (tail.reason, tail.length)), Some((Reason::TooLong, 5_000)));

    let options = ReaderOptions { cut: CutOptions { framing: Framing::Frames, ..LINES.cut }, ..LINES };
    let halves = [b"".as_slice(), b"\0\0", b"\0\0\0\x05abc", b"\0\0\x10\0abc", b"\0\0\0\0abc"];
    for half in halves {
        let said = [b"\0\0\0\x02ab".as_slice(), half].concat();
        let (slices, _) = read_until_stop(&said, &options, &Vec::new());
        let [only] = slices.as_slice() else { panic!("{half:?}: {slices:?}") };
        assert_eq!((only.slice.bytes.as_slice(), &only.slice.tail), (b"\0\0\0\x02ab".as_slice(), &None));
    }
}

#[test]
fn what_was_decompressed_is_cut() {
    let content = some_lines(200);
    // A gzip stream that was flushed and not ended, as a compressing writer leaves it while it is silent.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&content).expect("compressed");
    encoder.write_all(b"half").expect("compressed");
    encoder.flush().expect("compressed");
    let (slices, _) = read_until_stop(encoder.get_ref(), &LINES, &Vec::new());
    assert!(joined(&slices) == content, "{} of {} bytes", joined(&slices).len(), content.len());
    assert!(slices.iter().all(|slice| slice.slice.tail.is_none()));
}

#[test]
fn what_may_have_been_stored_is_not_stored_again() {
    let fixture = Fixture::new();
    let path = pipe(&fixture);
    let content = some_lines(60);
    // A slice of the whole was stored from the same pipe; the stop comes before as much was said again.
    let mut whole = Prefix::default();
    whole.update(&content);
    let known = vec![KnownSlice {
        id: SliceId(7),
        stream: 1,
        head: content::head(&content),
        length: content.len() as u64,
        before: Prefix::default().digest(),
        after: whole.digest(),
    }];
    let (slices, progress) = read_path_until_stop(&path, &content[..content.len() / 2], &LINES, &known);
    assert!(slices.is_empty(), "{slices:?}");
    assert_eq!(progress.totals().skipped_slices, 0);
    // All was said again, and more: that is settled.
    let said = [content.as_slice(), b"new\nhalf"].concat();
    let (slices, progress) = read_path_until_stop(&path, &said, &LINES, &known);
    assert_eq!(joined(&slices), b"new\n");
    assert_eq!(progress.totals().skipped_bytes, content.len() as u64);
}

#[test]
fn a_pipe_that_ends_is_read_to_its_end() {
    let fixture = Fixture::new();
    let path = pipe(&fixture);
    let input = Input::file(&path).expect("exists");
    // More than a pipe holds, so that both sides wait for each other now and then; the reader comes first.
    let content = [some_lines(20_000), b"the last line".to_vec()].concat();
    let (slices, errors, progress) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_inputs(&[input], &LINES, &Vec::new()));
        let mut writer = File::options().write(true).open(&path).expect("opens");
        writer.write_all(&content).expect("written");
        drop(writer);
        reading.join().expect("no panic")
    });
    assert!(errors.is_empty() && joined(&slices) == content, "{errors:?}");
    assert_eq!(progress.stored_read.load(Ordering::Relaxed), content.len() as u64);
}
