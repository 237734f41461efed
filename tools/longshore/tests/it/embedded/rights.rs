//! Who may do what, asked of a real server.

use longshore_sinks::embedded::{EmbeddedOptions, EmbeddedServer};

use crate::support::embedded_options;
use crate::support::http::{DEFAULT, Login, analyst, engine, request, sql};

/// A server with one table of one row, shared by the statements of a test.
fn server_with_a_row() -> (tempfile::TempDir, EmbeddedServer) {
    let root = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { databases: vec!["app".to_owned()], ..embedded_options(&root.path().join("data")) };
    let server = EmbeddedServer::start(options).unwrap();
    for statement in [
        "CREATE DATABASE app",
        "CREATE TABLE app.rows (n UInt32) ENGINE = MergeTree ORDER BY n",
        "INSERT INTO app.rows VALUES (7)",
    ] {
        sql(server.http_port(), engine(&server), statement).unwrap();
    }
    (root, server)
}

/// Each statement must fail with an error of this name.
fn refused(server: &EmbeddedServer, login: Login<'_>, error: &str, statements: &[&str]) {
    for statement in statements {
        let answer = sql(server.http_port(), login, statement);
        let said = answer.expect_err(statement);
        assert!(said.contains(&format!("({error})")), "{}: {statement}: {said}", login.user);
    }
}

/// What reads or writes outside the database, whoever asks.
const OUTSIDE: [&str; 8] = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM default.`/etc/passwd`",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1:1', 'system', 'one')",
    "INSERT INTO FUNCTION file('/tmp/longshore-must-not-exist', 'TSV', 'a UInt8') SELECT 1",
    "SYSTEM SHUTDOWN",
    "CREATE USER intruder",
    "GRANT ALL ON *.* TO default",
];

#[test]
fn default_is_nobody() {
    let (_root, server) = server_with_a_row();
    let statements = [
        "SELECT 1",
        "SELECT * FROM app.rows",
        "SELECT * FROM system.numbers LIMIT 1",
        "DROP TABLE app.rows",
        "SYSTEM STOP LISTEN HTTP",
        "KILL QUERY WHERE 1 SYNC",
    ];
    for statement in statements.iter().chain(OUTSIDE.iter()) {
        let said = sql(server.http_port(), DEFAULT, statement).expect_err(statement);
        assert!(said.contains("(REQUIRED_PASSWORD)"), "{statement}: {said}");
    }
    // It still serves, both ports open, and nothing has changed.
    assert_eq!(sql(server.http_port(), engine(&server), "SELECT n FROM app.rows").unwrap(), "7");
    std::net::TcpStream::connect(("127.0.0.1", server.tcp_port())).unwrap();
}

#[test]
fn the_analyst_reads_and_does_nothing_else() {
    let (_root, server) = server_with_a_row();
    let analyst = analyst(&server);
    for (statement, answer) in [
        ("SELECT n FROM app.rows", "7"),
        ("SHOW TABLES FROM app", "rows"),
        ("SELECT sum(number) FROM numbers(5)", "10"),
        ("SELECT currentUser()", "analyst"),
    ] {
        assert_eq!(sql(server.http_port(), analyst, statement).unwrap(), answer, "{statement}");
    }
    refused(&server, analyst, "READONLY", &["SET max_threads = 1", "SET readonly = 0", "SET max_memory_usage = 1"]);
    for statement in [
        "INSERT INTO app.rows VALUES (8)",
        "DROP TABLE app.rows",
        "TRUNCATE TABLE app.rows",
        "ALTER TABLE app.rows DELETE WHERE 1",
        "CREATE TABLE app.other (n UInt32) ENGINE = Memory",
        "CREATE TEMPORARY TABLE other (n UInt32)",
        "OPTIMIZE TABLE app.rows FINAL",
    ]
    .iter()
    .chain(OUTSIDE.iter())
    {
        let said = sql(server.http_port(), analyst, statement).expect_err(statement);
        assert!(said.contains("(ACCESS_DENIED)") || said.contains("(READONLY)"), "{statement}: {said}");
    }
    // It may end its own queries. The one that keeps the server up is not among them.
    let _ = sql(server.http_port(), analyst, "KILL QUERY WHERE 1 SYNC");
    let holds = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%' AND NOT is_cancelled";
    assert_eq!(sql(server.http_port(), engine(&server), holds).unwrap(), "1");
    assert_eq!(sql(server.http_port(), engine(&server), "SELECT n FROM app.rows").unwrap(), "7");
}

