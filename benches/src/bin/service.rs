//! What `driver/service.py` runs beside the product: the engine without parts of its guarantee, a journal with slices in
//! doubt, and the journal by itself. Each prints one JSON object.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use longshore_benches::service::{Job, Without};
use longshore_benches::{case, doubt, service};
use longshore_core::slice::SliceId;
use longshore_ingest::content::Chain;
use longshore_ingest::journal::{Journal, JournaledSlice, Machine, Options, Reached};
use serde_json::{Map, json};

/// The command's own, so that freshly freed buffers cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
enum Cli {
    /// Follow the config's files until so many records are stored
    Load {
        /// The config; its server is on a URL, and its tables fit what is left out
        config: PathBuf,
        /// Records in the files
        #[arg(long)]
        records: u64,
        /// Parts to leave out: journal, tokens, provenance
        #[arg(long, value_delimiter = ',')]
        without: Vec<String>,
        /// Fail after so many seconds
        #[arg(long, default_value_t = 600)]
        seconds_max: u64,
    },
    /// Cut the files of these folders and journal the slices, as if nothing had been stored before a crash
    Doubt {
        /// The config
        config: PathBuf,
        /// Folders of small files
        folders: Vec<PathBuf>,
    },
    /// Journal slices one at a time, each with its sync, and time them
    Journal {
        /// A directory that is not there yet
        dir: PathBuf,
        /// How many
        #[arg(long)]
        slices: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli::Load { config, records, without, seconds_max } => {
            let without = Without::named(without.iter().map(String::as_str))?;
            load(&config, records, without, Duration::from_secs(seconds_max))
        }
        Cli::Doubt { config, folders } => {
            let text = read(&config)?;
            let (parsed, _) = case::decoder(&text, folder_of(&config)?)?;
            println!("{}", json!({ "in_doubt": doubt::leave_in_doubt(&text, &parsed, &folders)? }));
            Ok(())
        }
        Cli::Journal { dir, slices } => journal(&dir, slices),
    }
}

fn read(config: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(config).with_context(|| format!("reading {}", config.display()))
}

fn folder_of(file: &Path) -> anyhow::Result<&Path> {
    file.parent().with_context(|| format!("{} has no folder", file.display()))
}

fn load(path: &Path, records: u64, without: Without, patience: Duration) -> anyhow::Result<()> {
    let text = read(path)?;
    let (config, decoder) = case::decoder(&text, folder_of(path)?)?;
    let job = Job { text: &text, config: &config, without, records, patience };
    let totals = service::run(&job, decoder)?;
    let by_product: Map<_, _> =
        totals.rows_by_product.iter().map(|(name, rows)| (name.to_string(), json!(rows))).collect();
    println!(
        "{}",
        json!({
            "slices": totals.slices,
            "loaded": totals.loaded,
            "dead": totals.dead,
            "duplicates": totals.duplicates,
            "loaded_by_product": by_product,
        })
    );
    Ok(())
}

/// One source, whose slices are cut and done one after the other: the seconds of each cut, with its sync.
fn journal(dir: &Path, slices: u64) -> anyhow::Result<()> {
    ensure!(!dir.exists(), "{} is there already", dir.display());
    let (mut journal, _) = Journal::open(dir, Options::new(Machine::this())).context("opening the journal")?;
    let config = journal.keep_config("version = 1\n").context("keeping the config")?;
    let source = journal
        .know(b"the bench's only source", "/var/log/app.log", Reached::at(0))
        .context("making a source known")?;
    let mut seconds = Vec::new();
    for number in 0..slices {
        let (slice, start, end) = (SliceId(number), number * 100, number * 100 + 100);
        let slice = JournaledSlice {
            slice,
            source,
            start,
            end,
            before: Chain::default(),
            after: Chain(number),
            config,
            records: Some(1),
            cut_ms: 0,
        };
        let begin = Instant::now();
        journal.cut(&[slice]).context("journaling a slice")?;
        journal.done(&slice).context("saying that it is done")?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    println!("{}", json!({ "seconds": seconds }));
    Ok(())
}
