//! A row's product: looked up, replaced by the default one if the config says so, and what the dictionary adds.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch};

use super::DecoderError;
use crate::column::builder::ColumnBuilder;
use crate::column::layout::{LayoutColumn, Origin};
use crate::column::value::Value;
use crate::config::{Config, ProductsSpec, UnknownProduct};
use crate::dead_letter::{Fault, Reason};
use crate::product::{ColumnIndex, Dictionary, ProductIndex};

/// Characters of an unknown product that a dead letter shows.
const SHOWN_CHARS: usize = 80;

/// Which product a row belongs to.
#[derive(Debug)]
pub(super) enum Products {
    Fixed {
        id: String,
    },
    /// The declared column of this index says it.
    Column {
        column: usize,
        name: Arc<str>,
        known: Option<Known>,
        /// No reason may show a product that is not known.
        hides_values: bool,
    },
}

/// The known products.
#[derive(Debug)]
pub(super) struct Known {
    dictionary: Dictionary,
    /// What unknown ones become; `None`: dead letters.
    default: Option<ProductIndex>,
    /// What is added to a row.
    added: Vec<ColumnIndex>,
}

/// The columns that products add, growing.
pub(super) struct ProductsScratch {
    added: Vec<ColumnBuilder>,
    /// What was found out about the values of a low-cardinality product column, by their key.
    lookups: Vec<Lookup>,
    /// The products of a block's rows.
    found: Vec<ProductIndex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    NotYet,
    Unknown,
    Known(ProductIndex),
}

impl Products {
    /// # Panics
    /// If there is no such column: a checked config has it.
    pub(super) fn new(config: &Config, dictionary: Option<Dictionary>) -> Result<Products, DecoderError> {
        let (name, spec) = match &config.products {
            ProductsSpec::Fixed { id } => return Ok(Products::Fixed { id: id.clone() }),
            ProductsSpec::Column { column, dictionary } => (column, dictionary),
        };
        let column = config.columns.iter().position(|column| *column.name == **name);
        let column = column.expect("the product is a declared column");
        let known = match spec {
            None => None,
            Some(spec) => {
                let dictionary = dictionary.ok_or(DecoderError::NoDictionary)?;
                dictionary.check(spec)?;
                let default = match &spec.unknown {
                    UnknownProduct::DeadLetter => None,
                    UnknownProduct::Default(id) => dictionary.lookup(id),
                };
                let added = spec.add.iter().filter_map(|name| dictionary.column(name)).collect();
                Some(Known { dictionary, default, added })
            }
        };
        let name = config.columns[column].name.clone();
        Ok(Products::Column { column, name, known, hides_values: config.hides_values() })
    }

    pub(super) fn scratch(&self, layout: &[LayoutColumn]) -> ProductsScratch {
        let is_added = |column: &&LayoutColumn| matches!(column.origin, Origin::FixedProduct | Origin::Dictionary(_));
        let added = layout.iter().filter(is_added).map(ColumnBuilder::of_layout).collect();
        ProductsScratch { added, lookups: Vec::new(), found: Vec::new() }
    }

    /// Looks up the product of the row that was just pushed to the columns and appends what it adds.
    #[inline]
    pub(super) fn push(
        &self,
        row: usize,
        columns: &mut [ColumnBuilder],
        scratch: &mut ProductsScratch,
        text: &mut String,
    ) -> Result<(), Fault> {
        let Products::Column { column, name, known: Some(known), hides_values } = self else { return Ok(()) };
        let column = &mut columns[*column];
        let product = match (scratch.lookup(known, column, row, text), known.default) {
            (Some(product), _) => product,
            (None, Some(default)) => {
                column.truncate(row);
                column.push(Value::String(known.dictionary.id(default)))?;
                default
            }
            (None, None) => {
                let product = (!hides_values).then(|| column.text_at(row, text).unwrap_or_default());
                return Err(unknown_product(name, product));
            }
        };
        for (builder, column) in scratch.added.iter_mut().zip(&known.added) {
            builder.push(Value::String(known.dictionary.value(product, *column)))?;
        }
        Ok(())
    }

