//! Secrets, written or from variables, are in no diagnostic and in no `Debug`.

use super::{BASE, END, base_with, parse_as};

/// Every way a diagnostic can be shown.
fn shown(text: &str, variables: &[(&str, &str)]) -> String {
    let found = parse_as(text, "longshore.toml", variables).expect_err(text);
    found.iter().map(|diagnostic| format!("{diagnostic}\n{}\n{diagnostic:?}\n", diagnostic.render())).collect()
}

#[test]
fn no_diagnostic_shows_a_written_secret() {
    let column = |mask: &str| base_with(14, &format!("type = \"string\"\n{mask}"));
    let server = |lines: &str| base_with(END, &format!("[clickhouse]\n{lines}"));
    let cases = [
        server("password = \"hunter2\""),
        server("pasword = \"hunter2\""),
        server("Password = \"hunter2\"\nurl = 5"),
        server("password = [\"hunter2\"]\nurl = \"http://ch\""),
        server("url = \"http://loader:hunter2@ch:8123\""),
        server("url = \"tcp://loader:hunter2@ch:9000\""),
        server("url = \"hunter2\"").replace("url = \"hunter2\"", "url = 5 # password: hunter2"),
        server("embedded = { http_prt = 1, analyst_password = \"hunter2\" }"),
        server("embedded = { analyst_pasword = \"hunter2\" }"),
        server("password = \"\"\"\nhunter2\n\"\"\"\nurll = 1"),
        server("embedded = {\n  analyst_password = \"\"\"\nhunter2\"\"\", http_prt = 1 }"),
        server("password = \"hunter2${MISSING}\"\nurl = \"http://ch\""),
        server("password = \"hunter2${\"\nurl = \"http://ch\""),
        server("password = \"${MISSING:-hunter2\"\nurl = \"http://ch\""),
        server("password = \"${MISSING=hunter2}\"\nurl = \"http://ch\""),
        server("password = \"${hunter2 }\"\nurl = \"http://ch\"").replace("${hunter2 }", "${ hunter2}"),
        server("password = \"hunter2"),
        server("password = hunter2"),
        server("password = \"\"\"\nhunter2"),
        column("mask = { hash = \"hunter2\", truncate = 3 }"),
        column("mask = { hsh = \"hunter2\" }"),
        column("mask = { salt = \"hunter2\" }"),
        column("mask = { hash = [\"hunter2\"] }"),
        column("mask = { hash = \"hunter2\" ").to_owned(),
        base_with(14, "type = \"u8\"\nmask = { hash = \"hunter2\" }"),
    ];
    for text in cases {
        assert!(text.contains("hunter2"));
        let shown = shown(&text, &[]);
        assert!(!shown.contains("hunter2"), "{text}\n{shown}");
    }
}

#[test]
fn no_diagnostic_shows_a_secret_from_a_variable() {
    let secrets = [("PW", "hunter2"), ("EMPTY", ""), ("URL", "http://loader:hunter2@ch:8123")];
    let cases = [
        "password = \"${PW}\"",
        "url = \"${URL}\"",
        "url = \"${PW}\"",
        "url = \"http://ch\"\npassword = \"${PW}\"\nuser = \"${EMPTY}\"",
        "url = \"http://ch\"\npassword = \"${PW}${MISSING}\"",
        "[clickhouse.embedded]\nanalyst_password = \"${PW}\"\nhttp_port = 0",
    ];
    for lines in cases {
        let text = base_with(END, &format!("[clickhouse]\n{lines}"));
        let shown = shown(&text, &secrets);
        assert!(!shown.contains("hunter2"), "{text}\n{shown}");
    }
    let keys = base_with(2, "[decode.envelope]\nlayout = \"tab\"\nkeyring_env = \"${KEYS}\"");
    let shown = shown(&keys, &[("KEYS", "[[key]]\nid = \"k1\"\nsecret = \"hunter2\"")]);
    assert!(shown.contains("this is not the name of a variable"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn debug_of_a_config_shows_no_secret() {
    let url = "[clickhouse]\nurl = \"http://ch:8123\"\npassword = \"${PW}\"";
    let embedded = "[clickhouse.embedded]\nanalyst_password = \"${PW}\"";
    for server in [url, embedded] {
        let text =
            base_with(END, server).replace("type = \"string\"", "type = \"string\"\nmask = { hash = \"${PW}\" }");
        let config = parse_as(&text, "longshore.toml", &[("PW", "hunter2")]).expect("a valid config");
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let bytes = format!("{:?}", "hunter2".as_bytes());
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
        assert!(shown.contains("<secret>"), "{shown}");
    }
}

#[test]
fn a_problem_beside_a_secret_is_still_shown() {
    let text = BASE.join("\n") + "\n[clickhouse]\nurll = \"http://ch:8123\"\npassword = \"hunter2\"\n";
    let shown = shown(&text, &[]);
    assert!(shown.contains("31 | urll = \"http://ch:8123\""), "{shown}");
}
