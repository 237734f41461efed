//! Inputs over real files.

use std::io::Write;

use super::*;

fn content(bytes: &[u8]) -> (Vec<u8>, Compression) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).expect("written");
    let counter = Arc::new(AtomicU64::new(0));
    let mut stream = Input::file(&path).expect("exists").open(counter.clone()).expect("opens");
    let mut buffer = Vec::new();
    while stream.fill(&mut buffer, 1 << 20, 0).expect("reads") {
        assert!(buffer.len() < 1 << 20, "the tests' inputs are small");
    }
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
    assert_eq!(direct.source_id, linked.source_id);
    assert_ne!(Input::stdin(1).source_id, Input::stdin(2).source_id);
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
    let mut stream = Input::file(&path).expect("exists").open(Arc::default()).expect("opens");
    let mut buffer = Vec::new();
    let error = loop {
        match stream.fill(&mut buffer, 1 << 20, 0) {
            Ok(true) => {}
            Ok(false) => panic!("{} bytes and no error", buffer.len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, InputError::Damaged { compression: Compression::Gzip, .. }), "{error}");
}
