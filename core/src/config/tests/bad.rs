//! Bad configs: the frame, types of values, variables and columns.

use super::{BASE, Case, END, base_with, check, parse_as, problems};

#[test]
fn version() {
    let other = "write `version = 1`, or use the Longshore that this config was written for";
    check(&[
        (1, "", &["1:1: version: this key is required; write `version = 1` at the top of the file"]),
        (1, "version = \"1\"", &["1:11: version: the version is not a whole number; write `version = 1`"]),
        (1, "version = true", &["1:11: version: the version is not a whole number; write `version = 1`"]),
    ]);
    for (text, number) in
        [("version = 2", "2"), ("version = 0", "0"), ("version = -1", "-1"), ("version = 0x10", "0x10")]
    {
        // What the rest means in another version is not for us to say.
        let config = format!("{text}\nunknown_in_version_1 = true\n");
        assert_eq!(problems(&config), [format!("1:11: version: version {number} of the config is not known; {other}")]);
    }
}

#[test]
fn syntax() {
    check(&[
        (5, "type = ", &["5:8: this is not TOML: string values must be quoted, expected literal string"]),
        (9, "name = \"product", &["9:16: this is not TOML: invalid basic string, expected `\"`"]),
        (21, "column \"product\"", &["21:8: this is not TOML: key with no value, expected `=`"]),
    ]);
}

#[test]
fn several_syntax_errors_are_reported_and_nothing_else() {
    let text = "version = 1\nsource = = 1\n[decode\nformatt = \"json\"\nx = [1,,2]\n";
    let found = problems(text);
    assert!(found.len() >= 3, "{found:#?}");
    assert!(found.iter().all(|problem| problem.contains("this is not TOML")), "{found:#?}");
}

#[test]
fn duplicate_keys_do_not_hide_other_problems() {
    check(&[
        (
            6,
            "required = true\nrequired = true\nformt = \"rfc3339\"",
            &[
                "7:1: this key is there already; keep one of them",
                "8:1: column \"ts\".formt: unknown key; did you mean `format`?",
            ],
        ),
        (
            END,
            "[table]\ntime = \"ts\"",
            &["30:2: this key is there already; keep one of them", "31:1: this key is there already; keep one of them"],
        ),
    ]);
}

#[test]
fn unknown_keys() {
    check(&[
        (14, "tpye = \"string\"", &["14:1: column \"user_id\".tpye: unknown key; did you mean `type`?"]),
        (13, "nmae = \"user_id\"", &["13:1: column[2].nmae: unknown key; did you mean `name`?"]),
        (16, "[[columns]]", &["16:3: columns: unknown key; did you mean `column`?"]),
        (24, "time = \"ts\"\norderby = [\"user_id\"]", &["25:1: table.orderby: unknown key; did you mean `order_by`?"]),
        (
            24,
            "time = \"ts\"\nordrby = [\"usr_id\"]",
            &[
                "25:1: table.ordrby: unknown key; did you mean `order_by`?",
                "25:11: table.order_by[0]: there is no column `usr_id`; did you mean `user_id`?",
            ],
        ),
        (
            24,
            "time = \"ts\"\nengine = \"MergeTree\"",
            &["25:1: table.engine: unknown key; the keys here are: name, time, order_by"],
        ),
        (
            2,
            "[decoed]\nformat = \"jsn\"",
            &[
                "2:2: decoed: unknown key; did you mean `decode`?",
                "3:10: decode.format: unknown value `jsn`; did you mean `json`?",
            ],
        ),
        (
            END,
            "\"od.d key\" = 1",
            &[
                "30:1: rollup[0].\"od.d key\": unknown key; the keys here are: kind, name, user, amount, buyer, ip, by, where",
            ],
        ),
        (END, "[clickhouse.embeded]", &["30:13: clickhouse.embeded: unknown key; did you mean `embedded`?"]),
    ]);
}

