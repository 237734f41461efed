//! The command line: exit codes, messages, summaries, and what loading again means.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::process::{await_that, catches, kill};
use crate::support::shared::Site;
use crate::support::small::{CONFIG, assert_balance, assert_rollups, config_of_small_slices, lines, refused, rows};

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn run<const N: usize>(site: &Site, arguments: [&str; N]) -> (i32, String, String) {
    outcome(site.command().args(arguments))
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn what_cannot_be_typed_is_a_usage_error() {
    let site = Site::new("usage");
    for (arguments, part) in [
        (vec![], "Usage: longshore"),
        (vec!["load"], "--config"),
        (vec!["load", "-c", "a.toml", "--jsn"], "--json"),
        (vec!["lod"], "load"),
        (vec!["schema", "-c", "a.toml", "--apply", "--print"], "cannot be used with"),
        (vec!["clickhouse", "--http-port", "70000"], "--http-port"),
    ] {
        let (code, out, err) = outcome(site.command().args(&arguments));
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}: {err}");
        assert_says(&err, &[part]);
    }
    let (code, out, _) = run(&site, ["--help"]);
    assert_eq!(code, 0);
    assert_says(&out, &["Exit codes:", "130  interrupted"]);
}

#[test]
fn every_problem_of_a_config_is_reported_at_once() {
    let site = Site::new("config");
    let text = CONFIG.replace("\"u64\"", "\"u46\"").replace("kind = \"pv_uv\"", "kind = \"pv_vu\"");
    let config = site.config(&format!("{text}[pipeline]\nworkers = 0\nworker = 1\n"));
    let lines = |at: &str| 1 + fs::read_to_string(&config).unwrap().lines().position(|line| line == at).unwrap();
    let places = ["type = \"u46\"", "kind = \"pv_vu\"", "workers = 0", "worker = 1"].map(lines);
    for command in ["validate", "load", "schema"] {
        let (code, out, err) = run(&site, [command, "-c", "longshore.toml"]);
        assert_eq!((code, out.as_str()), (78, ""), "{command}: {err}");
        for line in places {
            assert_says(&err, &[&format!("longshore.toml:{line}:")]);
        }
        assert_says(&err, &["4 problems"]);
    }
    assert_says(&refused(&site, Path::new("gone.toml"), &["x.log"], 78), &["cannot read the config gone.toml"]);
}

#[test]
fn files_that_the_config_names_are_part_of_it() {
    let site = Site::new("named");
    site.write("app.log", lines(0..3));
    let products = CONFIG.replace(
        "fixed = \"shop\"",
        "column = \"user\"\ndictionary = \"products.csv\"\nunknown = \"default\"\ndefault = \"u9\"",
    );
    let config =
        site.config(&format!("[decode]\nenvelope = {{ layout = \"tab\", keyring = \"keys.toml\" }}\n{products}"));
    let said = refused(&site, &config, &["app.log"], 78);
    assert_says(&said, &["cannot read the keyring", "keys.toml", "No such file"]);
    // Both at once where one asks for all problems.
    let (code, _, err) = run(&site, ["validate", "--no-connect", "-c", "longshore.toml"]);
    assert_eq!(code, 78);
    assert_says(&err, &["keys.toml", "products.csv"]);

    let config = site.config(&products);
    site.write("products.csv", "id,name\nu1,One\nu2,Two\n");
    let said = refused(&site, &config, &["app.log"], 78);
    assert_says(&said, &["products.csv", "u9"]);
    site.write("products.csv", "id,name\nu1,One\nu9,Nine\n");
    assert_eq!(site.load(&config, &["app.log"])["loaded_by_product"], json!({"u1": 1, "u9": 2}));
}

#[test]
fn a_missing_input_is_named_and_the_others_are_loaded() {
    let site = Site::new("missing");
    let config = site.config(CONFIG);
    for inputs in [vec!["gone.log"], vec!["gone.log", "away.log"]] {
        let said = refused(&site, &config, &inputs, 66);
        for input in inputs {
            assert_says(&said, &["cannot open /", &format!("/{input}: No such file")]);
        }
    }
    site.write("app.log", lines(0..5));
    let output = site.try_load(&config, &["gone.log", "app.log"]);
    assert_eq!(output.status.code(), Some(66));
    assert_says(&String::from_utf8_lossy(&output.stderr), &["cannot open /", "/gone.log: No such file"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["loaded"], &summary["inputs"]), (&json!(5), &json!(1)));
    assert_says(summary["input_errors"][0].as_str().unwrap(), &["gone.log"]);
    assert_eq!(rows(&site), [0, 1, 2, 3, 4]);

    // The same for the config's sources: a pattern that matches nothing is no reason to leave the others.
    let sources = "[[source]]\nname = \"old\"\npaths = [\"old/*.log\"]\n[[source]]\npaths = [\"b*.log\"]\n";
    site.write("b1.log", lines(5..7));
    let said = refused::<PathBuf>(&site, &site.config(&format!("{sources}{CONFIG}")), &[], 66);
    assert_says(&said, &["old/*.log matches no file", "\"old\""]);
    assert_eq!(rows(&site).len(), 7);
    // No inputs at all.
    assert_says(&refused::<PathBuf>(&site, &site.config(CONFIG), &[], 66), &["no input", "[[source]]"]);
}

