//! `tools/fetch-clickhouse.py`, with a package of a few bytes and an `npm` that serves it from a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::support::process::{await_that, kill};

const LIBRARY: &str = "this is the library\n";

/// Hexadecimal on standard input, base64 on standard output: how npm writes a SHA-512.
const TO_BASE64: &str = "import base64; print(base64.b64encode(bytes.fromhex(input())).decode())";

/// A registry of one package, a cache, and the pins of both.
struct Fixture {
    root: tempfile::TempDir,
}

impl Fixture {
    /// The package holds [`LIBRARY`]; `npm` counts its calls, then runs `instead`, then copies the package.
    fn new(instead: &str) -> Self {
        let fixture = Fixture { root: tempfile::tempdir().unwrap() };
        let package = fixture.path("registry/package");
        fs::create_dir_all(&package).unwrap();
        fs::create_dir(fixture.path("bin")).unwrap();
        fs::write(package.join("libchdb.so"), LIBRARY).unwrap();
        fs::write(package.join("package.json"), "{}").unwrap();
        let archive = fixture.path("registry/lib.tgz");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(fixture.path("registry")).arg("-czf").arg(&archive).arg("package");
        assert!(tar.status().unwrap().success());
        let npm = format!(
            "#!/bin/sh\necho \"$@\" >> {root}/calls\n{instead}\nwhile [ \"$1\" != --pack-destination ]; do shift; done\n\
             cp {root}/registry/lib.tgz \"$2\"/lib.tgz\n",
            root = fixture.root.path().display()
        );
        fs::write(fixture.path("bin/npm"), npm).unwrap();
        fs::set_permissions(fixture.path("bin/npm"), fs::Permissions::from_mode(0o755)).unwrap();
        fixture.pin(&[]);
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn library(&self) -> PathBuf {
        self.path("cache/clickhouse/1.2.3/libchdb.so")
    }

    /// Pins the package as it is, with some values replaced.
    fn pin(&self, replaced: &[(&str, &str)]) {
        let archive = self.path("registry/lib.tgz");
        let library = self.path("registry/package/libchdb.so");
        let quoted = |text: String| format!("\"{text}\"");
        let sha512 = format!("sha512sum < {} | cut -c 1-128 | python3 -c {TO_BASE64:?}", archive.display());
        let mut pins = [
            ("package", quoted("@example/lib".into())),
            ("tarball_bytes", archive.metadata().unwrap().len().to_string()),
            ("tarball_sha256", quoted(sha256(&archive))),
            ("tarball_sha512", quoted(output_of("sh", &["-c", &sha512]))),
            ("member", quoted("package/libchdb.so".into())),
            ("library_bytes", LIBRARY.len().to_string()),
            ("library_sha256", quoted(sha256(&library))),
        ];
        for (name, value) in replaced {
            pins.iter_mut().find(|(pinned, _)| pinned == name).unwrap().1 = quoted((*value).into());
        }
        let lines: String = pins.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let machine = std::env::consts::ARCH;
        let text = format!("version = \"1.2.3\"\n\n[linux-{machine}]\n{lines}\n[plan9-mips]\npackage = \"no\"\n");
        fs::write(self.path("pins"), text).unwrap();
    }

    fn command(&self) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fetch-clickhouse.py");
        let mut command = Command::new("python3");
        command.arg(script).arg("--lock").arg(self.path("pins"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("LONGSHORE_CACHE", self.path("cache")).env("PATH", path);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self) -> (bool, String) {
        said(self.command().output().unwrap())
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().count()
    }

    /// Nothing but what may stay: no half of anything.
    fn assert_clean(&self) {
        let folder = self.path("cache/clickhouse/1.2.3");
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name();
            let known = [".lock", "libchdb.so", "libchdb.so.stamp"];
            assert!(known.iter().any(|known| name == *known), "{name:?} was left");
        }
    }
}

/// Whether it succeeded, and what it wrote: standard output on success, the last line of standard error otherwise.
fn said(out: Output) -> (bool, String) {
    let succeeded = out.status.success();
    let text = String::from_utf8(if succeeded { out.stdout } else { out.stderr }).unwrap();
    (succeeded, text.trim_end().lines().last().unwrap_or_default().to_owned())
}

fn output_of(program: &str, args: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(args).output().unwrap().stdout).unwrap().trim().to_owned()
}

fn sha256(path: &Path) -> String {
    output_of("sha256sum", &[path.to_str().unwrap()]).split(' ').next().unwrap().to_owned()
}

#[test]
fn the_library_is_fetched_once_and_its_path_printed() {
    let fixture = Fixture::new("");
    let printed = (true, fixture.library().display().to_string());
    assert_eq!(fixture.run(), printed);
    assert_eq!(fs::read_to_string(fixture.library()).unwrap(), LIBRARY);
    let call = fs::read_to_string(fixture.path("calls")).unwrap();
    assert!(call.starts_with("pack @example/lib@1.2.3 --pack-destination "), "{call}");
    assert_eq!(fixture.run(), printed);
    assert_eq!(fixture.calls(), 1, "the second run found it");
    fixture.assert_clean();
}

