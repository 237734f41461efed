//! Comparing what is in ClickHouse with what should be.
//!
//! Everything is compared by the text that ClickHouse itself prints: types and codecs as `system.columns` spells them,
//! views by their stored query against the server's own formatting of ours. Columns that we do not know are fine: an
//! insert names its columns, and the rest take their defaults. Comments are no difference (`comments.rs`).

use std::collections::HashMap;
use std::fmt;

use super::claims;
use super::client::ClickHouse;
use super::ddl::{BY_SLICE, Table, TableColumn};
use super::durability;
use super::error::ClientError;
use super::layout;
use super::reasons;
use super::rollup_ddl::Rollup;
use super::schema::Schema;
use super::sql::quote_text;

/// One way in which ClickHouse is not as the config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Database, table, view or `table.column`.
    pub object: String,
    /// What differs, such as `type` or `sorting key`; `missing` if the object is not there.
    pub what: &'static str,
    /// As it should be.
    pub expected: String,
    /// As it is; empty if it is missing.
    pub actual: String,
    /// What mends it.
    pub(super) mend: Mend,
}

/// What mends a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mend {
    /// Somebody's decision.
    Nobody,
    /// Something is missing that can be added without touching what exists.
    Apply,
    /// The same of what only makes look-ups fast: nothing depends on it.
    Speed,
    /// This statement, which changes a table's setting and no row.
    Setting(String),
}

impl Difference {
    /// Whether [`Schema::apply`] mends it: something is missing that can be added without touching what exists, or a
    /// setting of a table.
    pub fn can_apply(&self) -> bool {
        self.mend != Mend::Nobody
    }

    /// Whether it is about what analysts read of the dead letters, which no load needs.
    pub fn is_for_analysts(&self) -> bool {
        self.object == reasons::DEAD_LETTER_REASONS
    }

    /// The statement that mends a table's setting. Such a difference weakens the guarantee, but inserts work.
    pub fn statement(&self) -> Option<&str> {
        match &self.mend {
            Mend::Setting(statement) => Some(statement),
            Mend::Nobody | Mend::Apply | Mend::Speed => None,
        }
    }

    /// Whether look-ups are slow and nothing else: loads can start.
    pub fn is_only_slow(&self) -> bool {
        self.mend == Mend::Speed
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.what == MISSING {
            return write!(f, "{} is missing: expected {}", self.object, self.expected);
        }
        if self.what == layout::WHAT {
            return write!(
                f,
                "the database {} has {}, which another version of Longshore made, and this one works with layout {} alone: \
                 load the inputs anew into another database (`database` under [clickhouse])",
                self.object, self.actual, self.expected
            );
        }
        write!(f, "{}: {} differs\n  expected {}\n  actual   {}", self.object, self.what, self.expected, self.actual)
    }
}

/// The [`Difference::what`] of an object that is not there.
pub const MISSING: &str = "missing";

/// What is in the database, by name.
pub(super) struct Found {
    database: String,
    /// The server's own values of table settings, of replicated tables under `replicated`.
    defaults: HashMap<(bool, String), String>,
    tables: HashMap<String, FoundTable>,
    columns: HashMap<String, Vec<FoundColumn>>,
}

pub(super) struct FoundTable {
    pub(super) engine: String,
    pub(super) partition_key: String,
    sorting_key: String,
    pub(super) engine_full: String,
    select: String,
    pub(super) comment: String,
    pub(super) create: String,
}

struct FoundColumn {
    name: String,
    ty: String,
    default: String,
    codec: String,
    comment: String,
}