#[test]
fn a_clickhouse_that_cannot_be_reached_ends_with_69() {
    let site = Site::new("unreachable");
    let input = site.write("app.log", lines(0..3));
    // A port that nobody listens on: taken and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = |clickhouse: &str| site.write("longshore.toml", format!("version = 1\n{CONFIG}{clickhouse}"));

    let path = config(&format!("[clickhouse]\nurl = \"http://127.0.0.1:{port}\"\n"));
    let said = refused(&site, &path, &[&input], 69);
    assert_says(&said, &[&format!("127.0.0.1:{port}"), "does not answer", "refused"]);
    let (code, _, err) = run(&site, ["validate", "-c", "longshore.toml"]);
    assert_eq!(code, 69, "{err}");

    let embedded = &site.server.embedded;
    let (url, user) = (embedded.http_url(), embedded.engine_user());
    let path = config(&format!("[clickhouse]\nurl = \"{url}\"\nuser = \"{user}\"\npassword = \"hunter2\"\n"));
    let said = refused(&site, &path, &[&input], 69);
    assert_says(&said, &[&url, "does not let user", user, "password"]);
    assert!(!said.contains("hunter2"), "{said}");

    let path = config("[clickhouse.embedded]\ndata = \"data\"\nlibrary = \"gone/libchdb.so\"\n");
    let said = refused(&site, &path, &[&input], 69);
    assert_says(&said, &["gone/libchdb.so"]);
}

#[test]
fn dead_letters_end_with_65_if_asked_to() {
    let site = Site::new("fail");
    let config = site.config(CONFIG);
    site.write("bad.log", format!("{}nonsense\n", lines(0..2)));
    site.write("good.log", lines(2..4));
    let load = |input| run(&site, ["load", "--fail-on-dead-letters", "--quiet", "-c", "longshore.toml", input]);
    assert_eq!(load("good.log").0, 0);
    let (code, out, err) = load("bad.log");
    assert_eq!(code, 65, "{err}");
    assert_says(&out, &["dead letters  1: bad_json 1", ".dead_letter_reasons ORDER BY"]);
    assert_eq!(rows(&site), [0, 1, 2, 3]);
    // Without being asked to, they are no failure.
    site.write("other.log", "nonsense\n");
    assert_eq!(site.load(&config, &["other.log"])["dead"], json!(1));
}

