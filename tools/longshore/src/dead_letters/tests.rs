use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_core::decode::DecodedSlice;
use longshore_core::slice::{CutAt, SliceId};
use longshore_ingest::sink::SliceMeta;

use super::*;

/// A slice of so many rows and so many dead letters of column `amount`.
fn slice(rows: u64, dead: u64) -> LoadedSlice {
    let letter = |row| DeadLetter {
        row: row as u32,
        offset: row * 100,
        length: 9,
        fault: Fault {
            reason: Reason::TypeMismatch,
            column: Some(Arc::from("amount")),
            detail: "text\nof two lines".to_owned(),
        },
        record: b"a secret".to_vec(),
    };
    let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
    let (dead, records): (Vec<_>, _) = ((0..dead).map(letter).collect(), rows + dead);
    let decoded = DecodedSlice {
        batch,
        dead,
        records,
        filtered: 0,
        duplicates: 0,
        rows_by_product: Vec::new(),
        cut: CutAt::Unknown,
    };
    let meta =
        SliceMeta { id: SliceId(1), source: Arc::from("app.log"), head: 1, start: 0, end: 0, before: 0, after: 0 };
    LoadedSlice::new(meta, decoded)
}

#[test]
fn the_cause_is_named_with_what_to_look_at_and_nothing_of_the_record() {
    let mut causes = Causes::default();
    let dead = causes.count(&slice(5, 95), &Stored::default());
    let said = sentence(&causes, dead, 100);
    assert_eq!(
        said,
        "95 of 100 records (95.0%) became dead letters. type_mismatch in column amount: check the column's `type` and \
         `format` against what the records have."
    );
    assert_eq!(
        lines(&causes, 100),
        [
            "type_mismatch in column amount: 95, 95.0% of the records, such as app.log at offset 0: text\u{fffd}of two lines"
        ]
    );
    let example = json!({"source": "app.log", "offset": 0, "detail": "text\nof two lines"});
    let cause = json!({
        "reason": "type_mismatch", "column": "amount", "count": 95, "share": 0.95, "example": example
    });
    assert_eq!(json(&causes, 100), json!([cause]));
}

#[test]
fn five_of_a_hundred_are_broken_records_and_six_are_a_config_that_does_not_fit() {
    assert!(!is_loud(5, 100) && is_loud(6, 100) && is_loud(1, 1) && !is_loud(0, 0));
}

#[test]
fn a_source_is_spoken_of_at_once_and_then_now_and_then() {
    let mut watch = Watch::default();
    let start = Instant::now();
    let every = Duration::from_millis(DEAD_LETTERS_LOUD_EVERY_MS);
    let mut at =
        |after: Duration, rows, dead| watch.count(&slice(rows, dead), &Stored::default(), start + after).is_some();
    assert!(!at(Duration::ZERO, 1_000, 0));
    // Nine are few, though they are most of what there is.
    assert!(!at(every, 0, 9), "the rows of a window before do not count");
    assert!(at(every, 0, 1));
    assert!(!at(every + every / 2, 0, 1_000), "it was said a moment ago");
    assert!(at(every * 2, 0, 1_000));
    assert!(!at(every * 3, 1_000, 50), "all is well again");
}
