//! What a column's type is called in ClickHouse, and how its values are compressed.
//!
//! Names are spelled as ClickHouse spells them back in `system.columns`, so that a table can be compared with what it
//! should be by text. Codecs were chosen by measuring, see `docs/tables.md`.

use longshore_core::column::ColumnType;

/// Codec of `_slice`: long runs of one value.
pub(super) const SLICE_CODEC: &str = "ZSTD(1)";
/// Codec of `_row`: rising within a slice.
pub(super) const ROW_CODEC: &str = "T64, ZSTD(1)";
/// Codec of texts outside the events table.
pub(super) const TEXT_CODEC: &str = "ZSTD(1)";

/// The ClickHouse type. A list is never nullable: ClickHouse knows no such thing.
pub fn clickhouse_type(ty: &ColumnType, nullable: bool) -> String {
    let name = match ty {
        ColumnType::LowCardinality if nullable => return "LowCardinality(Nullable(String))".to_owned(),
        ColumnType::LowCardinality => return "LowCardinality(String)".to_owned(),
        ColumnType::List(item) => return format!("Array({})", clickhouse_type(plain(item), false)),
        ColumnType::String | ColumnType::Json => "String".to_owned(),
        ColumnType::I8 => "Int8".to_owned(),
        ColumnType::I16 => "Int16".to_owned(),
        ColumnType::I32 => "Int32".to_owned(),
        ColumnType::I64 => "Int64".to_owned(),
        ColumnType::U8 => "UInt8".to_owned(),
        ColumnType::U16 => "UInt16".to_owned(),
        ColumnType::U32 => "UInt32".to_owned(),
        ColumnType::U64 => "UInt64".to_owned(),
        ColumnType::F32 => "Float32".to_owned(),
        ColumnType::F64 => "Float64".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("Decimal({precision}, {scale})"),
        ColumnType::Bool => "Bool".to_owned(),
        ColumnType::Timestamp { precision, .. } => format!("DateTime64({}, 'UTC')", precision.digits()),
        ColumnType::Date { .. } => "Date32".to_owned(),
        ColumnType::Ipv4 => "IPv4".to_owned(),
        ColumnType::Ipv6 => "IPv6".to_owned(),
        ColumnType::Uuid => "UUID".to_owned(),
    };
    if nullable { format!("Nullable({name})") } else { name }
}

/// The type without its dictionary, for where ClickHouse takes none: inside tuples, arrays and aggregate states.
pub(super) fn plain(ty: &ColumnType) -> &ColumnType {
    match ty {
        ColumnType::LowCardinality => &ColumnType::String,
        other => other,
    }
}

/// The codec of a declared column; none: the server's default, LZ4 unless its operator says otherwise.
pub(super) fn codec(ty: &ColumnType) -> Option<&'static str> {
    match ty {
        ColumnType::I8
        | ColumnType::I16
        | ColumnType::I32
        | ColumnType::I64
        | ColumnType::U8
        | ColumnType::U16
        | ColumnType::U32
        | ColumnType::U64
        | ColumnType::Timestamp { .. }
        | ColumnType::Date { .. }
        | ColumnType::Ipv4
        | ColumnType::Decimal { precision: ..=18, .. } => Some("T64, LZ4"),
        ColumnType::String
        | ColumnType::LowCardinality
        | ColumnType::F32
        | ColumnType::F64
        | ColumnType::Decimal { .. }
        | ColumnType::Bool
        | ColumnType::Ipv6
        | ColumnType::Uuid
        | ColumnType::Json
        | ColumnType::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use longshore_core::column::{TimeFormat, TimePrecision};

    use super::*;

    #[test]
    fn types_are_spelled_as_clickhouse_spells_them() {
        let timestamp = ColumnType::Timestamp { precision: TimePrecision::Micros, format: TimeFormat::Rfc3339 };
        for (ty, nullable, expected) in [
            (ColumnType::String, false, "String"),
            (ColumnType::Json, true, "Nullable(String)"),
            (ColumnType::LowCardinality, true, "LowCardinality(Nullable(String))"),
            (ColumnType::U64, true, "Nullable(UInt64)"),
            (ColumnType::Decimal { precision: 38, scale: 9 }, false, "Decimal(38, 9)"),
            (timestamp.clone(), false, "DateTime64(6, 'UTC')"),
            (ColumnType::Date { format: None }, true, "Nullable(Date32)"),
            (ColumnType::List(Box::new(ColumnType::LowCardinality)), false, "Array(String)"),
            (ColumnType::List(Box::new(timestamp)), false, "Array(DateTime64(6, 'UTC'))"),
        ] {
            assert_eq!(clickhouse_type(&ty, nullable), expected);
        }
    }
}
