//! `[[source]]`: where the input is.

use std::collections::BTreeMap;

use crate::config::SourceSpec;
use crate::config::context::{Context, Place, quote};
use crate::config::table::Section;

const KEYS: &[&str] = &["name", "paths"];

/// The sources; those that could not be read are left out.
pub(super) fn read(root: &Section<'_>) -> Vec<SourceSpec> {
    let sections = root.item("source").map(|item| item.tables(KEYS)).unwrap_or_default();
    let mut names = Names::default();
    let mut sources = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let paths = read_paths(section);
        let name = match section.item("name") {
            Some(item) => item.filled_string(),
            None => Some(section.at_head(format!("source-{}", index + 1))),
        };
        let Some(name) = name else { continue };
        names.add(root.context, &name.value, &name.place, "source");
        sources.push(SourceSpec { name: name.value, paths });
    }
    sources
}

fn read_paths(section: &Section<'_>) -> Vec<std::path::PathBuf> {
    let Some(item) = section.required("paths", "write paths = [\"logs/*.log.gz\"]") else {
        return Vec::new();
    };
    let written = item.strings();
    if item.value().as_array().is_some_and(|items| items.is_empty()) {
        section.context.error_help(&item.place, "a source needs a path", "write paths = [\"logs/*.log.gz\"]");
    }
    written.iter().filter_map(|path| section.context.resolve(path)).collect()
}

/// Names that must differ, and the lines they are on.
#[derive(Default)]
pub(super) struct Names {
    lines: BTreeMap<String, usize>,
}

impl Names {
    /// Notes a name that was there before. `what` is what it names.
    pub(super) fn add(&mut self, context: &Context<'_>, name: &str, place: &Place, what: &str) {
        let line = context.line(place);
        match self.lines.get(name) {
            Some(first) => {
                context.error_help(
                    place,
                    format!("there is a {what} {} on line {first} already", quote(name)),
                    "names must differ",
                );
            }
            None => {
                self.lines.insert(name.to_owned(), line);
            }
        }
    }
}
