//! Where in a text file a problem is and what was meant there, for the errors of keyrings and product dictionaries.

use crate::config::suggest::closest;

/// Line of the byte at `offset`, from 1; the last line if it is past the end.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    memchr::memchr_iter(b'\n', before).count() + 1
}

/// `; did you mean ...?` if one of the candidates resembles what was typed, else nothing.
pub(crate) fn suggestion<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    closest(typed, candidates).map(|candidate| format!("; did you mean `{candidate}`?")).unwrap_or_default()
}
