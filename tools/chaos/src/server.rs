//! The ClickHouse of a run: one of our own, which may be killed and frozen, or a user's, which is only talked to.

use std::time::{Duration, Instant};

use longshore_core::config::{Secret, WireCompression};
use longshore_sinks::clickhouse::{Connection, tls_config};
use longshore_sinks::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedServer};
use rustix::process::{Pid, Signal, kill_process};
use url::Url;

use crate::error::ChaosError;
use crate::proxy::Upstream;

/// Where the records go.
#[derive(Debug, Clone)]
pub enum Target {
    /// A server that is started for this run alone, on a folder that nobody else has.
    Own(EmbeddedOptions),
    /// A server that others may use.
    Theirs(Connection),
}

/// A server that serves, or was killed.
pub(crate) enum Server {
    Own(Box<Own>),
    Theirs(Connection),
}

/// A server of our own.
pub(crate) struct Own {
    /// With ports, once it was started.
    options: EmbeddedOptions,
    running: Option<EmbeddedServer>,
}

/// How long a port that is not free, since a connection happened to get its number, is waited for.
const PORT_PATIENCE: Duration = Duration::from_secs(20);
/// A server that was killed is gone by then.
const DEATH_PATIENCE: Duration = Duration::from_secs(20);

impl Server {
    /// Starts it, if it is ours.
    pub(crate) fn open(target: &Target) -> Result<Server, ChaosError> {
        match target {
            Target::Theirs(connection) => Ok(Server::Theirs(connection.clone())),
            Target::Own(options) => {
                let running = EmbeddedServer::start(options.clone())?;
                let options = EmbeddedOptions {
                    http_port: Some(running.http_port()),
                    tcp_port: Some(running.tcp_port()),
                    ..options.clone()
                };
                Ok(Server::Own(Box::new(Own { options, running: Some(running) })))
            }
        }
    }

    /// How it is reached without the proxy.
    pub(crate) fn connection(&self, database: &str) -> Connection {
        match self {
            Server::Theirs(connection) => Connection { database: database.to_owned(), ..connection.clone() },
            Server::Own(own) => {
                let running = own.running.as_ref().expect("it was started and not killed yet");
                Connection {
                    url: running.http_url(),
                    user: running.engine_user().to_owned(),
                    password: Secret::new(running.engine_password()),
                    database: database.to_owned(),
                    ca_file: None,
                    compression: WireCompression::Auto,
                }
            }
        }
    }

    /// The server itself, if it is ours.
    pub(crate) fn own(&mut self) -> Option<&mut Own> {
        match self {
            Server::Own(own) => Some(own),
            Server::Theirs(_) => None,
        }
    }
}

impl Own {
    /// kill -9, if it runs.
    pub(crate) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            signal(&running, Signal::KILL);
            // Reaped by its keeper; until then the folder is locked.
            running.wait(DEATH_PATIENCE);
        }
    }

    /// Starts it again on its data and ports, if it does not run.
    pub(crate) fn start(&mut self) -> Result<(), ChaosError> {
        let begin = Instant::now();
        while self.running.is_none() {
            match EmbeddedServer::start(self.options.clone()) {
                Ok(running) => self.running = Some(running),
                Err(EmbeddedError::PortInUse { .. }) if begin.elapsed() < PORT_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Starts it again if it has ended by itself; whether it had.
    pub(crate) fn tend(&mut self) -> Result<bool, ChaosError> {
        if !self.running.as_ref().is_some_and(EmbeddedServer::has_exited) {
            return Ok(false);
        }
        self.running = None;
        self.start().map(|()| true)
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        if let Some(running) = &self.running {
            signal(running, if frozen { Signal::STOP } else { Signal::CONT });
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // What is frozen does not end by SIGTERM.
        self.set_frozen(false);
    }
}

fn signal(server: &EmbeddedServer, signal: Signal) {
    if server.has_exited() {
        return;
    }
    if let Some(pid) = i32::try_from(server.pid()).ok().and_then(Pid::from_raw) {
        // It can only have ended in between.
        let _ = kill_process(pid, signal);
    }
}

/// Where the proxy connects to, and the URL that the engine is given instead of the server's.
pub(crate) fn behind_proxy(connection: &Connection) -> Result<(Upstream, Url), ChaosError> {
    let unusable = |detail: String| ChaosError::Url { url: connection.url.clone(), detail };
    let url = Url::parse(&connection.url).map_err(|error| unusable(error.to_string()))?;
    let host = url.host_str().ok_or_else(|| unusable("it names no host".to_owned()))?.to_owned();
    let port = url.port_or_known_default().ok_or_else(|| unusable("it names no port".to_owned()))?;
    let tls = match url.scheme() {
        "https" => Some(tls_config(connection.ca_file.as_deref())?.into()),
        _ => None,
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    Ok((Upstream { host, port, tls }, url))
}
