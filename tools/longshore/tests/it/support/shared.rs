//! The one server that tests share, and what a test needs to run the program against it: a folder and a database of
//! its own, both gone with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use longshore_sinks::embedded::EmbeddedServer;
use serde_json::Value;
use tempfile::TempDir;

use super::http;
use super::{longshore, start_embedded};

/// Holds the engine's password for the program under test; its config names it.
pub(crate) const PASSWORD_VARIABLE: &str = "LONGSHORE_TEST_PASSWORD";

/// A server that tests share as long as one of them runs; it and its folder are gone with the last.
pub(crate) struct SharedServer {
    pub(crate) embedded: EmbeddedServer,
    _data: TempDir,
}

impl SharedServer {
    /// The running server, or a new one.
    pub(crate) fn get() -> Arc<Self> {
        static SERVER: Mutex<Weak<SharedServer>> = Mutex::new(Weak::new());
        let mut running = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let data = tempfile::tempdir().unwrap();
            let server = Arc::new(SharedServer { embedded: start_embedded(data.path()), _data: data });
            *running = Arc::downgrade(&server);
            server
        })
    }
}

/// A name that no other test's database has.
pub(crate) fn database_name(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{test}_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A folder and a database on the shared server, for a test that runs the program.
pub(crate) struct Site {
    pub(crate) server: Arc<SharedServer>,
    pub(crate) database: String,
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn new(test: &str) -> Self {
        Site { server: SharedServer::get(), database: database_name(test), folder: tempfile::tempdir().unwrap() }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The `[clickhouse]` section that leads to the shared server and the database of this test.
    pub(crate) fn clickhouse(&self) -> String {
        let (url, user) = (self.server.embedded.http_url(), self.server.embedded.engine_user());
        let database = &self.database;
        format!(
            "\n[clickhouse]\nurl = \"{url}\"\nuser = \"{user}\"\npassword = \"${{{PASSWORD_VARIABLE}}}\"\n\
             database = \"{database}\"\n"
        )
    }

    /// Writes `longshore.toml` in the folder; `text` is everything but the version and `[clickhouse]`.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        self.write("longshore.toml", format!("version = 1\n{text}{}", self.clickhouse()))
    }

    /// The program with the password in its environment, to be given arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(longshore());
        command.env(PASSWORD_VARIABLE, self.server.embedded.engine_password()).stdin(Stdio::null());
        command.current_dir(self.folder.path());
        command
    }

    /// `longshore load -c CONFIG --json INPUTS` to its end, whatever that is.
    pub(crate) fn try_load<P: AsRef<Path>>(&self, config: &Path, inputs: &[P]) -> Output {
        let mut command = self.command();
        command.args(["load", "--quiet", "--json", "-c"]).arg(config);
        command.args(inputs.iter().map(AsRef::as_ref)).output().unwrap()
    }

    /// The same, which must succeed: its summary.
    pub(crate) fn load<P: AsRef<Path>>(&self, config: &Path, inputs: &[P]) -> Value {
        let output = self.try_load(config, inputs);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Asks over HTTP, with settings under which nothing can be changed: the lines of the answer. `{db}` is the database,
    /// which came after the server, so that the analyst does not read it.
    pub(crate) fn ask(&self, statement: &str) -> Vec<String> {
        const READER: &str = "/?readonly=2&output_format_decimal_trailing_zeros=1";
        let answer = self.run(READER, statement);
        answer.lines().map(str::to_owned).collect()
    }

    /// Runs a statement as the engine's user. `{db}` is the database.
    pub(crate) fn execute(&self, statement: &str) -> String {
        self.run("/", statement)
    }

    fn run(&self, target: &str, statement: &str) -> String {
        let statement = statement.replace("{db}", &self.database);
        let embedded = &self.server.embedded;
        http::request(embedded.http_port(), http::engine(embedded), target, &statement)
            .unwrap_or_else(|error| panic!("{error}\n{statement}"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS `{}` SYNC", self.database);
        let embedded = &self.server.embedded;
        if let Err(error) = http::sql(embedded.http_port(), http::engine(embedded), &statement) {
            eprintln!("{} stays behind: {error}", self.database);
        }
    }
}
