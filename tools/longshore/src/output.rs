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

/// [`line`], with a format like `println!`.
macro_rules! say {
    ($($format:tt)*) => { $crate::output::line(format_args!($($format)*)) };
}
pub(crate) use say;
