//! `[table]`: the events table.

use std::time::Duration;

use super::columns::{Columns, check_name, type_name};
use crate::column::{ColumnType, Mask};
use crate::config::context::{At, quote};
use crate::config::table::{Item, Section};
use crate::config::{ProductsSpec, TableSpec};
use crate::limits;

const KEYS: &[&str] = &["name", "time", "order_by", "future_max", "past_max"];

/// Names of tables that are not the events table.
pub(super) const OWN_TABLES: [&str; 4] = ["configs", "dead_letter_reasons", "dead_letters", "ledger"];

/// `[table]` as far as it could be read; what could not is `None`.
#[derive(Default)]
pub(super) struct TableDraft {
    pub(super) name: Option<String>,
    pub(super) time: Option<String>,
    order_by: Vec<String>,
    future_max: Option<Duration>,
    past_max: Option<Duration>,
}

impl TableDraft {
    pub(super) fn into_spec(self) -> Option<TableSpec> {
        Some(TableSpec {
            name: self.name?,
            time: self.time?,
            order_by: self.order_by,
            future_max: self.future_max.unwrap_or(Duration::from_millis(limits::EVENT_FUTURE_MS)),
            past_max: self.past_max,
        })
    }
}

pub(super) fn read(root: &Section<'_>, columns: &Columns, products: Option<&ProductsSpec>) -> TableDraft {
    let item = root.required("table", "add [table] with time = \"...\", the column that is the event time");
    let Some(section) = item.and_then(|item| item.section(KEYS)) else {
        return TableDraft::default();
    };
    let name = match section.item("name") {
        Some(item) => item.string().map(|name| check_table_name(&section, name)),
        None => Some("events".to_owned()),
    };
    let time = section.required("time", "write time = \"...\", a required timestamp column").and_then(Item::string);
    if let Some(time) = &time {
        check_time(&section, time, columns);
    }
    let order_by = read_order(&section, columns, time.as_ref(), products);
    let bound = |key: &str, range| section.item(key).and_then(|item| item.duration(range)).map(|bound| bound.value);
    let future_max = bound("future_max", limits::EVENT_FUTURE_MS_FLOOR..=limits::EVENT_FUTURE_MS_CEILING);
    let past_max = bound("past_max", limits::EVENT_PAST_MS_FLOOR..=limits::EVENT_PAST_MS_CEILING);
    TableDraft { name, time: time.map(|time| time.value), order_by, future_max, past_max }
}

fn check_table_name(section: &Section<'_>, name: At<String>) -> String {
    check_name(section.context, &name);
    if OWN_TABLES.contains(&name.value.as_str()) {
        let message = format!("{} is the name of a table of Longshore's own", quote(&name.value));
        section.context.error_help(&name.place, message, "choose another name, such as `events`");
    }
    name.value
}

fn check_time(section: &Section<'_>, reference: &At<String>, columns: &Columns) {
    let context = section.context;
    let Some(column) = columns.find(context, reference) else { return };
    let name = quote(&reference.value);
    if let Some(ty) = column.ty.as_ref().filter(|ty| !matches!(ty, ColumnType::Timestamp { .. })) {
        let message = format!("the event time is a timestamp, and column {name} is {}", type_name(ty));
        context.error_help(&reference.place, message, "declare it with type = \"timestamp\"");
    }
    if !column.required {
        let message = format!("every record has a time, and column {name} is not required");
        let help = "add `required = true` to the column: records without a time become dead letters";
        context.error_help(&reference.place, message, help);
    }
    if matches!(column.mask, Some(Mask::Redact)) {
        let message = format!("column {name} is redacted, so all records would have one time");
        context.error_help(&reference.place, message, "take the column's mask away");
    }
}

/// The columns of the sorting key, without those that have something wrong with them.
fn read_order(
    section: &Section<'_>,
    columns: &Columns,
    time: Option<&At<String>>,
    products: Option<&ProductsSpec>,
) -> Vec<String> {
    let context = section.context;
    let mut order: Vec<String> = Vec::new();
    for name in section.item("order_by").map(Item::strings).unwrap_or_default() {
        let shown = quote(&name.value);
        if products.is_some_and(|products| products.column_name() == name.value) {
            let message = format!("{shown} is the product, which the table is ordered by first anyway");
            context.error_help(&name.place, message, "leave it out");
        } else if time.is_some_and(|time| time.value == name.value) {
            let message = format!("{shown} is the event time, which the table is ordered by last anyway");
            context.error_help(&name.place, message, "leave it out");
        } else if order.contains(&name.value) {
            context.error(&name.place, format!("{shown} is in `order_by` twice"));
        } else if let Some(column) = columns.find(context, &name) {
            if column.nullable {
                let message = format!("column {shown} is nullable, and a table cannot be ordered by it");
                context.error_help(&name.place, message, "make it `required`, or leave `nullable` out");
            }
            order.push(name.value);
        }
    }
    order
}
