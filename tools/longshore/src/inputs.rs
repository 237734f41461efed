//! Which inputs a load reads: those of the command line, or the config's sources.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use longshore_core::config::Config;
use longshore_ingest::input::Input;
use longshore_ingest::patterns::{Barred, Expansion, Patterns, Wanted};

/// An input under the path by which it was found, or why it cannot be opened.
type Opened = anyhow::Result<(PathBuf, Input)>;

/// What there is to load, and what there is not.
#[derive(Default)]
pub(crate) struct Resolved {
    /// In the order in which they are loaded. Those of a glob pattern come in order of their names.
    pub(crate) inputs: Vec<Input>,
    /// Why the others cannot be opened, one a path or pattern.
    pub(crate) missing: Vec<anyhow::Error>,
    /// Which paths are other names of files that are loaded, as sentences.
    pub(crate) repeated: Vec<String>,
}

impl Resolved {
    /// A file that has several names is loaded once, by the first of them.
    fn from_results(results: impl IntoIterator<Item = Opened>) -> Self {
        let mut resolved = Resolved::default();
        let (mut ids, mut files) = (HashMap::<Arc<str>, PathBuf>::new(), HashMap::new());
        for result in results {
            let (path, input) = match result {
                Ok(found) => found,
                Err(error) => {
                    resolved.missing.push(error);
                    continue;
                }
            };
            let number = input.file_number();
            match ids.get(&input.name).or_else(|| number.and_then(|number| files.get(&number))) {
                Some(first) if *first == path => {}
                Some(first) => {
                    let sentence = format!("{} is the same file as {}", path.display(), first.display());
                    resolved.repeated.push(sentence);
                }
                None => {
                    ids.insert(input.name.clone(), path.clone());
                    files.extend(number.map(|number| (number, path)));
                    resolved.inputs.push(input);
                }
            }
        }
        resolved
    }
}

/// Finds the inputs. An error if none were named; one that is not there does not keep the others from being loaded.
pub(crate) fn resolve(named: &[PathBuf], config: &Config) -> anyhow::Result<Resolved> {
    if !named.is_empty() {
        let links_into: Vec<PathBuf> =
            config.sources.iter().flat_map(|source| source.follow_links_into.clone()).collect();
        return resolve_named(named, &links_into);
    }
    if config.sources.iter().all(|source| source.paths().is_empty()) {
        let topics = if config.sources.is_empty() { "" } else { "; its topics are read by `longshore run`" };
        bail!("no input: name files on the command line, or in a [[source]] of {}{topics}", config.path.display());
    }
    let wanted = of_config(config)?;
    let mut results = Vec::new();
    for ((source, _), found) in wanted.iter().zip(expand(wanted.iter().map(|(_, wanted)| wanted.clone()).collect())?) {
        results.extend(found.into_iter().map(|found| found.with_context(|| format!("source \"{source}\""))));
    }
    Ok(Resolved::from_results(results))
}

/// The config's paths, absolute, with the names of their sources.
pub(crate) fn of_config(config: &Config) -> anyhow::Result<Vec<(String, Wanted)>> {
    let mut all = Vec::new();
    for source in &config.sources {
        let absolute = |path: &PathBuf| std::path::absolute(path).context("a source's path");
        let links_into: Vec<PathBuf> = source.follow_links_into.iter().map(absolute).collect::<Result<_, _>>()?;
        for path in source.paths() {
            all.push((source.name.clone(), Wanted { path: absolute(path)?, links_into: links_into.clone() }));
        }
    }
    Ok(all)
}

fn resolve_named(named: &[PathBuf], links_into: &[PathBuf]) -> anyhow::Result<Resolved> {
    let mut results = Vec::new();
    for path in named {
        if path == Path::new("-") {
            results.push(Ok((path.clone(), Input::stdin())));
            continue;
        }
        let path = std::path::absolute(path).with_context(|| format!("the path {}", path.display()))?;
        // A name that a shell found may have brackets in it. A link of that name is one that a wildcard found.
        if path.symlink_metadata().is_ok_and(|meta| !meta.is_symlink()) || path.to_str().is_none() {
            results.push(Input::file(&path).map(|input| (path, input)).map_err(Into::into));
            continue;
        }
        results.extend(expand(vec![Wanted { path, links_into: links_into.to_vec() }])?.into_iter().flatten());
    }
    Ok(Resolved::from_results(results))
}

