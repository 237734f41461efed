//! The pipeline: one reader, decoders on every core, several inserts under way, every queue bounded.
//!
//! ```text
//! reader thread --[SLICES_READ_AHEAD]--> rayon workers --[SLICES_DECODED_QUEUED]--> insert threads --> sink
//!       ^                                     |
//!       +------------- used buffers ----------+
//! ```
//! A stage that cannot hand on waits, so when the sink slows down the reader stops reading; nothing is dropped. At any
//! moment there are at most `1 + SLICES_READ_AHEAD + workers` slices as bytes and
//! `workers + SLICES_DECODED_QUEUED + inserts_in_flight` as columns, and `SLICES_BEHIND_MAX` more for each insert thread
//! where slices have to wait for others ([`turns`](crate::turns)). What these columns take is bounded as well: a slice is
//! decoded once there is [memory](crate::memory) for all that it may become.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, bounded};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::limits::{SCRATCH_BYTES_MAX, SLICES_DECODED_QUEUED, SLICES_READ_AHEAD};

use crate::cut::{CutOptions, CutSlice};
use crate::input::{Input, InputError};
use crate::memory::{Memory, Permit};
use crate::progress::Progress;
use crate::read::ReadMethod;
use crate::reader::{Books, Reader, ReaderOptions, Reading, again};
use crate::retry::{RetryEnd, RetryPolicy, until_done};
use crate::sink::{Attempts, LoadedSlice, Sink, SinkError, Stored};
use crate::turns::Turns;

/// Bounds of a run.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// How slices are cut.
    pub cut: CutOptions,
    /// How files are read.
    pub read: ReadMethod,
    /// Decoding threads.
    pub workers: usize,
    /// Inserts under way at once.
    pub inserts_in_flight: usize,
    /// Memory for decoded slices.
    pub memory: Memory,
    /// Waiting for the sink.
    pub retry: RetryPolicy,
}

/// How a run ended, short of a fatal error.
#[derive(Debug)]
pub struct Outcome {
    /// Inputs that could not be read to their end; the others were loaded.
    pub input_errors: Vec<InputError>,
    /// Inputs that were taken for others, as sentences.
    pub alike: Vec<String>,
    /// A stop was asked for and not everything was read or stored.
    pub stopped: bool,
}

/// Why a run could not go on. What was acknowledged before is stored; the rest can be loaded again.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The sink refuses for good.
    #[error("{0}")]
    Sink(String),
    /// The decoding threads could not be started.
    #[error("cannot start the decoding threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Loads all inputs, in order. Returns once everything that was read is acknowledged, or nothing more can be.
///
/// `stop` ends the run early: what was cut is still stored, unless the sink is away. A refusing sink sets it too.
pub fn run(
    inputs: &[Input],
    books: Books<'_>,
    decoder: &Decoder,
    sink: &dyn Sink,
    options: &PipelineOptions,
    (progress, stop): (&Progress, &AtomicBool),
) -> Result<Outcome, PipelineError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.workers)
        .thread_name(|index| format!("decode-{index}"))
        .build()?;
    let (cut_send, cut) = bounded(SLICES_READ_AHEAD);
    let (decoded_send, decoded) = bounded(SLICES_DECODED_QUEUED);
    // As many as there can be slices as bytes: giving a buffer back never waits.
    let (used_send, used) = bounded(1 + SLICES_READ_AHEAD + options.workers);
    // As many as there can be batches with the sink or before it, so that all of them come back.
    let (stored_send, stored) = bounded(options.workers + SLICES_DECODED_QUEUED + options.inserts_in_flight);
    let run = Run { inputs, books, decoder, sink, options, progress, stop, end: Mutex::new(None) };

    let Reading { errors: input_errors, alike, end } = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let reader_options = ReaderOptions { cut: options.cut, read: options.read };
            let reading = Reader::new(&reader_options, books, progress, stop).read_all(inputs, &cut_send, &used);
            drop(cut_send);
            reading
        });
        for _ in 0..options.inserts_in_flight {
            let (decoded, stored_send) = (decoded.clone(), stored_send.clone());
            let run = &run;
            scope.spawn(move || run.insert(&decoded, &stored_send));
        }
        drop(decoded);
        pool.scope(|workers| {
            for _ in 0..options.workers {
                let (cut, decoded_send, used_send) = (cut.clone(), decoded_send.clone(), used_send.clone());
                let (run, stored) = (&run, &stored);
                workers.spawn(move |_| run.decode(&cut, &decoded_send, (&used_send, stored)));
            }
            // The last workers' handles must be the only ones, so that ends travel from stage to stage.
            drop((cut, decoded_send, used_send));
        });
        reader.join().expect("the reader does not panic")
    });

    match run.end.into_inner().expect("no panic while ending").or(end) {
        Some(RetryEnd::Fatal(detail)) => Err(PipelineError::Sink(detail)),
        Some(RetryEnd::Stopped(_) | RetryEnd::Behind(_)) => Ok(Outcome { input_errors, alike, stopped: true }),
        None => Ok(Outcome { input_errors, alike, stopped: stop.load(Ordering::Relaxed) }),
    }
}

/// A decoded slice, with its memory.
struct Held {
    loaded: LoadedSlice,
    /// It may be stored in part.
    in_doubt: bool,
    permit: Permit,
}

/// A batch that was stored, to be filled again.
struct Kept {
    batch: RecordBatch,
    permit: Permit,
}

