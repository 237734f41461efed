//! What a real server's errors are taken for: each is provoked, and none is ever taken for stored.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use longshore_core::config::{self, Config, Env, Secret, WireCompression};
use longshore_ingest::sink::{LoadedSlice, Sink, SinkError};
use longshore_sinks::clickhouse::{
    CODES, ClickHouse, ClickHouseSink, ClientError, ConnectError, Connection, ErrorKind, Schema,
};
use longshore_sinks::embedded::{EmbeddedOptions, EmbeddedServer};

use crate::database::loaded_slice;
use crate::shop::{ROLLUPS, TABLE, batch, pay, view};
use crate::support::shared::database_name;
use crate::support::users::UsersServer;
use crate::support::{embedded_options, start_embedded};

/// A shop's tables on the server that has users of every kind.
struct Stand {
    server: Arc<UsersServer>,
    admin: ClickHouse,
    name: String,
    sink: ClickHouseSink,
}

impl Stand {
    fn new(test: &str) -> Self {
        let server = UsersServer::get();
        let name = database_name(test);
        let admin = server.connect("default", &name).unwrap();
        Schema::from_config(&config_of(&name)).apply(&admin).unwrap();
        let sink = ClickHouseSink::new(&admin, &config_of(&name)).unwrap();
        Stand { server, admin, name, sink }
    }

    /// Runs a statement with every right; `{db}` is the database.
    fn execute(&self, sql: &str) {
        let sql = sql.replace("{db}", &self.name);
        self.admin.execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn rows(&self) -> String {
        self.admin.value(&format!("SELECT count() FROM {}.events", self.name)).unwrap()
    }

    /// Inserts events as this user, which must fail.
    fn refused(&self, user: &str) -> ClientError {
        let client = self.server.connect(user, &self.name).unwrap();
        client.insert("events", "1-e", &slice(1).decoded.batch).unwrap_err()
    }
}

fn config_of(database: &str) -> Config {
    let text = format!(
        "version = 1\n{TABLE}{ROLLUPS}\n[clickhouse]\nurl = \"http://127.0.0.1:1\"\ndatabase = \"{database}\"\n"
    );
    config::parse(&text, Path::new("/nonexistent/test.toml"), &Env::default()).unwrap()
}

/// Two views and a payment of 15.00.
fn slice(id: u64) -> LoadedSlice {
    let rows = [
        view("10:00:00.000", "web", "ann"),
        view("10:00:01.000", "app", "bob"),
        pay("11:00:00.000", "app", "bob", 1500),
    ];
    loaded_slice(id, batch(id, &rows), Vec::new())
}

/// The error's variant and its text.
fn told(error: &SinkError) -> (&'static str, &str) {
    match error {
        SinkError::Retry { detail } => ("retry", detail),
        SinkError::Behind { detail } => ("behind", detail),
        SinkError::Pause { detail } => ("pause", detail),
        SinkError::Stuck { detail } => ("stuck", detail),
        SinkError::Isolate { detail } => ("isolate", detail),
        SinkError::Refuse { detail } => ("refuse", detail),
    }
}

fn assert_told(error: &SinkError, kind: &str, parts: &[&str]) {
    let (is, detail) = told(error);
    assert_eq!(is, kind, "{detail}");
    for part in parts {
        assert!(detail.contains(part), "`{part}` is not in: {detail}");
    }
}

#[test]
fn the_servers_own_names_are_those_of_the_table() {
    let stand = Stand::new("names");
    for (code, name, _) in CODES {
        assert_eq!(stand.admin.value(&format!("SELECT errorCodeToName(toInt32({code}))")).unwrap(), name, "{code}");
    }
}

#[test]
fn a_password_that_was_changed_pauses() {
    let data = tempfile::tempdir().unwrap();
    let first = start_embedded(data.path());
    let connection = Connection {
        url: first.http_url(),
        user: first.engine_user().to_owned(),
        password: Secret::new(first.engine_password()),
        database: "x".to_owned(),
        ca_file: None,
        compression: WireCompression::Auto,
    };
    let client = ClickHouse::connect(&connection).unwrap();
    let (http_port, credentials) = (first.http_port(), first.credentials_file());
    first.stop().unwrap();
    // Without the file the server makes new passwords.
    fs::remove_file(credentials).unwrap();
    let second =
        EmbeddedServer::start(EmbeddedOptions { http_port: Some(http_port), ..embedded_options(data.path()) }).unwrap();
    let error = client.insert("events", "1-e", &slice(1).decoded.batch).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(516), ErrorKind::Pause), "{error}");
    let again = ClickHouse::connect(&connection).unwrap_err();
    assert!(matches!(again, ConnectError::Authentication { .. }), "{again}");
    second.stop().unwrap();
}

