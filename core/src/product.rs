//! The product dictionary: what is known of each product, by the id that records carry.
//!
//! Read once at start from CSV or TOML, then only looked at. A table of texts, all in one string: 100,000
//! products take a few allocations, and each value is found by arithmetic.

mod parse;

use std::collections::HashMap;

use thiserror::Error;

use crate::config::{DictionarySpec, UnknownProduct};
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_COLUMNS_MAX, PRODUCTS_MAX};
use crate::place::suggestion;

/// Name of the column that holds the product id.
pub const ID_COLUMN: &str = "id";

/// A product of one [`Dictionary`]: its place in the file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProductIndex(u32);

impl ProductIndex {
    /// As an index, less than [`Dictionary::len`].
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// A column of one [`Dictionary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ColumnIndex(usize);

/// The products, each with one text a column.
#[derive(Debug)]
pub struct Dictionary {
    origin: String,
    columns: Vec<String>,
    id_column: ColumnIndex,
    /// All texts, product after product, column after column.
    text: String,
    /// Where each text ends in `text`; it begins where the one before ends.
    ends: Vec<u32>,
    by_id: HashMap<Box<str>, ProductIndex>,
}

impl Dictionary {
    /// Reads CSV (RFC 4180, comma-separated) whose first line names the columns, one of them `id`.
    ///
    /// Spaces around values and a byte order mark are dropped; empty lines are no products. `origin` is what errors call
    /// the text.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn parse_csv(bytes: &[u8], origin: &str) -> Result<Dictionary, DictionaryError> {
        parse::csv(bytes, origin)
    }

    /// Reads TOML of `[[product]]` tables with an `id` each; values are strings.
    ///
    /// The columns are all that any product has, in the order in which the text first names them. `origin` is what errors
    /// call the text.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn parse_toml(bytes: &[u8], origin: &str) -> Result<Dictionary, DictionaryError> {
        parse::toml(bytes, origin)
    }

    /// The product of that id.
    pub fn lookup(&self, id: &str) -> Option<ProductIndex> {
        self.by_id.get(id).copied()
    }

    /// Bytes that it takes up, about.
    pub fn held_bytes(&self) -> usize {
        let ids: usize = self.by_id.keys().map(|id| id.len().next_multiple_of(16)).sum();
        self.text.capacity() + self.ends.capacity() * size_of::<u32>() + ids + self.by_id.capacity() * 32
    }

    /// Number of products.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All products, in the order of the file.
    pub fn products(&self) -> impl ExactSizeIterator<Item = ProductIndex> + use<> {
        (0..self.len() as u32).map(ProductIndex)
    }

    /// Names of the columns, in the order of the file; one of them is `id`.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<ColumnIndex> {
        self.columns.iter().position(|column| column == name).map(ColumnIndex)
    }

    /// Id of a product.
    ///
    /// # Panics
    /// If the product is another dictionary's and this one has fewer.
    pub fn id(&self, product: ProductIndex) -> &str {
        self.value(product, self.id_column)
    }

    /// Text of a product in a column; empty where the file has none.
    ///
    /// # Panics
    /// If product or column are another dictionary's and this one has fewer.
    pub fn value(&self, product: ProductIndex, column: ColumnIndex) -> &str {
        assert!(column.0 < self.columns.len(), "the column is this dictionary's");
        let cell = product.get() * self.columns.len() + column.0;
        let start = if cell == 0 { 0 } else { self.ends[cell - 1] };
        &self.text[start as usize..self.ends[cell] as usize]
    }

    /// Whether it has what the config wants of it: the columns to add and the default product.
    ///
    /// # Errors
    /// Everything that it lacks.
    pub fn check(&self, spec: &DictionarySpec) -> Result<(), DictionaryError> {
        let mut lacking = Vec::new();
        for name in &spec.add {
            if self.column(name).is_none() {
                let columns = self.columns.iter().map(String::as_str);
                lacking.push(DictionaryProblem::NoSuchColumn {
                    name: name.clone(),
                    suggestion: suggestion(name, columns),
                    columns: quoted(&self.columns),
                });
            }
        }
        if let UnknownProduct::Default(id) = &spec.unknown
            && self.lookup(id).is_none()
        {
            let ids = self.products().map(|product| self.id(product));
            let suggestion = suggestion(id, ids);
            lacking.push(DictionaryProblem::NoSuchDefault { id: id.clone(), suggestion });
        }
        let problem = match lacking.len() {
            0 => return Ok(()),
            1 => lacking.remove(0),
            _ => DictionaryProblem::Several(lacking),
        };
        Err(DictionaryError { origin: self.origin.clone(), line: None, problem })
    }
}

