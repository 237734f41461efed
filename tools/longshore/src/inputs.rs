//! Which inputs a load reads: those of the command line, or the config's sources.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use longshore_core::config::Config;
use longshore_ingest::input::Input;

/// What there is to load, and what there is not.
pub(crate) struct Resolved {
    /// In the order in which they are loaded. Those of a glob pattern come in order of their names.
    pub(crate) inputs: Vec<Input>,
    /// Why the others cannot be opened, one a path or pattern.
    pub(crate) missing: Vec<anyhow::Error>,
}

impl Resolved {
    fn from_results(results: impl IntoIterator<Item = anyhow::Result<Input>>) -> Self {
        let mut resolved = Resolved { inputs: Vec::new(), missing: Vec::new() };
        for result in results {
            match result {
                Ok(input) => resolved.inputs.push(input),
                Err(error) => resolved.missing.push(error),
            }
        }
        resolved.inputs = without_repeats(resolved.inputs);
        resolved
    }
}

/// Finds the inputs. An error if none were named; one that is not there does not keep the others from being loaded.
pub(crate) fn resolve(named: &[PathBuf], config: &Config) -> anyhow::Result<Resolved> {
    if !named.is_empty() {
        return Ok(resolve_named(named));
    }
    if config.sources.iter().all(|source| source.paths().is_empty()) {
        let topics = if config.sources.is_empty() { "" } else { "; its topics are read by `longshore run`" };
        bail!("no input: name files on the command line, or in a [[source]] of {}{topics}", config.path.display());
    }
    let mut results = Vec::new();
    for source in &config.sources {
        for pattern in source.paths() {
            match expand(pattern).with_context(|| format!("source \"{}\"", source.name)) {
                Ok(paths) => results.extend(paths.iter().map(|path| Ok(Input::file(path)?))),
                Err(error) => results.push(Err(error)),
            }
        }
    }
    Ok(Resolved::from_results(results))
}

fn resolve_named(named: &[PathBuf]) -> Resolved {
    Resolved::from_results(named.iter().map(|path| {
        if path != Path::new("-") {
            return Ok(Input::file(path)?);
        }
        let run_id = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
            ^ u64::from(std::process::id()).rotate_left(32);
        Ok(Input::stdin(run_id))
    }))
}

/// The files of a pattern; a path without wildcards stands for itself, so that its absence is an error of its own.
fn expand(pattern: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = pattern.to_str().with_context(|| format!("{} is not UTF-8", pattern.display()))?;
    if !text.contains(['*', '?', '[']) || pattern.exists() {
        return Ok(vec![pattern.to_owned()]);
    }
    let mut paths = Vec::new();
    for path in glob::glob(text).with_context(|| format!("the pattern {text}"))? {
        let path = path.with_context(|| format!("the pattern {text}"))?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        bail!("the pattern {text} matches no file");
    }
    Ok(paths)
}

/// A file that two patterns match is loaded once.
fn without_repeats(inputs: Vec<Input>) -> Vec<Input> {
    let mut seen = std::collections::HashSet::new();
    inputs.into_iter().filter(|input| seen.insert(input.source_id)).collect()
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
        let found = expand(&folder.path().join("*.log")).expect("found");
        assert_eq!(found, [folder.path().join("a.log"), folder.path().join("b.log")]);
        let none = expand(&folder.path().join("*.zst")).expect_err("no file");
        assert!(none.to_string().contains("matches no file"), "{none}");
        let missing = Input::file(&folder.path().join("gone.log")).expect_err("no file");
        assert!(missing.to_string().contains("cannot open") && missing.to_string().contains("gone.log"), "{missing}");
    }

    #[test]
    fn a_file_named_twice_is_loaded_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.log");
        std::fs::write(&file, "x").expect("written");
        let named = [file.clone(), folder.path().join("gone.log"), folder.path().join("./a.log"), file];
        let resolved = resolve_named(&named);
        assert_eq!((resolved.inputs.len(), resolved.missing.len()), (1, 1));
    }
}
