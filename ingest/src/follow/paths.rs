//! What the patterns lead to: files, their other names, and the folders to watch for them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::follower::{At, Follower, Seen};
use super::identity::{Inode, Stat};
use super::{Change, Refusal};
use crate::patterns::{Expansion, Match, PathPattern};

impl Follower {
    /// Says which paths are other names of files, once they were for two scans: while files are rotated some have two.
    pub(super) fn tell_other_names(&mut self, seen: &[Seen]) {
        let mut names: HashMap<Inode, &Path> = HashMap::new();
        let mut others = HashMap::new();
        for Seen { path, stat } in seen {
            let source = self.sources.of_inode(&stat.inode).and_then(|id| self.sources.get(id));
            let own = source.map(|source| source.path.as_path()).filter(|own| self.leads_to(own, stat.inode));
            let name = *names.entry(stat.inode).or_insert_with(|| own.unwrap_or(path));
            if name == path {
                continue;
            }
            let before = self.other_names.get(path).filter(|(inode, _)| *inode == stat.inode);
            others.insert(path.clone(), (stat.inode, before.is_some()));
            if before.is_some_and(|(_, told)| !told) {
                self.changes.push(Change::OtherName { path: path.clone(), name: name.to_owned() });
            }
        }
        self.other_names = others;
    }

    /// All files that the patterns lead to. A file may be there under several names.
    pub(super) fn expand(&mut self) -> Vec<Seen> {
        let mut expansion = self.patterns.expand();
        let mut full = vec![false; self.patterns.list.len()];
        let (mut all, mut barred) = (Vec::new(), Vec::new());
        let before = std::mem::take(&mut self.paths);
        for refused in std::mem::take(&mut expansion.refused) {
            full[refused.pattern] = true;
            barred.push((refused.path, refused.why.into()));
        }
        for found in std::mem::take(&mut expansion.found) {
            let stat = match self.stat(&found, &expansion, &before) {
                Ok(Some(stat)) => stat,
                Ok(None) => continue,
                Err(why) => {
                    full[found.pattern] = true;
                    barred.push((found.path, why));
                    continue;
                }
            };
            full[found.pattern] = true;
            let at = At { inode: stat.inode, linked: found.is_linked(), real: found.real };
            match self.paths.entry(found.path) {
                // What is written without wildcards is followed wherever it leads.
                Entry::Occupied(mut other) => {
                    if at.real.is_none() {
                        other.insert(at);
                    }
                }
                Entry::Vacant(entry) => {
                    all.push(Seen { path: entry.key().clone(), stat });
                    entry.insert(at);
                }
            }
        }
        // One pattern may lead there by rules that another does not have.
        barred.retain(|(path, _)| !self.paths.contains_key(path));
        for (path, why) in barred {
            self.refuse(&path, why);
        }
        let empty = self.patterns.list.iter().zip(full).filter(|(_, full)| !full);
        self.empty = empty.map(|(pattern, _)| PathBuf::from(pattern.text())).collect();
        if self.scans <= 1 {
            for path in self.empty.clone() {
                self.refuse(&path, Refusal::Nothing);
            }
        }
        all
    }

    /// What a pattern led to, if that is a file which may be followed; nothing if there is nothing to say of it.
    fn stat(
        &self,
        found: &Match,
        expansion: &Expansion,
        before: &HashMap<PathBuf, At>,
    ) -> Result<Option<Stat>, Refusal> {
        let looked = match &found.real {
            Some(real) => Stat::of_name(real),
            None => Stat::of_path(&found.path),
        };
        let stat = match looked {
            Ok(stat) => stat,
            // Gone since, or a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Refusal::of(error)),
        };
        match stat.kind {
            FileType::RegularFile => {
                expansion.judge(found, stat.owner)?;
                Ok(Some(stat))
            }
            // A pattern for files has a right to match a folder, but not one where a file was.
            FileType::Directory if found.real.is_none() || before.contains_key(&found.path) => {
                Err(Refusal::Folder(found.path.clone()))
            }
            FileType::Directory => Ok(None),
            // It was put there a moment ago.
            FileType::Symlink => Ok(None),
            FileType::Fifo => Err(Refusal::Special("fifo")),
            FileType::Socket => Err(Refusal::Special("socket")),
            _ => Err(Refusal::Special("device")),
        }
    }

    pub(super) fn watch_folders(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let mut folders: HashSet<PathBuf> = self.patterns.list.iter().map(PathPattern::watched).collect();
        for (path, At { real, linked, .. }) in &self.paths {
            // What a link leads to is written to in its own folder.
            let target = match real {
                Some(real) if *linked => Some(real.clone()),
                None if path.is_symlink() => path.canonicalize().ok(),
                _ => None,
            };
            for folder in [Some(path), target.as_ref()].into_iter().flatten().filter_map(|path| path.parent()) {
                if !folders.contains(folder) {
                    folders.insert(folder.to_owned());
                }
            }
        }
        if let Some(why) = watch.set(folders.into_iter()) {
            self.scan_only(why);
        }
    }
}
