//! What the server can promise, against what the config demands.

use std::path::Path;

use anyhow::anyhow;
use longshore_core::config::Config;
use longshore_sinks::clickhouse::{
    ClickHouse, ClientError, Difference, Grade, Preflight, preflight, preflight_of_nothing,
};

use crate::exit::{CommandResult, Exit, Failure, OrExit};
use crate::output::say;

/// Before a load: refuses where tables differ or less is promised than demanded, and warns where less is wanted.
pub(crate) fn demand(client: &ClickHouse, config: &Config, path: &Path) -> Result<(), Failure> {
    let found = preflight(client, config).or_exit(Exit::Refused)?;
    let grade = found.grade();
    if let Some(refusal) = found.refusal(config.clickhouse.guarantee, client.database()) {
        let hint = match (&found.differences[..], grade) {
            ([], Grade::Refused) => String::new(),
            ([], Grade::UntilPowerFails | Grade::AtLeastOnce | Grade::ExactlyOnce) => {
                "\nor write `guarantee = \"at-least-once\"` under [clickhouse] to load all the same".to_owned()
            }
            (differences, _) if differences.iter().all(Difference::can_apply) => {
                format!("\nrun `longshore schema -c {} --apply` to create what is absent", path.display())
            }
            _ => String::new(),
        };
        return Err(Failure { exit: Exit::Config, error: anyhow!("{refusal}{hint}") });
    }
    for reason in &found.reasons {
        tracing::warn!("promised is {grade}: {reason}");
    }
    for note in &found.notes {
        tracing::info!("{note}");
    }
    Ok(())
}

/// While a service runs: why nothing may be stored as another config says, one by one; nothing if it may.
pub(crate) fn objections(client: &ClickHouse, config: &Config, path: &Path) -> Result<Vec<String>, ClientError> {
    let found = preflight(client, config)?;
    if !found.differences.is_empty() {
        let object = |difference: &Difference| match difference.can_apply() {
            true => format!("{difference} (`longshore schema -c {} --apply` mends it)", path.display()),
            false => difference.to_string(),
        };
        return Ok(found.differences.iter().map(object).collect());
    }
    let grade = found.grade();
    match grade.satisfies(config.clickhouse.guarantee) {
        true => Ok(Vec::new()),
        false => Ok(found
            .reasons
            .iter()
            .map(|reason| format!("promised is {grade}: {}; {}", reason.what, reason.mend))
            .collect()),
    }
}

/// For `validate`: prints the grade with its reasons.
pub(crate) fn show(client: &ClickHouse, config: &Config) -> CommandResult {
    print(&preflight(client, config).or_exit(Exit::Refused)?, config)
}

/// The same before the tables are there: what will hold once the first load has created them.
pub(crate) fn show_of_nothing(client: &ClickHouse, config: &Config) -> CommandResult {
    print(&preflight_of_nothing(client, config).or_exit(Exit::Refused)?, config)
}

fn print(found: &Preflight, config: &Config) -> CommandResult {
    let grade = found.grade();
    match found.differences.is_empty() {
        true => say!("guarantee: {grade}"),
        false => say!("guarantee: {grade} while the tables differ from the config"),
    }
    if !found.reasons.is_empty() {
        say!("{}", reasons(found));
    }
    for note in &found.notes {
        say!("note: {note}");
    }
    Ok(if grade.satisfies(config.clickhouse.guarantee) { Exit::Done } else { Exit::Config })
}

fn reasons(found: &Preflight) -> String {
    let list: Vec<String> = found.reasons.iter().map(ToString::to_string).collect();
    list.join("\n")
}
