//! The engine alone: the pipeline from files to a sink that writes each batch as an Arrow stream to nowhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamEncoder;
use longshore_core::budget::{Budget, Command};
use longshore_core::config::Config;
use longshore_core::decode::Decoder;
use longshore_core::limits::WORKERS_DEFAULT_MAX;
use longshore_ingest::cut::CutOptions;
use longshore_ingest::input::Input;
use longshore_ingest::memory::Memory;
use longshore_ingest::pipeline::{self, PipelineOptions};
use longshore_ingest::progress::{Progress, Totals};
use longshore_ingest::read::ReadMethod;
use longshore_ingest::reader::Books;
use longshore_ingest::retry::RetryPolicy;
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError, Stored};

use crate::clock::process_cpu_seconds;

/// Encodes as the ClickHouse sink does, and lets the bytes go.
#[derive(Debug, Default)]
struct NullSink {
    encoded_bytes: AtomicU64,
}

impl Sink for NullSink {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let batch = &slice.decoded.batch;
        let fatal = |error: arrow_schema::ArrowError| SinkError::Refuse { detail: error.to_string() };
        let mut encoder = StreamEncoder::try_new(&batch.schema()).map_err(fatal)?;
        let mut buffers = encoder.encode(batch).map_err(fatal)?;
        buffers.extend(encoder.finish().map_err(fatal)?);
        let bytes: usize = buffers.iter().map(Buffer::len).sum();
        self.encoded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(Stored::default())
    }
}

/// One run over all inputs.
#[derive(Debug)]
pub struct EngineRun {
    /// What was read and decoded.
    pub totals: Totals,
    /// Bytes of the Arrow streams.
    pub encoded_bytes: u64,
    /// From the first byte read to the last batch encoded.
    pub seconds: f64,
    /// Of all threads meanwhile.
    pub cpu_seconds: f64,
}

/// Runs the pipeline once over these inputs, with the config's workers and slices.
///
/// # Errors
/// An input that cannot be read, or a record that was not loaded: the bench's inputs have none.
pub fn run(config: &Config, decoder: &Decoder, inputs: &[Input], read: ReadMethod) -> anyhow::Result<EngineRun> {
    let options = PipelineOptions {
        cut: CutOptions::of(config),
        read,
        workers: config.pipeline.workers.unwrap_or_else(default_workers),
        inserts_in_flight: config.clickhouse.inserts_in_flight,
        memory: Memory::new(Budget::of(config, Command::Load).decoded_bytes),
        retry: RetryPolicy::default(),
    };
    let (sink, progress, stop) = (NullSink::default(), Progress::default(), AtomicBool::new(false));
    let (start, cpu) = (Instant::now(), process_cpu_seconds());
    let outcome = pipeline::run(inputs, Books::NONE, decoder, &sink, &options, (&progress, &stop))?;
    let (seconds, cpu_seconds) = (start.elapsed().as_secs_f64(), process_cpu_seconds() - cpu);
    if let Some(error) = outcome.input_errors.into_iter().next() {
        return Err(error).context("an input of the bench");
    }
    let totals = progress.totals();
    if totals.dead > 0 {
        bail!("{} of {} records became dead letters: {:?}", totals.dead, totals.records, totals.dead_by_reason);
    }
    ensure!(totals.loaded == totals.records, "{} of {} records were loaded", totals.loaded, totals.records);
    Ok(EngineRun { totals, encoded_bytes: sink.encoded_bytes.into_inner(), seconds, cpu_seconds })
}

pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_DEFAULT_MAX)
}
