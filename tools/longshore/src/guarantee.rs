//! What the server can promise, against what the config demands.

use std::path::Path;

use anyhow::anyhow;
use longshore_core::config::{Config, Guarantee};
use longshore_sinks::clickhouse::{ClickHouse, Difference, Grade, Preflight, preflight};

use crate::exit::{CommandResult, Exit, Failure, OrExit};

/// Before a load: refuses where tables differ or less is promised than demanded, and warns where less is wanted.
pub(crate) fn demand(client: &ClickHouse, config: &Config, path: &Path) -> Result<(), Failure> {
    let found = preflight(client, config).or_exit(Exit::Refused)?;
    if !found.differences.is_empty() {
        return Err(Failure { exit: Exit::Config, error: anyhow!(differ(client, &found.differences, path)) });
    }
    let grade = found.grade();
    if !grade.satisfies(config.clickhouse.guarantee) {
        let hint = match grade {
            Grade::Refused => "",
            Grade::AtLeastOnce | Grade::ExactlyOnce => {
                "\nor write `guarantee = \"at-least-once\"` under [clickhouse] to load all the same"
            }
        };
        let wanted = match config.clickhouse.guarantee {
            Guarantee::ExactlyOnce => Grade::ExactlyOnce,
            Guarantee::AtLeastOnce => Grade::AtLeastOnce,
        };
        let error = anyhow!("the config demands {wanted}, but: {grade}\n{}{hint}", reasons(&found));
        return Err(Failure { exit: Exit::Config, error });
    }
    for reason in &found.reasons {
        tracing::warn!("{grade} only: {reason}");
    }
    for note in &found.notes {
        tracing::info!("{note}");
    }
    Ok(())
}

/// For `validate`: prints the grade with its reasons.
pub(crate) fn show(client: &ClickHouse, config: &Config) -> CommandResult {
    let found = preflight(client, config).or_exit(Exit::Refused)?;
    let grade = found.grade();
    println!("guarantee: {grade}");
    if !found.reasons.is_empty() {
        println!("{}", reasons(&found));
    }
    for note in &found.notes {
        println!("note: {note}");
    }
    Ok(if grade.satisfies(config.clickhouse.guarantee) { Exit::Done } else { Exit::Config })
}

fn reasons(found: &Preflight) -> String {
    let list: Vec<String> = found.reasons.iter().map(ToString::to_string).collect();
    list.join("\n")
}

fn differ(client: &ClickHouse, differences: &[Difference], path: &Path) -> String {
    let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let hint = if differences.iter().all(Difference::can_apply) {
        format!("\nrun `longshore schema -c {} --apply` to create what is absent", path.display())
    } else {
        String::new()
    };
    format!("the tables in {} differ from the config:\n{}{hint}", client.database(), list.join("\n"))
}
