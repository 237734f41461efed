//! Secrets of a config and values of sealed or masked records: where they may be, and where they are never seen.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::process::await_that;
use crate::support::service::Service;
use crate::support::shared::{PASSWORD_VARIABLE, Site};

const SALT: &str = "5f2c9a7be0d14386b1c07a9e3d5f8264";
/// What stands in each field of the records, and how short a piece of it is still one.
const NEEDLE: &str = "QXZJWKVQYQ";
const PIECE: usize = 4;

const CONFIG: &str = r#"
[[source]]
paths = ["logs/*.log"]
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "n"
type = "u64"
[[column]]
name = "user"
type = "string"
mask = { hash_file = "salt" }
[[column]]
name = "note"
type = "string"
[products]
fixed = "shop"
[table]
time = "ts"
[run]
slice_age = "200ms"
"#;

fn private(site: &Site, name: &str, text: &str) {
    let path = site.write(name, text);
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// [`CONFIG`] with salt and password in files, and no password in the environment.
fn with_files(site: &Site) -> std::path::PathBuf {
    private(site, "salt", &format!("{SALT}\n"));
    private(site, "password", &format!("{}\n", site.server.embedded.engine_password()));
    let config = site.config(CONFIG);
    let text = fs::read_to_string(&config).unwrap();
    let written = format!("password = \"${{{PASSWORD_VARIABLE}}}\"");
    assert!(text.contains(&written));
    fs::write(&config, text.replace(&written, "password_file = \"password\"")).unwrap();
    config
}

fn command(site: &Site) -> Command {
    let mut command = site.command();
    command.env_remove(PASSWORD_VARIABLE);
    command
}

/// All that a command says.
fn said(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code().unwrap(), text(&stdout) + &text(&stderr))
}

fn assert_no_secret(site: &Site, text: &str) {
    assert!(!text.contains(SALT), "the salt: {text}");
    assert!(!text.contains(site.server.embedded.engine_password()), "the password: {text}");
}

#[test]
fn every_command_takes_secrets_from_files_and_shows_none() {
    let site = Site::new("secret_files");
    let config = with_files(&site);
    fs::create_dir(site.path("logs")).unwrap();
    site.write("logs/a.log", "{\"ts\":1763726400,\"n\":1,\"user\":\"ann\"}\n");
    for arguments in [
        &["schema", "--print"][..],
        &["validate", "--no-connect"],
        &["schema", "--apply"],
        &["validate"],
        &["load"],
        &["schema"],
    ] {
        let (code, text) = said(command(&site).args(arguments).arg("-c").arg(&config));
        assert_eq!(code, 0, "{arguments:?}: {text}");
        assert!(!text.contains("is open to other users"), "{text}");
        assert_no_secret(&site, &text);
    }
    assert_eq!(site.ask("SELECT length(user) FROM {db}.events"), ["32"]);
    // A database of an earlier version has no view for analysts.
    site.execute("DROP VIEW {db}.dead_letter_reasons SYNC");
    let (code, text) = said(command(&site).args(["load", "-c"]).arg(&config));
    assert!(code == 0 && text.contains("created view dead_letter_reasons"), "{text}");
    assert_eq!(site.ask("SELECT count() FROM {db}.dead_letter_reasons"), ["0"]);
    // Of what is wrong with the file, its line is told, and not what it holds.
    private(&site, "password", &format!("{}\n{SALT}\n", site.server.embedded.engine_password()));
    fs::remove_file(site.path("salt")).unwrap();
    let (code, text) = said(command(&site).args(["validate", "-c"]).arg(&config));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("mask.hash_file: the secret's file") && text.contains("cannot be read"), "{text}");
    assert!(
        text.contains("clickhouse.password_file: the secret's file") && text.contains("more than one line"),
        "{text}"
    );
    assert_no_secret(&site, &text);
}

