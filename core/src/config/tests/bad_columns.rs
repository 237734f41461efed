//! Bad configs: columns.

use super::{BASE, Case, END, base_with, check, problems};

#[test]
fn column_names() {
    let rule = "a name is letters, digits and `_`, and starts with a letter";
    let named = |name: &str| BASE.join("\n").replace("\"amount\"", &format!("\"{name}\""));
    for (name, wanted) in [
        ("order-amount", rule),
        ("2nd", rule),
        ("", rule),
        ("金额", rule),
        ("_row", "names that start with `_` are Longshore's own"),
    ] {
        assert_eq!(
            problems(&named(name)),
            [format!(
                "17:8: column {}.name: `{name}` cannot be a name; {wanted}",
                if name.is_empty() { "[3]".to_owned() } else { format!("\"{name}\"") }
            )
            .replace("column [3]", "column[3]")],
            "{name}"
        );
    }
    check(&[(
        17,
        "name = \"user_id\"",
        &[
            "17:8: column \"user_id\".name: there is a column `user_id` on line 13 already; names must differ",
            "28:10: rollup[0].amount: there is no column `amount`; declare it in a [[column]]",
        ],
    )]);
}

#[test]
fn column_types() {
    check(&[
        (14, "type = \"strng\"", &["14:8: column \"user_id\".type: unknown type `strng`; did you mean `string`?"]),
        (14, "type = \"String\"", &["14:8: column \"user_id\".type: unknown type `String`; did you mean `string`?"]),
        (14, "type = \"int\"", &["14:8: column \"user_id\".type: unknown type `int`; did you mean `i64`?"]),
        (14, "type = \"UInt64\"", &["14:8: column \"user_id\".type: unknown type `UInt64`; did you mean `u64`?"]),
        (
            14,
            "type = \"varchar(20)\"",
            &["14:8: column \"user_id\".type: unknown type `varchar(20)`; types with parameters are: decimal, list"],
        ),
        (
            14,
            "type = \"geometry\"",
            &[
                "14:8: column \"user_id\".type: unknown type `geometry`; the types are: string, low_cardinality, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, bool, ipv4, ipv6, uuid, timestamp, date, json, decimal(p,s), list(type)",
            ],
        ),
        (
            18,
            "type = \"decimal\"",
            &[
                "18:8: column \"amount\".type: a decimal needs its digits; write decimal(18,2): 18 digits in all, 2 of them after the point",
            ],
        ),
        (
            18,
            "type = \"decimal(18)\"",
            &[
                "18:8: column \"amount\".type: `18` is not a precision and a scale; write decimal(18,2): 18 digits in all, 2 of them after the point",
            ],
        ),
        (
            18,
            "type = \"decimal(18,2\"",
            &["18:8: column \"amount\".type: `decimal(18,2` is not closed; end decimal(...) with `)`"],
        ),
        (
            18,
            "type = \"decimal(39,2)\"",
            &[
                "18:8: column \"amount\".type: a decimal has 1 to 38 digits, not 39; write decimal(18,2): 18 digits in all, 2 of them after the point",
            ],
        ),
        (
            18,
            "type = \"decimal(0,0)\"",
            &[
                "18:8: column \"amount\".type: a decimal has 1 to 38 digits, not 0; write decimal(18,2): 18 digits in all, 2 of them after the point",
            ],
        ),
        (
            18,
            "type = \"decimal(2,3)\"",
            &[
                "18:8: column \"amount\".type: a decimal of 2 digits cannot have 3 of them after the point; write decimal(18,2): 18 digits in all, 2 of them after the point",
            ],
        ),
        (
            18,
            "type = \"decimel(18,2)\"",
            &["18:8: column \"amount\".type: unknown type `decimel(18,2)`; did you mean `decimal`?"],
        ),
        (
            14,
            "type = \"list\"",
            &["14:8: column \"user_id\".type: a list needs the type of its items; write list(string)"],
        ),
        (
            14,
            "type = \"list(json)\"",
            &[
                "14:8: column \"user_id\".type: a list holds scalars only, neither lists nor json; declare the column as json to keep it as text",
            ],
        ),
        (
            14,
            "type = \"list(list(i8))\"",
            &[
                "14:8: column \"user_id\".type: a list holds scalars only, neither lists nor json; declare the column as json to keep it as text",
            ],
        ),
        (
            14,
            "type = \"list(strng)\"",
            &["14:8: column \"user_id\".type: unknown type `strng`; did you mean `string`?"],
        ),
    ]);
}

