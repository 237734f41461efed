//! Which of the config's sources a followed file belongs to.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use longshore_core::config::Config;

/// What a file is called that no pattern of the config stands for any more, but the journal still knows.
const OTHER: &str = "(not in the config)";

/// Names of sources, by the paths that they follow.
#[derive(Debug)]
pub(super) struct Names {
    /// Absolute paths or patterns, with their sources' names.
    paths: Vec<(PathBuf, Option<Pattern>, String)>,
}

impl Names {
    pub(super) fn of(config: &Config) -> Self {
        let mut paths = Vec::new();
        for source in &config.sources {
            for path in source.paths() {
                let Ok(path) = std::path::absolute(path) else { continue };
                // As for the follower: a path that has no wildcards stands for itself.
                let pattern = path.to_str().and_then(|text| Pattern::new(text).ok());
                paths.push((path, pattern, source.name.clone()));
            }
        }
        Names { paths }
    }

    /// All of them, those of two patterns twice.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|(.., name)| name.as_str())
    }

    /// The name of the source that something in the way of files is of: a file, a pattern as written, or a folder on the way.
    pub(super) fn of_trouble(&self, at: &str) -> String {
        let path = Path::new(at);
        let on_the_way = |written: &Path| {
            let fixed = written.iter().take_while(|part| !part.to_string_lossy().contains(['*', '?', '[']));
            written.starts_with(path) || path.starts_with(fixed.collect::<PathBuf>())
        };
        match self.of_source(at) {
            name if name != OTHER => name,
            _ => {
                let found = self.paths.iter().find(|(written, ..)| on_the_way(written));
                found.map_or(OTHER, |(.., name)| name).to_owned()
            }
        }
    }

    /// The name of the source that a file or a partition is of. A partition goes by its own name.
    pub(super) fn of_source(&self, found: &str) -> String {
        let path = Path::new(found);
        if !path.is_absolute() {
            return found.to_owned();
        }
        // `*` does not stand for a `/` when files are looked for.
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let stands_for = |written: &Path, pattern: &Option<Pattern>| {
            written == path || pattern.as_ref().is_some_and(|pattern| pattern.matches_path_with(path, options))
        };
        let found = self.paths.iter().find(|(written, pattern, _)| stands_for(written, pattern));
        found.map_or(OTHER, |(.., name)| name).to_owned()
    }
}
