//! No text makes the parse panic, and what it reports is always well formed.

use proptest::prelude::*;

use super::good::FULL;
use super::{BASE, parse_as};
use crate::column::builder::ColumnBuilder;

/// Parses, and checks what must hold for every text.
fn survives(text: &str) {
    let found = match parse_as(text, "dir/longshore.toml", &[("HOME", "/home/u"), ("SET", "x")]) {
        Err(found) => found,
        Ok(config) => {
            // What was checked here is not refused there: that would be a panic.
            for column in &config.columns {
                ColumnBuilder::new(column);
            }
            return;
        }
    };
    assert!(!found.is_empty());
    let lines = text.split('\n').count();
    let mut last = (1, 1);
    for diagnostic in &found {
        assert!((1..=lines).contains(&diagnostic.line), "{diagnostic} of {lines} lines");
        let line = text.split('\n').nth(diagnostic.line - 1).expect("the line is there");
        assert!((1..=line.chars().count() + 1).contains(&diagnostic.column), "{diagnostic} in {line:?}");
        assert!(!diagnostic.message.is_empty());
        assert!(last <= (diagnostic.line, diagnostic.column), "{found:#?}");
        last = (diagnostic.line, diagnostic.column);
        let _ = diagnostic.render();
    }
}

/// Values that do not belong where they are put.
const VALUES: [&str; 24] = [
    "",
    "1",
    "-1",
    "99999999999999999999",
    "1.5",
    "nan",
    "true",
    "\"\"",
    "\"x\"",
    "\"ts\"",
    "\"${MISSING}\"",
    "\"${SET}\"",
    "[]",
    "[1]",
    "[\"x\"]",
    "[[]]",
    "{}",
    "{ x = 1 }",
    "[{}]",
    "[{ name = \"ts\" }]",
    "2026-11-20",
    "\"\"\"\n\"\"\"",
    "\"用户\u{1f600}\"",
    "\"%\"",
];

/// Pieces that configs are made of.
const PIECES: [&str; 30] = [
    "version = 1",
    "[[column]]",
    "[column]",
    "[[columns]]",
    "name",
    "type",
    "=",
    "\"ts\"",
    "\"timestamp\"",
    "\n",
    "\n",
    "\r\n",
    "[products]",
    "[table]",
    "[[rollup]]",
    "[clickhouse.embedded]",
    "[clickhouse]",
    "[[filter]]",
    "drop",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    "\"",
    "'",
    "${",
    "#",
    "\u{feff}",
];

fn without_line(text: &str, index: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let index = index % lines.len();
    lines.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn every_value_replaced_by_every_other_kind() {
    for config in [BASE.join("\n"), FULL.to_owned()] {
        let lines: Vec<&str> = config.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some((key, _)) = line.split_once(" = ") else { continue };
            for value in VALUES {
                let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
                changed[index] = format!("{key} = {value}");
                survives(&changed.join("\n"));
            }
        }
    }
}

/// Types, formats, defaults and masks in all combinations: what is accepted can be built.
#[test]
fn columns_that_are_accepted_can_be_built() {
    let types = [
        "string",
        "low_cardinality",
        "u8",
        "i64",
        "f32",
        "decimal(5,2)",
        "decimal(38,38)",
        "bool",
        "timestamp",
        "date",
        "ipv4",
        "ipv6",
        "uuid",
        "json",
        "list(u8)",
        "list(string)",
        "list(timestamp)",
        "list(ipv4)",
    ];
    let formats = [
        "",
        "format = \"epoch_ns\"\nprecision = \"ns\"",
        "format = \"%d.%m.%Y %H:%M\"",
        "format = \"%F\"",
        "format = \"%s\"",
    ];
    let defaults = [
        "",
        "1",
        "-1",
        "1.5",
        "true",
        "\"\"",
        "\"x\"",
        "\"1e3\"",
        "\"null\"",
        "\"[]\"",
        "\"[1]\"",
        "\"::1\"",
        "\"20.11.2026 08:00\"",
        "\"2026-11-20\"",
        "\"9223372036854775807\"",
    ];
    let masks = [
        "",
        "\"redact\"",
        "{ hash = \"an unusual salt for these tests\" }",
        "{ truncate = 3 }",
        "{ ip_prefix = 24 }",
        "{ ip_prefix = { v4 = 0, v6 = 128 } }",
    ];
    let mut accepted = 0;
    for ty in types {
        for format in formats {
            for default in defaults {
                for mask in masks {
                    let default = if default.is_empty() { String::new() } else { format!("default = {default}") };
                    let mask = if mask.is_empty() { String::new() } else { format!("mask = {mask}") };
                    let column = format!("[[column]]\nname = \"c\"\ntype = \"{ty}\"\n{format}\n{default}\n{mask}");
                    let text = BASE.join("\n") + "\n" + &column;
                    accepted += usize::from(parse_as(&text, "longshore.toml", &[]).is_ok());
                    survives(&text);
                }
            }
        }
    }
    assert!(accepted >= types.len(), "only {accepted}: each type alone is accepted");
}

#[test]
fn every_prefix_of_a_config() {
    for (end, _) in FULL.char_indices() {
        survives(&FULL[..end]);
    }
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn text_of_toml_pieces(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        survives(&pieces.concat());
        survives(&pieces.join(" "));
    }

    #[test]
    fn a_config_without_a_line(index in any::<usize>(), other in any::<usize>()) {
        survives(&without_line(&without_line(FULL, index), other));
    }

    #[test]
    fn a_config_with_characters_changed(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..6)) {
        let mut chars: Vec<char> = FULL.chars().collect();
        for (index, c) in changes {
            let at = index.index(chars.len());
            chars[at] = c;
        }
        survives(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn lines_of_a_config_in_another_order(order in Just(FULL.lines().collect::<Vec<_>>()).prop_shuffle()) {
        survives(&order.join("\n"));
    }
}
