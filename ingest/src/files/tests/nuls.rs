//! Files that begin with NUL bytes, or have them before a record: truncated under a program that keeps its place, or written
//! when the machine went down.

use std::os::unix::fs::FileExt;

use longshore_core::frame::Records;

use super::*;
use crate::feed::NoticeKind;

/// All records.
fn records(planned: &[PlannedSlice]) -> String {
    let records = planned.iter().flat_map(|slice| Records::new(Framing::Lines, &slice.slice.bytes));
    records.map(|record| format!("{}\n", std::str::from_utf8(record.bytes).expect("text"))).collect()
}

impl Case {
    /// Bytes that were said to be NUL.
    fn nuls(&mut self) -> u64 {
        let notices = self.feed().take_notices();
        notices.iter().filter(|notice| notice.kind == NoticeKind::Nuls).map(|notice| notice.bytes).sum()
    }

    fn write_at(&self, name: &str, at: u64, text: &str) {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.log(name)).expect("opened");
        file.write_all_at(text.as_bytes(), at).expect("written");
    }
}

/// What the program wrote after the truncation was lost: the file counted as rewritten.
#[test]
fn a_file_that_was_truncated_under_a_program_that_keeps_its_place_is_read_on() {
    let mut case = Case::new(Framing::Lines);
    let all = lines(70);
    let (first, second) = all.split_at(all.len() / 7 * 5);
    case.append("a.log", first);
    let planned = case.take(1);
    case.done(&planned);
    OpenOptions::new().write(true).open(case.log("a.log")).expect("opened").set_len(0).expect("truncated");
    case.write_at("a.log", first.len() as u64, second);
    let planned = case.take(1);
    assert_eq!(records(&planned), second);
    assert_eq!(case.nuls(), first.len() as u64);
}

#[test]
fn a_hole_of_gigabytes_is_passed_over_and_slices_behind_it_are_cut_again_alike() {
    let mut case = Case::new(Framing::Lines);
    let hole = 64 << 30;
    case.write_at("a.log", hole, "one\n");
    let planned = case.take(1);
    assert_eq!((records(&planned), planned[0].meta.start), ("one\n".to_owned(), hole));
    assert_eq!(case.nuls(), hole);
    case.start();
    let again = case.take(1);
    assert_eq!(again[0].meta, planned[0].meta);
}

#[test]
fn nuls_in_the_middle_are_passed_over_however_many_there_are() {
    for count in [1, 63, 4_000, 4_096, 20_000] {
        let mut case = Case::new(Framing::Lines);
        case.append("a.log", "one\n");
        case.append("a.log", vec![0; count]);
        let mut planned = case.take(1);
        case.rests();
        assert_eq!(records(&planned), "one\n");
        case.append("a.log", "two\n");
        case.until("all is read", &mut planned, |_, planned| records(planned).len() == 8);
        assert_eq!(records(&planned), "one\ntwo\n");
        assert_eq!(case.nuls(), count as u64);
        case.start();
        let mut again = Vec::new();
        case.until("all is read again", &mut again, |_, again| again.len() == planned.len());
        let metas = |planned: &[PlannedSlice]| planned.iter().map(|slice| slice.meta.clone()).collect::<Vec<_>>();
        assert_eq!(metas(&again), metas(&planned));
    }
}

#[test]
fn a_frame_of_nuls_is_a_frame() {
    let mut case = Case::new(Framing::Frames);
    case.append("a.bin", [&4_u32.to_be_bytes()[..], &[0; 4]].concat());
    let planned = case.take(1);
    assert_eq!((planned[0].slice.bytes.len(), case.nuls()), (8, 0));
}
