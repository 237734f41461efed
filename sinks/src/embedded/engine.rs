//! Where ClickHouse is: a library that was named, the library that `tools/fetch-clickhouse.py` put into the cache,
//! or a `clickhouse` on `PATH`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::EmbeddedError;

/// Names a library file, and outranks the cache.
const LIBRARY_VARIABLE: &str = "LONGSHORE_CLICKHOUSE_LIB";

/// What the fetching script fetches, in the one place where it is written down.
const PINNED: &str = include_str!("../../../tools/clickhouse.lock");

/// A ClickHouse to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// libchdb.so, loaded by the child.
    Library(PathBuf),
    /// A `clickhouse` binary, which the child becomes. `SYSTEM START LISTEN` in its `local` mode came with 26.6.
    Binary(PathBuf),
}

impl Engine {
    /// Finds one; `named` is the library of the options.
    pub(super) fn find(named: Option<&Path>) -> Result<Engine, EmbeddedError> {
        find(named, &|name| env::var_os(name))
    }
}

/// [`Engine::find`] over any environment.
fn find(named: Option<&Path>, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Engine, EmbeddedError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let from_variable = set(LIBRARY_VARIABLE).map(PathBuf::from);
    let named = match (named, &from_variable) {
        (Some(path), _) => Some((path, "clickhouse.embedded.library")),
        (None, Some(path)) => Some((path.as_path(), LIBRARY_VARIABLE)),
        (None, None) => None,
    };
    if let Some((path, named_by)) = named {
        // Absolute, because the child runs in another folder.
        return match path.canonicalize() {
            Ok(found) if found.is_file() => Ok(Engine::Library(found)),
            _ => Err(EmbeddedError::LibraryMissing { named_by, path: path.to_owned() }),
        };
    }
    let cached = cache_folder(&set)?.join("clickhouse").join(pinned_version()).join("libchdb.so");
    if cached.is_file() {
        return Ok(Engine::Library(cached));
    }
    let binary = set("PATH").and_then(|path| {
        let candidates: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join("clickhouse")).collect();
        candidates.into_iter().find(|candidate| candidate.is_absolute() && is_executable(candidate))
    });
    binary.map(Engine::Binary).ok_or(EmbeddedError::NoEngine { cached })
}

/// Longshore's cache, as the fetching script finds it.
fn cache_folder(set: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, EmbeddedError> {
    if let Some(cache) = set("LONGSHORE_CACHE") {
        return Ok(PathBuf::from(cache));
    }
    let user_cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let user_cache = user_cache.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let missing = EmbeddedError::NoHome { variable: "LONGSHORE_CACHE", purpose: "the cache of ClickHouse's library" };
    Ok(user_cache.ok_or(missing)?.join("longshore"))
}

/// The data folder where none is named.
pub(super) fn default_data_folder() -> Result<PathBuf, EmbeddedError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user_data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    let missing = EmbeddedError::NoHome { variable: "XDG_DATA_HOME", purpose: "ClickHouse's data folder" };
    Ok(user_data.ok_or(missing)?.join("longshore/clickhouse"))
}

/// The version in [`PINNED`].
fn pinned_version() -> String {
    #[derive(Deserialize)]
    struct Pinned {
        version: String,
    }
    let pinned: Pinned = toml::from_str(PINNED).expect("tools/clickhouse.lock was checked by a test");
    pinned.version
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
