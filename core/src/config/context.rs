//! What all parts of one parse share: the text, the environment, and the problems found so far.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Snippet};
use super::secret::{Surroundings, WrittenSecrets};
use super::{Env, suggest};
use crate::limits::CONFIG_PROBLEMS_MAX;

/// Where something stands in the config, for diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Such as `column "amount".type`.
    pub(super) key: String,
    /// Bytes of the text.
    pub(super) span: Range<usize>,
}

impl Place {
    /// The place of a key inside this one, for a key that is not there: the diagnostic stands at the table's head.
    pub(super) fn missing(&self, key: &str) -> Place {
        Place { key: join(&self.key, key), span: self.span.clone() }
    }
}

/// `section.key`, or `key` at the top.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What all parts of one parse share.
pub(super) struct Context<'a> {
    pub(super) env: &'a Env,
    pub(super) around: &'a Surroundings<'a>,
    text: &'a str,
    file: &'a Path,
    /// Byte offset of each line's start.
    line_starts: Vec<usize>,
    /// Spans of values that must not be shown.
    secrets: Vec<Range<usize>>,
    found: RefCell<Vec<Diagnostic>>,
    secret_files: RefCell<Vec<PathBuf>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, file: &'a Path, around: &'a Surroundings<'a>, root: &DeTable<'_>) -> Self {
        let line_starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        let mut secrets = Vec::new();
        collect_secrets(root, &mut secrets);
        let (found, secret_files) = (RefCell::default(), RefCell::default());
        Context { env: around.env, around, text, file, line_starts, secrets, found, secret_files }
    }

    /// Notes a problem.
    pub(super) fn error(&self, place: &Place, message: impl Into<String>) {
        self.push(place, message.into(), None);
    }

    /// Notes a problem and what to do about it.
    pub(super) fn error_help(&self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(place, message.into(), Some(help.into()));
    }

    /// Notes a problem at this byte without its line, which may hold anything.
    pub(super) fn error_unseen(&self, offset: usize, message: &str, help: &str) {
        let start = floor_char(self.text, offset);
        let line = self.line_of(start);
        let column = 1 + self.text[self.line_starts[line - 1]..start].chars().count();
        let (file, help) = (self.file.to_owned(), Some(help.to_owned()));
        let (key, message) = (String::new(), message.to_owned());
        self.found.borrow_mut().push(Diagnostic { file, line, column, key, message, help, snippet: None });
    }

    fn push(&self, place: &Place, message: String, help: Option<String>) {
        if self.found.borrow().len() >= CONFIG_PROBLEMS_MAX {
            return;
        }
        let start = floor_char(self.text, place.span.start);
        let line = self.line_of(start);
        let line_start = self.line_starts[line - 1];
        let skip = self.text[line_start..start].chars().count();
        let snippet = self.line_if_not_secret(line).map(|shown| {
            let end = floor_char(self.text, place.span.end.min(line_start + shown.len()).max(start));
            Snippet::new(shown, skip, self.text[start..end].chars().count())
        });
        // What is missing altogether has no line to show.
        let snippet = snippet.filter(|_| !place.span.is_empty() || place.key.is_empty());
        let file = self.file.to_owned();
        let key = place.key.clone();
        self.found.borrow_mut().push(Diagnostic { file, line, column: skip + 1, key, message, help, snippet });
    }

    /// Line of a place, from 1.
    pub(super) fn line(&self, place: &Place) -> usize {
        self.line_of(place.span.start)
    }

    fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// The line's text without its ending, unless it holds a secret or speaks of one.
    fn line_if_not_secret(&self, line: usize) -> Option<&'a str> {
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        let holds_secret = self.secrets.iter().any(|secret| secret.start < end && start < secret.end);
        // After a syntax error the table is not to be relied on for secrets, so the words count too.
        let shown = self.text[start..end].trim_end_matches(['\r', '\n']);
        let speaks_of_secret = shown.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(is_secret_key);
        // A URL with a user in it has a password in it too.
        let has_user = shown.contains("://") && shown.contains('@');
        (!holds_secret && !speaks_of_secret && !has_user).then_some(shown)
    }

    /// Notes each secret that stands in the text itself, because the text will be read by others.
    pub(super) fn refuse_written_secrets(&self, why: &str) {
        for span in &self.secrets {
            if self.is_written(span) {
                let help = format!("{why}: take the secret from the environment, \"${{NAME}}\", or from a file");
                self.error_help(&Place { key: String::new(), span: span.clone() }, "a secret is written here", help);
            }
        }
    }

    /// Whether a secret stands in the text itself.
    fn is_written(&self, span: &Range<usize>) -> bool {
        let written = &self.text[span.clone()];
        !written.contains("${") || written.contains(":-")
    }

    /// A secret stands in that file.
    pub(super) fn note_secret_file(&self, path: PathBuf) {
        self.secret_files.borrow_mut().push(path);
    }

    /// Where the secrets are.
    pub(super) fn written_secrets(&self) -> WrittenSecrets {
        let in_text = self.secrets.iter().any(|span| {
            let is_empty = matches!(&self.text[span.clone()], "\"\"" | "''");
            self.is_written(span) && !is_empty
        });
        let mut files = self.secret_files.borrow().clone();
        files.sort();
        files.dedup();
        WrittenSecrets { in_text, files }
    }

    /// Whether nothing was found.
    pub(super) fn is_clean(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// Everything that was found, in the order of the file.
    pub(super) fn into_found(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        found.dedup();
        found
    }

    /// A path of the config: absolute, in the user's home (`~/`), or relative to the config's folder.
    pub(super) fn resolve(&self, written: &At<String>) -> Option<PathBuf> {
        let text = written.value.as_str();
        if text.is_empty() {
            self.error_help(&written.place, "a path cannot be empty", "leave the key out if there is no such file");
            return None;
        }
        let Some(in_home) = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            let folder = self.file.parent().unwrap_or(Path::new(""));
            return Some(folder.join(text));
        };
        let home = self.env.get("HOME").filter(|home| !home.is_empty());
        if home.is_none() {
            let help = "set HOME, or write the whole path";
            self.error_help(&written.place, "`~` is the home folder, but HOME is not set", help);
        }
        Some(Path::new(home?).join(in_home.trim_start_matches('/')))
    }
}

/// The last character boundary at or before `offset`.
fn floor_char(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Keys of files that secrets stand in.
const FILE_KEYS: [&str; 4] = ["password_file", "analyst_password_file", "key_password_file", "hash_file"];

/// Spans of values whose key, or what the key was meant to be, names a secret.
fn collect_secrets(table: &DeTable<'_>, secrets: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if is_secret_key(key.get_ref()) {
            secrets.push(value.span());
        } else {
            collect_secrets_of_value(value.get_ref(), secrets);
        }
    }
}

fn collect_secrets_of_value(value: &DeValue<'_>, secrets: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => collect_secrets(table, secrets),
        DeValue::Array(items) => items.iter().for_each(|item| collect_secrets_of_value(item.get_ref(), secrets)),
        _ => {}
    }
}

/// Whether a key holds a secret: one of ours, one close to it, or one that sounds like it.
fn is_secret_key(key: &str) -> bool {
    // They hold paths.
    if FILE_KEYS.contains(&key) {
        return false;
    }
    let lower = key.to_lowercase();
    ["password", "passwd", "secret", "salt", "token"].iter().any(|word| lower.contains(word))
        || suggest::closest(key, ["password", "analyst_password", "hash"]).is_some()
}

/// A text of the user for a message, in backticks.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", clean(text))
}

/// A text of the user without control characters, cut if it is long.
pub(super) fn clean(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