    /// Looks up the products of the rows from `base` on that are kept, one verdict a row, and appends what they add.
    ///
    /// `false`: one of them is unknown, and nothing was appended. Pushed one by one, they are told apart.
    #[inline]
    pub(super) fn look_up_block(
        &self,
        base: usize,
        keep: &[bool],
        columns: &[ColumnBuilder],
        scratch: &mut ProductsScratch,
        text: &mut String,
    ) -> bool {
        let Products::Column { column, known: Some(known), .. } = self else { return true };
        // Nothing is added, and all were looked up before: the usual block of the usual config.
        if let Some(keys) = columns[*column].keys_from(base)
            && scratch.added.is_empty()
            && keys.iter().zip(keep).all(|(&key, &keep)| scratch.is_known(key) || !keep)
        {
            return true;
        }
        let mut found = std::mem::take(&mut scratch.found);
        found.clear();
        let kept = (base..).zip(keep).filter(|&(_, &keep)| keep);
        for (row, _) in kept {
            found.extend(scratch.lookup(known, &columns[*column], row, text));
        }
        let are_known = found.len() == keep.iter().filter(|&&keep| keep).count();
        let before = scratch.added.first().map_or(0, ColumnBuilder::len);
        let are_added = are_known
            && scratch.added.iter_mut().zip(&known.added).all(|(builder, column)| {
                let value = |&product| Value::String(known.dictionary.value(product, *column));
                found.iter().map(value).all(|value| builder.push(value).is_ok())
            });
        if !are_added {
            scratch.truncate(before);
        }
        scratch.found = found;
        are_added
    }

    /// Rows by product, products in order of their id.
    pub(super) fn count_rows(&self, batch: &RecordBatch) -> Vec<(Arc<str>, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        match self {
            Products::Fixed { id } => {
                counts.insert(id, batch.num_rows() as u64);
            }
            Products::Column { column, .. } => count_values(batch.column(*column), &mut counts),
        }
        counts.retain(|_, rows| *rows > 0);
        counts.into_iter().map(|(product, rows)| (product.into(), rows)).collect()
    }
}

impl ProductsScratch {
    /// Whether the text of that key was looked up and is a product.
    #[inline(always)]
    fn is_known(&self, key: i32) -> bool {
        matches!(self.lookups.get(key as usize), Some(Lookup::Known(_)))
    }

    /// The row's product, if the dictionary has it.
    #[inline]
    fn lookup(&mut self, known: &Known, column: &ColumnBuilder, row: usize, text: &mut String) -> Option<ProductIndex> {
        let key = column.key_at(row);
        if let Some(&Lookup::Known(product)) = key.and_then(|key| self.lookups.get(key)) {
            return Some(product);
        }
        if let Some(Lookup::Unknown) = key.and_then(|key| self.lookups.get(key)) {
            return None;
        }
        let product = known.dictionary.lookup(column.text_at(row, text)?);
        if let Some(key) = key {
            if self.lookups.len() <= key {
                self.lookups.resize(key + 1, Lookup::NotYet);
            }
            self.lookups[key] = product.map_or(Lookup::Unknown, Lookup::Known);
        }
        product
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.added.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The added columns, in order of the layout. Keys of the product column mean nothing after this.
    pub(super) fn finish(&mut self, rows: usize, products: &Products) -> Vec<ArrayRef> {
        self.lookups.clear();
        if let (Products::Fixed { id }, [column]) = (products, self.added.as_mut_slice()) {
            column.push_same(Value::String(id), rows).expect("the id of one product fits in a batch");
        }
        self.added.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

/// Rows by value of a text column, in plain text or by dictionary.
fn count_values<'a>(column: &'a ArrayRef, counts: &mut BTreeMap<&'a str, u64>) {
    if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
        let values = dictionary.values().as_string::<i32>();
        let mut rows = vec![0; values.len()];
        for key in dictionary.keys().iter().flatten() {
            rows[key as usize] += 1;
        }
        values.iter().flatten().zip(rows).for_each(|(value, rows)| *counts.entry(value).or_default() += rows);
    } else if let Some(values) = column.as_string_opt::<i32>() {
        for value in values.iter().flatten() {
            *counts.entry(value).or_default() += 1;
        }
    }
}

#[cold]
fn unknown_product(column: &Arc<str>, product: Option<&str>) -> Fault {
    let shown = match product {
        Some(product) => {
            let shown: String = product.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
            let ellipsis = if product.chars().nth(SHOWN_CHARS).is_some() { "..." } else { "" };
            format!("product \"{shown}{ellipsis}\"")
        }
        None => "such product (not shown, records are sealed or have masked columns)".to_owned(),
    };
    Fault {
        reason: Reason::UnknownProduct,
        column: Some(column.clone()),
        detail: format!("the dictionary has no {shown}: add it there, or set a default product"),
    }
}
