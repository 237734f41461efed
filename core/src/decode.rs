//! Decoding: one slice in, one Arrow batch and its dead letters out.
//!
//! A record goes through these steps, and the first that refuses it decides its fate:
//!
//! 1. its length (`too_long`), its envelope if there is one, UTF-8;
//! 2. its format: the whole record is checked, and the declared fields are found;
//! 3. its columns, one after the other in the order of the config: types, required fields, masks;
//! 4. the filters. A record that is wrong is a dead letter even if a filter would have dropped it: nobody knows what it
//!    was meant to be. Filters see what the columns store, that is, masked values;
//! 5. its product. A record that a filter drops need not have a known product.
//!
//! Whatever refuses a record, all columns are cut back to the row before it, so that one bad record never costs its
//! neighbours. Rows are numbered by the records of the slice, bad and filtered ones included.
//!
//! Deterministic: the same slice, cut at the same moment, under the same config gives the same batch and the same dead letters, byte by byte,
//! whatever was decoded before with the same scratch.

mod blocks;
mod fields;
mod filters;
mod open_only;
mod products;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::{Schema, SchemaRef};

use self::blocks::JsonScratch;
use self::fields::{Fields, FieldsScratch};
use self::filters::Filter;
pub use self::open_only::Opened;
use self::products::{Products, ProductsScratch};
use crate::budget::{Budget, Command};
use crate::column::arrow::arrow_field;
use crate::column::builder::ColumnBuilder;
use crate::column::event_bounds::EventBounds;
use crate::column::layout::{LayoutColumn, Origin, event_columns};
use crate::column::reused::Reused;
use crate::column::{ColumnSpec, ColumnType};
use crate::config::{Config, Framing};
use crate::dead_letter::{DeadLetter, Fault, Reason};
use crate::delimited::BOM;
use crate::envelope::{Keyring, Opener};
use crate::frame::{Division, FRAME_PREFIX_BYTES, Records};
use crate::limits::{
    DEAD_LETTER_DETAIL_BYTES, DEAD_LETTER_DETAIL_SHORT_BYTES, DEAD_LETTER_DETAILS_BYTES, DEAD_LETTER_HEAD_BYTES,
    DICTIONARY_VALUES_MAX, DICTIONARY_VALUES_MIN, SCRATCH_BYTES_MAX,
};
use crate::message::{self, Messages};
use crate::order::{Order, OrderScratch};
use crate::product::{Dictionary, DictionaryError};
use crate::simd::Kernels;
use crate::slice::{CutAt, Slice};

/// What became of a slice. `records == batch.num_rows() + dead.len() + filtered + duplicates`.
#[derive(Debug, Clone)]
pub struct DecodedSlice {
    /// The rows to load, columns as in [`crate::column::layout::event_columns`].
    pub batch: RecordBatch,
    /// The records that cannot be loaded, in order.
    pub dead: Vec<DeadLetter>,
    /// Records in the slice, the tail included.
    pub records: u64,
    /// Records that a declared filter dropped.
    pub filtered: u64,
    /// Rows that a sink took out because their events are stored already; none as decoded.
    pub duplicates: u64,
    /// Rows of `batch` by product, products in order of their id.
    pub rows_by_product: Vec<(Arc<str>, u64)>,
    /// The moment that event times were compared with.
    pub cut: CutAt,
}

impl DecodedSlice {
    /// Bytes that it takes up, about.
    pub fn held_bytes(&self) -> usize {
        let dead = |letter: &DeadLetter| {
            size_of::<DeadLetter>() + letter.record.capacity() + letter.fault.detail.capacity() + ALLOCATION_BYTES
        };
        self.batch.get_array_memory_size() + self.dead.iter().map(dead).sum::<usize>()
    }
}

/// What an allocator takes for a dead letter's record and explanation beside their bytes.
const ALLOCATION_BYTES: usize = 16;

/// Why there can be no decoder for a config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecoderError {
    /// The config has an envelope, but no keyring was given.
    #[error("records are sealed ([decode.envelope]), but there is no keyring to open them with")]
    NoKeyring,
    /// The config has a dictionary, but none was given.
    #[error("[products] has a dictionary, but none was read")]
    NoDictionary,
    /// The dictionary lacks what the config wants of it.
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
}

