//! From start to end, whichever way it comes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use longshore_sinks::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedServer};

use crate::support::http::{Login, analyst, engine, sql};
use crate::support::process::{Foreground, await_end, await_that, catches, children_of, is_alive, kill};
use crate::support::{embedded_options, longshore, start_embedded};

/// The engine's or the analyst's password in a folder's file.
fn stored_password(data: &Path, whose: &str) -> String {
    let text = fs::read_to_string(data.join("credentials.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{whose}_password"))).unwrap();
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
    let engine = Login { user: "longshore", password: &stored_password(&data, "engine") };
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
fn the_command_shows_the_way_in_and_no_password() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("my data");
    let mut parent = Foreground::start(&data);
    let shown = parent.description.clone();
    for password in [stored_password(&data, "engine"), stored_password(&data, "analyst")] {
        assert!(!shown.contains(&password), "{shown}");
    }
    let (page, curl) = (data.join("analyst.html"), data.join("analyst.curl"));
    for file in [&page, &curl] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The command as it stands, and another query.
    let command = shown.lines().find_map(|line| line.trim().strip_prefix("SQL:")).unwrap().trim();
    let said = shell(command);
    assert!(said.lines().any(|name| name == "system"), "{said}");
    assert_eq!(shell(&command.replace("SHOW DATABASES", "SELECT currentUser()")), "analyst\n");
    // The page that the browser is sent to, at the address that it is given.
    assert!(shown.contains(&format!("open {} in a browser", page.display())), "{shown}");
    let text = fs::read_to_string(&page).unwrap();
    let address = text.split("location.replace(\"").nth(1).unwrap().split('"').next().unwrap();
    let login = format!("/play?user=analyst&password={}&run=1#", stored_password(&data, "analyst"));
    assert!(address.starts_with(&format!("http://127.0.0.1:{}{login}", parent.http_port)), "{address}");
    assert!(parent.end_by("TERM").success());
    assert!(!page.exists() && !curl.exists(), "they lead nowhere now");
}

