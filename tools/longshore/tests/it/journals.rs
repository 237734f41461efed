//! `longshore run` over journals that it must not go on with: what it says, which is what an operator sees, and that it
//! leaves them as they are. The journal is looked at before anything else, so no server is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use longshore_core::slice::SliceId;
use longshore_ingest::content::Chain;
use longshore_ingest::journal::{Journal, JournaledSlice, Machine, Options, Reached};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use crate::run::CONFIG;
use crate::support::longshore;

/// The journal's only segment.
const SEGMENT: &str = "segment-00000000000000000001";
/// Bytes of a segment's header, of which the last eight are the checksum.
const HEADER_BYTES: usize = 56;

/// A folder with a journal of this machine that has slices in doubt, and a config that names it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(machine: Machine) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(&folder.path().join("journal"), Options::new(machine)).unwrap();
        let config = journal.keep_config("version = 1\n").unwrap();
        let source = journal.know(b"a source", "/var/log/app.log", Reached::at(0)).unwrap();
        for number in 0..3 {
            let (slice, start, end) = (SliceId(number), number * 100, number * 100 + 100);
            journal
                .cut(&[JournaledSlice {
                    slice,
                    source,
                    start,
                    end,
                    before: Chain(8),
                    after: Chain(9),
                    config,
                    records: Some(2),
                    cut_ms: 0,
                }])
                .unwrap();
        }
        let files = "[[source]]\npaths = [\"logs/*.log\"]\n";
        // Nothing listens there.
        let server = "[clickhouse]\nurl = \"http://127.0.0.1:1\"\n";
        let config = CONFIG.replace("[run]\n", "[run]\njournal = \"journal\"\n");
        fs::write(folder.path().join("longshore.toml"), format!("version = 1\n{files}{config}{server}")).unwrap();
        Place { folder }
    }

    fn segment(&self) -> PathBuf {
        self.folder.path().join("journal").join(SEGMENT)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.segment()).unwrap();
        change(&mut bytes);
        fs::write(self.segment(), bytes).unwrap();
    }

    /// `longshore run` to its end: its exit code, and what it said.
    fn run(&self) -> (Option<i32>, String) {
        let mut command = Command::new(longshore());
        command.args(["run", "-c"]).arg(self.folder.path().join("longshore.toml")).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// The same, which must end with the exit code for bad data and leave the journal alone: what it said.
    fn refused(&self) -> String {
        let before = contents(&self.folder.path().join("journal"));
        let (code, said) = self.run();
        assert_eq!(code, Some(65), "{said}");
        assert_eq!(contents(&self.folder.path().join("journal")), before, "it changed the journal");
        said
    }
}

/// All files of a directory.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn one_flipped_bit_is_named_with_its_place_and_what_tells_more() {
    let place = Place::new(Machine::this());
    // In the second record: what is behind it shows that it was synced, and no torn tail.
    place.change(|bytes| bytes[HEADER_BYTES + 100] ^= 1);
    let said = place.refused();
    assert_says(&said, &["the journal is damaged", SEGMENT, "at offset ", "longshore doctor "]);
}

#[test]
fn a_journal_of_another_version_says_which_engine_is_needed() {
    let place = Place::new(Machine::this());
    place.change(|bytes| {
        bytes[8] = 4;
        let checksum = xxh3_64(&bytes[..HEADER_BYTES - 8]);
        bytes[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    });
    let said = place.refused();
    assert_says(&said, &[SEGMENT, "is of journal format 4, this engine has 3", "run the version that wrote it"]);
}

#[test]
fn a_journal_of_another_machine_names_both_and_goes_on_under_its_name() {
    let (there, here) = (Machine::named("another"), Machine::this());
    let place = Place::new(there);
    let said = place.refused();
    assert_says(&said, &[&format!("belongs to machine {there}, this is {here}"), "`machine` under [run]"]);
    let config = place.folder.path().join("longshore.toml");
    let text = fs::read_to_string(&config).unwrap().replace("[run]\n", "[run]\nmachine = \"another\"\n");
    fs::write(&config, text).unwrap();
    let (code, said) = place.run();
    assert_eq!(code, Some(69), "nothing but the server is missing: {said}");
}

#[test]
fn a_journal_that_is_held_names_the_engine_that_holds_it() {
    let place = Place::new(Machine::this());
    let held = Journal::open(&place.folder.path().join("journal"), Options::new(Machine::this())).unwrap();
    let said = place.refused();
    assert_says(&said, &[&format!("is held by another engine (pid {})", std::process::id()), "end that one first"]);
    drop(held);
}

#[test]
fn a_journal_that_lacks_a_segment_says_which() {
    let place = Place::new(Machine::this());
    fs::remove_file(place.segment()).unwrap();
    let said = place.refused();
    assert_says(&said, &["lacks its segment 1", "put the file back"]);
}
