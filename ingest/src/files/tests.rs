//! The feed of followed files over a real folder and a real journal, case by case. The simulation (`tools/torture`) drives
//! the same code over twins that fail.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use longshore_core::config::{Format, Framing};
use longshore_core::dead_letter::Reason;
use longshore_core::limits::FOLLOW_HANDLES_MAX;

use super::*;
use crate::follow::FollowOptions;
use crate::journal::{self, LockedDirectory, Machine};

mod compressed;
mod nuls;

/// What a test waits for happens well before this, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any slice waits.
const LONG: Duration = Duration::from_secs(3_600);
/// Longest record of a test.
const RECORD_BYTES: usize = 64;

type RealFeed = FileFeed<LockedDirectory, SystemFiles>;

/// A folder whose `logs/*` are followed.
struct Case {
    folder: tempfile::TempDir,
    framing: Framing,
    feed: Option<RealFeed>,
    /// The feed's clock: a test moves it, so that slices are due when it says.
    now: Duration,
}

impl Case {
    fn new(framing: Framing) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("logs")).expect("made");
        let mut case = Case { folder, framing, feed: None, now: Duration::ZERO };
        case.start();
        case
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.log(name)).expect("opened");
        file.write_all(bytes.as_ref()).expect("written");
    }

    /// A new run on what the last one left, which is gone as if it had been killed.
    fn start(&mut self) {
        self.feed = None;
        let journal = self.folder.path().join("journal");
        let options = journal::Options::new(Machine::named("test"));
        let (journal, recovered) = Journal::open(&journal, options).expect("a journal");
        let patterns = vec![self.folder.path().join("logs/*").into()];
        let follow = FollowOptions { patterns, events: false, handles_max: FOLLOW_HANDLES_MAX, let_go: Duration::ZERO };
        let files = SystemFiles::follow(&follow, known_sources(&recovered).expect("sources")).expect("patterns");
        let framing = self.framing;
        let cut_options: CutOptionsOf = Box::new(move |_| {
            Ok(CutOptions {
                stream: 1,
                framing,
                format: Format::Json,
                slice_bytes: 4_096,
                records_max: 10_000,
                record_bytes_max: RECORD_BYTES,
            })
        });
        let options = FileFeedOptions {
            slice_age: Duration::from_secs(1),
            cut_options,
            look_up: Box::new(NothingThere::default()),
        };
        let mut feed = FileFeed::new(journal, &recovered, files, options).expect("a feed");
        feed.set_config("config").expect("kept");
        self.feed = Some(feed);
    }

    fn feed(&mut self) -> &mut RealFeed {
        self.feed.as_mut().expect("it runs")
    }

    /// Steps the feed, an hour each, until it has given so many slices away.
    fn take(&mut self, slices: usize) -> Vec<PlannedSlice> {
        let mut planned = Vec::new();
        self.until(&format!("{slices} slices are given away"), &mut planned, |_, planned| planned.len() >= slices);
        assert_eq!(planned.len(), slices, "{planned:?}");
        planned
    }

    fn until(
        &mut self,
        what: &str,
        planned: &mut Vec<PlannedSlice>,
        holds: impl Fn(&RealFeed, &[PlannedSlice]) -> bool,
    ) {
        let end = Instant::now() + PATIENCE;
        while !holds(self.feed(), planned) {
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}; {planned:?}");
            self.step(planned);
        }
    }

    fn step(&mut self, planned: &mut Vec<PlannedSlice>) {
        self.now += LONG;
        let now = self.now;
        let room = Room { slices: 64, bytes: 1 << 20 };
        self.feed().step(now, Duration::from_millis(20), room, planned).expect("it goes on");
    }

    /// Nothing is given away, though files were looked at a few times.
    fn rests(&mut self) {
        let mut planned = Vec::new();
        let end = Instant::now() + Duration::from_millis(2_500);
        while Instant::now() < end {
            self.step(&mut planned);
        }
        assert!(planned.is_empty(), "{planned:?}");
    }

    fn done(&mut self, planned: &[PlannedSlice]) {
        planned.iter().for_each(|slice| self.feed().done(slice.ticket).expect("journaled"));
    }

    /// The one source whose name ends so.
    fn status(&mut self, name: &str) -> SourceStatus {
        let now = self.now;
        let all = self.feed().status(now);
        all.iter().find(|source| source.name.ends_with(name)).unwrap_or_else(|| panic!("{name} of {all:?}")).clone()
    }
}