#[test]
fn wrong_types() {
    check(&[
        (13, "name = 5", &["13:8: column[2].name: found an integer, wanted a string"]),
        (14, "type = [\"string\"]", &["14:8: column \"user_id\".type: found an array, wanted a string"]),
        (
            6,
            "required = \"yes\"",
            &[
                "6:12: column \"ts\".required: found a string, wanted true or false",
                "24:8: table.time: every record has a time, and column `ts` is not required; add `required = true` to the column: records without a time become dead letters",
            ],
        ),
        (21, "column = true", &["21:10: products.column: found a boolean, wanted a string"]),
        (24, "time = 2026-11-20", &["24:8: table.time: found a date or time, wanted a string"]),
        (23, "[[table]]", &["23:1: table: found an array, wanted a table"]),
        (26, "[rollup]", &["26:1: rollup: found a table, wanted an array of tables; write [[rollup]], once for each"]),
        (2, "source = \"app.log\"", &["2:10: source: found a string, wanted an array of tables [[source]]"]),
        (2, "source = [\"app.log\"]", &["2:11: source[0]: found a string, wanted a table"]),
        (
            24,
            "time = \"ts\"\norder_by = \"user_id\"",
            &["25:12: table.order_by: found a string, wanted a list of strings"],
        ),
        (
            24,
            "time = \"ts\"\norder_by = [1, \"user_id\", 2.5]",
            &[
                "25:13: table.order_by[0]: found an integer, wanted a string",
                "25:27: table.order_by[2]: found a float, wanted a string",
            ],
        ),
        (2, "[pipeline]\nworkers = 1.5", &["3:11: pipeline.workers: found a float, wanted a whole number"]),
        (2, "[pipeline]\nworkers = \"2\"", &["3:11: pipeline.workers: found a string, wanted a whole number"]),
    ]);
}

#[test]
fn what_must_be_there() {
    check(&[
        (4, "", &["3:1: column[0].name: this key is required; write name = \"...\""]),
        (
            14,
            "",
            &[
                "12:1: column \"user_id\".type: this key is required; write type = \"string\", or another type of docs/columns.md",
            ],
        ),
        (
            21,
            "",
            &[
                "20:1: products.column: it is not said which product a record belongs to; write column = \"product\" (a declared column) or fixed = \"web\" (one product for all records)",
            ],
        ),
        (24, "", &["23:1: table.time: this key is required; write time = \"...\", a required timestamp column"]),
        (
            27,
            "",
            &[
                "26:1: rollup[0].kind: this key is required; write kind = \"new_users\", \"gmv\", \"pv_uv\" or \"requests_by_ip\"",
            ],
        ),
        (28, "", &["26:1: rollup[0].amount: this key is required; write amount = \"...\", a declared column"]),
    ]);
    assert_eq!(
        problems("version = 1"),
        [
            "1:1: column: this key is required; declare what to keep of a record, each in a [[column]]",
            "1:1: products: this key is required; add [products] with column = \"...\" or fixed = \"...\"",
            "1:1: table: this key is required; add [table] with time = \"...\", the column that is the event time",
        ]
    );
    assert_eq!(
        problems("version = 1\ncolumn = []\nproducts = { fixed = \"web\" }\ntable = { time = \"ts\" }"),
        [
            "2:10: column: there are no columns; declare at least one [[column]]",
            "4:18: table.time: there is no column `ts`; declare it in a [[column]]",
        ]
    );
}