/// Dead letters keep their records, and configs say how everything is protected: neither is an analyst's, by whatever way.
#[test]
fn the_analyst_reads_the_reasons_of_dead_letters_and_no_record() {
    let (_root, server) = server_with_a_row();
    for statement in [
        "CREATE TABLE app.dead_letters (reason String, record String) ENGINE = MergeTree ORDER BY reason",
        "INSERT INTO app.dead_letters VALUES ('bad_json', 'hunter2')",
        "CREATE TABLE app.configs (text String) ENGINE = MergeTree ORDER BY text",
        "INSERT INTO app.configs VALUES ('hunter2')",
        "CREATE VIEW app.dead_letter_reasons DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT reason FROM app.dead_letters",
        "CREATE VIEW app.as_the_reader AS SELECT * FROM app.dead_letters",
    ] {
        sql(server.http_port(), engine(&server), statement).unwrap_or_else(|said| panic!("{statement}: {said}"));
    }
    let analyst = analyst(&server);
    assert_eq!(sql(server.http_port(), analyst, "SELECT * FROM app.dead_letter_reasons").unwrap(), "bad_json");
    assert_eq!(sql(server.http_port(), analyst, "SELECT n FROM app.rows").unwrap(), "7");
    let statements = [
        "SELECT * FROM app.dead_letters",
        "SELECT record FROM app.dead_letters",
        "SELECT count() FROM app.dead_letters",
        "SELECT * FROM app.configs",
        "SELECT * FROM app.as_the_reader",
        "SELECT * FROM merge('app', 'dead_letters')",
        "SELECT * FROM merge('app', '.*')",
        "SELECT record FROM view(SELECT * FROM app.dead_letters)",
        "SELECT * FROM loop(app.dead_letters) LIMIT 1",
        "SELECT * FROM mergeTreeIndex(app, dead_letters)",
        "SELECT n FROM app.rows WHERE (SELECT any(record) FROM app.dead_letters) = 'hunter2'",
        "SELECT n FROM app.rows WHERE '1' IN (SELECT record FROM app.dead_letters)",
        "EXPLAIN ESTIMATE SELECT record FROM app.dead_letters",
        // A constraint's message repeats the row.
        "SELECT last_error_message FROM system.errors",
    ];
    let refused = ["ALTER TABLE app.rows ADD CONSTRAINT luck CHECK n != 13", "INSERT INTO app.rows VALUES (13)"];
    let said = refused.map(|statement| sql(server.http_port(), engine(&server), statement));
    assert!(said[1].as_ref().is_err_and(|said| said.contains("(VIOLATED_CONSTRAINT)")), "{said:?}");
    for statement in statements {
        let said = sql(server.http_port(), analyst, statement).expect_err(statement);
        assert!(said.contains("(ACCESS_DENIED)"), "{statement}: {said}");
        assert!(!said.contains("hunter2"), "{statement}: {said}");
    }
}

/// What is there when the server starts is read from then on, and what comes later from the next start on.
#[test]
fn the_analyst_reads_the_databases_of_the_start() {
    let (root, server) = server_with_a_row();
    for statement in [
        "CREATE DATABASE `my-own.db`",
        "CREATE TABLE `my-own.db`.t (n UInt32) ENGINE = MergeTree ORDER BY n",
        "INSERT INTO `my-own.db`.t VALUES (9)",
        "CREATE TABLE `my-own.db`.dead_letters (record String) ENGINE = MergeTree ORDER BY record",
    ] {
        sql(server.http_port(), engine(&server), statement).unwrap();
    }
    let ask = "SELECT n FROM `my-own.db`.t";
    refused(&server, analyst(&server), "ACCESS_DENIED", &[ask]);
    server.stop().unwrap();
    // Without the config: `app` is found in the folder, too.
    let server = EmbeddedServer::start(embedded_options(&root.path().join("data"))).unwrap();
    assert_eq!(sql(server.http_port(), analyst(&server), ask).unwrap(), "9");
    assert_eq!(sql(server.http_port(), analyst(&server), "SELECT n FROM app.rows").unwrap(), "7");
    refused(&server, analyst(&server), "ACCESS_DENIED", &["SELECT * FROM `my-own.db`.dead_letters"]);
}

/// What `/dashboard` and the usual looks at a server ask.
#[test]
fn the_analyst_reads_the_servers_own_tables() {
    let (_root, server) = server_with_a_row();
    for table in ["dashboards", "tables", "columns", "parts", "metrics", "events", "processes", "settings"] {
        let statement = format!("SELECT count() > 0 FROM system.{table}");
        sql(server.http_port(), analyst(&server), &statement).unwrap_or_else(|said| panic!("{table}: {said}"));
    }
}

#[test]
fn the_engine_stays_inside_the_database() {
    let (_root, server) = server_with_a_row();
    refused(&server, engine(&server), "ACCESS_DENIED", &OUTSIDE);
    refused(
        &server,
        engine(&server),
        "ACCESS_DENIED",
        &["CREATE TABLE app.f (line String) ENGINE = File(TSV, '/etc/passwd')", "ALTER USER default HOST ANY"],
    );
}