/// The files of each pattern; a path without wildcards stands for itself, so that its absence is an error of its own.
fn expand(wanted: Vec<Wanted>) -> anyhow::Result<Vec<Vec<Opened>>> {
    let mut expansion = Patterns::new(&wanted)?.expand();
    let mut all: Vec<Vec<_>> = wanted.iter().map(|_| Vec::new()).collect();
    for refused in std::mem::take(&mut expansion.refused) {
        all[refused.pattern].push(Err(not_loaded(&refused.path, refused.why)));
    }
    for found in std::mem::take(&mut expansion.found) {
        let Some(input) = input(&expansion, &found) else { continue };
        all[found.pattern].push(input);
    }
    for (Wanted { path, .. }, found) in wanted.iter().zip(&mut all) {
        if found.is_empty() {
            found.push(Err(anyhow!("the pattern {} matches no file", path.display())));
        }
    }
    Ok(all)
}

/// The input that a pattern leads to; nothing if that is no file.
fn input(expansion: &Expansion, found: &longshore_ingest::patterns::Match) -> Option<Opened> {
    let path = found.path.clone();
    if found.real.is_none() {
        return Some(Input::file(&path).map(|input| (path, input)).map_err(Into::into));
    }
    match Input::found(expansion, found) {
        Some(Ok(input)) => Some(Ok((path, input))),
        Some(Err(why)) => Some(Err(not_loaded(&path, why))),
        None => {
            if path.metadata().is_ok_and(|meta| !meta.is_dir()) {
                tracing::warn!("{} is not loaded: it is no regular file; name it to have it read", path.display());
            }
            None
        }
    }
}

fn not_loaded(path: &Path, why: Barred) -> anyhow::Error {
    match why {
        Barred::Link(fault) => anyhow!("{} is not loaded: {fault}", path.display()),
        Barred::System(error) => anyhow!("cannot open {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_gives_its_files_in_order_and_a_missing_file_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.log", "a.log", "c.txt"] {
            std::fs::write(folder.path().join(name), "x").expect("written");
        }
        std::fs::create_dir(folder.path().join("d.log")).expect("a folder");
        let found = resolve_named(&[folder.path().join("*.log")], &[]).expect("found");
        let names: Vec<PathBuf> = found.inputs.iter().map(|input| PathBuf::from(&*input.name)).collect();
        let real = folder.path().canonicalize().expect("there");
        assert_eq!((names, found.missing.len()), (vec![real.join("a.log"), real.join("b.log")], 0));
        let none = resolve_named(&[folder.path().join("*.zst")], &[]).expect("resolved");
        assert!(none.missing[0].to_string().contains("matches no file"), "{:?}", none.missing);
        let missing = Input::file(&folder.path().join("gone.log")).expect_err("no file");
        assert!(missing.to_string().contains("cannot open") && missing.to_string().contains("gone.log"), "{missing}");
    }

    #[test]
    fn a_file_named_twice_is_loaded_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.log");
        std::fs::write(&file, "x").expect("written");
        let named = [file.clone(), folder.path().join("gone.log"), folder.path().join("./a.log"), file];
        let resolved = resolve_named(&named, &[]).expect("resolved");
        assert_eq!((resolved.inputs.len(), resolved.missing.len(), resolved.repeated.len()), (1, 1, 0));
    }

    #[test]
    fn other_names_of_a_file_are_said_and_loaded_once() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.log"), "x").expect("written");
        std::fs::hard_link(folder.path().join("a.log"), folder.path().join("b.log")).expect("linked");
        std::os::unix::fs::symlink("a.log", folder.path().join("c.log")).expect("linked");
        let resolved = resolve_named(&[folder.path().join("*.log")], &[]).expect("resolved");
        let wanted = ["b.log", "c.log"].map(|name| {
            format!(
                "{} is the same file as {}",
                folder.path().join(name).display(),
                folder.path().join("a.log").display()
            )
        });
        assert_eq!((resolved.inputs.len(), resolved.repeated), (1, wanted.to_vec()));
    }

    #[test]
    fn a_link_that_a_wildcard_found_is_not_loaded_and_one_that_was_named_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("logs")).expect("a folder");
        std::fs::write(path("secret"), "x").expect("written");
        for name in ["logs/x.log", "logs/*.log"] {
            std::os::unix::fs::symlink("../secret", path(name)).expect("linked");
        }
        let refused = resolve_named(&[path("logs/*.log")], &[]).expect("resolved");
        assert_eq!((refused.inputs.len(), refused.missing.len()), (0, 2));
        assert!(refused.missing[0].to_string().contains("`follow_links_into`"), "{:?}", refused.missing);
        assert_eq!(resolve_named(&[path("logs/x.log")], &[]).expect("resolved").inputs.len(), 1);
        let asked = resolve_named(&[path("logs/*.log")], &[folder.path().to_owned()]).expect("resolved");
        assert_eq!((asked.inputs.len(), asked.repeated.len()), (1, 1));
    }
}
