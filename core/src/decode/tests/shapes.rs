//! Records made to hurt: each shape aims at one thing that a parser or a column would rather not see.
//!
//! Only `std` is used here, so that the bench that measures them takes this very file.

/// The columns that all shapes are decoded under, without version and table.
pub(crate) const SECTIONS: &str = r#"
[products]
column = "p"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "p"
type = "low_cardinality"
[[column]]
name = "name"
type = "string"
[[column]]
name = "n"
type = "i64"
[[column]]
name = "ratio"
type = "f64"
[[column]]
name = "amount"
type = "decimal(18,2)"
nullable = true
[[column]]
name = "ip"
type = "ipv4"
[[column]]
name = "id"
type = "uuid"
nullable = true
[[column]]
name = "props"
type = "json"
[[column]]
name = "net"
type = "low_cardinality"
path = "props.net"
[[column]]
name = "tags"
type = "list(string)"
[[column]]
name = "last"
type = "u8"
"#;

/// A way to write records.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The line of that number, without its end.
    line: fn(u64) -> Vec<u8>,
    /// Whether that record is loaded.
    pub(crate) is_loaded: fn(u64) -> bool,
}

impl Shape {
    /// Lines of about as many bytes, at least two and at most so many; how many they are.
    pub(crate) fn lines(&self, bytes: usize, lines_max: u64) -> (Vec<u8>, u64) {
        let (mut lines, mut count) = (Vec::new(), 0);
        while lines.len() < bytes && count < lines_max || count < 2 {
            lines.extend((self.line)(count));
            lines.push(b'\n');
            count += 1;
        }
        (lines, count)
    }
}

/// All of them.
pub(crate) const SHAPES: &[Shape] = &[
    Shape { name: "as it should be", line: ordinary, is_loaded: always },
    Shape { name: "all escapes", line: |n| named(n, &"\\u00e9\\n\\u4e2d".repeat(30)), is_loaded: always },
    Shape { name: "all escaped quotes", line: |n| named(n, &"\\\"".repeat(200)), is_loaded: always },
    Shape { name: "all quotes", line: |_| b"\"".repeat(400), is_loaded: never },
    Shape { name: "all empty strings", line: empty_strings, is_loaded: always },
    Shape { name: "all escaped backslashes", line: |n| named(n, &"\\\\".repeat(200)), is_loaded: always },
    Shape { name: "all backslashes", line: |_| b"\\".repeat(400), is_loaded: never },
    Shape { name: "keys in random order", line: shuffled, is_loaded: always },
    Shape { name: "10,000 equal keys", line: equal_keys, is_loaded: always },
    Shape { name: "10,000 equal keys of an object", line: equal_objects, is_loaded: always },
    Shape { name: "a million digits, not declared", line: |n| million(n, "other", ""), is_loaded: always },
    Shape { name: "a million digits, an integer", line: |n| million(n, "n", ""), is_loaded: never },
    Shape { name: "a million digits, a float", line: |n| million(n, "ratio", "0."), is_loaded: always },
    Shape { name: "a million digits, a decimal", line: |n| million(n, "amount", "0."), is_loaded: never },
    Shape { name: "128 levels", line: |n| nested(n, 127), is_loaded: always },
    Shape { name: "10,000 brackets", line: |n| nested(n, 10_000), is_loaded: never },
    Shape { name: "10,000 open brackets", line: |_| b"{\"a\":".repeat(10_000), is_loaded: never },
    Shape { name: "4,000 other keys in each record", line: |n| strangers(n, 4_000), is_loaded: always },
    Shape { name: "10 other keys in each record", line: |n| strangers(n, 10), is_loaded: always },
    Shape { name: "keys beyond ASCII, and all else", line: beyond_ascii, is_loaded: always },
    Shape { name: "bytes that are not UTF-8", line: |_| b"\xff\xc3\xed\xa0\x80".repeat(80), is_loaded: never },
    Shape { name: "one such byte at the end", line: cut_short, is_loaded: never },
    Shape { name: "refused by the last column", line: |n| refused(n, 1), is_loaded: never },
    Shape { name: "every 64th refused", line: |n| refused(n, 64), is_loaded: |n| n % 64 != 0 },
    Shape { name: "every 64th no JSON", line: every_64th_cut, is_loaded: |n| n % 64 != 0 },
    Shape {
        name: "two templates in turn",
        line: |n| if n % 2 == 0 { ordinary(n) } else { other(n) },
        is_loaded: always,
    },
    Shape { name: "every value another low-cardinality one", line: distinct, is_loaded: always },
    Shape { name: "one byte", line: |_| b"x".to_vec(), is_loaded: never },
    Shape { name: "the smallest record", line: |_| b"{}".to_vec(), is_loaded: never },
];

