//! `[dedup]`: which records are the same event.

use std::time::Duration;

use super::columns::{Columns, type_name};
use crate::column::{ColumnType, Mask};
use crate::config::context::{At, quote};
use crate::config::table::{Item, Section};
use crate::config::{DedupSpec, ProductsSpec};
use crate::limits;

const KEYS: &[&str] = &["key", "window"];

/// What the section says; `None` if its key could not be read.
pub(super) fn read(item: &Item<'_>, columns: &Columns, products: Option<&ProductsSpec>) -> Option<DedupSpec> {
    let section = item.section(KEYS)?;
    let windows = limits::DEDUP_WINDOW_MS_FLOOR..=limits::DEDUP_WINDOW_MS_CEILING;
    let window = match section.item("window") {
        Some(item) => item.duration(windows).map(|window| window.value),
        None => Some(Duration::from_millis(limits::DEDUP_WINDOW_MS)),
    };
    let help = "write key = [\"order_id\"], the columns that two copies of an event have the same values in";
    let item = section.required("key", help)?;
    let names = item.strings();
    if names.is_empty() {
        if item.value().as_array().is_some_and(|items| items.is_empty()) {
            section.context.error_help(&item.place, "without a key all events would be the same one", help);
        }
        return None;
    }
    if names.len() > limits::DEDUP_KEY_COLUMNS_MAX {
        let message = format!("a key has at most {} columns", limits::DEDUP_KEY_COLUMNS_MAX);
        section.context.error(&item.place, message);
    }
    let mut key: Vec<String> = Vec::new();
    for name in names {
        check_column(&section, &name, columns, products);
        if key.contains(&name.value) {
            section.context.error(&name.place, format!("{} is in `key` twice", quote(&name.value)));
        } else {
            key.push(name.value);
        }
    }
    Some(DedupSpec { key, window: window? })
}

/// A column that copies of an event agree in, and other events do not.
fn check_column(section: &Section<'_>, name: &At<String>, columns: &Columns, products: Option<&ProductsSpec>) {
    let context = section.context;
    let shown = quote(&name.value);
    if products.is_some_and(|products| products.column_name() == name.value) {
        let message = format!("{shown} is the product, and events of different products are never the same");
        context.error_help(&name.place, message, "leave it out");
        return;
    }
    let Some(column) = columns.find(context, name) else { return };
    if let Some(ty) = column.ty.as_ref().filter(|ty| !is_identity(ty)) {
        let message = format!("column {shown} is {}, which does not tell events apart", type_name(ty));
        let help = "use text, an integer, a decimal, a time, a date, an address, a uuid or a bool";
        context.error_help(&name.place, message, help);
    }
    if matches!(column.mask, Some(Mask::Redact | Mask::Truncate { .. } | Mask::IpPrefix { .. })) {
        let message = format!("column {shown} is masked so that different values become one");
        context.error_help(
            &name.place,
            message,
            "mask it with `hash`, which keeps equal values equal and others apart",
        );
    }
}

/// Types of which equal values are spelled alike: a float is rounded, and the same JSON can be written in many ways.
fn is_identity(ty: &ColumnType) -> bool {
    !matches!(ty, ColumnType::F32 | ColumnType::F64 | ColumnType::Json | ColumnType::List(_))
}
