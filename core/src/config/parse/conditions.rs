//! Conditions on columns, for `[[filter]]` and for a rollup's `where`: `{ event = ["heartbeat", "ping"] }`.

use toml::de::DeValue;

use super::columns::{ColumnDraft, Columns, type_name};
use crate::column::{ColumnType, Mask};
use crate::config::FilterSpec;
use crate::config::context::{At, quote};
use crate::config::table::{Item, Section, integer_value};
use crate::rollup::Condition;

const FILTER_KEYS: &[&str] = &["drop", "keep"];

/// The filters; those that could not be read are left out.
pub(super) fn read_filters(root: &Section<'_>, columns: &Columns) -> Vec<FilterSpec> {
    let sections = root.item("filter").map(|item| item.tables(FILTER_KEYS)).unwrap_or_default();
    sections.iter().filter_map(|section| read_filter(section, columns)).collect()
}

fn read_filter(section: &Section<'_>, columns: &Columns) -> Option<FilterSpec> {
    const HELP: &str = "write drop = { event = [\"heartbeat\"] } or keep = { ... }";
    let drop = section.item("drop").map(|item| one(section, item, columns));
    let keep = section.item("keep").map(|item| one(section, item, columns));
    match (drop, keep) {
        (Some(drop), None) => drop.map(FilterSpec::Drop),
        (None, Some(keep)) => keep.map(FilterSpec::Keep),
        (Some(_), Some(_)) => {
            section.context.error_help(
                &section.place,
                "a filter drops or keeps, not both",
                "write a [[filter]] for each",
            );
            None
        }
        (None, None) => {
            section.context.error_help(&section.place, "a filter needs a condition", HELP);
            None
        }
    }
}

/// A condition on exactly one column.
fn one(section: &Section<'_>, item: &Item<'_>, columns: &Columns) -> Option<Condition> {
    let count = item.value().as_table().map_or(1, |table| table.len());
    if count != 1 {
        let message = format!("a filter is about one column, not {count}");
        section.context.error_help(&item.place, message, "write a [[filter]] for each column");
    }
    read(section, item, columns).pop()
}

/// The conditions of a table of columns and values; those that could not be read are left out.
pub(super) fn read(section: &Section<'_>, item: &Item<'_>, columns: &Columns) -> Vec<Condition> {
    let entries = item.entries().unwrap_or_default();
    let condition = |(name, values): (_, Item<'_>)| {
        let column = columns.find(section.context, &name);
        let supported = column.is_none_or(|column| is_supported(section, &name, column));
        let items = match values.value() {
            DeValue::Array(_) => values.array("a list")?,
            _ => vec![values.clone()],
        };
        if items.is_empty() {
            section.context.error(&values.place, "the list is empty, so no record satisfies it");
        }
        let ty = column.and_then(|column| column.ty.as_ref()).filter(|_| supported);
        let values = items.iter().filter_map(|item| value(section, item, ty)).collect();
        Some(Condition { column: name.value, values })
    };
    entries.into_iter().filter_map(condition).collect()
}

fn is_supported(section: &Section<'_>, name: &At<String>, column: &ColumnDraft) -> bool {
    if matches!(column.mask, Some(Mask::Redact)) {
        let message = format!("column {} is redacted, so its values cannot be told apart", quote(&name.value));
        section.context.error_help(&name.place, message, "use another column, or another mask");
    }
    let Some(ty) = &column.ty else { return false };
    let supported = is_text(ty) || is_integer(ty) || matches!(ty, ColumnType::Bool);
    if !supported {
        let message = format!("column {} is {}, which conditions do not take", quote(&name.value), type_name(ty));
        let help = "use a column of type string, low_cardinality, bool or an integer";
        section.context.error_help(&name.place, message, help);
    }
    supported
}

fn is_text(ty: &ColumnType) -> bool {
    matches!(ty, ColumnType::String | ColumnType::LowCardinality)
}

fn is_integer(ty: &ColumnType) -> bool {
    integer_range(ty).is_some()
}

/// The least and the most that an integer column holds.
fn integer_range(ty: &ColumnType) -> Option<(i128, i128)> {
    Some(match ty {
        ColumnType::I8 => (i8::MIN.into(), i8::MAX.into()),
        ColumnType::I16 => (i16::MIN.into(), i16::MAX.into()),
        ColumnType::I32 => (i32::MIN.into(), i32::MAX.into()),
        ColumnType::I64 => (i64::MIN.into(), i64::MAX.into()),
        ColumnType::U8 => (0, u8::MAX.into()),
        ColumnType::U16 => (0, u16::MAX.into()),
        ColumnType::U32 => (0, u32::MAX.into()),
        ColumnType::U64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// A value as the column's text has it. Of a type that is not known, only the form is checked.
fn value(section: &Section<'_>, item: &Item<'_>, ty: Option<&ColumnType>) -> Option<String> {
    let text = match item.value() {
        DeValue::String(_) => item.string()?.value,
        DeValue::Integer(integer) if ty.is_none_or(is_integer) => integer_value(integer)?.to_string(),
        DeValue::Boolean(flag) if ty.is_none_or(|ty| matches!(ty, ColumnType::Bool)) => flag.to_string(),
        _ => {
            item.wrong_type(match ty {
                Some(ty) if is_text(ty) => "a string, as the column's type is",
                Some(ty) if is_integer(ty) => "an integer, as the column's type is",
                Some(_) => "true or false, as the column's type is",
                None => "a string, an integer or a boolean",
            });
            return None;
        }
    };
    let ty = ty?;
    let (as_stored, wanted) = match integer_range(ty) {
        // As the column has it: `007` and `-0` are 7 and 0.
        Some((least, most)) => (
            text.parse::<i128>().ok().filter(|value| (least..=most).contains(value)).map(|value| value.to_string()),
            format!("a whole number from {least} to {most}"),
        ),
        None if matches!(ty, ColumnType::Bool) => {
            (Some(text.clone()).filter(|text| text == "true" || text == "false"), "true or false".to_owned())
        }
        None => (Some(text.clone()), String::new()),
    };
    if as_stored.is_none() {
        section.context.error(&item.place, format!("{} is no value of the column: wanted {wanted}", quote(&text)));
    }
    as_stored
}
