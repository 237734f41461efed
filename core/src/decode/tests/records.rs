//! Records for the comparisons: most as a program would write them, some as nobody should, some damaged.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A member's text; most are what a program would write.
fn member() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => "[a-z/]{0,40}", 1 => Just("drop".to_owned()), 1 => Just("é".to_owned()),
        1 => Just("a\\nb\\u00e9\\\"".to_owned()), 1 => Just("\\u0064rop".to_owned()), 1 => "[ -~é\u{1}]{0,20}",
    ];
    let number = prop_oneof![
        4 => any::<i16>().prop_map(|n| n.to_string()),
        1 => select(vec!["1.50", "-0.0", "1e2", "01", "1.", "99999", "null", "\"12\"", "true"]).prop_map(str::to_owned),
    ];
    let props = select(vec![
        r#"{"n":12,"net":"cell","ab":[6,112],"dur_ms":55754}"#,
        r#"{"n":1,"net":"4g","ab":[7,18],"scroll":0.21}"#,
        r#"{"n":1,"net":null}"#,
        r#"{ "n": 1, "net": "wi fi", "deep": {"a": [[], {}, [{"b": [1, 2, {"c": "\\"}]}]]} }"#,
        r#"{}"#,
        r#"[]"#,
        r#"null"#,
        r#""text""#,
        r#"{"net":{"net":1}}"#,
        r#"{"n":1,}"#,
        r#"[[[[[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]]]]"#,
    ]);
    let tags = select(vec![
        r#"["a","b","c"]"#,
        r#"["a"]"#,
        "[]",
        r#"["a","b\n","ccc"]"#,
        r#"[1,"b",true]"#,
        "[null]",
        "null",
        "\"a\"",
        r#"["a",{"b":1}]"#,
    ]);
    let sizes = select(vec!["[1,2,3]", "[]", "[-1]", "[4294967295]", "[4294967296]", "[1, 2 ,3]", "null"]);
    prop_oneof![
        name.prop_map(|name| format!("\"name\":\"{name}\"")),
        select(vec!["p1", "p2", "product-with-a-long-name", "p9", ""]).prop_map(|p| format!("\"p\":\"{p}\"")),
        any::<u32>().prop_map(|ts| format!("\"ts\":1795161604{:03}", ts % 1000)),
        number.clone().prop_map(|n| format!("\"n\":{n}")),
        number.clone().prop_map(|n| format!("\"amount\":{n}")),
        number.prop_map(|n| format!("\"ratio\":{n}")),
        select(vec!["true", "false", "null", "1", "\"TRUE\"", "tru"]).prop_map(|b| format!("\"is_new\":{b}")),
        select(vec!["\"c04bd407-7835-4831-8ee7-2c31a27aa50d\"", "\"C04BD40778354831 8ee7-2c31a27aa50d\"", "null"])
            .prop_map(|id| format!("\"id\":{id}")),
        select(vec!["\"123.49.253.164\"", "\"1.2.3.4\"", "\"256.1.1.1\"", "\"\"", "null"])
            .prop_map(|ip| format!("\"ip\":{ip}")),
        props.prop_map(|props| format!("\"props\":{props}")),
        tags.prop_map(|tags| format!("\"tags\":{tags}")),
        sizes.prop_map(|sizes| format!("\"sizes\":{sizes}")),
        "[a-z]{1,60}".prop_map(|key| format!("\"{key}\":\"not wanted\"")),
        Just("\"na\\u006de\":\"escaped key\"".to_owned()),
    ]
}