#[test]
fn time_formats() {
    let cases: &[Case] = &[
        (
            5,
            "type = \"timestamp\"\nformat = \"epoch_sec\"",
            &["6:10: column \"ts\".format: unknown format `epoch_sec`; did you mean `epoch_s`?"],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"iso\"",
            &[
                "6:10: column \"ts\".format: unknown format `iso`; write a pattern with %, such as %Y-%m-%d %H:%M:%S, or one of: epoch_s, epoch_ms, epoch_us, epoch_ns, rfc3339",
            ],
        ),
        (
            5,
            "type = \"timestamp\"\nprecision = \"min\"",
            &["6:13: column \"ts\".precision: unknown value `min`; the choices are: s, ms, us, ns"],
        ),
        (
            5,
            "type = \"timestamp\"\nzone = \"Asia/Shanghai\"",
            &[
                "6:8: column \"ts\".zone: only a pattern has a zone: epochs and rfc3339 say theirs themselves; leave it out",
            ],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"rfc3339\"\nzone = \"UTC\"",
            &[
                "7:8: column \"ts\".zone: only a pattern has a zone: epochs and rfc3339 say theirs themselves; leave it out",
            ],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"%d/%b/%Y:%H:%M:%S %z\"\nzone = \"UTC\"",
            &["7:8: column \"ts\".zone: the pattern has an offset or zone of its own; leave it out"],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"%s\"\nzone = \"UTC\"",
            &["7:8: column \"ts\".zone: the pattern has an offset or zone of its own; leave it out"],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"%F %T\"\nzone = \"Asia/Shanghia\"",
            &["7:8: column \"ts\".zone: unknown time zone `Asia/Shanghia`; did you mean `Asia/Shanghai`?"],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"%F %T\"\nzone = \"+08:00\"",
            &["7:8: column \"ts\".zone: unknown time zone `+08:00`; write an IANA name, such as Asia/Shanghai or UTC"],
        ),
        (
            5,
            "type = \"timestamp\"\nformat = \"%F %I:%M\"",
            &[
                "6:10: column \"ts\".format: the pattern does not tell morning from afternoon; add %p, or use %H for the hours of a day",
            ],
        ),
        (
            14,
            "type = \"string\"\nformat = \"%F\"\nprecision = \"ms\"",
            &[
                "15:10: column \"user_id\".format: only a timestamp or a date has a format; leave it out",
                "16:13: column \"user_id\".precision: only a timestamp has it; leave it out",
            ],
        ),
        (
            14,
            "type = \"date\"\nzone = \"UTC\"",
            &[
                "15:8: column \"user_id\".zone: only a timestamp has it; leave it out",
                "30:9: rollup[0].buyer: column `user_id` is date, which does not identify a user; use a column of type string, low_cardinality, uuid, ipv4, ipv6 or an integer",
            ],
        ),
    ];
    check(cases);
    for (line, key, starts) in [
        ("type = \"timestamp\"\nformat = \"%H:%M\"", "column \"ts\".format", "the pattern does not make a time: "),
        ("type = \"timestamp\"\nformat = \"%F %Ez\"", "column \"ts\".format", "this is not a usable pattern: "),
        ("type = \"timestamp\"\nformat = \"%c\"", "column \"ts\".format", "this is not a usable pattern: "),
        ("type = \"timestamp\"\nformat = \"%F %T %Z\"", "column \"ts\".format", "this is not a usable pattern: "),
        ("type = \"timestamp\"\nformat = \"%F %\"", "column \"ts\".format", "this is not a usable pattern: "),
    ] {
        let found = problems(&base_with(5, line));
        let [found] = &found[..] else { panic!("{line}: {found:#?}") };
        assert!(found.starts_with(&format!("6:10: {key}: {starts}")), "{line}: {found}");
    }
}

