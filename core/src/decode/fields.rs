//! From an open record to its columns: which format, and where each column's field stands in it.

use std::sync::Arc;

use super::blocks::Json;
use crate::access_log::{self, Field};
use crate::column::builder::ColumnBuilder;
use crate::column::value::Value;
use crate::column::{ColumnSpec, Step};
use crate::config::Format;
use crate::dead_letter::{Fault, Reason};
use crate::delimited::{Cells, Dialect};
use crate::json::Plan;

/// Where the declared columns stand in a record of the declared format.
#[derive(Debug)]
pub(super) enum Fields {
    Json(Json),
    AccessLog {
        fields: Vec<Field>,
    },
    Delimited {
        dialect: Dialect,
        /// Name of each column's field in the header.
        names: Vec<String>,
    },
}

/// What the fields of one record need room for.
pub(super) enum FieldsScratch {
    Json,
    AccessLog,
    Delimited {
        cells: Cells,
        header: Option<Arc<[String]>>,
        /// Place in the header of each column's field.
        places: Vec<Option<usize>>,
    },
}

impl Fields {
    /// # Panics
    /// If a path does not name a field that the format has: a checked config does not have such paths.
    pub(super) fn new(format: Format, columns: &[ColumnSpec]) -> Fields {
        match format {
            Format::Json => {
                Fields::Json(Json::new(Plan::new(columns.iter().map(|column| &column.path)), columns.len()))
            }
            Format::AccessLog => {
                let field = |column| Field::from_name(single_key(column)).expect("the config checked the field's name");
                Fields::AccessLog { fields: columns.iter().map(field).collect() }
            }
            Format::Csv => Fields::Delimited { dialect: Dialect::Csv, names: names(columns) },
            Format::Tsv => Fields::Delimited { dialect: Dialect::Tsv, names: names(columns) },
        }
    }

    pub(super) fn scratch(&self) -> FieldsScratch {
        match self {
            Fields::Json(_) => FieldsScratch::Json,
            Fields::AccessLog { .. } => FieldsScratch::AccessLog,
            Fields::Delimited { .. } => {
                FieldsScratch::Delimited { cells: Cells::default(), header: None, places: Vec::new() }
            }
        }
    }

    /// Appends a record to the columns: to all of them, or on an error to some.
    #[inline]
    pub(super) fn push(
        &self,
        record: &str,
        scratch: &mut FieldsScratch,
        columns: &mut [ColumnBuilder],
        text: &mut String,
    ) -> Result<(), Fault> {
        match (self, scratch) {
            (Fields::AccessLog { fields }, FieldsScratch::AccessLog) => {
                let entry = access_log::parse(record)?;
                for (column, field) in columns.iter_mut().zip(fields) {
                    column.push(entry.value(*field, text))?;
                }
            }
            (Fields::Delimited { dialect, .. }, FieldsScratch::Delimited { cells, header, places }) => {
                let expected = header.as_ref().ok_or_else(no_header)?.len();
                cells.split(record, *dialect, expected)?;
                for (column, place) in columns.iter_mut().zip(places) {
                    column.push(place.map_or(Value::Absent, |place| cells.value(place, record, text)))?;
                }
            }
            _ => unreachable!("a scratch is used with the decoder that it was made for"),
        }
        Ok(())
    }
}

impl FieldsScratch {
    /// Ready for a slice with that header.
    pub(super) fn begin(&mut self, fields: &Fields, slice_header: Option<&Arc<[String]>>) {
        let (Fields::Delimited { names, .. }, FieldsScratch::Delimited { header, places, .. }) = (fields, self) else {
            return;
        };
        let is_same = match (&*header, slice_header) {
            (Some(known), Some(new)) => Arc::ptr_eq(known, new),
            _ => false,
        };
        if !is_same {
            let place = |name| slice_header.and_then(|header| header.iter().position(|field| field == name));
            *places = names.iter().map(place).collect();
            *header = slice_header.cloned();
        }
    }
}

/// The key that the path of a column is, in a format without nesting.
fn single_key(column: &ColumnSpec) -> &str {
    match column.path.0.as_slice() {
        [Step::Key(key)] => key,
        _ => panic!("the config checked that the path of {} is one key", column.name),
    }
}

fn names(columns: &[ColumnSpec]) -> Vec<String> {
    columns.iter().map(|column| single_key(column).to_owned()).collect()
}

#[cold]
fn no_header() -> Fault {
    Fault::new(Reason::BadLine, "the source has no header line that names the fields")
}
