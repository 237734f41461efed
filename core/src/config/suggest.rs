//! Suggestions: which of the known words was meant by a word that is not known.

/// The candidate that `word` most likely stands for, or none if it resembles none of them.
///
/// Case and the choice between `-` and `_` do not count; a swap of neighbours counts as one edit.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normalized(word);
    let edits_max = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &normalized(candidate)), candidate))
        // A candidate that would have to be rewritten whole is no suggestion, however short it is.
        .filter(|&(edits, candidate)| edits <= edits_max && edits < candidate.chars().count())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...?`, or else the list of what there is to choose from.
pub(super) fn did_you_mean(word: &str, candidates: &[&str], what: &str) -> String {
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("{what}: {}", candidates.join(", ")),
    }
}

fn normalized(word: &str) -> String {
    // Longer words resemble nothing anyway, and the distance takes quadratic time.
    word.chars().take(64).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["name", "type", "path", "format", "nullable", "required"];
        let cases = [
            ("tpye", Some("type")),
            ("Type", Some("type")),
            ("nmae", Some("name")),
            ("requird", Some("required")),
            ("nulable", Some("nullable")),
            ("formats", Some("format")),
            ("x", None),
            ("colour", None),
            ("", None),
        ];
        for (word, wanted) in cases {
            assert_eq!(closest(word, keys), wanted, "{word}");
        }
        assert_eq!(closest("user-id", ["user_id", "userid"]), Some("user_id"));
        assert_eq!(closest("b", ["a"]), None, "one letter is no resemblance");
    }
}
