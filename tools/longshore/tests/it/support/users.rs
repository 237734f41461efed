//! A server with users that are held back in one way each: by a quota, a read-only profile, a constraint. The embedded
//! server of the program has three users and no other, so this one is started by the same child with a configuration of
//! the test's own, on loopback, and is gone with the last test that uses it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use longshore_core::config::{Secret, WireCompression};
use longshore_sinks::clickhouse::{ClickHouse, ConnectError, Connection};
use longshore_sinks::embedded::CHILD_ARG;
use tempfile::TempDir;

use super::longshore;
use super::shared::SharedServer;

/// The server. Its `default` has every right and no password.
pub(crate) struct UsersServer {
    pub(crate) url: String,
    /// The child lives as long as the thread that started it.
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
    _data: TempDir,
}

impl UsersServer {
    /// The running server, or a new one.
    pub(crate) fn get() -> Arc<Self> {
        static SERVER: Mutex<Weak<UsersServer>> = Mutex::new(Weak::new());
        let mut running = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(UsersServer::start());
            *running = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
        let engine = engine_of(SharedServer::get().embedded.pid());
        let data = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        write_configuration(data.path());
        let mut command = Command::new(longshore());
        let folder = data.path().to_str().unwrap();
        command.arg(CHILD_ARG).arg(std::process::id().to_string()).arg("unconfined").args(engine);
        command.args(["--path", &format!("{folder}/store"), "--config-file", &format!("{folder}/config.xml")]);
        command.args(["--http_port", &port.to_string(), "--listen_host", "127.0.0.1", "--max_execution_time", "0"]);
        command.args(["--query", BOOTSTRAP]).current_dir(data.path());
        command.stdin(File::open("/dev/null").unwrap()).stdout(Stdio::null());
        command.stderr(File::create(data.path().join("stderr")).unwrap());
        let (stop, stopped) = channel();
        let keeper = thread::spawn(move || {
            let mut child: Child = command.spawn().unwrap();
            // Ends by the sender's end, too.
            let _ = stopped.recv();
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let server = UsersServer { url: format!("http://127.0.0.1:{port}"), keeper: Some((stop, keeper)), _data: data };
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.connect("default", "default").is_err() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(server._data.path().join("stderr")).unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Connects as one of [`USERS`] or as `default`, none of whom has a password, to this database.
    pub(crate) fn connect(&self, user: &str, database: &str) -> Result<ClickHouse, ConnectError> {
        ClickHouse::connect(&Connection {
            url: self.url.clone(),
            user: user.to_owned(),
            password: Secret::new(""),
            database: database.to_owned(),
            ca_file: None,
            compression: WireCompression::Auto,
        })
    }
}

impl Drop for UsersServer {
    fn drop(&mut self) {
        if let Some((stop, keeper)) = self.keeper.take() {
            drop(stop);
            let _ = keeper.join();
        }
    }
}

const BOOTSTRAP: &str = "SYSTEM START LISTEN HTTP; SELECT sleepEachRow(3) FROM system.numbers FORMAT Null \
     SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=10000000";

/// What the embedded server of this process runs: the library that its child has loaded, or the binary it became.
fn engine_of(pid: u32) -> [String; 2] {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let arguments: Vec<&str> = line.split('\0').collect();
    match arguments.get(1) {
        Some(&first) if first == CHILD_ARG => [arguments[4].to_owned(), arguments[5].to_owned()],
        _ => ["binary".to_owned(), arguments[0].to_owned()],
    }
}

/// A user each: what it is called, and what of a profile and of a quota it has.
const USERS: [(&str, &str, &str); 6] = [
    ("one_insert", "", "<query_inserts>1</query_inserts>"),
    ("reader", "<readonly>1</readonly>", ""),
    ("reader_with_settings", "<readonly>2</readonly>", ""),
    ("starved", "<max_memory_usage>12000000</max_memory_usage><max_untracked_memory>1</max_untracked_memory>", ""),
    (
        "bound",
        "<insert_deduplicate>0</insert_deduplicate>\
         <constraints><insert_deduplicate><const/></insert_deduplicate></constraints>",
        "",
    ),
    ("stranger", "", ""),
];

fn write_configuration(folder: &Path) {
    let users = folder.join("users.xml");
    let config = format!(
        "<clickhouse><timezone>UTC</timezone><log-level>none</log-level><users_config>{}</users_config></clickhouse>",
        users.display()
    );
    fs::write(folder.join("config.xml"), config).unwrap();
    let mut parts = [String::new(), String::new(), String::new()];
    for (name, profile, quota) in USERS {
        let interval = format!("<interval><duration>3600</duration>{quota}</interval>");
        // The stranger may look, and no more.
        let grants = if name == "stranger" { "<grants><query>GRANT SELECT ON *.*</query></grants>" } else { "" };
        parts[0] += &format!("<{name}>{profile}</{name}>");
        parts[1] += &format!("<{name}>{interval}</{name}>");
        parts[2] += &format!(
            "<{name}><password></password><networks><ip>127.0.0.1</ip></networks><profile>{name}</profile>\
             <quota>{name}</quota>{grants}</{name}>"
        );
    }
    let [profiles, quotas, named] = parts;
    let all = format!(
        "<clickhouse><profiles><default/>{profiles}</profiles><quotas><default/>{quotas}</quotas><users><default>\
         <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>\
         </default>{named}</users></clickhouse>"
    );
    fs::write(users, all).unwrap();
}
