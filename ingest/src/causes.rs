//! Why records became dead letters: the causes, each a reason and a column, with how many there were and an example.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_core::dead_letter::{DeadLetter, Fault, Reason};
use longshore_core::limits::DEAD_CAUSES_MAX;

use crate::sink::{LoadedSlice, Stored};

/// The causes of some dead letters. There are at most [`DEAD_CAUSES_MAX`], and one without a column for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    all: BTreeMap<(Reason, Option<Arc<str>>), Cause>,
}

/// Why some records became dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// From the closed list.
    pub reason: Reason,
    /// The column at fault, where there is one.
    pub column: Option<Arc<str>>,
    /// How many records.
    pub count: u64,
    /// The first of them that was stored, unless it is known no more.
    pub example: Option<Example>,
}

/// One of the records, by what its dead letter says of it. The record itself is left to the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Where it came from.
    pub source: Arc<str>,
    /// Where it stands there.
    pub offset: u64,
    /// What is wrong, as it is stored.
    pub detail: String,
}

impl Causes {
    /// Counts a slice that was stored; how many dead letters it had.
    pub fn count(&mut self, slice: &LoadedSlice, stored: &Stored) -> u64 {
        for letter in &slice.decoded.dead {
            self.add(&letter.fault, || Example::of(&slice.meta.source, letter));
        }
        let rejected: u64 = stored.rejected.iter().map(|(_, rows)| rows).sum();
        if rejected > 0 {
            // Which rows these are is known if it was found out by this attempt.
            match &slice.rejected[..] {
                [] => self.slot(Reason::Rejected, None).count += rejected,
                letters => letters.iter().for_each(|letter| {
                    self.add(&letter.fault, || Example::of(&slice.meta.source, letter));
                }),
            }
        }
        // An earlier attempt found them too far away; their letters are stored.
        let event_times: u64 = stored.event_times.iter().map(|(_, rows)| rows).sum();
        if event_times > 0 {
            self.slot(Reason::EventTime, None).count += event_times;
        }
        slice.decoded.dead.len() as u64 + rejected + event_times
    }

    fn add(&mut self, fault: &Fault, example: impl FnOnce() -> Example) {
        let cause = self.slot(fault.reason, fault.column.clone());
        cause.count += 1;
        cause.example.get_or_insert_with(example);
    }

    /// Where a cause is counted: under its reason alone, if too many are told apart already.
    fn slot(&mut self, reason: Reason, column: Option<Arc<str>>) -> &mut Cause {
        let mut key = (reason, column);
        if self.all.len() >= DEAD_CAUSES_MAX && !self.all.contains_key(&key) {
            key.1 = None;
        }
        let (reason, column) = key.clone();
        self.all.entry(key).or_insert(Cause { reason, column, count: 0, example: None })
    }

    /// The most frequent ones first.
    pub fn top(&self) -> Vec<&Cause> {
        let mut all: Vec<&Cause> = self.all.values().collect();
        all.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        all
    }
}

impl Example {
    fn of(source: &Arc<str>, letter: &DeadLetter) -> Example {
        Example { source: source.clone(), offset: letter.offset, detail: letter.fault.detail.clone() }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
    use longshore_core::decode::DecodedSlice;
    use longshore_core::slice::{CutAt, SliceId};

    use super::*;
    use crate::sink::SliceMeta;

    /// A slice with dead letters of these reasons and columns, at offsets 0, 10, 20, and so on.
    fn slice(source: &str, faults: &[(Reason, Option<&str>)]) -> LoadedSlice {
        let letter = |(at, (reason, column)): (usize, &(Reason, Option<&str>))| DeadLetter {
            row: at as u32,
            offset: at as u64 * 10,
            length: 1,
            fault: Fault { reason: *reason, column: column.map(Arc::from), detail: format!("detail {at}") },
            record: b"secret".to_vec(),
        };
        let dead: Vec<DeadLetter> = faults.iter().enumerate().map(letter).collect();
        let numbers: ArrayRef = Arc::new(UInt64Array::from(Vec::<u64>::new()));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
        let records = dead.len() as u64;
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
            SliceMeta { id: SliceId(1), source: Arc::from(source), head: 1, start: 0, end: 0, before: 0, after: 0 };
        LoadedSlice::new(meta, decoded)
    }

    #[test]
    fn the_most_frequent_cause_comes_first_with_its_first_example() {
        let mut causes = Causes::default();
        let amount = (Reason::TypeMismatch, Some("amount"));
        let first = slice("a.log", &[(Reason::BadJson, None), amount, (Reason::TypeMismatch, Some("n")), amount]);
        assert_eq!(causes.count(&first, &Stored::default()), 4);
        assert_eq!(causes.count(&slice("b.log", &[amount]), &Stored::default()), 1);
        let top = causes.top();
        let said: Vec<_> = top.iter().map(|cause| (cause.reason, cause.column.as_deref(), cause.count)).collect();
        assert_eq!(
            said,
            [
                (Reason::TypeMismatch, Some("amount"), 3),
                (Reason::BadJson, None, 1),
                (Reason::TypeMismatch, Some("n"), 1)
            ]
        );
        let example = Example { source: "a.log".into(), offset: 10, detail: "detail 1".to_owned() };
        assert_eq!(top[0].example, Some(example));
    }

    #[test]
    fn rejected_rows_are_a_cause_with_an_example_where_it_is_known() {
        let product: Arc<str> = "shop".into();
        let stored = Stored { rejected: vec![(product, 2)], ..Stored::default() };
        let mut causes = Causes::default();
        assert_eq!(causes.count(&slice("a.log", &[]), &stored), 2);
        assert_eq!((causes.top()[0].count, causes.top()[0].example.is_none()), (2, true));
        let mut known = slice("a.log", &[]);
        known.rejected = slice("a.log", &[(Reason::Rejected, None); 2]).decoded.dead;
        assert_eq!(causes.count(&known, &stored), 2);
        assert_eq!(causes.top()[0].count, 4);
        assert_eq!(causes.top()[0].example.as_ref().map(|example| example.detail.as_str()), Some("detail 0"));
    }

    #[test]
    fn columns_past_the_bound_are_counted_under_their_reason() {
        let names: Vec<String> = (0..DEAD_CAUSES_MAX + 50).map(|n| format!("c{n}")).collect();
        let faults: Vec<_> = names.iter().map(|name| (Reason::MissingField, Some(name.as_str()))).collect();
        let mut causes = Causes::default();
        causes.count(&slice("a.log", &faults), &Stored::default());
        assert_eq!(causes.top().len(), DEAD_CAUSES_MAX + 1);
        assert_eq!((causes.top()[0].column.as_deref(), causes.top()[0].count), (None, 50));
        assert_eq!(causes.top().iter().map(|cause| cause.count).sum::<u64>(), names.len() as u64);
    }
}
