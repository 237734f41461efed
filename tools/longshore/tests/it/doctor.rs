//! `longshore doctor`, over journals that are held, damaged or not there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use longshore_core::slice::SliceId;
use longshore_ingest::content::Chain;
use longshore_ingest::journal::{Journal, JournaledSlice, Machine, Options, Reached};
use serde_json::{Value, json};

use crate::support::longshore;
use crate::support::process::await_that;
use crate::support::service::Service;
use crate::support::shared::Site;
use crate::support::small::{CONFIG, lines};

/// Exit code and standard output.
fn doctor(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(longshore()).arg("doctor").arg(dir).args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A journal of one source with three slices, of which the first is done; and where its first cut stands.
fn journal(dir: &Path) -> (Journal, u64) {
    let (mut journal, _) = Journal::open(dir, Options::new(Machine::this())).unwrap();
    let config = journal.keep_config("version = 1\n").unwrap();
    let source = journal.know(b"\x01\xfe", "/var/log/app.log", Reached::at(100)).unwrap();
    let slice = |start, end| JournaledSlice {
        slice: SliceId(start),
        source,
        start,
        end,
        before: Chain(8),
        after: Chain(9),
        config,
        records: Some(2),
        cut_ms: 0,
    };
    let first_cut = journal.bytes();
    journal.cut(&[slice(100, 200), slice(200, 300)]).unwrap();
    journal.cut(&[slice(300, 400)]).unwrap();
    journal.done(&slice(100, 200)).unwrap();
    (journal, first_cut)
}

#[test]
fn the_doctor_tells_what_a_journal_says_while_an_engine_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = journal(folder.path());
    let (code, said) = doctor(folder.path(), &[]);
    assert_eq!(code, 0, "{said}");
    for part in ["stored to 200, cut to 400, 2 in doubt  /var/log/app.log", "slice 000000000000012c at 300..400"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(said.contains(&format!("last opened by pid {}: a process of that pid runs", std::process::id())), "{said}");
    let (code, said) = doctor(folder.path(), &["--json"]);
    let value: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &value["sound"], &value["condition"]), (0, &json!(true), &json!({ "state": "sound" })));
    let unknown = json!({ "state": "unknown", "path": null, "size": null, "inode": null, "device": null });
    let source = json!({ "number": 0, "name": "/var/log/app.log", "position": 200, "cut_end": 400, "identity": "01fe", "file": unknown });
    assert_eq!(value["sources"], json!([source]));
    assert_eq!(value["in_doubt"][1]["start"], 300);
    // The engine was not disturbed.
    journal.know(b"another", "another", Reached::at(0)).unwrap();
}

/// As `longshore doctor … | head` does.
#[test]
fn whoever_reads_what_is_printed_may_have_seen_enough() {
    let folder = tempfile::tempdir().unwrap();
    drop(journal(folder.path()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(longshore()).arg("doctor").arg(folder.path()).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_doctor_tells_where_a_journal_is_damaged_and_what_is_readable() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, first_cut) = journal(folder.path());
    drop(journal);
    let segment = folder.path().join("segment-00000000000000000001");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[first_cut as usize + 8] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let (code, said) = doctor(folder.path(), &[]);
    assert_eq!(code, 65, "{said}");
    for part in [
        &format!("DAMAGED at offset {first_cut}: expected a record"),
        "2 slices cut, 1 done, 0 other records",
        "source 0 was cut to 400 at least",
        "what can be done:",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    let (code, said) = doctor(folder.path(), &["--json"]);
    let value: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &value["condition"]["offset"]), (65, &json!(first_cut)));
    assert_eq!(value["condition"]["behind"]["cut"], 2);
    assert_eq!(fs::read(&segment).unwrap(), bytes, "it changed the journal");
}

#[test]
fn the_doctor_says_that_there_is_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = doctor(folder.path(), &[]);
    assert_eq!(code, 66);
    assert!(said.contains("there is no journal here"), "{said}");
    assert!(!said.contains("source"), "nothing is counted where there is nothing: {said}");
    for (name, part) in [("absent", "absent does not exist: the config says where"), ("a.log", "a.log is a file")] {
        let path = folder.path().join(name);
        if name == "a.log" {
            fs::write(&path, "").unwrap();
        }
        let output = Command::new(longshore()).arg("doctor").arg(&path).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(66) && err.contains(part), "{err}");
        let _ = fs::remove_file(&path);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it left something");
}

/// Two sources of one name after a rotation, three after the next: which of them is which file, and which is gone.
#[test]
fn the_doctor_tells_rotated_files_of_one_name_apart() {
    let site = Site::new("rotated");
    fs::create_dir(site.path("logs")).unwrap();
    let files = "[[source]]\npaths = [\"logs/app.log*\"]\n";
    let config = site.config(&format!("{files}{CONFIG}[run]\njournal = \"journal\"\nslice_age = \"100ms\"\n"));
    let path = site.path("logs/app.log");
    let stored = |records: &str| {
        await_that("it is stored", || {
            site.ask("SELECT count() FROM {db}.events").first().is_some_and(|n| n == records)
        });
    };
    fs::write(&path, lines(0..10)).unwrap();
    let service = Service::start(site.command(), &config);
    await_that("the tables are there", || {
        site.ask("SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'ledger'") == ["1"]
    });
    stored("10");
    let inode = |name: &str| fs::metadata(site.path(name)).unwrap().ino();
    let oldest = inode("logs/app.log");
    for (rotated, from, to) in [("logs/app.log.2", 10, 15), ("logs/app.log.1", 15, 18)] {
        fs::rename(&path, site.path(rotated)).unwrap();
        fs::write(&path, lines(from..to)).unwrap();
        stored(&to.to_string());
    }
    assert_eq!(service.stop(), 0);
    fs::remove_file(site.path("logs/app.log.2")).unwrap();

    let (code, said) = doctor(&site.path("journal"), &[]);
    assert_eq!(code, 0, "{said}");
    let size = |name: &str| fs::metadata(site.path(name)).unwrap().len();
    for part in [
        "3 sources".to_owned(),
        format!("gone: its file, inode {oldest}, is not in that folder any more"),
        format!("now app.log.1: inode {}, {} bytes, all of it stored", inode("logs/app.log.1"), size("logs/app.log.1")),
        format!("there: inode {}, {} bytes, all of it stored", inode("logs/app.log"), size("logs/app.log")),
    ] {
        assert!(said.contains(&part), "no `{part}` in: {said}");
    }
    let value: Value = serde_json::from_str(&doctor(&site.path("journal"), &["--json"]).1).unwrap();
    let states: Vec<&Value> =
        value["sources"].as_array().unwrap().iter().map(|source| &source["file"]["state"]).collect();
    assert_eq!(states, ["gone", "renamed", "there"]);
    assert_eq!(value["sources"][1]["file"]["path"], json!(site.path("logs/app.log.1").display().to_string()));
    assert_eq!(value["sources"][2]["file"]["size"], json!(size("logs/app.log")));
    // What was appended since then.
    fs::write(&path, lines(15..20)).unwrap();
    let rest = lines(18..20).len();
    assert!(doctor(&site.path("journal"), &[]).1.contains(&format!("{rest} bytes not cut yet")), "{said}");
}
