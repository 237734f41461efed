//! The follower over real files, case by case: on the disk, and in memory where there is such a folder.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::schedule::Schedule;
use super::*;

mod alike;
mod aside;
mod links;
mod model;
mod rewritten;

/// A folder, and a follower of `*.log*` in it.
struct Case {
    folder: tempfile::TempDir,
    follower: Follower,
}

impl Case {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// Reads all that `id` has; `size` is what was told.
    fn read(&mut self, id: SourceId, from: u64, size: u64) -> String {
        let file = self.follower.open(id).expect("open");
        let mut bytes = vec![0; (size - from) as usize];
        file.read_exact_at(&mut bytes, from).expect("read");
        assert!(self.follower.confirm(id, &file, Position::plain(size), &bytes));
        String::from_utf8(bytes).expect("text")
    }

    fn found(&mut self) -> SourceId {
        match &self.follower.scan()[..] {
            [Change::Found { id, .. }] => *id,
            other => panic!("{other:?}"),
        }
    }

    fn restart(&mut self) {
        let known = self.follower.known();
        self.follower = follow(self.folder.path(), known);
    }
}

fn follow(folder: &Path, known: Vec<KnownSource>) -> Follower {
    let options =
        FollowOptions { patterns: vec![folder.join("*.log*").into()], events: false, handles_max: 8, let_go: LONG };
    Follower::new(&options, known).expect("patterns")
}

/// On both file systems.
fn each(test: impl Fn(&mut Case)) {
    let mut folders = vec![tempfile::tempdir().expect("a folder")];
    if Path::new("/dev/shm").is_dir() {
        folders.push(tempfile::tempdir_in("/dev/shm").expect("a folder"));
    }
    for folder in folders {
        let mut follower = follow(folder.path(), vec![]);
        follower.scan();
        test(&mut Case { folder, follower });
    }
}

/// What a few scans say, in brief: the kind of change, the source's file and a number.
fn told(case: &mut Case) -> Vec<String> {
    let name = |path: &Path| path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let mut told = Vec::new();
    for _ in 0..4 {
        told.extend(case.follower.scan().iter().map(|change| match change {
            Change::Found { path, size, position, .. } => format!("found {} {}..{size}", name(path), position.content),
            Change::Grew { size, .. } => format!("grew {size}"),
            Change::Rotated { path, size, position, .. } => {
                format!("rotated {} {}..{size}", name(path), position.stored)
            }
            Change::Truncated { path, lost_bytes_min, .. } => format!("truncated {} {lost_bytes_min}", name(path)),
            Change::Rewritten { path, lost_bytes_min, .. } => format!("rewritten {} {lost_bytes_min}", name(path)),
            Change::Vanished { path, lost_bytes_min, .. } => format!("vanished {} {lost_bytes_min}", name(path)),
            Change::Back { path, size, position, .. } => format!("back {} {}..{size}", name(path), position.content),
            Change::LetGo { .. } => "let go".to_owned(),
            Change::Forgotten { .. } => "forgotten".to_owned(),
            Change::Held { path, .. } => format!("held {}", name(path)),
            Change::OtherName { path, name: other } => format!("{} is {}", name(path), name(other)),
            Change::Refused { path, why } => format!("refused {}: {why}", name(path)),
            Change::ScanOnly { why } => format!("scans only: {why}"),
        }));
    }
    told
}

/// No writer lets go within a test, unless it says so.
const LONG: Duration = Duration::from_secs(3_600);
const FIRST: &str = "the first record of all\n";

#[test]
fn a_file_that_grows_is_one_source_and_a_restart_reads_nothing_again() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        case.append("a.log", "second\n");
        assert_eq!(told(case), ["grew 31"]);
        assert_eq!(case.read(id, 24, 31), "second\n");
        case.restart();
        assert_eq!(told(case), ["found a.log 31..31"]);
        assert!(case.follower.identity(id).is_some());
    });
}

#[test]
fn a_rename_keeps_the_source_and_the_old_name_is_a_new_one() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        fs::rename(case.path("a.log"), case.path("a.log.1")).expect("renamed");
        case.append("a.log", "another file begins\n");
        case.append("a.log.1", "late\n");
        let mut said = told(case);
        said.sort();
        assert_eq!(said, ["found a.log 0..20", "rotated a.log.1 0..29"]);
        assert_eq!(case.read(id, 0, 29), format!("{FIRST}late\n"));
    });
}

