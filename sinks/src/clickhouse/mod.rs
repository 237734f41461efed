//! ClickHouse as the store: connection, tables, inserts.
//!
//! | file | holds |
//! | --- | --- |
//! | `client.rs`, `tls.rs` | the connection, its threads, plain queries |
//! | `calls.rs` | an end to all of its calls |
//! | `error.rs`, `codes.rs` | what can fail, and what it asks of us |
//! | `ddl.rs`, `rollup_ddl.rs`, `types.rs`, `sql.rs` | the text of tables, views |
//! | `schema.rs`, `check.rs`, `apply.rs` | a config's objects: listed, compared, created |
//! | `layout.rs` | the version of what is in a database |
//! | `comments.rs` | what tables, views and columns say of themselves |
//! | `reasons.rs` | the dead letters as analysts see them |
//! | `preflight.rs`, `rights.rs`, `durability.rs` | what server, user and tables can promise, and why not more |
//! | `guarded.rs` | a sink that asks that again after a failure |
//! | `life.rs` | whether it is still the server that acknowledged what was sent |
//! | `store.rs` | what the sink asks of a server, so that a twin can stand in for it |
//! | `insert.rs`, `sink.rs`, `partials.rs`, `ledger.rs` | a slice on its way in with what it adds to rollups, and which slices are in |
//! | `resume.rs`, `markers.rs` | completing a slice that is stored in part, and which slices a rollup has |
//! | `completion.rs` | rollups that came later count the slices that are stored |
//! | `configs.rs` | configs that slices of topics were planned under |
//! | `claims.rs` | events that a producer sent more than once: which slice has them |
//! | `scratch.rs` | a database that is dropped after use |
//! | `trial.rs` | a sample inserted into a database of its own, to measure the server |
//!
//! What is stored is known to ClickHouse alone: nothing here keeps state between calls but for a cache of known users.

mod apply;
mod calls;
mod check;
mod claims;
mod client;
mod codes;
mod comments;
mod completion;
mod configs;
mod days;
mod ddl;
mod durability;
mod error;
mod event_times;
mod guarded;
mod insert;
mod layout;
mod ledger;
mod left_out;
mod life;
mod markers;
mod partials;
mod preflight;
mod reasons;
mod rejected;
mod resume;
mod rights;
mod rollup_ddl;
mod schema;
mod scratch;
mod sink;
mod sql;
mod store;
mod tls;
mod trial;
mod types;
mod work;

pub use apply::ApplyError;
pub use calls::Calls;
pub use check::{Difference, MISSING};
pub use claims::Claim;
pub use client::{ClickHouse, Connection, VERSION_MIN};
pub use codes::{CODES, ErrorKind, kind_of_code};
pub use completion::Completion;
pub use ddl::{CONFIGS, DEAD_LETTERS, DEDUPLICATION_WINDOW, LEDGER, Table, TableColumn};
pub use error::{ClientError, ConnectError, ServerException};
pub use guarded::{Failures, GuardedSink};
pub use life::Life;
pub use preflight::{Grade, Preflight, Reason, preflight, preflight_of_nothing};
pub use reasons::DEAD_LETTER_REASONS;
pub use rollup_ddl::{Rollup, Select, View};
pub use schema::Schema;
pub use scratch::Scratch;
pub use sink::ClickHouseSink;
pub use sql::{quote_name, quote_table, quote_text};
pub use store::{Day, Store};
pub use tls::tls_config;
pub use trial::{Rehearsal, Trial, TrialError, TrialRun};
pub use types::clickhouse_type;
