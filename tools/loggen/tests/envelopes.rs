//! Every envelope opens, with keys read from the keyring file, to the lines of the plain file; broken ones
//! fail for the reason that the summary counts.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{json, lines, options, run, sound};
use loggen::{Cipher, Encryption, Envelope, Error, Options};

const CIPHERS: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
const ENVELOPES: [Envelope; 3] = [Envelope::Tab, Envelope::Json, Envelope::Frame];

/// Keys by id, as another program would read them.
fn keys(keyring: &str) -> HashMap<String, LessSafeKey> {
    let file: toml::Table = keyring.parse().unwrap();
    let entries = file["key"].as_array().unwrap().iter().map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap();
        let algorithm = match text("cipher") {
            "aes-128-gcm" => &AES_128_GCM,
            "aes-256-gcm" => &AES_256_GCM,
            "chacha20-poly1305" => &CHACHA20_POLY1305,
            other => panic!("{other}"),
        };
        let secret = STANDARD.decode(text("secret")).unwrap();
        (text("id").to_owned(), LessSafeKey::new(UnboundKey::new(algorithm, &secret).unwrap()))
    });
    entries.collect()
}

/// Cuts the file into envelopes.
fn envelopes(log: &[u8], envelope: Envelope) -> Vec<&[u8]> {
    if envelope != Envelope::Frame {
        return lines(log);
    }
    let mut frames = Vec::new();
    let mut rest = log;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (frame, next) = after.split_at(u32::from_be_bytes(*length) as usize);
        frames.push(frame);
        rest = next;
    }
    assert!(rest.is_empty());
    frames
}

/// Key id, nonce, ciphertext with tag.
fn unwrap(bytes: &[u8], envelope: Envelope) -> Option<(String, Vec<u8>, Vec<u8>)> {
    let (key, mut nonce) = match envelope {
        Envelope::Tab => {
            let (key, data) = std::str::from_utf8(bytes).unwrap().split_once('\t')?;
            (key.to_owned(), STANDARD.decode(data).ok()?)
        }
        Envelope::Json => {
            let object = json(bytes);
            assert_eq!(object.as_object().unwrap().len(), 3);
            let decoded = |name: &str| STANDARD.decode(object[name].as_str().unwrap()).ok();
            (object["key"].as_str().unwrap().to_owned(), [decoded("nonce")?, decoded("data")?].concat())
        }
        Envelope::Frame => {
            let (length, rest) = bytes.split_first()?;
            let (key, rest) = rest.split_at_checked(usize::from(*length))?;
            (String::from_utf8(key.to_vec()).unwrap(), rest.to_vec())
        }
    };
    if nonce.len() < 12 + 16 {
        return None;
    }
    let sealed = nonce.split_off(12);
    Some((key, nonce, sealed))
}

fn open(bytes: &[u8], envelope: Envelope, keys: &HashMap<String, LessSafeKey>) -> Result<Vec<u8>, &'static str> {
    let (key, nonce, mut sealed) = unwrap(bytes, envelope).ok_or("bad_envelope")?;
    let key = keys.get(&key).ok_or("unknown_key")?;
    let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
    Ok(key.open_in_place(nonce, Aad::empty(), &mut sealed).map_err(|_| "tag_mismatch")?.to_vec())
}

#[test]
fn every_envelope_opens_to_the_plain_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, _) = run(&sound(41, 5_000));
    for cipher in CIPHERS {
        for envelope in ENVELOPES {
            let keyring = folder.path().join(format!("{}.toml", cipher.name()));
            let encryption = Some(Encryption { cipher, envelope, keyring: Some(keyring.clone()), keys: 3 });
            let (log, summary) = run(&Options { encryption, ..sound(41, 5_000) });
            let keys = keys(&std::fs::read_to_string(keyring).unwrap());
            let sealed = envelopes(&log, envelope);
            let opened: Vec<_> = sealed.iter().map(|bytes| open(bytes, envelope, &keys).unwrap()).collect();
            assert!(opened == lines(&plain), "{cipher:?} {envelope:?}");
            assert_eq!((summary.records, summary.loaded), (5_000, 5_000));
        }
    }
}

#[test]
fn later_records_use_later_keys_and_no_nonce_repeats_but_in_repeated_lines() {
    let encryption = Some(Encryption { keys: 4, ..Encryption::default() });
    let (log, _) = run(&Options { encryption, duplicate_rate: 0.0, ..sound(42, 4_000) });
    let mut nonces = HashSet::new();
    for (index, line) in lines(&log).into_iter().enumerate() {
        let (key, nonce, _) = unwrap(line, Envelope::Tab).unwrap();
        assert_eq!(key, format!("k{}", index / 1_000 + 1));
        assert!(nonces.insert(nonce));
    }
}

#[test]
fn broken_envelopes_fail_for_the_counted_reasons() {
    for envelope in ENVELOPES {
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keys.toml");
        let encryption = Some(Encryption { envelope, keyring: Some(keyring.clone()), ..Encryption::default() });
        let (log, summary) = run(&Options { encryption, broken_rate: 0.2, ..options(43, 4_000) });
        let keys = keys(&std::fs::read_to_string(keyring).unwrap());
        let mut failed = BTreeMap::<&str, u64>::new();
        for bytes in envelopes(&log, envelope) {
            if let Err(reason) = open(bytes, envelope, &keys) {
                *failed.entry(reason).or_default() += 1;
            }
        }
        let counted = summary.dead.clone().into_iter().filter(|(reason, _)| failed.contains_key(reason));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), failed);
        assert_eq!(failed.keys().copied().collect::<Vec<_>>(), ["bad_envelope", "tag_mismatch", "unknown_key"]);
        assert_eq!(summary.dead.len(), 8);
    }
}

#[test]
fn a_keyring_is_private_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let asked =
        |keyring| Options { encryption: Some(Encryption { keyring, ..Encryption::default() }), ..sound(44, 100) };
    let (first, _) = run(&asked(Some(path.clone())));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(first == run(&asked(Some(path.clone()))).0);
    assert!(first == run(&asked(None)).0);

    // The file decides, not the seed.
    let toml = std::fs::read_to_string(&path).unwrap().replace("\"k1\"", "\"first\"");
    std::fs::write(&path, toml).unwrap();
    assert!(run(&asked(Some(path.clone()))).0.starts_with(b"first\t"));

    std::fs::write(&path, "key = 3").unwrap();
    match loggen::generate(&asked(Some(path)), &mut Vec::new()) {
        Err(error @ Error::Keyring { .. }) => assert!(error.to_string().contains("keys.toml"), "{error}"),
        other => panic!("{other:?}"),
    }
}
