//! What this server and these tables can promise, found out before the first insert and again after each reconnect.
//!
//! Exactly once rests on four things: a server that knows our settings, settings that the server applies as we send
//! them, tables that are as the config says, and tables that remember tokens long enough. Power loss adds a fifth: parts
//! that are on the disk before they are acknowledged. Each that is missing is a [`Reason`] with its remedy; the worst of
//! them is the [`Grade`]. Nothing is changed here.

use std::collections::HashMap;
use std::fmt;

use longshore_core::config::{Config, Guarantee};

use super::check::Difference;
use super::client::{ClickHouse, VERSION_MIN, parse_version};
use super::codes::is_bound_user;
use super::error::ClientError;
use super::partials::check_states;
use super::rights;
use super::schema::Schema;
use super::sql::{quote_name, quote_text};

/// What can be promised, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// No insert can succeed.
    Refused,
    /// A power failure of the server's machine may take rows that were acknowledged and leave the ledger's row of their
    /// slice, so that they are not loaded again; or the other way round, so that they are there twice.
    UntilPowerFails,
    /// Nothing acknowledged is lost, but a retry may store rows twice.
    AtLeastOnce,
    /// Every slice is stored once, whatever is retried.
    ExactlyOnce,
}

impl Grade {
    /// Whether this is at least what the config demands.
    pub fn satisfies(self, guarantee: Guarantee) -> bool {
        match guarantee {
            Guarantee::ExactlyOnce => self == Grade::ExactlyOnce,
            // There is no lower one to ask for: it is for those who take what they get, and are told what that is.
            Guarantee::AtLeastOnce => self >= Grade::UntilPowerFails,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grade::Refused => "nothing can be stored",
            Grade::UntilPowerFails => "at-least-once until the server's power fails",
            Grade::AtLeastOnce => "at-least-once",
            Grade::ExactlyOnce => "exactly-once",
        })
    }
}

/// Why the grade is not better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The best grade that there can be while this holds.
    pub grade: Grade,
    /// What is so, and what follows from it.
    pub what: String,
    /// What mends it: a statement, or what somebody has to do.
    pub mend: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  to mend it: {}", self.what, self.mend)
    }
}

/// What a preflight found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// Tables that are not as the config says; with any, no insert may start.
    pub differences: Vec<Difference>,
    /// Why the grade is not exactly-once; none: it is.
    pub reasons: Vec<Reason>,
    /// What an operator should know, though it changes no grade.
    pub notes: Vec<String>,
}

impl Preflight {
    /// The worst of the reasons; [`Grade::Refused`] if tables differ.
    pub fn grade(&self) -> Grade {
        let worst = self.reasons.iter().map(|reason| reason.grade).min().unwrap_or(Grade::ExactlyOnce);
        if self.differences.is_empty() { worst } else { Grade::Refused }
    }

    /// Why nothing may be stored in this database under a config that demands this; `None` if it may.
    pub fn refusal(&self, guarantee: Guarantee, database: &str) -> Option<String> {
        if !self.differences.is_empty() {
            let list: Vec<String> = self.differences.iter().map(ToString::to_string).collect();
            return Some(format!("the tables in {database} differ from the config:\n{}", list.join("\n")));
        }
        let grade = self.grade();
        if grade.satisfies(guarantee) {
            return None;
        }
        let wanted = match guarantee {
            Guarantee::ExactlyOnce => Grade::ExactlyOnce,
            Guarantee::AtLeastOnce => Grade::AtLeastOnce,
        };
        let list: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
        Some(format!("the config demands {wanted} (`guarantee` under [clickhouse]), but: {grade}\n{}", list.join("\n")))
    }
}

/// Settings that no insert sets and that decide nonetheless.
const READ_BACK: [&str; 4] =
    ["readonly", "max_insert_block_size_bytes", "use_strict_insert_block_limits", "insert_quorum"];

/// Grades what this server can promise to this config. Reads only; the tables must have been created.
///
/// # Errors
/// The server is away, or does not let us read its system tables.
pub fn preflight(clickhouse: &ClickHouse, config: &Config) -> Result<Preflight, ClientError> {
    let Preflight { mut reasons, mut notes, .. } = server(clickhouse, config)?;
    let (for_analysts, differences): (Vec<_>, Vec<_>) =
        Schema::from_config(config).check(clickhouse)?.into_iter().partition(Difference::is_for_analysts);
    let (weak, differences): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .filter(|difference| !difference.is_only_slow())
        .partition(|difference| difference.statement().is_some());
    reasons.extend(weak.iter().map(weakness));
    reasons.extend(unsynced(clickhouse, config)?);
    notes.extend(for_analysts.iter().map(|difference| {
        format!("for analysts: {difference}; loads do not need it, and `longshore schema --apply` makes it")
    }));
    Ok(Preflight { differences, reasons, notes })
}