#[test]
fn variables() {
    let forms = "write ${VAR}, ${VAR:-default} or ${VAR:?message}; $$ is a dollar sign";
    let cases = [
        (
            "${MISSING}",
            "variable `MISSING` is not set; set it in the environment, or give a default: ${MISSING:-default}"
                .to_owned(),
        ),
        ("${MISSING:?ask the data team}", "variable `MISSING` is not set: ask the data team".to_owned()),
        ("${EMPTY:?ask the data team}", "variable `EMPTY` is empty: ask the data team".to_owned()),
        ("x${", format!("`${{` is never closed; {forms}")),
        ("${}", format!("`${{` is not followed by the name of a variable; {forms}")),
        (
            "${TABLE-events}",
            format!("variable `TABLE` is followed by something that is neither `}}` nor `:-` nor `:?`; {forms}"),
        ),
        (
            "${BAD_NAME}",
            "`a b` cannot be a name; a name is letters, digits and `_`, and starts with a letter".to_owned(),
        ),
    ];
    for (value, wanted) in cases {
        let text = base_with(24, &format!("time = \"ts\"\nname = \"{value}\""));
        let variables = [("EMPTY", ""), ("TABLE", "events"), ("BAD_NAME", "a b")];
        let found = parse_as(&text, "longshore.toml", &variables).expect_err(value);
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [format!("longshore.toml:25:8: table.name: {wanted}")], "{value}");
    }
}

#[test]
fn several_missing_variables_of_one_string() {
    check(&[(
        2,
        "[[source]]\npaths = [\"${A}/${B}\"]",
        &[
            "3:10: source[0].paths[0]: variable `A` is not set; set it in the environment, or give a default: ${A:-default}",
            "3:10: source[0].paths[0]: variable `B` is not set; set it in the environment, or give a default: ${B:-default}",
        ],
    )]);
}

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
            18,
            "type = \"decimal(4,2)\"\ndefault = 100",
            &[
                "19:11: column \"amount\".default: `100` does not fit the type decimal(4,2): wanted a number with at most 2 digits before the point and 2 after it",
            ],
        ),
        (
            18,
            "type = \"decimal(4,2)\"\ndefault = 0.001",
            &[
                "19:11: column \"amount\".default: `0.001` does not fit the type decimal(4,2): wanted a number with at most 2 digits before the point and 2 after it",
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
            "type = \"u8\"\ndefault = 256",
            &["15:11: column \"user_id\".default: `256` does not fit the type u8: wanted a whole number from 0 to 255"],
        ),
        (
            14,
            "type = \"u8\"\ndefault = 1.0",
            &["15:11: column \"user_id\".default: `1.0` does not fit the type u8: wanted a whole number from 0 to 255"],
        ),
        (
            14,
            "type = \"ipv4\"\ndefault = \"localhost\"",
            &[
                "15:11: column \"user_id\".default: `localhost` does not fit the type ipv4: wanted an IPv4 address such as 192.0.2.1",
            ],
        ),
        (
            END,
            "[[column]]\nname = \"paid\"\ntype = \"bool\"\ndefault = \"yes\"",
            &["33:11: column \"paid\".default: `yes` does not fit the type bool: wanted true or false"],
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
                "33:11: column \"day\".default: `2026-02-30` does not fit the type date: wanted a day written as the column's format, %Y-%m-%d",
            ],
        ),
    ]);
}

#[test]
fn masks() {
    const FORMS: &str = "write \"redact\", { hash = \"${SALT}\" }, { truncate = 8 } or { ip_prefix = 24 }";
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
            "type = \"u64\"\nmask = { hash = \"pepper\" }",
            &[
                "15:17: column \"user_id\".mask.hash: this mask is for columns of type string and low_cardinality; declare the column as string, or use \"redact\"",
            ],
        ),
        (
            14,
            "type = \"ipv4\"\nmask = { truncate = 8 }",
            &[
                "15:21: column \"user_id\".mask.truncate: this mask is for columns of type string and low_cardinality; declare the column as string, or use \"redact\"",
            ],
        ),
        (
            14,
            "type = \"string\"\nmask = { ip_prefix = 24 }",
            &[
                "15:22: column \"user_id\".mask.ip_prefix: this mask is for columns of type ipv4 and ipv6; declare the column as ipv4 or ipv6, or use \"redact\"",
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
