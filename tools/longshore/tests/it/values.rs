//! From the text of a record to the text of ClickHouse's answer: every type at its edges, paths, defaults, nulls and
//! masks. What is expected follows from docs/columns.md and was written by hand.

use serde_json::{Value, json};

use crate::support::shared::Site;

/// What every config here begins and ends with.
fn config(columns: &str, rest: &str) -> String {
    format!(
        "[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n{columns}\n\
         [products]\nfixed = \"p\"\n[table]\ntime = \"ts\"\n{rest}"
    )
}

/// A column of this name with these keys, as `type = "i8"`.
fn column(name: &str, keys: &str) -> String {
    format!("[[column]]\nname = \"{name}\"\n{keys}\n")
}

/// Loads lines of JSON (the event time is put into each) that must all be rows, and asks for columns as text.
fn load_and_ask(site: &Site, config_text: &str, lines: &[String], names: &[&str]) -> Vec<Vec<Value>> {
    let log: String = lines.iter().map(|line| line.replacen('{', "{\"ts\":1795161600000,", 1) + "\n").collect();
    let loaded = site.load(&site.config(config_text), &[site.write("log", log)]);
    assert_eq!(loaded["loaded"], json!(lines.len()), "{loaded} {:?}", site.ask("SELECT detail FROM {db}.dead_letters"));
    let selected: Vec<String> = names.iter().map(|name| format!("toString({name})")).collect();
    let asked = format!("SELECT {} FROM {{db}}.events ORDER BY _row FORMAT JSONCompactEachRow", selected.join(", "));
    site.ask(&asked).iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// The keys of a column, and three values as they stand in a record with the text that they become.
type Case = (&'static str, [(&'static str, &'static str); 3]);

const NUMBERS: [Case; 13] = [
    ("type = \"i8\"", [("-128", "-128"), ("\"0127\"", "127"), ("1e2", "100")]),
    ("type = \"i16\"", [("-32768", "-32768"), ("32767", "32767"), ("7.0", "7")]),
    ("type = \"i32\"", [("-2147483648", "-2147483648"), ("2147483647", "2147483647"), ("70e-1", "7")]),
    (
        "type = \"i64\"",
        [("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807"), ("-0", "0")],
    ),
    ("type = \"u8\"", [("0", "0"), ("255", "255"), ("\"7\"", "7")]),
    ("type = \"u16\"", [("0", "0"), ("65535", "65535"), ("6.5535e4", "65535")]),
    ("type = \"u32\"", [("0", "0"), ("4294967295", "4294967295"), ("-0.0", "0")]),
    (
        "type = \"u64\"",
        [("0", "0"), ("18446744073709551615", "18446744073709551615"), ("9007199254740993", "9007199254740993")],
    ),
    ("type = \"f32\"", [("3.4028235e38", "3.4028235e38"), ("16777217", "16777216"), ("\"-0.1\"", "-0.1")]),
    ("type = \"f64\"", [("1.7976931348623157e308", "1.7976931348623157e308"), ("5e-324", "5e-324"), ("0.1", "0.1")]),
    (
        "type = \"decimal(38,2)\"",
        [
            ("999999999999999999999999999999999999.99", "999999999999999999999999999999999999.99"),
            ("-999999999999999999999999999999999999.99", "-999999999999999999999999999999999999.99"),
            ("\"1234e-2\"", "12.34"),
        ],
    ),
    (
        "type = \"decimal(18,18)\"",
        [("1e-18", "0.000000000000000001"), ("-0.999999999999999999", "-0.999999999999999999"), ("0.5000", "0.5")],
    ),
    ("type = \"bool\"", [("true", "true"), ("\"FALSE\"", "false"), ("1", "true")]),
];

const TIMES: [Case; 7] = [
    (
        "type = \"timestamp\"",
        // 1900-01-01 is 25,567 days before 1970-01-01, 2300-01-01 is 120,530 days after.
        [
            ("-2208988800000", "1900-01-01 00:00:00.000"),
            ("10413791999999", "2299-12-31 23:59:59.999"),
            ("\"1795161600000.9\"", "2026-11-20 08:00:00.000"),
        ],
    ),
    (
        "type = \"timestamp\"\nformat = \"epoch_ns\"\nprecision = \"ns\"",
        [
            ("9223372036854775807", "2262-04-11 23:47:16.854775807"),
            ("-1", "1969-12-31 23:59:59.999999999"),
            ("0", "1970-01-01 00:00:00.000000000"),
        ],
    ),
    (
        "type = \"timestamp\"\nformat = \"epoch_s\"\nprecision = \"s\"",
        [("-1.5", "1969-12-31 23:59:58"), ("1.7e9", "2023-11-14 22:13:20"), ("951782400", "2000-02-29 00:00:00")],
    ),
    (
        "type = \"timestamp\"\nformat = \"rfc3339\"\nprecision = \"us\"",
        [
            ("\"2026-11-20T16:00:00.123456789+08:00\"", "2026-11-20 08:00:00.123456"),
            ("\"2016-12-31 23:59:60Z\"", "2016-12-31 23:59:59.000000"),
            ("\"2026-11-19t18:30:00-05:30\"", "2026-11-20 00:00:00.000000"),
        ],
    ),
    (
        "type = \"timestamp\"\nformat = \"%Y-%m-%d %H:%M:%S\"\nzone = \"Europe/Berlin\"",
        // In summer two hours ahead, in winter one; 02:30 of the change to winter time comes twice, the first counts.
        [
            ("\"2026-07-01 12:00:00\"", "2026-07-01 10:00:00.000"),
            ("\"2026-12-01 12:00:00\"", "2026-12-01 11:00:00.000"),
            ("\"2026-10-25 02:30:00\"", "2026-10-25 00:30:00.000"),
        ],
    ),
    (
        "type = \"date\"",
        [("\"1900-01-01\"", "1900-01-01"), ("\"2299-12-31\"", "2299-12-31"), ("\"2024-02-29\"", "2024-02-29")],
    ),
    (
        "type = \"date\"\nformat = \"%d/%b/%Y\"",
        [("\"20/Nov/2026\"", "2026-11-20"), ("\"01/jan/1970\"", "1970-01-01"), ("\"9/May/2015\"", "2015-05-09")],
    ),
];

const TEXTS: [Case; 6] = [
    ("type = \"string\"", [(r#""\u0000\"\\\n\t\/\ud83d\ude00""#, "\0\"\\\n\t/😀"), ("1.50", "1.50"), ("\"\"", "")]),
    ("type = \"low_cardinality\"", [("\"日本\"", "日本"), ("true", "true"), ("\"日本\"", "日本")]),
    (
        "type = \"json\"",
        [
            (r#"{"b" : [1, null], "a":{}}"#, r#"{"b" : [1, null], "a":{}}"#),
            (r#""x\u0041""#, r#""x\u0041""#),
            ("1e400", "1e400"),
        ],
    ),
    (
        "type = \"ipv4\"",
        [("\"0.0.0.0\"", "0.0.0.0"), ("\"255.255.255.254\"", "255.255.255.254"), ("\"::ffff:192.0.2.1\"", "192.0.2.1")],
    ),
    (
        "type = \"ipv6\"",
        [
            ("\"::\"", "::"),
            ("\"FFFF:ffff:ffff:ffff:ffff:ffff:ffff:fffe\"", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"),
            ("\"192.0.2.1\"", "::ffff:192.0.2.1"),
        ],
    ),
    (
        "type = \"uuid\"",
        [
            ("\"00112233-4455-6677-8899-AABBCCDDEEFF\"", "00112233-4455-6677-8899-aabbccddeeff"),
            ("\"00112233445566778899aabbccddeeff\"", "00112233-4455-6677-8899-aabbccddeeff"),
            ("\"ffffffff-ffff-ffff-ffff-ffffffffffff\"", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ],
    ),
];

const LISTS: [Case; 6] = [
    (
        "type = \"list(i64)\"",
        [("[]", "[]"), ("[-9223372036854775808, \"7\"]", "[-9223372036854775808,7]"), ("[0]", "[0]")],
    ),
    ("type = \"list(string)\"", [(r#"["", "a,b", 1.0]"#, "['','a,b','1.0']"), ("[]", "[]"), ("[\"é\"]", "['é']")]),
    (
        "type = \"list(low_cardinality)\"",
        [("[\"x\",\"x\",\"y\"]", "['x','x','y']"), ("[]", "[]"), ("[true]", "['true']")],
    ),
    (
        "type = \"list(decimal(18,2))\"",
        [("[0.10, \"9999999999999999.99\"]", "[0.10,9999999999999999.99]"), ("[]", "[]"), ("[-1]", "[-1.00]")],
    ),
    (
        "type = \"list(date)\"",
        [
            ("[\"2026-11-20\"]", "['2026-11-20']"),
            ("[]", "[]"),
            ("[\"1900-01-01\",\"1970-01-01\"]", "['1900-01-01','1970-01-01']"),
        ],
    ),
    (
        "type = \"list(ipv6)\"",
        [("[\"::1\",\"192.0.2.1\"]", "['::1','::ffff:192.0.2.1']"), ("[]", "[]"), ("[\"::\"]", "['::']")],
    ),
];

#[test]
fn every_type_arrives_at_its_edges() {
    let cases: Vec<&Case> = NUMBERS.iter().chain(&TIMES).chain(&TEXTS).chain(&LISTS).collect();
    let names: Vec<String> = (0..cases.len()).map(|number| format!("c{number}")).collect();
    let columns: String = cases.iter().zip(&names).map(|((keys, _), name)| column(name, keys)).collect();
    let line = |row: usize| {
        let fields = cases.iter().zip(&names).map(|((_, values), name)| format!("\"{name}\":{}", values[row].0));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    };
    let site = Site::new("edges");
    let lines: Vec<String> = (0..3).map(line).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = load_and_ask(&site, &config(&columns, ""), &lines, &names);
    assert_eq!(rows.len(), 3);
    for (row, values) in rows.iter().enumerate() {
        for ((keys, expected), actual) in cases.iter().zip(values) {
            assert_eq!(actual, expected[row].1, "{keys}: {}", expected[row].0);
        }
    }
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    let columns = [
        column("deep", "type = \"string\"\npath = \"a.b.c\""),
        column("first", "type = \"string\"\npath = \"items[0].sku\""),
        column("third", "type = \"u8\"\npath = \"items[2].counts[1]\""),
        column("odd", "type = \"string\"\npath = 'a.\"x.y\".c'"),
        column("whole", "type = \"json\"\npath = \"items\""),
    ];
    let lines = [
        r#"{"a":{"x.y":{"c":"odd"},"b":{"c":"deep"}},"items":[{"sku":"s0"},7,{"counts":[1,2,3]}]}"#,
        // The same names elsewhere, and other things where objects were.
        r#"{"c":"x","b":{"c":"x"},"a":{"x":{"y":{"c":"x"}},"b":7},"items":[[],{"sku":"s1"}]}"#,
        r#"{"a":[{"b":{"c":"x"}}],"items":{"0":{"sku":"x"}}}"#,
    ];
    let site = Site::new("paths");
    let names = ["deep", "first", "third", "odd", "whole"];
    let rows = load_and_ask(&site, &config(&columns.concat(), ""), &lines.map(str::to_owned), &names);
    assert_eq!(
        rows,
        [
            vec!["deep", "s0", "2", "odd", r#"[{"sku":"s0"},7,{"counts":[1,2,3]}]"#],
            vec!["", "", "0", "", r#"[[],{"sku":"s1"}]"#],
            vec!["", "", "0", "", r#"{"0":{"sku":"x"}}"#],
        ]
    );
}

#[test]
fn absent_and_null_become_what_the_column_declares() {
    let columns = [
        column("zero", "type = \"i32\""),
        column("text", "type = \"low_cardinality\"\ndefault = \"organic\""),
        column("number", "type = \"decimal(9,2)\"\ndefault = 1.5"),
        column("flag", "type = \"bool\"\ndefault = true"),
        column("maybe", "type = \"string\"\nnullable = true"),
        column("both", "type = \"u16\"\nnullable = true\ndefault = 9"),
        column("address", "type = \"ipv6\""),
        column("list", "type = \"list(u8)\""),
    ];
    let names = ["zero", "text", "number", "flag", "maybe", "both", "address", "list"];
    let null = Value::Null;
    let nulls: Vec<String> = names.iter().map(|name| format!("\"{name}\":null")).collect();
    let given = r#"{"zero":1,"text":"","number":"2","flag":false,"maybe":"","both":0,"address":"::2","list":[3]}"#;
    let lines = ["{\"other\":1}".to_owned(), format!("{{{}}}", nulls.join(",")), given.to_owned()];
    let site = Site::new("absent");
    let rows = load_and_ask(&site, &config(&columns.concat(), ""), &lines, &names);
    assert_eq!(
        rows,
        [
            vec![
                json!("0"),
                json!("organic"),
                json!("1.5"),
                json!("true"),
                null.clone(),
                json!("9"),
                json!("::"),
                json!("[]")
            ],
            vec![
                json!("0"),
                json!("organic"),
                json!("1.5"),
                json!("true"),
                null.clone(),
                null,
                json!("::"),
                json!("[]")
            ],
            ["1", "", "2", "false", "", "0", "::2", "[3]"].map(|text| json!(text)).to_vec(),
        ]
    );
}

#[test]
fn masks_are_all_that_is_stored() {
    let columns = [
        column("mail", "type = \"string\"\nnullable = true\nmask = { hash = \"an unusual salt for these tests\" }"),
        column("mails", "type = \"list(string)\"\nmask = { hash = \"an unusual salt for these tests\" }"),
        column("name", "type = \"low_cardinality\"\ndefault = \"nobody\"\nmask = \"redact\""),
        column("pin", "type = \"u32\"\nmask = \"redact\""),
        column("code", "type = \"string\"\nmask = { truncate = 3 }"),
        column("v4", "type = \"ipv4\"\nmask = { ip_prefix = 20 }"),
        column("v6", "type = \"ipv6\"\nmask = { ip_prefix = { v4 = 24, v6 = 44 } }"),
    ];
    // The filter sees what is stored: `日本語` is all that is left of the longer one.
    let config = config(&columns.concat(), "[[filter]]\nkeep = { code = [\"日本語\", \"ab\", \"\"] }\n");
    let log = r#"{"ts":0,"mail":"ann@example.com","mails":["日本","ann@example.com"],"name":"Ann","pin":1234,"code":"日本語です","v4":"203.0.113.77","v6":"2001:db8:aabb:ccdd::1"}
{"ts":0,"mail":"ann@example.com","mails":[],"name":"Bob","pin":0,"code":"ab","v4":"255.255.255.255","v6":"203.0.113.77"}
{"ts":0,"mail":null}
{"ts":0,"code":"abcd"}
{"ts":0,"v4":"hush.hush.hush.hush"}
"#;
    let site = Site::new("masks");
    let loaded = site.load(&site.config(&config), &[site.write("log", log)]);
    assert_eq!((&loaded["loaded"], &loaded["filtered"], &loaded["dead"]), (&json!(3), &json!(1), &json!(1)));
    // Python: hmac.new(b"an unusual salt for these tests", text.encode(), hashlib.sha256).hexdigest()[:32]
    let (ann, japan) = ("8cc00b9733df848af732925330a0f799", "cff37389c7367e8d2842b115338388ad");
    let asked = "SELECT mail, mails, name, pin, code, v4, v6 FROM {db}.events ORDER BY _row";
    assert_eq!(
        site.ask(asked),
        [
            // 203.0.113.77 in 20 bits: 113 is 0111 0001, of which 0111 stays.
            format!("{ann}\t['{japan}','{ann}']\t***\t0\t日本語\t203.0.112.0\t2001:db8:aab0::"),
            format!("{ann}\t[]\t***\t0\tab\t255.255.240.0\t::ffff:203.0.113.0"),
            "\\N\t[]\tnobody\t0\t\t0.0.0.0\t::".to_owned(),
        ]
    );
    let detail = "SELECT column, position(detail, 'hush') FROM {db}.dead_letters";
    assert_eq!(site.ask(detail), ["v4\t0"]);
    let everywhere = "SELECT count() FROM {db}.events WHERE concat(mail, toString(mails), name) LIKE '%nn%'";
    assert_eq!(site.ask(everywhere), ["0"]);
}
