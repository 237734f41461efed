//! From the config to a ClickHouse that answers: started by us or running already.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use longshore_core::config::{ClickHouseSpec, EmbeddedSpec, Secret, ServerSpec};
use longshore_ingest::sink::{LoadedSlice, RejectedRow, Sink, SinkError, Stored};
use longshore_sinks::clickhouse::{Calls, ClickHouse, Connection, GuardedSink};
use longshore_sinks::embedded::{AnalystFiles, EmbeddedError, EmbeddedOptions, EmbeddedServer};

/// A ClickHouse that answers. An embedded server lives as long as this.
pub(crate) struct Server {
    pub(crate) client: ClickHouse,
    embedded: Option<EmbeddedServer>,
}

impl Server {
    /// Starts the embedded server if the config has one, then connects.
    pub(crate) fn open(spec: &ClickHouseSpec) -> anyhow::Result<Self> {
        Self::open_while(spec, &Calls::default())
    }

    /// The same, for as long as calls may go on.
    pub(crate) fn open_while(spec: &ClickHouseSpec, calls: &Calls) -> anyhow::Result<Self> {
        let (embedded, connection) = match &spec.server {
            ServerSpec::Embedded(embedded) => {
                tracing::info!("starting the embedded ClickHouse");
                let server = EmbeddedServer::start(options(embedded, &spec.database)?)?;
                let connection = Connection {
                    url: server.http_url(),
                    user: server.engine_user().to_owned(),
                    password: Secret::new(server.engine_password()),
                    database: spec.database.clone(),
                    ca_file: None,
                    compression: spec.compression,
                };
                (Some(server), connection)
            }
            ServerSpec::Url(url) => {
                let connection = Connection {
                    url: url.url.clone(),
                    user: url.user.clone(),
                    password: url.password.clone(),
                    database: spec.database.clone(),
                    ca_file: url.ca_file.clone(),
                    compression: spec.compression,
                };
                (None, connection)
            }
        };
        let client = ClickHouse::connect_while(&connection, calls)?;
        Ok(Server { client, embedded })
    }

    /// The way in for analysts, if the server is embedded; its files are there as long as the value.
    pub(crate) fn analyst_files(&self) -> anyhow::Result<Option<AnalystFiles>> {
        Ok(self.embedded.as_ref().map(EmbeddedServer::analyst_files).transpose()?)
    }

    /// Why the embedded server is gone, if there was one and it ended by itself: nobody starts it again.
    pub(crate) fn end(&self) -> Option<EmbeddedError> {
        self.embedded.as_ref()?.wait(Duration::ZERO)
    }

    /// Stops the embedded server, if there is one, and waits for its end.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let Server { client, embedded } = self;
        drop(client);
        match embedded {
            Some(server) => server.stop().context("stopping the embedded ClickHouse"),
            None => Ok(()),
        }
    }
}

/// A sink that does not wait for an embedded server that has ended.
pub(crate) struct Watched<'a> {
    pub(crate) sink: &'a GuardedSink,
    pub(crate) server: &'a Server,
}

impl Watched<'_> {
    /// An error of the sink, unless waiting for the server is in vain.
    fn judge(&self, error: SinkError) -> SinkError {
        match (error, self.server.end()) {
            (SinkError::Retry { .. }, Some(end)) => SinkError::Pause { detail: end.to_string() },
            (error, _) => error,
        }
    }
}

impl Sink for Watched<'_> {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.sink.write(slice).map_err(|error| self.judge(error))
    }

    fn resume(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        self.sink.resume(slice).map_err(|error| self.judge(error))
    }

    fn rejected(&self, slice: &LoadedSlice) -> Result<Vec<RejectedRow>, SinkError> {
        self.sink.rejected(slice).map_err(|error| self.judge(error))
    }
}

/// The options of an embedded server as the config has them, with the database that analysts read.
pub(crate) fn options(spec: &EmbeddedSpec, database: &str) -> anyhow::Result<EmbeddedOptions> {
    let launcher: PathBuf = std::env::current_exe().context("cannot find the path of this program")?;
    Ok(EmbeddedOptions {
        data: spec.data.clone(),
        http_port: spec.http_port,
        tcp_port: spec.tcp_port,
        library: spec.library.clone(),
        memory_bytes_max: spec.memory_bytes_max,
        analyst_password: spec.analyst_password.as_ref().map(|password| password.expose().to_owned()),
        databases: vec![database.to_owned()],
        ..EmbeddedOptions::new(launcher)
    })
}