/// What the stages share.
struct Run<'a> {
    inputs: &'a [Input],
    books: Books<'a>,
    decoder: &'a Decoder,
    sink: &'a dyn Sink,
    options: &'a PipelineOptions,
    progress: &'a Progress,
    stop: &'a AtomicBool,
    /// Set once, by the first insert that cannot succeed.
    end: Mutex<Option<RetryEnd>>,
}

impl Run<'_> {
    /// A decoding thread: until the reader is done or the inserters are gone. Memory goes round: a slice's bytes back to
    /// the reader, stored batches back into the columns.
    fn decode(
        &self,
        cut: &Receiver<CutSlice>,
        decoded: &Sender<Held>,
        (used, stored): (&Sender<Vec<u8>>, &Receiver<Kept>),
    ) {
        let mut scratch = Scratch::new(self.decoder);
        for CutSlice { slice, meta, in_doubt } in cut {
            if let Ok(Kept { batch, permit }) = stored.try_recv() {
                scratch.recycle(batch);
                drop(permit);
            }
            let bytes = self.decoder.decoded_bytes_max(&slice);
            let permit = self.options.memory.take(bytes, || {
                // What is kept for later is memory that somebody may need now.
                stored.try_iter().for_each(drop);
                true
            });
            let Some(mut permit) = permit else { return };
            let outcome = self.decoder.decode(&slice, &mut scratch);
            permit.resize(self.decoder.stored_bytes_max(&outcome, bytes, false));
            // The reader may have finished; then the buffer is simply freed.
            let _ = used.try_send(slice.bytes);
            let held = Held { loaded: LoadedSlice::new(meta, outcome), in_doubt, permit };
            if decoded.send(held).is_err() {
                return;
            }
        }
    }

    /// An insert thread: until the decoders are done or a slice cannot be stored.
    ///
    /// When every insert thread has ended for that reason the decoders' sends fail, they end, and so does the reader.
    fn insert(&self, decoded: &Receiver<Held>, stored: &Sender<Kept>) {
        let mut turns = Turns::new(decoded, self.options.retry.wait_max);
        while let Some(mut turn) = turns.next(|| self.stop.load(Ordering::Relaxed)) {
            if self.end.lock().expect("no panic while ending").is_some() {
                return;
            }
            let what = turn.what.loaded.meta.to_string();
            let on_retry = || {
                self.progress.retries.fetch_add(1, Ordering::Relaxed);
            };
            let mut attempts = Attempts::new(turn.what.in_doubt || !turn.waited().is_zero());
            let slice = &mut turn.what.loaded;
            match until_done(self.options.retry, self.stop, &what, on_retry, || self.attempt(&mut attempts, slice)) {
                Ok(became) => {
                    if let Err(error) = self.books.plans.done(turn.what.loaded.meta.id) {
                        self.end(RetryEnd::Fatal(error.to_string()));
                        return;
                    }
                    let Held { loaded, mut permit, .. } = turn.what;
                    self.progress.stored(&loaded, &became);
                    let batch = loaded.decoded.batch;
                    let bytes = batch.get_array_memory_size();
                    if bytes <= SCRATCH_BYTES_MAX && !self.options.memory.is_short() {
                        permit.resize(bytes);
                        // There is room for all; if the decoders have ended, the batch is simply freed.
                        let _ = stored.try_send(Kept { batch, permit });
                    }
                }
                Err(RetryEnd::Behind(why)) => {
                    if turn.waited() >= BEHIND_TOLD {
                        tracing::warn!("{what} waits: {why}");
                    }
                    // A load cannot give it back, and what it waits for may need the memory to come.
                    turn.what.permit.resize(0);
                    turns.later(turn);
                }
                Err(end) => {
                    self.end(end);
                    return;
                }
            }
        }
    }

    /// Nothing more can be stored, so nothing more need be read, and nobody need wait for the sink.
    fn end(&self, end: RetryEnd) {
        let mut first = self.end.lock().expect("no panic while ending");
        // A refusal outranks a stop: it is what the operator has to know.
        if first.is_none() || matches!(end, RetryEnd::Fatal(_)) {
            *first = Some(end);
        }
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Run<'_> {
    /// An attempt to store a slice. Rows that the sink rejects become dead letters.
    fn attempt(&self, attempts: &mut Attempts, slice: &mut LoadedSlice) -> Result<Stored, SinkError> {
        match attempts.make(self.sink, slice) {
            Err(SinkError::Isolate { detail }) if slice.rejected.is_empty() => {
                self.reject(slice, &detail)?;
                attempts.make(self.sink, slice)
            }
            outcome => outcome,
        }
    }

    /// Has the sink say which rows it rejects, and reads their records again.
    fn reject(&self, slice: &mut LoadedSlice, detail: &str) -> Result<(), SinkError> {
        let rows = self.sink.rejected(slice)?;
        tracing::error!("{}: {} of its rows are rejected and become dead letters ({detail})", slice.meta, rows.len());
        let read = ReaderOptions { cut: self.options.cut, read: self.options.read };
        let bytes = again::read(self.inputs, &slice.meta, &read, self.stop).map_err(|why| SinkError::Pause {
            detail: format!(
                "{}: {} of its rows are rejected ({detail}), and their records cannot be made dead letters: {why}",
                slice.meta,
                rows.len()
            ),
        })?;
        slice.rejected = self.decoder.dead_letters(&bytes, &rows);
        Ok(())
    }
}

/// A slice that waits for longer than this is told of.
const BEHIND_TOLD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
