//! An embedded server from its start to its stop.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use longshore_core::config::Secret;
use longshore_core::limits::{EMBEDDED_STARTS_MAX, EMBEDDED_STOP_SECONDS_MAX};

use super::EmbeddedOptions;
use super::analyst::AnalystFiles;
use super::child::Order;
use super::config::{StartConfig, config_xml, server_args};
use super::confine::{Confinement, TcpPorts};
use super::credentials::{ANALYST_USER, Credentials, ENGINE_USER, random_hex};
use super::engine::{Engine, default_data_folder};
use super::error::EmbeddedError;
use super::folder::{DataFolder, write_private};
use super::gate::Gate;
use super::ports::Ports;
use super::probe;
use super::process::Process;
use super::users::users_xml;

/// Between two questions to a server that starts; it takes about a second.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// What ClickHouse says of a port that another process took first.
const PORT_TAKEN: &str = "Address already in use";

/// A ClickHouse server of ours that answers. Dropping it stops it.
pub struct EmbeddedServer {
    process: Process,
    /// Refuses whoever would be `default`, as long as the server lives.
    _gate: Gate,
    folder: DataFolder,
    ports: Ports,
    credentials: Credentials,
    confinement: Confinement,
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
        match &options.analyst_password {
            Some(password) if password.is_empty() => return Err(EmbeddedError::EmptyPassword),
            Some(password) => credentials.analyst_password = Secret::new(password.as_str()),
            None => {}
        }
        let confinement = Confinement::of_kernel(options.landlock_abi_max);
        if let Some(gap) = confinement.gap() {
            tracing::warn!("{gap}");
        }
        let start =
            Start { options: &options, engine: &engine, folder: &folder, credentials: &credentials, confinement };
        let mut starts = 1;
        loop {
            let ports = Ports::choose(options.http_port, options.tcp_port)?;
            match start.process(ports) {
                Ok((process, gate)) => {
                    return Ok(EmbeddedServer { process, _gate: gate, folder, ports, credentials, confinement });
                }
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

    /// Its password.
    pub fn analyst_password(&self) -> &str {
        self.credentials.analyst_password.expose()
    }

    /// Writes the files by which an analyst gets in. They are removed when the value is dropped, which is to be before
    /// the server is.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn analyst_files(&self) -> Result<AnalystFiles, EmbeddedError> {
        AnalystFiles::write(&self.folder, self.http_url(), ANALYST_USER, self.analyst_password())
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The file that holds both passwords, mode 0600.
    pub fn credentials_file(&self) -> PathBuf {
        self.folder.credentials_file()
    }

    /// What who may query can reach beside the data, since this kernel cannot refuse it; none if nothing.
    pub fn confinement_gap(&self) -> Option<&'static str> {
        self.confinement.gap()
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

/// What each try to start a server needs.
struct Start<'a> {
    options: &'a EmbeddedOptions,
    engine: &'a Engine,
    folder: &'a DataFolder,
    credentials: &'a Credentials,
    confinement: Confinement,
}

impl Start<'_> {
    /// Starts a child on these ports and waits until it answers; a child that does not is gone when this returns.
    fn process(&self, ports: Ports) -> Result<(Process, Gate), EmbeddedError> {
        let folder = self.folder;
        let greeting = format!("Longshore's ClickHouse {}", random_hex()?);
        // Both are read before the start logs in, and are gone by then.
        let (config, users) = (PathBuf::from(folder.config_file()), PathBuf::from(folder.users_file()));
        let gate = Gate::open(vec![config.clone(), users.clone()])?;
        let memory_bytes_max = self.options.memory_bytes_max;
        let start = StartConfig { greeting: &greeting, gate_url: &gate.url(), memory_bytes_max };
        write_private(&users, &users_xml(self.credentials))?;
        write_private(&config, &config_xml(folder, &start))?;
        let launcher = &self.options.launcher;
        let spawned = Process::spawn(self.command(ports, gate.port())?);
        let mut process = spawned.map_err(|source| EmbeddedError::Spawn { launcher: launcher.clone(), source })?;
        let started = await_greeting(&process, folder, ports, &greeting, self.options.start_timeout);
        if started.is_err() {
            process.stop(Duration::from_secs(EMBEDDED_STOP_SECONDS_MAX));
        }
        started.map(|()| (process, gate))
    }

    fn command(&self, ports: Ports, gate: u16) -> Result<Command, EmbeddedError> {
        use std::os::unix::process::CommandExt;
        let folder = self.folder;
        let log = folder.new_stderr_log()?;
        let order = Order {
            engine: self.engine,
            confinement: self.confinement,
            ports: TcpPorts { own: [ports.http, ports.tcp], gate },
            server_args: server_args(folder, ports),
        };
        let mut command = Command::new(&self.options.launcher);
        command.args(order.into_args());
        // What it prints is its own queries.
        command.stdin(folder.lock()?).stdout(Stdio::null()).stderr(log);
        command.process_group(0).current_dir(folder.path());
        // The engine's environment may hold keys, which are no business of the server. Its own can be read by queries:
        // what is left is how this program's libraries are found.
        command.env_clear().env("TZ", "UTC");
        if let Some(folders) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", folders);
        }
        Ok(command)
    }
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