impl Found {
    pub(super) fn read(clickhouse: &ClickHouse) -> Result<Self, ClientError> {
        let database = quote_text(clickhouse.database());
        let tables = clickhouse.rows(&format!(
            "SELECT name, engine, partition_key, sorting_key, engine_full, as_select, comment, create_table_query \
             FROM system.tables \
             WHERE database = {database}"
        ))?;
        let rows = clickhouse.rows(&format!(
            "SELECT table, name, type, default_expression, compression_codec, comment FROM system.columns \
             WHERE database = {database} ORDER BY table, position"
        ))?;
        let mut columns: HashMap<String, Vec<FoundColumn>> = HashMap::new();
        for row in rows {
            let [table, name, ty, default, codec, comment] = fields(row)?;
            columns.entry(table).or_default().push(FoundColumn { name, ty, default, codec, comment });
        }
        let mut found = HashMap::new();
        for row in tables {
            let [name, engine, partition_key, sorting_key, engine_full, select, comment, create] = fields(row)?;
            found.insert(name, FoundTable { engine, partition_key, sorting_key, engine_full, select, comment, create });
        }
        let database = clickhouse.database().to_owned();
        Ok(Found { database, defaults: default_settings(clickhouse)?, tables: found, columns })
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// A numeric setting as it holds for the table: its own, or else the server's; 0 if the server does not know it.
    pub(super) fn setting(&self, table: &FoundTable, name: &str) -> u64 {
        let replicated = ["Replicated", "Shared"].iter().any(|prefix| table.engine.starts_with(prefix));
        let default = || self.defaults.get(&(replicated, name.to_owned())).map(String::as_str);
        setting(&table.engine_full, name).or_else(default).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    pub(super) fn table(&self, name: &str) -> Option<&FoundTable> {
        self.tables.get(name)
    }

    /// Whether a table that is there lacks the constraint that it should have, or has another one of that name.
    pub(super) fn lacks_constraint(&self, table: &Table) -> bool {
        let plain = |text: &str| text.replace(['`', ' ', '(', ')'], "");
        let (Some((name, check)), Some(actual)) = (table.constraint, self.table(&table.name)) else { return false };
        !plain(&actual.create).contains(&plain(&format!("CONSTRAINT {name} CHECK {check}")))
    }

    /// Whether a table that is there lacks its index.
    pub(super) fn lacks_index(&self, table: &Table) -> bool {
        let (Some(_), Some(actual)) = (table.index, self.table(&table.name)) else { return false };
        !without_quotes(&actual.create).contains(&format!("INDEX {BY_SLICE} "))
    }

    fn columns(&self, table: &str) -> &[FoundColumn] {
        self.columns.get(table).map_or(&[], Vec::as_slice)
    }

    /// The comment of a column that is there.
    pub(super) fn column_comment(&self, table: &str, name: &str) -> Option<&str> {
        self.columns(table).iter().find(|column| column.name == name).map(|column| column.comment.as_str())
    }

    /// The default of a column that is there; empty if it has none.
    pub(super) fn column_default(&self, table: &str, name: &str) -> Option<&str> {
        self.columns(table).iter().find(|column| column.name == name).map(|column| column.default.as_str())
    }

    /// The columns of a table that are not there.
    pub(super) fn missing_columns<'a>(&self, table: &'a Table) -> Vec<&'a TableColumn> {
        let found = self.columns(&table.name);
        table.columns.iter().filter(|column| found.iter().all(|found| found.name != column.name)).collect()
    }
}

/// What the server gives tables that say nothing.
fn default_settings(clickhouse: &ClickHouse) -> Result<HashMap<(bool, String), String>, ClientError> {
    let names: Vec<String> = durability::NAMES.iter().map(|name| quote_text(name)).collect();
    let rows = clickhouse.rows(&format!(
        "SELECT replicated, name, value FROM (SELECT 0 AS replicated, name, value FROM system.merge_tree_settings \
         UNION ALL SELECT 1, name, value FROM system.replicated_merge_tree_settings) WHERE name IN ({})",
        names.join(", ")
    ))?;
    let mut defaults = HashMap::new();
    for row in rows {
        let [replicated, name, value] = fields(row)?;
        defaults.insert((replicated == "1", name), value);
    }
    Ok(defaults)
}

fn fields<const N: usize>(row: Vec<String>) -> Result<[String; N], ClientError> {
    row.try_into().map_err(|row: Vec<String>| {
        ClientError::Invalid(format!("a row of {} fields where {N} were asked for", row.len()))
    })
}