#[test]
fn what_others_may_read_is_a_warning() {
    let site = Site::new("secrets_open");
    let config = with_files(&site);
    fs::create_dir(site.path("logs")).unwrap();
    site.write("logs/a.log", "{\"ts\":1763726400,\"n\":1}\n");
    fs::set_permissions(site.path("salt"), Permissions::from_mode(0o644)).unwrap();
    let warning = format!("a secret {} is open to other users (mode 0644)", site.path("salt").display());
    for arguments in [&["schema", "--apply"][..], &["validate", "--no-connect"], &["load", "--quiet"]] {
        let (code, text) = said(command(&site).args(arguments).arg("-c").arg(&config));
        assert_eq!(code, 0, "{text}");
        assert_eq!(text.matches(&warning).count(), usize::from(arguments[0] != "schema"), "{arguments:?}: {text}");
    }
    let service = Service::start(command(&site), &config);
    service.await_line("following ", 1);
    assert_eq!(service.said(&warning).len(), 1);
    service.hang_up();
    service.await_line("reloaded: ", 1);
    service.await_line(&warning, 2);
    assert_eq!(service.stop(), 0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whatever the umask; and without the secrets of files.
#[test]
fn a_services_journal_is_its_owners_alone() {
    let site = Site::new("secret_journal");
    let config = with_files(&site);
    fs::create_dir(site.path("logs")).unwrap();
    site.write("logs/a.log", "{\"ts\":1763726400,\"n\":1,\"user\":\"ann\"}\n");
    let (code, text) = said(command(&site).args(["schema", "--apply", "-c"]).arg(&config));
    assert_eq!(code, 0, "{text}");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\"", crate::support::longshore().to_str().unwrap()]);
    shell.current_dir(site.folder.path()).env_remove(PASSWORD_VARIABLE);
    let service = Service::start(shell, &config);
    await_that("the record is stored", || site.execute("SELECT count() FROM {db}.ledger") == "1");
    let journal = site.path("longshore.journal");
    assert_eq!(mode(&journal), 0o700);
    let mut configs = 0;
    for entry in fs::read_dir(&journal).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        if path.extension().is_some_and(|extension| extension == "toml") {
            assert_no_secret(&site, &fs::read_to_string(&path).unwrap());
            configs += 1;
        }
    }
    assert_eq!(configs, 1);
    assert_eq!(service.stop(), 0);
}

/// Records that are wrong in many ways, one that a constraint refuses, a header that is a record: nothing that is said of them
/// has a piece of what stands in them.
#[test]
fn no_reason_and_no_log_line_shows_a_value_where_a_column_is_masked() {
    let site = Site::new("needles");
    let config = with_files(&site);
    let (code, text) = said(command(&site).args(["schema", "--apply", "-c"]).arg(&config));
    assert_eq!(code, 0, "{text}");
    site.execute(&format!("ALTER TABLE {{db}}.events ADD CONSTRAINT luck CHECK note != '{}'", "x".repeat(3)));
    site.execute("ALTER TABLE {db}.events ADD CONSTRAINT number CHECK toUInt64OrZero(note) = 0");
    let record =
        |n: &str, note: &str| format!("{{\"ts\":1763726400,\"n\":{n},\"user\":\"{NEEDLE}\",\"note\":{note}}}\n");
    let string = format!("\"{NEEDLE}\"");
    let log = [
        record("1", &string),
        record(&string, "\"\""),
        record("1", &format!("{{\"{NEEDLE}\":1}}")),
        record("1", "\"xxx\""),
        record("1", "\"83946175\""),
        record("1", NEEDLE),
        format!("{NEEDLE}\n"),
        format!("{{\"{NEEDLE}\"}}\n"),
        format!("{{\"{NEEDLE}\":\"\u{1}\"}}\n"),
    ]
    .concat();
    let log = site.write("needles.log", log);
    let (code, text) = said(command(&site).args(["load", "-vv", "-c"]).arg(&config).arg(&log));
    assert_eq!(code, 0, "{text}");
    let details = site.ask("SELECT reason, column, detail FROM {db}.dead_letter_reasons ORDER BY offset");
    assert!(details.len() >= 7, "{details:?}");
    for text in details.iter().chain([&text]) {
        for at in 0..=NEEDLE.len() - PIECE {
            assert!(!text.contains(&NEEDLE[at..at + PIECE]), "{text}");
        }
        assert!(!text.contains("8394"), "{text}");
    }

    let csv =
        fs::read_to_string(&config).unwrap().replacen("version = 1", "version = 1\n[decode]\nformat = \"csv\"", 1);
    fs::write(&config, csv).unwrap();
    let headless = site.write("needles.csv", format!("{NEEDLE},1,{NEEDLE}\n1,2,3\n"));
    let (_, text) = said(command(&site).args(["load", "-c"]).arg(&config).arg(&headless));
    assert!(text.contains("have the same name"), "{text}");
    assert!(!text.contains("QXZJ"), "{text}");
}