#[test]
fn paths() {
    check(&[
        (
            14,
            "type = \"string\"\npath = \"user..id\"",
            &[
                "15:8: column \"user_id\".path: `user..id` is not a path: expected a key at character 6; write a path such as a.b.c, items[0].sku or, for odd keys, 'a.\"x.y\"'",
            ],
        ),
        (
            14,
            "type = \"string\"\npath = \"ids[first]\"",
            &[
                "15:8: column \"user_id\".path: `ids[first]` is not a path: expected an index such as `[0]` at character 5; write a path such as a.b.c, items[0].sku or, for odd keys, 'a.\"x.y\"'",
            ],
        ),
    ]);
    let csv = |path: &str| {
        base_with(2, "decode.format = \"csv\"")
            .replace("type = \"string\"", &format!("type = \"string\"\npath = '{path}'"))
    };
    assert_eq!(
        problems(&csv("user.id")),
        [
            "15:8: column \"user_id\".path: records of this format are not nested; if this is the name of one field, write '\"user.id\"'",
        ]
    );
    assert_eq!(problems(&csv("\"user.id\"")), [""; 0]);
    let log = BASE
        .join("\n")
        .replace("name = \"ts\"", "name = \"ts\"\npath = \"time\"")
        .replacen('\n', "\ndecode.format = \"access_log\"", 1)
        .replace("name = \"product\"", "name = \"product\"\npath = \"host\"")
        .replace("name = \"user_id\"", "name = \"user_id\"\npath = \"usr\"");
    assert_eq!(
        problems(&log),
        [
            "16:8: column \"user_id\".path: an access log has no field `usr`; did you mean `user`?",
            "20:8: column \"amount\".name: an access log has no field `amount`; `path` can be one of: host, ident, user, time, request, method, path, protocol, status, bytes, referer, agent",
        ]
    );
}

