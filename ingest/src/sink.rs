//! The boundary to whatever stores slices.

use std::fmt;
use std::sync::Arc;

use longshore_core::dead_letter::{DeadLetter, Fault};
use longshore_core::decode::DecodedSlice;
use longshore_core::slice::SliceId;

/// Which bytes of which source a slice holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceMeta {
    /// Identity: same stream, same content up to its end, same id.
    pub id: SliceId,
    /// Name of the source, for people.
    pub source: Arc<str>,
    /// By what the slices of its content are found ([`content`](crate::content)); of a topic a hash of its partition.
    pub head: u64,
    /// Offset of the first byte in the source, after decompression.
    pub start: u64,
    /// Offset just past the last byte.
    pub end: u64,
    /// Digest of all that stands before it in its content; zero of a topic.
    pub before: u64,
    /// Digest of that and of the slice, its complement if the slice is a record that is cut short; of a topic that of the
    /// slice alone.
    pub after: u64,
}

impl fmt::Display for SliceMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice {} of {}", self.id, self.source)
    }
}

/// A slice that is ready to be stored.
#[derive(Debug, Clone)]
pub struct LoadedSlice {
    /// Where it comes from.
    pub meta: SliceMeta,
    /// What became of it.
    pub decoded: DecodedSlice,
    /// The records of rows in it that the sink has [rejected](Sink::rejected), by ascending row: they are to be dead letters.
    pub rejected: Vec<DeadLetter>,
}

impl LoadedSlice {
    /// A slice of which the sink has rejected nothing.
    pub fn new(meta: SliceMeta, decoded: DecodedSlice) -> LoadedSlice {
        LoadedSlice { meta, decoded, rejected: Vec::new() }
    }
}

/// What became of a slice that is stored, where it is not what was decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Rows that were left out because their events are stored already, by product. Not known of a slice that was whole
    /// before this attempt.
    pub duplicates: Vec<(Arc<str>, u64)>,
    /// Rows that are dead letters because the sink rejected them, by product. Not known of a slice that was whole before
    /// this attempt.
    pub rejected: Vec<(Arc<str>, u64)>,
    /// Rows that are dead letters because an earlier attempt found their event times too far away, by product. Not known of a
    /// slice that was whole before this attempt.
    pub event_times: Vec<(Arc<str>, u64)>,
}

/// A row that a sink rejects, by its record's number in the slice, and why.
pub type RejectedRow = (u32, Fault);

/// Stores slices. [`write`](Sink::write) returns once rows, dead letters and ledger row are acknowledged.
///
/// It is called from several threads at once, but for one slice from one at a time.
pub trait Sink: Sync {
    /// Stores a slice of which nothing was sent before, all of it. [`Attempts`] sees to that.
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError>;

    /// Stores a slice that an earlier attempt, an earlier run or another engine may have stored in part, however long ago.
    /// What is there must not arrive twice; where the sink cannot tell, it is a [`SinkError::Pause`].
    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.write(slice)
    }

    /// Finds the rows for whose sake the sink refuses a slice ([`SinkError::Isolate`]), in ascending order, at least one. They
    /// are stored nowhere yet: their records have to be read again, and come with the slice as
    /// [`rejected`](LoadedSlice::rejected) when it is resumed.
    ///
    /// # Errors
    /// The sink is away, or it is no row's fault.
    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        Err(SinkError::Stuck { detail: format!("which row of slice {} is rejected cannot be found", slice.meta.id) })
    }
}

/// The attempts to store one slice.
///
/// After one that failed, whatever the reason, nobody knows what of the slice is stored: a server that comes back after a
/// power failure has forgotten the newest tokens, one that was killed may remember a token whose rows it lost, and so may
/// one whose disk was full. So the next attempt looks what is there before it sends anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    in_doubt: bool,
}

impl Attempts {
    /// Of a slice that may be stored in part, or of which nothing was sent before.
    pub fn new(in_doubt: bool) -> Attempts {
        Attempts { in_doubt }
    }

    /// The next attempt.
    pub fn make(&mut self, sink: &(impl Sink + ?Sized), slice: &LoadedSlice) -> Result<Stored, SinkError> {
        match std::mem::replace(&mut self.in_doubt, true) {
            false => sink.write(slice),
            true => sink.resume(slice),
        }
    }
}

/// Why a slice could not be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The sink is away or overloaded: waiting helps.
    #[error("{detail}")]
    Retry {
        /// What happened, one sentence.
        detail: String,
    },
    /// Another slice has to be stored before this one, or the sink has no room for it now and may have for others. Others may
    /// go ahead; this one is resumed after a while.
    #[error("{detail}")]
    Behind {
        /// Which slice, and what to do if it never will be; one or two sentences.
        detail: String,
    },
    /// Somebody has to change something in the sink or the config; then the same slice can be written.
    #[error("{detail}")]
    Pause {
        /// What happened and what to do, one or two sentences.
        detail: String,
    },
    /// Somebody has to look at this slice, or at what it meets; others may go ahead, and this one is resumed after a while.
    #[error("{detail}")]
    Stuck {
        /// What happened and what to do, one or two sentences.
        detail: String,
    },
    /// The sink rejects a row of the slice; the rest of it could be written.
    #[error("{detail}")]
    Isolate {
        /// What the sink says of the row, and what to do.
        detail: String,
    },
    /// The slice can never be written so: a bug of ours, or a sink that does not know what we rely on.
    #[error("{detail}")]
    Refuse {
        /// What happened and what to do, one or two sentences.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
    use longshore_core::slice::CutAt;

    use super::*;

    /// Refuses everything, and remembers how it was asked.
    struct Refusing(Mutex<Vec<&'static str>>);

    impl Refusing {
        fn refuse(&self, how: &'static str) -> Result<Stored, SinkError> {
            self.0.lock().expect("no panic").push(how);
            Err(SinkError::Retry { detail: "too many parts".into() })
        }
    }

    impl Sink for Refusing {
        fn write(&self, _: &LoadedSlice) -> Result<Stored, SinkError> {
            self.refuse("write")
        }

        fn resume(&self, _: &LoadedSlice) -> Result<Stored, SinkError> {
            self.refuse("resume")
        }
    }

    fn slice() -> LoadedSlice {
        let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
        let rows_by_product = Vec::new();
        let (dead, cut) = (Vec::new(), CutAt::Unknown);
        let decoded = DecodedSlice { batch, dead, records: 1, filtered: 0, duplicates: 0, rows_by_product, cut };
        let (id, source) = (SliceId(1), Arc::from("app.log"));
        LoadedSlice::new(SliceMeta { id, source, head: 1, start: 0, end: 0, before: 0, after: 0 }, decoded)
    }

    #[test]
    fn only_what_was_never_sent_is_sent_without_looking() {
        for (in_doubt, calls) in [(false, ["write", "resume", "resume"]), (true, ["resume", "resume", "resume"])] {
            let sink = Refusing(Mutex::default());
            let mut attempts = Attempts::new(in_doubt);
            (0..3).for_each(|_| assert!(attempts.make(&sink, &slice()).is_err()));
            assert_eq!(*sink.0.lock().expect("no panic"), calls);
        }
    }
}