/// What a shell's command prints.
fn shell(command: &str) -> String {
    let out = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(out.status.success(), "{command}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_service_says_where_analysts_connect_and_no_password() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let config = root.path().join("longshore.toml");
    let text = format!(
        "version = 1\n[[source]]\npaths = [{:?}]\n[run]\njournal = {:?}\n[clickhouse.embedded]\ndata = {:?}\n{}",
        root.path().join("*.log"),
        root.path().join("journal"),
        data,
        crate::support::small::CONFIG
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(longshore());
    command.args(["run", "-c"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut service = command.spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(service.stderr.take().unwrap());
    while !said.contains("analysts connect to ") {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let line = said.lines().last().unwrap();
    assert!(line.contains(" as user analyst; ") && line.contains("curl -K "), "{line}");
    assert_eq!(shell(&line[line.find("curl -K ").unwrap()..].replace("SHOW DATABASES", "SELECT 6 * 7")), "42\n");
    await_that("it catches SIGTERM", || catches(service.id(), 15));
    kill("TERM", service.id());
    lines.read_to_string(&mut said).unwrap();
    assert_eq!(service.wait().unwrap().code(), Some(0), "{said}");
    assert!(!said.contains("WARN") && !said.contains(&stored_password(&data, "analyst")), "{said}");
    assert!(!data.join("analyst.html").exists() && !data.join("analyst.curl").exists());
}

#[test]
fn a_child_whose_parent_is_another_already_does_not_serve() {
    let root = tempfile::tempdir().unwrap();
    // Process 1 started it, says the argument; this test did.
    let mut command = Command::new(longshore());
    command.args(["__clickhouse-server", "1", "unconfined", "library", "/nonexistent.so"]).current_dir(root.path());
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
    assert_eq!(fs::read_dir(data.join("config")).unwrap().count(), 0, "what the server has read is gone");
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", server.pid())).unwrap();
    let options = EmbeddedOptions { analyst_password: Some("sunny-day".into()), ..embedded_options(&data) };
    for public in [read("cmdline"), read("environ"), format!("{server:?}"), format!("{options:?}")] {
        for secret in [server.engine_password(), server.analyst_password(), "sunny-day"] {
            assert!(!public.contains(secret), "{public}");
        }
    }
    assert_eq!(server.engine_password(), stored_password(&data, "engine"));
}

#[test]
fn the_servers_environment_holds_nothing_of_ours() {
    let root = tempfile::tempdir().unwrap();
    let server = start_embedded(&root.path().join("data"));
    let environ = fs::read_to_string(format!("/proc/{}/environ", server.pid())).unwrap();
    let names: Vec<&str> = environ.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert!(names.contains(&"TZ"), "{names:?}");
    let allowed = ["TZ", "LD_LIBRARY_PATH"];
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
fn the_analysts_password_can_be_given_and_cannot_be_none() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let with = |password: &str| EmbeddedOptions { analyst_password: Some(password.into()), ..embedded_options(&data) };
    let error = EmbeddedServer::start(with("")).unwrap_err();
    assert!(matches!(error, EmbeddedError::EmptyPassword), "{error}");
    let password = "p&w <d> \"ü\\";
    let server = EmbeddedServer::start(with(password)).unwrap();
    let port = server.http_port();
    assert_eq!(sql(port, analyst(&server), "SELECT currentUser()").unwrap(), "analyst");
    for wrong in ["wrong", ""] {
        let said = sql(port, Login { user: "analyst", password: wrong }, "SELECT 1").unwrap_err();
        assert!(said.contains("(AUTHENTICATION_FAILED)"), "{said}");
    }
    let files = server.analyst_files().unwrap();
    assert_eq!(shell(&files.command().replace("SHOW DATABASES", "SELECT currentUser()")), "analyst\n");
}

/// A `clickhouse` on `PATH`: a program that takes `local ARGS`, as the real one does. It loads the library, because no
/// such binary can be presumed here, from where the server may read: its own data.
#[test]
fn a_clickhouse_on_path_serves_where_there_is_no_library() {
    let root = tempfile::tempdir().unwrap();
    let (bin, data) = (root.path().join("bin"), root.path().join("data"));
    fs::create_dir(&bin).unwrap();
    let server = start_embedded(&data);
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let library = maps.lines().find_map(|line| line.split_whitespace().last().filter(|p| p.ends_with("libchdb.so")));
    drop(server);
    let mapped = data.canonicalize().unwrap().join("store/libchdb.so");
    if fs::hard_link(library.unwrap(), &mapped).is_err() {
        fs::copy(library.unwrap(), &mapped).unwrap();
    }
    let source = format!(
        "#include <dlfcn.h>\n#include <string.h>\nint main(int argc, char **argv) {{\n\
         if (argc < 2 || strcmp(argv[1], \"local\")) return 4;\nvoid *library = dlopen({mapped:?}, RTLD_NOW);\n\
         if (!library) return 5;\nvoid *(*run)(int, char **) = dlsym(library, \"chdb_query_cmdline\");\n\
         run(argc - 1, argv + 1);\nreturn 3; }}\n"
    );
    fs::write(root.path().join("clickhouse.c"), source).unwrap();
    let mut compile = Command::new("cc");
    compile.arg("-o").args([bin.join("clickhouse"), root.path().join("clickhouse.c")]).arg("-ldl");
    assert!(compile.status().unwrap().success());

    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let environment = [("PATH", path), ("LONGSHORE_CACHE", root.path().display().to_string())];
    let mut parent = Foreground::start_with(&data, &environment);
    let server = parent.server_pid();
    let command_line = fs::read_to_string(format!("/proc/{server}/cmdline")).unwrap();
    assert!(command_line.contains("bin/clickhouse\0local\0--path\0"), "{command_line:?}");
    let engine = Login { user: "longshore", password: &stored_password(&data, "engine") };
    assert_eq!(sql(parent.http_port, engine, "SELECT 1").unwrap(), "1");
    // What confines it outlives the exec, and so do the lock and the signal at the parent's death.
    if start_embedded(&root.path().join("other")).confinement_gap().is_none() {
        let said = sql(parent.http_port, engine, "SELECT file('/etc/passwd')").unwrap_err();
        assert!(said.contains("(CANNOT_OPEN_FILE)"), "{said}");
    }
    let refused = EmbeddedServer::start(embedded_options(&data)).unwrap_err();
    assert!(matches!(refused, EmbeddedError::FolderInUse { .. }), "{refused}");
    parent.end_by("KILL");
    await_end(server);
}
