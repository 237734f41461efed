//! Inputs over real files.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::*;

use crate::read::ReadMethod;
use crate::read::tests::{methods, noise};

/// The content by each way to read files, which must agree.
fn content(bytes: &[u8]) -> (Vec<u8>, Compression) {
    let all: Vec<_> = methods().into_iter().map(|method| content_by(method, bytes)).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "the readers differ");
    all[0].clone()
}

fn content_by(method: ReadMethod, bytes: &[u8]) -> (Vec<u8>, Compression) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).expect("written");
    let counter = Arc::new(AtomicU64::new(0));
    let (mut files, stop) = (FileReaders::new(method), AtomicBool::new(false));
    let mut stream = Input::file(&path).expect("exists").open(&mut files, counter.clone(), &stop).expect("opens");
    let mut buffer = Vec::new();
    assert_eq!(stream.fill(&mut buffer, 16 << 20, 0).expect("reads"), Filled::Ended);
    assert_eq!(counter.load(Ordering::Relaxed), bytes.len() as u64, "every stored byte is counted");
    (buffer, stream.compression)
}

#[test]
fn short_inputs_are_plain() {
    for bytes in [b"".as_slice(), b"a", b"ab", b"abc", b"\x28\xb5", b"{\"a\":1}\n"] {
        assert_eq!(content(bytes), (bytes.to_vec(), Compression::Plain));
    }
}

#[test]
fn compression_is_told_by_content_not_by_name() {
    let zstd = zstd::encode_all(b"hello\n".as_slice(), 1).expect("compressed");
    assert_eq!(content(&zstd), (b"hello\n".to_vec(), Compression::Zstd));
    // A skippable frame (magic 0x184D2A50, 3 bytes) in front, as pzstd writes it.
    let skippable = [b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc".as_slice(), &zstd].concat();
    assert_eq!(content(&skippable), (b"hello\n".to_vec(), Compression::Zstd));
}

#[test]
fn a_folder_and_a_missing_file_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Input::file(folder.path()).expect_err("a folder").to_string();
    assert!(error.contains("it is a folder, not a file"), "{error}");
    let error = Input::file(&folder.path().join("nothing.log")).expect_err("missing").to_string();
    assert!(error.contains("nothing.log") && error.contains("No such file"), "{error}");
}

#[test]
fn the_same_file_by_two_paths_is_one_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    std::fs::write(&path, "x").expect("written");
    let link = folder.path().join("link.log");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    let (direct, linked) = (Input::file(&path).expect("exists"), Input::file(&link).expect("exists"));
    assert_eq!(direct.name, linked.name);
}

#[test]
fn damaged_data_are_told_from_a_failing_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&b"hello hello hello\n".repeat(1_000)).expect("compressed");
    let mut packed = encoder.finish().expect("compressed");
    // The last eight bytes are the checksum and the length.
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    std::fs::write(&path, &packed).expect("written");
    let stop = AtomicBool::new(false);
    for method in methods() {
        let mut files = FileReaders::new(method);
        let mut stream = Input::file(&path).expect("exists").open(&mut files, Arc::default(), &stop).expect("opens");
        let error = stream.fill(&mut Vec::new(), 1 << 20, 0).expect_err("a wrong checksum");
        assert!(matches!(error, InputError::Damaged { compression: Compression::Gzip, .. }), "{error}");
    }
}

#[test]
fn compressed_content_larger_than_all_blocks() {
    let plain = noise(5 << 20);
    let zstd = zstd::encode_all(plain.as_slice(), 1).expect("compressed");
    assert!(zstd.len() >= plain.len(), "noise does not compress, so that the reader has many blocks to read");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).expect("compressed");
    let gzip = encoder.finish().expect("compressed");
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(&plain).expect("compressed");
    let lz4 = encoder.finish().expect("compressed");
    for (packed, compression) in [(zstd, Compression::Zstd), (gzip, Compression::Gzip), (lz4, Compression::Lz4)] {
        assert!(content(&packed) == (plain.clone(), compression), "{compression}");
    }
}

#[test]
fn a_window_that_takes_too_much_memory_is_refused() {
    for (window_log, is_read) in [(ZSTD_WINDOW_LOG_MAX, true), (ZSTD_WINDOW_LOG_MAX + 1, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(window_log).expect("a window");
        encoder.write_all(b"{}\n").expect("compressed");
        // Of a frame that ends with its first block the window is as large as that.
        encoder.flush().expect("compressed");
        encoder.write_all(b"{}\n").expect("compressed");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("long.zst");
        std::fs::write(&path, encoder.finish().expect("compressed")).expect("written");
        let stop = AtomicBool::new(false);
        let mut files = FileReaders::new(methods()[0]);
        let mut stream = Input::file(&path).expect("exists").open(&mut files, Arc::default(), &stop).expect("opens");
        let mut content = Vec::new();
        match stream.fill(&mut content, 1 << 20, 0) {
            Ok(_) => assert!(is_read && content == b"{}\n{}\n", "2^{window_log}"),
            Err(error) => {
                assert!(!is_read && error.to_string().contains("zstd -dc --long=31"), "2^{window_log}: {error}");
            }
        }
    }
}
