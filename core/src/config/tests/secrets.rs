//! Secrets, written or from variables or files, are in no diagnostic and in no `Debug`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{BASE, END, base_with, env, parse_as};
use crate::column::Mask;
use crate::config::{Config, Diagnostic, ServerSpec, Surroundings, parse_with};

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
        let config =
            parse_as(&text, "longshore.toml", &[("PW", "hunter2 and some more to be a salt")]).expect("a valid config");
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

/// Parses with these files in `/etc/ls`, where the config is.
fn parse_beside(text: &str, files: &[(&str, &[u8])]) -> Result<Config, Vec<Diagnostic>> {
    let files: BTreeMap<PathBuf, Vec<u8>> =
        files.iter().map(|(name, bytes)| (PathBuf::from("/etc/ls").join(name), bytes.to_vec())).collect();
    let read = |path: &std::path::Path, bytes_max: usize| {
        let bytes = files.get(path).ok_or("No such file or directory (os error 2)")?;
        Ok(bytes[..bytes.len().min(bytes_max + 1)].to_vec())
    };
    let env = env(&[("HOME", "/root")]);
    let around = Surroundings { env: &env, read: &read, accepted_before: false };
    parse_with(text, std::path::Path::new("/etc/ls/longshore.toml"), &around)
}

const SALT: &str = "5f2c9a7be0d14386b1c07a9e3d5f8264";

/// A config with a secret's file wherever there can be one.
fn all_files(server: &str) -> String {
    let source = "[[source]]\n[source.kafka]\nbrokers = [\"k:9092\"]\ntopics = [\"t\"]\ngroup = \"g\"\n\
                  tls = { cert_file = \"c\", key_file = \"k\", key_password_file = \"key\" }\n\
                  sasl = { mechanism = \"plain\", user = \"u\", password_file = \"sasl\" }";
    let text = base_with(2, source).replace("type = \"string\"", "type = \"string\"\nmask = { hash_file = \"salt\" }");
    format!("{text}\n[clickhouse]\n{server}\n")
}

#[test]
fn secrets_stand_in_files() {
    let files: [(&str, &[u8]); 4] =
        [("key", b"kpw"), ("sasl", b"spw\r\n"), ("salt", b"5f2c9a7be0d14386b1c07a9e3d5f8264\n"), ("pw", b" c pw \n")];
    for (server, embedded) in [
        ("url = \"http://ch:8123\"\npassword_file = \"pw\"", false),
        ("embedded = { analyst_password_file = \"pw\" }", true),
    ] {
        let config = parse_beside(&all_files(server), &files).unwrap_or_else(|found| panic!("{found:#?}"));
        let password = match &config.clickhouse.server {
            ServerSpec::Url(url) => url.password.clone(),
            ServerSpec::Embedded(spec) => spec.analyst_password.clone().expect("a password"),
        };
        assert_eq!(password.expose(), " c pw ", "one line ending is cut, and nothing else (embedded: {embedded})");
        let kafka = config.sources[0].kafka().expect("topics");
        assert_eq!(kafka.sasl.as_ref().expect("a log-in").password.expose(), "spw");
        let identity = kafka.tls.as_ref().and_then(|tls| tls.identity.as_ref()).expect("a certificate");
        assert_eq!(identity.key_password.as_ref().expect("a password").expose(), "kpw");
        assert_eq!(config.columns[2].mask, Some(Mask::Hash { salt: SALT.as_bytes().to_vec() }));
        let named = ["key", "pw", "salt", "sasl"].map(|name| PathBuf::from("/etc/ls").join(name));
        assert_eq!(config.secrets.files, named);
        assert!(!config.secrets.in_text);
        for secret in ["c pw", "spw", "kpw", SALT] {
            assert!(!format!("{config:?}").contains(secret), "{config:?}");
        }
    }
}

