//! Whether the user may create what a first load creates. Nothing is created to find out.

use longshore_core::config::Config;

use super::client::ClickHouse;
use super::codes::is_bound_user;
use super::error::ClientError;
use super::preflight::{Grade, Reason};
use super::schema::Schema;
use super::sql::{quote_name, quote_table};

/// ClickHouse's code for a right that the user does not have.
const ACCESS_DENIED: u32 = 497;

/// A column that no table has: a statement that names it fails, and what it fails for first is a right that lacks.
const NO_COLUMN: &str = "longshore_asks_for_its_rights";

/// The rights that lack, as a reason why nothing can be stored.
pub(super) fn to_create(clickhouse: &ClickHouse, config: &Config) -> Result<Option<Reason>, ClientError> {
    let schema = Schema::from_config(config);
    let database = quote_name(&schema.database);
    let mut lacking = Vec::new();
    if !schema.has_database(clickhouse)? && !granted(clickhouse, "CREATE DATABASE", &database)? {
        lacking.push("CREATE DATABASE");
    }
    if !may_create_tables(clickhouse, &schema)? {
        lacking.push("CREATE TABLE");
    }
    let others: &[&str] = if schema.rollups.is_empty() { &[] } else { &["CREATE VIEW"] };
    for &right in others.iter().chain(&["INSERT", "SELECT"]) {
        if !granted(clickhouse, right, &database)? {
            lacking.push(right);
        }
    }
    if lacking.is_empty() {
        return Ok(None);
    }
    let user = clickhouse.value("SELECT currentUser()")?;
    let rights = lacking.join(", ");
    Ok(Some(Reason {
        grade: Grade::Refused,
        what: format!("the tables are not there, and the user {user} may not create and fill them: it lacks {rights}"),
        mend: format!(
            "have somebody who may run `GRANT {rights} ON {database}.* TO {}`, or create the tables with \
             `longshore schema --apply` as another user",
            quote_name(&user)
        ),
    }))
}

/// Asks for a right as ClickHouse 24.10 and later answer it. Earlier ones are given the benefit of the doubt.
fn granted(clickhouse: &ClickHouse, right: &str, database: &str) -> Result<bool, ClientError> {
    match clickhouse.value(&format!("CHECK GRANT {right} ON {database}.*")) {
        Ok(answer) => Ok(answer != "0"),
        Err(ClientError::Server(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Tries to create a table that cannot be created. The server looks at the rights before it looks at anything else.
fn may_create_tables(clickhouse: &ClickHouse, schema: &Schema) -> Result<bool, ClientError> {
    let table = quote_table(&schema.database, &schema.events.name);
    let attempt =
        clickhouse.execute(&format!("CREATE TABLE {table} (a UInt8) ENGINE = MergeTree ORDER BY {NO_COLUMN}"));
    match attempt {
        // A profile that forbids writing is said by itself.
        Err(error) if error.code().is_some_and(is_bound_user) => Ok(true),
        Err(error) if error.code() == Some(ACCESS_DENIED) => Ok(false),
        Err(error) if error.code().is_none() => Err(error),
        Ok(()) | Err(_) => Ok(true),
    }
}
