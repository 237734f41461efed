use std::fs;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_folder_is_private_whatever_the_umask_leaves() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    let folder = DataFolder::open(&path).unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    let secret = folder.credentials_file();
    write_private(&secret, "x").unwrap();
    assert_eq!(mode(&secret), 0o600);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "x");
}

#[test]
fn a_private_file_stays_private_when_it_replaces_an_open_one() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("credentials.toml");
    fs::write(root.path().join("credentials.partial"), "left by a killed start").unwrap();
    write_private(&path, "new").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    fs::write(root.path().join("thesis.txt"), "mine").unwrap();
    let error = DataFolder::open(root.path()).err().unwrap();
    assert!(matches!(error, EmbeddedError::FolderForeign { .. }), "{error}");
    assert_eq!(mode(root.path()), 0o755);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_second_opener_is_told_who_has_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data");
    let first = DataFolder::open(&path).unwrap();
    let inherited = first.lock().unwrap();
    drop(first);
    let error = DataFolder::open(&path).err().expect("a clone of the lock still holds it");
    let text = error.to_string();
    assert!(text.contains(&format!("in use by process {};", std::process::id())), "{text}");
    drop(inherited);
    DataFolder::open(&path).unwrap();
}

#[test]
fn the_tail_is_the_last_lines_and_leaves_out_the_usual() {
    let root = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(&root.path().join("data")).unwrap();
    assert!(folder.log_tail().to_string().starts_with("it said nothing in "));
    let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
    folder.new_stderr_log().unwrap().write_all(lines.as_bytes()).unwrap();
    let tail = folder.log_tail().tail;
    assert!(tail.ends_with("line 9998\nline 9999"), "{tail}");
    assert_eq!(tail.lines().count(), EMBEDDED_LOG_TAIL_LINES);
    folder.new_stderr_log().unwrap().write_all(b"Logging warning to /x/y.log\n\nCode: 210\n").unwrap();
    assert_eq!(folder.log_tail().tail, "Code: 210", "the log of the start before is another file");
}