#[test]
fn a_copy_is_not_read_again_and_takes_the_source_over_when_it_is_truncated() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        case.append("a.log", "unread\n");
        fs::copy(case.path("a.log"), case.path("a.log.1")).expect("copied");
        assert_eq!(told(case), ["grew 31", "held a.log.1"]);
        File::create(case.path("a.log")).expect("truncated");
        assert_eq!(told(case), ["rotated a.log.1 24..31"]);
        assert_eq!(case.read(id, 24, 31), "unread\n");
        case.append("a.log", "a new beginning of the same file, and a longer one\n");
        assert_eq!(told(case), ["found a.log 0..51"]);
    });
}

/// A killed run may have noted who a truncated file is now, and not yet where its first source went on.
#[test]
fn of_two_sources_noted_with_one_file_the_earlier_goes_on_in_its_copy() {
    each(|case| {
        let first = FIRST.repeat(4);
        case.append("a.log", &first);
        let id = case.found();
        assert_eq!(case.read(id, 0, 96), first);
        case.append("a.log", "unread\n");
        let earlier = case.follower.known();
        fs::copy(case.path("a.log"), case.path("a.log.1")).expect("copied");
        File::create(case.path("a.log")).expect("truncated");
        case.append("a.log", "a new beginning\n");
        assert_eq!(told(case), ["rotated a.log.1 96..103", "found a.log 0..16"]);
        let later = case.follower.known().into_iter().filter(|source| source.identity.id != id);
        case.follower = follow(case.folder.path(), earlier.into_iter().chain(later).collect());
        assert_eq!(told(case), ["found a.log 0..16", "rotated a.log.1 96..103"]);
        assert_eq!(case.read(id, 96, 103), "unread\n");
    });
}

#[test]
fn a_file_that_is_gone_since_an_earlier_run_is_not_looked_for_where_it_was() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        fs::remove_file(case.path("a.log")).expect("removed");
        case.append("b.log", "another one\n");
        case.restart();
        assert_eq!(told(case), ["found b.log 0..12", "vanished a.log 0"]);
        assert!(matches!(case.follower.open(id), Err(OpenError::Moved)));
    });
}

#[test]
fn a_truncation_without_a_copy_says_what_was_lost() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        case.append("a.log", "lost\n");
        assert_eq!(told(case), ["grew 29"]);
        File::create(case.path("a.log")).expect("truncated");
        case.append("a.log", "something new\n");
        assert_eq!(told(case), ["truncated a.log 5", "found a.log 0..14"]);
        assert!(matches!(case.follower.open(id), Err(OpenError::Unknown)));
    });
}

#[test]
fn what_was_truncated_and_written_again_while_it_was_read_is_not_confirmed() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        let file = case.follower.open(id).expect("open");
        fs::write(case.path("a.log"), "other content, and as much").expect("written");
        assert!(!case.follower.confirm(id, &file, Position::plain(24), b""));
    });
}

fn zip(from: &Path, to: &Path) {
    let mut encoder = flate2::write::GzEncoder::new(File::create(to).expect("made"), flate2::Compression::default());
    encoder.write_all(&fs::read(from).expect("read")).expect("compressed");
    encoder.finish().expect("compressed");
    fs::remove_file(from).expect("deleted");
}

#[test]
fn a_compressed_copy_of_what_was_read_is_not_read_again_also_after_a_restart() {
    each(|case| {
        case.append("a.log.1", FIRST);
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        case.restart();
        zip(&case.path("a.log.1"), &case.path("a.log.1.gz"));
        let size = case.path("a.log.1.gz").metadata().expect("there").len();
        let said = told(case);
        assert_eq!(said.last(), Some(&format!("rotated a.log.1.gz {size}..{size}")), "{said:?}");
    });
}

#[test]
fn a_source_goes_on_in_its_compressed_copy() {
    each(|case| {
        case.append("a.log.1", &FIRST.repeat(100));
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        case.restart();
        zip(&case.path("a.log.1"), &case.path("a.log.1.gz"));
        let size = case.path("a.log.1.gz").metadata().expect("there").len();
        assert_eq!(told(case).last(), Some(&format!("rotated a.log.1.gz 0..{size}")));
        let mut content = String::new();
        let file = case.follower.open(id).expect("open");
        flate2::read::MultiGzDecoder::new(&*file).read_to_string(&mut content).expect("decompressed");
        assert_eq!(content, FIRST.repeat(100));
        assert!(case.follower.confirm(id, &file, Position { content: 2_400, stored: size }, content.as_bytes()));
    });
}

