//! Small values of the config: byte sizes, names and URLs.

use std::time::Duration;

use crate::limits;

const _: () = assert!(limits::NAME_BYTES_MAX == 128, "the message of name_problem says so");

/// Units of sizes, in lower case, and how many bytes they are.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
];

/// The bytes of a size such as `16 MiB`, `64kib` or `1048576`.
pub fn byte_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    digits.replace('_', "").parse::<u64>().ok()?.checked_mul(*bytes)
}

/// Units of durations, in lower case, and how many milliseconds they are.
const PERIODS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration such as `500ms`, `5s`, `2 m`, `1h` or `7d`: a whole number and its unit.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, period) = PERIODS.iter().find(|(name, _)| *name == unit)?;
    digits.replace('_', "").parse::<u64>().ok()?.checked_mul(*period).map(Duration::from_millis)
}

/// A duration for people, exact: `5s`, `1500ms`.
pub(super) fn shown_duration(duration: Duration) -> String {
    let millis = duration.as_millis() as u64;
    let (name, period) =
        *PERIODS.iter().rev().find(|&&(_, period)| millis > 0 && millis.is_multiple_of(period)).unwrap_or(&PERIODS[0]);
    format!("{}{name}", millis / period)
}

/// A size for people, exact: `16 MiB`, `1000 bytes`.
pub(super) fn shown_bytes(bytes: u64) -> String {
    match bytes {
        bytes if bytes > 0 && bytes % (1 << 30) == 0 => format!("{} GiB", bytes >> 30),
        bytes if bytes > 0 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes > 0 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    }
}

/// What keeps a text from being the name of a table or column, if anything.
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    if name.starts_with('_') {
        return Some("names that start with `_` are Longshore's own");
    }
    if name.len() > limits::NAME_BYTES_MAX {
        return Some("a name has at most 128 characters");
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some("a name is letters, digits and `_`, and starts with a letter");
    }
    None
}

/// An address of a ClickHouse server: `http://host:port` or `https://host:port`, in that form.
///
/// # Errors
/// What is wrong and what to do. The text itself is never part of it: it may hold a password.
pub(super) fn server_url(text: &str) -> Result<String, (&'static str, &'static str)> {
    const FORM: &str = "write \"http://host:8123\" or \"https://host:8443\"";
    let (scheme, rest) = text.split_once("://").ok_or(("this is not a URL", FORM))?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        let help = "Longshore speaks ClickHouse's HTTP interface: \"http://host:8123\" or \"https://host:8443\"";
        return Err(("the URL's scheme is neither http nor https", help));
    }
    if rest.contains('@') {
        return Err(("the URL holds a user or password", "write them in `user` and `password`"));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(("the URL has more than a host and a port", "the database has its own key, `database`"));
    }
    let (host, port) = split_port(authority);
    let is_port = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0);
    if !port.is_none_or(is_port) {
        return Err(("the URL's port is not a number from 1 to 65535", FORM));
    }
    if !is_host(host) {
        return Err(("the URL's host is not a name or an address", FORM));
    }
    Ok(format!("{scheme}://{authority}"))
}

/// Host and port; brackets of an IPv6 address belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let name_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[name_end..].find(':') {
        Some(colon) => (&authority[..name_end + colon], Some(&authority[name_end + colon + 1..])),
        None => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("16 MiB", Some(16_777_216)),
            ("64KiB", Some(65_536)),
            (" 4 gib ", Some(4_294_967_296)),
            ("1TiB", Some(1_099_511_627_776)),
            ("16 mb", Some(16_000_000)),
            ("2 KB", Some(2_000)),
            ("3GB", Some(3_000_000_000)),
            ("1048576", Some(1_048_576)),
            ("1_000 B", Some(1_000)),
            ("0", Some(0)),
            ("", None),
            ("MiB", None),
            ("-1 MiB", None),
            ("1.5 GiB", None),
            ("16 M", None),
            ("16 MiB/s", None),
            ("99999999999999999999", None),
            ("18446744073709551615 KiB", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(byte_size(text), wanted, "{text}");
        }
        assert_eq!(shown_bytes(3 << 30), "3 GiB");
        assert_eq!(shown_bytes(1536 << 10), "1536 KiB");
        assert_eq!(shown_bytes(1000), "1000 bytes");
        assert_eq!(shown_bytes(1), "1 byte");
        assert_eq!(shown_bytes(0), "0 bytes");
    }

    #[test]
    fn durations() {
        let cases = [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            (" 2 M ", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("1_000 ms", Some(1_000)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("5", None),
            ("-5s", None),
            ("1.5s", None),
            ("5 sec", None),
            ("1h30m", None),
            ("18446744073709551615 d", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(duration(text), wanted.map(Duration::from_millis), "{text}");
        }
        for (millis, wanted) in [(0, "0ms"), (1_500, "1500ms"), (90_000, "90s"), (7_200_000, "2h"), (172_800_000, "2d")]
        {
            assert_eq!(shown_duration(Duration::from_millis(millis)), wanted);
        }
    }

    #[test]
    fn names() {
        for good in ["a", "user_id", "A1", "x_"] {
            assert_eq!(name_problem(good), None, "{good}");
        }
        for bad in ["", "_a", "1a", "a-b", "a.b", "naïve", "a b", "`a`", &"a".repeat(129)] {
            assert!(name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn urls() {
        let good = [
            ("http://localhost:8123", "http://localhost:8123"),
            ("https://ch.example:8443/", "https://ch.example:8443"),
            ("HTTPS://ch.example", "https://ch.example"),
            ("http://10.0.0.1:8123", "http://10.0.0.1:8123"),
            ("http://[::1]:8123", "http://[::1]:8123"),
            ("http://[fe80::1]", "http://[fe80::1]"),
        ];
        for (text, wanted) in good {
            assert_eq!(server_url(text).as_deref(), Ok(wanted), "{text}");
        }
        let bad = [
            ("ch.example:8123", "this is not a URL"),
            ("", "this is not a URL"),
            ("clickhouse://ch.example:9000", "the URL's scheme is neither http nor https"),
            ("http://u:p@ch.example", "the URL holds a user or password"),
            ("http://ch.example/db", "the URL has more than a host and a port"),
            ("http://ch.example?database=x", "the URL has more than a host and a port"),
            ("http://ch.example:0", "the URL's port is not a number from 1 to 65535"),
            ("http://ch.example:65536", "the URL's port is not a number from 1 to 65535"),
            ("http://ch.example:", "the URL's port is not a number from 1 to 65535"),
            ("http://ch.example:+80", "the URL's port is not a number from 1 to 65535"),
            ("http://::1:8123", "the URL's port is not a number from 1 to 65535"),
            ("http://", "the URL's host is not a name or an address"),
            ("http://:8123", "the URL's host is not a name or an address"),
            ("http://a b", "the URL's host is not a name or an address"),
            ("http://[::1", "the URL's port is not a number from 1 to 65535"),
            ("http://[zz]:1", "the URL's host is not a name or an address"),
        ];
        for (text, wanted) in bad {
            assert_eq!(server_url(text).map_err(|(message, _)| message), Err(wanted), "{text}");
        }
    }
}
