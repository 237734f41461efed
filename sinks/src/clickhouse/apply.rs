//! Creating what is missing. Safe to run again after any interruption.
//!
//! A rollup may come to a database that has slices already. Its table is made empty, and then counts what is stored
//! (`completion.rs`), while loads go on.

use longshore_core::words::plural;

use super::check::{Difference, Found};
use super::client::ClickHouse;
use super::completion::Completion;
use super::ddl::{BY_SLICE, Table};
use super::error::ClientError;
use super::layout;
use super::reasons;
use super::rollup_ddl::Rollup;
use super::schema::{Schema, create_with_comment};
use super::sql::{quote_name, quote_table};

/// Why a schema could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// ClickHouse refused or is away.
    #[error("`{statement}`: {source}{}", source.advice())]
    Client {
        /// The first line of what was run.
        statement: String,
        /// Why it failed.
        source: ClientError,
    },
    /// Something exists and is not as the config says. Nothing was changed.
    #[error("{}", differs(.0))]
    Differs(Vec<Difference>),
    /// The database has another layout. Nothing was changed.
    #[error("{0}")]
    Layout(Difference),
    /// The rollup's target has rows, and counts something else than the config says.
    #[error(
        "rollup `{rollup}` counts something else than `{target}` does, which holds rows: its `by`, `where` or columns were \
         changed, or the table's comment. To have it count all events anew, stop the engines, run `DROP TABLE {target}`, \
         then this again"
    )]
    CountsOther {
        /// Name of the rollup.
        rollup: String,
        /// Its target, qualified and quoted.
        target: String,
    },
}

fn differs(differences: &[Difference]) -> String {
    let list: Vec<String> = differences.iter().map(Difference::to_string).collect();
    format!(
        "tables differ from the config and are never altered in silence:\n{}\nchange the config to match, or rename or \
         drop what differs and run this again",
        list.join("\n")
    )
}

impl Schema {
    /// Creates the database, tables and views that are missing, adds missing columns, and sets what the guarantee needs of
    /// tables that are there, and comments; returns what was done, a line each.
    ///
    /// # Errors
    /// Any difference that is not mendable is an error before anything is changed.
    pub fn apply(&self, clickhouse: &ClickHouse) -> Result<Vec<String>, ApplyError> {
        let mut run = Run { clickhouse, done: Vec::new() };
        if !run.ask("reading system.databases", |clickhouse| self.has_database(clickhouse))? {
            run.statement(self.create_database())?;
            run.done(format!("created database {}", self.database));
        }
        let found = run.ask("reading system.tables", Found::read)?;
        let differences = run.ask("comparing tables", |clickhouse| self.differences(clickhouse, &found))?;
        let (weak, differences): (Vec<_>, Vec<_>) =
            differences.into_iter().partition(|difference| difference.statement().is_some());
        if let Some(layout) = layout::compare(&found, &self.rollups) {
            return Err(ApplyError::Layout(layout));
        }
        let hopeless: Vec<Difference> = differences.into_iter().filter(|difference| !difference.can_apply()).collect();
        if !hopeless.is_empty() {
            return Err(ApplyError::Differs(hopeless));
        }
        for difference in &weak {
            run.statement(difference.statement().unwrap_or_default().to_owned())?;
            run.done(format!("set {} on {}, which had {}", difference.expected, difference.object, difference.actual));
        }
        for table in self.tables() {
            self.apply_table(&mut run, &found, table)?;
        }
        self.apply_reasons(&mut run, &found)?;
        for rollup in &self.rollups {
            self.apply_rollup(&mut run, &found, rollup)?;
        }
        let completed = run.ask("counting what is stored", |clickhouse| self.complete(clickhouse, true))?;
        if let Completion::Whole(slices @ 1..) = completed {
            let slices = plural(slices as usize, "slice");
            run.done(format!("rollups counted {slices} that had been stored without them"));
        }
        let commented = run.ask("setting comments", |clickhouse| self.set_comments(clickhouse))?;
        // What was created a moment ago has its comments like its columns: that is no news.
        let known: Vec<&str> =
            commented.iter().map(String::as_str).filter(|object| self.lacks_comments(&found, object)).collect();
        if !known.is_empty() {
            run.done(format!("set the comments of {}", known.join(", ")));
        }
        Ok(run.done)
    }

    /// Creates the view for analysts where the dead letters are there without it, and changes nothing else. What was done, or
    /// why it could not be.
    ///
    /// # Errors
    /// ClickHouse is away.
    pub fn apply_for_analysts(&self, clickhouse: &ClickHouse) -> Result<Option<String>, ApplyError> {
        let mut run = Run { clickhouse, done: Vec::new() };
        let found = run.ask("reading system.tables", Found::read)?;
        if found.table(&self.dead_letters.name).is_some() && layout::compare(&found, &self.rollups).is_none() {
            self.apply_reasons(&mut run, &found)?;
        }
        Ok(run.done.pop())
    }

