//! The view of the dead letters for analysts: all that is said of a record, and not the record.
//!
//! Analysts may read the view and not the table, so it reads with the rights of whoever made it, the engine's user. Loads do
//! not need it: where it is missing, or the server refuses it, they go on and say so.

use super::check::{Difference, Found, Mend, compare_view};
use super::client::ClickHouse;
use super::ddl::{DEAD_LETTERS, dead_letters};
use super::error::ClientError;
use super::rollup_ddl::View;
use super::sql::{quote_name, quote_table};

/// Name of the view.
pub const DEAD_LETTER_REASONS: &str = "dead_letter_reasons";

/// What the view leaves out: the records' bytes.
pub(super) const LEFT_OUT: &str = "record";

/// The view.
pub(super) fn reasons(database: &str) -> View {
    let table = dead_letters();
    let columns = table.columns.iter().filter(|column| column.name != LEFT_OUT);
    let list: Vec<String> =
        columns.map(|column| format!("r.{name} AS {name}", name = quote_name(&column.name))).collect();
    let from = quote_table(database, DEAD_LETTERS);
    View { name: DEAD_LETTER_REASONS.to_owned(), select: format!("SELECT {}\nFROM {from} AS r", list.join(", ")) }
}

/// CREATE VIEW with the rights of the user who runs it.
pub(super) fn create(database: &str, view: &View) -> String {
    format!(
        "CREATE VIEW IF NOT EXISTS {} DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n{}",
        quote_table(database, &view.name),
        view.select
    )
}

/// How the server's view differs.
pub(super) fn compare(
    clickhouse: &ClickHouse,
    found: &Found,
    view: &View,
    differences: &mut Vec<Difference>,
) -> Result<(), ClientError> {
    compare_view(clickhouse, found, &view.name, &view.select, differences)?;
    if let Some(actual) = found.table(&view.name)
        && actual.engine == "View"
        && !actual.create.contains(" SQL SECURITY DEFINER ")
    {
        let altered = quote_table(found.database(), &view.name);
        differences.push(Difference {
            object: view.name.clone(),
            what: "rights",
            expected: "the rights of its definer".to_owned(),
            actual: "those of whoever reads it".to_owned(),
            mend: Mend::Setting(format!("ALTER TABLE {altered} MODIFY SQL SECURITY DEFINER")),
        });
    }
    Ok(())
}

/// What to do where the server does not let this user make the view.
pub(super) fn refused(database: &str, error: &ClientError) -> String {
    let letters = quote_table(database, DEAD_LETTERS);
    let table = dead_letters();
    let names: Vec<String> = table.columns.iter().map(|column| quote_name(&column.name)).collect();
    let shown: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != quote_name(LEFT_OUT)).collect();
    format!(
        "the view {DEAD_LETTER_REASONS} was not created ({error}); loads do not need it. To let analysts see why records are \
         dead without seeing the records, GRANT SELECT({}) ON {letters} to them, or create the view of `longshore schema \
         --print` as a user who may",
        shown.join(", ")
    )
}
