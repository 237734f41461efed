//! Log lines as a log collector reads them: one an event, of a stable shape, and not more than anybody can use.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::support::shared::Site;
use crate::support::small::CONFIG;

/// The lines on standard error of a load of `missing` files that are not there, which says so of each.
fn lines_about(missing: usize, options: &[&str], format: Option<&str>) -> Vec<String> {
    let site = Site::new("logs");
    site.config(CONFIG);
    let mut command = site.command();
    command.args(["load", "-c", "longshore.toml"]).args((0..missing).map(|number| format!("absent-{number}.log")));
    command.args(options).envs(format.map(|format| ("LONGSHORE_LOG_FORMAT", format)));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(66));
    String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect()
}

/// Of the shape of `2026-11-21T12:00:00.123Z`.
fn is_time(text: &str) -> bool {
    let digits_as_0 = |c: char| if c.is_ascii_digit() { '0' } else { c };
    text.chars().map(digits_as_0).collect::<String>() == "0000-00-00T00:00:00.000Z"
}

fn objects(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn each_json_line_is_an_object_with_the_same_fields() {
    let lines = objects(&lines_about(2, &["--log-format", "json"], None));
    assert_eq!(lines.len(), 3, "one for each file, and why it ended: {lines:?}");
    for line in &lines {
        assert_eq!(line["level"], json!("ERROR"));
        assert_eq!(line["timestamp"].as_str().map(str::len), Some("2026-11-20T08:00:00.000000Z".len()), "{line}");
        assert!(line["target"].as_str().is_some_and(|target| target.starts_with("longshore")), "{line}");
    }
    let message = |line: &Value| line["message"].as_str().unwrap().to_owned();
    assert!(message(&lines[0]).contains("absent-0.log"), "{lines:?}");
    assert!(message(&lines[1]).contains("absent-1.log"), "{lines:?}");
    assert!(message(&lines[2]).contains("nothing was loaded"), "{lines:?}");
    assert_eq!(lines[2]["exit"], json!(66));
}

#[test]
fn the_environment_may_say_the_format_and_the_command_line_outranks_it() {
    let lines = lines_about(1, &[], Some("json"));
    assert_eq!(objects(&lines).len(), 2);
    let lines = lines_about(1, &["--log-format", "text"], Some("json"));
    let (time, rest) = lines[0].split_once(' ').unwrap();
    assert!(is_time(time), "{lines:?}");
    assert!(rest.trim_start().starts_with("ERROR"), "{lines:?}");
    assert!(lines[1].starts_with("longshore: none of the inputs"), "{lines:?}");
}

/// systemd's journal has a time of its own for each line, but somebody who inherited its variable may write elsewhere.
#[test]
fn lines_that_go_to_the_journal_have_no_time() {
    let site = Site::new("logs_journal");
    site.config(CONFIG);
    let path = site.path("stderr");
    for (goes_there, offset) in [(true, 0), (false, 1)] {
        let file = std::fs::File::create(&path).unwrap();
        let metadata = file.metadata().unwrap();
        let mut command = site.command();
        command.args(["load", "-c", "longshore.toml", "absent.log"]).stderr(file);
        command.env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino() + offset));
        assert_eq!(command.status().unwrap().code(), Some(66));
        let said = std::fs::read_to_string(&path).unwrap();
        assert_eq!(said.trim_start().starts_with("ERROR"), goes_there, "{said}");
        assert_eq!(is_time(said.split(' ').next().unwrap()), !goes_there, "{said}");
    }
}

#[test]
fn the_same_complaint_is_not_made_without_end() {
    let lines = objects(&lines_about(50, &["--log-format", "json"], None));
    let about = |line: &&Value| line["message"].as_str().unwrap().contains("absent-");
    assert_eq!(lines.iter().filter(about).count(), 30);
    assert_eq!(lines.len(), 32, "30, how many more there were, and why it ended: {lines:?}");
    assert_eq!((&lines[30]["level"], &lines[30]["suppressed"]), (&json!("WARN"), &json!(20)));
    assert!(lines[30]["message"].as_str().unwrap().starts_with("suppressed 20 more"), "{}", lines[30]);
}
