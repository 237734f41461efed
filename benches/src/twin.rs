//! The decoder's twin: serde_json and the standard library, field by field, slow and plain.
//!
//! It knows the types that the bench configs declare and shares no code with the decoder but the config.

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use longshore_core::column::{ColumnSpec, ColumnType, Step, TimeFormat, TimePrecision};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::{Answer, Cell, ColumnAnswer};

/// The answer for lines of JSON under these columns.
///
/// # Errors
/// A record that the config would not load, or a type that the twin does not know.
pub fn answer(bytes: &[u8], columns: &[ColumnSpec]) -> anyhow::Result<Answer> {
    let text = std::str::from_utf8(bytes).context("the input is not UTF-8")?;
    let mut answer = Answer::new(columns.iter().map(|column| &*column.name));
    for line in text.lines() {
        let fields: Object<'_> = serde_json::from_str(line).with_context(|| line.to_owned())?;
        for (spec, column) in columns.iter().zip(&mut answer.columns) {
            push(spec, follow(&fields, &spec.path.0)?, column)
                .with_context(|| format!("column {} of {line}", spec.name))?;
        }
        answer.rows += 1;
    }
    Ok(answer)
}

/// The fields of an object in their order, each value as written.
///
/// # Panics
/// If it is not a JSON object.
pub fn object(text: &str) -> Vec<(String, &RawValue)> {
    serde_json::from_str::<Object<'_>>(text).expect("a JSON object").0
}

/// A map that keeps its order.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Object)
    }
}

/// The value at the end of a path of keys.
fn follow<'a>(fields: &Object<'a>, path: &[Step]) -> anyhow::Result<Option<&'a RawValue>> {
    let [Step::Key(key), rest @ ..] = path else { bail!("the twin follows paths of keys only") };
    match (fields.get(key), rest) {
        (value, []) => Ok(value),
        (None, _) => Ok(None),
        (Some(value), rest) => follow(&serde_json::from_str(value.get())?, rest),
    }
}

fn push(spec: &ColumnSpec, value: Option<&RawValue>, column: &mut ColumnAnswer) -> anyhow::Result<()> {
    let written = value.map(RawValue::get).filter(|text| *text != "null");
    let Some(written) = written else {
        anyhow::ensure!(!spec.required, "required, but it is not there");
        column.push(if spec.nullable { Cell::Null } else { zero(&spec.ty)? });
        return Ok(());
    };
    // A string's text, unescaped; anything else as written.
    let text: String = if written.starts_with('"') { serde_json::from_str(written)? } else { written.to_owned() };
    match &spec.ty {
        ColumnType::String | ColumnType::LowCardinality => column.push(Cell::Text(&text)),
        ColumnType::Json => column.push(Cell::Text(written)),
        ColumnType::Timestamp {
            precision: TimePrecision::Millis,
            format: TimeFormat::Epoch(TimePrecision::Millis),
        }
        | ColumnType::I64 => column.push(Cell::Number(text.parse()?)),
        ColumnType::F64 => column.push(Cell::Float(text.parse()?)),
        ColumnType::Bool => column.push(Cell::Number(i128::from(text.parse::<bool>()?))),
        ColumnType::Ipv4 => column.push(Cell::Number(i128::from(text.parse::<Ipv4Addr>()?.to_bits()))),
        ColumnType::Uuid => column.push(Cell::Bytes(&uuid(&text)?)),
        ColumnType::Decimal { scale, .. } => column.push(Cell::Number(decimal(&text, usize::from(*scale))?)),
        other => bail!("the twin does not know {other:?}"),
    }
    Ok(())
}

/// What stands in a column that is not nullable for a field that is absent.
fn zero(ty: &ColumnType) -> anyhow::Result<Cell<'static>> {
    Ok(match ty {
        ColumnType::String | ColumnType::LowCardinality => Cell::Text(""),
        ColumnType::I64 | ColumnType::Bool | ColumnType::Ipv4 => Cell::Number(0),
        ColumnType::F64 => Cell::Float(0.0),
        ColumnType::Uuid => Cell::Bytes(&[0; 16]),
        other => bail!("the twin does not know the zero of {other:?}"),
    })
}

fn uuid(text: &str) -> anyhow::Result<[u8; 16]> {
    let digits: String = text.split('-').collect();
    anyhow::ensure!(digits.len() == 32, "a UUID has 32 digits");
    Ok(u128::from_str_radix(&digits, 16)?.to_be_bytes())
}

/// `-1.5` at scale 2 is -150.
fn decimal(text: &str, scale: usize) -> anyhow::Result<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    anyhow::ensure!(fraction.len() <= scale, "{text} has more than {scale} digits after the point");
    Ok(format!("{whole}{fraction:0<scale$}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_their_order_and_their_values_text() {
        let fields = object(r#"{"b": 1.50, "a":{"x" : [1]}}"#);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (key.as_str(), value.get())).collect();
        assert_eq!(fields, [("b", "1.50"), ("a", r#"{"x" : [1]}"#)]);
    }

    #[test]
    fn decimals_are_counted_in_units_of_the_last_digit() {
        for (text, expected) in [("0.5", 50), ("12", 1200), ("-3.07", -307), ("9.99", 999)] {
            assert_eq!(decimal(text, 2).unwrap(), expected, "{text}");
        }
        assert!(decimal("1.005", 2).is_err());
    }

    #[test]
    fn a_uuid_is_its_sixteen_bytes() {
        let bytes = uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!(
            bytes,
            [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]
        );
    }
}
