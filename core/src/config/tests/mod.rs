//! Tests of the whole parse. Line and column of each expected message were counted by hand in [`BASE`].

mod bad;
mod bad_columns;
mod bad_sections;
mod good;
mod many;
mod prop;
mod secrets;

use std::path::Path;

use super::{Config, Diagnostic, Env, parse};

/// A small valid config. Cases replace one of its lines; the numbers in front are not part of it.
const BASE: [&str; 29] = [
    /*  1 */ "version = 1",
    /*  2 */ "",
    /*  3 */ "[[column]]",
    /*  4 */ "name = \"ts\"",
    /*  5 */ "type = \"timestamp\"",
    /*  6 */ "required = true",
    /*  7 */ "",
    /*  8 */ "[[column]]",
    /*  9 */ "name = \"product\"",
    /* 10 */ "type = \"low_cardinality\"",
    /* 11 */ "",
    /* 12 */ "[[column]]",
    /* 13 */ "name = \"user_id\"",
    /* 14 */ "type = \"string\"",
    /* 15 */ "",
    /* 16 */ "[[column]]",
    /* 17 */ "name = \"amount\"",
    /* 18 */ "type = \"decimal(18,2)\"",
    /* 19 */ "",
    /* 20 */ "[products]",
    /* 21 */ "column = \"product\"",
    /* 22 */ "",
    /* 23 */ "[table]",
    /* 24 */ "time = \"ts\"",
    /* 25 */ "",
    /* 26 */ "[[rollup]]",
    /* 27 */ "kind = \"gmv\"",
    /* 28 */ "amount = \"amount\"",
    /* 29 */ "buyer = \"user_id\"",
];

/// The first line after [`BASE`].
const END: usize = BASE.len() + 1;

/// [`BASE`] with one line replaced; at [`END`], with lines added.
fn base_with(line: usize, text: &str) -> String {
    let mut lines = BASE.to_vec();
    if line == END {
        lines.push(text);
    } else {
        lines[line - 1] = text;
    }
    lines.join("\n") + "\n"
}

fn env(variables: &[(&str, &str)]) -> Env {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn parse_as(text: &str, path: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<Diagnostic>> {
    parse(text, Path::new(path), &env(variables))
}

/// The diagnostics, each as shown, without the file's name in front.
fn problems(text: &str) -> Vec<String> {
    match parse_as(text, "longshore.toml", &[]) {
        Ok(_) => Vec::new(),
        Err(found) => found
            .iter()
            .map(|diagnostic| {
                let shown = diagnostic.to_string();
                shown.strip_prefix("longshore.toml:").expect("the file's name stands in front").to_owned()
            })
            .collect(),
    }
}

/// A line of [`BASE`], what replaces it, and what is wrong then.
type Case = (usize, &'static str, &'static [&'static str]);

/// Runs all cases and shows all that differ.
fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (line, text, wanted) in cases {
        let found = problems(&base_with(*line, text));
        if found != *wanted {
            wrong.push(format!("line {line}: {text}\n  wanted {wanted:#?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

#[test]
fn the_base_of_the_cases_is_valid() {
    assert_eq!(problems(&base_with(2, "")), [""; 0]);
}