/// Decodes slices under one config. Shared by all workers; each brings its own [`Scratch`].
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    record_bytes_max: usize,
    opener: Option<Opener>,
    fields: Fields,
    filters: Vec<Filter>,
    products: Products,
    config: Config,
    budget: Budget,
    layout: Vec<LayoutColumn>,
    order: Order,
    schema: SchemaRef,
    kernels: Kernels,
    /// No reason may show what stands in a record: [`Config::hides_values`].
    hides_values: bool,
    /// Records may take the fast pass.
    walks: bool,
}

/// What a worker needs to decode and keeps from slice to slice: growing columns, buffers.
pub struct Scratch {
    /// The declared columns, in order.
    columns: Vec<ColumnBuilder>,
    /// Which of them is the event time.
    time: usize,
    /// Positions in the slice of the records that are rows.
    rows: Reused<u32>,
    /// The slice's id, once a row.
    slice_ids: Reused<u64>,
    /// The open record, if records are sealed.
    open: Vec<u8>,
    /// An unescaped text.
    text: String,
    fields: FieldsScratch,
    /// Used if records are JSON.
    json: JsonScratch,
    products: ProductsScratch,
    order: OrderScratch,
}

/// What has come of a slice so far, but for its rows.
struct Outcome<'s> {
    /// The records and where they start in the source.
    bytes: &'s [u8],
    /// What tells them apart.
    division: Division<'s>,
    start: u64,
    /// Bytes before a record that belong to it.
    prefix: usize,
    dead: Vec<DeadLetter>,
    /// Bytes of the explanations of the dead.
    details_bytes: usize,
    filtered: u64,
    /// Number of the next record.
    row: u32,
}

impl<'s> Outcome<'s> {
    fn new(division: Division<'s>, start: u64, bytes: &'s [u8]) -> Self {
        let prefix = match division {
            Division::Framing(Framing::Frames) => FRAME_PREFIX_BYTES,
            Division::Framing(Framing::Lines) | Division::Ends(_) => 0,
        };
        Outcome { bytes, division, start, prefix, dead: Vec::new(), details_bytes: 0, filtered: 0, row: 0 }
    }

    /// The record at `source` is the next one, and dead.
    #[cold]
    fn die(&mut self, source: (usize, usize), fault: Fault) {
        self.die_at(self.row, source, fault);
    }

    /// The record of that number, which stands at `source`, is dead.
    #[cold]
    fn die_at(&mut self, row: u32, (from, to): (usize, usize), fault: Fault) {
        let offset = self.start + (from - self.prefix) as u64;
        let detail_bytes_max = match self.details_bytes {
            0..DEAD_LETTER_DETAILS_BYTES => DEAD_LETTER_DETAIL_BYTES,
            _ => DEAD_LETTER_DETAIL_SHORT_BYTES,
        };
        let letter = dead_letter((row, offset), &self.bytes[from..to], fault, detail_bytes_max);
        self.details_bytes += letter.fault.detail.len();
        self.dead.push(letter);
    }
}

/// What becomes of a record that is not wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Loaded,
    Filtered,
}

impl Decoder {
    /// A decoder for a checked config, with the keyring and the dictionary that it names.
    ///
    /// # Errors
    /// What the config names was not given, or does not fit it.
    pub fn new(
        config: &Config,
        keyring: Option<Keyring>,
        dictionary: Option<Dictionary>,
    ) -> Result<Decoder, DecoderError> {
        let opener = match (&config.decode.envelope, keyring) {
            (None, _) => None,
            (Some(_), None) => return Err(DecoderError::NoKeyring),
            (Some(envelope), Some(keyring)) => {
                Some(Opener::new(envelope.layout.clone(), Arc::new(keyring), Kernels::widest()))
            }
        };
        let layout = event_columns(config);
        Ok(Decoder {
            framing: config.decode.framing(),
            record_bytes_max: config.decode.record_bytes_max,
            opener,
            fields: Fields::new(config.decode.format, &config.columns),
            filters: config.filters.iter().map(|spec| Filter::new(spec, &config.columns)).collect(),
            products: Products::new(config, dictionary)?,
            config: config.clone(),
            schema: Arc::new(Schema::new(layout.iter().map(arrow_field).collect::<Vec<_>>())),
            order: Order::new(config, &layout, Kernels::widest()),
            layout,
            // What a slice becomes is the same whatever the command.
            budget: Budget::of(config, Command::Load),
            kernels: Kernels::widest(),
            hides_values: config.hides_values(),
            walks: true,
        })
    }

