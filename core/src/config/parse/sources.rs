//! `[[source]]`: where the input is.

use std::collections::BTreeMap;

use super::decode::DecodeDraft;
use super::kafka;
use crate::config::context::{Context, Place, quote};
use crate::config::table::{Item, Section};
use crate::config::{Format, KafkaMessages, SourceInput, SourceSpec};

const KEYS: &[&str] = &["name", "paths", "follow_links_into", "kafka"];

/// The sources; those that could not be read are left out.
pub(super) fn read(root: &Section<'_>) -> Vec<SourceSpec> {
    let sections = root.item("source").map(|item| item.tables(KEYS)).unwrap_or_default();
    let mut names = Names::default();
    let mut sources = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let input = read_input(section);
        let name = match section.item("name") {
            Some(item) => item.filled_string(),
            None => Some(section.at_head(format!("source-{}", index + 1))),
        };
        let Some(name) = name else { continue };
        names.add(root.context, &name.value, &name.place, "source");
        let follow_links_into = read_folders(section);
        sources.extend(input.map(|input| SourceSpec { name: name.value, input, follow_links_into }));
    }
    sources
}

fn read_input(section: &Section<'_>) -> Option<SourceInput> {
    if let Some(topics) = section.item("kafka") {
        section.refuse(&["paths", "follow_links_into"], "a source is files or topics", "make them two sources");
        return kafka::read(topics).map(|spec| SourceInput::Kafka(Box::new(spec)));
    }
    let help = "write paths = [\"logs/*.log.gz\"], or a table [source.kafka] for topics";
    Some(SourceInput::Files(read_paths(section, section.required("paths", help)?)))
}

/// Folders that links may lead into. No patterns: whoever can make a folder must not choose.
fn read_folders(section: &Section<'_>) -> Vec<std::path::PathBuf> {
    let Some(item) = section.item("follow_links_into") else { return Vec::new() };
    let written = item.strings();
    for folder in written.iter().filter(|folder| folder.value.contains(['*', '?', '['])) {
        let help = "name a folder above them, such as \"/var/log/pods\"";
        section.context.error_help(&folder.place, "folders have no wildcards here", help);
    }
    written.iter().filter_map(|folder| section.context.resolve(folder)).collect()
}

fn read_paths(section: &Section<'_>, item: &Item<'_>) -> Vec<std::path::PathBuf> {
    let written = item.strings();
    if item.value().as_array().is_some_and(|items| items.is_empty()) {
        section.context.error_help(&item.place, "a source needs a path", "write paths = [\"logs/*.log.gz\"]");
    }
    written.iter().filter_map(|path| section.context.resolve(path)).collect()
}

/// Notes what a config of topics cannot have: records that need a header line, and secrets in its text.
pub(super) fn check_topics(root: &Section<'_>, sources: &[SourceSpec], decode: &DecodeDraft) {
    if sources.iter().all(|source| source.kafka().is_none()) {
        return;
    }
    root.context.refuse_written_secrets("a config that reads topics is kept in ClickHouse, for the other engines");
    let place = root.item("source").map_or(&root.place, |item| &item.place);
    let by_lines = |source: &SourceSpec| source.kafka().is_some_and(|spec| spec.messages == KafkaMessages::Lines);
    if decode.is_framed() && sources.iter().any(by_lines) {
        let message = "a message that is sealed as a frame is one record, and cannot be lines";
        root.context.error_help(place, message, "leave `messages` out");
    }
    if matches!(decode.format, Some(Format::Csv | Format::Tsv)) {
        let message = "messages of a topic have no header line, which `decode.format` needs";
        root.context.error_help(place, message, "let the producer write JSON, or read files");
    }
}

/// Names that must differ, and the lines they are on.
#[derive(Clone, Default)]
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
