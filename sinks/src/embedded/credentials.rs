//! The passwords of a data folder: made once, at random, and kept in a file that only its owner can read.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use longshore_core::config::Secret;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::Deserialize;

use super::error::EmbeddedError;
use super::folder::write_private;
use super::users::hex;

/// The user that creates, fills and reads.
pub(super) const ENGINE_USER: &str = "longshore";
/// The user that reads.
pub(super) const ANALYST_USER: &str = "analyst";

/// Random bytes of a password.
const PASSWORD_BYTES: usize = 32;

/// Both passwords. The analyst's may be empty, which is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) engine_password: Secret,
    pub(super) analyst_password: Secret,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    engine_password: String,
    analyst_password: String,
}

impl Credentials {
    /// Reads the file, or makes it with new passwords. The caller holds the folder's lock.
    pub(super) fn load_or_create(path: &Path) -> Result<Self, EmbeddedError> {
        let failed = |action, source| EmbeddedError::Folder { action, path: path.to_owned(), source };
        match fs::read_to_string(path) {
            Ok(text) => {
                let mode = fs::metadata(path).map_err(|source| failed("read", source))?.permissions().mode();
                parse(&text, mode).map_err(|problem| EmbeddedError::Credentials { path: path.to_owned(), problem })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let credentials = Credentials { engine_password: random()?, analyst_password: random()? };
                write_private(path, &credentials.to_toml())?;
                Ok(credentials)
            }
            Err(source) => Err(failed("read", source)),
        }
    }

    fn to_toml(&self) -> String {
        format!(
            "# Users of the embedded ClickHouse on this folder: `{ENGINE_USER}` does everything with tables,\n\
             # `{ANALYST_USER}` reads (with this password unless the config gives another).\n\
             # Remove this file to have new passwords made.\n\
             engine_password = \"{}\"\n\
             analyst_password = \"{}\"\n",
            self.engine_password.expose(),
            self.analyst_password.expose(),
        )
    }
}

/// The credentials of a file's text and mode, or what is wrong with it; never a word of its content.
fn parse(text: &str, mode: u32) -> Result<Credentials, String> {
    if mode & 0o077 != 0 {
        return Err(format!("others can read the passwords in it (mode {:04o}, want 0600)", mode & 0o777));
    }
    let stored: Stored = toml::from_str(text).map_err(|_| "it is not a credentials file".to_owned())?;
    let is_ours = |password: &str| password.len() == 2 * PASSWORD_BYTES;
    if !is_ours(&stored.engine_password) || !is_ours(&stored.analyst_password) {
        return Err("its passwords are not the ones that were made".to_owned());
    }
    Ok(Credentials {
        engine_password: Secret::new(stored.engine_password),
        analyst_password: Secret::new(stored.analyst_password),
    })
}

/// A new password, in hexadecimal.
fn random() -> Result<Secret, EmbeddedError> {
    random_hex().map(Secret::new)
}

/// Unguessable text.
pub(super) fn random_hex() -> Result<String, EmbeddedError> {
    let mut bytes = [0; PASSWORD_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| EmbeddedError::Random(error.to_string()))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn passwords_are_made_once_and_differ() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("credentials.toml");
        let made = Credentials::load_or_create(&path).unwrap();
        assert_ne!(made.engine_password, made.analyst_password);
        assert_eq!(made.engine_password.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Credentials::load_or_create(&path).unwrap(), made);
        fs::remove_file(&path).unwrap();
        assert_ne!(Credentials::load_or_create(&path).unwrap(), made);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("credentials.toml");
        Credentials::load_or_create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let text = Credentials::load_or_create(&path).unwrap_err().to_string();
        assert!(text.contains("others can read the passwords in it (mode 0640, want 0600)"), "{text}");
    }

    #[test]
    fn a_broken_file_is_refused_without_quoting_it() {
        for text in ["", "engine_password = \"hunter2\"\nanalyst_password = \"hunter2\"\n", "hunter2"] {
            let problem = parse(text, 0o600).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn debug_output_hides_the_passwords() {
        let credentials = Credentials { engine_password: random().unwrap(), analyst_password: random().unwrap() };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains(credentials.engine_password.expose()), "{shown}");
        assert!(!shown.contains(credentials.analyst_password.expose()), "{shown}");
    }
}
