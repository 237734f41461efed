//! CSV and TSV: one record a line, its cells named by the source's header line.
//!
//! CSV is RFC 4180 with a record to a line: cells are separated by commas; a cell in double quotes may contain commas,
//! and quotes by doubling them; anywhere else a quote is an error. A line break inside quotes is not supported, since
//! slices are cut at line ends: both halves become `bad_line`, and the detail says why.
//!
//! TSV has no quotes. `\t` `\n` `\r` `\\` `\b` `\f` `\v` `\0` `\'` stand for what ClickHouse and PostgreSQL mean by them,
//! a cell that is just `\N` is null, and any other backslash is an error rather than a guess.
//!
//! A line has as many cells as the header, or it is a `bad_line`. Cells have no types: they are [`Value::Text`], and an
//! empty cell is the empty text, which columns other than strings take for absent. A quoted empty CSV cell (`""`) is the
//! empty string and nothing else.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memchr;

use crate::column::value::Value;
use crate::config::Format;
use crate::dead_letter::{Fault, Reason};

/// The byte order mark that some programs put at the start of a UTF-8 file.
pub const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Commas and quotes.
    Csv,
    /// Tabs and backslashes.
    Tsv,
}

impl Dialect {
    /// The dialect of a format that has one.
    pub fn of(format: Format) -> Option<Dialect> {
        match format {
            Format::Csv => Some(Dialect::Csv),
            Format::Tsv => Some(Dialect::Tsv),
            Format::Json | Format::AccessLog => None,
        }
    }
}

/// Where the cells of one line stand. Reused from line to line.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    cells: Vec<Cell>,
}

/// Bytes `start..end` of a line.
#[derive(Debug, Clone, Copy)]
struct Cell {
    start: u32,
    end: u32,
    writing: Writing,
}

/// How the content of a cell is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// As it is.
    Plain,
    /// In quotes (which are not part of the range), as it is.
    Quoted,
    /// In quotes, with doubled quotes in it.
    Doubled,
    /// With backslash escapes.
    Escaped,
    /// `\N`.
    Null,
}

impl Cells {
    /// Finds the cells of a line, which must be `expected`.
    ///
    /// # Errors
    /// [`Reason::BadLine`]: wrong quotes or escapes, or another number of cells.
    ///
    /// # Panics
    /// If the line has 4 GiB or more; records are bounded far below that.
    pub fn split(&mut self, line: &str, dialect: Dialect, expected: usize) -> Result<(), Fault> {
        let count = self.scan(line, dialect, expected)?;
        if count == expected { Ok(()) } else { Err(wrong_count(count, expected, dialect)) }
    }

    /// Finds the cells of a line, keeps the first ones, and returns how many there are.
    fn scan(&mut self, line: &str, dialect: Dialect, cells_kept: usize) -> Result<usize, Fault> {
        assert!(u32::try_from(line.len()).is_ok(), "a line's positions are 32 bit");
        self.cells.clear();
        let mut count = 0;
        let mut pos = 0;
        loop {
            let (cell, end) = match dialect {
                Dialect::Csv => csv_cell(line.as_bytes(), pos)?,
                Dialect::Tsv => tsv_cell(line.as_bytes(), pos)?,
            };
            if count < cells_kept {
                self.cells.push(cell);
            }
            count += 1;
            if end == line.len() {
                return Ok(count);
            }
            // The separator stands at `end`.
            pos = end + 1;
        }
    }

    /// The content of a cell of `line`, the one that was last split. `scratch` is overwritten where escapes must be undone.
    ///
    /// # Panics
    /// If `index` is not below the number of cells that were expected.
    pub fn value<'s>(&self, index: usize, line: &'s str, scratch: &'s mut String) -> Value<'s> {
        let Cell { start, end, writing } = self.cells[index];
        let text = &line[start as usize..end as usize];
        match writing {
            Writing::Plain => Value::Text(text),
            Writing::Quoted if text.is_empty() => Value::String(text),
            Writing::Quoted => Value::Text(text),
            Writing::Null => Value::Null,
            Writing::Doubled => {
                scratch.clear();
                for (part, piece) in text.split("\"\"").enumerate() {
                    if part > 0 {
                        scratch.push('"');
                    }
                    scratch.push_str(piece);
                }
                Value::Text(scratch)
            }
            Writing::Escaped => {
                scratch.clear();
                unescape(text, scratch);
                Value::Text(scratch)
            }
        }
    }
}

/// The cell at `pos` and the position after it, which is the end of the line or a comma.
fn csv_cell(line: &[u8], pos: usize) -> Result<(Cell, usize), Fault> {
    if line.get(pos) == Some(&b'"') {
        return quoted_cell(line, pos);
    }
    let rest = &line[pos..];
    let len = memchr(b',', rest).unwrap_or(rest.len());
    if let Some(quote) = memchr(b'"', &rest[..len]) {
        return Err(bad_line(format!(
            "a quote inside a cell that is not quoted, at byte {}; {LINE_BREAKS_HINT}",
            pos + quote
        )));
    }
    Ok((Cell::new(pos, pos + len, Writing::Plain), pos + len))
}