/// `gzip -k` of a file that is followed, seen half done for as long as anybody likes. What stands at its end then looks like
/// the length of a longer content.
#[test]
fn a_copy_of_a_live_file_that_is_being_compressed_is_no_source_however_long_it_takes() {
    each(|case| {
        let content: String =
            (0..400).map(|n: u64| format!("{:016x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        case.append("a.log", &content);
        case.found();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content.as_bytes()).expect("compressed");
        let zipped = encoder.finish().expect("compressed");
        let claims = |end: usize| u32::from_le_bytes(zipped[end - 4..end].try_into().expect("four")) as usize;
        let half = (zipped.len() / 2..).find(|&end| claims(end) > content.len()).expect("most do");
        fs::write(case.path("a.log.1.gz"), &zipped[..half]).expect("written");
        let found = |said: &[String]| said.iter().any(|line| line.starts_with("found") || line.starts_with("rotated"));
        for _ in 0..3 {
            let said = told(case);
            assert!(!found(&said), "{said:?}");
        }
        fs::write(case.path("a.log.1.gz"), &zipped).expect("written");
        let said = told(case);
        assert!(!found(&said), "{said:?}");
    });
}

#[test]
fn a_compressed_file_that_is_cut_short_or_damaged_is_refused_and_others_go_on() {
    each(|case| {
        fs::write(case.path("short.log.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).expect("written");
        fs::write(case.path("wrong.log.gz"), [0x1f; 40].map(|_: u8| 0x8b)).expect("written");
        fs::write(case.path("wrong2.log.gz"), [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0xff; 40]].concat())
            .expect("written");
        case.append("a.log", FIRST);
        let said = told(case).join("\n");
        assert!(said.contains("found a.log") && said.contains("found wrong.log.gz 0..40"), "{said}");
        assert_eq!(said.matches("refused").count(), 2, "{said}");
        assert!(said.contains("short.log.gz: it is compressed and damaged"), "{said}");
    });
}

#[test]
fn a_deleted_file_is_read_until_its_writer_lets_go_and_then_closed() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        let mut writer = OpenOptions::new().append(true).open(case.path("a.log")).expect("opened");
        fs::remove_file(case.path("a.log")).expect("deleted");
        assert_eq!(told(case), ["vanished a.log 0"]);
        writer.write_all(b"written after\n").expect("written");
        assert_eq!(told(case), ["grew 38"]);
        assert_eq!(case.read(id, 0, 38), format!("{FIRST}written after\n"));
        assert_eq!(told(case), [""; 0]);
        assert_eq!(case.follower.handles(), 1);
        case.follower.let_go = Duration::ZERO;
        assert_eq!(told(case), ["let go"]);
        assert_eq!(case.follower.handles(), 0);
    });
}

#[test]
fn a_file_that_was_away_comes_back_where_it_was() {
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        fs::rename(case.path("a.log"), case.path("elsewhere")).expect("renamed");
        assert_eq!(told(case), ["vanished a.log 0"]);
        case.append("elsewhere", "more\n");
        fs::rename(case.path("elsewhere"), case.path("b.log")).expect("renamed");
        assert_eq!(told(case), ["back b.log 24..29"]);
    });
}

#[test]
fn links_and_their_target_are_one_source_and_a_link_may_be_switched() {
    each(|case| {
        case.append("one", FIRST);
        case.append("two", "the other target of all\n");
        symlink("one", case.path("current.log")).expect("linked");
        symlink("one", case.path("again.log")).expect("linked");
        fs::hard_link(case.path("one"), case.path("hard.log")).expect("linked");
        let id = case.found();
        fs::remove_file(case.path("again.log")).expect("deleted");
        fs::remove_file(case.path("hard.log")).expect("deleted");
        assert_eq!(told(case), ["rotated current.log 0..24"]);
        fs::remove_file(case.path("current.log")).expect("deleted");
        symlink("two", case.path("current.log")).expect("linked");
        assert_eq!(told(case), ["found current.log 0..24", "vanished current.log 0"]);
        assert_eq!(case.read(id, 0, 24), FIRST);
        fs::remove_file(case.path("current.log")).expect("deleted");
        symlink("one", case.path("current.log")).expect("linked");
        let mut said = told(case);
        said.sort();
        assert_eq!(said, ["back current.log 24..24", "vanished current.log 0"]);
    });
}

