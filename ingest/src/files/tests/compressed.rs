//! Compressed files, large ones and wicked ones among them: each step does some of them, and the others go on.

use std::fs::File;
use std::sync::Arc;

use longshore_core::limits::{
    FOLLOW_DECOMPRESSED_MAX, FOLLOW_DECOMPRESSED_SHARE_BYTES, FOLLOW_LONG_BYTES, FOLLOW_PASS_BYTES,
    FOLLOW_SILENT_BYTES_MAX,
};

use super::super::decompress::{Decompressors, Pace, Wish};
use super::*;
use crate::follow::Inode;

/// Many members, each of a MiB of one letter: 1 KiB as stored, and one record without an end.
fn bomb(mebibytes: usize) -> Vec<u8> {
    zip(&vec![b'x'; 1 << 20]).repeat(mebibytes)
}

fn open(bytes: &[u8]) -> (tempfile::TempDir, Arc<File>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gz");
    fs::write(&path, bytes).expect("written");
    (folder, Arc::new(File::open(path).expect("opened")))
}

fn wish(number: u64, file: &Arc<File>, at: u64, bytes: usize) -> Wish {
    let inode = Inode { device: 1, number, born_ns: 0 };
    Wish { id: SourceId(number), pace: Pace::Ahead, file: file.clone(), inode, at, bytes }
}

/// Each slice ends before the bytes that were looked at do. What was behind its end had to be decompressed from the first byte
/// of the file on again, for each slice.
#[test]
fn what_is_behind_a_slice_is_not_decompressed_again() {
    let content = lines(100_000);
    let (_folder, file) = open(&zip(content.as_bytes()));
    let mut open = Decompressors::default();
    let (mut at, mut came) = (0, Vec::new());
    // No byte may be passed over: none has to be.
    while at < content.len() as u64 {
        let mut bytes = Vec::new();
        open.read(wish(1, &file, at, 70_000), &mut bytes).expect("it is there");
        bytes.truncate(bytes.len().min(65_537));
        at += bytes.len() as u64;
        came.extend(bytes);
        let stored = open.confirmed(SourceId(1), Pace::Ahead, at).expect("it is open");
        assert_eq!(stored == file.metadata().expect("there").len(), at == content.len() as u64);
    }
    assert!(came == content.as_bytes());
    // Its end can be asked for, and then it is closed.
    assert_eq!(open.read(wish(1, &file, at, 10), &mut came).expect("the end"), ReadEnd::Ended);
}

#[test]
fn a_place_far_behind_the_beginning_is_reached_in_several_steps() {
    let mebibytes = 3 * (FOLLOW_PASS_BYTES >> 20) as usize;
    let (_folder, file) = open(&[bomb(mebibytes), zip(b"the end")].concat());
    let mut open = Decompressors::default();
    let (mut steps, mut bytes) = (0, Vec::new());
    loop {
        open.begin_step();
        match open.read(wish(1, &file, (mebibytes as u64) << 20, 100), &mut bytes) {
            Ok(_) => break,
            Err(ReadError::NotYet) => steps += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((steps, &bytes[..]), (2, &b"the end"[..]));
}

/// As many bombs as may be open at once, and a file that waits for them.
#[test]
fn one_that_had_its_share_makes_room_for_one_that_waits() {
    let (_folder, bomb) = open(&bomb(1 + (FOLLOW_DECOMPRESSED_SHARE_BYTES >> 20) as usize));
    let (_other, file) = open(&zip(b"a record\n"));
    let mut open = Decompressors::default();
    let mut bytes = Vec::new();
    let mut at = 0;
    for _ in 0..=FOLLOW_DECOMPRESSED_SHARE_BYTES >> 20 {
        for number in 0..FOLLOW_DECOMPRESSED_MAX as u64 {
            bytes.clear();
            open.read(wish(number, &bomb, at, 1 << 20), &mut bytes).expect("it goes on");
        }
        at += 1 << 20;
        bytes.clear();
        match open.read(wish(99, &file, 0, 100), &mut bytes) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, ReadError::NotYet), "{error}"),
        }
    }
    assert_eq!((at, &bytes[..]), (FOLLOW_DECOMPRESSED_SHARE_BYTES, &b"a record\n"[..]));
}

