use proptest::prelude::*;

use super::{Cipher, Keyring, KeyringError, KeyringProblem};
use crate::limits::KEYS_MAX;

/// 32 bytes that are easy to look for: `7a` is `z`.
const SECRET: [u8; 32] = [0x7A; 32];
const SECRET_16: &str = "enp6enp6enp6enp6enp6eg==";
const SECRET_32: &str = "enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eno=";

fn key(id: &str, cipher: &str, secret: &str) -> String {
    format!("[[key]]\nid = \"{id}\"\ncipher = \"{cipher}\"\nsecret = \"{secret}\"\n")
}

fn error(text: &str) -> KeyringError {
    let error = Keyring::parse(text, "keys.toml").unwrap_err();
    assert_keeps_secrets(&format!("{error} {error:?} {:?}", anyhow_like(&error)));
    error
}

/// The chain of causes, as a binary would print it.
fn anyhow_like(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

/// Not in base64, not in hex, not raw, not as a list of numbers; parts of them neither.
fn assert_keeps_secrets(shown: &str) {
    for part in ["enp6", "p6en", "7a7a", "7A7A", "zzzz", "122, 122"] {
        assert!(!shown.contains(part), "`{part}` in: {shown}");
    }
}

fn message(text: &str) -> String {
    error(text).to_string()
}

#[test]
fn keys_are_found_by_their_id() {
    let text = [
        key("web-2026", "aes-256-gcm", SECRET_32),
        key("k1", "aes-128-gcm", SECRET_16.trim_end_matches('=')),
        key("k2", "chacha20-poly1305", SECRET_32),
    ]
    .concat();
    let keyring = Keyring::parse(&text, "keys.toml").unwrap();
    let cipher = |id: &[u8]| keyring.get(id).map(|key| (key.id(), key.cipher()));
    assert_eq!(cipher(b"k1"), Some(("k1", Cipher::Aes128Gcm)));
    assert_eq!(cipher(b"k2"), Some(("k2", Cipher::ChaCha20Poly1305)));
    assert_eq!(cipher(b"web-2026"), Some(("web-2026", Cipher::Aes256Gcm)));
    assert_eq!(cipher(b"k"), None);
    assert_eq!(cipher(b"k11"), None);
    assert_eq!(cipher(b""), None);
    assert_eq!(cipher(b"\xFF"), None);
    let ids: Vec<&str> = keyring.keys().iter().map(super::Key::id).collect();
    assert_eq!(ids, ["k1", "k2", "web-2026"]);
}

#[test]
fn debug_shows_ids_and_ciphers_only() {
    let text = [key("k1", "aes-128-gcm", SECRET_16), key("k2", "aes-256-gcm", SECRET_32)].concat();
    let keyring = Keyring::parse(&text, "keys.toml").unwrap();
    let shown = format!("{keyring:?} {keyring:#?}");
    assert!(shown.starts_with("Keyring { keys: [Key(k1, aes-128-gcm), Key(k2, aes-256-gcm)] }"), "{shown}");
    assert_keeps_secrets(&shown);
}

#[test]
fn the_secrets_of_these_tests_are_what_they_are_said_to_be() {
    use base64::Engine;
    let decode = |text| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    assert_eq!(decode(SECRET_32), SECRET);
    assert_eq!(decode(SECRET_16), SECRET[..16]);
}

#[test]
fn errors_name_the_line_and_what_to_do() {
    let good = key("k1", "aes-128-gcm", SECRET_16);
    let cases = [
        (String::new(), "keys.toml: no keys: add a [[key]] table with `id`, `cipher` and `secret`"),
        ("key = []\n".into(), "keys.toml: no keys: add a [[key]] table with `id`, `cipher` and `secret`"),
        (
            good.replace("[[key]]", "\n[key]"),
            "keys.toml, line 2: `key` must be a table in double brackets, [[key]], once for each key",
        ),
        (
            "key = [1]\n".into(),
            "keys.toml, line 1: `key` must be a table in double brackets, [[key]], once for each key",
        ),
        (
            format!("{good}\n[[keys]]\nid = \"k2\"\n"),
            "keys.toml, line 6: unknown name `keys`; did you mean `key`?: a keyring has [[key]] tables and nothing else",
        ),
        (
            format!("{good}secert = \"{SECRET_32}\"\n"),
            "keys.toml, line 5: unknown field `secert`; did you mean `secret`?: a [[key]] has `id`, `cipher` and `secret`",
        ),
        (good.replace("id = \"k1\"\n", ""), "keys.toml, line 1: this [[key]] has no `id`: add it"),
        (
            format!("{good}\n[[key]]\nid = \"k2\"\ncipher = \"aes-128-gcm\"\n"),
            "keys.toml, line 6: this [[key]] has no `secret`: add it",
        ),
        (good.replace("\"k1\"", "1"), "keys.toml, line 2: `id` must be a string in quotes, not a TOML integer"),
        (
            good.replace("aes-128-gcm", "aes256-gcm"),
            "keys.toml, line 3: unknown `cipher`; did you mean `aes-256-gcm`?: it must be aes-128-gcm, aes-256-gcm or \
             chacha20-poly1305",
        ),
        (
            good.replace("aes-128-gcm", "des"),
            "keys.toml, line 3: unknown `cipher`: it must be aes-128-gcm, aes-256-gcm or chacha20-poly1305",
        ),
        (
            good.replace("aes-128-gcm", "aes-256-gcm"),
            "keys.toml, line 4: aes-256-gcm takes a `secret` of 32 bytes, this one has 16: `openssl rand -base64 32` \
             makes one",
        ),
        (
            key("k1", "aes-128-gcm", SECRET_32),
            "keys.toml, line 4: aes-128-gcm takes a `secret` of 16 bytes, this one has 32: `openssl rand -base64 16` \
             makes one",
        ),
        (
            key("k1", "chacha20-poly1305", ""),
            "keys.toml, line 4: chacha20-poly1305 takes a `secret` of 32 bytes, this one has 0: `openssl rand -base64 \
             32` makes one",
        ),
        (
            key("k1", "chacha20-poly1305", &"enp6".repeat(50)),
            "keys.toml, line 4: chacha20-poly1305 takes a `secret` of 32 bytes, this one has 150: `openssl rand -base64 \
             32` makes one",
        ),
        (
            key("k1", "aes-128-gcm", "enp6enp6-np6enp6enp6eg=="),
            "keys.toml, line 4: `secret` is not base64 of the standard alphabet (A-Z a-z 0-9 + /): is it cut short, or \
             hex, or base64url?",
        ),
        (
            format!("{good}\n{}", key("k2", "aes-128-gcm", SECRET_16)) + &key("k1", "aes-256-gcm", SECRET_32),
            "keys.toml, line 11: `id` is the same as on line 2: give each key its own",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(message(&text), wanted, "{text}");
    }
}

#[test]
fn an_id_is_short_printable_ascii() {
    let parse = |id: &str| Keyring::parse(&key(id, "aes-128-gcm", SECRET_16), "keys.toml").map(drop);
    for id in ["k", "a.b/c:d_e-f", "~", "!", &"k".repeat(64)] {
        parse(id).expect(id);
    }
    for id in ["", "a b", "a\\tb", "a\\\"b", "a'b", "ä", "a\\u0000", "\\u007f", &"k".repeat(65)] {
        let error = parse(id).expect_err(id);
        assert_eq!((error.line, error.problem), (Some(2), KeyringProblem::Id), "{id}");
    }
}

#[test]
fn the_number_of_keys_is_bounded() {
    let keys = |count: usize| -> String {
        (0..count).map(|index| key(&index.to_string(), "aes-128-gcm", SECRET_16)).collect()
    };
    assert_eq!(Keyring::parse(&keys(KEYS_MAX), "keys.toml").unwrap().keys().len(), KEYS_MAX);
    assert_eq!(error(&keys(KEYS_MAX + 1)).problem, KeyringProblem::TooMany);
}

/// Every mistake that comes to mind with a secret in its place; [`error`] looks for it in what is printed.
#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let good = key("k1", "aes-256-gcm", SECRET_32);
    let quoted = format!("\"{SECRET_32}\"");
    let texts = [
        good.replace(&quoted, SECRET_32),
        good.replace(&quoted, &format!("\"{SECRET_32}")),
        good.replace(&quoted, &format!("{quoted} {quoted}")),
        good.replace(&quoted, &format!("{quoted}\nsecret = {quoted}")),
        good.replace(&quoted, &format!("\"{}\"", SECRET_32.replace('6', "-"))),
        good.replace(&quoted, &format!("\"{}\"", "7a".repeat(32))),
        good.replace(&quoted, "\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz!\""),
        good.replace(&quoted, &format!("\"{}\"", &SECRET_32[..20])),
        good.replace("secret = ", ""),
        good.replace("secret = ", "secret\n"),
        good.replace("secret = ", "secret."),
        good.replace("secret = \"", "\"").replace("=\"", "=\" = 1"),
        good.replace("aes-256-gcm", SECRET_32),
        key(SECRET_32, "aes-256-gcm", "k1"),
        key(SECRET_32, "aes-256-gcm", "k1k1"),
        format!("{good}{}", good.replace("k1", SECRET_32)).replace("aes-256", "aes-128"),
        format!("{}{}", key(SECRET_32, "aes-256-gcm", SECRET_32), key(SECRET_32, "aes-256-gcm", SECRET_32)),
        format!("\"{SECRET_32}\" = 1\n{good}"),
        format!("{good}\"{SECRET_32}\" = 1\n"),
        format!("{SECRET_32}\n{good}"),
    ];
    for text in texts {
        error(&text);
    }
}

proptest! {
    /// Keyrings with one byte replaced: whatever becomes of them, nothing is given away.
    #[test]
    fn a_damaged_keyring_keeps_its_secrets(at in 0usize..90, byte in 0x09u8..0x7F) {
        let mut text = key("k1", "aes-256-gcm", SECRET_32).into_bytes();
        prop_assume!(byte != b'\r');
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        match Keyring::parse(&text, "keys.toml") {
            Ok(keyring) => assert_keeps_secrets(&format!("{keyring:?}")),
            Err(error) => assert_keeps_secrets(&format!("{error} {error:?}")),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        let _ = Keyring::parse(&text, "keys.toml");
        let _ = Keyring::parse(&format!("[[key]]\n{text}"), "keys.toml");
    }
}
