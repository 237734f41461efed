//! What a column is in Arrow: the one place that says which Arrow type stands for which column type.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use super::layout::LayoutColumn;
use super::{ColumnType, TimePrecision};

/// Zone of every timestamp column.
pub const TIME_ZONE: &str = "UTC";

/// Arrow type of a column's values.
///
/// Addresses and UUIDs have no type of their own in Arrow: an IPv4 address is a `UInt32`, an IPv6 address and a UUID
/// are 16 bytes. A list's items are never null, and low-cardinality items are plain text.
pub fn arrow_type(ty: &ColumnType) -> DataType {
    match ty {
        ColumnType::String | ColumnType::Json => DataType::Utf8,
        ColumnType::LowCardinality => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ColumnType::I8 => DataType::Int8,
        ColumnType::I16 => DataType::Int16,
        ColumnType::I32 => DataType::Int32,
        ColumnType::I64 => DataType::Int64,
        ColumnType::U8 => DataType::UInt8,
        ColumnType::U16 => DataType::UInt16,
        ColumnType::U32 => DataType::UInt32,
        ColumnType::U64 => DataType::UInt64,
        ColumnType::F32 => DataType::Float32,
        ColumnType::F64 => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Timestamp { precision, .. } => DataType::Timestamp(time_unit(*precision), Some(TIME_ZONE.into())),
        ColumnType::Date { .. } => DataType::Date32,
        ColumnType::Ipv4 => DataType::UInt32,
        ColumnType::Ipv6 | ColumnType::Uuid => DataType::FixedSizeBinary(16),
        ColumnType::List(item) => DataType::List(Arc::new(item_field(item))),
    }
}

/// Arrow field of a column of the events table.
pub fn arrow_field(column: &LayoutColumn) -> Field {
    Field::new(&*column.name, arrow_type(&column.ty), column.nullable)
}

/// Arrow field of a list's items.
pub(super) fn item_field(item: &ColumnType) -> Field {
    Field::new(Field::LIST_FIELD_DEFAULT_NAME, arrow_type(item_type(item)), false)
}

/// The type that a list's items are stored as: a dictionary is worth its keys only in a column.
pub(super) fn item_type(item: &ColumnType) -> &ColumnType {
    match item {
        ColumnType::LowCardinality => &ColumnType::String,
        other => other,
    }
}

/// Arrow unit of a precision.
pub(super) fn time_unit(precision: TimePrecision) -> TimeUnit {
    match precision {
        TimePrecision::Seconds => TimeUnit::Second,
        TimePrecision::Millis => TimeUnit::Millisecond,
        TimePrecision::Micros => TimeUnit::Microsecond,
        TimePrecision::Nanos => TimeUnit::Nanosecond,
    }
}
