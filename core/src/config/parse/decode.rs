//! `[decode]` and `[pipeline]`: how bytes become records, and the bounds of that.

use crate::config::context::{At, Context};
use crate::config::table::{Item, Section};
use crate::config::values::shown_bytes;
use crate::config::{DecodeSpec, EnvelopeLayout, EnvelopeSpec, Format, KeyringSpec, PipelineSpec};
use crate::limits;

const KEYS: &[&str] = &["format", "record_bytes_max", "envelope"];
const ENVELOPE_KEYS: &[&str] = &["layout", "keyring", "keyring_env", "fields"];
const FIELDS_KEYS: &[&str] = &["key", "nonce", "data"];
const PIPELINE_KEYS: &[&str] = &["slice_bytes", "workers", "memory_max"];

const FORMATS: [(&str, Format); 4] =
    [("json", Format::Json), ("access_log", Format::AccessLog), ("csv", Format::Csv), ("tsv", Format::Tsv)];

/// `[decode]` as far as it could be read.
pub(super) struct DecodeDraft {
    /// `None` if it could not be read.
    pub(super) format: Option<Format>,
    record_bytes_max: Option<At<u64>>,
    envelope: EnvelopeDraft,
}

enum EnvelopeDraft {
    None,
    Unreadable,
    Some(EnvelopeSpec),
}

/// `[pipeline]` as far as it could be read.
pub(super) struct PipelineDraft {
    slice_bytes: Option<At<u64>>,
    workers: Option<u64>,
    memory_max: Option<u64>,
}

impl DecodeDraft {
    /// Whether each record is sealed as a frame.
    pub(super) fn is_framed(&self) -> bool {
        matches!(&self.envelope, EnvelopeDraft::Some(envelope) if envelope.layout == EnvelopeLayout::Frame)
    }

    pub(super) fn into_spec(self) -> Option<DecodeSpec> {
        let envelope = match self.envelope {
            EnvelopeDraft::None => None,
            EnvelopeDraft::Unreadable => return None,
            EnvelopeDraft::Some(envelope) => Some(envelope),
        };
        let record_bytes_max = self.record_bytes_max.map_or(limits::RECORD_BYTES_MAX, |bytes| bytes.value as usize);
        Some(DecodeSpec { format: self.format?, envelope, record_bytes_max })
    }
}

impl PipelineDraft {
    pub(super) fn into_spec(self) -> PipelineSpec {
        PipelineSpec {
            slice_bytes: self.slice_bytes.map_or(limits::SLICE_BYTES, |bytes| bytes.value as usize),
            workers: self.workers.map(|workers| workers as usize),
            memory_max: self.memory_max.map_or(limits::MEMORY_BYTES, |bytes| bytes as usize),
        }
    }
}

pub(super) fn read(root: &Section<'_>) -> DecodeDraft {
    let default = DecodeDraft { format: Some(Format::Json), record_bytes_max: None, envelope: EnvelopeDraft::None };
    let Some(section) = root.item("decode").and_then(|item| item.section(KEYS)) else {
        return default;
    };
    let format = match section.item("format") {
        Some(item) => item.one_of(&FORMATS).map(|format| format.value),
        None => Some(Format::Json),
    };
    let record_bytes_max =
        section.item("record_bytes_max").and_then(|item| item.bytes(1..=limits::RECORD_BYTES_CEILING as u64));
    let envelope = match section.item("envelope") {
        None => EnvelopeDraft::None,
        Some(item) => read_envelope(item, format).map_or(EnvelopeDraft::Unreadable, EnvelopeDraft::Some),
    };
    DecodeDraft { format, record_bytes_max, envelope }
}

pub(super) fn read_pipeline(root: &Section<'_>) -> PipelineDraft {
    let Some(section) = root.item("pipeline").and_then(|item| item.section(PIPELINE_KEYS)) else {
        return PipelineDraft { slice_bytes: None, workers: None, memory_max: None };
    };
    let range = limits::SLICE_BYTES_FLOOR as u64..=limits::SLICE_BYTES_CEILING as u64;
    let workers = section.item("workers").and_then(|item| item.integer(1..=limits::WORKERS_CEILING as u64));
    let memories = limits::MEMORY_BYTES_FLOOR as u64..=limits::MEMORY_BYTES_CEILING as u64;
    let memory_max = section.item("memory_max").and_then(|item| item.bytes(memories));
    PipelineDraft {
        slice_bytes: section.item("slice_bytes").and_then(|item| item.bytes(range)),
        workers: workers.map(|workers| workers.value),
        memory_max: memory_max.map(|bytes| bytes.value),
    }
}

