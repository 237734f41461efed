//! What confines the server, in company: older kernels, older data folders, folders elsewhere, work that spills.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use longshore_sinks::embedded::{EmbeddedOptions, EmbeddedServer};

use crate::support::http::{DEFAULT, analyst, engine, sql};
use crate::support::process::kill;
use crate::support::{embedded_options, start_embedded};

/// A server, and a file beside its data.
fn server_beside_a_file(root: &Path, landlock_abi_max: u8) -> (EmbeddedServer, String) {
    let outside = root.join("outside.txt");
    fs::write(&outside, "planted").unwrap();
    let options = EmbeddedOptions { landlock_abi_max, ..embedded_options(&root.join("data")) };
    (EmbeddedServer::start(options).unwrap(), format!("SELECT file('{}')", outside.display()))
}

#[test]
fn without_landlock_it_serves_says_what_is_open_and_keeps_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let (server, read) = server_beside_a_file(root.path(), 0);
    let gap = server.confinement_gap().unwrap();
    assert!(gap.contains("reads every file that this process may read"), "{gap}");
    // This is what is open; the day it is not, the sentence has to go.
    assert_eq!(sql(server.http_port(), analyst(&server), &read).unwrap(), "planted");
    // Nobody without a password all the same, and what was read at the start is gone.
    let said = sql(server.http_port(), DEFAULT, &read).unwrap_err();
    assert!(said.contains("(REQUIRED_PASSWORD)"), "{said}");
    assert_eq!(fs::read_dir(server.data().join("config")).unwrap().count(), 0);
}

#[test]
fn an_older_landlock_confines_files_and_says_what_it_does_not() {
    for abi in [2, 3, 4, 5] {
        let root = tempfile::tempdir().unwrap();
        let (server, read) = server_beside_a_file(root.path(), abi);
        let gap = server.confinement_gap().expect("not all of it");
        if gap.contains("Landlock is absent") {
            return;
        }
        assert_eq!(gap.contains("whom it connects to"), abi < 4, "{abi}: {gap}");
        let said = sql(server.http_port(), analyst(&server), &read).unwrap_err();
        assert!(said.contains("(CANNOT_OPEN_FILE)"), "{abi}: {said}");
    }
}

#[test]
fn a_data_folder_of_the_version_before_still_opens() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let server = start_embedded(&data);
    let password = server.engine_password().to_owned();
    sql(server.http_port(), engine(&server), "CREATE DATABASE app").unwrap();
    server.stop().unwrap();
    // Both stayed there.
    let config = data.join("config");
    fs::write(
        config.join("users.xml"),
        "<clickhouse><users><default><password></password></default></users></clickhouse>",
    )
    .unwrap();
    fs::write(config.join("config.xml"), "<clickhouse/>").unwrap();
    let server = start_embedded(&data);
    assert_eq!(server.engine_password(), password);
    assert_eq!(sql(server.http_port(), engine(&server), "EXISTS DATABASE app").unwrap(), "1");
    assert_eq!(fs::read_dir(config).unwrap().count(), 0);
}

#[test]
fn after_kill_9_it_is_confined_again_and_nobody_comes_in() {
    let root = tempfile::tempdir().unwrap();
    let (server, read) = server_beside_a_file(root.path(), 6);
    kill("KILL", server.pid());
    drop(server);
    let (server, _) = server_beside_a_file(root.path(), 6);
    if server.confinement_gap().is_none() {
        let said = sql(server.http_port(), engine(&server), &read).unwrap_err();
        assert!(said.contains("(CANNOT_OPEN_FILE)"), "{said}");
    }
    let said = sql(server.http_port(), DEFAULT, "SELECT 1").unwrap_err();
    assert!(said.contains("(REQUIRED_PASSWORD)"), "{said}");
}

