//! Numbers in sentences for people.

/// `12345678` as `12,345,678`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 slice`, `2,000 slices`: a number with what it counts. `noun` is the singular; its plural ends with an `s`.
pub fn plural(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn one_is_the_only_number_without_a_plural() {
        let said: Vec<String> = [0_u64, 1, 2, 1_001].iter().map(|&count| plural(count, "slice")).collect();
        assert_eq!(said, ["0 slices", "1 slice", "2 slices", "1,001 slices"]);
        assert_eq!(plural(1_usize, "dead letter"), "1 dead letter");
    }
}
