//! Warnings of secrets that others get to see: files whose mode lets anybody read them, and passwords that cross a network in
//! the clear.
//!
//! None is an error. Kubernetes mounts secrets of mode 0644 where nobody else is, and a network may be a cable.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use longshore_core::config::{Config, KafkaSpec, KeyringSpec, SaslMechanism, ServerSpec, UrlSpec};

/// Logs all of them.
pub(crate) fn warn(config: &Config) {
    for warning in of_files(config).into_iter().chain(of_networks(config)) {
        tracing::warn!("{warning}");
    }
}

/// Files with secrets that others may read.
fn of_files(config: &Config) -> Vec<String> {
    // The same file may be named twice.
    let mut secret: BTreeMap<PathBuf, &str> = BTreeMap::new();
    secret.extend(config.secrets.files.iter().map(|path| (path.clone(), "a secret")));
    for spec in config.sources.iter().filter_map(|source| source.kafka()) {
        let identity = spec.tls.as_ref().and_then(|tls| tls.identity.as_ref());
        secret.extend(identity.map(|identity| (identity.key_file.clone(), "the key of a certificate")));
    }
    if let Some(KeyringSpec::File(path)) = config.decode.envelope.as_ref().map(|envelope| &envelope.keyring) {
        secret.insert(path.clone(), "the keyring");
    }
    if config.secrets.in_text {
        secret.insert(config.path.clone(), "the config, in which secrets are written,");
    }
    secret.iter().filter_map(|(path, what)| of_file(path, what)).collect()
}

fn of_file(path: &Path, what: &str) -> Option<String> {
    // A file that cannot be looked at is somebody else's error.
    let metadata = fs::metadata(path).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe, such as a shell's <(...), has no mode that means anything.
    (metadata.is_file() && mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!("{what} {path} is open to other users (mode {mode:04o}): run `chmod 600 {path}` as its owner")
    })
}

/// Passwords that go to another machine as they are.
fn of_networks(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let ServerSpec::Url(UrlSpec { url, password, .. }) = &config.clickhouse.server
        && let Some(authority) = url.strip_prefix("http://")
        && !password.expose().is_empty()
        && !is_this_machine(authority)
    {
        warnings.push(format!(
            "the password of [clickhouse] goes to {url} in the clear, for everybody on the way to read: use an https URL"
        ));
    }
    for source in &config.sources {
        let Some(KafkaSpec { tls: None, sasl: Some(sasl), brokers, .. }) = source.kafka() else { continue };
        let Some(broker) = brokers.iter().find(|broker| !is_this_machine(broker)) else { continue };
        if sasl.mechanism == SaslMechanism::Plain {
            warnings.push(format!(
                "the password of source \"{}\" goes to {broker} in the clear, for everybody on the way to read: add a \
                 [source.kafka.tls] section, or use the mechanism \"scram-sha-512\"",
                source.name
            ));
        }
    }
    warnings
}

/// Whether `host`, `host:port` or `[address]:port` leads to nobody but this machine.
fn is_this_machine(authority: &str) -> bool {
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(host, _)| host);
    let host = bracketed.unwrap_or_else(|| authority.split_once(':').map_or(authority, |(host, _)| host));
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use longshore_core::config::{Env, Surroundings, parse_with};

    use super::*;

    const COLUMNS: &str = "[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n[[column]]\nname = \"p\"\n\
                           type = \"low_cardinality\"\n[products]\ncolumn = \"p\"\n[table]\ntime = \"ts\"\n";

    fn config(text: &str, path: &Path) -> Config {
        let env = Env::from_iter([("PW".to_owned(), "hunter2".to_owned())]);
        let read = |path: &Path, _| fs::read(path).map_err(|error| error.to_string());
        let around = Surroundings { env: &env, read: &read, accepted_before: false };
        parse_with(&format!("version = 1\n{COLUMNS}{text}"), path, &around).unwrap_or_else(|found| panic!("{found:#?}"))
    }

    #[test]
    fn files_that_others_may_read_are_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("longshore.toml");
        let file = |name: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        };
        let keyring = |mode| {
            let shown = file("keys.toml", mode);
            let sealed = "[decode.envelope]\nlayout = \"tab\"\nkeyring = \"keys.toml\"\n";
            (of_files(&config(sealed, &path)), shown)
        };
        let (found, shown) = keyring(0o644);
        let wanted =
            format!("the keyring {shown} is open to other users (mode 0644): run `chmod 600 {shown}` as its owner");
        assert_eq!(found, [wanted]);
        for mode in [0o640, 0o604, 0o660, 0o620] {
            assert_eq!(keyring(mode).0.len(), 1, "{mode:o}");
        }
        for mode in [0o600, 0o400] {
            assert_eq!(keyring(mode).0, [""; 0], "{mode:o}");
        }

        let shown = file("longshore.toml", 0o644);
        let written = "[clickhouse]\nurl = \"http://localhost:8123\"\npassword = \"hunter2\"\n";
        let found = of_files(&config(written, &path));
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("the config, in which secrets are written, {shown}"))
        );
        assert!(!found[0].contains("hunter2"));
        assert_eq!(of_files(&config(&written.replace("hunter2", "${PW}"), &path)), [""; 0]);

        file("pw", 0o640);
        let in_file = "[clickhouse]\nurl = \"http://localhost:8123\"\npassword_file = \"pw\"\n";
        let found = of_files(&config(in_file, &path));
        assert!(found.len() == 1 && found[0].starts_with("a secret "), "{found:?}");
        file("pw", 0o600);
        assert_eq!(of_files(&config(in_file, &path)), [""; 0]);
    }

    #[test]
    fn passwords_in_the_clear_are_told_apart_from_those_that_stay_here() {
        let path = Path::new("/nonexistent/longshore.toml");
        let clickhouse = |url: &str, password: &str| {
            of_networks(&config(&format!("[clickhouse]\nurl = \"{url}\"\npassword = \"{password}\"\n"), path))
        };
        for url in
            ["http://ch.example:8123", "http://10.0.0.7:8123", "http://[fe80::1]:8123", "http://localhost.example"]
        {
            let found = clickhouse(url, "${PW}");
            assert!(found.len() == 1 && found[0].contains(url) && !found[0].contains("hunter2"), "{found:?}");
            assert_eq!(clickhouse(url, ""), [""; 0], "{url}");
        }
        for url in
            ["http://localhost:8123", "http://127.1.2.3:8123", "http://[::1]:8123", "http://a.localhost", "https://ch"]
        {
            assert_eq!(clickhouse(url, "${PW}"), [""; 0], "{url}");
        }
        let kafka = |brokers: &str, mechanism: &str, tls: &str| {
            of_networks(&config(
                &format!(
                    "[[source]]\n[source.kafka]\nbrokers = [{brokers}]\ntopics = [\"t\"]\ngroup = \"g\"\n{tls}\n\
                     sasl = {{ mechanism = \"{mechanism}\", user = \"u\", password = \"${{PW}}\" }}\n"
                ),
                path,
            ))
        };
        let found = kafka("\"localhost:9092\", \"k1:9092\"", "plain", "");
        assert!(found.len() == 1 && found[0].contains("source-1") && found[0].contains("k1:9092"), "{found:?}");
        assert_eq!(kafka("\"localhost:9092\"", "plain", ""), [""; 0]);
        assert_eq!(kafka("\"k1:9092\"", "scram-sha-512", ""), [""; 0]);
        assert_eq!(kafka("\"k1:9092\"", "plain", "tls = {}"), [""; 0]);
    }
}