#[test]
fn a_bomb_holds_up_nobody_and_becomes_one_dead_letter() {
    let mut case = Case::new(Framing::Lines);
    let steps_min = 6;
    let mebibytes = steps_min * (FOLLOW_LONG_BYTES >> 20) as usize;
    fs::write(case.log("a-bomb.log.gz"), bomb(mebibytes)).expect("written");
    let mut planned = Vec::new();
    case.until("it is found", &mut planned, |feed, _| !feed.status(Duration::ZERO).is_empty());
    // Each step, in which others have their turn, looks for the record's end in a part of it.
    for _ in 0..steps_min - 2 {
        assert!(planned.is_empty(), "{planned:?}");
        case.step(&mut planned);
    }
    let bomb = case.take(1).remove(0);
    let tail = bomb.slice.tail.as_ref().expect("a tail");
    assert_eq!((tail.reason, tail.length), (Reason::TooLong, (mebibytes as u64) << 20));
    // A slice that comes back is looked through in steps, too, and is the same.
    let id = bomb.meta.id;
    let now = case.now;
    case.feed().again(bomb.ticket, now).expect("taken back");
    let again = case.take(1).remove(0);
    assert_eq!(again.meta.id, id);
    case.start();
    let again = case.take(1);
    assert_eq!(again[0].meta.id, id);
    case.done(&again);
}

#[test]
fn a_long_stretch_without_content_is_damage() {
    let nothing = zip(b"");
    let silent = nothing.repeat((FOLLOW_SILENT_BYTES_MAX as usize + (2 << 20)) / nothing.len());
    let (_folder, file) = open(&[zip(b"first"), silent.clone(), zip(b"second")].concat());
    let mut bytes = Vec::new();
    let mut open = Decompressors::default();
    assert_eq!(open.read(wish(1, &file, 0, 1 << 20), &mut bytes).expect("some"), ReadEnd::Open);
    assert_eq!(bytes, b"first");
    let error = open.read(wish(1, &file, 5, 1 << 20), &mut bytes).expect_err("damage").to_string();
    assert!(error.contains("past byte 5 of its content") && error.contains("holds no content"), "{error}");

    let mut case = Case::new(Framing::Lines);
    fs::write(case.log("silent.log.gz"), [silent, zip(b"second\n")].concat()).expect("written");
    let mut planned = Vec::new();
    case.until("it is refused", &mut planned, |feed, _| !feed.troubles(Duration::ZERO).is_empty());
    let now = case.now;
    assert!(case.feed().troubles(now)[0].why.contains("holds no content"), "{:?}", case.feed().troubles(now));
}

#[test]
fn what_is_in_the_way_and_what_was_lost_is_told() {
    let mut case = Case::new(Framing::Lines);
    let mut planned = Vec::new();
    case.until("it was looked", &mut planned, |feed, _| !feed.troubles(Duration::ZERO).is_empty());
    let now = case.now;
    let troubles = case.feed().troubles(now);
    assert_eq!((troubles.len(), troubles[0].kind), (1, crate::feed::TroubleKind::NoFiles));
    let kind = |lasting| move |feed: &RealFeed, now| feed.troubles(now).first().is_some_and(|of| of.lasting == lasting);
    // A step of a test is an hour, so that it lasts at once.
    case.step(&mut planned);
    let now = case.now;
    assert!(kind(true)(case.feed(), now));
    case.append("a.log", "a record that is not whole");
    case.until("it is found", &mut planned, |feed, _| !feed.status(Duration::ZERO).is_empty());
    assert!(case.feed().troubles(now).is_empty() && case.feed().take_notices().is_empty());
    File::create(case.log("a.log")).expect("truncated");
    let mut losses = Vec::new();
    let end = Instant::now() + PATIENCE;
    while losses.is_empty() && Instant::now() < end {
        case.step(&mut planned);
        losses = case.feed().take_notices();
    }
    assert_eq!((losses.len(), losses[0].bytes), (1, 26), "{losses:?}");
    assert!(losses[0].why.contains("a.log was truncated") && losses[0].why.contains("26 bytes"), "{losses:?}");
    assert!(case.feed().take_notices().is_empty());
}