/// Grades what this server can promise to this config once its tables are there, of which there is none yet: the first
/// load creates them as it needs them. Changes nothing.
///
/// # Errors
/// The server is away, or does not let us ask.
pub fn preflight_of_nothing(clickhouse: &ClickHouse, config: &Config) -> Result<Preflight, ClientError> {
    let mut found = server(clickhouse, config)?;
    // A user who may not write at all lacks every right, and another reason says so.
    if found.grade() != Grade::Refused {
        found.reasons.extend(rights::to_create(clickhouse, config)?);
    }
    if !config.clickhouse.fsync {
        found.reasons.push(no_fsync("the tables"));
    }
    Ok(found)
}

/// What does not depend on tables.
fn server(clickhouse: &ClickHouse, config: &Config) -> Result<Preflight, ClientError> {
    let mut reasons = Vec::new();
    reasons.extend(version(clickhouse)?);
    reasons.extend(states(clickhouse, config)?);
    let applied = match clickhouse.applied_insert_settings(&READ_BACK) {
        Ok(applied) => applied,
        Err(error) => match refused_setting(&error) {
            Some(reason) => {
                reasons.push(reason);
                HashMap::new()
            }
            None => return Err(error),
        },
    };
    reasons.extend(settings(clickhouse, &applied));
    let notes = notes(clickhouse, &applied)?;
    Ok(Preflight { differences: Vec::new(), reasons, notes })
}

/// The server may have been replaced since we connected; what an insert sets goes by the one that is there now.
fn version(clickhouse: &ClickHouse) -> Result<Option<Reason>, ClientError> {
    let text = clickhouse.value("SELECT version()")?;
    let reason = |what: String, mend: &str| Some(Reason { grade: Grade::Refused, what, mend: mend.to_owned() });
    Ok(match parse_version(&text) {
        Some(now) if now < VERSION_MIN => reason(
            format!("ClickHouse is now version {text}; {}.{} or later is needed", VERSION_MIN.0, VERSION_MIN.1),
            "upgrade the server",
        ),
        Some(now) => {
            clickhouse.set_version(now);
            None
        }
        None => reason(format!("version() is `{text}`, which is not ClickHouse's"), "check the port in `url`"),
    })
}