/// Of [`super::twin::configs::CHANNELS`]: records that follow a template closely, and records that follow nothing.
pub(super) fn of_channels() -> impl Strategy<Value = Vec<u8>> {
    let regular = (any::<u32>(), select(vec!["p1", "p2"]), select(vec!["a", "bc", "drop", "漢字"]), any::<u8>())
        .prop_map(|(ts, product, name, n)| {
            let props = if n % 3 == 0 {
                r#"{"n":1,"net":"4g","ab":[7,18]}"#
            } else {
                r#"{"n":53,"net":"cell","ab":[1,2],"dur":0.5}"#
            };
            let amount = if n % 7 == 0 { "12.50" } else { "null" };
            format!(
                "{{\"ts\":1795161604{:03},\"p\":\"{product}\",\"name\":\"{name}\",\"n\":{n},\"ip\":\"10.0.0.{n}\",\
                 \"id\":\"c04bd407-7835-4831-8ee7-2c31a27aa5{n:02x}\",\"props\":{props},\"amount\":{amount},\
                 \"tags\":[\"x\",\"y\"],\"sizes\":[1]}}",
                ts % 1000
            )
        });
    let any_members = (
        prop::collection::vec(member(), 0..14),
        select(vec!["{", "{ ", " {", "", "{\t"]),
        select(vec![",", ", ", " ,"]),
    )
        .prop_map(|(members, open, comma)| {
            let ts_and_product = ["\"ts\":1795161604193".to_owned(), "\"p\":\"p1\"".to_owned()];
            let members: Vec<String> = ts_and_product.into_iter().chain(members).collect();
            format!("{open}{}}}", members.join(comma))
        });
    damaged(prop_oneof![5 => regular, 3 => any_members])
}

/// Some of the records with another byte somewhere, or cut.
fn damaged(whole: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![select(&b"\"\\{}[],: \n\r\x00\xff"[..]), any::<u8>()];
    let damage = prop_oneof![8 => Just(None), 1 => (any::<Index>(), byte).prop_map(Some)];
    let cut = prop_oneof![12 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (whole, damage, cut).prop_map(|(record, damage, cut)| {
        let mut record = record.into_bytes();
        if let Some((at, byte)) = damage {
            let at = at.index(record.len());
            record[at] = byte;
        }
        if let Some(cut) = cut {
            record.truncate(cut.index(record.len()));
        }
        record
    })
}

/// Keys in the order of a template, and values that fit.
type Members = &'static [(&'static str, &'static [&'static str])];

/// Values that hardly fit anywhere, and some that fit nearly everywhere.
const WILD: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1.0",
    "1e2",
    "12.345",
    "99999999999999999999",
    "1e999999999",
    "-0",
    "1E-400",
    "3.4028236e38",
    "1.7976931348623159e308",
    "007",
    "+1",
    ".5",
    "\"\"",
    "\"0\"",
    "\"1\"",
    "\"007\"",
    "\"+1\"",
    "\" 1\"",
    "\"null\"",
    "\"TRUE\"",
    "\"1e2\"",
    "\"-0.00\"",
    "\"5.\"",
    "\"1.\\u0030\"",
    "\"\\u0031\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"漢字 é\"",
    "\"\u{7f}\"",
    "[]",
    "[null]",
    "[1,\"a\",true]",
    "{}",
    "{\"a\":{}}",
    "[[[]]]",
    "nul",
    "\"\\x\"",
    "\"2026-02-29\"",
    "\"1.2.3.04\"",
    "\"::1\"",
    "\"2016-12-31T23:59:60.5Z\"",
    "\"1899-12-31\"",
    "4294967296",
    "18446744073709551616",
];

