//! JSON by blocks: a chunk of records is indexed at once, some records are walked, and then column after column is
//! filled from what was found.
//!
//! ```text
//! slice --> chunk (records, opened) --> index --> block of records: spans --> columns --> filters --> products
//! ```
//! A block is all or nothing. If a column refuses one of its rows, all columns are cut back to the block's start, and its
//! records are pushed one by one, which tells the wrong ones from the right ones.

use std::ops::Range;

use super::{Decoder, Outcome, Scratch, without_line_ending};
use crate::column::builder::ColumnBuilder;
use crate::column::span::Span;
use crate::dead_letter::Fault;
use crate::envelope::Opener;
use crate::frame::{Division, Records, leading_nuls};
use crate::json::walk::{Learned, Walk};
use crate::json::{JsonError, Plan, RawValue, Slots, check_utf8};
use crate::limits::{BLOCK_RECORDS, CHUNK_BYTES};
use crate::simd::index::{Index, ODD_BLOCK};

/// How records become columns.
#[derive(Debug)]
pub(super) struct Json {
    plan: Plan,
    /// Where the spans of each column stand in a block's spans.
    columns: Vec<Range<usize>>,
}

impl Json {
    pub(super) fn new(plan: Plan, columns: usize) -> Json {
        let spans = |column| {
            let first = plan.slot(column) * BLOCK_RECORDS;
            first..first + BLOCK_RECORDS
        };
        let columns = (0..columns).map(spans).collect();
        Json { plan, columns }
    }

    pub(super) fn scratch(&self) -> JsonScratch {
        JsonScratch {
            slots: self.plan.slots(),
            spans: vec![Span::ABSENT; self.plan.slot_count() * BLOCK_RECORDS],
            ..JsonScratch::default()
        }
    }
}

/// What a worker keeps from chunk to chunk.
#[derive(Default)]
pub(super) struct JsonScratch {
    index: Index,
    learned: Learned,
    slots: Slots,
    /// Of a block: by slot, then by row.
    spans: Vec<Span>,
    /// Of a chunk.
    records: Vec<Record>,
    /// The opened records of a chunk.
    arena: Vec<u8>,
    /// The records of a block that are JSON, in the order of its rows.
    block: Vec<Record>,
    /// Which rows of a block stay.
    keep: Vec<bool>,
}

/// A record of a chunk.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// Number in the slice.
    row: u32,
    /// Where it stands in the slice, without line ending or length prefix: from, to.
    source: (usize, usize),
    /// Where it stands in the chunk, open: from, to.
    open: (usize, usize),
}

/// A chunk, indexed, and how far it was walked.
struct Chunk<'c> {
    bytes: &'c [u8],
    /// Quotes passed.
    passed: usize,
    /// Odd blocks passed.
    odd: usize,
    /// Line feeds passed, in a chunk of records that are not lines.
    newlines: Option<usize>,
}

impl Decoder {
    /// Decodes the records of `bytes`, which are at `start` in the source.
    pub(super) fn decode_json(&self, json: &Json, bytes: &[u8], scratch: &mut Scratch, outcome: &mut Outcome<'_>) {
        let mut at = 0;
        while at < bytes.len() {
            let dead = outcome.dead.len();
            let plain = match (&self.opener, outcome.division) {
                (None, Division::Framing(_)) => Some(self.plain_chunk(bytes, &mut at, &mut scratch.json, outcome)),
                (None, Division::Ends(_)) => Some(self.message_chunk(bytes, &mut at, &mut scratch.json, outcome)),
                (Some(opener), _) => {
                    self.open_chunk(opener, bytes, &mut at, &mut scratch.json, outcome);
                    None
                }
            };
            // Between lines there are none.
            let newlines_inside = matches!(outcome.division, Division::Ends(_)).then_some(0);
            let mut records = std::mem::take(&mut scratch.json.records);
            let arena = std::mem::take(&mut scratch.json.arena);
            let mut chunk = match plain {
                Some(range) => Chunk { bytes: &bytes[range], passed: 0, odd: 0, newlines: newlines_inside },
                None => Chunk { bytes: &arena, passed: 0, odd: 0, newlines: Some(0) },
            };
            for block in records.chunks(BLOCK_RECORDS) {
                self.decode_block(json, &mut chunk, block, scratch, outcome);
            }
            records.clear();
            (scratch.json.records, scratch.json.arena) = (records, arena);
            // Of a block, those that are no JSON come before those that do not fit; of a chunk, those that cannot be
            // opened come first.
            outcome.dead[dead..].sort_by_key(|letter| letter.row);
        }
    }