    /// The same with these kernels instead of the machine's widest: the batches do not change, byte by byte.
    pub fn with_kernels(mut self, kernels: Kernels) -> Decoder {
        self.kernels = kernels;
        self.order = self.order.with_kernels(kernels);
        self.opener = self.opener.map(|opener| opener.with_kernels(kernels));
        self
    }

    /// The kernels that it decodes by.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// The same without the fast pass over JSON: every record takes the careful one, which decides what is a record.
    /// What is loaded does not change; for tests and benches.
    pub fn careful(mut self) -> Decoder {
        self.walks = false;
        self
    }

    /// Schema of all batches: the fields of [`crate::column::layout::event_columns`].
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Bytes that a slice becomes at most: its columns while they are filled and put in order, and its dead letters.
    pub fn decoded_bytes_max(&self, slice: &Slice) -> usize {
        let records = match self.division(slice) {
            Division::Ends(ends) => ends.len(),
            Division::Framing(Framing::Lines) => memchr::memchr_iter(b'\n', &slice.bytes).count() + 1,
            framing @ Division::Framing(Framing::Frames) => Records::from(framing, &slice.bytes, 0).count(),
        };
        self.budget.columns_bytes(slice.bytes.len(), records)
    }

    /// Bytes that a decoded slice takes up until it is stored, which was to become `bytes_max` at most: what its buffers have
    /// room for beyond that was never touched, unless it was a smaller batch's. Where rows may have to be left out, because their events or they
    /// themselves are stored already (the slice is `in_doubt`), there is a copy without them for a while.
    pub fn stored_bytes_max(&self, decoded: &DecodedSlice, bytes_max: usize, in_doubt: bool) -> usize {
        let copies = 1 + usize::from(in_doubt || self.config.dedup.is_some());
        copies * decoded.held_bytes().min(bytes_max.max(SCRATCH_BYTES_MAX))
    }

    /// Decodes one slice. The scratch must be one of this decoder.
    ///
    /// # Panics
    /// If the slice's bytes are not whole records of the config's framing, which [`crate::frame::cut`] makes sure of.
    pub fn decode(&self, slice: &Slice, scratch: &mut Scratch) -> DecodedSlice {
        scratch.fields.begin(&self.fields, slice.header.as_ref());
        scratch.columns[scratch.time].bound(EventBounds::of(&self.config.table, slice.cut));
        let (start, bytes) = self.without_bom(slice);
        let mut outcome = Outcome::new(self.division(slice), start, bytes);
        match &self.fields {
            Fields::Json(json) => self.decode_json(json, bytes, scratch, &mut outcome),
            _ => self.decode_text(bytes, scratch, &mut outcome),
        }
        let Outcome { mut dead, filtered, mut row, .. } = outcome;
        if let Some(tail) = &slice.tail {
            let offset = slice.start + slice.bytes.len() as u64;
            let fault = Fault::new(tail.reason, bounded(tail.detail.clone(), DEAD_LETTER_DETAIL_BYTES));
            dead.push(DeadLetter { row, offset, length: tail.length, fault, record: tail.head.clone() });
            row += 1;
        }
        if let Some(messages) = &slice.messages {
            dead.iter_mut().for_each(|letter| letter.offset = messages.offset_of(letter.row));
        }
        let batch = self.finish(slice, scratch);
        let rows_by_product = self.products.count_rows(&batch);
        let cut = slice.cut;
        DecodedSlice { batch, dead, records: u64::from(row), filtered, duplicates: 0, rows_by_product, cut }
    }

    /// The records of these rows as dead letters, each for its fault: rows that were decoded, and that whoever stores them
    /// refuses. Rows are numbers of records, in ascending order.
    ///
    /// # Panics
    /// If the slice has no record of such a number, or as for [`decode`](Decoder::decode).
    pub fn dead_letters(&self, slice: &Slice, rows: &[(u32, Fault)]) -> Vec<DeadLetter> {
        let (start, bytes) = self.without_bom(slice);
        let mut outcome = Outcome::new(self.division(slice), start, bytes);
        let mut records = (0..).zip(Records::from(outcome.division, bytes, 0));
        for (row, fault) in rows {
            let (_, record) = records.find(|(number, _)| number == row).expect("a record for each row");
            let from = record.offset + outcome.prefix;
            outcome.die_at(*row, (from, from + record.bytes.len()), fault.clone());
        }
        if let Some(messages) = &slice.messages {
            outcome.dead.iter_mut().for_each(|letter| letter.offset = messages.offset_of(letter.row));
        }
        outcome.dead
    }

