//! Where in a text file a problem is, for people: lines counted from 1.

/// Line of the byte at `offset`; the last line if it is past the end.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    memchr::memchr_iter(b'\n', before).count() + 1
}

/// The candidate that `typed` was probably meant to be, if one is close.
pub(crate) fn closest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    /// Below this, people find the suggestion odd rather than helpful.
    const SIMILARITY_MIN: f64 = 0.8;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(typed, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ...?`, or nothing.
pub(crate) fn suggestion(closest: Option<&str>) -> String {
    closest.map(|candidate| format!("; did you mean `{candidate}`?")).unwrap_or_default()
}