    /// The next chunk of plain records, which are lines, indexed: its range of the slice.
    fn plain_chunk(
        &self,
        bytes: &[u8],
        at: &mut usize,
        scratch: &mut JsonScratch,
        outcome: &mut Outcome<'_>,
    ) -> Range<usize> {
        let (start, end) = (*at, end_of_lines(bytes, *at));
        *at = end;
        scratch.index.build(self.kernels, &bytes[start..end]);
        let mut from = start;
        let last = (bytes[end - 1] != b'\n').then_some(end);
        for to in scratch.index.newlines().iter().map(|&newline| start + newline as usize).chain(last) {
            from += leading_nuls(&bytes[from..to]);
            let line = (from, if to > from && bytes[to - 1] == b'\r' { to - 1 } else { to });
            from = to + 1;
            match line.1 - line.0 {
                // A blank line is no record.
                0 => continue,
                length if length > self.record_bytes_max => outcome.die(line, self.too_long(&bytes[line.0..line.1])),
                _ => {
                    let open = (line.0 - start, line.1 - start);
                    scratch.records.push(Record { row: outcome.row, source: line, open });
                }
            }
            outcome.row += 1;
        }
        start..end
    }

    /// The next chunk of plain records that are messages, indexed: its range of the slice.
    fn message_chunk(
        &self,
        bytes: &[u8],
        at: &mut usize,
        scratch: &mut JsonScratch,
        outcome: &mut Outcome<'_>,
    ) -> Range<usize> {
        let start = *at;
        for record in Records::from(outcome.division, bytes, start) {
            let (from, to) = (record.offset, record.offset + record.bytes.len());
            *at = from + record.source_bytes;
            match record.bytes.len() <= self.record_bytes_max {
                true => {
                    let open = (from - start, to - start);
                    scratch.records.push(Record { row: outcome.row, source: (from, to), open });
                }
                false => outcome.die((from, to), self.too_long(record.bytes)),
            }
            outcome.row += 1;
            if *at - start >= CHUNK_BYTES {
                break;
            }
        }
        assert!(*at > start, "messages that are left end somewhere");
        scratch.index.build(self.kernels, &bytes[start..*at]);
        start..*at
    }

    /// Opens the next chunk of sealed records into the arena, and indexes it.
    fn open_chunk(
        &self,
        opener: &Opener,
        bytes: &[u8],
        at: &mut usize,
        scratch: &mut JsonScratch,
        outcome: &mut Outcome<'_>,
    ) {
        let start = *at;
        // Blank lines may be all that is left.
        *at = bytes.len();
        scratch.arena.clear();
        for record in Records::from(outcome.division, bytes, start) {
            let from = record.offset + outcome.prefix;
            let source = (from, from + record.bytes.len());
            match self.open(opener, record.bytes, &mut scratch.arena) {
                Ok(open) => scratch.records.push(Record { row: outcome.row, source, open }),
                Err(fault) => outcome.die(source, fault),
            }
            outcome.row += 1;
            if scratch.arena.len() >= CHUNK_BYTES {
                *at = record.offset + record.source_bytes;
                break;
            }
        }
        scratch.index.build(self.kernels, &scratch.arena);
    }