impl Schema {
    /// Whether there is nothing at all of this schema on the server: no database, or none of its tables and views.
    pub fn is_absent(&self, clickhouse: &ClickHouse) -> Result<bool, ClientError> {
        if !self.has_database(clickhouse)? {
            return Ok(true);
        }
        let found = Found::read(clickhouse)?;
        let rollups = self.rollups.iter().flat_map(|rollup| {
            let views = rollup.views.iter().map(|view| view.name.as_str());
            views.chain([rollup.target.name.as_str()])
        });
        Ok(self.tables().map(|table| table.name.as_str()).chain(rollups).all(|name| found.table(name).is_none()))
    }

    /// Whether the database is there.
    pub fn has_database(&self, clickhouse: &ClickHouse) -> Result<bool, ClientError> {
        let sql = format!("SELECT count() FROM system.databases WHERE name = {}", quote_text(&self.database));
        Ok(clickhouse.value(&sql)? != "0")
    }

    /// Every difference between the config and the server; none: loads can start.
    pub fn check(&self, clickhouse: &ClickHouse) -> Result<Vec<Difference>, ClientError> {
        if !self.has_database(clickhouse)? {
            return Ok(vec![missing(&self.database, "a database")]);
        }
        self.differences(clickhouse, &Found::read(clickhouse)?)
    }

    pub(super) fn differences(&self, clickhouse: &ClickHouse, found: &Found) -> Result<Vec<Difference>, ClientError> {
        // What else differs in such a database is of no interest.
        if let Some(difference) = layout::compare(found, &self.rollups) {
            return Ok(vec![difference]);
        }
        let mut differences = Vec::new();
        for table in self.tables() {
            self.compare_table(table, found, true, &mut differences);
            if found.lacks_constraint(table) {
                let expected = table.constraint.map(|(name, check)| format!("{name}: {check}")).unwrap_or_default();
                let (what, actual) = ("constraint", "another one, or none".to_owned());
                differences.push(Difference { object: table.name.clone(), what, expected, actual, mend: Mend::Apply });
            }
        }
        reasons::compare(clickhouse, found, &self.reasons, &mut differences)?;
        for table in self.tables().filter(|table| found.lacks_index(table)) {
            let expected = table.index_sql().unwrap_or_default();
            let object = format!("{}.{BY_SLICE}", table.name);
            differences.push(Difference { mend: Mend::Speed, ..missing(&object, &expected) });
        }
        differences.extend(self.claims.iter().flat_map(|claims| claims::compare(claims, &self.events, found)));
        for rollup in &self.rollups {
            self.compare_table(&rollup.target, found, false, &mut differences);
            for view in &rollup.views {
                compare_view(clickhouse, found, &view.name, &view.select, &mut differences)?;
            }
            differences.extend(self.compare_counting(found, rollup));
        }
        Ok(differences)
    }
}

impl Schema {
    fn compare_table(&self, table: &Table, found: &Found, extendable: bool, differences: &mut Vec<Difference>) {
        compare_table(table, found, extendable, differences);
        if let Some(actual) = found.table(&table.name) {
            differences.extend(durability::compare(self.durability, table, found, actual));
        }
    }

    /// Whether the rollup's table counts what the config says: its conditions are in no column.
    fn compare_counting(&self, found: &Found, rollup: &Rollup) -> Option<Difference> {
        let target = found.table(&rollup.target.name)?;
        (target.comment != rollup.mark()).then(|| Difference {
            object: rollup.target.name.clone(),
            what: "comment that says what is counted",
            expected: rollup.mark(),
            actual: shown(&target.comment),
            mend: Mend::Apply,
        })
    }
}

fn missing(object: &str, expected: &str) -> Difference {
    Difference {
        object: object.to_owned(),
        what: MISSING,
        expected: expected.to_owned(),
        actual: String::new(),
        mend: Mend::Apply,
    }
}

