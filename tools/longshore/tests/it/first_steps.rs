//! What a new user meets: a server that has nothing yet, a user without rights, and files that were mistaken for others.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use crate::support::shared::Site;
use crate::support::small::{CONFIG, lines, refused};
use crate::support::users::UsersServer;

/// Exit code and all that was said.
fn outcome(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn validate(site: &Site, config: &Path) -> (i32, String) {
    outcome(site.command().args(["validate", "-c"]).arg(config))
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn before_the_first_load_all_is_well_and_the_load_creates_it() {
    let site = Site::new("fresh_validate");
    let config = site.config(CONFIG);
    let database = &site.database;
    let count = format!("SELECT count() FROM system.databases WHERE name = '{database}'");
    let (code, said) = validate(&site, &config);
    assert_eq!(code, 0, "{said}");
    // Five tables, and each rollup's with its views: three of one, four of the other.
    let absent =
        format!("the database {database} with its 15 tables and views is not there yet: the first `longshore load");
    assert_says(&said, &["3 columns, 2 rollups, 0 sources", &absent, "--apply", "guarantee: exactly-once"]);
    assert_eq!(site.ask(&count), ["0"], "it created something");

    site.execute("CREATE DATABASE {db}");
    let (code, said) = validate(&site, &config);
    assert_eq!(code, 0, "{said}");
    let none = format!("the database {database} has none of the 15 tables and views yet");
    assert_says(&said, &[&none, "guarantee: exactly-once"]);
    let (code, said) = outcome(site.command().args(["schema", "-c"]).arg(&config));
    assert_eq!(code, 78, "{said}");
    assert_says(&said, &[&none]);
    assert_eq!(site.ask("SELECT count() FROM system.tables WHERE database = '{db}'"), ["0"], "it created something");

    site.load(&config, &[site.write("app.log", lines(0..3))]);
    let (code, said) = validate(&site, &config);
    assert_eq!(code, 0, "{said}");
    assert_says(&said, &["are as the config has them", "guarantee: exactly-once"]);
    assert!(!said.contains("yet") && !said.contains("comments"), "{said}");
    assert_eq!(site.ask("SELECT count() FROM system.tables WHERE database = '{db}'"), ["15"]);
}

/// What a load does then: it refuses, since nobody knows who dropped the table and why.
#[test]
fn where_some_tables_are_there_apply_creates_the_others() {
    let site = Site::new("some");
    let config = site.config(CONFIG);
    site.load(&config, &[site.write("app.log", lines(0..3))]);
    site.execute("DROP TABLE {db}.dead_letters SYNC");
    let (code, said) = validate(&site, &config);
    assert_eq!(code, 78, "{said}");
    assert_says(&said, &["dead_letters is missing", "--apply` creates what is absent", "while the tables differ"]);
    let more = site.write("more.log", lines(3..5));
    assert_says(&refused(&site, &config, &[&more], 78), &["dead_letters is missing", "--apply"]);
    assert_eq!(outcome(site.command().args(["schema", "--apply", "-c"]).arg(&config)).0, 0);
    assert_eq!(validate(&site, &config).0, 0);
    site.load(&config, &[&more]);
}

#[test]
fn a_user_who_may_not_create_is_told_what_lacks_and_once() {
    let server = UsersServer::get();
    let site = Site::new("rights");
    let log = site.write("app.log", lines(0..3));
    for (user, parts) in [
        ("reader", &["does not let this user set", "readonly", "to mend it: take `readonly`"][..]),
        (
            "stranger",
            &[
                "the user stranger may not create and fill them",
                "CREATE DATABASE, CREATE TABLE, CREATE VIEW, INSERT",
                "to mend it: have somebody who may run `GRANT CREATE DATABASE",
                "TO `stranger`",
            ],
        ),
    ] {
        let database = &site.database;
        let clickhouse =
            format!("[clickhouse]\nurl = \"{}\"\nuser = \"{user}\"\ndatabase = \"{database}\"\n", server.url);
        let config = site.write("user.toml", format!("version = 1\n{CONFIG}{clickhouse}"));
        let (code, said) = validate(&site, &config);
        assert_eq!(code, 78, "{user}: {said}");
        assert_says(&said, parts);
        assert_says(&said, &["is not there yet", "guarantee: nothing can be stored"]);
        assert_eq!(said.matches("to mend it").count(), 1, "{user}: {said}");
        // A load fails at the first statement, and says that once, and what to do.
        let said = refused(&site, &config, &[&log], 1);
        assert_eq!(said.matches("(ClickHouse error").count(), 1, "{user}: {said}");
        assert!(said.contains("grant the user") || said.contains("take readonly"), "{user}: {said}");
        let admin = server.connect("default", "default").unwrap();
        let there = format!("SELECT count() FROM system.databases WHERE name = '{database}'");
        assert_eq!(admin.value(&there).unwrap(), "0", "{user} created it");
    }
}

#[test]
fn an_embedded_server_that_has_nothing_yet_is_as_well() {
    let site = Site::new("embedded_validate");
    let config = site.write("own.toml", format!("version = 1\n{CONFIG}[clickhouse.embedded]\ndata = \"data\"\n"));
    let (code, said) = validate(&site, &config);
    assert_eq!(code, 0, "{said}");
    assert_says(&said, &["the database longshore with its 15 tables and views is not there yet", "exactly-once"]);
}

/// Each command that takes a config, given something else: a short answer, and nothing of what is in the file.
#[test]
fn a_file_that_is_no_config_is_not_poured_out() {
    let site = Site::new("swapped");
    let log = "{\"user\":\"SECRET\",\"password\":\"SECRET\"}\n".repeat(20_000);
    site.write("app.log", log);
    site.write("app.csv", "SECRET,b,c\n1,SECRET,3\n".repeat(5_000));
    site.write("app.bin", [&[0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe][..], b"SECRET"].concat());
    site.write("empty", "");
    // Two gigabytes, of which none is on the disk.
    File::create(site.path("large")).unwrap().set_len(2 << 30).unwrap();
    fs::create_dir(site.path("folder")).unwrap();
    for (file, part) in [
        ("app.log", "app.log:1:1: this is not a Longshore config"),
        ("app.csv", "app.csv:1:7: this is not a Longshore config"),
        ("app.bin", "app.bin is no Longshore config: it is not text from its byte 4 on"),
        ("empty", "empty is empty; a config begins with `version = 1`"),
        ("large", "large has more than 4 MiB, so it is no Longshore config"),
        ("folder", "cannot read the config folder: Is a directory"),
    ] {
        for command in ["validate", "load", "schema", "run", "bench", "clickhouse", "chaos"] {
            let (code, said) = outcome(site.command().args([command, "-c", file]));
            assert_eq!(code, 78, "{command}: {said}");
            assert_says(&said, &[part]);
            assert!(said.len() < 400 && !said.contains("SECRET"), "{command}: {said}");
        }
    }
}

#[test]
fn of_many_problems_the_first_are_shown() {
    let site = Site::new("many");
    let keys: String = (0..100).map(|n| format!("key_number_{n} = 1\n")).collect();
    let config = site.config(&format!("{keys}{CONFIG}"));
    let (code, said) = validate(&site, &config);
    assert_eq!(code, 78);
    assert_says(&said, &["key_number_19:", "100 problems, of which the first 20 are shown"]);
    assert!(!said.contains("key_number_20:"), "{said}");
}

#[test]
fn files_that_the_config_names_are_told_from_others_without_a_word_of_them() {
    let site = Site::new("named_wrong");
    let log = "{\"user\":\"SECRET\",\"n\":1}\n".repeat(1_000);
    site.write("app.csv", &log);
    site.write("app.toml", &log);
    site.write("app.log", &log);
    File::create(site.path("large.csv")).unwrap().set_len(2 << 30).unwrap();
    fs::create_dir(site.path("folder.csv")).unwrap();
    File::create(site.path("large")).unwrap().set_len(2 << 30).unwrap();
    let products =
        |file: &str| CONFIG.replace("fixed = \"shop\"", &format!("column = \"user\"\ndictionary = \"{file}\""));
    let keyring = |file: &str| format!("[decode]\nenvelope = {{ layout = \"tab\", keyring = \"{file}\" }}\n{CONFIG}");
    for (text, part) in [
        (
            products("app.csv"),
            "app.csv, line 1: this does not begin with names of columns: is it the product dictionary?",
        ),
        (products("app.toml"), "app.toml, line 1: not TOML"),
        (products("large.csv"), "large.csv (products.dictionary) has more than 32 MiB"),
        (products("folder.csv"), "Is a directory"),
        (keyring("app.log"), "app.log, line 1: not TOML"),
        (keyring("large"), "large (decode.envelope.keyring) is no keyring"),
        (keyring("."), "Is a directory"),
    ] {
        let config = site.config(&text);
        let (code, said) = outcome(site.command().args(["validate", "--no-connect", "-c"]).arg(&config));
        assert_eq!(code, 78, "{said}");
        assert_says(&said, &[part]);
        assert!(said.len() < 600 && !said.contains("SECRET"), "{said}");
    }
    for (file, part) in [("app.log", "no PEM certificate"), ("large", "more than 8 MiB"), (".", "Is a directory")] {
        let clickhouse = format!("[clickhouse]\nurl = \"https://127.0.0.1:1\"\nca_file = \"{file}\"\n");
        let config = site.write("tls.toml", format!("version = 1\n{CONFIG}{clickhouse}"));
        let (code, said) = validate(&site, &config);
        assert_eq!(code, 69, "{said}");
        assert_says(&said, &["cannot read certificate authorities", part]);
        assert!(!said.contains("SECRET"), "{said}");
    }
}