    /// Decodes records of formats that are lines of text, one after the other.
    fn decode_text(&self, bytes: &[u8], scratch: &mut Scratch, outcome: &mut Outcome<'_>) {
        for record in Records::from(outcome.division, bytes, 0) {
            match self.record(record.bytes, scratch) {
                Ok(Fate::Loaded) => scratch.rows.push(outcome.row),
                Ok(Fate::Filtered) => {
                    scratch.cut_back(scratch.rows.len());
                    outcome.filtered += 1;
                }
                Err(fault) => {
                    scratch.cut_back(scratch.rows.len());
                    let from = record.offset + outcome.prefix;
                    outcome.die((from, from + record.bytes.len()), fault);
                }
            }
            outcome.row += 1;
        }
    }

    /// What tells the slice's records apart.
    fn division<'s>(&self, slice: &'s Slice) -> Division<'s> {
        let ends = slice.messages.as_ref().and_then(Messages::ends);
        ends.map_or(Division::Framing(self.framing), Division::Ends)
    }

    /// The slice's bytes and their offset in the source. A byte order mark may stand at the very start of a source of
    /// lines; anywhere else it is part of a record.
    fn without_bom<'s>(&self, slice: &'s Slice) -> (u64, &'s [u8]) {
        match slice.bytes.strip_prefix(BOM) {
            Some(bytes) if slice.start == 0 && self.framing == Framing::Lines && slice.messages.is_none() => {
                (BOM.len() as u64, bytes)
            }
            _ => (slice.start, &slice.bytes),
        }
    }

    /// One record, as it is in the source. Unless it is loaded, the columns may have more of it than the rows.
    #[inline]
    fn record(&self, record: &[u8], scratch: &mut Scratch) -> Result<Fate, Fault> {
        if record.len() > self.record_bytes_max {
            return Err(self.too_long(record));
        }
        let open = match &self.opener {
            None => record,
            Some(opener) => without_line_ending(opener.open(record, &mut scratch.open)?),
        };
        let text = std::str::from_utf8(open)
            .map_err(|error| Fault::new(Reason::BadUtf8, format!("not UTF-8 at byte {}", error.valid_up_to())))?;
        self.fields.push(text, &mut scratch.fields, &mut scratch.columns, &mut scratch.text)?;
        self.judge_last(scratch)
    }

    /// What becomes of the row that the columns have beyond those that are loaded.
    fn judge_last(&self, scratch: &mut Scratch) -> Result<Fate, Fault> {
        let row = scratch.rows.len();
        if self.filters.iter().any(|filter| filter.drops(&scratch.columns, row, &mut scratch.text)) {
            return Ok(Fate::Filtered);
        }
        self.products.push(row, &mut scratch.columns, &mut scratch.products, &mut scratch.text)?;
        Ok(Fate::Loaded)
    }

    #[cold]
    fn too_long(&self, record: &[u8]) -> Fault {
        let (length, limit) = (record.len(), self.record_bytes_max);
        Fault::new(Reason::TooLong, format!("{length} bytes; the limit is {limit} (decode.record_bytes_max)"))
    }

    /// The batch of all rows in the order of the table; the columns are empty afterwards.
    fn finish(&self, slice: &Slice, scratch: &mut Scratch) -> RecordBatch {
        let rows = scratch.rows.len();
        let row_numbers = UInt32Array::from(scratch.rows.take());
        scratch.slice_ids.push_rows(rows, slice.id.0);
        let slice_ids = UInt64Array::from(scratch.slice_ids.take());
        let mut added = scratch.products.finish(rows, &self.products).into_iter();
        let columns: Vec<ArrayRef> = self
            .layout
            .iter()
            .map(|column| match column.origin {
                Origin::Declared(index) => scratch.columns[index].finish(),
                Origin::FixedProduct | Origin::Dictionary(_) => added.next().expect("an array for each added column"),
                Origin::Message(ref field) => message::column(field, slice.messages.as_ref(), row_numbers.values()),
                Origin::Slice => Arc::new(slice_ids.clone()),
                Origin::Row => Arc::new(row_numbers.clone()),
            })
            .collect();
        drop((row_numbers, slice_ids));
        let columns = match columns.iter().map(|column| column.get_array_memory_size()).sum::<usize>() {
            0..=SCRATCH_BYTES_MAX => match self.order.sort(&columns, &mut scratch.order) {
                None => columns,
                Some(sorted) => {
                    scratch.recycle_columns(columns);
                    sorted
                }
            },
            _ => self.order.sort_large(columns, &mut scratch.order),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .expect("columns are built as the schema says")
    }
}

