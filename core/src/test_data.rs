//! Data that tests read: the repository's own, in `fixtures/`, and public data that are not part of it.
//!
//! A test on public data is ignored and has `real_data` in its name: `make test` runs those where `LONGSHORE_REAL_DATA` points
//! to the data. `fixtures/README.md` says where they are from.

use std::path::PathBuf;

/// Path of a file or folder in `fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "fixtures", name].iter().collect()
}

/// Path of a file or folder of the public data.
pub(crate) fn real_data(name: &str) -> PathBuf {
    let root = std::env::var_os("LONGSHORE_REAL_DATA")
        .unwrap_or_else(|| panic!("set LONGSHORE_REAL_DATA to the folder that has {name} (fixtures/README.md)"));
    let path = PathBuf::from(root).join(name);
    assert!(path.exists(), "{} is missing; point LONGSHORE_REAL_DATA to the folder that has {name}", path.display());
    path
}
