//! A load or a service of which most records become dead letters says why, and what to look at.

use serde_json::{Value, json};

use crate::support::service::Service;
use crate::support::shared::Site;
use crate::support::small::{CONFIG, lines};

/// Lines of which most have a text where a number must be, and some lack the time. Files with other texts are others.
fn misfits(text: &str) -> String {
    let texts: String =
        (0..80).map(|n| format!("{{\"ts\":1795132800000,\"n\":\"{text}\",\"user\":\"u{n}\"}}\n")).collect();
    let timeless: String = (0..10).map(|n| format!("{{\"n\":{n},\"user\":\"u{n}\"}}\n")).collect();
    texts + &timeless
}

/// 90 of 100.
#[test]
fn a_load_of_misfits_names_the_column_and_the_reason_first() {
    let site = Site::new("causes");
    let config = site.config(CONFIG);
    site.write("app.log", misfits("x") + &lines(0..10));
    let output = site.command().args(["load", "-c"]).arg(&config).arg("app.log").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "dead letters are no failure: {err}");
    let loud = "90 of 100 records (90.0%) became dead letters. type_mismatch in column n in 80 of them: check the column's \
                `type` and `format`";
    assert!(err.contains("WARN") && err.contains(loud), "{err}");
    for part in [
        "\n  dead letters  90: missing_field 10, type_mismatch 80\n",
        "                type_mismatch in column n: 80, 80.0% of the records, such as /",
        "/app.log at offset 0: the string",
        "                missing_field in column ts: 10, 10.0% of the records, such as /",
    ] {
        assert!(out.contains(part), "no `{part}` in: {out}");
    }
}

#[test]
fn the_json_summary_has_the_causes_as_the_table_has_them() {
    let site = Site::new("causes_json");
    let log = site.write("app.log", misfits("x") + &lines(0..10));
    let summary = site.load(&site.config(CONFIG), &[log]);
    let Value::Array(causes) = &summary["dead_causes"] else { panic!("{summary}") };
    assert_eq!(causes.len(), 2, "{summary}");
    let [first, second] = [&causes[0], &causes[1]];
    assert_eq!((&first["reason"], &first["column"]), (&json!("type_mismatch"), &json!("n")));
    assert_eq!((&first["count"], &first["share"]), (&json!(80), &json!(0.8)));
    assert_eq!(
        (&second["reason"], &second["column"], &second["count"]),
        (&json!("missing_field"), &json!("ts"), &json!(10))
    );
    // Each example is a dead letter of the table.
    for cause in [first, second] {
        let example = &cause["example"];
        let stored = site.ask(&format!(
            "SELECT source, reason, column, detail FROM {{db}}.dead_letters WHERE offset = {}",
            example["offset"]
        ));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let [source, detail] = ["source", "detail"].map(|key| text(&example[key]));
        let expected = [source, text(&cause["reason"]), text(&cause["column"]), detail].join("\t");
        assert_eq!(stored, [expected]);
    }
}

#[test]
fn a_few_broken_records_are_no_alarm() {
    let site = Site::new("few_causes");
    let config = site.config(CONFIG);
    site.write("app.log", format!("{}nonsense\n", lines(0..99)));
    let output = site.command().args(["load", "-c"]).arg(&config).arg("app.log").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!err.contains("WARN"), "{err}");
    assert!(out.contains("bad_json: 1, 1.0% of the records, such as /"), "{out}");
}

#[test]
fn a_service_says_it_once_for_each_source() {
    let site = Site::new("alarm");
    let sources =
        "[[source]]\nname = \"good\"\npaths = [\"good.log\"]\n[[source]]\nname = \"bad\"\npaths = [\"bad*.log\"]\n";
    let config = site.config(&format!("{sources}{CONFIG}[run]\nslice_age = \"100ms\"\n"));
    site.write("good.log", lines(0..100));
    site.write("bad1.log", misfits("x"));
    let service = Service::start(site.command(), &config);
    let said = service.await_line("became dead letters", 1);
    assert!(said.contains("source bad: 90 of 90 records (100.0%)") && said.contains("column n"), "{said}");
    // More of the same is stored, and not said again.
    site.write("bad2.log", misfits("y"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while site.ask("SELECT count() FROM {db}.dead_letters") != ["180"] {
        assert!(std::time::Instant::now() < end, "the second file is not stored");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(service.said("became dead letters").len(), 1);
    assert_eq!(service.stop(), 0);
}
