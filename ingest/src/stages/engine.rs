//! What a core does with slices that are in memory: opening, decoding, and whatever follows on a batch.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use longshore_core::dead_letter::Reason;
use longshore_core::decode::{DecodedSlice, Decoder, Opened, Scratch};

use super::{Cost, Effort, Sample, StageError, unless_stopped};

/// Something that is done with every batch after it was decoded, and its result thrown away.
pub type Step<'a> = &'a dyn Fn(&DecodedSlice);

/// The engine and the sample that it is measured on.
pub struct Engine<'a> {
    /// As a load has it.
    pub decoder: &'a Decoder,
    /// What is decoded.
    pub sample: &'a Sample,
    /// What is done with the batches.
    pub steps: &'a [Step<'a>],
}

/// What became of the sample's records, the same in every repetition. `records == rows + dead + filtered`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Records, bad ones included.
    pub records: u64,
    /// Records that became rows.
    pub rows: u64,
    /// Records that became dead letters.
    pub dead: u64,
    /// Records that a declared filter dropped.
    pub filtered: u64,
    /// Dead letters by reason.
    pub dead_by_reason: BTreeMap<Reason, u64>,
}

/// What one repetition took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRun {
    /// Opening alone; `None` if records are not sealed.
    pub open: Option<Cost>,
    /// Decoding without sorting, opening included.
    pub unsorted: Cost,
    /// Decoding as in a load.
    pub decode: Cost,
    /// Each of the steps, in their order.
    pub steps: Vec<Cost>,
}

impl Engine<'_> {
    /// Measures all stages, slice by slice in turn, so that whatever else the machine does hits all of them alike.
    ///
    /// Memory is warm from a pass that is not counted, and batches are given back: a load runs far longer than its
    /// first slices.
    ///
    /// # Errors
    /// `stop` was set.
    ///
    /// # Panics
    /// If repetitions or stages disagree about the sample's records, which no input can make them do.
    pub fn measure(&self, effort: Effort, stop: &AtomicBool) -> Result<(Answer, Vec<EngineRun>), StageError> {
        let mut scratch = [Scratch::new(self.decoder), Scratch::new(self.decoder).unsorted()];
        let (right, _) = self.once(&mut scratch, stop)?;
        let runs = effort.repeat(|| {
            let (answer, run) = self.once(&mut scratch, stop)?;
            assert_eq!(answer, right, "the same slices were decoded to the same rows");
            Ok::<_, StageError>(run)
        })?;
        Ok((right, runs))
    }

    fn once(
        &self,
        [scratch, unsorted]: &mut [Scratch; 2],
        stop: &AtomicBool,
    ) -> Result<(Answer, EngineRun), StageError> {
        let mut answer = Answer::default();
        let mut run = EngineRun {
            open: None,
            unsorted: Cost::default(),
            decode: Cost::default(),
            steps: vec![Cost::default(); self.steps.len()],
        };
        for slice in &self.sample.slices {
            unless_stopped(stop)?;
            let (opened, open) = Cost::of(|| self.decoder.open_only(&slice.slice, scratch));
            let (in_source_order, cost) = Cost::of(|| self.decoder.decode(&slice.slice, unsorted));
            run.unsorted += cost;
            let (decoded, cost) = Cost::of(|| self.decoder.decode(&slice.slice, scratch));
            run.decode += cost;
            assert_eq!(in_source_order.rows_by_product, decoded.rows_by_product, "sorting changes no row");
            unsorted.recycle(in_source_order.batch);
            if let Some(opened) = opened {
                assert_eq!(opened, expected_of_opening(&decoded, slice.slice.tail.is_some(), opened.bytes));
                *run.open.get_or_insert_default() += open;
            }
            for (step, cost) in self.steps.iter().zip(&mut run.steps) {
                *cost += Cost::of(|| step(&decoded)).1;
            }
            answer.count(&decoded);
            scratch.recycle(decoded.batch);
        }
        Ok((answer, run))
    }
}

/// What opening alone must have found, by what decoding found.
fn expected_of_opening(decoded: &DecodedSlice, has_tail: bool, bytes: u64) -> Opened {
    let is_refusal =
        |reason| matches!(reason, Reason::TooLong | Reason::BadEnvelope | Reason::UnknownKey | Reason::TagMismatch);
    // The tail is the last dead letter and was never a record to open.
    let letters = &decoded.dead[..decoded.dead.len() - usize::from(has_tail)];
    let refused = letters.iter().filter(|letter| is_refusal(letter.fault.reason)).count() as u64;
    Opened { opened: decoded.records - u64::from(has_tail) - refused, refused, bytes }
}

impl Answer {
    fn count(&mut self, decoded: &DecodedSlice) {
        self.records += decoded.records;
        self.rows += decoded.batch.num_rows() as u64;
        self.dead += decoded.dead.len() as u64;
        self.filtered += decoded.filtered;
        for letter in &decoded.dead {
            *self.dead_by_reason.entry(letter.fault.reason).or_default() += 1;
        }
        assert_eq!(self.records, self.rows + self.dead + self.filtered, "every record is accounted for");
    }
}