impl Scratch {
    /// A scratch for slices of that decoder.
    pub fn new(decoder: &Decoder) -> Scratch {
        let Config { columns, table, .. } = &decoder.config;
        let dictionaries = columns.iter().filter(|spec| spec.ty == ColumnType::LowCardinality).count();
        let tabled_max = (DICTIONARY_VALUES_MAX / dictionaries.max(1)).max(DICTIONARY_VALUES_MIN);
        let builder = |spec: &ColumnSpec| {
            let column = match *spec.name == *table.time {
                true => ColumnBuilder::event_time(spec),
                // What was found out about a product is kept by its key.
                false if *spec.name == *decoder.config.products.column_name() => ColumnBuilder::new(spec),
                false => ColumnBuilder::new(spec).with_tabled_max(tabled_max),
            };
            if decoder.hides_values { column.hidden() } else { column }
        };
        Scratch {
            columns: columns.iter().map(builder).collect(),
            time: columns.iter().position(|spec| *spec.name == *table.time).expect("the config was checked"),
            rows: Reused::default(),
            slice_ids: Reused::default(),
            open: Vec::new(),
            text: String::new(),
            fields: decoder.fields.scratch(),
            json: match &decoder.fields {
                Fields::Json(json) => json.scratch(),
                _ => JsonScratch::default(),
            },
            products: decoder.products.scratch(&decoder.layout),
            order: OrderScratch::new(&decoder.schema),
        }
    }

    /// The same for batches whose rows stay in the order of their records, for whoever measures what sorting takes.
    pub fn unsorted(mut self) -> Scratch {
        self.order.turn_off();
        self
    }

    /// Takes back a batch of this decoder's, so that a later one is written where this one was: memory that was touched
    /// before costs a fraction of fresh memory. What somebody else still holds is dropped.
    pub fn recycle(&mut self, batch: RecordBatch) {
        // A slice that is larger than most must not pin its memory.
        if batch.get_array_memory_size() > SCRATCH_BYTES_MAX {
            return;
        }
        let (_, columns, _) = batch.into_parts();
        // Provenance comes last in a batch: the slice's id, and the rows' numbers.
        let [.., slice_ids, _] = &columns[..] else { return };
        let slice_ids = slice_ids.clone();
        // Where nothing had to be moved, the next batch will most likely be as its columns are filled, too.
        match self.order.was_in_order() {
            true => self.recycle_columns(columns),
            false => self.order.recycle(columns),
        }
        give_back(&mut self.slice_ids, slice_ids);
    }

    /// The same for columns as they were filled.
    fn recycle_columns(&mut self, mut columns: Vec<ArrayRef>) {
        if let Some(row_numbers) = columns.pop() {
            give_back(&mut self.rows, row_numbers);
        }
        // Declared columns come first in a batch.
        self.columns.iter_mut().zip(columns).for_each(|(column, array)| column.recycle(array));
    }

    /// Takes back what the columns have beyond the first `rows`.
    fn cut_back(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
        self.products.truncate(rows);
    }
}

/// Gives back the values of an array, unless somebody else holds them.
fn give_back<T: ArrowNativeType>(values: &mut Reused<T>, array: ArrayRef) {
    let data = array.to_data();
    drop(array);
    let (_, _, _, _, buffers, _) = data.into_parts();
    values.take_back(buffers.into_iter().next());
}

#[cold]
fn dead_letter((row, offset): (u32, u64), record: &[u8], mut fault: Fault, detail_bytes_max: usize) -> DeadLetter {
    let kept = match fault.reason {
        Reason::TooLong => &record[..record.len().min(DEAD_LETTER_HEAD_BYTES)],
        _ => record,
    };
    fault.detail = bounded(fault.detail, detail_bytes_max);
    DeadLetter { row, offset, length: record.len() as u64, fault, record: kept.to_vec() }
}

/// A detail of at most so many bytes, which takes no more.
fn bounded(mut detail: String, bytes_max: usize) -> String {
    if detail.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&end| detail.is_char_boundary(end));
        detail.truncate(end.unwrap_or(0));
    }
    detail.shrink_to_fit();
    detail
}

/// A sealed line may have been sealed with its line ending.
fn without_line_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