#[test]
fn the_json_summary_is_one_object_with_every_key() {
    let site = Site::new("json");
    let log = format!("{}nonsense\n{}", lines(0..3), lines(3..4));
    let bytes = site.write("app.log", &log);
    let filter = "[[filter]]\ndrop = { user = [\"u1\", \"u2\"] }\n";
    let config = site.config(&format!("{CONFIG}{filter}"));
    let output = site.try_load(&config, &[bytes]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let Value::Object(summary) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
    // The table in docs/operating.md lists the keys.
    let documentation = include_str!("../../../../docs/operating.md");
    let table = documentation.split("| key | meaning |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut keys: Vec<&str> = table
        .lines()
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    keys.sort_unstable();
    assert_eq!(summary.keys().map(String::as_str).collect::<Vec<_>>(), keys);
    let expected = json!({
        "inputs": 1, "slices": 1, "records": 5, "loaded": 2, "dead": 1, "filtered": 2, "bytes": log.len(),
        "dead_by_reason": {"bad_json": 1}, "loaded_by_product": {"shop": 2}, "skipped_slices": 0, "skipped_bytes": 0,
        "retries": 0, "stopped": false, "input_errors": [],
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&summary[key], value, "{key}");
    }
    assert_eq!(rows(&site), [0, 3]);
    assert_balance(&site, 2, 1, 2);
}

#[test]
fn loading_again_skips_what_is_stored() {
    let site = Site::new("again");
    let log = lines(0..100);
    site.write("app.log", &log);
    let config = site.config(CONFIG);
    let load = || {
        let mut command = site.command();
        command.args(["load", "--json", "--quiet", "-c"]).arg(&config).arg("app.log");
        let (code, out, err) = outcome(&mut command);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    assert_eq!(load()["loaded"], json!(100));
    let again = load();
    assert_eq!((&again["records"], &again["skipped_slices"]), (&json!(0), &json!(1)));
    assert_eq!(again["skipped_bytes"], json!(log.len()));
    assert_rollups(&site, 100);
}

#[test]
fn a_file_that_has_grown_is_loaded_from_where_it_ended() {
    let site = Site::new("grown");
    let config = config_of_small_slices(&site);
    let path = site.path("app.log");
    let mut end = 0;
    for (to, next) in [(10, 3_000), (3_000, 3_001), (3_001, 9_000), (9_000, 9_000)] {
        site.write("app.log", lines(0..to));
        let loaded = site.load(&config, &[&path]);
        assert_eq!(loaded["loaded"].as_u64(), Some(to - end), "to {to}");
        assert_eq!(loaded["skipped_bytes"], json!(lines(0..end).len()), "to {to}");
        end = to;
        assert!(end <= next);
    }
    assert_eq!(rows(&site), (0..9_000).collect::<Vec<_>>());
    assert_rollups(&site, 9_000);
    assert_balance(&site, 9_000, 0, 0);
}

#[test]
fn an_interrupt_is_seen_while_standard_input_is_silent() {
    let site = Site::new("silent");
    let config = site.config(CONFIG);
    for (said, loaded) in [(String::new(), 0), (lines(0..20) + "{\"half\":", 20)] {
        let mut child = site
            .command()
            .args(["load", "--json", "-c"])
            .arg(&config)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Held open until the end.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(said.as_bytes()).unwrap();
        await_that("all is read", || rustix::io::ioctl_fionread(&stdin).unwrap() == 0);
        await_that("it listens to signals", || catches(child.id(), 2));
        kill("INT", child.id());
        await_that("it ends", || child.try_wait().unwrap().is_some());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&summary["loaded"], &summary["dead"]), (&json!(loaded), &json!(0)), "{summary}");
        assert_eq!((&summary["stopped"], &summary["input_errors"]), (&json!(true), &json!([])), "{summary}");
        assert_eq!(rows(&site), (0..loaded).collect::<Vec<_>>());
    }
}

/// Code, output and errors of loading `app.log` in small slices, by this reader.
fn load_by(site: &Site, reader: &str) -> (i32, String, String) {
    let config = config_of_small_slices(site);
    let mut command = site.command();
    command.args(["load", "--json", "--verbose", "--reader", reader, "-c"]).arg(&config).arg("app.log");
    outcome(&mut command)
}

#[test]
fn the_reader_is_a_choice_that_changes_no_row() {
    let mut all = Vec::new();
    for reader in ["auto", "pread", "io_uring"] {
        let site = Site::new(&format!("reader_{reader}"));
        // More than io_uring reads ahead at once.
        site.write("app.log", lines(0..40_000));
        let (code, out, err) = load_by(&site, reader);
        if reader == "io_uring" && code == 1 && err.contains("io_uring cannot be used here") {
            println!("skipped for io_uring: {err}");
            assert_says(&err, &["leave --reader io_uring away"]);
            continue;
        }
        assert_eq!(code, 0, "{err}");
        let summary: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(summary["loaded"], json!(40_000));
        let used = summary["reader"].as_str().unwrap();
        assert!(used == reader || (reader == "auto" && ["io_uring", "pread"].contains(&used)), "{used}");
        assert_says(&err, &[&format!("files are read by {used}")]);
        assert_eq!(site.ask("SELECT count(), uniqExact(n) FROM {db}.events"), ["40000\t40000"]);
        all.push(site.ask("SELECT slice, start, `end`, loaded FROM {db}.ledger ORDER BY start"));
    }
    assert!(all[0].len() > 1 && all.iter().all(|slices| *slices == all[0]), "{all:#?}");
    let (code, _, err) = load_by(&Site::new("reader_none"), "uring");
    assert_eq!(code, 64);
    assert_says(&err, &["--reader", "io_uring or pread"]);
}

#[test]
fn what_standard_input_says_again_is_stored_already() {
    let site = Site::new("stdin");
    let config = site.config(CONFIG);
    for (loaded, skipped) in [(20, 0), (0, 1)] {
        let mut child = site
            .command()
            .args(["load", "--json", "-c"])
            .arg(&config)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines(0..20).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((summary["loaded"].as_u64(), summary["skipped_slices"].as_u64()), (Some(loaded), Some(skipped)));
        assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["20"]);
        // Standard error is no terminal: log lines, no bar.
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains(['\r', '\u{1b}', '█', '━']), "{said:?}");
    }
    assert_eq!(site.ask("SELECT source, uniqExact(slice) FROM {db}.ledger GROUP BY source"), ["-\t1"]);
}