#[test]
fn files_with_the_same_header_are_held_only_until_they_differ() {
    each(|case| {
        case.append("a.log", "time,user,event,channel\n");
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), "time,user,event,channel\n");
        case.append("b.log", "time,user,event,channel\n");
        assert_eq!(told(case), ["held b.log"]);
        case.append("b.log", "1,2,3,4\n");
        assert_eq!(told(case), ["found b.log 0..32"]);
    });
}

#[test]
fn folders_and_special_files_are_refused_with_advice_once() {
    each(|case| {
        case.append("a.log", FIRST);
        case.found();
        fs::remove_file(case.path("a.log")).expect("deleted");
        fs::create_dir(case.path("a.log")).expect("a folder");
        let _socket = std::os::unix::net::UnixListener::bind(case.path("s.log")).expect("a socket");
        case.append("b.log", "others go on as before\n");
        let said = told(case).join("\n");
        for part in ["a.log: it is a folder: name the files", "s.log: it is a socket", "found b.log"] {
            assert_eq!(said.matches(part).count(), 1, "{said}");
        }
        fs::remove_dir(case.path("a.log")).expect("deleted");
        case.append("a.log", "a file again, and new\n");
        assert_eq!(told(case), ["found a.log 0..22"]);
    });
}

#[test]
fn a_file_that_may_not_be_read_is_refused_and_tried_again() {
    // Nothing is forbidden to root.
    if rustix::process::geteuid().is_root() {
        return;
    }
    each(|case| {
        case.append("a.log", FIRST);
        fs::set_permissions(case.path("a.log"), Permissions::from_mode(0o000)).expect("set");
        let said = told(case);
        assert!(said.len() == 1 && said[0].contains("let the user that Longshore runs as read"), "{said:?}");
        fs::set_permissions(case.path("a.log"), Permissions::from_mode(0o600)).expect("set");
        assert_eq!(told(case), ["found a.log 0..24"]);
    });
}

#[test]
fn a_refusal_says_what_to_do() {
    let denied = Refusal::of(io::Error::from_raw_os_error(13)).to_string();
    assert!(denied.contains("Permission denied") && denied.contains("enter its folders"), "{denied}");
    let files = Refusal::of(io::Error::from_raw_os_error(24)).to_string();
    assert!(files.contains("waits until others are gone"), "{files}");
}

#[test]
fn a_folder_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let patterns = vec![folder.path().join("later/*/app.log").into()];
    let options = FollowOptions { patterns, events: true, handles_max: 8, let_go: Duration::ZERO };
    let mut follower = Follower::new(&options, []).expect("patterns");
    assert!(matches!(&follower.scan()[..], [Change::Refused { why: Refusal::Nothing, .. }]));
    fs::create_dir_all(folder.path().join("later/x")).expect("a folder");
    assert!(follower.poll().is_empty());
    fs::write(folder.path().join("later/x/app.log"), FIRST).expect("written");
    assert!(matches!(&follower.scan()[..], [Change::Found { .. }]));
}

#[test]
fn events_alone_tell_of_growth_new_files_and_renames() {
    each(|case| {
        let options = FollowOptions {
            patterns: vec![case.path("*.log*").into()],
            events: true,
            handles_max: 8,
            let_go: Duration::ZERO,
        };
        case.follower = Follower::new(&options, []).expect("patterns");
        case.follower.scan();
        assert!(case.follower.poll().is_empty());
        case.append("a.log", FIRST);
        assert!(matches!(&case.follower.poll()[..], [Change::Found { .. }]));
        case.append("a.log", "more\n");
        assert!(matches!(&case.follower.poll()[..], [Change::Grew { size: 29, .. }]));
        fs::rename(case.path("a.log"), case.path("a.log.1")).expect("renamed");
        assert!(matches!(&case.follower.poll()[..], [Change::Rotated { .. }]));
        // Nothing of this source: no scan, nothing told.
        case.append("unrelated", "x");
        assert!(case.follower.poll().is_empty());
        case.append("a.log.1", "late\n");
        assert!(matches!(&case.follower.wait(Duration::from_secs(60))[..], [Change::Grew { size: 34, .. }]));
    });
}

