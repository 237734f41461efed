//! Text for ClickHouse's XML configuration.

/// `text` as the content of an XML element.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_is_escaped_once() {
        assert_eq!(escape("/data/R&D/<x>"), "/data/R&amp;D/&lt;x&gt;");
        assert_eq!(escape("a&amp;"), "a&amp;amp;");
    }
}