#[test]
fn sources_are_patterns_and_a_file_of_two_patterns_is_loaded_once() {
    let site = Site::new("globs");
    fs::create_dir_all(site.path("logs/deep")).unwrap();
    for (name, range) in [
        ("logs/a1.log", 0..2),
        ("logs/a2.log", 2..4),
        ("logs/b1.log", 4..6),
        ("logs/deep/a3.log", 6..8),
        ("logs/a4.txt", 8..9),
    ] {
        site.write(name, lines(range));
    }
    let sources =
        "[[source]]\npaths = [\"logs/a?.log\", \"logs/*1.log\"]\n[[source]]\npaths = [\"logs/**/a[3].log\"]\n";
    let loaded = site.load::<PathBuf>(&site.config(&format!("{sources}{CONFIG}")), &[]);
    assert_eq!((&loaded["inputs"], &loaded["loaded"]), (&json!(4), &json!(8)));
    assert_eq!(rows(&site), (0..8).collect::<Vec<_>>());
}

#[test]
fn schema_prints_applies_and_names_what_differs() {
    let site = Site::new("schema");
    let config = site.config(CONFIG);
    let (code, out, err) = run(&site, ["validate", "--no-connect", "-c", "longshore.toml"]);
    assert_eq!(code, 0, "{err}");
    assert_says(&out, &["the config is right", "3 columns, 2 rollups"]);

    let (code, out, _) = run(&site, ["schema", "--print", "-c", "longshore.toml"]);
    assert_eq!(code, 0);
    for table in ["events", "dead_letters", "ledger", "pv_uv_minutes", "new_users_first_seen"] {
        assert_says(&out, &[&format!("CREATE TABLE IF NOT EXISTS `{}`.`{table}`", site.database)]);
    }
    let count = "SELECT count() FROM system.tables WHERE database = '{db}'";
    assert_eq!(site.execute(count), "0", "--print creates nothing");

    let (code, out, _) = run(&site, ["schema", "-c", "longshore.toml"]);
    assert_eq!(code, 78);
    let absent = format!("the database {} with its 15 tables and views is not there yet", site.database);
    assert_says(&out, &[&absent, "--apply"]);
    let (code, out, err) = run(&site, ["schema", "--apply", "-c", "longshore.toml"]);
    assert_eq!(code, 0, "{err}");
    assert_says(&out, &["events"]);
    for arguments in [&["schema"][..], &["schema", "--apply"], &["validate"]] {
        let (code, out, err) = outcome(site.command().args(arguments).args(["-c", "longshore.toml"]));
        assert_eq!(code, 0, "{err}");
        assert_says(&out, &["are as the config has them"]);
    }

    // A column goes; nothing is loaded until it is back.
    site.execute("ALTER TABLE {db}.dead_letters DROP COLUMN detail");
    site.write("app.log", lines(0..3));
    let (code, out, _) = run(&site, ["schema", "-c", "longshore.toml"]);
    assert_eq!(code, 78);
    assert_says(&out, &["dead_letters", "detail"]);
    assert_eq!(run(&site, ["validate", "-c", "longshore.toml"]).0, 78);
    let said = refused(&site, &config, &["app.log"], 78);
    assert_says(&said, &["differ from the config", "dead_letters", "detail"]);
    assert_eq!(site.ask("SELECT count() FROM {db}.events"), ["0"]);
    let (code, _, err) = run(&site, ["schema", "--apply", "-c", "longshore.toml"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(site.load(&config, &["app.log"])["loaded"], json!(3));
}

#[test]
fn an_interrupt_stores_what_was_read_and_the_next_load_completes_it() {
    let site = Site::new("interrupt");
    let config = config_of_small_slices(&site);
    // A pipe with a name: its source is known by its path, like a file's, and it can be slow.
    let path = site.path("app.log");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut child = site
        .command()
        .args(["load", "--json", "-c"])
        .arg(&config)
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Some slices; the writer falls silent, and ends only after the interrupt.
    let all = lines(0..9_000);
    let sent = lines(0..5_000).len();
    pipe.write_all(&all.as_bytes()[..sent]).unwrap();
    await_that("something is stored", || {
        site.execute("SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'ledger' AND total_rows > 0")
            == "1"
    });
    kill("INT", child.id());
    drop(pipe);
    await_that("it ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_says(&said, &["stopping: storing what was read"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["stopped"], json!(true));
    let stored = summary["loaded"].as_u64().unwrap();
    assert!((1..=5_000).contains(&stored), "{summary}");
    assert_eq!(rows(&site), (0..stored).collect::<Vec<_>>());
    assert_balance(&site, stored, 0, 0);

    // Now it is a file, and all there.
    fs::remove_file(&path).unwrap();
    fs::write(&path, &all).unwrap();
    let rest = site.load(&config, &[&path]);
    assert_eq!(rest["loaded"].as_u64(), Some(9_000 - stored), "{rest}");
    assert_eq!(rows(&site), (0..9_000).collect::<Vec<_>>());
    assert_rollups(&site, 9_000);
    assert_balance(&site, 9_000, 0, 0);
}
