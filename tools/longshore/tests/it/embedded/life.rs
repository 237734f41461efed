//! From start to end, whichever way it comes.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use longshore_sinks::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedServer};

use crate::support::http::{Login, analyst, engine, sql};
use crate::support::process::{Foreground, await_end, await_that, children_of, is_alive, kill};
use crate::support::{embedded_options, longshore, start_embedded};

/// The engine's password in a folder's file.
fn stored_password(data: &Path) -> String {
    let text = fs::read_to_string(data.join("credentials.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with("engine_password")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn it_starts_answers_on_both_ports_in_utc_and_stops() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let pid = server.pid();
    assert_eq!(server.http_url(), format!("http://127.0.0.1:{}", server.http_port()));
    let answer = sql(server.http_port(), engine(&server), "SELECT 6 * 7, currentUser(), serverTimezone(), timezone()");
    assert_eq!(answer.unwrap(), "42\tlongshore\tUTC\tUTC");
    TcpStream::connect(("127.0.0.1", server.tcp_port())).unwrap();
    assert!(is_alive(pid) && !server.has_exited());
    assert!(server.wait(Duration::ZERO).is_none());
    server.stop().unwrap();
    assert!(!is_alive(pid));
}

#[test]
fn dropping_it_stops_it() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let pid = server.pid();
    drop(server);
    assert!(!is_alive(pid));
}

#[test]
fn acknowledged_rows_survive_kill_9_and_passwords_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let server = start_embedded(&data);
    let password = server.engine_password().to_owned();
    let ask = |statement: &str| sql(server.http_port(), engine(&server), statement).unwrap();
    ask("CREATE DATABASE app");
    ask("CREATE TABLE app.rows (n UInt32) ENGINE = MergeTree ORDER BY n");
    ask("INSERT INTO app.rows SELECT number FROM numbers(1000)");
    kill("KILL", server.pid());
    let error = server.wait(Duration::from_secs(30)).expect("it was killed");
    assert!(matches!(error, EmbeddedError::Died { .. }), "{error}");
    assert!(error.to_string().starts_with("the embedded ClickHouse ended by itself (signal: 9 (SIGKILL)"), "{error}");
    assert!(server.has_exited());
    assert!(matches!(server.stop(), Err(EmbeddedError::Died { .. })));

    let server = start_embedded(&data);
    assert_eq!(server.engine_password(), password);
    // The sum of 0 to 999.
    let answer = sql(server.http_port(), engine(&server), "SELECT count(), sum(n) FROM app.rows");
    assert_eq!(answer.unwrap(), "1000\t499500");
}

#[test]
fn a_parent_killed_outright_leaves_no_server_and_frees_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let mut parent = Foreground::start(&data);
    let server = parent.server_pid();
    let engine = Login { user: "longshore", password: &stored_password(&data) };
    assert_eq!(sql(parent.http_port, engine, "SELECT 1").unwrap(), "1");
    parent.end_by("KILL");
    await_end(server);
    start_embedded(&data);
}

#[test]
fn a_parent_that_is_terminated_or_interrupted_stops_its_server_first() {
    let root = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let mut parent = Foreground::start(&root.path().join(signal));
        let server = parent.server_pid();
        assert!(parent.end_by(signal).success(), "SIG{signal}");
        assert!(!is_alive(server), "SIG{signal}");
    }
}

#[test]
fn a_parent_killed_while_the_server_starts_leaves_none() {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(longshore());
    command.args(["clickhouse", "--data"]).arg(root.path().join("data")).stdout(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let mut started = Vec::new();
    await_that("it starts a server", || {
        started = children_of(parent.id());
        !started.is_empty()
    });
    parent.kill().unwrap();
    parent.wait().unwrap();
    for server in started {
        await_end(server);
    }
}

#[test]
fn the_command_shows_the_analyst_the_way_in_and_not_the_engines_password() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let parent = Foreground::start(&data);
    let shown = &parent.description;
    let password = shown.split("/?user=analyst&password=").nth(1).unwrap().lines().next().unwrap();
    let analyst = Login { user: "analyst", password };
    assert_eq!(sql(parent.http_port, analyst, "SELECT currentUser()").unwrap(), "analyst");
    assert!(shown.contains(&format!("/play?user=analyst&password={password}\n")), "{shown}");
    assert!(!shown.contains(&stored_password(&data)), "{shown}");
}