#[test]
fn a_secrets_file_that_cannot_be_used_is_told_with_its_line_and_without_its_content() {
    let server = "url = \"http://ch:8123\"\npassword_file = \"pw\"";
    let text = format!("{}\n[clickhouse]\n{server}\n", base_with(2, "").trim_end());
    let found = |files: &[(&str, &[u8])]| {
        let found = parse_beside(&text, files).expect_err("it is wrong");
        assert_eq!(found.len(), 1, "{found:#?}");
        let shown = format!("{}\n{}\n{:?}", found[0], found[0].render(), found[0]);
        assert!(!shown.contains("hunter2"), "{shown}");
        found[0].to_string()
    };
    let one_line = "write the secret as one line of text";
    assert_eq!(
        found(&[]),
        "/etc/ls/longshore.toml:32:17: clickhouse.password_file: the secret's file /etc/ls/pw cannot be read: No such file \
         or directory (os error 2); relative paths start at the config's folder; the file must be there, and readable by \
         this user"
    );
    let large = [b"hunter2".to_vec(), vec![b'x'; 4090]].concat();
    for (bytes, problem) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\n\n", "has more than one line"),
        (b"hunter2\nhunter2", "has more than one line"),
        (b"hunter2\xff", "is not text in UTF-8"),
    ] {
        let wanted = format!(
            "/etc/ls/longshore.toml:32:17: clickhouse.password_file: the secret's file /etc/ls/pw {problem}; {one_line}"
        );
        assert_eq!(found(&[("pw", bytes)]), wanted);
    }
    let too_large = found(&[("pw", &large)]);
    assert!(too_large.contains("/etc/ls/pw has more than 4 KiB; name a file that holds"), "{too_large}");
}

#[test]
fn a_secret_is_written_or_stands_in_a_file() {
    for (server, key) in [
        ("url = \"http://ch\"\npassword = \"hunter2\"\npassword_file = \"pw\"", "password"),
        ("embedded = { analyst_password = \"hunter2\", analyst_password_file = \"pw\" }", "analyst_password"),
    ] {
        let text = base_with(END, &format!("[clickhouse]\n{server}"));
        let found = parse_beside(&text, &[("pw", b"x")]).expect_err("both are there");
        assert_eq!(found.len(), 1, "{found:#?}");
        let shown = found[0].render();
        assert!(shown.contains(&format!("`{key}` and `{key}_file` exclude each other")), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    // A salt in a file must be one, too.
    let text = base_with(14, "type = \"string\"\nmask = { hash_file = \"salt\" }");
    let found = parse_beside(&text, &[("salt", b"pepper\n")]).expect_err("a short salt");
    assert!(found[0].to_string().contains("mask.hash_file: the salt has less than 16 bytes"), "{}", found[0]);
}

/// Slices in doubt of an earlier version are processed as they were, and as nothing else.
#[test]
fn a_config_that_was_accepted_before_keeps_its_short_salt() {
    let text = base_with(14, "type = \"string\"\nmask = { hash = \"pepper\" }");
    let env = env(&[]);
    let read = |_: &std::path::Path, _| Err("no files".to_owned());
    let around = Surroundings { env: &env, read: &read, accepted_before: true };
    let config = parse_with(&text, std::path::Path::new("longshore.toml"), &around).expect("it was one before");
    assert_eq!(config.columns[2].mask, Some(Mask::Hash { salt: b"pepper".to_vec() }));
}

#[test]
fn salts_are_told_apart_without_being_told() {
    let of = |salt: &str| {
        let text = base_with(14, "type = \"string\"\nmask = { hash_file = \"salt\" }");
        parse_beside(&text, &[("salt", salt.as_bytes())]).expect("a config").salts_fingerprint()
    };
    assert_eq!(of(SALT), of(&format!("{SALT}\n")));
    assert_ne!(of(SALT), of("5f2c9a7be0d14386b1c07a9e3d5f8265"));
    assert_eq!(parse_as(&base_with(2, ""), "longshore.toml", &[]).expect("a config").salts_fingerprint(), None);
}

#[test]
fn a_config_knows_whether_secrets_are_written_in_it() {
    let in_text = |lines: &str| {
        let text = base_with(END, &format!("[clickhouse]\n{lines}"));
        let config = parse_as(&text, "longshore.toml", &[("PW", "p")]).unwrap_or_else(|found| panic!("{found:#?}"));
        config.secrets.in_text
    };
    assert!(in_text("url = \"http://ch\"\npassword = \"hunter2\""));
    assert!(in_text("url = \"http://ch\"\npassword = \"${NOPE:-hunter2}\""));
    assert!(!in_text("url = \"http://ch\"\npassword = \"${PW}\""));
    assert!(!in_text("url = \"http://ch\"\npassword = \"\""));
    assert!(!in_text("url = \"http://ch\""));
}