    fn apply_table(&self, run: &mut Run<'_>, found: &Found, table: &Table) -> Result<(), ApplyError> {
        if found.table(&table.name).is_none() {
            run.statement(table.create(&self.database))?;
            run.done(format!("created table {}", table.name));
            return Ok(());
        }
        for column in found.missing_columns(table) {
            let at = table.columns.iter().position(|other| other.name == column.name).unwrap_or(0);
            let place = match at.checked_sub(1) {
                Some(before) => format!("AFTER {}", quote_name(&table.columns[before].name)),
                None => "FIRST".to_owned(),
            };
            let altered = quote_table(&self.database, &table.name);
            run.statement(format!("ALTER TABLE {altered} ADD COLUMN IF NOT EXISTS {} {place}", column.sql()))?;
            run.done(format!("added column {}.{}", table.name, column.name));
        }
        if let (true, Some(index)) = (found.lacks_index(table), table.index_sql()) {
            let altered = quote_table(&self.database, &table.name);
            run.statement(format!("ALTER TABLE {altered} ADD {}", index.replacen("INDEX", "INDEX IF NOT EXISTS", 1)))?;
            // Of the parts that are there, in the background.
            run.statement(format!("ALTER TABLE {altered} MATERIALIZE INDEX {BY_SLICE}"))?;
            run.done(format!("added index {}.{BY_SLICE}", table.name));
        }
        if let (true, Some((name, check))) = (found.lacks_constraint(table), table.constraint) {
            let altered = quote_table(&self.database, &table.name);
            run.statement(format!(
                "ALTER TABLE {altered} DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} CHECK {check}"
            ))?;
            run.done(format!("set constraint {}.{name}: {check}", table.name));
        }
        Ok(())
    }

    /// The view for analysts. A server that refuses it refuses no load.
    fn apply_reasons(&self, run: &mut Run<'_>, found: &Found) -> Result<(), ApplyError> {
        if found.table(&self.reasons.name).is_some() {
            return Ok(());
        }
        match run.statement(reasons::create(&self.database, &self.reasons)) {
            Ok(()) => run.done(format!("created view {}", self.reasons.name)),
            Err(ApplyError::Client { source, .. }) if source.code().is_some() && !source.is_transient() => {
                run.done(reasons::refused(&self.database, &source));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn apply_rollup(&self, run: &mut Run<'_>, found: &Found, rollup: &Rollup) -> Result<(), ApplyError> {
        let target = found.table(&rollup.target.name);
        if target.is_none_or(|target| target.comment != rollup.mark()) {
            if target.is_some() {
                self.must_be_empty(run, rollup)?;
                run.statement(format!("DROP TABLE {} SYNC", quote_table(&self.database, &rollup.target.name)))?;
            }
            run.statement(create_with_comment(&rollup.target, &self.database, &rollup.mark()))?;
            run.done(format!("created table {}", rollup.target.name));
        }
        for view in rollup.views.iter().filter(|view| found.table(&view.name).is_none()) {
            run.statement(self.create_view(view))?;
            run.done(format!("created view {}", view.name));
        }
        Ok(())
    }

    /// A target that counts something else. If it is empty it can be made anew.
    fn must_be_empty(&self, run: &Run<'_>, rollup: &Rollup) -> Result<(), ApplyError> {
        let target = quote_table(&self.database, &rollup.target.name);
        if run.count(&target)? == 0 {
            return Ok(());
        }
        Err(ApplyError::CountsOther { rollup: rollup.name.clone(), target })
    }
}

/// A run of [`Schema::apply`]: what was done so far.
struct Run<'a> {
    clickhouse: &'a ClickHouse,
    done: Vec<String>,
}

impl Run<'_> {
    fn statement(&self, sql: String) -> Result<(), ApplyError> {
        tracing::debug!(statement = %sql, "schema");
        self.ask(&sql, |clickhouse| clickhouse.execute(&sql))
    }

    fn done(&mut self, line: String) {
        self.done.push(line);
    }

    fn count(&self, table: &str) -> Result<u64, ApplyError> {
        let sql = format!("SELECT count() FROM {table}");
        self.ask(&sql, |clickhouse| {
            let count = clickhouse.value(&sql)?;
            count.parse().map_err(|_| ClientError::Invalid(format!("`{count}` is not a number of rows")))
        })
    }

    fn ask<T>(&self, what: &str, request: impl FnOnce(&ClickHouse) -> Result<T, ClientError>) -> Result<T, ApplyError> {
        request(self.clickhouse).map_err(|source| {
            let statement = what.lines().next().unwrap_or(what).to_owned();
            ApplyError::Client { statement, source }
        })
    }
}