/// A data folder, its `store` and the library by symlinks: the rules are for what they lead to.
#[test]
fn folders_and_library_behind_symlinks_are_found() {
    let root = tempfile::tempdir().unwrap();
    let (real, disk, data) = (root.path().join("real"), root.path().join("disk"), root.path().join("data"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &data).unwrap();
    let server = start_embedded(&data);
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let library = maps.lines().find_map(|line| line.split_whitespace().last().filter(|p| p.ends_with("libchdb.so")));
    server.stop().unwrap();
    fs::rename(real.join("store"), &disk).unwrap();
    symlink(&disk, real.join("store")).unwrap();
    let link = root.path().join("linked.so");
    symlink(library.unwrap(), &link).unwrap();
    let server = EmbeddedServer::start(EmbeddedOptions { library: Some(link), ..embedded_options(&data) }).unwrap();
    let ask = |statement: &str| sql(server.http_port(), engine(&server), statement).unwrap();
    ask("CREATE DATABASE app");
    ask("CREATE TABLE app.rows (n UInt32) ENGINE = MergeTree ORDER BY n");
    ask("INSERT INTO app.rows SELECT number FROM numbers(1000)");
    ask("ALTER TABLE app.rows FREEZE");
    ask("ALTER TABLE app.rows DETACH PARTITION ID 'all'");
    ask("ALTER TABLE app.rows ATTACH PARTITION ID 'all'");
    assert_eq!(ask("SELECT count() FROM app.rows"), "1000");
    ask("DROP TABLE app.rows SYNC");
    assert!(disk.join("metadata").exists());
}

/// `clickhouse local` aborts by itself at what it does not expect of a connection, unless it stands on a terminal.
#[test]
fn no_client_ends_the_server_by_breaking_off() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let (http, tcp) = (server.http_port(), server.tcp_port());
    let login = format!("/?user=longshore&password={}", server.engine_password());
    let long = format!(
        "POST {login} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nSELECT * FROM system.numbers                       "
    );
    for (port, said) in [
        (http, ""),
        (http, "GET / HT"),
        (http, "GET /play HTTP/1.1\r\n\r\n"),
        (http, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSELECT"),
        (http, long.as_str()),
        (http, "\u{16}\u{3}\u{1}\u{0}\u{1}nonsense"),
        (tcp, ""),
        (tcp, "\u{0}\u{4}te"),
        (tcp, "GET / HTTP/1.0\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        // Long enough for it to have begun to read, and to answer in the one case.
        std::thread::sleep(Duration::from_millis(100));
        // A close that throws away what was not read yet is a reset.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
        assert_eq!(sql(http, engine(&server), "SELECT 1").unwrap(), "1", "{said:?}");
    }
    // One that aborts takes a moment for it.
    assert_eq!(sql(http, engine(&server), "SELECT sleep(2)").unwrap(), "0");
    assert!(!server.has_exited());
}

/// Time zones, sorting on disk and dropping work: they are what the rules leave open.
#[test]
fn what_clickhouse_needs_is_within_reach() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let ask = |statement: &str| sql(server.http_port(), engine(&server), statement).unwrap();
    // 2026-07-01 12:00 in UTC is 14:00 in Berlin's summer.
    assert_eq!(
        ask("SELECT toString(toDateTime('2026-07-01 12:00:00', 'UTC'), 'Europe/Berlin')"),
        "2026-07-01 14:00:00"
    );
    let sorted = "SELECT sum(number), max(n) FROM (SELECT number, rowNumberInAllBlocks() AS n FROM numbers(3000000) \
                  ORDER BY cityHash64(number)) SETTINGS max_bytes_before_external_sort = 1000000, \
                  max_bytes_ratio_before_external_sort = 0, query_plan_remove_redundant_sorting = 0";
    // The sum of 0 to 2,999,999.
    assert_eq!(ask(sorted), "4499998500000\t2999999");
    let spilled = "SELECT sum(value) > 0 FROM system.events WHERE event LIKE 'ExternalSort%'";
    assert_eq!(ask(spilled), "1", "it was sorted on disk");
}
