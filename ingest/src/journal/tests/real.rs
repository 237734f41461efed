//! On a real disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::{CONFIG, options, slice};
use crate::journal::{Condition, ConfigHash, Journal, OpenError, Reached, SourceNumber, inspect, kept_config, names};

/// A journal with a source and three slices, of which the second is done; and the offset behind its first cut.
fn journal(dir: &Path) -> (Journal, u64) {
    let (mut journal, recovered) = Journal::open(dir, options()).unwrap();
    assert!(recovered.sources.is_empty() && recovered.torn.is_none());
    journal.keep_config(CONFIG).unwrap();
    journal.know(b"a", "a.log", Reached::at(0)).unwrap();
    let before = journal.bytes();
    journal.cut(&[slice(0, 0, 10), slice(0, 10, 20)]).unwrap();
    journal.cut(&[slice(0, 20, 30)]).unwrap();
    journal.done(&slice(0, 10, 20)).unwrap();
    (journal, before)
}

#[test]
fn a_second_engine_is_told_who_holds_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/journal");
    let (held, _) = journal(&dir);
    let error = Journal::open(&dir, options()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Held { pid: Some(pid), .. } if pid == std::process::id()), "{text}");
    drop(held);
    let (_, recovered) = Journal::open(&dir, options()).unwrap();
    assert_eq!(recovered.in_doubt, [slice(0, 0, 10), slice(0, 20, 30)]);
    assert_eq!(recovered.sources[0].cut_end.position, 30);
}

#[test]
fn a_file_in_place_of_the_directory_is_an_error_that_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Journal::open(file.path(), options()).unwrap_err();
    assert!(error.to_string().contains("name a directory for the journal"), "{error}");
}

#[test]
fn a_journal_can_be_looked_at_while_an_engine_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut held, _) = journal(folder.path());
    let before = snapshot(folder.path());
    let inspection = inspect(folder.path()).unwrap();
    assert_eq!(snapshot(folder.path()), before, "it changed something");
    assert_eq!(inspection.condition, Condition::Sound);
    assert_eq!(inspection.in_doubt, [slice(0, 0, 10), slice(0, 20, 30)]);
    assert_eq!((inspection.sources[0].position, inspection.sources[0].cut_end.position), (0, 30));
    let holder = inspection.holder.unwrap();
    assert!(holder.alive && holder.pid == std::process::id());
    held.done(&slice(0, 0, 10)).unwrap();
    assert_eq!(inspect(folder.path()).unwrap().sources[0].position, 20);
}

/// Of the directory, under "", and of each file in it: what mode it has.
fn modes(dir: &Path) -> Vec<(String, u32)> {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut modes: Vec<_> = files.map(|file| (file.file_name().into_string().unwrap(), mode(&file.path()))).collect();
    modes.push((String::new(), mode(dir)));
    modes.sort();
    modes
}

fn assert_private(dir: &Path) {
    for (name, mode) in modes(dir) {
        assert_eq!(mode, if name.is_empty() { 0o700 } else { 0o600 }, "{name}: {mode:o}");
    }
}

#[test]
fn a_journal_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("around/journal");
    let (mut held, _) = journal(&dir);
    assert_private(&dir);
    assert_eq!(modes(&folder.path().join("around"))[0].1, 0o700, "and so is a folder that it had to make");
    // A segment that is written anew, and a config that comes later.
    held.keep_config("version = 1 # another").unwrap();
    held.close().unwrap();
    let mut small = options();
    small.segment_bytes = 1;
    let (mut held, _) = Journal::open(&dir, small).unwrap();
    held.keep_config(CONFIG).unwrap();
    for at in 0..40 {
        let next = slice(0, 30 + at, 31 + at);
        held.cut(&[next]).unwrap();
        held.done(&next).unwrap();
    }
    assert!(held.segment() > 2, "none was written anew");
    assert_private(&dir);
}

/// As journals of earlier versions are, with what a crash has left of a file that was being written.
#[test]
fn a_journal_that_others_may_read_is_made_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("journal");
    drop(journal(&dir));
    fs::write(dir.join("config-00000000000000aa.toml.tmp"), "password = \"hunter2\"").unwrap();
    for entry in fs::read_dir(&dir).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    let (_held, recovered) = Journal::open(&dir, options()).unwrap();
    assert_eq!(recovered.in_doubt.len(), 2);
    assert_private(&dir);
}

/// Somebody's own files go on being whoever's they are, and so does the folder that they are in.
#[test]
fn files_that_are_no_journals_keep_their_modes() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("notes.txt");
    fs::write(&theirs, "x").unwrap();
    fs::set_permissions(&theirs, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let (_held, _) = journal(folder.path());
    for (name, mode) in modes(folder.path()) {
        let expected = match &*name {
            "" => 0o755,
            "notes.txt" => 0o644,
            _ => 0o600,
        };
        assert_eq!(mode, expected, "{name}: {mode:o}");
    }
}

fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort_unstable();
    files
}

#[test]
fn looking_at_a_damaged_journal_tells_what_is_readable_before_and_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (held, first_cut) = journal(folder.path());
    drop(held);
    let segment = folder.path().join(names::segment(1));
    let mut bytes = fs::read(&segment).unwrap();
    bytes[first_cut as usize + 30] ^= 4;
    fs::write(&segment, &bytes).unwrap();
    let inspection = inspect(folder.path()).unwrap();
    let Condition::Damaged { offset, behind, .. } = &inspection.condition else { panic!("{inspection:?}") };
    assert_eq!(*offset, first_cut);
    // A cut is 89 bytes long.
    assert_eq!(behind.offset, Some(first_cut + 89));
    assert_eq!((behind.cut, behind.done, behind.other), (2, 1, 0));
    assert_eq!(behind.cut_ends[&SourceNumber(0)], 30);
    assert_eq!((inspection.sources.len(), inspection.in_doubt.len()), (1, 0));
    assert!(!inspection.sound());
    let before = snapshot(folder.path());
    let error = Journal::open(folder.path(), options()).unwrap_err();
    assert!(error.to_string().contains(&format!("at offset {first_cut}")), "{error}");
    assert_eq!(snapshot(folder.path()), before, "it changed something");
}

#[test]
fn looking_at_a_journal_whose_segment_or_config_is_gone_says_which() {
    let folder = tempfile::tempdir().unwrap();
    drop(journal(folder.path()));
    let config = slice(0, 0, 1).config;
    fs::remove_file(folder.path().join(names::config(config))).unwrap();
    let inspection = inspect(folder.path()).unwrap();
    assert_eq!((inspection.sound(), inspection.bad_configs), (false, vec![config]));
    fs::remove_file(folder.path().join(names::segment(1))).unwrap();
    let inspection = inspect(folder.path()).unwrap();
    assert_eq!(inspection.condition, Condition::Missing { number: 1 });
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(inspect(empty.path()).unwrap().condition, Condition::Empty);
    assert!(inspect(&empty.path().join("absent")).is_err());
}

#[test]
fn a_config_is_read_from_a_journal_that_an_engine_holds_while_slices_of_it_are_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, _) = journal(folder.path());
    let config = slice(0, 0, 1).config;
    assert_eq!(kept_config(folder.path(), config).as_deref(), Some(CONFIG));
    assert_eq!(kept_config(folder.path(), ConfigHash(config.0 + 1)), None);
    fs::write(folder.path().join(names::config(config)), "another text").unwrap();
    assert_eq!(kept_config(folder.path(), config), None);
    assert_eq!(kept_config(&folder.path().join("absent"), config), None);
}

/// What journaling costs on the disk of the temporary directory; `benches/NOTES.md` has figures and the command.
#[test]
#[ignore = "measures, and tests nothing"]
fn cost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), options()).unwrap();
    journal.keep_config(CONFIG).unwrap();
    journal.know(b"a", "a.log", Reached::at(0)).unwrap();
    for batch in [1, 4] {
        let from = journal.sources()[0].cut_end.position;
        let slices: Vec<_> = (from..from + 400).map(|n| slice(0, n, n + 1)).collect();
        let (bytes, begun) = (journal.bytes(), Instant::now());
        slices.chunks(batch).for_each(|slices| journal.cut(slices).unwrap());
        let cut = begun.elapsed().as_secs_f64();
        slices.iter().for_each(|slice| journal.done(slice).unwrap());
        let done = begun.elapsed().as_secs_f64() - cut;
        let bytes = (journal.bytes() - bytes) / 400;
        let (cuts, dones) = (400.0 / cut, 400.0 / done);
        println!(
            "{batch} slices a sync: {cuts:.0} slices cut a second, {dones:.0} done a second, {bytes} bytes a slice"
        );
    }
    let from = journal.sources()[0].cut_end.position;
    let slices: Vec<_> = (from..from + 10_000).map(|n| slice(0, n, n + 1)).collect();
    journal.cut(&slices).unwrap();
    drop(journal);
    let begun = Instant::now();
    let (journal, recovered) = Journal::open(folder.path(), options()).unwrap();
    let (slices, bytes, ms) = (recovered.in_doubt.len(), journal.bytes(), begun.elapsed().as_secs_f64() * 1e3);
    println!("opening with {slices} slices in doubt: {ms:.1} ms, {bytes} bytes");
}