#[test]
fn defaults_and_absence() {
    check(&[
        (
            14,
            "type = \"string\"\nrequired = true\ndefault = \"nobody\"",
            &[
                "16:11: column \"user_id\".default: a required column has no default: records that lack it are dead letters; keep `required` or `default`",
            ],
        ),
        (
            18,
            "type = \"decimal(18,2)\"\nrequired = true\nnullable = true",
            &[
                "20:12: column \"amount\".nullable: a required column is never null: records that lack it are dead letters; keep `required` or `nullable`",
            ],
        ),
        (
            END,
            "[[column]]\nname = \"tags\"\ntype = \"list(string)\"\nnullable = true",
            &[
                "33:12: column \"tags\".nullable: ClickHouse has no nullable lists; leave `nullable` out: an absent list is empty",
            ],
        ),
        (
            END,
            "[[column]]\nname = \"tags\"\ntype = \"list(string)\"\ndefault = \"[1]\"",
            &["33:11: column \"tags\".default: a list has no default but []"],
        ),
        (
            18,
            "type = \"decimal(4,2)\"\ndefault = 100",
            &[
                "19:11: column \"amount\".default: the string \"100\" is out of range; the column wants a number of at most 2 digits before the point and 2 after it",
            ],
        ),
        (
            18,
            "type = \"decimal(4,2)\"\ndefault = 0.001",
            &[
                "19:11: column \"amount\".default: the string \"0.001\" has digits after the point that cannot be kept; the column wants a number of at most 2 digits before the point and 2 after it",
            ],
        ),
        (
            18,
            "type = \"decimal(4,2)\"\ndefault = true",
            &["19:11: column \"amount\".default: found a boolean, wanted a number or a string"],
        ),
        (
            14,
            "type = \"string\"\ndefault = 0",
            &["15:11: column \"user_id\".default: found an integer, wanted a string"],
        ),
        (
            14,
            "type = \"u8\"\ndefault = 0x100",
            &[
                "15:11: column \"user_id\".default: the string \"256\" is out of range; the column wants an integer from 0 to 255",
            ],
        ),
        (
            14,
            "type = \"u8\"\ndefault = -1",
            &[
                "15:11: column \"user_id\".default: the string \"-1\" is out of range; the column wants an integer from 0 to 255",
            ],
        ),
        (
            14,
            "type = \"ipv4\"\ndefault = \"localhost\"",
            &[
                "15:11: column \"user_id\".default: the string \"localhost\" does not have the right form; the column wants an IPv4 address such as 192.0.2.1",
            ],
        ),
        (
            END,
            "[[column]]\nname = \"paid\"\ntype = \"bool\"\ndefault = \"yes\"",
            &[
                "33:11: column \"paid\".default: the string \"yes\" does not have the right form; the column wants true, false, 1 or 0",
            ],
        ),
        (
            END,
            "[[column]]\nname = \"paid\"\ntype = \"bool\"\ndefault = 0",
            &["33:11: column \"paid\".default: found an integer, wanted true or false"],
        ),
        (
            END,
            "[[column]]\nname = \"day\"\ntype = \"date\"\ndefault = 2026-11-20",
            &["33:11: column \"day\".default: found a date or time, wanted a string"],
        ),
        (
            END,
            "[[column]]\nname = \"day\"\ntype = \"date\"\ndefault = \"2026-02-30\"",
            &[
                "33:11: column \"day\".default: the string \"2026-02-30\" does not have the right form; the column wants a day such as 2026-11-20, years 1900 to 2299",
            ],
        ),
    ]);
    let props = problems(&base_with(END, "[[column]]\nname = \"props\"\ntype = \"json\"\ndefault = \"{\""));
    assert!(props.len() == 1 && props[0].starts_with("33:11: column \"props\".default: "), "{props:#?}");
}

