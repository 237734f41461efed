//! All objects that a config wants in ClickHouse, and the statements that create them.
//!
//! [`Schema::check`] compares them with what is there (`check.rs`), [`Schema::apply`] creates what is missing
//! (`apply.rs`). Nothing that exists is ever changed, but for columns that are added to the tables, settings that the
//! guarantee rests on, and comments.

use longshore_core::config::Config;

use super::comments::{self, Comments};
use super::ddl::{Events, Table, claims, configs, dead_letters, ledger, rollup_claims, rollup_slices};
use super::durability::{FSYNC, Wanted};
use super::reasons;
use super::rollup_ddl::{Rollup, View, rollup};
use super::sql::{quote_name, quote_table, quote_text};

/// What a config wants in ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Database of all objects.
    pub database: String,
    /// The events table.
    pub events: Table,
    /// The dead letters.
    pub dead_letters: Table,
    /// The dead letters for analysts: without their records.
    pub reasons: View,
    /// The ledger.
    pub ledger: Table,
    /// The configs that slices were planned under, if a source reads topics.
    pub configs: Option<Table>,
    /// The claims to events, if one that is sent twice is to count once.
    pub claims: Option<Table>,
    /// Which slices rollups counted later, and who counts such now, if there are rollups.
    pub(super) completion: Vec<Table>,
    /// The rollups, in the order of the config.
    pub rollups: Vec<Rollup>,
    /// What the tables must keep through retries and power failures.
    pub(super) durability: Wanted,
    /// The event time, a column of the events table.
    pub(super) time: String,
    /// What everything says of itself.
    pub(super) comments: Vec<Comments>,
}

impl Schema {
    /// The schema of a checked config.
    pub fn from_config(config: &Config) -> Self {
        let events = Events::new(config);
        let durability =
            Wanted { fsync: config.clickhouse.fsync, slices_in_flight: config.clickhouse.inserts_in_flight as u64 };
        let mut schema = Schema {
            database: config.clickhouse.database.clone(),
            events: events.table(&config.table.order_by),
            dead_letters: dead_letters(),
            reasons: reasons::reasons(&config.clickhouse.database),
            ledger: ledger(),
            configs: config.sources.iter().any(|source| source.kafka().is_some()).then(configs),
            claims: config.dedup.as_ref().map(|spec| claims(&config.table.name, spec)),
            completion: if config.rollups.is_empty() { Vec::new() } else { vec![rollup_slices(), rollup_claims()] },
            rollups: config.rollups.iter().map(|spec| rollup(spec, &events)).collect(),
            durability,
            time: config.table.time.clone(),
            comments: Vec::new(),
        };
        schema.comments = comments::of(config, &schema);
        if durability.fsync {
            let targets = schema.rollups.iter_mut().map(|rollup| &mut rollup.target);
            let others = [&mut schema.events, &mut schema.dead_letters, &mut schema.ledger];
            for table in
                targets.chain(others).chain(&mut schema.configs).chain(&mut schema.claims).chain(&mut schema.completion)
            {
                table.settings.extend(FSYNC);
            }
        }
        schema
    }

    /// Every statement that creates something, in the order in which they would be run on an empty server;
    /// [`comment_statements`](Self::comment_statements) come after them.
    pub fn statements(&self) -> Vec<String> {
        let mut statements = vec![self.create_database()];
        statements.extend(self.tables().map(|table| table.create(&self.database)));
        statements.push(reasons::create(&self.database, &self.reasons));
        for rollup in &self.rollups {
            statements.push(create_with_comment(&rollup.target, &self.database, &rollup.mark()));
            statements.extend(rollup.views.iter().map(|view| self.create_view(view)));
        }
        statements
    }

    /// The tables that inserts go to.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.events, &self.dead_letters, &self.ledger]
            .into_iter()
            .chain(&self.configs)
            .chain(&self.claims)
            .chain(&self.completion)
    }

    pub(super) fn create_database(&self) -> String {
        format!("CREATE DATABASE IF NOT EXISTS {}", quote_name(&self.database))
    }

    pub(super) fn create_view(&self, view: &View) -> String {
        format!("CREATE VIEW IF NOT EXISTS {} AS\n{}", quote_table(&self.database, &view.name), view.select)
    }
}

/// CREATE TABLE IF NOT EXISTS with a comment, which says something of the table's content.
pub(super) fn create_with_comment(table: &Table, database: &str, comment: &str) -> String {
    format!("{}\nCOMMENT {}", table.create(database), quote_text(comment))
}

#[cfg(test)]
mod tests;
