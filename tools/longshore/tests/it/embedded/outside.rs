//! Everything that a query might reach outside the server's data, tried as everybody. What was planted must be in no
//! answer and no error, nothing may be written outside, and nobody may be connected to.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_sinks::embedded::{AnalystFiles, EmbeddedOptions, EmbeddedServer};
use tempfile::TempDir;

use crate::support::embedded_options;
use crate::support::http::{Login, analyst, engine, request, send, sql};

/// A server among things that are not its users'.
struct Site {
    server: EmbeddedServer,
    _analyst: AnalystFiles,
    /// Where anybody may write.
    open: PathBuf,
    outside: PathBuf,
    keyring: PathBuf,
    /// Answers nobody, and knows who came.
    bait: TcpListener,
    _root: TempDir,
}

const PLANTED: &str = "planted-outside-5d1f";
const KEY: &str = "planted-key-8a20";

impl Site {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let options =
            EmbeddedOptions { databases: vec!["app".to_owned()], ..embedded_options(&root.path().join("data")) };
        let server = EmbeddedServer::start(options).unwrap();
        let _analyst = server.analyst_files().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
            file.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
            path
        };
        let outside = write("outside.txt", PLANTED);
        let keyring = write("keyring.toml", &format!("[keys]\nk1 = \"{KEY}\"\n"));
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(&outside, server.data().join("store/link.txt")).unwrap();
        symlink(root.path(), server.data().join("store/folder")).unwrap();
        let bait = TcpListener::bind("127.0.0.1:0").unwrap();
        bait.set_nonblocking(true).unwrap();
        for statement in [
            "CREATE DATABASE app",
            "CREATE TABLE app.rows (n UInt32) ENGINE = MergeTree ORDER BY n",
            "INSERT INTO app.rows VALUES (7)",
        ] {
            sql(server.http_port(), engine(&server), statement).unwrap();
        }
        Site { server, _analyst, open, outside, keyring, bait, _root: root }
    }

    /// What is nobody's to see: what was planted, the passwords and their digests, the environment of this process
    /// (the server's parent), the accounts of the system.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![PLANTED.to_owned(), KEY.to_owned(), "CARGO_MANIFEST_DIR=".to_owned()];
        for password in [self.server.engine_password(), self.server.analyst_password()] {
            let query = format!("SELECT lower(hex(SHA256('{password}')))");
            secrets.push(sql(self.server.http_port(), engine(&self.server), &query).unwrap());
            secrets.push(password.to_owned());
        }
        secrets.extend(["root:x:".to_owned(), "root:*:".to_owned()]);
        secrets
    }

    /// Files that are nobody's to read, by every name that leads there.
    fn files(&self) -> Vec<String> {
        let data = self.server.data();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut files = vec![path(&self.outside), path(&self.keyring)];
        for name in [
            "credentials.toml",
            "analyst.html",
            "analyst.curl",
            "config/users.xml",
            "config/config.xml",
            "lock",
            "log/clickhouse.log",
            "log/stderr.log",
            "store/link.txt",
            "store/folder/outside.txt",
            "store/../credentials.toml",
            "store/folder/keyring.toml",
        ] {
            files.push(path(&data.join(name)));
            files.push(name.to_owned());
            files.push(format!("./{name}"));
            files.push(format!("file://{}", data.join(name).display()));
            files.push(format!("/proc/self/cwd/{name}"));
            files.push(format!("/proc/self/root{}", data.join(name).display()));
        }
        files.extend(
            ["../outside.txt", "../keyring.toml", "/etc/passwd", "/etc/shadow", "/dev/stdin"].map(str::to_owned),
        );
        for of in ["self", "thread-self", &std::process::id().to_string(), &self.server.pid().to_string(), "1"] {
            for name in ["environ", "cmdline", "mem", "task", "auxv", "stack"] {
                files.push(format!("/proc/{of}/{name}"));
            }
        }
        files.extend((0..12).map(|fd| format!("/proc/self/fd/{fd}")));
        files.extend((0..4).map(|fd| format!("/dev/fd/{fd}")));
        files
    }

    /// Everything else.
    fn statements(&self) -> Vec<String> {
        let (open, outside, port) =
            (self.open.display(), self.outside.display(), self.bait.local_addr().unwrap().port());
        let here = format!("127.0.0.1:{port}");
        let data = self.server.data().display();
        let mut all: Vec<String> = vec![
            // Written outside.
            format!("SELECT 1 INTO OUTFILE '{open}/a'"),
            format!("INSERT INTO FUNCTION file('{open}/b', 'TSV', 'a UInt8') SELECT 1"),
            format!("INSERT INTO FUNCTION file('{data}/credentials.toml', 'TSV', 'a UInt8') SELECT 1"),
            format!("CREATE TABLE app.c (a UInt8) ENGINE = File(TSV, '{open}/c')"),
            format!("CREATE TABLE app.d (line String) ENGINE = File(LineAsString, '{outside}')"),
            format!(
                "CREATE TABLE app.e (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '{open}/e/')"
            ),
            format!(
                "CREATE TABLE app.f (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = object_storage, object_storage_type = local, path = '{open}/f/', metadata_type = plain)"
            ),
            format!(
                "CREATE TABLE app.g (a UInt8) ENGINE = StripeLog SETTINGS disk = disk(type = local, path = '{open}/g/')"
            ),
            format!("BACKUP TABLE app.rows TO File('{open}/h')"),
            "BACKUP TABLE app.rows TO File('../../open/h2')".to_owned(),
            "BACKUP TABLE app.rows TO Disk('default', '../../open/i')".to_owned(),
            format!("RESTORE TABLE app.rows AS app.r FROM File('{outside}')"),
            format!("ATTACH TABLE app.j FROM '{open}' (a UInt8) ENGINE = MergeTree ORDER BY a"),
            format!("ATTACH TABLE app.k FROM '{data}/' (line String) ENGINE = File(LineAsString)"),
            format!("CREATE DATABASE l ENGINE = Filesystem('{data}')"),
            format!("CREATE DATABASE m ENGINE = SQLite('{open}/m.db')"),
            format!("CREATE DATABASE n ENGINE = Overlay(app)"),
            format!("ALTER TABLE app.rows FREEZE WITH NAME '../../../../open/o'"),
            format!("CREATE TABLE app.p (a UInt64, b String) ENGINE = EmbeddedRocksDB(0, '{open}/p') PRIMARY KEY a"),
            format!("CREATE TABLE app.q (a UInt8) ENGINE = SQLite('{open}/q.db', 't')"),
            format!("SELECT * FROM sqlite('{open}/m.db', 't')"),
            format!("CREATE TABLE app.hudi (a UInt8) ENGINE = IcebergLocal('{open}/ice')"),
            format!("SELECT * FROM icebergLocal('{data}', 'Parquet')"),
            format!("SELECT * FROM deltaLakeLocal('{data}')"),
            format!("SELECT * FROM paimonLocal('{data}')"),
            // Read by another name.
            format!("SELECT * FROM default.`{outside}`"),
            format!("SELECT * FROM `{outside}`"),
            "SELECT * FROM default.`credentials.toml`".to_owned(),
            format!("SELECT * FROM file('{data}/*', 'LineAsString')"),
            format!("SELECT * FROM file('{data}/**/*.xml', 'RawBLOB')"),
            format!("SELECT _path, * FROM file('{data}/{{credentials.toml,lock}}', 'LineAsString')"),
            format!("DESCRIBE TABLE file('{outside}')"),
            format!("SELECT * FROM fileCluster('default', '{outside}', 'LineAsString')"),
            format!("SELECT * FROM filesystem('{data}')"),
            format!("SELECT * FROM executable('cat', 'TSV', 'a String', (SELECT 1))"),
            format!("SELECT * FROM executable('../../credentials.toml', 'TSV', 'a String')"),
            format!("CREATE FUNCTION shell AS (x) -> file('{outside}')"),
            format!("SELECT * FROM format(LineAsString, file('{outside}'))"),
            format!("SELECT length(file('{outside}')), substring(file('{outside}'), 3)"),
            format!("SELECT file('{outside}', 'none')"),
            format!("SELECT * FROM format(Protobuf, 'x') SETTINGS format_schema = '{outside}:m'"),
            format!("SELECT 1 FORMAT CapnProto SETTINGS format_schema = '{outside}:m'"),
            format!(
                "SELECT 1 FORMAT Template SETTINGS format_template_row = '{outside}', format_template_resultset = '{outside}'"
            ),
            format!("SELECT 1 FORMAT TSV SETTINGS format_schema_source = 'file', format_schema = '{outside}'"),
            format!("SELECT * FROM merge('system', '.*') FORMAT Null"),
            "SELECT * FROM system.server_settings".to_owned(),
            "SELECT * FROM system.settings".to_owned(),
            "SELECT * FROM system.users".to_owned(),
            "SELECT * FROM system.user_directories".to_owned(),
            "SELECT * FROM system.named_collections".to_owned(),
            "SELECT * FROM system.disks".to_owned(),
            "SELECT * FROM system.build_options".to_owned(),
            "SELECT * FROM system.stack_trace".to_owned(),
            "SELECT * FROM system.symbols LIMIT 1".to_owned(),
            "SELECT * FROM system.processes".to_owned(),
            "SELECT * FROM system.warnings".to_owned(),
            "SELECT * FROM system.errors".to_owned(),
            "SELECT * FROM system.text_log".to_owned(),
            "SELECT * FROM system.certificates".to_owned(),
            "SELECT * FROM system.licenses".to_owned(),
            "SHOW CREATE USER longshore".to_owned(),
            "SHOW CREATE USER analyst".to_owned(),
            "SHOW ACCESS".to_owned(),
            "SELECT getServerSetting('users_config'), getServerSetting('path')".to_owned(),
            "SELECT getMacro('x'), filesystemAvailable(), filesystemCapacity(), serverUUID()".to_owned(),
            "SELECT catboostEvaluate('/etc/passwd', 1)".to_owned(),
            "SELECT * FROM loop(file('/etc/passwd'))".to_owned(),
            "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('/etc/passwd')))".to_owned(),
            // Others who read for us.
            format!("SELECT * FROM url('http://{here}/', 'LineAsString')"),
            format!("SELECT * FROM url('file://{outside}', 'LineAsString')"),
            format!("SELECT * FROM urlCluster('default', 'http://{here}/', 'LineAsString')"),
            format!("INSERT INTO FUNCTION url('http://{here}/', 'TSV', 'a UInt8') SELECT 1"),
            format!("SELECT * FROM s3('http://{here}/bucket/key', 'LineAsString')"),
            format!("SELECT * FROM gcs('http://{here}/bucket/key', 'LineAsString')"),
            format!("SELECT * FROM azureBlobStorage('http://{here}/', 'c', 'b', 'a', 'a', 'TSV', 'auto', 'a UInt8')"),
            format!("SELECT * FROM hdfs('hdfs://{here}/x', 'TSV', 'a UInt8')"),
            format!("SELECT * FROM remote('{here}', 'system', 'one')"),
            format!("SELECT * FROM remoteSecure('{here}', 'system', 'one')"),
            format!("SELECT * FROM cluster('default', 'system', 'one')"),
            format!("SELECT * FROM mysql('{here}', 'd', 't', 'u', 'p')"),
            format!("SELECT * FROM postgresql('{here}', 'd', 't', 'u', 'p')"),
            format!("SELECT * FROM mongodb('{here}', 'd', 'c', 'u', 'p', 'a UInt8')"),
            format!("SELECT * FROM redis('{here}', 'k', 'k String, v String')"),
            format!("SELECT * FROM odbc('DSN=x', 'd', 't')"),
            format!("SELECT * FROM jdbc('jdbc:x', 'd', 't')"),
            format!("SELECT * FROM arrowFlight('{here}', 'd')"),
            format!("SELECT * FROM ytsaurus('http://{here}', '//t', 'x', 'a UInt8')"),
            format!("CREATE TABLE app.s (a UInt8) ENGINE = URL('http://{here}/', TSV)"),
            format!("CREATE TABLE app.t (a UInt8) ENGINE = S3('http://{here}/b/k', TSV)"),
            format!("CREATE TABLE app.u (a UInt8) ENGINE = MySQL('{here}', 'd', 't', 'u', 'p')"),
            format!("CREATE TABLE app.v (a UInt8) ENGINE = PostgreSQL('{here}', 'd', 't', 'u', 'p')"),
            format!("CREATE TABLE app.w (a UInt8) ENGINE = Kafka('{here}', 't', 'g', 'TSV')"),
            format!("CREATE TABLE app.x (a UInt8) ENGINE = Executable('cat', TSV)"),
            format!(
                "CREATE TABLE app.y (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = s3, endpoint = 'http://{here}/b/', access_key_id = 'a', secret_access_key = 'b')"
            ),
            format!(
                "CREATE TABLE app.z (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = web, endpoint = 'http://{here}/')"
            ),
            "CREATE NAMED COLLECTION loot AS url = 'http://127.0.0.1/'".to_owned(),
            format!("CREATE DATABASE my ENGINE = MySQL('{here}', 'd', 'u', 'p')"),
            format!("CREATE DATABASE pg ENGINE = PostgreSQL('{here}', 'd', 'u', 'p')"),
            format!("CREATE DATABASE s3 ENGINE = S3('http://{here}/b/')"),
            format!("CREATE DATABASE lake ENGINE = DataLakeCatalog('http://{here}/')"),
            // Rights and configuration.
            "SYSTEM RELOAD CONFIG".to_owned(),
            "SYSTEM RELOAD USERS".to_owned(),
            "SYSTEM SHUTDOWN".to_owned(),
            "SYSTEM STOP LISTEN HTTP".to_owned(),
            "CREATE USER intruder".to_owned(),
            "ALTER USER default IDENTIFIED WITH no_password".to_owned(),
            "GRANT ALL ON *.* TO analyst".to_owned(),
            "EXECUTE AS default SELECT 1".to_owned(),
            "SET SESSION AUTHORIZATION default".to_owned(),
            format!("COPY app.rows TO '{open}/copy'"),
        ];
        for (name, source) in [
            ("file", format!("FILE(path '{outside}' format 'TSV')")),
            ("program", "EXECUTABLE(command 'cat /etc/passwd' format 'TSV')".to_owned()),
            ("page", format!("HTTP(url 'http://{here}/' format 'TSV')")),
            ("other", format!("CLICKHOUSE(host '127.0.0.1' port {port} user 'u' password 'p' db 'd' table 't')")),
            ("my", format!("MYSQL(host '127.0.0.1' port {port} user 'u' password 'p' db 'd' table 't')")),
            ("lib", "LIBRARY(path '/usr/lib/x.so')".to_owned()),
        ] {
            all.push(format!(
                "CREATE DICTIONARY app.d_{name} (a UInt64, b String) PRIMARY KEY a SOURCE({source}) LAYOUT(FLAT()) LIFETIME(0)"
            ));
            all.push(format!("SELECT dictGet('app.d_{name}', 'b', toUInt64(1))"));
            all.push(format!("SELECT * FROM dictionary('app.d_{name}')"));
        }
        all
    }

    /// Whatever there is to try.
    fn attempts(&self) -> Vec<String> {
        let files = self.files().into_iter().flat_map(|path| {
            [format!("SELECT file('{path}')"), format!("SELECT * FROM file('{path}', 'LineAsString')")]
        });
        files.chain(self.statements()).collect()
    }

    /// Nothing was written where everybody may, nothing was changed that is ours, and nobody was connected to.
    fn assert_untouched(&self, who: &str) {
        let written: Vec<_> = fs::read_dir(&self.open).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(written.is_empty(), "{who} wrote {written:?}");
        assert_eq!(fs::read_to_string(&self.outside).unwrap(), PLANTED, "{who}");
        assert!(fs::read_to_string(self.server.credentials_file()).unwrap().contains(self.server.engine_password()));
        match self.bait.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{who} connected to another server: {other:?}"),
        }
    }
}

