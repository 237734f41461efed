//! The reader alone: inputs into memory, decompressed, cut into slices, and handed to nobody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use longshore_core::limits::{READ_STOP_CHECK_MS, SLICES_READ_AHEAD};

use super::{Cost, Effort, StageError};
use crate::cut::CutSlice;
use crate::input::{Input, InputError};
use crate::progress::Progress;
use crate::reader::{Books, Reader, ReaderOptions};

/// What to take of the inputs.
#[derive(Debug, Clone, Copy)]
pub struct SampleOptions {
    /// How slices are cut, as in a load.
    pub reader: ReaderOptions,
    /// Bytes after decompression that are enough. Slices are not torn, so it may be a slice more.
    pub bytes: u64,
}

/// The first slices of the inputs.
#[derive(Debug)]
pub struct Sample {
    /// In the order of the inputs.
    pub slices: Vec<CutSlice>,
    /// Bytes of them after decompression.
    pub bytes: u64,
    /// The same with the slices that had been read when these were enough.
    pub read_bytes: u64,
    /// It is less than was asked for, because the inputs have no more.
    pub whole: bool,
    /// What reading them took, into fresh memory.
    pub cost: Cost,
    /// Bytes that were read for it, as stored.
    pub stored_bytes: u64,
    /// Inputs that could not be read to their end.
    pub input_errors: Vec<InputError>,
}

/// What one reading came to.
#[derive(Debug, Clone, Copy)]
pub struct ReadRun {
    /// Bytes of slices, after decompression.
    pub bytes: u64,
    /// What it took.
    pub cost: Cost,
}

impl Sample {
    /// Reads the first slices of the inputs and keeps them.
    ///
    /// # Errors
    /// There is no record in them, they cannot be read, or `stop` was set.
    pub fn read(inputs: &[Input], options: &SampleOptions, stop: &AtomicBool) -> Result<Sample, StageError> {
        let (mut slices, mut bytes, mut read_bytes) = (Vec::new(), 0, 0);
        let (pumped, cost) = Cost::of(|| {
            pump(inputs, options, stop, |slice| {
                let slice_bytes = slice.meta.end - slice.meta.start;
                read_bytes += slice_bytes;
                if bytes < options.bytes {
                    bytes += slice_bytes;
                    slices.push(slice);
                }
                None
            })
        });
        let Pumped { input_errors, whole, stored_bytes } = pumped?;
        if !slices.is_empty() {
            return Ok(Sample { slices, bytes, read_bytes, whole, cost, stored_bytes, input_errors });
        }
        Err(input_errors.into_iter().next().map_or(StageError::Empty, StageError::Input))
    }
}

/// How much of what is read from files the page cache has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCache {
    /// Bytes that it has.
    pub cached: u64,
    /// Of so many.
    pub of: u64,
}

impl PageCache {
    /// Of the first `bytes` stored bytes of the inputs; `None` if one of them is no file, or the system does not tell.
    pub fn of(inputs: &[Input], bytes: u64) -> Option<PageCache> {
        let mut sum = PageCache::default();
        for input in inputs.iter().filter(|input| input.stored_bytes() != Some(0)) {
            if sum.of >= bytes {
                break;
            }
            let (cached, of) = input.cached_bytes(bytes - sum.of)?;
            sum = PageCache { cached: sum.cached + cached, of: sum.of + of };
        }
        (sum.of > 0).then_some(sum)
    }

    /// It has most of it.
    pub fn is_warm(self) -> bool {
        self.cached > self.of / 2
    }
}

impl Sample {
    /// Measures reading as much as the sample again, each slice's memory given back at once as in a load.
    ///
    /// Input that is not a file is not there to be read again, and a file that was not in the page cache before the
    /// sample was taken may be now: then reading the sample is the only repetition there is. `before` is the page cache
    /// then.
    ///
    /// # Errors
    /// `stop` was set.
    pub fn measure_reading(
        &self,
        inputs: &[Input],
        options: &SampleOptions,
        (before, effort): (Option<PageCache>, Effort),
        stop: &AtomicBool,
    ) -> Result<Vec<ReadRun>, StageError> {
        let has_files_only = inputs.iter().all(|input| input.stored_bytes().is_some());
        let was_warmed = before.is_some_and(|before| !before.is_warm())
            && PageCache::of(inputs, options.bytes).is_some_and(PageCache::is_warm);
        if !has_files_only || was_warmed {
            return Ok(vec![ReadRun { bytes: self.read_bytes, cost: self.cost }]);
        }
        effort.repeat(|| {
            let mut bytes = 0;
            let (pumped, cost) = Cost::of(|| {
                pump(inputs, options, stop, |slice| {
                    bytes += slice.meta.end - slice.meta.start;
                    Some(slice.slice.bytes)
                })
            });
            pumped?;
            Ok(ReadRun { bytes, cost })
        })
    }
}

struct Pumped {
    input_errors: Vec<InputError>,
    whole: bool,
    stored_bytes: u64,
}

/// Runs the reader until it has sent enough. `take` has every slice and may give its memory back.
fn pump(
    inputs: &[Input],
    options: &SampleOptions,
    stop: &AtomicBool,
    mut take: impl FnMut(CutSlice) -> Option<Vec<u8>>,
) -> Result<Pumped, StageError> {
    let enough = AtomicBool::new(false);
    let progress = Progress::default();
    let (slices_send, slices) = bounded(SLICES_READ_AHEAD);
    let (used_send, used) = bounded(2 + SLICES_READ_AHEAD);
    let input_errors = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reader = Reader::new(&options.reader, Books::NONE, &progress, &enough);
            let reading = reader.read_all(inputs, &slices_send, &used);
            drop(slices_send);
            reading.errors
        });
        let mut bytes = 0;
        loop {
            match slices.recv_timeout(Duration::from_millis(READ_STOP_CHECK_MS.into())) {
                Ok(slice) => {
                    bytes += slice.meta.end - slice.meta.start;
                    if let Some(buffer) = take(slice) {
                        // Full if the reader has ended; then the buffer is simply freed.
                        let _ = used_send.try_send(buffer);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if bytes >= options.bytes || stop.load(Ordering::Relaxed) {
                enough.store(true, Ordering::Relaxed);
            }
        }
        reader.join().expect("the reader does not panic")
    });
    super::unless_stopped(stop)?;
    Ok(Pumped {
        input_errors,
        whole: !enough.load(Ordering::Relaxed),
        stored_bytes: progress.stored_read.load(Ordering::Relaxed),
    })
}