/// States of distinct values that the engine writes have to be what this server keeps.
fn states(clickhouse: &ClickHouse, config: &Config) -> Result<Option<Reason>, ClientError> {
    match check_states(clickhouse, config) {
        Err(ClientError::Invalid(what)) => Ok(Some(Reason {
            grade: Grade::Refused,
            what,
            mend: "a ClickHouse of another version, or a Longshore that knows this one".to_owned(),
        })),
        Ok(()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the server refused one of our settings, and what to do about it.
fn refused_setting(error: &ClientError) -> Option<Reason> {
    let mend = match error.code()? {
        code if is_bound_user(code) => {
            "take `readonly` and the constraint from the user's settings profile, or connect as another user"
        }
        115 | 471 => "upgrade the server: every insert needs this setting",
        _ => return None,
    };
    let what = format!("the server does not let this user set what every insert sets: {error}");
    Some(Reason { grade: Grade::Refused, what, mend: mend.to_owned() })
}

/// Compares what the server applies with what we sent; nothing was read back if it refused.
fn settings(clickhouse: &ClickHouse, applied: &HashMap<String, String>) -> Vec<Reason> {
    if applied.is_empty() {
        return Vec::new();
    }
    let mut reasons = Vec::new();
    for (name, wanted) in clickhouse.insert_settings() {
        let value = applied.get(name).map_or("nothing", String::as_str);
        if value != wanted {
            reasons.push(Reason {
                grade: Grade::AtLeastOnce,
                what: format!(
                    "the server applies {name} = {value} to our inserts, which set {wanted}: a retry may store rows twice"
                ),
                mend: format!("find what overrules {name} in the user's profile or in a proxy between, and take it away"),
            });
        }
    }
    let applied = |name: &str| applied.get(name).map_or("0", String::as_str);
    if applied("readonly") != "0" {
        reasons.push(Reason {
            grade: Grade::Refused,
            what: format!("the user may only read: its profile has readonly = {}", applied("readonly")),
            mend: "take `readonly` from the user's settings profile, or connect as another user".to_owned(),
        });
    }
    if applied("max_insert_block_size_bytes") != "0" && applied("use_strict_insert_block_limits") != "0" {
        reasons.push(Reason {
            grade: Grade::AtLeastOnce,
            what: "max_insert_block_size_bytes with use_strict_insert_block_limits cuts an insert into blocks: a slice may \
                   be stored in part under its token"
                .to_owned(),
            mend: "set max_insert_block_size_bytes = 0 in the user's settings profile".to_owned(),
        });
    }
    reasons
}

/// Tables that the config does not want synced. Those that are replicated have their rows on other machines.
fn unsynced(clickhouse: &ClickHouse, config: &Config) -> Result<Option<Reason>, ClientError> {
    if config.clickhouse.fsync {
        return Ok(None);
    }
    let alone = clickhouse.value(&format!(
        "SELECT count() FROM system.tables WHERE database = {} AND endsWith(engine, 'MergeTree') \
         AND NOT startsWith(engine, 'Replicated') AND NOT startsWith(engine, 'Shared')",
        quote_text(clickhouse.database())
    ))?;
    Ok((alone != "0").then(|| no_fsync(&format!("{alone} tables"))))
}

/// Why `fsync = false` promises less.
fn no_fsync(tables: &str) -> Reason {
    Reason {
        grade: Grade::UntilPowerFails,
        what: format!(
            "`fsync = false` under [clickhouse]: {tables} acknowledge what is not on the disk yet. A power failure of \
             the server's machine may take rows of the last minutes and leave the ledger's row of their slice, so that they \
             are not loaded again"
        ),
        mend: "take `fsync = false` away, then `longshore schema --apply`".to_owned(),
    }
}

/// A table setting that is not as it should be, in an operator's words.
fn weakness(difference: &Difference) -> Reason {
    let (grade, consequence) =
        if difference.expected.starts_with("fsync") || difference.expected.starts_with("old_parts") {
            (Grade::UntilPowerFails, "a power failure may take rows that were acknowledged")
        } else if difference.what == "TTL" {
            let judged = "a slice that is in doubt for long may be judged anew, and an event of it stored twice";
            (Grade::AtLeastOnce, judged)
        } else {
            (Grade::AtLeastOnce, "a retry may store rows twice")
        };
    Reason {
        grade,
        what: format!(
            "table {} has {}, and should have {}: {consequence}",
            difference.object, difference.actual, difference.expected
        ),
        mend: format!("{}, or `longshore schema --apply`", difference.statement().unwrap_or_default()),
    }
}

/// What is the operator's own choice.
fn notes(clickhouse: &ClickHouse, applied: &HashMap<String, String>) -> Result<Vec<String>, ClientError> {
    let mut notes = Vec::new();
    let replicated = clickhouse.value(&format!(
        "SELECT count() FROM system.tables WHERE database = {} AND startsWith(engine, 'Replicated')",
        quote_text(clickhouse.database())
    ))?;
    let quorum = applied.get("insert_quorum").map_or("0", String::as_str);
    if replicated != "0" && matches!(quorum, "0" | "1") {
        notes.push(format!(
            "{} replicated in {}, and insert_quorum is {quorum}: an insert is acknowledged by one replica, so losing that \
             machine before the others have fetched loses it; set insert_quorum = 'auto' in the user's settings profile to \
             have a majority acknowledge",
            if replicated == "1" { "one table is".to_owned() } else { format!("{replicated} tables are") },
            quote_name(clickhouse.database())
        ));
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(grades: &[Grade]) -> Preflight {
        let reason = |&grade| Reason { grade, what: "w".into(), mend: "m".into() };
        Preflight { differences: Vec::new(), reasons: grades.iter().map(reason).collect(), notes: Vec::new() }
    }

    #[test]
    fn the_worst_reason_is_the_grade() {
        assert_eq!(with(&[]).grade(), Grade::ExactlyOnce);
        assert_eq!(with(&[Grade::AtLeastOnce]).grade(), Grade::AtLeastOnce);
        assert_eq!(with(&[Grade::AtLeastOnce, Grade::UntilPowerFails]).grade(), Grade::UntilPowerFails);
        assert_eq!(with(&[Grade::UntilPowerFails, Grade::Refused]).grade(), Grade::Refused);
    }

    #[test]
    fn what_the_config_demands_is_compared_with_the_grade() {
        let demands = |grade: Grade| (grade.satisfies(Guarantee::ExactlyOnce), grade.satisfies(Guarantee::AtLeastOnce));
        assert_eq!(demands(Grade::ExactlyOnce), (true, true));
        assert_eq!(demands(Grade::AtLeastOnce), (false, true));
        assert_eq!(demands(Grade::UntilPowerFails), (false, true));
        assert_eq!(demands(Grade::Refused), (false, false));
    }

    #[test]
    fn a_reason_names_its_remedy() {
        let reason = &with(&[Grade::AtLeastOnce]).reasons[0];
        assert_eq!(reason.to_string(), "w\n  to mend it: m");
    }
}
