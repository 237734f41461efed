//! `[run]`: how `longshore run` goes about it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::RunSpec;
use crate::config::context::quote;
use crate::config::table::Section;
use crate::limits;

const KEYS: &[&str] = &["journal", "slice_age", "drain", "metrics", "machine"];

/// What the section says, and what goes without saying. `config` is the config's own file.
pub(super) fn read(root: &Section<'_>, config: &Path) -> RunSpec {
    let mut spec = RunSpec {
        journal: journal_beside(config),
        slice_age: Duration::from_millis(limits::SLICE_AGE_MS),
        drain: Duration::from_millis(limits::DRAIN_MS),
        metrics: None,
        machine: None,
    };
    let Some(section) = root.item("run").and_then(|item| item.section(KEYS)) else {
        return spec;
    };
    if let Some(journal) = section.string("journal").and_then(|written| section.context.resolve(&written)) {
        spec.journal = journal;
    }
    let slice_ages = limits::SLICE_AGE_MS_FLOOR..=limits::SLICE_AGE_MS_CEILING;
    if let Some(age) = section.item("slice_age").and_then(|item| item.duration(slice_ages)) {
        spec.slice_age = age.value;
    }
    let drains = limits::DRAIN_MS_FLOOR..=limits::DRAIN_MS_CEILING;
    if let Some(drain) = section.item("drain").and_then(|item| item.duration(drains)) {
        spec.drain = drain.value;
    }
    spec.metrics = section.item("metrics").and_then(|item| {
        let written = item.string()?;
        let address = written.value.parse().ok();
        if address.is_none() {
            let message = format!("{} is not an address and a port", quote(&written.value));
            let help = "write \"127.0.0.1:9464\", or \"0.0.0.0:9464\" to let other machines read the metrics";
            section.context.error_help(&written.place, message, help);
        }
        address
    });
    spec.machine = section.item("machine").and_then(|item| Some(item.filled_string()?.value));
    spec
}

/// `app.journal` for `app.toml`, in the same folder.
fn journal_beside(config: &Path) -> PathBuf {
    let mut name = config.file_stem().map_or_else(|| OsString::from("longshore"), OsString::from);
    name.push(".journal");
    config.with_file_name(name)
}
