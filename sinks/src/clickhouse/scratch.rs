//! A database that is there for a while: beside the config's own, with a name that nobody has, and dropped at the end
//! whatever happens, so that nothing of the user's is touched.

use super::client::ClickHouse;
use super::error::ClientError;
use super::sql::{quote_name, quote_text};

/// Digits at the end of a scratch database's name.
const DIGITS: usize = 16;

/// A scratch database, which need not be made; dropped with this.
pub struct Scratch {
    clickhouse: ClickHouse,
    kept: bool,
}

impl Scratch {
    /// Beside the database that the client has: `DATABASE_PURPOSE_` and 16 digits.
    pub fn new(clickhouse: &ClickHouse, purpose: &str) -> Scratch {
        Scratch::named(clickhouse, &scratch_name(clickhouse.database(), purpose))
    }

    /// The one of that name.
    pub(super) fn named(clickhouse: &ClickHouse, name: &str) -> Scratch {
        Scratch { clickhouse: clickhouse.with_database(name), kept: false }
    }

    /// It stays, so that somebody can look at it.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// The server with this database.
    pub fn clickhouse(&self) -> &ClickHouse {
        &self.clickhouse
    }

    /// Scratch databases that others of that purpose left behind: killed ones, or such that run at this moment.
    ///
    /// # Errors
    /// ClickHouse refuses or is away.
    pub fn left_behind(clickhouse: &ClickHouse, database: &str, purpose: &str) -> Result<Vec<String>, ClientError> {
        let prefix = quote_text(&format!("{database}_{purpose}_"));
        let rows = clickhouse.rows(&format!(
            "SELECT name FROM system.databases WHERE startsWith(name, {prefix}) \
             AND length(name) = length({prefix}) + {DIGITS} ORDER BY name"
        ))?;
        Ok(rows.into_iter().flatten().collect())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let statement = format!("DROP DATABASE IF EXISTS {} SYNC", quote_name(self.clickhouse.database()));
        if let Err(error) = self.clickhouse.execute(&statement) {
            tracing::error!("a scratch database stays behind ({error}); once ClickHouse answers, run `{statement}`");
        }
    }
}

/// A name that nobody has.
pub(super) fn scratch_name(database: &str, purpose: &str) -> String {
    format!("{database}_{purpose}_{:0DIGITS$x}", rand::random::<u64>())
}
