//! `mask` of a column: what happens to its values before they are stored.

use toml::de::DeValue;

use crate::column::mask::check_mask;
use crate::column::{ColumnType, Mask};
use crate::config::table::{Item, Section};

const KEYS: &[&str] = &["hash", "truncate", "ip_prefix"];
const PREFIX_KEYS: &[&str] = &["v4", "v6"];

const FORMS: &str = "write \"redact\", { hash = \"${SALT}\" }, { truncate = 8 } or { ip_prefix = 24 }";

/// The mask of a column, if it has one that fits its type. Of a type that is not known, only the form is checked.
pub(super) fn read(column: &Section<'_>, ty: Option<&ColumnType>) -> Option<Mask> {
    let item = column.item("mask")?;
    match item.value() {
        DeValue::String(_) => {
            let word = item.string()?;
            if word.value == "redact" {
                return Some(Mask::Redact);
            }
            column.context.error_help(&item.place, "unknown mask", FORMS);
            None
        }
        DeValue::Table(_) => read_table(column, item, ty),
        _ => {
            item.wrong_type("\"redact\" or a table such as { truncate = 8 }");
            None
        }
    }
}

fn read_table(column: &Section<'_>, item: &Item<'_>, ty: Option<&ColumnType>) -> Option<Mask> {
    let section = item.section(KEYS)?;
    let present: Vec<&str> = KEYS.iter().copied().filter(|key| section.has(key)).collect();
    let [kind] = present[..] else {
        let message = if present.is_empty() { "the mask is empty" } else { "a column has one mask" };
        column.context.error_help(&item.place, message, FORMS);
        return None;
    };
    let value = section.item(kind)?;
    let mask = match kind {
        "hash" => {
            let salt = value.filled_string()?;
            Mask::Hash { salt: salt.value.into_bytes() }
        }
        "truncate" => {
            let chars = value.integer(1..=1 << 20)?;
            Mask::Truncate { chars: chars.value as usize }
        }
        _ => read_prefix(value, ty)?,
    };
    if let Some(Err(problem)) = ty.map(|ty| check_mask(&mask, ty)) {
        let help = match kind {
            "ip_prefix" => "declare the column as ipv4 or ipv6, or use \"redact\"",
            _ => "declare the column as string, or use \"redact\"",
        };
        column.context.error_help(&value.place, problem, help);
    }
    Some(mask)
}

/// A lone number counts the bits of the column's own type; of an IPv4 address in an IPv6 column, whose 96 leading bits
/// only say what it is, the rest.
fn read_prefix(item: &Item<'_>, ty: Option<&ColumnType>) -> Option<Mask> {
    if item.value().as_table().is_some() {
        let section = item.section(PREFIX_KEYS)?;
        let help = "write { v4 = 24, v6 = 48 }";
        let v4 = section.required("v4", help).and_then(|item| item.integer(0..=32));
        let v6 = section.required("v6", help).and_then(|item| item.integer(0..=128));
        return Some(Mask::IpPrefix { v4: v4?.value as u8, v6: v6?.value as u8 });
    }
    let masked = match ty {
        Some(ColumnType::List(item)) => Some(&**item),
        other => other,
    };
    match masked {
        Some(ColumnType::Ipv4) => Some(Mask::IpPrefix { v4: item.integer(0..=32)?.value as u8, v6: 0 }),
        _ => {
            let bits = item.integer(0..=128)?.value as u8;
            Some(Mask::IpPrefix { v4: bits.saturating_sub(96), v6: bits })
        }
    }
}
