//! Reading a product dictionary from CSV or TOML.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use csv::{ByteRecord, ErrorKind, ReaderBuilder, Trim};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ColumnIndex, Dictionary, DictionaryError, DictionaryProblem, ID_COLUMN, ProductIndex, quoted};
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_COLUMNS_MAX, PRODUCTS_MAX};
use crate::place::{line_at, suggestion};

/// A problem and its line, if it has one.
type Located = (Option<u64>, DictionaryProblem);

pub(super) fn csv(bytes: &[u8], origin: &str) -> Result<Dictionary, DictionaryError> {
    checked_text(bytes).and_then(|text| read_csv(text, origin)).map_err(|located| locate(located, origin))
}

pub(super) fn toml(bytes: &[u8], origin: &str) -> Result<Dictionary, DictionaryError> {
    checked_text(bytes).and_then(|text| read_toml(text, origin)).map_err(|located| locate(located, origin))
}

fn locate((line, problem): Located, origin: &str) -> DictionaryError {
    DictionaryError { origin: origin.to_owned(), line, problem }
}

fn checked_text(bytes: &[u8]) -> Result<&str, Located> {
    if bytes.len() > DICTIONARY_BYTES_MAX {
        return Err((None, DictionaryProblem::TooBig { bytes: bytes.len() }));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = 1 + memchr::memchr_iter(b'\n', &bytes[..offset]).count() as u64;
        (Some(line), DictionaryProblem::Utf8 { offset })
    })
}

fn read_csv(text: &str, origin: &str) -> Result<Dictionary, Located> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
    let header = reader.byte_headers().map_err(csv_problem)?;
    let header_line = header.position().map_or(1, csv::Position::line);
    let columns: Vec<String> = header.iter().map(field).collect();
    let mut table = Table::new(columns).map_err(|problem| (Some(header_line), problem))?;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(csv_problem)? {
        let line = record.position().map_or(0, csv::Position::line);
        table.add(line, record.iter().map(|value| std::str::from_utf8(value).expect("the text is UTF-8")))?;
    }
    table.finish(origin, "add a line for each product below the header")
}

fn field(value: &[u8]) -> String {
    std::str::from_utf8(value).expect("the text is UTF-8, and is split at ASCII").to_owned()
}

fn csv_problem(error: csv::Error) -> Located {
    let line = error.position().map(csv::Position::line);
    let problem = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            DictionaryProblem::Ragged { found: *len, expected: *expected_len }
        }
        _ => DictionaryProblem::Csv(error.to_string()),
    };
    (line, problem)
}

fn read_toml(text: &str, origin: &str) -> Result<Dictionary, Located> {
    let line = |offset: usize| line_at(text, offset) as u64;
    let root = DeTable::parse(text).map_err(|error| {
        (error.span().map(|span| line(span.start)), DictionaryProblem::Toml(error.message().to_owned()))
    })?;
    for (name, _) in root.get_ref() {
        if name.get_ref() != "product" {
            let suggestion = suggestion(name.get_ref(), ["product"]);
            let name_line = line(name.span().start);
            let name = name.get_ref().to_string();
            return Err((Some(name_line), DictionaryProblem::UnknownTopLevel { name, suggestion }));
        }
    }
    const EMPTY: &str = "add a [[product]] table for each";
    let value = root.get_ref().get("product").ok_or((None, DictionaryProblem::Empty(EMPTY)))?;
    let not_tables = || (Some(line(value.span().start)), DictionaryProblem::NotTables);
    let products = value.get_ref().as_array().ok_or_else(not_tables)?;
    let products = products
        .iter()
        .map(|product| Ok((product.span().start, product.get_ref().as_table().ok_or_else(not_tables)?)))
        .collect::<Result<Vec<_>, Located>>()?;

    let mut table = Table::new(toml_columns(&products)).map_err(|problem| (None, problem))?;
    // Lines by counting on from the product before: the text may be megabytes long.
    let (mut counted_to, mut product_line) = (0, 1);
    for (start, fields) in products {
        product_line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted_to..start]).count() as u64;
        counted_to = start;
        let mut row = vec![""; table.columns.len()];
        for (name, value) in fields {
            let column = table.index[name.get_ref().as_ref()];
            row[column.0] = toml_text(name, value).map_err(|problem| (Some(line(value.span().start)), problem))?;
        }
        table.add(product_line, row.into_iter())?;
    }
    table.finish(origin, EMPTY)
}

