use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// `find` with these variables and no others.
fn find_with(named: Option<&Path>, variables: &[(&str, &Path)]) -> Result<Engine, EmbeddedError> {
    let variables: BTreeMap<&str, OsString> = variables.iter().map(|(name, value)| (*name, (*value).into())).collect();
    find(named, &|name| variables.get(name).cloned())
}

fn file(path: &Path, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_named_library_comes_before_the_cache_and_the_cache_before_the_path() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let cached = root.join("cache/clickhouse").join(pinned_version()).join("libchdb.so");
    let (named, from_variable, binary) = (root.join("a.so"), root.join("b.so"), root.join("bin/clickhouse"));
    for (path, mode) in [(&cached, 0o644), (&named, 0o644), (&from_variable, 0o644), (&binary, 0o755)] {
        file(path, mode);
    }
    let (cache, bin) = (root.join("cache"), root.join("bin"));
    let all = [("LONGSHORE_CLICKHOUSE_LIB", &*from_variable), ("LONGSHORE_CACHE", &*cache), ("PATH", &*bin)];
    assert_eq!(find_with(Some(&named), &all).unwrap(), Engine::Library(named.clone()));
    assert_eq!(find_with(None, &all).unwrap(), Engine::Library(from_variable.clone()));
    assert_eq!(find_with(None, &all[1..]).unwrap(), Engine::Library(cached.clone()));
    fs::remove_file(&cached).unwrap();
    assert_eq!(find_with(None, &all[1..]).unwrap(), Engine::Binary(binary.clone()));
    fs::set_permissions(&binary, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(find_with(None, &all[1..]), Err(EmbeddedError::NoEngine { .. })), "not executable");
}

#[test]
fn nothing_anywhere_is_one_sentence_with_the_remedy() {
    let root = tempfile::tempdir().unwrap();
    let version = pinned_version();
    let error = find_with(None, &[("XDG_CACHE_HOME", root.path()), ("PATH", root.path())]).unwrap_err();
    let cached = root.path().join("longshore/clickhouse").join(version).join("libchdb.so");
    let expected = format!(
        "there is no ClickHouse to start: its library is not at {} and there is no `clickhouse` on PATH; \
         `make clickhouse` fetches the library once",
        cached.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_library_that_is_named_and_absent_is_not_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let absent = root.path().join("absent.so");
    let error = find_with(None, &[("LONGSHORE_CLICKHOUSE_LIB", &absent)]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("LONGSHORE_CLICKHOUSE_LIB names {} as", absent.display())), "{error}");
    let error = find_with(Some(&absent), &[]).unwrap_err().to_string();
    assert!(error.starts_with("clickhouse.embedded.library names "), "{error}");
}

#[test]
fn without_any_home_the_sentence_says_what_to_set() {
    let error = find_with(None, &[]).unwrap_err().to_string();
    assert!(error.starts_with("neither LONGSHORE_CACHE nor HOME is set"), "{error}");
}