#[test]
fn no_query_of_any_user_reaches_outside_the_data() {
    let site = Site::new();
    let server = &site.server;
    if let Some(gap) = server.confinement_gap() {
        eprintln!("not tried: {gap}");
        return;
    }
    let secrets = site.secrets();
    for login in [analyst(server), engine(server)] {
        let mut reached = Vec::new();
        for statement in site.attempts() {
            let (Ok(said) | Err(said)) = sql(server.http_port(), login, &statement);
            if secrets.iter().any(|secret| said.contains(secret)) {
                reached.push(statement);
            }
        }
        assert!(reached.is_empty(), "{} sees what is not its own by {reached:#?}", login.user);
        site.assert_untouched(login.user);
    }
    // They were tried on a server that works.
    assert_eq!(sql(server.http_port(), engine(server), "SELECT n FROM app.rows").unwrap(), "7");
    assert_eq!(sql(server.http_port(), analyst(server), "SELECT n FROM app.rows").unwrap(), "7");
}

/// Without a right password nothing is run, and the answer says that it is the password.
#[test]
fn nobody_without_a_password_runs_anything() {
    let site = Site::new();
    let port = site.server.http_port();
    let basic = |login: &str| format!("Authorization: Basic {login}\r\n");
    let nobodies = [
        // No credentials; `default` by each way there is, without a password and with one; users without theirs.
        (String::new(), "/"),
        (String::new(), "/?user=default"),
        (String::new(), "/?user=default&password=default"),
        (String::new(), "/?add_http_cors_header=1&session_id=start&readonly=0"),
        (String::new(), "/?http_response_headers={'Access-Control-Allow-Origin':'*'}&max_sessions_for_user=0"),
        ("X-ClickHouse-User: default\r\n".to_owned(), "/"),
        ("X-ClickHouse-User: default\r\nX-ClickHouse-Key: x\r\n".to_owned(), "/"),
        // `default:`, `default:x`, `analyst:`
        (basic("ZGVmYXVsdDo="), "/"),
        (basic("ZGVmYXVsdDp4"), "/"),
        (basic("YW5hbHlzdDo="), "/"),
        ("X-ClickHouse-User: analyst\r\n".to_owned(), "/"),
        ("X-ClickHouse-User: longshore\r\nX-ClickHouse-Key: \r\n".to_owned(), "/"),
        ("X-ClickHouse-User: \r\nX-ClickHouse-Key: \r\n".to_owned(), "/"),
    ];
    let refused = |headers: &str, target: &str, statement: &str| {
        // The body is not read of who is refused: the connection may be reset before the answer is.
        let try_once = || send(port, &format!("Origin: http://elsewhere.example\r\n{headers}"), target, statement).ok();
        let answer = (0..20).find_map(|_| try_once()).expect("an answer");
        let by_password =
            answer.body.contains("(AUTHENTICATION_FAILED)") || answer.body.contains("(REQUIRED_PASSWORD)");
        assert!(matches!(answer.status, 401 | 403) && by_password, "{headers}{target} {statement}: {answer:?}");
        assert!(!answer.head.to_lowercase().contains("access-control-allow-origin"), "{answer:?}");
    };
    for (headers, target) in &nobodies {
        refused(headers, target, "SELECT 1");
        refused(headers, target, &format!("SELECT file('{}')", site.outside.display()));
        // In the URL, by a GET, as a link has it.
        let separator = if target.contains('?') { '&' } else { '?' };
        refused(headers, &format!("{target}{separator}query=SELECT%201"), "");
    }
    for statement in site.attempts() {
        refused("", "/", &statement);
    }
    site.assert_untouched("nobody");
    for (user, password) in [("default", ""), ("default", "x"), ("analyst", ""), ("longshore", "x")] {
        let code = native_login(site.server.tcp_port(), user, password).unwrap_err();
        // ClickHouse's numbers for REQUIRED_PASSWORD and AUTHENTICATION_FAILED.
        assert!(code == 194 || code == 516, "{user}: {code}");
    }
    native_login(site.server.tcp_port(), "analyst", site.server.analyst_password()).unwrap();
}

