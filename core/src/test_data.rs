//! Real data that is not part of the repository, for tests.

use std::path::PathBuf;

/// Path of a file or folder of the real data; the test fails with what to do if it is not there.
pub(crate) fn real_data(name: &str) -> PathBuf {
    let root = std::env::var_os("LONGSHORE_REAL_DATA")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").into(), PathBuf::from);
    let path = root.join(name);
    assert!(path.exists(), "{} is missing; point LONGSHORE_REAL_DATA to the folder that has {name}", path.display());
    path
}