#[test]
fn few_files_stay_open_and_unread_ones_that_were_deleted_do() {
    each(|case| {
        for number in 0..40 {
            case.append(&format!("{number}.log"), &format!("file {number} and its content\n"));
        }
        assert_eq!(case.follower.scan().len(), 40);
        assert_eq!(case.follower.handles(), 8);
        for number in 0..40 {
            fs::remove_file(case.path(&format!("{number}.log"))).expect("deleted");
        }
        let said = told(case);
        assert_eq!((said.len(), said.iter().filter(|said| said.ends_with(" 0")).count()), (40, 8), "{said:?}");
        assert_eq!(case.follower.handles(), 8);
    });
}

/// Beside names of runs of standard input, this is all that the engine asks the time of day for: whether a file changed so
/// lately that its times may stay as they are when it changes again.
#[test]
fn a_clock_that_is_set_back_and_forth_hides_no_change_and_makes_none_up() {
    const DAY: Duration = Duration::from_secs(86_400);
    let clocks: [fn() -> SystemTime; 4] =
        [|| SystemTime::now() - DAY, || SystemTime::now() + DAY, || SystemTime::UNIX_EPOCH, SystemTime::now];
    each(|case| {
        case.append("a.log", FIRST);
        let id = case.found();
        let mut size = FIRST.len() as u64;
        for clock in clocks {
            case.follower.now = clock;
            assert_eq!(told(case), [""; 0]);
            case.append("a.log", "more\n");
            assert_eq!(told(case), [format!("grew {}", size + 5)]);
            assert_eq!(case.read(id, size, size + 5), "more\n");
            size += 5;
        }
        // Other content of the same length.
        fs::write(case.path("a.log"), "x".repeat(size as usize)).expect("written");
        assert_eq!(told(case), ["rewritten a.log 0".to_owned(), format!("found a.log 0..{size}")]);
    });
}

#[test]
fn heads_of_files_that_did_not_change_are_not_read() {
    each(|case| {
        // As if all this were long ago: times of files move on by ticks, so the latest are not relied upon.
        case.follower.now = || SystemTime::now() + Duration::from_secs(3_600);
        for number in 0..40 {
            case.append(&format!("{number}.log"), &format!("file {number} and its content\n"));
        }
        case.follower.scan();
        case.follower.scan();
        let before = case.follower.heads_read();
        assert_eq!(told(case), [""; 0]);
        assert_eq!(case.follower.heads_read(), before);
        case.append("7.log", "more\n");
        assert_eq!(told(case).len(), 1);
        assert_eq!(case.follower.heads_read(), before + 1);
    });
}

#[test]
fn an_identity_survives_its_encoding_and_damage_is_seen() {
    each(|case| {
        case.append("a.log", &FIRST.repeat(60));
        let id = case.found();
        let identity = case.follower.identity(id).expect("known");
        let bytes = identity.encode();
        assert_eq!((bytes.len(), Identity::decode(&bytes)), (Identity::BYTES, Ok(identity)));
        for at in 1..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(Identity::decode(&damaged), Err(IdentityError::Damaged), "byte {at}");
        }
        let mut other = bytes.clone();
        other[0] = 9;
        assert_eq!(Identity::decode(&other), Err(IdentityError::Version(9)));
        assert_eq!(Identity::decode(&bytes[..40]), Err(IdentityError::Damaged));
        assert_eq!(Identity::decode(&[]), Err(IdentityError::Damaged));
    });
}

#[test]
fn scans_are_at_intervals_and_take_their_share_of_a_core_at_most() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut schedule = Schedule::default();
    assert_eq!(schedule.due(start), Some(true));
    // The first one does not count, however long it takes.
    schedule.ran(start - Duration::from_secs(9), at(0), true);
    assert_eq!((schedule.due(at(9_999)), schedule.due(at(10_000))), (None, Some(true)));
    schedule.ran(at(0), at(10), true);
    // Every 10 s, and 20 times what the last one took after it if something asks for it.
    assert_eq!((schedule.due(at(10_009)), schedule.due(at(10_010))), (None, Some(true)));
    schedule.wanted = true;
    assert_eq!((schedule.due(at(209)), schedule.due(at(210))), (None, Some(false)));
    schedule.wanted = false;
    // Scans that take 100 ms are 20 s apart, with events or without.
    schedule.scan_only = true;
    schedule.ran(at(1_000), at(1_100), true);
    assert_eq!((schedule.due(at(21_099)), schedule.due(at(21_100))), (None, Some(true)));
    schedule.ran(at(22_000), at(22_001), true);
    assert_eq!((schedule.due(at(23_000)), schedule.due(at(23_001))), (None, Some(true)));
}