/// `id` and all other columns that a product has, in the order of the text.
fn toml_columns(products: &[(usize, &DeTable<'_>)]) -> Vec<String> {
    let mut first_at: HashMap<&str, usize> = HashMap::new();
    for (_, fields) in products {
        for name in fields.keys() {
            let at = name.span().start;
            let first = first_at.entry(name.get_ref()).or_insert(at);
            *first = at.min(*first);
        }
    }
    let mut columns: Vec<(usize, &str)> = first_at.into_iter().map(|(name, at)| (at, name)).collect();
    columns.sort_unstable();
    let mut columns: Vec<String> = columns.into_iter().map(|(_, name)| name.to_owned()).collect();
    if !columns.iter().any(|name| name == ID_COLUMN) {
        // Then no product has one, which the first of them is told.
        columns.push(ID_COLUMN.to_owned());
    }
    columns
}

fn toml_text<'t>(
    name: &Spanned<toml::de::DeString<'_>>,
    value: &'t Spanned<DeValue<'_>>,
) -> Result<&'t str, DictionaryProblem> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.as_ref()),
        other => Err(DictionaryProblem::NotString { column: name.get_ref().to_string(), found: other.type_str() }),
    }
}

/// A dictionary while it is read.
struct Table {
    columns: Vec<String>,
    index: HashMap<String, ColumnIndex>,
    id_column: ColumnIndex,
    text: String,
    ends: Vec<u32>,
    by_id: HashMap<Box<str>, ProductIndex>,
    /// Line of each product.
    lines: Vec<u64>,
}

impl Table {
    fn new(columns: Vec<String>) -> Result<Self, DictionaryProblem> {
        if columns.len() > DICTIONARY_COLUMNS_MAX {
            return Err(DictionaryProblem::TooManyColumns);
        }
        let mut index = HashMap::new();
        for (position, name) in columns.iter().enumerate() {
            if name.is_empty() {
                return Err(DictionaryProblem::UnnamedColumn { number: position + 1 });
            }
            if index.insert(name.clone(), ColumnIndex(position)).is_some() {
                return Err(match is_name(name) {
                    true => DictionaryProblem::DuplicateColumn(name.clone()),
                    false => DictionaryProblem::NotADictionary,
                });
            }
        }
        let id_column = *index.get(ID_COLUMN).ok_or_else(|| no_id_column(&columns))?;
        Ok(Table {
            columns,
            index,
            id_column,
            text: String::new(),
            ends: Vec::new(),
            by_id: HashMap::new(),
            lines: Vec::new(),
        })
    }

    /// Adds a product of as many values as there are columns.
    fn add<'v>(&mut self, line: u64, values: impl Iterator<Item = &'v str>) -> Result<(), Located> {
        if self.lines.len() == PRODUCTS_MAX {
            return Err((Some(line), DictionaryProblem::TooManyProducts));
        }
        let mut id = "";
        for (position, value) in values.enumerate() {
            if position == self.id_column.0 {
                id = value;
            }
            self.text.push_str(value);
            self.ends.push(u32::try_from(self.text.len()).expect("DICTIONARY_BYTES_MAX is far below 4 GiB"));
        }
        if id.is_empty() {
            return Err((Some(line), DictionaryProblem::NoId));
        }
        match self.by_id.entry(id.into()) {
            Entry::Vacant(entry) => entry.insert(ProductIndex(self.lines.len() as u32)),
            Entry::Occupied(entry) => {
                let first_line = self.lines[entry.get().get()];
                return Err((Some(line), DictionaryProblem::DuplicateId { id: id.to_owned(), first_line }));
            }
        };
        self.lines.push(line);
        Ok(())
    }

    fn finish(self, origin: &str, if_empty: &'static str) -> Result<Dictionary, Located> {
        if self.lines.is_empty() {
            return Err((None, DictionaryProblem::Empty(if_empty)));
        }
        Ok(Dictionary {
            origin: origin.to_owned(),
            columns: self.columns,
            id_column: self.id_column,
            text: self.text,
            ends: self.ends,
            by_id: self.by_id,
        })
    }
}

/// Whether a text may be the name of a column. Nothing else of a file's first line is shown: it may be any file.
fn is_name(text: &str) -> bool {
    let may_stand = |c: char| c.is_alphanumeric() || "_-. ;|\t".contains(c);
    text.chars().count() <= NAME_CHARS_SHOWN
        && text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(may_stand)
}

/// Longest name of a column that an error shows.
const NAME_CHARS_SHOWN: usize = 60;

fn no_id_column(columns: &[String]) -> DictionaryProblem {
    if !columns.iter().all(|name| is_name(name)) {
        return DictionaryProblem::NotADictionary;
    }
    let hint = match columns {
        [] => ": is the file empty?".to_owned(),
        [only] if only.contains([';', '\t', '|']) => ": the columns must be separated by commas".to_owned(),
        _ => match columns.iter().find(|name| name.eq_ignore_ascii_case(ID_COLUMN)) {
            Some(name) => format!(": write `{name}` in lower case"),
            None => ": rename the one that holds the id which the logs use".to_owned(),
        },
    };
    let columns = if columns.is_empty() { "nothing".to_owned() } else { quoted(columns) };
    DictionaryProblem::NoIdColumn { columns, hint }
}
