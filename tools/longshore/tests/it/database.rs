//! A database of its own for each test, on the one server of the test run.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use longshore_core::config::{self, Config, Env, Secret, WireCompression};
use longshore_core::dead_letter::DeadLetter;
use longshore_core::decode::{DecodedSlice, Decoder, Scratch};
use longshore_core::slice::{CutAt, Slice, SliceId};
use longshore_ingest::sink::{LoadedSlice, SliceMeta};
use longshore_sinks::clickhouse::{ClickHouse, ConnectError, Connection, quote_name};

use crate::support::shared::{SharedServer, database_name};

impl SharedServer {
    /// Connects as this user to this database.
    pub(crate) fn connect(
        &self,
        (user, password): (&str, &str),
        database: &str,
        compression: WireCompression,
    ) -> Result<ClickHouse, ConnectError> {
        ClickHouse::connect(&Connection {
            url: self.embedded.http_url(),
            user: user.to_owned(),
            password: Secret::new(password),
            database: database.to_owned(),
            ca_file: None,
            compression,
        })
    }
}

/// A connection to a database that no other test uses; the database itself is not there yet.
pub(crate) struct TestDatabase {
    pub(crate) clickhouse: ClickHouse,
    pub(crate) name: String,
    pub(crate) server: Arc<SharedServer>,
}

impl TestDatabase {
    pub(crate) fn new(test: &str) -> Self {
        Self::with_compression(test, WireCompression::Auto)
    }

    pub(crate) fn with_compression(test: &str, compression: WireCompression) -> Self {
        let name = database_name(test);
        let server = SharedServer::get();
        let login = (server.embedded.engine_user(), server.embedded.engine_password());
        let clickhouse = server.connect(login, &name, compression).unwrap_or_else(|error| panic!("{error}"));
        TestDatabase { clickhouse, name, server }
    }

    /// A config of this database; `text` is everything but the version and the `[clickhouse]` section.
    pub(crate) fn config(&self, text: &str) -> Config {
        config_in(&self.name, &format!("{text}\n[clickhouse]"))
    }

    /// Rows of a query as text; `{db}` is the database.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.clickhouse.rows(&sql.replace("{db}", &self.name)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Rows of a query, each with its fields joined by one space, in order.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        self.rows(sql).iter().map(|row| row.join(" ")).collect()
    }

    pub(crate) fn execute(&self, sql: &str) {
        let sql = sql.replace("{db}", &self.name);
        self.clickhouse.execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let dropped = self.clickhouse.execute(&format!("DROP DATABASE IF EXISTS {} SYNC", quote_name(&self.name)));
        if let Err(error) = dropped {
            eprintln!("{} stays behind: {error}", self.name);
        }
    }
}

/// A config of this database; `text` is everything but the version, the server and the database, and ends in `[clickhouse]`.
pub(crate) fn config_in(database: &str, text: &str) -> Config {
    let text = format!("version = 1\n{text}\nurl = \"http://127.0.0.1:1\"\nuser = \"u\"\ndatabase = \"{database}\"\n");
    config::parse(&text, Path::new("/nonexistent/test.toml"), &Env::default())
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

/// A slice of these lines, decoded as the config says; none of them may be bad.
pub(crate) fn decoded_slice(config: &Config, id: u64, lines: &str) -> LoadedSlice {
    let decoder = Decoder::new(config, None, None).unwrap();
    let source = Arc::from("app.log");
    let bytes = lines.as_bytes().to_vec();
    let slice = Slice {
        id: SliceId(id),
        source,
        start: 0,
        bytes,
        header: None,
        tail: None,
        messages: None,
        cut: CutAt::Unknown,
    };
    let decoded = decoder.decode(&slice, &mut Scratch::new(&decoder));
    assert_eq!(decoded.dead, [], "{lines}");
    loaded_slice(id, decoded.batch, Vec::new())
}

/// A slice of head 1 with this id and content.
pub(crate) fn loaded_slice(id: u64, batch: RecordBatch, dead: Vec<DeadLetter>) -> LoadedSlice {
    let records = (batch.num_rows() + dead.len()) as u64;
    let (id, source, start) = (SliceId(id), Arc::from("app.log"), id * 1000);
    let meta = SliceMeta { id, source, head: 1, start, end: start + 999, before: id.0, after: !id.0 };
    let decoded = DecodedSlice {
        batch,
        dead,
        records,
        filtered: 0,
        duplicates: 0,
        rows_by_product: Vec::new(),
        cut: CutAt::Unknown,
    };
    LoadedSlice::new(meta, decoded)
}