    /// Opens a record behind what the arena has: where it stands there.
    fn open(&self, opener: &Opener, sealed: &[u8], arena: &mut Vec<u8>) -> Result<(usize, usize), Fault> {
        if sealed.len() > self.record_bytes_max {
            return Err(self.too_long(sealed));
        }
        let place = opener.open_into(sealed, arena)?;
        let text = without_line_ending(&arena[place.clone()]).len();
        Ok((place.start, place.start + text))
    }

    /// Decodes one block of a chunk: at most [`BLOCK_RECORDS`].
    fn decode_block(
        &self,
        json: &Json,
        chunk: &mut Chunk<'_>,
        records: &[Record],
        scratch: &mut Scratch,
        outcome: &mut Outcome<'_>,
    ) {
        self.walk(json, chunk, records, &mut scratch.json, outcome);
        let Scratch { json: found, columns, text, rows, .. } = &mut *scratch;
        let count = found.block.len();
        if count == 0 {
            return;
        }
        let base = rows.len();
        let is_filled = columns.iter_mut().zip(&json.columns).all(|(column, spans)| {
            let spans = &found.spans[spans.start..spans.start + count];
            column.push_spans(chunk.bytes, spans, self.kernels, text).is_ok()
        });
        if !is_filled || !self.judge(base, scratch, outcome) {
            scratch.cut_back(base);
            self.decode_one_by_one(json, chunk, scratch, outcome);
        }
    }

    /// What is said of a text that is no JSON.
    #[cold]
    fn no_record(&self, error: JsonError) -> Fault {
        match self.hides_values {
            true => error.without_bytes().into(),
            false => error.into(),
        }
    }

    /// Finds where the values of the records stand. Those that are no JSON are dead, the others are the block.
    fn walk(
        &self,
        json: &Json,
        chunk: &mut Chunk<'_>,
        records: &[Record],
        scratch: &mut JsonScratch,
        outcome: &mut Outcome<'_>,
    ) {
        let JsonScratch { index, learned, slots, spans, block, .. } = scratch;
        block.clear();
        spans.fill(Span::ABSENT);
        let mut walk =
            Walk::new((&json.plan, self.kernels), (chunk.bytes, index.quotes(), chunk.passed), spans, learned);
        for record in records {
            let (start, end) = record.open;
            let row = block.len();
            let is_odd = meets(index.odd(), ODD_BLOCK, &mut chunk.odd, (start, end));
            let has_newline = |passed| meets(index.newlines(), 1, passed, (start, end));
            let traits = match is_odd || chunk.newlines.as_mut().is_some_and(has_newline) {
                false => Traits::PLAIN,
                true => Traits::of(&chunk.bytes[start..end]),
            };
            let is_walked =
                self.walks && traits.is_for_walk && walk.record((start, end), row, traits.has_escapes, learned);
            if !is_walked && let Err(error) = careful(&json.plan, &chunk.bytes[start..end], slots) {
                walk.set_row(row, std::iter::repeat_n(Span::ABSENT, json.plan.slot_count()));
                outcome.die_at(record.row, record.source, self.no_record(error));
                continue;
            }
            if !is_walked {
                walk.set_row(row, slots.spans(start));
            }
            block.push(*record);
        }
        chunk.passed = walk.passed();
    }

    /// Applies filters and looks products up for the rows from `base` on, which the columns have. `false`: that cannot
    /// be done for the block as a whole, and nothing was done.
    fn judge(&self, base: usize, scratch: &mut Scratch, outcome: &mut Outcome<'_>) -> bool {
        let Scratch { json, columns, text, rows, products, .. } = &mut *scratch;
        let JsonScratch { block, keep, .. } = json;
        keep.clear();
        keep.resize(block.len(), true);
        for filter in &self.filters {
            for (row, keep) in (base..).zip(keep.iter_mut()) {
                *keep = *keep && !filter.drops(columns, row, text);
            }
        }
        if !self.products.look_up_block(base, keep, columns, products, text) {
            return false;
        }
        let kept = keep.iter().filter(|&&keep| keep).count();
        if kept < block.len() {
            outcome.filtered += (block.len() - kept) as u64;
            columns.iter_mut().for_each(|column| column.retain(base, keep));
            let mut keep = keep.iter();
            block.retain(|_| *keep.next().expect("a verdict for each row"));
        }
        rows.extend(block.iter().map(|record| record.row));
        true
    }

