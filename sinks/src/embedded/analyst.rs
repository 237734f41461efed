//! The analyst's way in, as two private files beside the data: a page that opens ClickHouse's own web page logged in,
//! and what curl needs. So the password is on no screen, on no command line and in no log.
//!
//! ClickHouse's page takes a password from its own address alone, and takes it out of there at once; so the file holds
//! that address, and the browser that opens the file goes there.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::EmbeddedError;
use super::folder::{DataFolder, write_private};
use super::xml;

/// What the page shows first: the tables that there are.
const FIRST_QUERY: &str = "SELECT database, name AS table, total_rows, comment FROM system.tables\n\
     WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA', 'default')\n\
     ORDER BY database, table";

/// Where analysts connect, and the files that let them in. They are removed when this is dropped: they are of one
/// server's life, and of its port.
#[derive(Debug)]
pub struct AnalystFiles {
    url: String,
    user: &'static str,
    page: PathBuf,
    curl: PathBuf,
}

impl AnalystFiles {
    /// Writes both, mode 0600.
    pub(super) fn write(
        folder: &DataFolder,
        url: String,
        user: &'static str,
        password: &str,
    ) -> Result<Self, EmbeddedError> {
        let files = AnalystFiles {
            url,
            user,
            page: folder.path().join("analyst.html"),
            curl: folder.path().join("analyst.curl"),
        };
        write_private(&files.page, &page(&files.url, user, password))?;
        write_private(&files.curl, &curl_config(&files.url, user, password))?;
        Ok(files)
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The user.
    pub fn user(&self) -> &'static str {
        self.user
    }

    /// A page for a browser, which goes on to ClickHouse's.
    pub fn page(&self) -> &Path {
        &self.page
    }

    /// A command that sends a query, for a shell.
    pub fn command(&self) -> String {
        format!("curl -K {} --data-binary 'SHOW DATABASES'", shell_word(&self.curl.display().to_string()))
    }
}

impl Drop for AnalystFiles {
    fn drop(&mut self) {
        for file in [&self.page, &self.curl] {
            // What stays is as private as the passwords' own file, and is written anew at the next start.
            let _ = fs::remove_file(file);
        }
    }
}

impl fmt::Display for AnalystFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as user {}; a browser by the file {}", self.url, self.user, self.page.display())
    }
}

/// The page: it goes to ClickHouse's with user, password and a first query, and leaves no trace of itself to go back to.
fn page(url: &str, user: &str, password: &str) -> String {
    let query = STANDARD.encode(FIRST_QUERY);
    let target =
        format!("{url}/play?user={}&password={}&run=1#{query}", percent_encode(user), percent_encode(password));
    format!(
        "<!DOCTYPE html>
<html>
<head>
<meta charset=\"utf-8\">
<meta name=\"referrer\" content=\"no-referrer\">
<title>Longshore's ClickHouse</title>
<script>location.replace(\"{target}\")</script>
</head>
<body><noscript>ClickHouse's page needs JavaScript: {}/play</noscript></body>
</html>
",
        xml::escape(url)
    )
}

/// A configuration file of curl (`curl -K`): where to, and as whom.
fn curl_config(url: &str, user: &str, password: &str) -> String {
    let mut login = String::new();
    for character in format!("{user}:{password}").chars() {
        match character {
            '"' | '\\' => login.extend(['\\', character]),
            '\t' => login.push_str("\\t"),
            '\n' => login.push_str("\\n"),
            '\r' => login.push_str("\\r"),
            _ => login.push(character),
        }
    }
    format!(
        "# Queries the embedded ClickHouse: curl -K FILE --data-binary 'SHOW DATABASES'\nurl = \"{url}/\"\nuser = \"{login}\"\n"
    )
}

/// `text` as one word of a shell's command.
fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `text` as a value in a URL's query.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_survives_a_url() {
        assert_eq!(percent_encode("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(percent_encode("p&w d=ü/?"), "p%26w%20d%3D%C3%BC%2F%3F");
    }

    #[test]
    fn a_password_does_not_end_the_script_nor_the_line() {
        let page = page("http://127.0.0.1:1", "analyst", "\"</script><script>alert(1)//\\");
        assert!(page.contains("password=%22%3C%2Fscript%3E%3Cscript%3Ealert%281%29%2F%2F%5C&run=1#"), "{page}");
        let curl = curl_config("http://127.0.0.1:1", "analyst", "a\"b\\c\nurl = d");
        assert!(curl.ends_with("\nuser = \"analyst:a\\\"b\\\\c\\nurl = d\"\n"), "{curl}");
    }

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(shell_word("/home/me/.local/share/analyst.curl"), "/home/me/.local/share/analyst.curl");
        assert_eq!(shell_word("/a b/it's"), "'/a b/it'\\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
