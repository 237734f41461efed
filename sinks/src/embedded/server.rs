//! An embedded server from its start to its stop.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use longshore_core::config::Secret;
use longshore_core::limits::{EMBEDDED_STARTS_MAX, EMBEDDED_STOP_SECONDS_MAX};

use super::EmbeddedOptions;
use super::child::child_args;
use super::config::{config_xml, server_args};
use super::credentials::{ANALYST_USER, Credentials, ENGINE_USER, random_hex};
use super::engine::{Engine, default_data_folder};
use super::error::EmbeddedError;
use super::folder::{DataFolder, write_private};
use super::ports::Ports;
use super::probe;
use super::process::Process;
use super::rights::databases_in;
use super::users::users_xml;

/// Between two questions to a server that starts; it takes about a second.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// What ClickHouse says of a port that another process took first.
const PORT_TAKEN: &str = "Address already in use";

/// A ClickHouse server of ours that answers. Dropping it stops it.
pub struct EmbeddedServer {
    process: Process,
    folder: DataFolder,
    ports: Ports,
    credentials: Credentials,
}

impl EmbeddedServer {
    /// Starts a server and waits until it answers on both ports.
    ///
    /// # Errors
    /// Each says what to do. Nothing is left running, and the folder is free again.
    pub fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        if !cfg!(target_os = "linux") {
            return Err(EmbeddedError::Platform);
        }
        let engine = Engine::find(options.library.as_deref())?;
        let folder = match &options.data {
            Some(path) => DataFolder::open(path)?,
            None => DataFolder::open(&default_data_folder()?)?,
        };
        let mut credentials = Credentials::load_or_create(&folder.credentials_file())?;
        if let Some(password) = &options.analyst_password {
            credentials.analyst_password = Secret::new(password.as_str());
        }
        let store = folder.store();
        let found = databases_in(Path::new(&store));
        let mut databases = found.map_err(|source| EmbeddedError::Folder {
            action: "list the databases of",
            path: store.into(),
            source,
        })?;
        databases.extend(options.databases.iter().cloned());
        write_private(Path::new(&folder.users_file()), &users_xml(&credentials, &databases))?;
        let mut starts = 1;
        loop {
            let ports = Ports::choose(options.http_port, options.tcp_port)?;
            match start_process(&options, &engine, &folder, ports) {
                Ok(process) => return Ok(EmbeddedServer { process, folder, ports, credentials }),
                Err(EmbeddedError::DiedAtStart { log, .. })
                    if log.tail.contains(PORT_TAKEN) && starts < EMBEDDED_STARTS_MAX =>
                {
                    // A port that was given and is still taken is an error of `choose`.
                    starts += 1;
                    tracing::warn!(?ports, "another process took a port of the embedded ClickHouse: trying others");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    /// The HTTP port.
    pub fn http_port(&self) -> u16 {
        self.ports.http
    }

    /// The port of the native protocol.
    pub fn tcp_port(&self) -> u16 {
        self.ports.tcp
    }

    /// The user that creates, fills and reads.
    pub fn engine_user(&self) -> &'static str {
        ENGINE_USER
    }

    /// Its password.
    pub fn engine_password(&self) -> &str {
        self.credentials.engine_password.expose()
    }

    /// The user that reads.
    pub fn analyst_user(&self) -> &'static str {
        ANALYST_USER
    }

    /// Its password; empty if it needs none.
    pub fn analyst_password(&self) -> &str {
        self.credentials.analyst_password.expose()
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The file that holds both passwords, mode 0600.
    pub fn credentials_file(&self) -> std::path::PathBuf {
        self.folder.credentials_file()
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// True if the server has ended, which it does not do by itself.
    pub fn has_exited(&self) -> bool {
        self.process.exit().is_some()
    }

    /// Waits until the server ends by itself, at most so long; then says how it ended and what it said last.
    pub fn wait(&self, timeout: Duration) -> Option<EmbeddedError> {
        let status = self.process.wait(timeout)?;
        Some(EmbeddedError::Died { status, log: self.folder.log_tail() })
    }

    /// Stops the server: SIGTERM, then SIGKILL. Returns when it is gone.
    ///
    /// # Errors
    /// [`EmbeddedError::Died`] if it was gone before.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        if let Some(error) = self.wait(Duration::ZERO) {
            return Err(error);
        }
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        self.process.stop(Duration::from_secs(EMBEDDED_STOP_SECONDS_MAX));
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for EmbeddedServer {
    /// All but the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedServer")
            .field("pid", &self.pid())
            .field("http_port", &self.ports.http)
            .field("tcp_port", &self.ports.tcp)
            .field("data", &self.data())
            .finish_non_exhaustive()
    }
}

/// Starts a child on these ports and waits until it answers; a child that does not is gone when this returns.
fn start_process(
    options: &EmbeddedOptions,
    engine: &Engine,
    folder: &DataFolder,
    ports: Ports,
) -> Result<Process, EmbeddedError> {
    let greeting = format!("Longshore's ClickHouse {}", random_hex()?);
    let config = config_xml(folder, &greeting, options.memory_bytes_max);
    write_private(Path::new(&folder.config_file()), &config)?;
    let command = command(options, engine, folder, ports)?;
    let spawned = Process::spawn(command);
    let mut process = spawned.map_err(|source| EmbeddedError::Spawn { launcher: options.launcher.clone(), source })?;
    let started = await_greeting(&process, folder, ports, &greeting, options.start_timeout);
    if started.is_err() {
        process.stop(Duration::from_secs(EMBEDDED_STOP_SECONDS_MAX));
    }
    started.map(|()| process)
}

fn command(
    options: &EmbeddedOptions,
    engine: &Engine,
    folder: &DataFolder,
    ports: Ports,
) -> Result<Command, EmbeddedError> {
    use std::os::unix::process::CommandExt;
    let log = folder.new_stderr_log()?;
    let log_too = log.try_clone().map_err(|source| EmbeddedError::Folder {
        action: "duplicate the log of",
        path: folder.path().to_owned(),
        source,
    })?;
    let mut command = Command::new(&options.launcher);
    command.args(child_args(engine, server_args(folder, ports)));
    command.stdin(folder.lock()?).stdout(log).stderr(log_too);
    command.process_group(0).current_dir(folder.path());
    // The engine's environment may hold keys, which are no business of the server.
    command.env_clear().env("TZ", "UTC");
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// Waits until our server answers on the HTTP port; the native one is open by then.
fn await_greeting(
    process: &Process,
    folder: &DataFolder,
    ports: Ports,
    greeting: &str,
    timeout: Duration,
) -> Result<(), EmbeddedError> {
    let started = Instant::now();
    loop {
        if let Some(status) = process.exit() {
            return Err(EmbeddedError::DiedAtStart { status, log: folder.log_tail() });
        }
        if probe::greets(ports.http, greeting) {
            return Ok(());
        }
        if started.elapsed() >= timeout {
            return Err(EmbeddedError::NotReady { waited: timeout, log: folder.log_tail() });
        }
        thread::sleep(PROBE_INTERVAL);
    }
}
