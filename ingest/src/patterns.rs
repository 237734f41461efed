//! Paths and patterns of a `[[source]]`: which files they lead to at the moment, and which links count.
//!
//! Whoever may write into a folder of logs may put a link there, and the engine reads what its own user may read. So a link
//! that only a wildcard finds is followed by rules ([`links`]): to files inside the folders that the patterns *declare* by
//! their fixed parts, whose owner made the link, or into folders that the source names for it. What is written without a
//! wildcard, a whole path or the fixed part of a pattern, is the operator's own choice, links and all.
//!
//! A folder that only a link leads to is looked into under the same rules, and `**` looks into each folder once: links in
//! circles end.

use std::path::{Component, Path, PathBuf};

mod links;
mod walk;

pub use links::{LinkFault, Owner};
pub(crate) use links::{is_elsewhere, open_without_links};
pub use walk::{Barred, Expansion, Match, Refused};

/// One path of a `[[source]]`, with wildcards or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// As written, made absolute.
    pub path: PathBuf,
    /// Folders into which links may lead that its wildcards find, whoever owns the files.
    pub links_into: Vec<PathBuf>,
}

impl From<PathBuf> for Wanted {
    fn from(path: PathBuf) -> Self {
        Wanted { path, links_into: Vec::new() }
    }
}

/// Why a path cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A pattern that is none.
    #[error("the pattern {pattern}: {error}")]
    Syntax {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        error: glob::PatternError,
    },
    /// Patterns are text.
    #[error("{} is not UTF-8", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
    },
}

/// All that is looked for together.
#[derive(Debug)]
pub struct Patterns {
    pub(crate) list: Vec<PathPattern>,
}

impl Patterns {
    /// Checks them. Nothing is looked for yet.
    pub fn new(wanted: &[Wanted]) -> Result<Self, PatternError> {
        Ok(Patterns { list: wanted.iter().map(PathPattern::new).collect::<Result<_, _>>()? })
    }

    /// What they lead to now.
    pub fn expand(&self) -> Expansion {
        walk::expand(&self.list)
    }
}

/// A part of a pattern between two slashes.
#[derive(Debug)]
enum Part {
    /// This name.
    Name(String),
    /// Names like this, or exactly this one: a name may have brackets in it.
    Like(glob::Pattern),
    /// `**`: any folders, or none.
    Folders,
}

/// One path, with wildcards or not.
#[derive(Debug)]
pub(crate) struct PathPattern {
    text: String,
    /// Without wildcards it stands for itself.
    compiled: Option<glob::Pattern>,
    /// The folder that all its paths are under.
    root: PathBuf,
    /// What follows it.
    parts: Vec<Part>,
    links_into: Vec<PathBuf>,
}

impl PathPattern {
    fn new(wanted: &Wanted) -> Result<Self, PatternError> {
        let path = &wanted.path;
        let text = path.to_str().ok_or_else(|| PatternError::NotText { path: path.clone() })?.to_owned();
        let fail = |error| PatternError::Syntax { pattern: text.clone(), error };
        let compiled = if is_wild(&text) { Some(glob::Pattern::new(&text).map_err(fail)?) } else { None };
        let all: Vec<Component<'_>> = path.components().collect();
        let fixed = all.iter().take_while(|part| !is_wild(&part.as_os_str().to_string_lossy())).count();
        let root: PathBuf = match compiled {
            Some(_) => all[..fixed].iter().collect(),
            None => path.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let mut parts = Vec::new();
        for part in all.iter().skip(fixed).map(|part| part.as_os_str().to_string_lossy().into_owned()) {
            match part.as_str() {
                "**" if matches!(parts.last(), Some(Part::Folders)) => {}
                "**" => parts.push(Part::Folders),
                _ if is_wild(&part) => parts.push(Part::Like(glob::Pattern::new(&part).map_err(fail)?)),
                _ => parts.push(Part::Name(part)),
            }
        }
        Ok(PathPattern { root, parts, links_into: wanted.links_into.clone(), compiled, text })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// It has wildcards.
    pub(crate) fn is_wild(&self) -> bool {
        self.compiled.is_some()
    }

    /// Whether a change of this path may change what the pattern stands for: it matches, or is on the way to it.
    pub(crate) fn concerns(&self, path: &Path) -> bool {
        match &self.compiled {
            None => Path::new(&self.text).starts_with(path),
            Some(pattern) => {
                let matches = pattern.matches_path(path) || Path::new(&self.text) == path;
                matches || self.root.starts_with(path) || path.is_dir()
            }
        }
    }

    /// The deepest folder that exists of those that all its paths are under.
    pub(crate) fn watched(&self) -> PathBuf {
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        root.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
    }
}

/// It has wildcards.
fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}
