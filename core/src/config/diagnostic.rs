//! Diagnostics: one problem of a config, where it is, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Most characters of a source line that are shown.
const SNIPPET_CHARS_MAX: usize = 120;
/// Characters that are shown in front of the problem if the line is longer than that.
const SNIPPET_CHARS_BEFORE: usize = 60;

/// One problem of a config.
///
/// `Display` is one line, `longshore.toml:12:1: column[2].tpye: unknown key; did you mean `type`?`, and
/// [`Diagnostic::render`] adds the line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The config file, as the user named it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// The key it is about, such as `column "amount".type`; empty where there is none, as for a syntax error.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line of the file, unless it mentions a secret.
    pub(super) snippet: Option<Snippet>,
}

/// The part of a line that a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snippet {
    text: String,
    /// Characters in front of the marked ones.
    skip: usize,
    /// Characters that are marked, at least one.
    mark: usize,
}

impl Snippet {
    /// A line of the file (without its ending), with `mark` characters after the first `skip` marked.
    pub(super) fn new(line: &str, skip: usize, mark: usize) -> Self {
        let chars: Vec<char> = line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        let skip = skip.min(chars.len());
        let mark = mark.min(chars.len() - skip).max(1);
        if chars.len() <= SNIPPET_CHARS_MAX {
            return Snippet { text: chars.into_iter().collect(), skip, mark };
        }
        let start = skip.saturating_sub(SNIPPET_CHARS_BEFORE);
        let end = (start + SNIPPET_CHARS_MAX).min(chars.len());
        let mut text = String::new();
        if start > 0 {
            text.push('…');
        }
        text.extend(&chars[start..end]);
        if end < chars.len() {
            text.push('…');
        }
        let skip = skip - start + usize::from(start > 0);
        Snippet { text, skip, mark: mark.min(SNIPPET_CHARS_MAX - SNIPPET_CHARS_BEFORE) }
    }
}

impl Diagnostic {
    /// The diagnostic in several lines: what and where, the line of the file with a mark, what to do.
    ///
    /// A line that mentions a secret is left out. There is no newline at the end.
    pub fn render(&self) -> String {
        let mut lines = vec![self.summary()];
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        if let Some(Snippet { text, skip, mark }) = &self.snippet {
            let indent: String = text.chars().take(*skip).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            lines.push(format!("{margin} |"));
            lines.push(format!("{number} | {text}"));
            lines.push(format!("{margin} | {indent}{}", "^".repeat(*mark)));
        }
        if let Some(help) = &self.help {
            lines.push(format!("{margin} = help: {help}"));
        }
        lines.join("\n")
    }

    fn summary(&self) -> String {
        let Diagnostic { line, column, key, message, .. } = self;
        let file = self.file.display();
        if key.is_empty() {
            format!("{file}:{line}:{column}: {message}")
        } else {
            format!("{file}:{line}:{column}: {key}: {message}")
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(key: &str, help: Option<&str>, snippet: Option<Snippet>) -> Diagnostic {
        Diagnostic {
            file: PathBuf::from("longshore.toml"),
            line: 12,
            column: 1,
            key: key.to_owned(),
            message: "unknown key".to_owned(),
            help: help.map(str::to_owned),
            snippet,
        }
    }

    #[test]
    fn renders_the_line_with_a_mark() {
        let snippet = Snippet::new("\ttpye = \"string\"", 1, 4);
        let diagnostic = diagnostic("column[2].tpye", Some("did you mean `type`?"), Some(snippet));
        assert_eq!(diagnostic.to_string(), "longshore.toml:12:1: column[2].tpye: unknown key; did you mean `type`?");
        assert_eq!(
            diagnostic.render(),
            concat!(
                "longshore.toml:12:1: column[2].tpye: unknown key\n",
                "   |\n",
                "12 | \ttpye = \"string\"\n",
                "   | \t^^^^\n",
                "   = help: did you mean `type`?",
            )
        );
    }

    #[test]
    fn renders_without_key_help_and_line() {
        assert_eq!(diagnostic("", None, None).render(), "longshore.toml:12:1: unknown key");
        assert_eq!(diagnostic("", None, None).to_string(), "longshore.toml:12:1: unknown key");
    }

    #[test]
    fn cuts_a_long_line_around_the_mark() {
        let line = format!("{}{}{}", "a".repeat(300), "X".repeat(5), "b".repeat(300));
        let snippet = Snippet::new(&line, 300, 5);
        assert_eq!(snippet.text, format!("…{}{}{}…", "a".repeat(60), "X".repeat(5), "b".repeat(55)));
        assert_eq!((snippet.skip, snippet.mark), (61, 5));
    }

    #[test]
    fn shows_no_control_characters_and_marks_past_the_end() {
        let snippet = Snippet::new("a\u{1b}[31m", 100, 7);
        assert_eq!(snippet, Snippet { text: "a\u{fffd}[31m".to_owned(), skip: 6, mark: 1 });
    }
}
