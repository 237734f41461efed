//! `[message]`: columns of what a topic says of a message.

use super::columns::check_name;
use super::sources::Names;
use crate::config::table::{Item, Section};
use crate::message::{MessageColumn, MessageField};

const KEYS: &[&str] = &["topic", "partition", "offset", "timestamp", "key", "headers"];

const FIELDS: [(&str, MessageField); 5] = [
    ("topic", MessageField::Topic),
    ("partition", MessageField::Partition),
    ("offset", MessageField::Offset),
    ("timestamp", MessageField::Timestamp),
    ("key", MessageField::Key),
];

/// The columns in the order of [`KEYS`], headers as they are written. `names` has those of the declared columns.
pub(super) fn read(root: &Section<'_>, names: &mut Names) -> Vec<MessageColumn> {
    let Some(section) = root.item("message").and_then(|item| item.section(KEYS)) else { return Vec::new() };
    let mut column = |item: &Item<'_>, field: MessageField| {
        let name = item.string()?;
        check_name(root.context, &name);
        names.add(root.context, &name.value, &name.place, "column");
        Some(MessageColumn { name: name.value.into(), field })
    };
    let mut columns = Vec::new();
    for (key, field) in FIELDS {
        columns.extend(section.item(key).and_then(|item| column(item, field)));
    }
    for (header, item) in section.item("headers").and_then(Item::entries).unwrap_or_default() {
        columns.extend(column(&item, MessageField::Header(header.value)));
    }
    columns
}