const OF_TYPES: Members = &[
    ("ts", &["1795161604", "1795161604.123456", "\"1795161604\"", "0", "4294967295.9999999", "1.795161604e9"]),
    ("i8", &["-128", "127", "0", "7.0", "\"5\"", "-0.0"]),
    ("i16", &["-32768", "32767", "12", "null", "1e4"]),
    ("i32", &["2147483647", "-2147483648", "31", "null"]),
    ("i64", &["9223372036854775807", "-9223372036854775808", "1763000000000", "123456789012345678", "70e-1"]),
    ("u8", &["0", "255", "null", "\"008\"", "25.500e1"]),
    ("u16", &["0", "1", "2", "65535", "3"]),
    ("u32", &["4294967295", "16777216", "null", "5"]),
    ("u64", &["18446744073709551615", "1234567890123456789", "0", "10000000000000000000"]),
    ("f32", &["1.5", "16777217", "3.4028235e38", "1e-46", "null", "\"0.1\""]),
    ("f64", &["0.1", "123456.789", "1e308", "2.2250738585072011e-308", "-0.0", "9007199254740993", "\"5e-324\""]),
    ("d5", &["99999", "-99999", "1e4", "12.000"]),
    ("d18", &["12.5", "9999999999999999.99", "-0.01", "null", "\"1234e-2\"", "5", "12.3400"]),
    ("d38", &["9999999999999999999999999999.9999999999", "0.0000000001", "1", "-1.5"]),
    ("flag", &["true", "false", "1", "0", "\"True\"", "\"0\""]),
    ("ms", &["1795161604999", "-1", "-1999.1", "null", "\"1763000000000\""]),
    ("ns", &["1795161604123456789", "-1", "9223372036854775807", "0.9"]),
    ("when", &["\"2026-11-20T08:00:00Z\"", "\"2026-11-20 16:00:00.123456+08:00\"", "\"2016-12-31T23:59:60Z\"", "null"]),
    ("day", &["\"2026-11-20\"", "\"1900-01-01\"", "\"2299-12-31\"", "\"2024-02-29\""]),
    ("v4", &["\"192.0.2.1\"", "\"255.255.255.255\"", "\"0.0.0.0\"", "\"::ffff:10.1.2.3\"", "null"]),
    ("v6", &["\"2001:db8::1\"", "\"::\"", "\"10.0.0.7\"", "\"2001:0db8:85a3:0000:0000:8a2e:0370:7334\""]),
    ("id", &["\"c04bd407-7835-4831-8ee7-2c31a27aa50d\"", "\"C04BD407783548318EE72C31A27AA50D\"", "null"]),
    ("low", &["\"GET\"", "\"POST\"", "\"a value that is longer than sixteen bytes\"", "null", "1.50", "\"\\u00e9\""]),
    (
        "text",
        &[
            "\"\"",
            "\"a\"",
            "\"what is longer than thirty-two bytes is copied otherwise\"",
            "\"漢字é\"",
            "\"a\\tb\\u0000\\\\\"",
            "true",
            "null",
        ],
    ),
    ("raw", &["{\"a\": [1, 2.50]}", "\"te\\u0078t\"", "1.50", "null", "[]"]),
    ("stranger", &["\"x\"", "1", "[{\"ts\":1}]"]),
];

