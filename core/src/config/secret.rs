//! Secrets of a config that stand in files of their own, and what may be known of them.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;

use super::context::At;
use super::table::{Item, Section};
use super::{Config, Env, Secret};
use crate::column::Mask;
use crate::limits::SECRET_FILE_BYTES_MAX;

const _: () = assert!(SECRET_FILE_BYTES_MAX == 4 << 10, "a message here says so");

/// Reads the file at a path: its bytes, or the first so many and at least one more, or what the system says.
pub type ReadFile<'a> = dyn Fn(&Path, usize) -> Result<Vec<u8>, String> + 'a;

/// What a config is read in, besides its text. The core does no I/O: whoever has files brings a way to read them.
pub struct Surroundings<'a> {
    /// Fills in variables; `HOME` is what `~/` means.
    pub env: &'a Env,
    /// Reads the files that secrets stand in.
    pub read: &'a ReadFile<'a>,
    /// The config was accepted before, maybe by a version that asked less of salts, and slices in doubt need it.
    pub accepted_before: bool,
}

impl<'a> Surroundings<'a> {
    /// Those of a config that names no such files.
    pub fn without_files(env: &'a Env) -> Surroundings<'a> {
        Surroundings { env, read: &|_, _| Err("no files are read here".to_owned()), accepted_before: false }
    }
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("accepted_before", &self.accepted_before).finish_non_exhaustive()
    }
}

/// Where a config's secrets are, for whoever looks whether others may read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenSecrets {
    /// One stands in the config's own text.
    pub in_text: bool,
    /// The files that others stand in.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// What the salts of all masks have in common with themselves alone: they cannot be found from it, and other salts have
    /// another one. `None`: no column is hashed.
    pub fn salts_fingerprint(&self) -> Option<u64> {
        let mut tags = Vec::new();
        for column in &self.columns {
            if let Some(Mask::Hash { salt }) = &column.mask {
                let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
                tags.extend_from_slice(hmac::sign(&key, b"longshore: which salt it is").as_ref());
            }
        }
        let all = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"longshore"), &tags);
        let first = all.as_ref().first_chunk().expect("a tag of 32 bytes");
        (!tags.is_empty()).then(|| u64::from_be_bytes(*first))
    }
}

impl<'a> Section<'a> {
    /// A secret that is written under `key`, or stands in the file that `file_key` names; at most one of both. Notes what is
    /// wrong with it.
    pub(super) fn secret(&self, key: &str, file_key: &str) -> Option<At<Secret>> {
        match (self.item(key), self.item(file_key)) {
            (Some(_), Some(file)) => {
                let message = format!("`{key}` and `{file_key}` exclude each other");
                self.context.error_help(&file.place, message, format!("keep `{file_key}`, and take `{key}` out"));
                None
            }
            (Some(item), None) => item.string().map(secret),
            (None, Some(file)) => file.secret_of_file(),
            (None, None) => None,
        }
    }
}

impl<'a> Item<'a> {
    /// The secret that stands in the file whose path this is: all of it but one line ending behind it.
    pub(super) fn secret_of_file(&self) -> Option<At<Secret>> {
        let context = self.context();
        let written = self.string()?;
        let path = context.resolve(&written)?;
        let shown = path.display();
        let problem = match (context.around.read)(&path, SECRET_FILE_BYTES_MAX) {
            Err(why) => (
                format!("the secret's file {shown} cannot be read: {why}"),
                "relative paths start at the config's folder; the file must be there, and readable by this user",
            ),
            Ok(bytes) if bytes.len() > SECRET_FILE_BYTES_MAX => (
                format!("the secret's file {shown} has more than 4 KiB"),
                "name a file that holds the secret and nothing else",
            ),
            Ok(bytes) => match text_of(&bytes) {
                Ok(text) => {
                    context.note_secret_file(path);
                    return Some(secret(At { value: text.to_owned(), place: written.place }));
                }
                Err(problem) => {
                    (format!("the secret's file {shown} {problem}"), "write the secret as one line of text")
                }
            },
        };
        context.error_help(&written.place, problem.0, problem.1);
        None
    }
}

/// The secret that a file holds, or what is wrong with it, without a word of it.
fn text_of(bytes: &[u8]) -> Result<&str, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "is not text in UTF-8")?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("is empty");
    }
    if text.chars().any(|c| matches!(c, '\n' | '\r' | '\0')) {
        return Err("has more than one line");
    }
    Ok(text)
}

fn secret(text: At<String>) -> At<Secret> {
    At { value: Secret::new(text.value), place: text.place }
}
