//! TEST keys: derived from the seed so that a run can be repeated. Whoever knows the seed has the keys.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::error::{Error, Result, on_file};
use crate::options::{Cipher, Encryption};
use crate::rng::mix;

const SECRET_SALT: u64 = 0x6b65_7973;
/// Key ids are written behind a one-byte length in frames.
const KEY_ID_BYTES_MAX: usize = 255;

impl Cipher {
    /// As in keyrings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Cipher::Aes128Gcm => "aes-128-gcm",
            Cipher::Aes256Gcm => "aes-256-gcm",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// Bytes of a key.
    pub fn key_bytes(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes256Gcm | Cipher::ChaCha20Poly1305 => 32,
        }
    }

    fn from_name(name: &str) -> Option<Cipher> {
        [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305]
            .into_iter()
            .find(|cipher| cipher.name() == name)
    }
}

/// One key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) cipher: Cipher,
    pub(crate) secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

/// Keys in the order in which the log goes through them; never empty.
#[derive(Debug)]
pub(crate) struct Keyring {
    pub(crate) keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringFile {
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: String,
    cipher: String,
    secret: String,
}

impl Keyring {
    /// The keyring file if there is one, else keys from the seed, written to that file.
    pub(crate) fn open_or_create(encryption: &Encryption, seed: u64) -> Result<Keyring> {
        let Some(path) = &encryption.keyring else {
            return Ok(Keyring::from_seed(seed, encryption));
        };
        match std::fs::read_to_string(path) {
            Ok(toml) => {
                Keyring::parse(&toml, encryption.cipher).map_err(|reason| Error::Keyring { path: path.clone(), reason })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keyring = Keyring::from_seed(seed, encryption);
                write_private(path, &keyring.to_toml()).map_err(on_file("cannot write the keyring", path))?;
                Ok(keyring)
            }
            Err(error) => Err(on_file("cannot read the keyring", path)(error)),
        }
    }

    fn from_seed(seed: u64, encryption: &Encryption) -> Keyring {
        let secret = |number: u64| {
            let words = (0..4).map(|word| mix(mix(seed ^ SECRET_SALT, number), word));
            let mut bytes: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
            bytes.truncate(encryption.cipher.key_bytes());
            bytes
        };
        let key = |number: u32| Key {
            id: format!("k{number}"),
            cipher: encryption.cipher,
            secret: secret(u64::from(number)),
        };
        Keyring { keys: (1..=encryption.keys).map(key).collect() }
    }

    fn parse(toml: &str, cipher: Cipher) -> Result<Keyring, String> {
        let file: KeyringFile = toml::from_str(toml).map_err(|error| error.message().to_owned())?;
        if file.key.is_empty() {
            return Err("it has no [[key]]".to_owned());
        }
        let keys = file.key.into_iter().map(|entry| checked(entry, cipher)).collect::<Result<_, String>>()?;
        Ok(Keyring { keys })
    }

    fn to_toml(&self) -> String {
        let mut toml = String::from("# Test keys, derived from loggen's --seed: never use them for real data.\n");
        for key in &self.keys {
            let secret = STANDARD.encode(&key.secret);
            toml.push_str(&format!(
                "\n[[key]]\nid = \"{}\"\ncipher = \"{}\"\nsecret = \"{secret}\"\n",
                key.id,
                key.cipher.name()
            ));
        }
        toml
    }
}

/// Checks one entry; what it says about a wrong secret does not show it.
fn checked(entry: KeyEntry, wanted: Cipher) -> Result<Key, String> {
    let id = entry.id;
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if id.is_empty() || id.len() > KEY_ID_BYTES_MAX || !id.bytes().all(plain) {
        return Err(format!(
            "key id {id:?} cannot be written into an envelope: printable ASCII without quotes, please"
        ));
    }
    let cipher = Cipher::from_name(&entry.cipher)
        .ok_or_else(|| format!("key {id:?} has the unknown cipher {:?}", entry.cipher))?;
    if cipher != wanted {
        return Err(format!("key {id:?} is for {}, but --encrypt says {}", cipher.name(), wanted.name()));
    }
    let secret = STANDARD.decode(&entry.secret).map_err(|_| format!("the secret of key {id:?} is not base64"))?;
    if secret.len() != cipher.key_bytes() {
        return Err(format!(
            "the secret of key {id:?} has {} bytes, {} needs {}",
            secret.len(),
            cipher.name(),
            cipher.key_bytes()
        ));
    }
    Ok(Key { id, cipher, secret })
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_keyring_reads_back() {
        for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let made = Keyring::from_seed(9, &Encryption { cipher, ..Encryption::default() });
            let read = Keyring::parse(&made.to_toml(), cipher).unwrap();
            assert_eq!(read.keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k1", "k2", "k3"]);
            assert!(made.keys.iter().zip(&read.keys).all(|(made, read)| made.secret == read.secret));
            assert_ne!(made.keys[0].secret, made.keys[1].secret);
        }
    }

    #[test]
    fn a_bad_keyring_is_refused_without_showing_a_secret() {
        let entry = |cipher: &str, secret: &str| {
            format!("[[key]]\nid = \"k1\"\ncipher = \"{cipher}\"\nsecret = \"{secret}\"\n")
        };
        let refused = |toml: &str| Keyring::parse(toml, Cipher::Aes128Gcm).unwrap_err();
        assert!(refused("").contains("key"));
        assert!(refused(&entry("rot13", "")).contains("rot13"));
        assert!(refused(&entry("aes-256-gcm", "")).contains("--encrypt says aes-128-gcm"));
        let not_base64 = refused(&entry("aes-128-gcm", "hush!"));
        assert!(not_base64.contains("not base64") && !not_base64.contains("hush"));
        assert!(refused(&entry("aes-128-gcm", "aHVzaA==")).contains("4 bytes"));
    }
}
