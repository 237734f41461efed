//! `longshore chaos`: faults on purpose, for a server of the test's own and for one that others use.

use std::process::Output;

use crate::support::shared::Site;

fn chaos(site: &Site, config: &str, arguments: &[&str]) -> Output {
    let path = site.path("chaos.toml");
    std::fs::write(&path, config).unwrap();
    let mut command = site.command();
    command.args(["chaos", "--quiet", "--folder"]).arg(site.path("")).arg("-c").arg(path).args(arguments);
    command.output().unwrap()
}

const RECORDS: &str = r#"
[decode]
format = "json"
[[column]]
name = "ts"
type = "timestamp"
required = true
[products]
fixed = "shop"
[table]
time = "ts"
"#;

/// What it printed, if it ended well; and that nothing is left in the folder.
fn clean(site: &Site, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> = std::fs::read_dir(site.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("longshore-chaos")), "{left:?}");
    text
}

#[test]
fn ten_faults_of_engine_clickhouse_and_network_lose_and_double_nothing() {
    let site = Site::new("chaos_own");
    let output = chaos(&site, &format!("version = 1\n{RECORDS}[clickhouse.embedded]\n"), &["--faults", "10"]);
    assert!(clean(&site, &output).ends_with("lost 0, twice 0, faults 10\n"));
}

#[test]
fn a_server_that_others_use_is_left_as_it_was() {
    let site = Site::new("chaos_theirs");
    let config = site.config(RECORDS);
    let text = std::fs::read_to_string(config).unwrap();
    let output = chaos(&site, &text, &["--faults", "3", "--seed", "1"]);
    let said = clean(&site, &output);
    assert!(said.ends_with("lost 0, twice 0, faults 3\n"), "{said}");
    assert!(!said.contains("ClickHouse killed") && !said.contains("ClickHouse frozen"), "{said}");
    let scratch = site.execute("SELECT count() FROM system.databases WHERE startsWith(name, '{db}')");
    assert_eq!(scratch.trim(), "0", "the scratch database is dropped, and the config's was never made");
}
