//! Declared filters: records that are right and still not wanted.

use crate::column::ColumnSpec;
use crate::column::builder::ColumnBuilder;
use crate::config::FilterSpec;

/// A filter, ready to judge rows.
#[derive(Debug)]
pub(super) struct Filter {
    /// Index of the column.
    column: usize,
    /// Sorted.
    values: Vec<String>,
    /// Drop what has one of the values; otherwise drop what has none.
    drops_these: bool,
}

impl Filter {
    /// # Panics
    /// If there is no such column: a checked config has it.
    pub(super) fn new(spec: &FilterSpec, columns: &[ColumnSpec]) -> Filter {
        let (condition, drops_these) = match spec {
            FilterSpec::Drop(condition) => (condition, true),
            FilterSpec::Keep(condition) => (condition, false),
        };
        let column = columns.iter().position(|column| *column.name == *condition.column);
        let mut values = condition.values.clone();
        values.sort_unstable();
        Filter { column: column.expect("a filter is about a declared column"), values, drops_these }
    }

    /// Whether the row is not wanted. A null has none of the values.
    pub(super) fn drops(&self, columns: &[ColumnBuilder], row: usize, scratch: &mut String) -> bool {
        let value = columns[self.column].text_at(row, scratch);
        let has_one =
            value.is_some_and(|value| self.values.binary_search_by(|other| other.as_str().cmp(value)).is_ok());
        has_one == self.drops_these
    }
}
