//! Looks for what patterns stand for, folder by folder.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::links::{LinkFault, Maker, Owner, resolve};
use super::{Part, PathPattern};

/// What a pattern leads to: a file most likely, perhaps something else, or nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// As the pattern names it.
    pub path: PathBuf,
    /// Where that is, without links; `None` for a path that was written without wildcards, whose links are followed.
    pub real: Option<PathBuf>,
    /// Number of the pattern.
    pub pattern: usize,
    /// Who made the links on the way.
    makers: Vec<Maker>,
}

impl Match {
    /// Links that a wildcard found are on the way.
    pub fn is_linked(&self) -> bool {
        !self.makers.is_empty()
    }
}

/// What a pattern leads to and is not read.
#[derive(Debug)]
pub struct Refused {
    /// As the pattern names it.
    pub path: PathBuf,
    /// Number of the pattern.
    pub pattern: usize,
    /// Why.
    pub why: Barred,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Barred {
    /// By the rules for links.
    #[error(transparent)]
    Link(#[from] LinkFault),
    /// By the system.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// All that patterns lead to at one moment.
#[derive(Debug)]
pub struct Expansion {
    /// Pattern by pattern, each in the order of names.
    pub found: Vec<Match>,
    /// Folders that cannot be looked into, and links that lead to others'.
    pub refused: Vec<Refused>,
    /// Folders that the fixed parts of patterns name, without links.
    declared: Vec<PathBuf>,
    /// Folders that links of each pattern may lead into, without links.
    links_into: Vec<Vec<PathBuf>>,
}

impl Expansion {
    /// Whether a file may be read that a pattern led to.
    pub fn judge(&self, found: &Match, owner: Owner) -> Result<(), LinkFault> {
        let Some(real) = &found.real else { return Ok(()) };
        if is_in(real, &self.links_into[found.pattern]) {
            return Ok(());
        }
        if !found.makers.is_empty() && !is_in(real, &self.declared) {
            return Err(LinkFault::Outside(real.clone()));
        }
        if let Some(maker) = found.makers.iter().find(|maker| !maker.owns(owner.user)) {
            return Err(LinkFault::Foreign { target: real.clone(), owner: owner.user, maker: maker.link });
        }
        if real.parent().is_some_and(|folder| owner.is_foreign_in(folder)) {
            return Err(LinkFault::Hard { owner: owner.user });
        }
        Ok(())
    }
}

fn is_in(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

pub(super) fn expand(patterns: &[PathPattern]) -> Expansion {
    let real = |path: &Path| if path.as_os_str().is_empty() { Path::new(".") } else { path }.canonicalize().ok();
    let into = |pattern: &PathPattern| pattern.links_into.iter().filter_map(|folder| real(folder)).collect();
    let mut all = Expansion {
        found: Vec::new(),
        refused: Vec::new(),
        declared: patterns.iter().filter(|pattern| pattern.is_wild()).filter_map(|p| real(&p.root)).collect(),
        links_into: patterns.iter().map(into).collect(),
    };
    for (number, pattern) in patterns.iter().enumerate() {
        if !pattern.is_wild() {
            let path = PathBuf::from(&pattern.text);
            all.found.push(Match { path, real: None, pattern: number, makers: Vec::new() });
            continue;
        }
        let root = if pattern.root.as_os_str().is_empty() { Path::new(".") } else { &pattern.root };
        match root.canonicalize() {
            Ok(real) => {
                let root = Place { path: pattern.root.clone(), real, makers: Vec::new() };
                Walk { all: &mut all, number, parts: &pattern.parts, visited: HashSet::new() }.walk(0, &root);
            }
            // It may come yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                all.refused.push(Refused { path: root.to_owned(), pattern: number, why: error.into() });
            }
        }
    }
    all
}

/// A file or folder on the way.
struct Place {
    path: PathBuf,
    real: PathBuf,
    makers: Vec<Maker>,
}

struct Walk<'a> {
    all: &'a mut Expansion,
    number: usize,
    parts: &'a [Part],
    /// Folders that a `**` has looked into, by the number of the part.
    visited: HashSet<(usize, PathBuf)>,
}

impl Walk<'_> {
    /// Looks in a folder for the parts from this one on.
    fn walk(&mut self, part: usize, folder: &Place) {
        let parts = self.parts;
        match parts.get(part) {
            None => {}
            Some(Part::Folders) => {
                if !self.visited.insert((part, folder.real.clone())) {
                    return;
                }
                self.walk(part + 1, folder);
                for (name, kind) in self.list(folder) {
                    if (kind.is_dir() || kind.is_symlink())
                        && let Some(inner) = self.place(folder, &name, kind.is_symlink())
                        && self.is_open(&inner, kind.is_symlink())
                    {
                        self.walk(part, &inner);
                    }
                }
            }
            Some(Part::Name(name)) if name == ".." => {
                let real = folder.real.parent().unwrap_or(Path::new("/")).to_owned();
                let up = Place { path: folder.path.join(name), real, makers: folder.makers.clone() };
                self.walk(part + 1, &up);
            }
            Some(Part::Name(name)) => match fs::symlink_metadata(folder.real.join(name)) {
                Ok(meta) => self.step(part, folder, OsStr::new(name), meta.file_type()),
                Err(error) => self.refuse(folder.path.join(name), error),
            },
            Some(Part::Like(pattern)) => {
                for (name, kind) in self.list(folder) {
                    let text = name.to_string_lossy();
                    if pattern.matches(&text) || text == pattern.as_str() {
                        self.step(part, folder, &name, kind);
                    }
                }
            }
        }
    }

    /// A name that this part stands for.
    fn step(&mut self, part: usize, folder: &Place, name: &OsStr, kind: fs::FileType) {
        let last = part + 1 == self.parts.len();
        if !last && !kind.is_dir() && !kind.is_symlink() {
            return;
        }
        let Some(place) = self.place(folder, name, kind.is_symlink()) else { return };
        if last {
            let Place { path, real, makers } = place;
            self.all.found.push(Match { path, real: Some(real), pattern: self.number, makers });
        } else if self.is_open(&place, kind.is_symlink()) {
            self.walk(part + 1, &place);
        }
    }

    /// Where a name in a folder is.
    fn place(&mut self, folder: &Place, name: &OsStr, is_link: bool) -> Option<Place> {
        let (path, mut real) = (folder.path.join(name), folder.real.join(name));
        let mut makers = folder.makers.clone();
        if is_link {
            match resolve(&real, &mut makers) {
                Ok(target) => real = target,
                Err(error) => {
                    self.refuse(path, error);
                    return None;
                }
            }
        }
        Some(Place { path, real, makers })
    }

    /// Whether it is a folder that may be looked into.
    fn is_open(&mut self, place: &Place, is_link: bool) -> bool {
        if !is_link {
            return true;
        }
        match fs::symlink_metadata(&place.real) {
            Ok(meta) if !meta.is_dir() => return false,
            Ok(_) => {}
            Err(error) => {
                self.refuse(place.path.clone(), error);
                return false;
            }
        }
        let open = is_in(&place.real, &self.all.declared) || is_in(&place.real, &self.all.links_into[self.number]);
        if !open {
            let why = LinkFault::Outside(place.real.clone()).into();
            self.all.refused.push(Refused { path: place.path.clone(), pattern: self.number, why });
        }
        open
    }

    /// Names in a folder, in order.
    fn list(&mut self, folder: &Place) -> Vec<(OsString, fs::FileType)> {
        let read = || -> io::Result<Vec<_>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&folder.real)? {
                let entry = entry?;
                // What is gone since has no type.
                names.extend(entry.file_type().ok().map(|kind| (entry.file_name(), kind)));
            }
            Ok(names)
        };
        match read() {
            Ok(mut names) => {
                names.sort_by(|a, b| a.0.cmp(&b.0));
                names
            }
            Err(error) => {
                self.refuse(folder.path.clone(), error);
                Vec::new()
            }
        }
    }

    /// The system refuses. What is gone is gone, and what is no folder has nothing in it.
    fn refuse(&mut self, path: PathBuf, error: io::Error) {
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            self.all.refused.push(Refused { path, pattern: self.number, why: error.into() });
        }
    }
}