/// ClickHouse's native protocol, as far as the log-in: the code of the exception that answers it.
fn native_login(port: u16, user: &str, password: &str) -> Result<(), i32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Hello (0): the client's name, version 24.8 of the protocol of 2018 (54400), the database, user and password.
    let mut hello = vec![0];
    let text = |hello: &mut Vec<u8>, text: &str| {
        hello.push(u8::try_from(text.len()).unwrap());
        hello.extend(text.as_bytes());
    };
    text(&mut hello, "test");
    // 54400 as a varint: 0x80, 0xA9, 0x03.
    hello.extend([24, 8, 0x80, 0xA9, 0x03]);
    for part in ["default", user, password] {
        text(&mut hello, part);
    }
    stream.write_all(&hello).unwrap();
    let mut kind = [0];
    stream.read_exact(&mut kind).unwrap();
    match kind[0] {
        0 => Ok(()),
        2 => {
            let mut code = [0; 4];
            stream.read_exact(&mut code).unwrap();
            Err(i32::from_le_bytes(code))
        }
        other => panic!("a packet of kind {other}"),
    }
}

#[test]
fn the_pages_of_other_sites_are_not_let_read_an_answer() {
    let site = Site::new();
    let port = site.server.http_port();
    let from_elsewhere = "Origin: http://elsewhere.example\r\n";
    for target in
        ["/?add_http_cors_header=1", "/ping?add_http_cors_header=1", "/?add_http_cors_header=1&query=SELECT+1"]
    {
        let Login { user, password } = analyst(&site.server);
        let headers = format!("{from_elsewhere}X-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\n");
        let answer = send(port, &headers, target, if target.contains("query") { "" } else { "SELECT 1" }).unwrap();
        assert!(!answer.head.to_lowercase().contains("access-control-allow-origin"), "{target}: {answer:?}");
    }
    // And the pages of this one work: see also `clickhouses_own_pages_work_for_the_analyst`.
    let own =
        request(port, analyst(&site.server), "/?add_http_cors_header=1&default_format=TSV", "SELECT n FROM app.rows");
    assert_eq!(own.unwrap(), "7");
}

/// What docs/operating.md says: who may query reads the files of the tables, and nothing else keeps that.
#[test]
fn the_files_of_tables_are_readable_past_rights() {
    let site = Site::new();
    let said =
        sql(site.server.http_port(), analyst(&site.server), "SELECT file('store/metadata/app/rows.sql')").unwrap();
    assert!(said.contains("ENGINE = MergeTree"), "{said}");
}