fn always(_: u64) -> bool {
    true
}

fn never(_: u64) -> bool {
    false
}

/// Members in the order of the columns.
fn members(n: u64) -> [String; 11] {
    let low = n % 200;
    [
        format!("\"ts\":{}", 1_795_161_604_193 + n),
        format!("\"p\":\"p{}\"", n % 7),
        format!("\"name\":\"/index/{n}/page\""),
        format!("\"n\":{n}"),
        format!("\"ratio\":0.{low}"),
        format!("\"amount\":{low}.50"),
        format!("\"ip\":\"10.0.{low}.{}\"", n % 256),
        format!("\"id\":\"c04bd407-7835-4831-8ee7-2c31a27a{:04x}\"", n % 65_536),
        format!("\"props\":{{\"n\":{low},\"net\":\"cell\",\"ab\":[6,112],\"dur_ms\":{n}}}"),
        "\"tags\":[\"a\",\"bc\"]".to_owned(),
        format!("\"last\":{low}"),
    ]
}

fn object(members: &[String]) -> Vec<u8> {
    format!("{{{}}}", members.join(",")).into_bytes()
}

fn ordinary(n: u64) -> Vec<u8> {
    object(&members(n))
}

/// Other keys in another order.
fn other(n: u64) -> Vec<u8> {
    let mut members = members(n).to_vec();
    members.reverse();
    members.insert(3, format!("\"session\":\"{n}\""));
    object(&members)
}

fn named(n: u64, name: &str) -> Vec<u8> {
    format!("{{\"ts\":{n},\"name\":\"{name}\"}}").into_bytes()
}

fn empty_strings(n: u64) -> Vec<u8> {
    let empty = vec!["\"\""; 120].join(",");
    format!("{{\"ts\":{n},\"name\":\"\",\"tags\":[{empty}]}}").into_bytes()
}

/// By a multiplicative generator, another order for each number.
fn shuffled(n: u64) -> Vec<u8> {
    let mut members = members(n);
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for last in (1..members.len()).rev() {
        state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        members.swap(last, (state >> 33) as usize % (last + 1));
    }
    object(&members)
}

fn equal_keys(n: u64) -> Vec<u8> {
    format!("{{\"ts\":{n},{}\"last\":1}}", "\"name\":\"a\",".repeat(10_000)).into_bytes()
}

fn equal_objects(n: u64) -> Vec<u8> {
    format!("{{\"ts\":{n},{}\"last\":1}}", "\"props\":{\"net\":\"a\"},".repeat(10_000)).into_bytes()
}

fn million(n: u64, key: &str, before: &str) -> Vec<u8> {
    format!("{{\"ts\":{n},\"{key}\":{before}{}}}", "7".repeat(1_000_000)).into_bytes()
}

/// The record is a level too.
fn nested(n: u64, levels: usize) -> Vec<u8> {
    format!("{{\"ts\":{n},\"props\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes()
}

fn strangers(n: u64, count: u64) -> Vec<u8> {
    let member = |key: u64| format!("\"key_{}\":{key},", (n * count + key).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    format!("{{{}\"ts\":{n}}}", (0..count).map(member).collect::<String>()).into_bytes()
}

fn beyond_ascii(n: u64) -> Vec<u8> {
    let text = "漢字é😀".repeat(20);
    format!("{{\"ключ\":\"{text}\",\"ts\":{n},\"ключ2\":\"значение\",\"name\":\"{text}\"}}").into_bytes()
}

fn cut_short(n: u64) -> Vec<u8> {
    let mut record = ordinary(n);
    record.push(0xE6);
    record
}

/// The last column takes no -1.
fn refused(n: u64, every: u64) -> Vec<u8> {
    let mut members = members(n);
    if n.is_multiple_of(every) {
        members[10] = "\"last\":-1".to_owned();
    }
    object(&members)
}

fn every_64th_cut(n: u64) -> Vec<u8> {
    let mut record = ordinary(n);
    if n.is_multiple_of(64) {
        record.pop();
    }
    record
}

fn distinct(n: u64) -> Vec<u8> {
    let value = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{{\"ts\":{n},\"p\":\"product {value:016x}\",\"props\":{{\"net\":\"{value:x}\"}}}}").into_bytes()
}