/// Why a dictionary cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct DictionaryError {
    /// The file.
    pub origin: String,
    /// Line in it, from 1, if it is about a place.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: DictionaryProblem,
}

impl std::fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.origin, self.problem),
            None => write!(f, "{}: {}", self.origin, self.problem),
        }
    }
}

/// What is wrong with a dictionary, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DictionaryProblem {
    /// A byte that is not UTF-8.
    #[error("not UTF-8 at byte {offset} of the file: save it as UTF-8")]
    Utf8 {
        /// Bytes before it.
        offset: usize,
    },
    /// Not CSV.
    #[error("not CSV: {0}")]
    Csv(String),
    /// Not TOML.
    #[error("not TOML: {0}")]
    Toml(String),
    /// The file is too big.
    #[error("{bytes} bytes, the limit is {DICTIONARY_BYTES_MAX}: leave out columns that no row needs")]
    TooBig {
        /// Its size.
        bytes: usize,
    },
    /// More than [`PRODUCTS_MAX`].
    #[error("more than {PRODUCTS_MAX} products, which is the limit: leave out those that no log names any more")]
    TooManyProducts,
    /// More than [`DICTIONARY_COLUMNS_MAX`].
    #[error("more than {DICTIONARY_COLUMNS_MAX} columns, which is the limit: leave out those that no row needs")]
    TooManyColumns,
    /// No products at all.
    #[error("no products: {0}")]
    Empty(&'static str),
    /// What begins otherwise than with names of columns, which are not shown: it may be any file.
    #[error("this does not begin with names of columns: is it the product dictionary?")]
    NotADictionary,
    /// There is no `id` column.
    #[error("no column `id`; the header names {columns}{hint}")]
    NoIdColumn {
        /// Those that there are.
        columns: String,
        /// `: rename ...`, by what is there.
        hint: String,
    },
    /// A column without a name.
    #[error("column {number} has no name: give it one, or drop the comma too many")]
    UnnamedColumn {
        /// From 1.
        number: usize,
    },
    /// Two columns of one name.
    #[error("column `{0}` stands twice in the header: rename one of them")]
    DuplicateColumn(String),
    /// A row that is shorter or longer than the header.
    #[error(
        "{found} values, the header has {expected} columns: add or remove commas, and put quotes around a value that \
         contains one"
    )]
    Ragged {
        /// Values of the row.
        found: u64,
        /// Columns of the header.
        expected: u64,
    },
    /// A product without an id.
    #[error("the product has no `id`: give it the id that the logs use")]
    NoId,
    /// Two products of one id.
    #[error("product `{id}` is already on line {first_line}: remove one of them")]
    DuplicateId {
        /// The id.
        id: String,
        /// Line of the first one.
        first_line: u64,
    },
    /// Something beside `[[product]]`.
    #[error("unknown name `{name}`{suggestion}: a dictionary has [[product]] tables and nothing else")]
    UnknownTopLevel {
        /// The name.
        name: String,
        /// `; did you mean ...?` or empty.
        suggestion: String,
    },
    /// `[product]` instead of `[[product]]`, or `product = ...`.
    #[error("`product` must be a table in double brackets, [[product]], once for each product")]
    NotTables,
    /// A value that is not a string.
    #[error("`{column}` must be a string in quotes, not a TOML {found}")]
    NotString {
        /// Its column.
        column: String,
        /// What it is in TOML.
        found: &'static str,
    },
    /// A column to add that it does not have.
    #[error("no column `{name}`, which the config adds to the rows{suggestion}; it has {columns}")]
    NoSuchColumn {
        /// The column.
        name: String,
        /// `; did you mean ...?` or empty.
        suggestion: String,
        /// Those that there are.
        columns: String,
    },
    /// The default product is not in it.
    #[error("no product `{id}`, which the config makes the default for unknown ones{suggestion}")]
    NoSuchDefault {
        /// The id.
        id: String,
        /// `; did you mean ...?` or empty.
        suggestion: String,
    },
    /// More than one of these.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; and "))]
    Several(Vec<DictionaryProblem>),
}

/// Names for an error, in backticks, at most ten of them.
fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &more
}

#[cfg(test)]
mod tests;
