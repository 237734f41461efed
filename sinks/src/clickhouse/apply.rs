//! Creating what is missing. Safe to run again after any interruption.
//!
//! A rollup over a table that has rows already must count them, or its answers would be wrong in silence. So its target
//! is filled first, one day at a time, and then left to the engine. Rows that arrive in between would be missed, so
//! the filling demands that nothing is inserted meanwhile: it looks for running inserts before and after, and compares
//! the number of rows. The target carries a mark in its comment until all is done; a marked target was left behind by
//! an interrupted run and is made anew.
//!
//! A slice that a load left half stored would be counted in such a target, and once more when the load is run again and
//! completes it. So everything here that depends on what a rollup holds wants every stored slice to be in the ledger.

use std::time::{Duration, Instant};

use longshore_core::column::layout::SLICE_COLUMN;
use longshore_core::words::plural;

use super::check::{BACKFILL_MARK, Difference, ENGINE_MARK, Found};
use super::client::ClickHouse;
use super::ddl::{BY_SLICE, LEDGER, Table};
use super::error::ClientError;
use super::layout;
use super::reasons;
use super::rollup_ddl::Rollup;
use super::schema::{Schema, create_with_comment};
use super::sql::{name_list, quote_name, quote_table, quote_text};

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
    /// The events table has rows that the rollup would have to count, and it is not sure that it can.
    #[error(
        "rollup `{rollup}` was left as it was: {detail}. It can be filled only while nothing is inserted into `{events}`; stop the loads, then run this again"
    )]
    Busy {
        /// Name of the rollup.
        rollup: String,
        /// The events table.
        events: String,
        /// What was seen.
        detail: String,
    },
    /// A slice is half stored, so nobody knows whether the rollup has counted it.
    #[error(
        "rollup `{rollup}` was left as it was: `{events}` has {} of slices that are not in the ledger, because a \
         load ended before they were whole. Load the same inputs again with the config they were loaded with, which \
         completes them, then run this again",
        plural(*rows, "row")
    )]
    HalfStored {
        /// Name of the rollup.
        rollup: String,
        /// The events table.
        events: String,
        /// Rows of such slices.
        rows: u64,
    },
    /// The rollup's target has rows, but not the engine's mark: what it lacks cannot be known.
    #[error(
        "nobody knows what rollup `{rollup}` lacks: `{target}` holds rows and has not the engine's mark. To fill it anew from \
         the events table, run `DROP TABLE {target}`, then this again"
    )]
    Unmarked {
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
        let filled = target.is_some_and(|target| target.comment == ENGINE_MARK);
        if !filled {
            if target.is_some_and(|target| target.comment != BACKFILL_MARK) {
                self.must_be_empty(run, rollup)?;
            }
            self.drop_rollup(run, rollup)?;
            self.start_filling(run, rollup)?;
        }
        for view in rollup.views.iter().filter(|view| found.table(&view.name).is_none()) {
            run.statement(self.create_view(view))?;
            run.done(format!("created view {}", view.name));
        }
        Ok(())
    }

    /// A target without a mark may lack rows. If it is empty it can be made anew.
    fn must_be_empty(&self, run: &Run<'_>, rollup: &Rollup) -> Result<(), ApplyError> {
        let target = quote_table(&self.database, &rollup.target.name);
        if run.count(&target)? == 0 {
            return Ok(());
        }
        Err(ApplyError::Unmarked { rollup: rollup.name.clone(), target })
    }

    fn nothing_under_way(&self, run: &Run<'_>, rollup: &Rollup) -> Result<(), ApplyError> {
        self.no_inserts_running(run, rollup)?;
        let stored = format!("SELECT slice FROM {}", quote_table(&self.database, LEDGER));
        // Rows of slice 0 are not the engine's.
        match run
            .count(&format!("{} WHERE {SLICE_COLUMN} != 0 AND {SLICE_COLUMN} NOT IN ({stored})", self.events_table()))?
        {
            0 => Ok(()),
            rows => Err(ApplyError::HalfStored { rollup: rollup.name.clone(), events: self.events.name.clone(), rows }),
        }
    }

    fn mark(&self, run: &Run<'_>, rollup: &Rollup, comment: &str) -> Result<(), ApplyError> {
        let target = quote_table(&self.database, &rollup.target.name);
        run.statement(format!("ALTER TABLE {target} MODIFY COMMENT {}", quote_text(comment)))
    }

    /// Brings a rollup's target into being, counting the rows that are there already.
    fn start_filling(&self, run: &mut Run<'_>, rollup: &Rollup) -> Result<(), ApplyError> {
        let target = quote_table(&self.database, &rollup.target.name);
        let rows = run.count(&self.events_table())?;
        self.nothing_under_way(run, rollup)?;
        run.statement(create_with_comment(&rollup.target, &self.database, BACKFILL_MARK))?;
        if rows > 0 {
            self.backfill(run, rollup, &target)?;
        }
        let calm = self.no_inserts_running(run, rollup).and_then(|()| match run.count(&self.events_table())? {
            now if now == rows => Ok(()),
            now => Err(self.busy(rollup, format!("{} became {now} while it was filled", plural(rows, "row")))),
        });
        if let Err(error) = calm {
            self.drop_rollup(run, rollup)?;
            return Err(error);
        }
        self.mark(run, rollup, ENGINE_MARK)?;
        let filled = if rows > 0 {
            format!(", filled from {} of {}", plural(rows, "row"), self.events.name)
        } else {
            String::new()
        };
        run.done(format!("created table {}{filled}", rollup.target.name));
        Ok(())
    }

    fn backfill(&self, run: &mut Run<'_>, rollup: &Rollup, target: &str) -> Result<(), ApplyError> {
        let day = format!("toDate(e.{})", quote_name(&self.time));
        let days = format!("SELECT DISTINCT {day} AS day FROM {} AS e ORDER BY day", self.events_table());
        for day_of_rows in run.ask(&days, |clickhouse| clickhouse.rows(&days))?.into_iter().flatten() {
            let one_day = format!("{day} = {}", quote_text(&day_of_rows));
            let columns = name_list(rollup.select.names());
            run.statement(format!(
                "INSERT INTO {target} ({columns}) SELECT {columns} FROM (\n{}\n)\n\
                 SETTINGS insert_deduplicate = 0, async_insert = 0",
                rollup.select.sql(Some(&one_day))
            ))?;
        }
        Ok(())
    }

    fn drop_rollup(&self, run: &mut Run<'_>, rollup: &Rollup) -> Result<(), ApplyError> {
        run.statement(format!("DROP TABLE IF EXISTS {} SYNC", quote_table(&self.database, &rollup.target.name)))
    }

    fn no_inserts_running(&self, run: &Run<'_>, rollup: &Rollup) -> Result<(), ApplyError> {
        let sql = format!(
            "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND position(query, {}) > 0 \
             AND (current_database = {database} OR position(query, {database}) > 0)",
            quote_text(&self.events.name),
            database = quote_text(&self.database),
        );
        let began = Instant::now();
        loop {
            let running = run.ask(&sql, |clickhouse| clickhouse.value(&sql))?;
            let detail = match running.as_str() {
                "0" => return Ok(()),
                "1" => "an insert is running".to_owned(),
                running => format!("{running} inserts are running"),
            };
            if began.elapsed() > LEAVES_WITHIN {
                return Err(self.busy(rollup, detail));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn busy(&self, rollup: &Rollup, detail: String) -> ApplyError {
        ApplyError::Busy { rollup: rollup.name.clone(), events: self.events.name.clone(), detail }
    }

    fn events_table(&self) -> String {
        quote_table(&self.database, &self.events.name)
    }
}

/// For so long the server may list an insert that it has answered, such as the one that filled a rollup a moment ago.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

/// How often to look whether it has gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