/// What the slices hold, as text.
fn text(planned: &[PlannedSlice]) -> String {
    planned.iter().map(|planned| String::from_utf8(planned.slice.bytes.clone()).expect("text")).collect()
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// `count` lines that differ from each other and hardly compress.
fn lines(count: u64) -> String {
    (0..count).map(|n| format!("{:016x}{:016x}\n", n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

#[test]
fn a_record_that_is_too_long_is_a_slice_of_its_own_once_its_end_is_there() {
    let mut case = Case::new(Framing::Lines);
    let long = "x".repeat(3 * RECORD_BYTES);
    case.append("a.log", format!("one\n{long}"));
    let planned = case.take(1);
    assert_eq!((text(&planned), planned[0].meta.end), ("one\n".to_owned(), 4));
    // Its end is looked for, and is not there.
    case.rests();
    assert_eq!(case.status("a.log").lag_bytes, 4 + 192, "one slice is not done, and the record waits");
    case.done(&planned);
    case.append("a.log", format!("{long}\ntwo\n"));
    let planned = case.take(2);
    let tail = planned[0].slice.tail.as_ref().expect("a long record");
    assert_eq!((tail.reason, tail.length, tail.consumed), (Reason::TooLong, 384, 385));
    assert!(planned[0].slice.bytes.is_empty());
    assert_eq!((planned[0].meta.start, planned[0].meta.end), (4, 389));
    assert_eq!((text(&planned[1..]), planned[1].meta.start), ("two\n".to_owned(), 389));
    case.done(&planned);
    assert_eq!(case.status("a.log").lag_bytes, 0);
}

#[test]
fn slices_that_were_not_done_are_given_away_again_with_the_same_ids_and_before_anything_new() {
    let mut case = Case::new(Framing::Lines);
    case.append("a.log", "one\n");
    let first = case.take(1);
    case.append("a.log", "two\n");
    let second = case.take(1);
    case.done(&second);
    case.start();
    assert_eq!(case.feed().in_doubt(), [first[0].meta.id], "only what is not done");
    case.append("a.log", "three\n");
    let planned = case.take(2);
    assert_eq!(planned[0].meta, first[0].meta);
    assert!(planned[0].in_doubt && !planned[1].in_doubt);
    assert_eq!(text(&planned), "one\nthree\n");
}

#[test]
fn a_slice_that_comes_back_is_read_again_once_it_is_due_and_its_file_goes_on_meanwhile() {
    let mut case = Case::new(Framing::Lines);
    case.append("a.log", "one\n");
    let first = case.take(1);
    let due = case.now + 1_000_000 * LONG;
    case.feed().again(first[0].ticket, due).expect("taken back");
    case.append("a.log", "two\n");
    let second = case.take(1);
    assert_eq!(text(&second), "two\n");
    case.done(&second);
    let status = case.status("a.log");
    assert_eq!((status.in_doubt, status.lag_bytes, status.stopped), (1, 4, None));
    case.now = due - 2 * LONG;
    let mut early = Vec::new();
    case.step(&mut early);
    assert_eq!(text(&early), "");
    let again = case.take(1);
    assert_eq!((&again[0].meta, text(&again), case.now), (&first[0].meta, "one\n".to_owned(), due));
    assert!(again[0].in_doubt && again[0].ticket != first[0].ticket);
    // The ticket that it had says nothing any more.
    case.done(&first);
    assert_eq!(case.status("a.log").in_doubt, 1);
    case.done(&again);
    assert_eq!(case.status("a.log").in_doubt, 0);
    case.start();
    assert_eq!(case.feed().in_doubt(), []);
}

#[test]
fn slices_come_back_as_often_as_they_must_and_are_in_doubt_after_a_restart() {
    let mut case = Case::new(Framing::Lines);
    let all = lines(500);
    case.append("a.log", &all);
    let mut planned = case.take(5);
    let metas: Vec<_> = planned.iter().map(|slice| slice.meta.clone()).collect();
    for _ in 0..3 {
        let now = case.now;
        planned.iter().for_each(|slice| case.feed().again(slice.ticket, now).expect("taken back"));
        planned = case.take(5);
        planned.sort_by_key(|slice| slice.meta.start);
        assert_eq!(planned.iter().map(|slice| slice.meta.clone()).collect::<Vec<_>>(), metas);
        assert_eq!(text(&planned), all);
    }
    case.feed().again(planned[2].ticket, Duration::MAX).expect("taken back");
    case.done(&[planned.remove(4), planned.remove(1)]);
    case.start();
    assert_eq!(case.feed().in_doubt(), [metas[0].id, metas[2].id, metas[3].id]);
}

#[test]
fn a_slice_that_comes_back_to_a_file_that_was_emptied_stops_it_and_says_so() {
    let mut case = Case::new(Framing::Lines);
    case.append("a.log", lines(50));
    case.append("b.log", "good\n");
    let mut planned = case.take(2);
    planned.sort_by_key(|slice| slice.meta.end);
    case.done(&planned[..1]);
    fs::write(case.log("a.log"), "other\n").expect("written");
    let other = case.take(1);
    assert_eq!(text(&other), "other\n");
    let now = case.now;
    case.feed().again(planned[1].ticket, now).expect("taken back");
    let all = case.feed().status(now);
    let why = all.iter().find_map(|source| source.stopped.as_ref()).expect("it stopped");
    assert!(why.ends_with("1 slice, journaled and not acknowledged, cannot be read again"), "{why}");
    case.append("b.log", "more\n");
    assert_eq!(text(&case.take(1)), "more\n");
}

/// The bytes of a slice in doubt are another's now. Sending them under its token would be dropped in silence, and sending
/// them under another would store twice what was stored.
#[test]
fn a_file_that_was_changed_under_a_slice_in_doubt_stops_and_the_others_go_on() {
    let mut case = Case::new(Framing::Lines);
    let head = lines(300);
    case.append("changed.log", &head);
    case.append("good.log", "good\n");
    case.take(4);
    case.start();
    // Between the head and the tail that it is known by, and as long as it was.
    let mut bytes = head.into_bytes();
    bytes[2_000] = b'#';
    fs::write(case.log("changed.log"), bytes).expect("written");
    let planned = case.take(1);
    assert_eq!(text(&planned), "good\n");
    let mut more = Vec::new();
    case.until("it stops", &mut more, |feed, _| feed.status(LONG).iter().any(|source| source.stopped.is_some()));
    let why = case.status("changed.log").stopped.expect("it stopped");
    assert!(why.starts_with("its bytes 0 to 4092 were journaled as slice "), "{why}");
    assert!(why.contains("were changed since (other bytes are there); put the file back as it was"), "{why}");
    case.append("good.log", "more\n");
    assert_eq!(text(&case.take(1)), "more\n");
}

#[test]
fn a_rotated_file_that_is_compressed_is_not_read_again_and_a_new_one_is_read_whole() {
    let mut case = Case::new(Framing::Lines);
    let old = lines(60);
    case.append("app.log", &old);
    let planned = case.take(1);
    case.done(&planned);
    fs::write(case.log("app.log.1.gz"), zip(old.as_bytes())).expect("written");
    fs::remove_file(case.log("app.log")).expect("removed");
    case.rests();
    case.start();
    case.rests();
    let other: String = lines(80).lines().skip(60).map(|line| format!("{line}\n")).collect();
    fs::write(case.log("other.log.gz"), zip(other.as_bytes())).expect("written");
    let planned = case.take(1);
    assert_eq!(text(&planned), other);
}

/// A copy over a slow line, say: it stands still for longer than the follower waits.
#[test]
fn a_compressed_file_that_is_half_there_goes_on_when_the_rest_comes() {
    let mut case = Case::new(Framing::Lines);
    // Less than a slice, so that where it is cut is known.
    let content = lines(100);
    let zipped = zip(content.as_bytes());
    fs::write(case.log("a.log.gz"), &zipped[..zipped.len() * 2 / 3]).expect("written");
    let mut planned = Vec::new();
    case.until("it stops", &mut planned, |feed, _| feed.status(LONG).iter().any(|source| source.stopped.is_some()));
    let why = case.status("a.log.gz").stopped.expect("it stopped");
    assert!(why.contains("unless it is still being written"), "{why}");
    let some = text(&planned);
    assert!(!some.is_empty() && content.starts_with(&some) && some.len() < content.len(), "{some}");
    let mut file = OpenOptions::new().append(true).open(case.log("a.log.gz")).expect("opened");
    file.write_all(&zipped[zipped.len() * 2 / 3..]).expect("written");
    case.until("all is there", &mut planned, |_, planned| text(planned).len() >= content.len());
    assert_eq!(text(&planned), content);
    assert_eq!(case.status("a.log.gz").stopped, None);
}

#[test]
fn frames_are_cut_whole_and_a_length_that_cannot_be_right_stops_the_file() {
    let mut case = Case::new(Framing::Frames);
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let half = frame(b"second");
    case.append("a.bin", [frame(b"first"), half[..7].to_vec()].concat());
    let planned = case.take(1);
    assert_eq!((planned[0].slice.bytes.clone(), planned[0].meta.end), (frame(b"first"), 9));
    case.rests();
    case.append("a.bin", &half[7..]);
    let planned = case.take(1);
    assert_eq!((planned[0].slice.bytes.clone(), planned[0].meta.start), (half, 9));
    // Longer than a record may be: its length says where the next one begins.
    let long = frame(&[b'x'; 2 * RECORD_BYTES]);
    case.append("a.bin", [long, frame(b"third")].concat());
    let planned = case.take(2);
    let tail = planned[0].slice.tail.as_ref().expect("a long record");
    assert_eq!((tail.reason, tail.length, tail.consumed), (Reason::TooLong, 128, 132));
    assert_eq!(planned[1].slice.bytes, frame(b"third"));
}

#[test]
fn a_file_that_is_replaced_by_a_folder_has_ended_and_the_others_go_on() {
    let mut case = Case::new(Framing::Lines);
    case.append("a.log", "one\n");
    case.append("b.log", "two\n");
    let planned = case.take(2);
    case.done(&planned);
    fs::remove_file(case.log("a.log")).expect("removed");
    fs::create_dir(case.log("a.log")).expect("made");
    case.append("b.log", "three\n");
    assert_eq!(text(&case.take(1)), "three\n");
    case.rests();
    // And back.
    fs::remove_dir(case.log("a.log")).expect("removed");
    case.append("a.log", "four\n");
    assert_eq!(text(&case.take(1)), "four\n");
}

/// The time of day says nothing to a feed: a slice is due by the time since some moment, which never goes back, and files
/// whose times lie in the future or long ago are read as any other.
#[test]
fn files_from_another_time_are_followed_as_any_other() {
    let mut case = Case::new(Framing::Lines);
    let touch = |path: &Path, seconds: u64| {
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        OpenOptions::new().append(true).open(path).expect("opened").set_modified(time).expect("set");
    };
    // In 2100, and in 1970.
    for (name, seconds) in [("future.log", 4_102_444_800), ("past.log", 1)] {
        case.append(name, "one\n");
        touch(&case.log(name), seconds);
    }
    let planned = case.take(2);
    case.done(&planned);
    for (name, seconds) in [("future.log", 4_102_444_800), ("past.log", 1)] {
        case.append(name, "two\n");
        touch(&case.log(name), seconds);
    }
    let planned = case.take(2);
    assert_eq!(text(&planned), "two\ntwo\n");
}
