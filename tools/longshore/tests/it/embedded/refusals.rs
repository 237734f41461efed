//! What keeps it from starting, each said in one sentence.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use longshore_sinks::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedServer};

use crate::support::http::{engine, sql};
use crate::support::process::{Foreground, kill};
use crate::support::{embedded_options, longshore, start_embedded};

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn a_folder_in_use_names_the_process_that_has_it() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let first = Foreground::start(&data);
    let error = EmbeddedServer::start(embedded_options(&data)).unwrap_err();
    let expected = format!(
        "the data folder {} is in use by process {}; stop that one, or name another folder",
        data.canonicalize().unwrap().display(),
        first.child.id()
    );
    assert_eq!(error.to_string(), expected);
}

/// The lock belongs to the server and not only to its parent: a folder whose server still writes is not free.
#[test]
fn a_folder_stays_locked_until_the_server_itself_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let server = start_embedded(&data);
    let locks = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let targets: Vec<_> = locks.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).collect();
    let lock = data.canonicalize().unwrap().join("lock");
    assert_eq!(targets.iter().filter(|target| **target == lock).count(), 1, "{targets:?}");
    server.stop().unwrap();
    fs::File::open(lock).unwrap().try_lock().expect("free when the server is gone");
}

#[test]
fn a_port_in_use_is_said_before_anything_starts() {
    let root = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = EmbeddedOptions { http_port: Some(port), ..embedded_options(&root.path().join("data")) };
    let error = EmbeddedServer::start(options).unwrap_err();
    let expected =
        format!("the HTTP port 127.0.0.1:{port} is in use by another process; name another, or none to get a free one");
    assert_eq!(error.to_string(), expected);
    assert!(!root.path().join("data/log/stderr.log").exists(), "a server was started");
}

#[test]
fn a_given_port_is_the_port() {
    let root = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let options = EmbeddedOptions { http_port: Some(port), ..embedded_options(&root.path().join("data")) };
    let server = EmbeddedServer::start(options).unwrap();
    assert_eq!(server.http_port(), port);
    assert_eq!(sql(port, engine(&server), "SELECT 1").unwrap(), "1");
}

#[test]
fn without_a_library_the_command_says_how_to_get_it() {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(longshore());
    command.args(["clickhouse", "--data"]).arg(root.path().join("data"));
    command.env_clear().env("LONGSHORE_CACHE", root.path().join("empty")).env("PATH", root.path());
    let out = command.output().unwrap();
    let said = stderr(&out);
    assert_eq!(out.status.code(), Some(69), "{said}");
    assert!(said.contains("there is no ClickHouse to start: its library is not at "), "{said}");
    assert!(said.trim_end().ends_with("`make clickhouse` fetches the library once"), "{said}");
    assert!(!root.path().join("data").exists(), "nothing was made");
}

#[test]
fn a_library_that_is_none_is_an_error_with_its_reason() {
    let root = tempfile::tempdir().unwrap();
    let library = root.path().join("libchdb.so");
    fs::write(&library, "not a library").unwrap();
    let data = root.path().join("data");
    let options = EmbeddedOptions { library: Some(library.clone()), ..embedded_options(&data) };
    let error = EmbeddedServer::start(options).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, EmbeddedError::DiedAtStart { .. }), "{text}");
    assert!(text.contains(&format!("cannot load ClickHouse from {}", library.display())), "{text}");
}

#[test]
fn a_launcher_that_is_not_there_is_named() {
    let root = tempfile::tempdir().unwrap();
    let launcher = root.path().join("absent");
    let options = EmbeddedOptions { launcher: launcher.clone(), ..embedded_options(&root.path().join("data")) };
    let error = EmbeddedServer::start(options).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot start {} as the ClickHouse server: ", launcher.display())), "{error}");
}

#[test]
fn data_that_clickhouse_refuses_is_an_error_with_what_it_said() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    start_embedded(&data).stop().unwrap();
    // Where ClickHouse keeps the definitions of databases.
    fs::create_dir_all(data.join("store/metadata")).unwrap();
    fs::write(data.join("store/metadata/app.sql"), "no definition").unwrap();
    let error = EmbeddedServer::start(embedded_options(&data)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, EmbeddedError::DiedAtStart { .. }), "{text}");
    assert!(text.contains("metadata/app.sql") && text.contains("stderr.log"), "{text}");
}

#[test]
fn a_server_that_does_not_answer_in_time_is_stopped() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let mut options = embedded_options(&data);
    options.start_timeout = Duration::ZERO;
    let error = EmbeddedServer::start(options).unwrap_err();
    assert!(matches!(error, EmbeddedError::NotReady { .. }), "{error}");
    // Were it still there, the folder would be locked.
    start_embedded(&data);
}

#[test]
fn a_server_that_dies_ends_the_command_with_what_happened() {
    let root = tempfile::tempdir().unwrap();
    let mut parent = Foreground::start(&root.path().join("data"));
    kill("KILL", parent.server_pid());
    assert_eq!(parent.child.wait().unwrap().code(), Some(69));
}