fn quoted_cell(line: &[u8], opening: usize) -> Result<(Cell, usize), Fault> {
    let start = opening + 1;
    let mut writing = Writing::Quoted;
    let mut pos = start;
    while let Some(found) = memchr(b'"', &line[pos..]) {
        let quote = pos + found;
        match line.get(quote + 1) {
            None | Some(b',') => return Ok((Cell::new(start, quote, writing), quote + 1)),
            Some(b'"') => {
                writing = Writing::Doubled;
                pos = quote + 2;
            }
            Some(_) => {
                let detail = format!(
                    "expected a comma or the end of the line after a quoted cell, at byte {}; \
                     a quote inside quotes must be doubled",
                    quote + 1
                );
                return Err(bad_line(detail));
            }
        }
    }
    Err(bad_line(format!("the quote at byte {opening} is not closed on this line; {LINE_BREAKS_HINT}")))
}

/// The cell at `pos` and the position after it, which is the end of the line or a tab.
fn tsv_cell(line: &[u8], pos: usize) -> Result<(Cell, usize), Fault> {
    let rest = &line[pos..];
    let len = memchr(b'\t', rest).unwrap_or(rest.len());
    let text = &rest[..len];
    if text == b"\\N" {
        return Ok((Cell::new(pos, pos + len, Writing::Null), pos + len));
    }
    let mut writing = Writing::Plain;
    let mut checked = 0;
    while let Some(found) = memchr(b'\\', &text[checked..]) {
        let backslash = checked + found;
        if text.get(backslash + 1).and_then(|&byte| escaped_char(byte)).is_none() {
            return Err(bad_line(format!(
                "an unknown escape at byte {}; a backslash itself is written \\\\",
                pos + backslash
            )));
        }
        writing = Writing::Escaped;
        checked = backslash + 2;
    }
    Ok((Cell::new(pos, pos + len, writing), pos + len))
}

impl Cell {
    fn new(start: usize, end: usize, writing: Writing) -> Cell {
        Cell { start: start as u32, end: end as u32, writing }
    }
}

/// What a backslash and this byte stand for in TSV.
const fn escaped_char(byte: u8) -> Option<char> {
    match byte {
        b't' => Some('\t'),
        b'n' => Some('\n'),
        b'r' => Some('\r'),
        b'\\' => Some('\\'),
        b'b' => Some('\u{8}'),
        b'f' => Some('\u{c}'),
        b'v' => Some('\u{b}'),
        b'0' => Some('\0'),
        b'\'' => Some('\''),
        _ => None,
    }
}

/// Appends what the text of a checked TSV cell stands for.
fn unescape(text: &str, out: &mut String) {
    let mut pieces = text.char_indices();
    let mut plain = 0;
    while let Some((backslash, character)) = pieces.next() {
        if character == '\\' {
            let (_, escape) = pieces.next().expect("escapes were checked when the line was split");
            out.push_str(&text[plain..backslash]);
            out.extend(u8::try_from(escape).ok().and_then(escaped_char));
            plain = backslash + 2;
        }
    }
    out.push_str(&text[plain..]);
}

const LINE_BREAKS_HINT: &str = "line breaks inside quotes are not supported";

#[cold]
fn wrong_count(count: usize, expected: usize, dialect: Dialect) -> Fault {
    let plural = if count == 1 { "field" } else { "fields" };
    let hint = match dialect {
        Dialect::Csv if count < expected => " (line breaks inside quotes are not supported)",
        Dialect::Csv => " (a comma inside a cell needs quotes around the cell)",
        Dialect::Tsv if count < expected => " (line breaks inside a cell must be written \\n)",
        Dialect::Tsv => " (a tab inside a cell must be written \\t)",
    };
    bad_line(format!("{count} {plural}, header has {expected}{hint}"))
}

#[cold]
fn bad_line(detail: String) -> Fault {
    Fault::new(Reason::BadLine, detail)
}

/// Reads the header line of a CSV or TSV source, without its line ending; a byte order mark in front is dropped.
///
/// # Errors
/// What is wrong with it, for the operator: not UTF-8, wrong quotes or escapes, a name that is empty or occurs twice, or
/// a format that has no header. No name is shown.
pub fn parse_header(line: &[u8], format: Format) -> Result<Arc<[String]>, String> {
    let dialect = Dialect::of(format).ok_or("this format has no header line")?;
    let line = line.strip_prefix(BOM).unwrap_or(line);
    let line = std::str::from_utf8(line)
        .map_err(|error| format!("the header line is not UTF-8 at byte {}", error.valid_up_to()))?;
    let mut cells = Cells::default();
    let count = cells.scan(line, dialect, usize::MAX).map_err(|fault| format!("bad header line: {}", fault.detail))?;
    let mut names: Vec<String> = Vec::with_capacity(count);
    let mut seen = HashMap::new();
    let mut scratch = String::new();
    for index in 0..count {
        let name = match cells.value(index, line, &mut scratch) {
            Value::Text(name) if !name.is_empty() => name,
            _ => return Err(format!("field {} of the header line has no name", index + 1)),
        };
        // A source without a header has a record here, so that names are not shown.
        if let Some(first) = seen.insert(name.to_owned(), index) {
            return Err(format!(
                "fields {} and {} of the header line have the same name: does the source have a header line?",
                first + 1,
                index + 1
            ));
        }
        names.push(name.to_owned());
    }
    Ok(names.into())
}
