//! Bad configs: the frame, types of values and variables.

use super::{END, base_with, check, parse_as, problems};

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
            &["25:1: table.engine: unknown key; the keys here are: name, time, order_by, future_max, past_max"],
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

/// Whatever is given instead of a config, one problem says so, and nothing of what is in it is shown.
#[test]
fn a_file_that_is_no_config_is_one_problem_without_a_word_of_it() {
    let json = "{\"user\":\"SECRET\",\"token\":\"SECRET\"}\n".repeat(20_000);
    let access = "10.0.0.1 - SECRET [20/Nov/2026:10:00:00 +0000] \"GET /SECRET HTTP/1.1\" 200 12\n".repeat(3);
    for text in [
        json.as_str(),
        access.as_str(),
        "ts,user,amount\n1,SECRET,2\n",
        "k1\tSECRETSECRET==\n",
        "level=info user=SECRET\n",
        "[ERROR] SECRET\n[table] SECRET\n",
        "2026-11-20 10:00:00 [run] SECRET\n",
        "\0\u{1}\u{2}SECRET\n",
        "SECRET",
        "<xml>SECRET</xml>",
        // TOML, of something else.
        "[package]\nname = \"SECRET\"\n",
        "[[key]]\nid = \"k1\"\nsecret = \"SECRET\"\n",
    ] {
        let found = parse_as(text, "app.log", &[]).expect_err("it is no config");
        assert_eq!(found.len(), 1, "{text:.40}: {:#?}", &found[..2]);
        let shown = found[0].render();
        assert!(shown.starts_with("app.log:1:"), "{shown}");
        assert!(shown.contains("this is not a Longshore config") && shown.contains("swapped?"), "{shown}");
        assert!(!shown.contains("SECRET"), "{shown}");
    }
}

/// A slip in a config is no other file.
#[test]
fn a_config_with_a_slip_stays_a_config() {
    for text in
        ["version = = 1\n", "[[colum]]\nname = \n", "  [ table ]  # here\n[table]\ntime = ts\n", "tabel = 1\n", ""]
    {
        let found = problems(text);
        assert!(!found.iter().any(|problem| problem.contains("not a Longshore config")), "{text}: {found:#?}");
    }
}

#[test]
fn problems_are_looked_for_up_to_a_bound() {
    let text = format!("version = 1\n{}", "x y\n".repeat(5_000));
    assert_eq!(problems(&text).len(), crate::limits::CONFIG_PROBLEMS_MAX);
    let text = format!("version = 1\n{}", (0..5_000).map(|n| format!("k{n} = 1\n")).collect::<String>());
    assert_eq!(problems(&text).len(), crate::limits::CONFIG_PROBLEMS_MAX);
}
