//! The version of a database's layout: what its tables mean, beyond what their columns say.
//!
//! The ledger has it as the default of a column, so that it is there from the statement on that makes the ledger, without
//! which nothing is stored. A database of another version is neither changed nor filled.

use super::check::{Difference, Found, Mend};
use super::ddl::LEDGER;
use super::rollup_ddl::Rollup;

/// The layout of this version. Databases of the first one do not say which they have.
pub(super) const LAYOUT: &str = "2";

/// The ledger's column.
pub(super) const LAYOUT_COLUMN: &str = "layout";

/// What [`Difference::what`] says of a database of another layout.
pub(super) const WHAT: &str = "layout";

/// How the database's layout differs. A database without a ledger has none.
pub(super) fn compare(found: &Found, rollups: &[Rollup]) -> Option<Difference> {
    found.table(LEDGER)?;
    let actual = found.column_default(LEDGER, LAYOUT_COLUMN);
    if actual == Some(LAYOUT) {
        return None;
    }
    let is_view = |name: &String| found.table(name).is_some_and(|table| table.engine == "MaterializedView");
    let filled = rollups.iter().map(|rollup| format!("{}_mv", rollup.name)).find(is_view);
    let views = filled.map(|view| format!(", in which materialized views such as {view} fill the rollups"));
    Some(Difference {
        object: found.database().to_owned(),
        what: WHAT,
        expected: LAYOUT.to_owned(),
        actual: format!("layout {}{}", actual.unwrap_or("1"), views.unwrap_or_default()),
        mend: Mend::Nobody,
    })
}