/// A record is never torn between slices, so the longest must fit in one.
pub(super) fn check_sizes(context: &Context<'_>, decode: &DecodeDraft, pipeline: &PipelineDraft) {
    let record = decode.record_bytes_max.as_ref().map_or(limits::RECORD_BYTES_MAX as u64, |bytes| bytes.value);
    let slice = pipeline.slice_bytes.as_ref().map_or(limits::SLICE_BYTES as u64, |bytes| bytes.value);
    if record <= slice {
        return;
    }
    let (record, slice) = (shown_bytes(record), shown_bytes(slice));
    let message = format!(
        "a record of {record} (decode.record_bytes_max) does not fit in a slice of {slice} (pipeline.slice_bytes)"
    );
    // Both may be there; only one of the two defaults can be in conflict with what is written.
    if let Some(at) = decode.record_bytes_max.as_ref().or(pipeline.slice_bytes.as_ref()) {
        context.error_help(&at.place, message, "lower decode.record_bytes_max or raise pipeline.slice_bytes");
    }
}

fn read_envelope(item: &Item<'_>, format: Option<Format>) -> Option<EnvelopeSpec> {
    let section = item.section(ENVELOPE_KEYS)?;
    let layout = read_layout(&section, format);
    let keyring = read_keyring(&section);
    Some(EnvelopeSpec { layout: layout?, keyring: keyring? })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LayoutWord {
    Tab,
    Json,
    Frame,
}

const LAYOUTS: [(&str, LayoutWord); 3] =
    [("tab", LayoutWord::Tab), ("json", LayoutWord::Json), ("frame", LayoutWord::Frame)];

fn read_layout(section: &Section<'_>, format: Option<Format>) -> Option<EnvelopeLayout> {
    let fields = read_fields(section);
    let word = section.required("layout", "write layout = \"tab\", \"json\" or \"frame\"")?.one_of(&LAYOUTS)?;
    if word.value != LayoutWord::Json {
        section.refuse(&["fields"], "only the layout `json` has named fields", "leave it out");
    }
    if word.value == LayoutWord::Frame && matches!(format, Some(Format::Csv | Format::Tsv)) {
        let message = "frames have no header line, and the fields of csv and tsv are named by one";
        section.context.error_help(&word.place, message, "use the layout `tab` or `json`, or another decode.format");
    }
    match word.value {
        LayoutWord::Tab => Some(EnvelopeLayout::Tab),
        LayoutWord::Frame => Some(EnvelopeLayout::Frame),
        LayoutWord::Json => {
            let [key, nonce, data] = fields?;
            Some(EnvelopeLayout::Json { key, nonce, data })
        }
    }
}

/// The fields of a JSON envelope that hold key id, nonce and data: three different ones.
fn read_fields(section: &Section<'_>) -> Option<[String; 3]> {
    let Some(item) = section.item("fields") else {
        return Some(["key", "nonce", "data"].map(str::to_owned));
    };
    let fields = item.section(FIELDS_KEYS)?;
    let read = |name: &str| match fields.item(name) {
        Some(item) => item.filled_string().map(|field| field.value),
        None => Some(name.to_owned()),
    };
    let (key, nonce, data) = (read("key"), read("nonce"), read("data"));
    let (key, nonce, data) = (key?, nonce?, data?);
    if key == nonce || key == data || nonce == data {
        section.context.error(&item.place, "two of key, nonce and data are the same field");
        return None;
    }
    Some([key, nonce, data])
}

fn read_keyring(section: &Section<'_>) -> Option<KeyringSpec> {
    const HELP: &str = "write keyring = \"keyring.toml\" (a file) or keyring_env = \"LONGSHORE_KEYS\" (a variable)";
    match (section.item("keyring"), section.item("keyring_env")) {
        (None, None) => {
            section.context.error_help(&section.place.missing("keyring"), "an envelope needs its keys", HELP);
            None
        }
        (Some(file), None) => Some(KeyringSpec::File(section.context.resolve(&file.string()?)?)),
        (None, Some(variable)) => {
            let name = variable.filled_string()?;
            let is_name = name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || name.value.starts_with(|c: char| c.is_ascii_digit()) {
                // Not shown: it may be the keys themselves.
                let help = "write the variable's name only, such as LONGSHORE_KEYS; its value is the keyring";
                section.context.error_help(&name.place, "this is not the name of a variable", help);
                return None;
            }
            Some(KeyringSpec::Env(name.value))
        }
        (Some(_), Some(variable)) => {
            section.context.error_help(&variable.place, "the keys come from `keyring` already", "keep one of the two");
            None
        }
    }
}