#[test]
fn a_dropped_table_and_an_altered_column_pause() {
    let stand = Stand::new("altered");
    stand.execute("ALTER TABLE {db}.events RENAME COLUMN addr TO address");
    assert_told(&stand.sink.write(&slice(1)).unwrap_err(), "pause", &["longshore schema", "error 16"]);
    stand.execute("DROP TABLE {db}.events SYNC");
    assert_told(&stand.sink.write(&slice(1)).unwrap_err(), "pause", &["longshore schema", "error 60"]);
}

#[test]
fn a_quota_that_is_used_up_pauses() {
    let stand = Stand::new("quota");
    let client = stand.server.connect("one_insert", &stand.name).unwrap();
    let sink = ClickHouseSink::new(&client, &config_of(&stand.name)).unwrap();
    // The events are the first insert, the rollups the second.
    assert_told(&sink.write(&slice(1)).unwrap_err(), "pause", &["quota", "error 201"]);
    stand.sink.write(&slice(1)).unwrap();
    assert_eq!(stand.rows(), "3", "what had arrived before the pause is there once");
}

#[test]
fn too_many_parts_are_waited_for() {
    let stand = Stand::new("parts");
    stand.execute("SYSTEM STOP MERGES {db}.events");
    stand.execute("ALTER TABLE {db}.events MODIFY SETTING parts_to_delay_insert = 0, parts_to_throw_insert = 1");
    stand.sink.write(&slice(1)).unwrap();
    assert_told(&stand.sink.write(&slice(2)).unwrap_err(), "retry", &["merges more slowly", "error 252"]);
    stand.execute("ALTER TABLE {db}.events MODIFY SETTING parts_to_throw_insert = 100");
    stand.sink.write(&slice(2)).unwrap();
    assert_eq!(stand.rows(), "6");
}

#[test]
fn a_lack_of_memory_is_waited_for() {
    let stand = Stand::new("memory");
    let client = stand.server.connect("starved", &stand.name).unwrap();
    let rows = vec![view("10:00:00.000", "web", "ann"); 200_000];
    let error = client.insert("events", "1-e", &batch(1, &rows)).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(241), ErrorKind::Retry), "{error}");
    assert_eq!(stand.rows(), "0");
}

#[test]
fn a_row_that_a_constraint_rejects_is_to_be_isolated() {
    let stand = Stand::new("constraint");
    stand.execute("ALTER TABLE {db}.events ADD CONSTRAINT small CHECK amount IS NULL OR amount < 10");
    assert_told(&stand.sink.write(&slice(1)).unwrap_err(), "isolate", &["small", "error 469"]);
    assert_eq!(stand.rows(), "0", "an insert is all or nothing");
    // The same on a table of our own making is nobody's row.
    stand.execute("ALTER TABLE {db}.events DROP CONSTRAINT small");
    stand.execute("ALTER TABLE {db}.ledger ADD CONSTRAINT none CHECK records = 0");
    assert_told(&stand.sink.write(&slice(1)).unwrap_err(), "pause", &["none", "error 469"]);
}

#[test]
fn a_user_who_may_not_write_pauses() {
    let stand = Stand::new("readonly");
    for (user, code) in [("reader", 164), ("reader_with_settings", 164), ("bound", 452), ("stranger", 497)] {
        let error = stand.refused(user);
        assert_eq!((error.code(), error.kind()), (Some(code), ErrorKind::Pause), "{user}: {error}");
    }
    assert_eq!(stand.rows(), "0");
}
