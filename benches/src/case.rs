//! One decoder and its slices in memory: what a pass of a parse bench runs over.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use longshore_core::budget::{Budget, Command};
use longshore_core::config::{self, Config, Env, KeyringSpec, ProductsSpec};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::envelope::Keyring;
use longshore_core::frame::cut;
use longshore_core::limits::SLICE_RECORDS_MAX;
use longshore_core::product::Dictionary;
use longshore_core::simd::Kernels;
use longshore_core::slice::{CutAt, Slice, SliceId};

use crate::answer::Answer;

/// What every pass decodes a second time, in percent of each slice: 0, and 3 in the self-test of `make bench-compare`.
const PLANTED_PERCENT: usize = if cfg!(feature = "planted") { 3 } else { 0 };

/// A decoder, and slices as the reader would cut them.
#[derive(Debug)]
pub struct Case {
    /// The parsed config.
    pub config: Config,
    /// The decoder under it.
    pub decoder: Decoder,
    /// All of the input, in order.
    pub slices: Vec<Slice>,
    /// Bytes of all slices.
    pub bytes: u64,
    /// Records of all slices.
    pub records: u64,
    /// The first percent of each slice, decoded again by every pass: see [`PLANTED_PERCENT`].
    planted: Vec<Slice>,
}

/// The scratches of passes over one case: the planted slices have their own, since small batches that are given back
/// would cost the large ones their buffers.
pub struct Buffers {
    slices: Scratch,
    planted: Scratch,
}

impl Case {
    /// Cuts the input into slices of the config's size. Files that the config names are read from `folder`.
    ///
    /// # Errors
    /// The config is wrong, one of its files is missing, or the input does not end with a whole record.
    pub fn new(config: &str, folder: &Path, input: &[u8]) -> anyhow::Result<Case> {
        let (config, decoder) = decoder(config, folder)?;
        let mut slices = Vec::new();
        let mut records = 0;
        let mut rest = input;
        let Budget { slice_bytes, records_max, .. } = Budget::of(&config, Command::Load);
        while !rest.is_empty() {
            let (framing, record_bytes_max) = (config.decode.framing(), config.decode.record_bytes_max);
            let window = &rest[..rest.len().min(slice_bytes)];
            let at_end = window.len() == rest.len();
            let cut = cut(framing, window, records_max, at_end, record_bytes_max);
            ensure!(cut.end > 0, "the input is not whole records: {:?}", cut.next);
            records += cut.records as u64;
            slices.push(slice(slices.len(), &rest[..cut.end]));
            rest = &rest[cut.end..];
        }
        let planted = match PLANTED_PERCENT {
            0 => Vec::new(),
            percent => slices.iter().map(|whole| first_percent(&config, whole, percent)).collect(),
        };
        Ok(Case { config, decoder, slices, bytes: input.len() as u64, records, planted })
    }

    /// The same with these kernels instead of the machine's widest.
    pub fn with_kernels(self, kernels: Kernels) -> Case {
        Case { decoder: self.decoder.with_kernels(kernels), ..self }
    }

    /// What a pass needs and keeps for the next one. A pass ends with the columns in the order of the records, which is
    /// what the rivals' passes end with; sorting counts in the engine's and the loads' figures.
    pub fn buffers(&self) -> Buffers {
        let scratch = || Scratch::new(&self.decoder).unsorted();
        Buffers { slices: scratch(), planted: scratch() }
    }

    /// Decodes every slice once and gives each batch's buffers back, as the pipeline does behind an insert. Gives the
    /// rows.
    pub fn pass(&self, buffers: &mut Buffers) -> u64 {
        for slice in &self.planted {
            self.decode(slice, &mut buffers.planted);
        }
        self.slices.iter().map(|slice| self.decode(slice, &mut buffers.slices)).sum()
    }

    fn decode(&self, slice: &Slice, scratch: &mut Scratch) -> u64 {
        let batch = std::hint::black_box(self.decoder.decode(slice, scratch)).batch;
        let rows = batch.num_rows() as u64;
        scratch.recycle(batch);
        rows
    }

    /// The decoder's answer over all slices.
    ///
    /// # Errors
    /// A record that was not loaded.
    pub fn answer(&self) -> anyhow::Result<Answer> {
        let mut answer = Answer::new(self.config.columns.iter().map(|column| &*column.name));
        let mut scratch = Scratch::new(&self.decoder);
        for slice in &self.slices {
            let decoded = self.decoder.decode(slice, &mut scratch);
            if let Some(dead) = decoded.dead.first() {
                let record = String::from_utf8_lossy(&dead.record);
                return Err(anyhow!("a record of the bench became a dead letter: {:?}: {record}", dead.fault));
            }
            answer.push_batch(&decoded.batch)?;
            scratch.recycle(decoded.batch);
        }
        Ok(answer)
    }
}

/// The decoder of a config whose files lie in `folder`.
///
/// # Errors
/// The config is wrong, or one of its files is missing.
pub fn decoder(text: &str, folder: &Path) -> anyhow::Result<(Config, Decoder)> {
    let config = config::parse(text, &folder.join("bench.toml"), &Env::new()).map_err(|diagnostics| {
        let report: Vec<String> = diagnostics.iter().map(|diagnostic| diagnostic.render()).collect();
        anyhow!("{}", report.join("\n"))
    })?;
    let keyring = match config.decode.envelope.as_ref().map(|envelope| &envelope.keyring) {
        None => None,
        Some(KeyringSpec::File(path)) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            Some(Keyring::parse(&text, &path.display().to_string())?)
        }
        Some(KeyringSpec::Env(name)) => return Err(anyhow!("a bench's keyring is a file, not the variable {name}")),
    };
    let dictionary = match &config.products {
        ProductsSpec::Column { dictionary: Some(spec), .. } => {
            let bytes = std::fs::read(&spec.path).with_context(|| format!("reading {}", spec.path.display()))?;
            Some(Dictionary::parse_csv(&bytes, &spec.path.display().to_string())?)
        }
        _ => None,
    };
    let decoder = Decoder::new(&config, keyring, dictionary)?;
    Ok((config, decoder))
}

fn slice(index: usize, bytes: &[u8]) -> Slice {
    let bytes = bytes.to_vec();
    Slice {
        id: SliceId(index as u64),
        source: Arc::from("bench"),
        start: 0,
        bytes,
        header: None,
        tail: None,
        messages: None,
        cut: CutAt::Unknown,
    }
}

/// Whole records that make up about that much of a slice.
fn first_percent(config: &Config, whole: &Slice, percent: usize) -> Slice {
    let window = &whole.bytes[..whole.bytes.len() * percent / 100];
    let cut = cut(config.decode.framing(), window, SLICE_RECORDS_MAX, false, config.decode.record_bytes_max);
    slice(0, &whole.bytes[..cut.end])
}