#[test]
fn a_library_that_was_changed_is_fetched_again() {
    let fixture = Fixture::new("");
    fixture.run();
    fs::write(fixture.library(), LIBRARY.to_uppercase()).unwrap();
    assert!(fixture.run().0);
    assert_eq!(fs::read_to_string(fixture.library()).unwrap(), LIBRARY);
    assert_eq!(fixture.calls(), 2);
}

#[test]
fn a_library_without_its_stamp_is_checked_and_kept() {
    let fixture = Fixture::new("");
    fixture.run();
    fs::remove_file(fixture.path("cache/clickhouse/1.2.3/libchdb.so.stamp")).unwrap();
    assert!(fixture.run().0);
    assert_eq!(fixture.calls(), 1);
}

#[test]
fn another_package_than_the_pinned_one_is_refused() {
    let zeros = "0".repeat(64);
    for pin in ["tarball_sha256", "tarball_sha512", "library_sha256"] {
        let fixture = Fixture::new("");
        fixture.pin(&[(pin, &zeros)]);
        let (succeeded, said) = fixture.run();
        assert!(!succeeded && said.contains("is not the pinned one"), "{pin}: {said}");
        assert!(!fixture.library().exists());
        fixture.assert_clean();
    }
}

#[test]
fn what_keeps_npm_from_fetching_is_one_sentence() {
    for (instead, expected) in [
        (
            "echo 'npm error code ENOTFOUND' >&2; exit 1",
            "clickhouse: npm cannot reach its registry to fetch @example/lib@1.2.3; check the network and run this again",
        ),
        (
            "echo 'npm error code E404' >&2; echo 'npm error more' >&2; exit 1",
            "clickhouse: npm could not fetch @example/lib@1.2.3 (exit code 1): npm error code E404",
        ),
        ("echo 'npm error code ENOSPC' >&2; exit 228", "clickhouse: the disk is full: npm could not store"),
    ] {
        let fixture = Fixture::new(instead);
        let (succeeded, said) = fixture.run();
        assert!(!succeeded && said.starts_with(expected), "{said}");
        fixture.assert_clean();
    }
}

#[test]
fn without_npm_the_sentence_says_what_to_install() {
    let fixture = Fixture::new("");
    fs::remove_file(fixture.path("bin/npm")).unwrap();
    let mut command = fixture.command();
    let python = output_of("python3", &["-c", "import sys; print(sys.executable)"]);
    std::os::unix::fs::symlink(python, fixture.path("bin/python3")).unwrap();
    let (succeeded, said) = said(command.env("PATH", fixture.path("bin")).output().unwrap());
    assert!(!succeeded && said.starts_with("clickhouse: npm is not on PATH"), "{said}");
}

#[test]
fn a_platform_without_a_pin_is_told_what_serves_instead() {
    let fixture = Fixture::new("");
    fs::write(fixture.path("pins"), "version = \"1.2.3\"\n[plan9-mips]\npackage = \"no\"\n").unwrap();
    let (succeeded, said) = fixture.run();
    assert!(!succeeded && said.contains("no library is pinned for linux-"), "{said}");
    assert!(said.contains("a `clickhouse` (26.6 or newer) on PATH"), "{said}");
}

#[test]
fn too_small_a_disk_is_noticed_before_the_download() {
    let fixture = Fixture::new("");
    let pins = fs::read_to_string(fixture.path("pins")).unwrap();
    let huge = pins.replace(&format!("library_bytes = {}", LIBRARY.len()), "library_bytes = 1000000000000000000");
    fs::write(fixture.path("pins"), huge).unwrap();
    let (succeeded, said) = fixture.run();
    assert!(!succeeded && said.contains(" MB free and ClickHouse needs 1000000000067 MB; make room"), "{said}");
    assert_eq!(fixture.calls(), 0);
}

/// Starts a run whose `npm` has begun and waits for a file to go on.
fn stuck_in_npm(fixture: &Fixture) -> Child {
    let child = fixture.command().spawn().unwrap();
    await_that("npm is called", || fixture.calls() == 1);
    child
}

#[test]
fn runs_at_the_same_time_fetch_once() {
    let fixture = Fixture::new("while [ ! -e \"$(dirname \"$0\")/go\" ]; do sleep 0.01; done");
    let first = stuck_in_npm(&fixture);
    let others: Vec<Child> = (0..3).map(|_| fixture.command().spawn().unwrap()).collect();
    fs::write(fixture.path("bin/go"), "").unwrap();
    for run in others.into_iter().chain([first]) {
        let printed = said(run.wait_with_output().unwrap());
        assert_eq!(printed, (true, fixture.library().display().to_string()));
    }
    assert_eq!(fixture.calls(), 1);
    assert_eq!(fs::read_to_string(fixture.library()).unwrap(), LIBRARY);
    fixture.assert_clean();
}

#[test]
fn a_run_that_was_killed_leaves_nothing_the_next_would_trip_over() {
    // Its npm ends with it: the file comes, or two seconds pass.
    let wait = "n=0; while [ ! -e \"$(dirname \"$0\")/go\" ] && [ $n -lt 200 ]; do sleep 0.01; n=$((n+1)); done";
    let fixture = Fixture::new(wait);
    let mut killed = stuck_in_npm(&fixture);
    kill("KILL", killed.id());
    killed.wait().unwrap();
    fs::write(fixture.path("bin/go"), "").unwrap();
    assert_eq!(fixture.run(), (true, fixture.library().display().to_string()));
    fixture.assert_clean();
}