/// Compares a table; `extendable` if columns may be added to it.
fn compare_table(table: &Table, found: &Found, extendable: bool, differences: &mut Vec<Difference>) {
    let Some(actual) = found.table(&table.name) else {
        differences.push(missing(&table.name, "a table"));
        return;
    };
    let mut differ = |object: &str, what: &'static str, expected: &str, actual: &str| {
        if without_quotes(expected) != without_quotes(actual) {
            differences.push(Difference {
                object: object.to_owned(),
                what,
                expected: shown(expected),
                actual: shown(actual),
                mend: Mend::Nobody,
            });
        }
    };
    // On replicated and shared servers the same engine has a prefix.
    let replicated = ["Replicated", "Shared"].iter().find_map(|prefix| actual.engine.strip_prefix(prefix));
    differ(&table.name, "engine", table.engine, replicated.unwrap_or(&actual.engine));
    differ(&table.name, "partition key", table.partition_by.as_deref().unwrap_or(""), &actual.partition_key);
    differ(&table.name, "sorting key", &table.order_by.join(", "), &actual.sorting_key);
    compare_columns(table, found, extendable, differences);
}

fn compare_columns(table: &Table, found: &Found, extendable: bool, differences: &mut Vec<Difference>) {
    for column in &table.columns {
        let object = format!("{}.{}", table.name, column.name);
        let Some(actual) = found.columns(&table.name).iter().find(|actual| actual.name == column.name) else {
            let expected = format!("a column {}", column.sql());
            differences.push(Difference {
                mend: if extendable { Mend::Apply } else { Mend::Nobody },
                ..missing(&object, &expected)
            });
            continue;
        };
        let codec = column.codec.map(|codec| format!("CODEC({codec})")).unwrap_or_default();
        for (what, expected, actual) in [
            ("type", column.ty.as_str(), actual.ty.as_str()),
            ("default", column.default.unwrap_or(""), actual.default.as_str()),
            ("codec", codec.as_str(), actual.codec.as_str()),
        ] {
            if without_quotes(expected) != without_quotes(actual) {
                differences.push(Difference {
                    object: object.clone(),
                    what,
                    expected: shown(expected),
                    actual: shown(actual),
                    mend: Mend::Nobody,
                });
            }
        }
    }
}

pub(super) fn compare_view(
    clickhouse: &ClickHouse,
    found: &Found,
    name: &str,
    select: &str,
    differences: &mut Vec<Difference>,
) -> Result<(), ClientError> {
    let Some(actual) = found.table(name) else {
        differences.push(missing(name, "a view"));
        return Ok(());
    };
    let mut differ = |what, expected: &str, actual: &str| {
        differences.push(Difference {
            object: name.to_owned(),
            what,
            expected: expected.to_owned(),
            actual: actual.to_owned(),
            mend: Mend::Nobody,
        });
    };
    if actual.engine != "View" {
        differ("engine", "View", &actual.engine);
        return Ok(());
    }
    let expected = clickhouse.value(&format!("SELECT formatQuerySingleLine({})", quote_text(select)))?;
    if expected != actual.select {
        differ("query", &expected, &actual.select);
    }
    Ok(())
}

/// The value of a setting in `... SETTINGS a = 1, b = 2`.
fn setting<'a>(engine_full: &'a str, name: &str) -> Option<&'a str> {
    let (_, settings) = engine_full.rsplit_once(" SETTINGS ")?;
    settings.split(", ").find_map(|setting| setting.strip_prefix(name)?.strip_prefix(" = "))
}

/// ClickHouse quotes identifiers only where it must.
fn without_quotes(text: &str) -> String {
    text.replace('`', "")
}

fn shown(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_settings_of_an_engine() {
        let engine =
            "MergeTree PARTITION BY toDate(ts) ORDER BY (a, ts) SETTINGS index_granularity = 8192, x_window = 12";
        assert_eq!(setting(engine, "x_window"), Some("12"));
        assert_eq!(setting(engine, "x"), None);
        assert_eq!(setting("MergeTree ORDER BY a", "x_window"), None);
    }

    #[test]
    fn a_difference_says_what_is_expected_and_what_is_there() {
        let difference = Difference {
            object: "events.amount".to_owned(),
            what: "type",
            expected: "Decimal(18, 2)".to_owned(),
            actual: "Float64".to_owned(),
            mend: Mend::Nobody,
        };
        assert_eq!(
            difference.to_string(),
            "events.amount: type differs\n  expected Decimal(18, 2)\n  actual   Float64"
        );
        assert_eq!(missing("ledger", "a table").to_string(), "ledger is missing: expected a table");
    }
}
