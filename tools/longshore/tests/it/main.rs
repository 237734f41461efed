//! The command as a user has it: the real program against a real ClickHouse. One binary, so that all of it links
//! once; each module is a subject.

mod access_log;
mod away;
mod bad_input;
mod bad_topics;
mod bench;
mod chaos;
mod command;
mod database;
mod dedup;
mod doctor;
mod duplicates;
mod embedded;
mod fetch;
mod filling;
mod follow;
mod formats;
mod journals;
mod kinds;
mod load;
mod logs;
mod metrics;
mod preflight;
mod rejected;
mod reload;
mod resume;
mod rollups;
mod run;
mod schema;
mod shop;
mod support;
mod topics;
mod types;
mod values;
