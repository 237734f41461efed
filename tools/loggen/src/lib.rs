//! Deterministic channel logs and the answers that an engine must give for them.
//!
//! [`generate`] writes a log of any size in the shape of real ones (skewed products, channels and users, late,
//! repeated and broken records, escapes, encryption) at the speed of the disk, and on request computes, from
//! what it knows rather than from what it wrote, what a correct engine answers: this crate is the independent
//! oracle for Longshore, and so it depends on no other part of Longshore.
//!
//! Records are made in blocks of a fixed number on all cores and written in order, so the same [`Options`]
//! give the same bytes on any machine. Memory is bounded by a few blocks a core, plus 32 bytes a record when
//! answers are wanted.

mod block;
mod delimited;
mod envelope;
mod error;
mod expect;
mod json;
mod keyring;
mod options;
mod output;
mod record;
mod rng;
mod text;
mod value;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

pub use error::{Error, Result};
pub use options::{
    Cipher, Compression, Encryption, Envelope, Format, MINUTES_MAX, Options, PRODUCTS_MAX, START_MS_DEFAULT, USERS_MAX,
};
pub use record::{Event, Reason};

use block::{Block, Counts, RECORDS_PER_BLOCK};
use error::on_file;
use options::Plan;
use output::Output;
use record::Row;

/// What was written, and what an engine must make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Records written: loaded + filtered + dead.
    pub records: u64,
    /// Bytes given to the writer, after compression.
    pub bytes: u64,
    /// Bytes before compression; envelopes and the header line count.
    pub uncompressed_bytes: u64,
    /// Records that must be loaded.
    pub loaded: u64,
    /// Records that the declared filter must drop.
    pub filtered: u64,
    /// Dead letters by reason; reasons without any are absent.
    pub dead: BTreeMap<&'static str, u64>,
    /// Loaded records by product id; every product is present.
    pub loaded_by_product: BTreeMap<String, u64>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records written so far.
    pub records: u64,
    /// Their bytes before compression.
    pub bytes: u64,
}

/// Writes the log to `out` and the files that `options` asks for beside it.
///
/// # Errors
/// Options that contradict each other, a file that cannot be read or written, or `out`'s own error. What was
/// written until then stays.
pub fn generate(options: &Options, out: &mut dyn Write) -> Result<Summary> {
    generate_watched(options, out, &mut |_| {})
}

/// [`generate`], calling `watch` every few thousand records.
///
/// # Errors
/// As [`generate`].
pub fn generate_watched(options: &Options, out: &mut dyn Write, watch: &mut dyn FnMut(Progress)) -> Result<Summary> {
    let plan = Plan::new(options)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    if let Some(path) = &options.products_file {
        std::fs::write(path, world::products_csv(options.products))
            .map_err(on_file("cannot write the products", path))?;
    }
    if let Some(folder) = &options.expect {
        std::fs::create_dir_all(folder).map_err(on_file("cannot create the folder", folder))?;
    }

    let mut output = Output::new(options.compression, out).map_err(Error::Output)?;
    let mut counts = Counts::new(plan.world.products());
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes = 0;
    let header = header(&plan, options.no_final_newline);
    output.write(&header).map_err(Error::Output)?;
    for_each_block(&plan, &pool, |mut block| {
        counts.add(&block.counts);
        if options.no_final_newline && counts.records == plan.records {
            block.bytes.truncate(block.bytes.len() - plan.line_end.len());
        }
        rows.append(&mut block.rows);
        bytes += block.bytes.len() as u64;
        output.write(&block.bytes).map_err(Error::Output)?;
        watch(Progress { records: counts.records, bytes });
        Ok(())
    })?;
    let sizes = output.finish().map_err(Error::Output)?;

    let summary = summarize(&counts, sizes);
    if let Some(folder) = &options.expect {
        pool.install(|| expect::write(folder, &mut rows))?;
        write_summary(folder, &summary)?;
    }
    Ok(summary)
}

/// The header line of a CSV or TSV file.
fn header(plan: &Plan, no_final_newline: bool) -> Vec<u8> {
    let mut header = Vec::new();
    let Some(dialect) = plan.dialect() else { return header };
    delimited::push_header(&mut header, dialect);
    if plan.records > 0 || !no_final_newline {
        header.extend_from_slice(plan.line_end);
    }
    header
}

/// Makes the blocks on the pool's threads and hands them to `consume`, on this thread, in order. At most
/// three batches of two blocks a thread exist at once: one being made, one waiting, one being consumed.
fn for_each_block(plan: &Plan, pool: &rayon::ThreadPool, mut consume: impl FnMut(Block) -> Result<()>) -> Result<()> {
    let blocks = plan.records.div_ceil(RECORDS_PER_BLOCK);
    let batch_blocks = 2 * pool.current_num_threads() as u64;
    thread::scope(|scope| {
        let (sender, batches) = mpsc::sync_channel::<Vec<Block>>(1);
        scope.spawn(move || {
            for first in (0..blocks).step_by(batch_blocks as usize) {
                let numbers = first..blocks.min(first + batch_blocks);
                let batch = pool.install(|| numbers.into_par_iter().map(|number| block::make(plan, number)).collect());
                if sender.send(batch).is_err() {
                    return; // The consumer has failed and says why.
                }
            }
        });
        batches.into_iter().flatten().try_for_each(&mut consume)
    })
}

fn summarize(counts: &Counts, sizes: output::Sizes) -> Summary {
    let dead = Reason::ALL.into_iter().map(|reason| (reason.name(), counts.dead[reason as usize]));
    let products = counts.loaded.iter().enumerate();
    Summary {
        records: counts.records,
        bytes: sizes.written,
        uncompressed_bytes: sizes.uncompressed,
        loaded: counts.loaded.iter().sum(),
        filtered: counts.filtered,
        dead: dead.filter(|(_, count)| *count > 0).collect(),
        loaded_by_product: products.map(|(number, count)| (format!("p{:02}", number + 1), *count)).collect(),
    }
}

impl Summary {
    /// One JSON object: the fields under their own names.
    pub fn to_json(&self) -> String {
        let dead = expect::json_object(self.dead.iter().map(|(reason, count)| (*reason, *count)));
        let products = expect::json_object(self.loaded_by_product.iter().map(|(id, count)| (id.as_str(), *count)));
        format!(
            "{{\"records\":{},\"bytes\":{},\"uncompressed_bytes\":{},\"loaded\":{},\"filtered\":{},\
             \"dead\":{dead},\"loaded_by_product\":{products}}}\n",
            self.records, self.bytes, self.uncompressed_bytes, self.loaded, self.filtered,
        )
    }
}

fn write_summary(folder: &Path, summary: &Summary) -> Result<()> {
    let path = folder.join("summary.json");
    std::fs::write(&path, summary.to_json()).map_err(on_file("cannot write", &path))
}
