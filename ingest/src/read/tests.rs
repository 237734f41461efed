//! The bytes of files, however they come: from a faulty system, from real files of awkward sizes, by either reader.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Read, Write};
use std::rc::Rc;

use longshore_core::limits::{READ_BLOCK_BYTES, READ_BLOCKS_AHEAD};

use super::ahead::{Ahead, Blocks};
use super::file::ReadAt;
use super::*;

/// The ways to read files that this system has. Says so if io_uring is not one.
pub(crate) fn methods() -> Vec<ReadMethod> {
    match ReadMethod::choose(ReaderChoice::IoUring) {
        Ok(method) => vec![ReadMethod::Pread, method],
        Err(refused) => {
            println!("skipped for io_uring: {refused}");
            vec![ReadMethod::Pread]
        }
    }
}

/// Bytes that differ from block to block and within one, and do not compress.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// Sizes around those of a block and of all blocks that are read ahead.
fn awkward_sizes() -> Vec<usize> {
    let all = READ_BLOCK_BYTES * READ_BLOCKS_AHEAD;
    let around = |size: usize| [size - 1, size, size + 1];
    [vec![0, 1, 5], around(READ_BLOCK_BYTES).into(), around(all).into(), vec![3 * all + 4_321]].concat()
}

/// A file that fails as told.
#[derive(Default)]
struct FaultyFile {
    content: Vec<u8>,
    /// Most bytes that one read gives.
    read_bytes_max: Option<usize>,
    /// Every second read is interrupted by a signal.
    interrupted: bool,
    /// Reads that reach this offset fail.
    fails_at: Option<usize>,
    reads: Cell<usize>,
}

impl ReadAt for FaultyFile {
    fn read_at(&self, into: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        if self.interrupted && self.reads.get() % 2 == 1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let start = usize::try_from(offset).expect("small").min(self.content.len());
        if self.fails_at == Some(start) {
            return Err(io::Error::other("a bad sector"));
        }
        let room = into.capacity() - into.len();
        let end = (start + room.min(self.read_bytes_max.unwrap_or(usize::MAX))).min(self.content.len());
        let end = self.fails_at.map_or(end, |fails_at| end.min(fails_at));
        into.extend_from_slice(&self.content[start..end]);
        Ok(end - start)
    }
}

/// The stored bytes of a file that cannot be read past `fails_at`.
pub(crate) fn failing_raw(content: &[u8], fails_at: usize, stored_read: Arc<AtomicU64>) -> Raw<'static> {
    let file = FaultyFile { content: content.to_vec(), fails_at: Some(fails_at), ..FaultyFile::default() };
    Raw::new(RawBody::File(FileReader::new(None, Box::new(file))), stored_read)
}

/// What a ring does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RingFault {
    None,
    /// The read at this offset gives this many bytes.
    Short(u64, usize),
    /// The read at this offset fails.
    Fails(u64),
    /// The read at this offset is not even queued.
    Refused(u64),
}

/// Blocks that are filled when they are waited for, and not before: whoever looks early sees what was there last.
struct FaultyBlocks {
    content: Vec<u8>,
    fault: RingFault,
    slots: Vec<Vec<u8>>,
    reading: Vec<Option<u64>>,
    /// Most reads that were under way at once.
    under_way_max: Rc<RefCell<usize>>,
}

impl FaultyBlocks {
    fn new(content: &[u8], fault: RingFault) -> Self {
        FaultyBlocks {
            content: content.to_vec(),
            fault,
            slots: vec![Vec::new(); READ_BLOCKS_AHEAD],
            reading: vec![None; READ_BLOCKS_AHEAD],
            under_way_max: Rc::default(),
        }
    }
}

impl Blocks for FaultyBlocks {
    fn start(&mut self, slot: usize, offset: u64) -> io::Result<()> {
        assert_eq!(self.reading[slot], None, "slot {slot} is reading");
        if self.fault == RingFault::Refused(offset) {
            return Err(io::Error::other("the ring is full"));
        }
        self.reading[slot] = Some(offset);
        let under_way = self.reading.iter().flatten().count();
        let mut most = self.under_way_max.borrow_mut();
        *most = under_way.max(*most);
        Ok(())
    }

    fn wait(&mut self, slot: usize) -> io::Result<usize> {
        let offset = self.reading[slot].take().expect("waits for what was started");
        let start = usize::try_from(offset).expect("small").min(self.content.len());
        let mut length = READ_BLOCK_BYTES.min(self.content.len() - start);
        match self.fault {
            RingFault::Fails(fails) if fails == offset => return Err(io::Error::other("a bad sector")),
            RingFault::Short(short, bytes) if short == offset => length = bytes,
            _ => {}
        }
        self.slots[slot] = self.content[start..start + length].to_vec();
        Ok(length)
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        assert_eq!(self.reading[slot], None, "slot {slot} is reading");
        &self.slots[slot]
    }
}

