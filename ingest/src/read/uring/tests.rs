//! A real ring: its memory outlives its reads, whatever ends a file early.

use super::super::tests::noise;
use super::*;

/// A ring, or `None` with the reason printed where the system refuses one.
fn ring() -> Option<Ring> {
    probe().and_then(|()| Ring::new()).inspect_err(|error| println!("skipped: io_uring is refused: {error}")).ok()
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    io::Write::write_all(&mut file, content).expect("written");
    file
}

fn reading(ring: &Ring) -> usize {
    ring.slots.iter().filter(|slot| **slot == Slot::Reading).count()
}

#[test]
fn a_file_left_early_does_not_disturb_the_next() {
    let Some(mut ring) = ring() else { return };
    let content = noise(4 * READ_BLOCKS_AHEAD * READ_BLOCK_BYTES);
    for round in 0..20 {
        // Each file begins elsewhere in the noise, so that bytes of another would be noticed.
        let content = &content[round * 1_000..];
        let file = file(content);
        let mut blocks = ring.read(&file).expect("reads").expect("at rest");
        for slot in 0..READ_BLOCKS_AHEAD {
            blocks.start(slot, (slot * READ_BLOCK_BYTES) as u64).expect("starts");
        }
        // The last one first; the others stay under way, some rounds all of them.
        if round % 3 > 0 {
            let slot = READ_BLOCKS_AHEAD - 1;
            assert_eq!(blocks.wait(slot).expect("reads"), READ_BLOCK_BYTES);
            assert!(blocks.bytes(slot) == &content[slot * READ_BLOCK_BYTES..][..READ_BLOCK_BYTES]);
        }
        drop(blocks);
        assert_eq!(reading(&ring), 0, "a file is left only once its reads are done");
    }
}

#[test]
fn a_panic_and_a_forgotten_file_leave_nothing_under_way() {
    let Some(mut ring) = ring() else { return };
    let file = file(&noise(READ_BLOCKS_AHEAD * READ_BLOCK_BYTES));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut blocks = ring.read(&file).expect("reads").expect("at rest");
        (0..READ_BLOCKS_AHEAD).for_each(|slot| blocks.start(slot, 0).expect("starts"));
        panic!("on purpose");
    }));
    assert!(outcome.is_err());
    assert_eq!(reading(&ring), 0);

    let mut blocks = ring.read(&file).expect("reads").expect("at rest");
    (0..READ_BLOCKS_AHEAD).for_each(|slot| blocks.start(slot, 0).expect("starts"));
    std::mem::forget(blocks);
    assert_eq!(reading(&ring), READ_BLOCKS_AHEAD);
    drop(ring.read(&file).expect("reads").expect("at rest"));
    assert_eq!(reading(&ring), 0);
}

#[test]
fn a_slot_that_is_being_read_into_is_not_shown_and_not_reused() {
    let Some(mut ring) = ring() else { return };
    let file = file(b"content");
    let mut blocks = ring.read(&file).expect("reads").expect("at rest");
    assert_eq!(blocks.bytes(0), b"", "nothing was read");
    blocks.start(0, 0).expect("starts");
    assert_eq!(blocks.bytes(0), b"", "its completion was not seen");
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| blocks.start(0, 0)));
    assert!(again.is_err(), "a slot is the kernel's until its completion was seen");
    assert_eq!(blocks.wait(0).expect("reads"), 7);
    assert_eq!(blocks.bytes(0), b"content");
}

#[test]
fn a_failed_read_is_an_error_with_the_systems_reason() {
    let Some(mut ring) = ring() else { return };
    // A folder can be opened, and not read.
    let folder = tempfile::tempdir().expect("a folder");
    let folder = File::open(folder.path()).expect("opens");
    let mut blocks = ring.read(&folder).expect("reads").expect("at rest");
    blocks.start(3, 0).expect("starts");
    let error = blocks.wait(3).expect_err("a folder");
    assert_eq!(error.raw_os_error(), Some(libc::EISDIR), "{error}");
    assert_eq!(blocks.bytes(3), b"");
}

#[test]
fn a_file_that_is_not_in_the_page_cache_is_read_past_it() {
    let Some(mut ring) = ring() else { return };
    // Its last sector is not full.
    let content = noise(longshore_core::limits::READ_DIRECT_BYTES_MIN as usize + 12_345);
    let file = file(&content);
    if let Err(error) = super::super::direct::cached_bytes(&file, 0) {
        println!("skipped: the system does not tell what is in the page cache: {error}");
        return;
    }
    assert!(past_the_cache(&file).is_none(), "it was just written, so it is in the page cache");
    file.sync_all().expect("synced");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("a hint");
    if past_the_cache(&file).is_none() {
        println!("skipped: the file system of the temporary folder keeps it in memory, or has no O_DIRECT");
        return;
    }
    let blocks = ring.read(&file).expect("reads").expect("at rest");
    let mut ahead = super::super::ahead::Ahead::new(Box::new(blocks), content.len() as u64);
    let mut all = Vec::new();
    while ahead.ready() {
        all.extend_from_slice(ahead.bytes());
        let count = ahead.bytes().len();
        ahead.consume(count);
    }
    drop(ahead);
    assert!(all == content, "{} of {} bytes", all.len(), content.len());
    let cached = super::super::direct::cached_bytes(&file, 0).expect("tells");
    assert!(cached < content.len() as u64 / 8, "{cached} bytes are in the page cache");
}