const OF_PATHS: Members = &[
    (
        "a",
        &[
            r#"{"b":{"ts":1795161604193,"c":{"d":{"e":{"f":"deep"}}}},"p":"p1","words":["x","yy","x"]}"#,
            r#"{"p":"p2","b":{"ts":5,"c":{"d":{"e":[]}}},"words":[]}"#,
            r#"{"b":1,"p":"p1","b":{"c":{"d":{"e":{"f":"one","f":null}}},"ts":6}}"#,
            r#"{"b":{"ts":7},"p":"nobody knows it","words":[1.5,true,"\u0061"]}"#,
            r#"{"b":{"ts":8,"ts":9,"c":[{"d":1}]},"p":"product-with-a-long-name","words":["a"],"words":["b","c"]}"#,
            r#"{ "b" : { "ts" : 10 , "c" : { "d" : { "e" : { "f" : 1.50 } } } } , "p" : "p1" }"#,
        ],
    ),
    (
        "items",
        &[
            r#"[{"sku":"s1","n":2},{"sku":"s2"},{"tags":["t0","t1"]}]"#,
            r#"[{"n":1,"sku":"s3"}]"#,
            r#"[]"#,
            r#"[[1],[2],{"tags":{"1":"x"}}]"#,
            r#"[null,1,{"tags":[null,null]}]"#,
            r#"{"0":{"sku":"no array"}}"#,
        ],
    ),
    ("flags", &["[true,false,1,0,\"FALSE\"]", "[]", "null", "[true]"]),
    ("prices", &["[1,2.5,\"3.25\"]", "[0.10]", "[]", "[1e2,-9999999.99]"]),
    ("ids", &["[\"c04bd407-7835-4831-8ee7-2c31a27aa50d\"]", "[]"]),
    ("days", &["[\"2026-11-20\",\"2026-11-21\"]", "[ \"1970-01-01\" ]"]),
    ("nets", &["[\"::1\",\"1.2.3.4\"]", "[]", "[\"2001:db8::\"]"]),
    ("other", &[r#"{"a":{"b":{"ts":1}},"items":[1]}"#, "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"]),
];

const OF_FEW: Members = &[
    ("ts", &["1795161604193", "\"1795161604193\"", "0"]),
    ("x", &["1", "{\"x\":1}", "\"\\\\\"", "\"\\\"\"", "[\"\\\"\\\\\",{\"\\u0078\":null}]", "null", "-0.0e+5"]),
    ("y", &["[]", "{}", "[ [ ] , { } ]", "\"{\\\"x\\\":1}\"", "[{\"x\":[{\"x\":{\"ts\":0}}]}]"]),
    ("\\u0078", &["\"an escaped key\""]),
    ("a key that is longer than thirty-two bytes, quotes and all", &["1", "\"x\""]),
];

/// A record of members, as numbers say: which value each has, whether it has it, in which order.
fn written(members: Members, picks: &[u32], order: u32, style: u8) -> String {
    let mut places: Vec<usize> = (0..members.len()).collect();
    match order % 8 {
        0 => places.rotate_left(order as usize % members.len()),
        1 => places.swap(order as usize % members.len(), order as usize / 64 % members.len()),
        2 => places.push(order as usize / 8 % members.len()),
        3 => places.sort_by_key(|&place| (place as u32 + 1).wrapping_mul(order | 1)),
        _ => {}
    }
    let (open, comma, colon) = [("{", ",", ":"), ("{ ", ", ", ": "), ("{", " ,", " :"), ("\t{", ",\t", ":")][match style
    {
        0..200 => 0,
        200..240 => 1,
        _ => usize::from(style % 4),
    }];
    let mut record = open.to_owned();
    for (nth, place) in places.into_iter().enumerate() {
        let (key, values) = members[place];
        let pick = picks[nth % picks.len()].rotate_left(nth as u32);
        let value = match pick % 256 {
            0..4 => continue,
            // Some records lack most of what they need not have.
            6..128 if order & 0x700 == 0 && nth > 0 => continue,
            128..200 if order & 0x700 == 0 && nth > 0 => "null",
            4..6 => WILD[pick as usize / 256 % WILD.len()],
            _ => values[pick as usize / 256 % values.len()],
        };
        let comma = if record.len() > open.len() { comma } else { "" };
        write!(record, "{comma}\"{key}\"{colon}{value}").expect("a string takes all");
    }
    record + "}"
}

fn of(members: Members) -> impl Strategy<Value = Vec<u8>> {
    let picks = prop::collection::vec(any::<u32>(), members.len() + 1);
    damaged(
        (picks, any::<u32>(), any::<u8>())
            .prop_map(move |(picks, order, style)| written(members, &picks, order, style)),
    )
}

/// Of [`super::twin::configs::TYPES`].
pub(super) fn of_types() -> impl Strategy<Value = Vec<u8>> {
    of(OF_TYPES)
}

/// Of [`super::twin::configs::NESTED`].
pub(super) fn of_paths() -> impl Strategy<Value = Vec<u8>> {
    of(OF_PATHS)
}

/// Of [`super::twin::configs::FEW`].
pub(super) fn of_few() -> impl Strategy<Value = Vec<u8>> {
    of(OF_FEW)
}