#[test]
fn masks() {
    const FORMS: &str =
        "write \"redact\", { hash = \"${SALT}\" }, { hash_file = \"salt\" }, { truncate = 8 } or { ip_prefix = 24 }";
    assert_eq!(
        problems(&base_with(14, "type = \"string\"\nmask = \"hash\"")),
        [format!("15:8: column \"user_id\".mask: unknown mask; {FORMS}")]
    );
    assert_eq!(
        problems(&base_with(14, "type = \"string\"\nmask = {}")),
        [format!("15:8: column \"user_id\".mask: the mask is empty; {FORMS}")]
    );
    assert_eq!(
        problems(&base_with(14, "type = \"string\"\nmask = { hash = \"s\", truncate = 8 }")),
        [format!("15:8: column \"user_id\".mask: a column has one mask; {FORMS}")]
    );
    let salt = |salt: &str| problems(&base_with(14, &format!("type = \"string\"\nmask = {{ hash = \"{salt}\" }}")));
    let help = "make one with `openssl rand -hex 32`, and keep it: other salts make other hashes";
    for short in ["s", "pepper", "fifteen bytes !"] {
        let wanted = format!("15:17: column \"user_id\".mask.hash: the salt has less than 16 bytes; {help}");
        assert_eq!(salt(short), [wanted], "{short}");
    }
    for known in
        ["change me, change me", "Pepper and salt, pepper", "0123456789abcdef0123456789abcdef", &"xy".repeat(40)]
    {
        let wanted =
            format!("15:17: column \"user_id\".mask.hash: the salt is an example, which everybody knows; {help}");
        assert_eq!(salt(known), [wanted], "{known}");
    }
    // As `openssl rand -hex 16` makes them, one with a word of the examples in it.
    for good in ["5f2c9a7be0d14386b1c07a9e3d5f8264", "abcdef17c9e0d14386b1c07a9e3d5f82"] {
        assert_eq!(salt(good), [""; 0], "{good}");
    }
    check(&[
        (
            14,
            "type = \"string\"\nmask = true",
            &["15:8: column \"user_id\".mask: found a boolean, wanted \"redact\" or a table such as { truncate = 8 }"],
        ),
        (
            14,
            "type = \"string\"\nmask = { truncat = 8 }",
            &["15:10: column \"user_id\".mask.truncat: unknown key; did you mean `truncate`?"],
        ),
        (
            14,
            "type = \"string\"\nmask = { hash = \"\" }",
            &["15:17: column \"user_id\".mask.hash: this cannot be empty"],
        ),
        (
            14,
            "type = \"string\"\nmask = { truncate = 0 }",
            &["15:21: column \"user_id\".mask.truncate: 0 is out of range: from 1 to 1048576"],
        ),
        (
            14,
            "type = \"u64\"\nmask = { hash = \"an unusual salt for these tests\" }",
            &[
                "15:17: column \"user_id\".mask.hash: the mask `hash` is for string and low-cardinality columns; declare the column as string, or use \"redact\"",
            ],
        ),
        (
            14,
            "type = \"ipv4\"\nmask = { truncate = 8 }",
            &[
                "15:21: column \"user_id\".mask.truncate: the mask `truncate` is for string and low-cardinality columns; declare the column as string, or use \"redact\"",
            ],
        ),
        (
            14,
            "type = \"string\"\nmask = { ip_prefix = 24 }",
            &[
                "15:22: column \"user_id\".mask.ip_prefix: the mask `ip_prefix` is for ipv4 and ipv6 columns; declare the column as ipv4 or ipv6, or use \"redact\"",
            ],
        ),
        (
            14,
            "type = \"ipv4\"\nmask = { ip_prefix = 33 }",
            &["15:22: column \"user_id\".mask.ip_prefix: 33 is out of range: from 0 to 32"],
        ),
        (
            14,
            "type = \"ipv6\"\nmask = { ip_prefix = 129 }",
            &["15:22: column \"user_id\".mask.ip_prefix: 129 is out of range: from 0 to 128"],
        ),
        (
            14,
            "type = \"ipv6\"\nmask = { ip_prefix = { v4 = 24 } }",
            &["15:22: column \"user_id\".mask.ip_prefix.v6: this key is required; write { v4 = 24, v6 = 48 }"],
        ),
        (
            14,
            "type = \"ipv6\"\nmask = { ip_prefix = { v4 = 33, v6 = 48 } }",
            &["15:29: column \"user_id\".mask.ip_prefix.v4: 33 is out of range: from 0 to 32"],
        ),
        (
            6,
            "required = true\nmask = \"redact\"",
            &[
                "25:8: table.time: column `ts` is redacted, so all records would have one time; take the column's mask away",
            ],
        ),
        (
            10,
            "type = \"string\"\nmask = { truncate = 3 }",
            &[
                "22:10: products.column: the data is sharded by product, and column `product` is masked; take the column's mask away",
            ],
        ),
        (
            14,
            "type = \"string\"\nmask = \"redact\"",
            &[
                "30:9: rollup[0].buyer: column `user_id` is redacted, so its values cannot be told apart; mask it with `hash`, which keeps equal values equal",
            ],
        ),
    ]);
}

#[test]
fn too_many_columns() {
    let column = |index: usize| format!("[[column]]\nname = \"c{index}\"\ntype = \"i8\"\n");
    let many = |count: usize| BASE.join("\n") + "\n" + &(0..count).map(column).collect::<String>();
    assert_eq!(problems(&many(996)), [""; 0], "996 and the base's 4 are as many as there may be");
    // Column c996 is the 997th of three lines each after line 29: its name is on line 29 + 996 * 3 + 2.
    assert_eq!(
        problems(&many(998)),
        ["3019:8: column \"c996\".name: 1002 columns are too many: at most 1000, the products' included",]
    );
}