/// Every kind of statement that the engine may need: tables, views, refreshed views, partitions, dictionaries.
#[test]
fn the_engine_does_everything_with_tables() {
    let (_root, server) = server_with_a_row();
    for statement in [
        "CREATE TABLE app.sums (n UInt32, c UInt64) ENGINE = SummingMergeTree ORDER BY n",
        "CREATE MATERIALIZED VIEW app.to_sums TO app.sums AS SELECT n, count() AS c FROM app.rows GROUP BY n",
        "INSERT INTO app.rows VALUES (7), (9)",
        "CREATE TABLE app.states (n UInt32, u AggregateFunction(uniqExact, UInt32)) ENGINE = AggregatingMergeTree \
         ORDER BY n",
        "CREATE TABLE app.last (n UInt32, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY n",
        "CREATE VIEW app.shown AS SELECT n FROM app.rows",
        "CREATE MATERIALIZED VIEW app.hourly REFRESH EVERY 1 HOUR (c UInt64) ENGINE = MergeTree ORDER BY c EMPTY \
         AS SELECT count() AS c FROM app.rows",
        "SYSTEM REFRESH VIEW app.hourly",
        "SYSTEM WAIT VIEW app.hourly",
        "CREATE DICTIONARY app.names (id UInt64, name String) PRIMARY KEY id SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)",
        "ALTER TABLE app.last ADD COLUMN w UInt8",
        "ALTER TABLE app.last DROP PARTITION ID 'all'",
        "CREATE TABLE app.copy AS app.rows",
        "EXCHANGE TABLES app.copy AND app.rows",
        "ALTER TABLE app.rows REPLACE PARTITION ID 'all' FROM app.copy",
        "OPTIMIZE TABLE app.rows FINAL",
        "TRUNCATE TABLE app.copy",
        "RENAME TABLE app.copy TO app.renamed",
        "DROP TABLE app.renamed",
        "CREATE TEMPORARY TABLE scratch (n UInt32)",
        "SYSTEM STOP MERGES app.rows",
        "SYSTEM START MERGES app.rows",
    ] {
        sql(server.http_port(), engine(&server), statement).unwrap_or_else(|said| panic!("{statement}: {said}"));
    }
    let ask = |statement| sql(server.http_port(), engine(&server), statement).unwrap();
    // One 7 before the view was there; then a 7 and a 9.
    assert_eq!(ask("SELECT n, sum(c) FROM app.sums GROUP BY n ORDER BY n"), "7\t1\n9\t1");
    assert_eq!(ask("SELECT n FROM app.shown ORDER BY n"), "7\n7\n9");
    assert_eq!(ask("SELECT c FROM app.hourly"), "3");
}

#[test]
fn a_wrong_password_opens_nothing() {
    let (_root, server) = server_with_a_row();
    for user in ["longshore", "analyst", "default", "nobody"] {
        for password in ["", "x", server.data().to_str().unwrap()] {
            let said = sql(server.http_port(), Login { user, password }, "SELECT 1").unwrap_err();
            // The second name is what ClickHouse says for `default`.
            let by_password = said.contains("(AUTHENTICATION_FAILED)") || said.contains("(REQUIRED_PASSWORD)");
            assert!(by_password, "{user}: {said}");
        }
    }
}

#[test]
fn clickhouses_own_pages_work_for_the_analyst() {
    let (_root, server) = server_with_a_row();
    let port = server.http_port();
    for page in ["/play", "/dashboard"] {
        assert!(request(port, DEFAULT, page, "").unwrap().contains("<html"), "{page}");
    }
    assert_eq!(request(port, DEFAULT, "/ping", "").unwrap(), "Ok.");
    // The settings that /play of 26.7 sends with a query.
    let play = "/?add_http_cors_header=1&default_format=TSV&enable_http_compression=1&use_query_cache=1\
                &enable_reads_from_query_cache=0&enable_writes_to_query_cache=1&query_cache_ttl=600\
                &query_cache_nondeterministic_function_handling=save&query_cache_system_table_handling=ignore&extremes=0";
    assert_eq!(request(port, analyst(&server), play, "SELECT n FROM app.rows").unwrap(), "7");
}

#[test]
fn only_loopback_and_only_two_ports_are_listened_on() {
    let (_root, server) = server_with_a_row();
    let mut listening = listeners(server.pid());
    listening.sort();
    let mut expected =
        vec![format!("0100007F:{:04X}", server.http_port()), format!("0100007F:{:04X}", server.tcp_port())];
    expected.sort();
    assert_eq!(listening, expected);
}

/// Local addresses, as /proc/net/tcp writes them, of the listening sockets that a process holds.
fn listeners(pid: u32) -> Vec<String> {
    let held: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    // proc(5): slot, local address, remote address, state (0A listens), four more, timeout, inode.
    let sockets = lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| fields[3] == "0A");
    sockets
        .filter(|fields| held.contains(&format!("socket:[{}]", fields[9])))
        .map(|fields| fields[1].to_owned())
        .collect()
}
