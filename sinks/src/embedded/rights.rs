//! What the analyst may read: the databases that are known when the server starts, without the tables that hold records or
//! configs as they are.
//!
//! Rights go by database, so that a new one is nobody's but the engine's until the next start: what is tried there (a bench,
//! a test by faults) is not for analysts. Databases that are there already are named by ClickHouse's own metadata, a file
//! each.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::xml::escape;
use crate::clickhouse::{CONFIGS, DEAD_LETTERS};

/// Tables of each database that analysts do not read: a dead letter keeps its record, and a config says how everything is
/// protected. The dead letters' reasons have a view of their own.
const PRIVATE_TABLES: [&str; 2] = [DEAD_LETTERS, CONFIGS];

/// ClickHouse's own databases.
const SYSTEM_DATABASES: [&str; 3] = ["system", "information_schema", "INFORMATION_SCHEMA"];

/// Tables of the server's own that repeat messages of errors, and with them values of rows that were refused.
const PRIVATE_SYSTEM_TABLES: [&str; 8] = [
    "asynchronous_insert_log",
    "error_log",
    "errors",
    "mutations",
    "part_log",
    "query_log",
    "query_views_log",
    "text_log",
];

/// The analyst's grants as they stand in the users file: a query each.
pub(super) fn analyst_grants(databases: &BTreeSet<String>) -> String {
    let mut queries = vec!["GRANT SHOW ON *.*".to_owned()];
    queries.extend(SYSTEM_DATABASES.map(|database| format!("GRANT SELECT ON {database}.*")));
    queries.extend(PRIVATE_SYSTEM_TABLES.map(|table| format!("REVOKE SELECT ON system.{table}")));
    for database in databases.iter().filter(|name| !SYSTEM_DATABASES.contains(&name.as_str())) {
        let database = quoted(database);
        queries.push(format!("GRANT SELECT, dictGet ON {database}.*"));
        queries.extend(PRIVATE_TABLES.map(|table| format!("REVOKE SELECT ON {database}.{table}")));
    }
    queries.iter().map(|query| format!("        <query>{}</query>\n", escape(query))).collect()
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// The databases that a server on this folder has: `metadata/NAME.sql` each, what is neither letter nor digit nor `_` as `%`
/// and two hex digits.
pub(super) fn databases_in(store: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(store.join("metadata")) {
        // No server has run here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut databases = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        databases.extend(name.to_str().and_then(|name| name.strip_suffix(".sql")).and_then(unescape));
    }
    Ok(databases)
}

/// The name that a file of metadata stands for. None that a grant could take for a pattern, or that cannot be written in XML:
/// nobody but the engine reads such a one.
fn unescape(file: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = match first {
            b'%' => {
                let digits = str::from_utf8(behind.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                &behind[2..]
            }
            _ => {
                bytes.push(first);
                behind
            }
        };
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|name| !name.is_empty() && !name.contains(|c: char| c == '*' || c.is_control()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_tables_are_taken_from_each_database() {
        let grants = analyst_grants(&["shop".to_owned(), "a`b<".to_owned(), "system".to_owned()].into());
        let (of_system, queries): (Vec<&str>, Vec<&str>) =
            grants.lines().map(str::trim).partition(|query| query.contains("REVOKE SELECT ON system."));
        assert_eq!(of_system.len(), PRIVATE_SYSTEM_TABLES.len());
        assert!(of_system.contains(&"<query>REVOKE SELECT ON system.errors</query>"));
        assert_eq!(
            queries,
            [
                "<query>GRANT SHOW ON *.*</query>",
                "<query>GRANT SELECT ON system.*</query>",
                "<query>GRANT SELECT ON information_schema.*</query>",
                "<query>GRANT SELECT ON INFORMATION_SCHEMA.*</query>",
                "<query>GRANT SELECT, dictGet ON `a\\`b&lt;`.*</query>",
                "<query>REVOKE SELECT ON `a\\`b&lt;`.dead_letters</query>",
                "<query>REVOKE SELECT ON `a\\`b&lt;`.configs</query>",
                "<query>GRANT SELECT, dictGet ON `shop`.*</query>",
                "<query>REVOKE SELECT ON `shop`.dead_letters</query>",
                "<query>REVOKE SELECT ON `shop`.configs</query>",
            ]
        );
    }

    #[test]
    fn databases_are_found_by_their_metadata() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(databases_in(store.path()).unwrap(), BTreeSet::new());
        let metadata = store.path().join("metadata");
        fs::create_dir_all(metadata.join("shop")).unwrap();
        for file in ["shop.sql", "my%2Ddb%2Ex.sql", "%E6%97%A5.sql", "odd%2.sql", "star%2A.sql", "%FF.sql", "x.sql.tmp"]
        {
            fs::write(metadata.join(file), "").unwrap();
        }
        let found: Vec<String> = databases_in(store.path()).unwrap().into_iter().collect();
        assert_eq!(found, ["my-db.x", "shop", "日"]);
    }
}