#[test]
fn a_child_whose_parent_is_another_already_does_not_serve() {
    let root = tempfile::tempdir().unwrap();
    // Process 1 started it, says the argument; this test did.
    let mut command = Command::new(longshore());
    command.args(["__clickhouse-server", "1", "library", "/nonexistent.so"]).current_dir(root.path());
    let out = command.output().unwrap();
    assert!(!out.status.success());
    assert_eq!(String::from_utf8_lossy(&out.stderr), "process 1, which started this one, is gone\n");
}

#[test]
fn ctrl_c_in_the_terminal_reaches_the_engine_and_not_its_server() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // proc(5): after the name come state, parent and process group.
    let group: u32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert_eq!(group, server.pid(), "a group of its own");
}

#[test]
fn passwords_are_nowhere_but_in_a_private_file() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let server = start_embedded(&data);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&server.credentials_file()), 0o600);
    assert_eq!(mode(&data.join("config/users.xml")), 0o600);
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", server.pid())).unwrap();
    let options = EmbeddedOptions { analyst_password: Some("sunny-day".into()), ..embedded_options(&data) };
    for public in [
        read("cmdline"),
        read("environ"),
        format!("{server:?}"),
        format!("{options:?}"),
        fs::read_to_string(data.join("config/users.xml")).unwrap(),
    ] {
        for secret in [server.engine_password(), server.analyst_password(), "sunny-day"] {
            assert!(!public.contains(secret), "{public}");
        }
    }
    assert_eq!(server.engine_password(), stored_password(&data));
}

#[test]
fn the_servers_environment_holds_nothing_of_ours() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let environ = fs::read_to_string(format!("/proc/{}/environ", server.pid())).unwrap();
    let names: Vec<&str> = environ.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert!(names.contains(&"TZ"), "{names:?}");
    let allowed = ["TZ", "PATH", "HOME", "LD_LIBRARY_PATH"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
}

/// The launcher is a script that at first ends as ClickHouse does when another process took the port.
#[test]
fn a_port_lost_between_choice_and_use_is_another_try() {
    let root = tempfile::tempdir().unwrap();
    let (launcher, tries) = (root.path().join("launcher"), root.path().join("tries"));
    let script = format!(
        "#!/bin/sh\necho >> {tries}\n[ $(wc -l < {tries}) -gt 2 ] && exec {longshore} \"$@\"\n\
         echo 'Code: 210. DB::Exception: Listen [127.0.0.1]:9 failed: Net Exception: Address already in use' >&2\nexit 1\n",
        tries = tries.display(),
        longshore = longshore().display()
    );
    fs::write(&launcher, script).unwrap();
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).unwrap();
    let options = EmbeddedOptions { launcher, ..embedded_options(&root.path().join("data")) };
    let server = EmbeddedServer::start(options).unwrap();
    assert_eq!(fs::read_to_string(tries).unwrap().lines().count(), 3);
    assert_eq!(sql(server.http_port(), engine(&server), "SELECT 1").unwrap(), "1");
}

#[test]
fn a_path_with_markup_and_spaces_is_a_path() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("R&D <new> ü"));
    assert_eq!(sql(server.http_port(), engine(&server), "SELECT 1").unwrap(), "1");
}

