//! Which paths the patterns of a source stand for at the moment.

use std::path::{Path, PathBuf};

use super::FollowError;

/// One path of a `[[source]]`, with wildcards or not.
#[derive(Debug)]
pub(super) struct PathPattern {
    text: String,
    /// Without wildcards it stands for itself.
    compiled: Option<glob::Pattern>,
    /// The folder that all its paths are under.
    root: PathBuf,
}

impl PathPattern {
    /// A path that exists stands for itself, whatever characters it has, as in `longshore load`.
    pub(super) fn new(path: &Path) -> Result<Self, FollowError> {
        let text = path.to_str().ok_or_else(|| FollowError::NotText { path: path.to_owned() })?.to_owned();
        let fail = |error| FollowError::Pattern { pattern: text.clone(), error };
        let wild = text.contains(['*', '?', '[']) && !path.exists();
        let compiled = if wild { Some(glob::Pattern::new(&text).map_err(fail)?) } else { None };
        let parts = path.parent().into_iter().flat_map(Path::components);
        let fixed = parts.take_while(|part| !(wild && part.as_os_str().to_string_lossy().contains(['*', '?', '['])));
        Ok(PathPattern { root: fixed.collect(), text, compiled })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// It has wildcards.
    pub(super) fn is_wild(&self) -> bool {
        self.compiled.is_some()
    }

    /// Whether a change of this path may change what the pattern stands for: it matches, or is on the way to it.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        match &self.compiled {
            None => Path::new(&self.text).starts_with(path),
            Some(pattern) => pattern.matches_path(path) || self.root.starts_with(path) || path.is_dir(),
        }
    }

    /// The deepest folder that exists of those that all its paths are under.
    pub(super) fn watched(&self) -> PathBuf {
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        root.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
    }

    /// Appends the paths it stands for, and those that could not be looked into.
    pub(super) fn expand(&self, paths: &mut Vec<PathBuf>, refused: &mut Vec<(PathBuf, std::io::Error)>) {
        if self.compiled.is_none() {
            paths.push(PathBuf::from(&self.text));
            return;
        }
        for found in glob::glob(&self.text).into_iter().flatten() {
            match found {
                Ok(path) => paths.push(path),
                Err(error) => refused.push((error.path().to_owned(), error.into())),
            }
        }
    }
}
