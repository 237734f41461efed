//! `longshore doctor`, over journals that are held, damaged or not there.

use std::fs;
use std::path::Path;
use std::process::Command;

use longshore_core::slice::SliceId;
use longshore_ingest::journal::{Journal, JournaledSlice, Machine, Options};
use serde_json::{Value, json};

use crate::support::longshore;

/// Exit code and standard output.
fn doctor(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(longshore()).arg("doctor").arg(dir).args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A journal of one source with three slices, of which the first is done; and where its first cut stands.
fn journal(dir: &Path) -> (Journal, u64) {
    let (mut journal, _) = Journal::open(dir, Options::new(Machine::this())).unwrap();
    let config = journal.keep_config("version = 1\n").unwrap();
    let source = journal.know(b"\x01\xfe", "/var/log/app.log", 100).unwrap();
    let slice = |start, end| JournaledSlice {
        slice: SliceId(start),
        source,
        start,
        end,
        hash: 9,
        config,
        records: Some(2),
        cut_ms: None,
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
    let source =
        json!({ "number": 0, "name": "/var/log/app.log", "position": 200, "cut_end": 400, "identity": "01fe" });
    assert_eq!(value["sources"], json!([source]));
    assert_eq!(value["in_doubt"][1]["start"], 300);
    // The engine was not disturbed.
    journal.know(b"another", "another", 0).unwrap();
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
    assert_eq!(doctor(&folder.path().join("absent"), &[]).0, 66);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it left something");
}