#[test]
fn the_memory_limit_is_the_servers() {
    let root = tempfile::tempdir().unwrap();
    let mut options = embedded_options(&root.path().join("data"));
    options.memory_bytes_max = Some(1_500_000_000);
    let server = EmbeddedServer::start(options).unwrap();
    let statement = "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'";
    assert_eq!(sql(server.http_port(), engine(&server), statement).unwrap(), "1500000000");
}

/// The setting that has merges wait for dozens of parts, and what that rests on: ClickHouse bounds the parts all the same.
#[test]
fn parts_wait_for_each_other_but_never_pile_up() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let ask = |statement: &str| sql(server.http_port(), engine(&server), statement).unwrap();
    ask("CREATE DATABASE t");
    ask("CREATE TABLE t.parts (id UInt64) ENGINE = MergeTree ORDER BY id");
    let parts = || ask("SELECT count() FROM system.parts WHERE active AND database = 't'").parse::<usize>().unwrap();
    let inserts = 120;
    let most = (0..inserts).map(|id| {
        ask(&format!("INSERT INTO t.parts VALUES ({id})"));
        parts()
    });
    // ClickHouse's own setting merges at five parts, one of 16 at fifteen, ours at 39.
    let most = most.max().unwrap();
    assert!(most > 30, "{most} parts at most: merges did not wait");
    await_that("merges leave fifty parts at most", || parts() <= 50);
    assert_eq!(ask("SELECT count() FROM t.parts"), inserts.to_string());
}

#[test]
fn the_analysts_password_can_be_given_and_can_be_none() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    for password in ["p&w <d>", ""] {
        let options = EmbeddedOptions { analyst_password: Some(password.into()), ..embedded_options(&data) };
        let server = EmbeddedServer::start(options).unwrap();
        assert_eq!(sql(server.http_port(), analyst(&server), "SELECT currentUser()").unwrap(), "analyst");
        let wrong = Login { user: "analyst", password: "wrong" };
        let said = sql(server.http_port(), wrong, "SELECT 1").unwrap_err();
        assert!(said.contains("(AUTHENTICATION_FAILED)"), "{said}");
    }
}

/// A `clickhouse` on `PATH`: a program that takes `local ARGS`, as the real one does. It is a Python that loads the
/// library, because no such binary can be presumed here.
#[test]
fn a_clickhouse_on_path_serves_where_there_is_no_library() {
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let server = start_embedded(&root.path().join("library"));
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let library = maps.lines().find_map(|line| line.split_whitespace().last().filter(|p| p.ends_with("libchdb.so")));
    let script = format!(
        "#!/usr/bin/env python3\nimport ctypes, sys\nassert sys.argv[1] == 'local'\n\
         lib = ctypes.CDLL({:?})\nargs = [a.encode() for a in ['clickhouse'] + sys.argv[2:]]\n\
         lib.chdb_query_cmdline(len(args), (ctypes.c_char_p * (len(args) + 1))(*args, None))\nsys.exit(3)\n",
        library.unwrap()
    );
    drop(server);
    fs::write(bin.join("clickhouse"), script).unwrap();
    fs::set_permissions(bin.join("clickhouse"), fs::Permissions::from_mode(0o755)).unwrap();

    let data = root.path().join("data");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let environment = [("PATH", path), ("LONGSHORE_CACHE", root.path().display().to_string())];
    let mut parent = Foreground::start_with(&data, &environment);
    let server = parent.server_pid();
    let command_line = fs::read_to_string(format!("/proc/{server}/cmdline")).unwrap();
    assert!(command_line.contains("bin/clickhouse\0local\0--path\0"), "{command_line:?}");
    let engine = Login { user: "longshore", password: &stored_password(&data) };
    assert_eq!(sql(parent.http_port, engine, "SELECT 1").unwrap(), "1");
    // The lock and the signal at the parent's death outlive the exec.
    let refused = EmbeddedServer::start(embedded_options(&data)).unwrap_err();
    assert!(matches!(refused, EmbeddedError::FolderInUse { .. }), "{refused}");
    parent.end_by("KILL");
    await_end(server);
}
