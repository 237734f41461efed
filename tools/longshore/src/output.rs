//! What commands print on standard output.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _, stdout};

/// Prints a line. Whoever reads it may have seen enough, as `head` has, which is no failure of the command.
pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(stdout().lock(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::error!("cannot print on standard output: {error}");
    }
}

/// An error with its causes. One that the error has told already is not told again.
pub(crate) fn whole(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// [`line`], with a format like `println!`.
macro_rules! say {
    ($($format:tt)*) => { $crate::output::line(format_args!($($format)*)) };
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("`CREATE DATABASE x`: {source}")]
    struct Client {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_twice() {
        let refused = || std::io::Error::other("it is read-only");
        let told = anyhow::Error::new(Client { source: refused() });
        assert_eq!(whole(&told), "`CREATE DATABASE x`: it is read-only");
        let untold = anyhow::Error::new(refused()).context("cannot start");
        assert_eq!(whole(&untold), "cannot start: it is read-only");
    }
}
