use std::path::Path;

use super::*;
use crate::case::Case;
use crate::twin;

const RECORDS: u64 = 2_000;

/// The benches at a few thousand records: every answer is the twin's, and a pass sees every record.
#[test]
fn every_workload_decodes_to_the_answer_of_its_twin() {
    for workload in WORKLOADS {
        let folder = tempfile::tempdir().unwrap();
        let bytes = (workload.generate)(RECORDS, folder.path());
        let case = Case::new(workload.config, folder.path(), &bytes).unwrap();
        let (answer, twin) = (case.answer().unwrap(), twin::answer(&bytes, &case.config.columns).unwrap());
        answer.ensure_same(&twin).unwrap_or_else(|error| panic!("{}: {error}", workload.name));
        assert_eq!((answer.rows, case.records), (RECORDS, RECORDS), "{}", workload.name);
        assert_eq!(case.pass(&mut case.buffers()), RECORDS, "{}", workload.name);
    }
}

#[test]
fn the_twin_finds_a_changed_byte() {
    let folder = tempfile::tempdir().unwrap();
    let workload = Workload::named("ad-event").unwrap();
    let bytes = (workload.generate)(RECORDS, folder.path());
    let case = Case::new(workload.config, folder.path(), &bytes).unwrap();
    let changed = String::from_utf8(bytes).unwrap().replacen("banner", "Banner", 1);
    let twin = twin::answer(changed.as_bytes(), &case.config.columns).unwrap();
    let error = case.answer().unwrap().ensure_same(&twin).unwrap_err().to_string();
    assert!(error.contains("\nad_type: ") && !error.contains("\nuser_id: "), "{error}");
}

#[test]
fn a_seed_gives_the_same_bytes_twice() {
    for workload in WORKLOADS {
        let folder = tempfile::tempdir().unwrap();
        let generate = || (workload.generate)(100, folder.path());
        assert!(generate() == generate(), "{}", workload.name);
    }
}

#[test]
fn one_record_of_a_hundred_is_off_the_template_and_no_value_changes() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |name: &str| {
        let bytes = (Workload::named(name).unwrap().generate)(20_000, folder.path());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (plain, off) = (lines("channel-log"), lines("off-template"));
    let changed = plain.iter().zip(&off).filter(|(plain, off)| plain != off).count();
    // 20,000 draws of 1/100: 200, standard deviation 14. A quarter of them only leave a null out, if there is one.
    assert!((130..=270).contains(&changed), "{changed}");
    assert!(off.iter().any(|line| line.contains("\"ts\": ")) && off.iter().any(|line| line.contains("trace_id")));
}

#[test]
fn shuffled_records_have_their_keys_in_many_orders() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = (Workload::named("shuffled-keys").unwrap().generate)(1_000, folder.path());
    let first_keys: std::collections::HashSet<String> =
        std::str::from_utf8(&bytes).unwrap().lines().map(|line| twin::object(line)[0].0.clone()).collect();
    assert_eq!(first_keys.len(), 17, "each key comes first in about 59 of 1,000 records");
}

#[test]
fn the_wide_configs_declare_five_and_all_of_the_hundred_fields() {
    let line = String::from_utf8(wide::records(1, Path::new(""))).unwrap();
    let keys: Vec<String> = twin::object(line.trim_end()).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), wide::FIELDS);
    let declared = |name: &str| {
        let workload = Workload::named(name).unwrap();
        let case = Case::new(workload.config, Path::new(""), line.as_bytes()).unwrap();
        case.config.columns.iter().map(|column| column.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(declared("wide-100"), keys);
    assert_eq!(declared("wide-5"), ["ts", "level_20", "text_46", "count_72", "ratio_98"]);
}