    /// Pushes the block's records one after the other, each to all columns or to none.
    fn decode_one_by_one(&self, json: &Json, chunk: &Chunk<'_>, scratch: &mut Scratch, outcome: &mut Outcome<'_>) {
        let block = std::mem::take(&mut scratch.json.block);
        for (row, record) in block.iter().enumerate() {
            let spans = json.columns.iter().map(|spans| scratch.json.spans[spans.start + row]);
            let pushed = push_row(&mut scratch.columns, chunk.bytes, spans, &mut scratch.text);
            match pushed.and_then(|()| self.judge_last(scratch)) {
                Ok(super::Fate::Loaded) => scratch.rows.push(record.row),
                Ok(super::Fate::Filtered) => {
                    outcome.filtered += 1;
                    scratch.cut_back(scratch.rows.len());
                }
                Err(fault) => {
                    outcome.die_at(record.row, record.source, fault);
                    scratch.cut_back(scratch.rows.len());
                }
            }
        }
        scratch.json.block = block;
    }
}

/// Appends a record to the columns: to all of them, or on an error to some.
fn push_row(
    columns: &mut [ColumnBuilder],
    bytes: &[u8],
    spans: impl Iterator<Item = Span>,
    text: &mut String,
) -> Result<(), Fault> {
    for (column, span) in columns.iter_mut().zip(spans) {
        column.push_json(RawValue::at_span(bytes, span), text)?;
    }
    Ok(())
}

/// Finds a record's values the careful way, or why it is no record.
#[inline(never)]
fn careful(plan: &Plan, record: &[u8], slots: &mut Slots) -> Result<(), JsonError> {
    plan.extract(check_utf8(record)?, slots)
}

/// What the text of a record is made of.
#[derive(Clone, Copy)]
struct Traits {
    has_escapes: bool,
    is_for_walk: bool,
}

impl Traits {
    /// ASCII without escapes and control characters.
    const PLAIN: Traits = Traits { has_escapes: false, is_for_walk: true };

    #[inline(never)]
    fn of(record: &[u8]) -> Traits {
        let (mut all, mut has_escapes, mut has_control) = (0, false, false);
        for &byte in record {
            all |= byte;
            has_escapes |= byte == b'\\';
            has_control |= byte < 0x20;
        }
        let is_for_walk = !has_control && (all.is_ascii() || simdutf8::basic::from_utf8(record).is_ok());
        Traits { has_escapes, is_for_walk }
    }
}

/// Whether the record overlaps one of the places, each so many bytes from its position on. Records come in order;
/// `passed` is how many places end before them.
#[inline(always)]
fn meets(places: &[u32], bytes: usize, passed: &mut usize, (start, end): (usize, usize)) -> bool {
    while let Some(&place) = places.get(*passed) {
        if place as usize + bytes > start {
            return (place as usize) < end;
        }
        *passed += 1;
    }
    false
}

/// Where the chunk of whole lines that starts at `start` ends: near [`CHUNK_BYTES`] on, at least one line.
fn end_of_lines(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start..];
    let Some(chunk) = rest.get(..CHUNK_BYTES) else { return bytes.len() };
    match memchr::memrchr(b'\n', chunk) {
        Some(newline) => start + newline + 1,
        None => memchr::memchr(b'\n', rest).map_or(bytes.len(), |newline| start + newline + 1),
    }
}