/// A way to read to the end: what was read, and the error that ended it.
type ReadBy = fn(&mut FileReader<'_>, usize) -> (Vec<u8>, Option<String>);

/// Reads by `append`, in buffers of a size, until the end or an error.
fn by_append(reader: &mut FileReader<'_>, buffer_bytes: usize) -> (Vec<u8>, Option<String>) {
    let mut all = Vec::new();
    loop {
        let mut buffer = Vec::with_capacity(buffer_bytes);
        match reader.append(&mut buffer) {
            Ok(0) => return (all, None),
            Ok(count) => {
                assert_eq!(count, buffer.len());
                assert!(buffer.capacity() == buffer_bytes, "it keeps to the room that there is");
                all.append(&mut buffer);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (all, Some(error.to_string())),
        }
    }
}

/// Reads by `fill_buf` and `consume`, in steps.
fn by_fill_buf(reader: &mut FileReader<'_>, step: usize) -> (Vec<u8>, Option<String>) {
    let mut all = Vec::new();
    loop {
        match reader.fill_buf() {
            Ok([]) => return (all, None),
            Ok(bytes) => {
                let taken = bytes.len().min(step);
                all.extend_from_slice(&bytes[..taken]);
                reader.consume(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (all, Some(error.to_string())),
        }
    }
}

/// Both ways in several steps give the same; returns it.
fn read_all<'a>(mut reader: impl FnMut() -> FileReader<'a>) -> (Vec<u8>, Option<String>) {
    let first = by_append(&mut reader(), 1 << 20);
    for step in [10_007, READ_BLOCK_BYTES, 5 << 20] {
        assert!(by_append(&mut reader(), step) == first, "append, {step} bytes");
        assert!(by_fill_buf(&mut reader(), step) == first, "fill_buf, {step} bytes");
    }
    first
}

fn faulty_file(content: &[u8]) -> FaultyFile {
    FaultyFile { content: content.to_vec(), ..FaultyFile::default() }
}

#[test]
fn short_and_interrupted_reads_lose_nothing() {
    for size in awkward_sizes() {
        let content = noise(size);
        for (read_bytes_max, interrupted) in [(None, false), (Some(9_999), false), (Some(77_777), true)] {
            let file = || FaultyFile { read_bytes_max, interrupted, ..faulty_file(&content) };
            let got = read_all(|| FileReader::new(None, Box::new(file())));
            assert!(got == (content.clone(), None), "{size} bytes, {read_bytes_max:?} at once");
        }
    }
}

#[test]
fn what_a_ring_does_not_deliver_is_read_without_it() {
    let block = READ_BLOCK_BYTES as u64;
    let faults = [
        RingFault::None,
        RingFault::Short(0, 0),
        RingFault::Short(2 * block, 1),
        RingFault::Short(9 * block, READ_BLOCK_BYTES - 1),
        RingFault::Fails(0),
        RingFault::Fails(3 * block),
        RingFault::Fails(20 * block),
        RingFault::Refused(0),
        RingFault::Refused(10 * block),
    ];
    for size in awkward_sizes().into_iter().filter(|size| *size > READ_BLOCK_BYTES) {
        let content = noise(size);
        for fault in faults {
            let got = read_all(|| {
                // A short read is never longer than the file.
                let fault = match fault {
                    RingFault::Short(offset, bytes) if offset as usize + bytes > size => RingFault::None,
                    fault => fault,
                };
                let ahead = Ahead::new(Box::new(FaultyBlocks::new(&content, fault)), size as u64);
                FileReader::new(Some(ahead), Box::new(faulty_file(&content)))
            });
            assert!(got == (content.clone(), None), "{size} bytes, {fault:?}");
        }
    }
}

#[test]
fn all_slots_read_at_once_and_never_past_the_size() {
    let content = noise(3 * READ_BLOCKS_AHEAD * READ_BLOCK_BYTES + 1);
    for (size, most) in [(content.len(), READ_BLOCKS_AHEAD), (2 * READ_BLOCK_BYTES, 2), (1, 1)] {
        let blocks = FaultyBlocks::new(&content[..size], RingFault::None);
        let under_way_max = blocks.under_way_max.clone();
        let mut ahead = Ahead::new(Box::new(blocks), size as u64);
        while ahead.ready() {
            let count = ahead.bytes().len();
            ahead.consume(count);
        }
        assert_eq!((ahead.position(), *under_way_max.borrow()), (size as u64, most));
    }
}

#[test]
fn a_read_error_in_the_middle_comes_after_all_bytes_before_it() {
    let content = noise(4 * READ_BLOCK_BYTES);
    let bad = 2 * READ_BLOCK_BYTES + 100;
    for with_ring in [false, true] {
        let got = read_all(|| {
            let fault = RingFault::Fails(2 * READ_BLOCK_BYTES as u64);
            let blocks = Box::new(FaultyBlocks::new(&content, fault));
            let ahead = with_ring.then(|| Ahead::new(blocks, content.len() as u64));
            FileReader::new(ahead, Box::new(FaultyFile { fails_at: Some(bad), ..faulty_file(&content) }))
        });
        assert!(got == (content[..bad].to_vec(), Some("a bad sector".to_owned())), "{} bytes", got.0.len());
    }
}

#[test]
fn real_files_of_awkward_sizes() {
    let folder = tempfile::tempdir().expect("a folder");
    for method in methods() {
        let mut files = FileReaders::new(method);
        for size in awkward_sizes() {
            let content = noise(size);
            let path = folder.path().join("file");
            std::fs::write(&path, &content).expect("written");
            let mut read =
                |step, by: ReadBy| by(&mut files.read(File::open(&path).expect("opens")).expect("reads"), step);
            for step in [10_007, READ_BLOCK_BYTES, 5 << 20] {
                assert!(read(step, by_append) == (content.clone(), None), "{method}: {size} bytes");
                assert!(read(step, by_fill_buf) == (content.clone(), None), "{method}: {size} bytes");
            }
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let content = noise(20 * READ_BLOCK_BYTES);
    // Cut where it is not yet read ahead, and to nothing; grown by two blocks.
    let cut = (READ_BLOCKS_AHEAD + 3) * READ_BLOCK_BYTES + 5;
    for method in methods() {
        let mut files = FileReaders::new(method);
        let mut read = |size: usize, change: &dyn Fn(&File)| {
            std::fs::write(&path, &content[..size]).expect("written");
            let mut reader = files.read(File::open(&path).expect("opens")).expect("reads");
            let mut all = Vec::with_capacity(100);
            reader.append(&mut all).expect("reads");
            change(&File::options().append(true).open(&path).expect("opens"));
            let (rest, error) = by_append(&mut reader, 100_000);
            assert_eq!(error, None);
            all.extend(rest);
            all
        };
        assert!(read(content.len(), &|file| file.set_len(cut as u64).expect("cut")) == content[..cut]);
        let emptied = read(content.len(), &|file| file.set_len(0).expect("cut"));
        assert!(content.starts_with(&emptied) && emptied.len() <= READ_BLOCKS_AHEAD * READ_BLOCK_BYTES);
        for size in [200, 3 * READ_BLOCK_BYTES, 3 * READ_BLOCK_BYTES + 7] {
            let end = size + 2 * READ_BLOCK_BYTES;
            let grown = read(size, &|mut file| file.write_all(&content[size..end]).expect("written"));
            assert!(grown == content[..end], "{method}: {} of {end} bytes", grown.len());
        }
    }
}

#[test]
fn what_is_looked_at_is_read_again_and_all_is_counted_once() {
    let content = noise(READ_BLOCK_BYTES + 10);
    for peeked in [0, 3, 4, READ_BLOCK_BYTES + 50] {
        let counter = Arc::new(AtomicU64::new(0));
        let raw = || {
            let file = FaultyFile { read_bytes_max: Some(3), ..faulty_file(&content) };
            Raw::new(RawBody::File(FileReader::new(None, Box::new(file))), counter.clone())
        };
        let (mut appended, mut read) = (Vec::with_capacity(2 * content.len()), Vec::new());
        let mut first = raw();
        assert!(first.peek(peeked).expect("reads") == &content[..peeked.min(content.len())]);
        while first.append(&mut appended).expect("reads") > 0 {}
        let mut second = raw();
        second.peek(peeked).expect("reads");
        second.read_to_end(&mut read).expect("reads");
        assert!(second.fill_buf().expect("reads").is_empty());
        assert!(appended == content && read == content, "{peeked} bytes looked at");
        assert_eq!(counter.load(Ordering::Relaxed), 2 * content.len() as u64);
    }
}

#[test]
fn a_choice_is_a_word_and_a_refusal_says_what_to_do() {
    let words = ["auto", "io_uring", "pread"].map(|word| word.parse::<ReaderChoice>());
    assert_eq!(words, [Ok(ReaderChoice::Auto), Ok(ReaderChoice::IoUring), Ok(ReaderChoice::Pread)]);
    assert!("uring".parse::<ReaderChoice>().expect_err("no reader").contains("io_uring"));
    assert_eq!(ReadMethod::choose(ReaderChoice::Pread).expect("always").to_string(), "pread");
    ReadMethod::choose(ReaderChoice::Auto).expect("always");
    let refused = ReaderRefused { error: io::Error::from_raw_os_error(1) }.to_string();
    for part in ["Operation not permitted", "--reader io_uring", "io_uring_disabled", "ulimit -l"] {
        assert!(refused.contains(part), "{refused}");
    }
}
