//! SQL text: identifiers, literals, conditions.

use longshore_core::column::ColumnType;
use longshore_core::rollup::Condition;

use super::ddl::Events;

/// An identifier in backticks, whatever it holds.
pub fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// `database`.`name`.
pub fn quote_table(database: &str, name: &str) -> String {
    format!("{}.{}", quote_name(database), quote_name(name))
}

/// A string literal, spelled as ClickHouse spells it back.
pub fn quote_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

/// A list of identifiers in backticks.
pub(super) fn name_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote_name).collect::<Vec<_>>().join(", ")
}

/// A declared condition over the events table under the alias `e`. NULL satisfies none.
pub(super) fn condition(condition: &Condition, events: &Events<'_>) -> String {
    let column = format!("e.{}", quote_name(&condition.column));
    let subject = match events.column(&condition.column).ty {
        ColumnType::String | ColumnType::LowCardinality | ColumnType::Json => column,
        // Values are compared as text: `true`, `-1`.
        _ => format!("toString({column})"),
    };
    let values: Vec<String> = condition.values.iter().map(|value| quote_text(value)).collect();
    format!("{subject} IN ({})", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_would_end_a_name_or_a_text() {
        assert_eq!(quote_name("a`b\\"), "`a\\`b\\\\`");
        assert_eq!(quote_table("d", "t"), "`d`.`t`");
        assert_eq!(quote_text("it's\\\n"), "'it\\'s\\\\\\n'");
    }
}
