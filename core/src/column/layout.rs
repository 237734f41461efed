//! The columns of the events table: one list that the decoder fills and a sink creates.

use std::sync::Arc;

use super::ColumnType;
use crate::config::{Config, ProductsSpec};
use crate::message::MessageField;

/// Name of the provenance column that holds the slice's id.
pub const SLICE_COLUMN: &str = "_slice";
/// Name of the provenance column that holds the record's position in its slice.
pub const ROW_COLUMN: &str = "_row";

/// A column of the events table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutColumn {
    /// Name.
    pub name: Arc<str>,
    /// Type.
    pub ty: ColumnType,
    /// May hold null.
    pub nullable: bool,
    /// What fills it.
    pub origin: Origin,
}

/// What fills a column of the events table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The declared column at this index of [`Config::columns`].
    Declared(usize),
    /// The fixed product id.
    FixedProduct,
    /// This column of the product dictionary.
    Dictionary(String),
    /// What a topic says of the record's message.
    Message(MessageField),
    /// The slice's id.
    Slice,
    /// The record's position in its slice.
    Row,
}

/// The columns of the events table, in order: declared ones, the fixed product, what the dictionary adds, what a topic says
/// of a message, provenance.
pub fn event_columns(config: &Config) -> Vec<LayoutColumn> {
    let mut columns: Vec<LayoutColumn> = config
        .columns
        .iter()
        .enumerate()
        .map(|(index, spec)| LayoutColumn {
            name: spec.name.clone(),
            ty: spec.ty.clone(),
            nullable: spec.nullable,
            origin: Origin::Declared(index),
        })
        .collect();
    let mut add = |name: String, ty: ColumnType, origin: Origin| {
        columns.push(LayoutColumn { name: name.into(), ty, nullable: false, origin });
    };
    match &config.products {
        ProductsSpec::Fixed { .. } => {
            add(config.products.column_name().to_owned(), ColumnType::LowCardinality, Origin::FixedProduct);
        }
        ProductsSpec::Column { dictionary, .. } => {
            for key in dictionary.iter().flat_map(|dictionary| &dictionary.add) {
                add(format!("product_{key}"), ColumnType::LowCardinality, Origin::Dictionary(key.clone()));
            }
        }
    }
    columns.extend(config.message.iter().map(|column| LayoutColumn {
        name: column.name.clone(),
        ty: column.field.ty(),
        nullable: column.field.nullable(),
        origin: Origin::Message(column.field.clone()),
    }));
    let mut add = |name: &str, ty: ColumnType, origin: Origin| {
        columns.push(LayoutColumn { name: name.into(), ty, nullable: false, origin });
    };
    add(SLICE_COLUMN, ColumnType::U64, Origin::Slice);
    add(ROW_COLUMN, ColumnType::U32, Origin::Row);
    columns
}
