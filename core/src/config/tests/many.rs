//! One run finds everything, in the order of the file.

use super::problems;

const TEN_MISTAKES: &str = r#"version = 1

[decode]
format = "jsno"

[[column]]
name = "ts"
type = "timestamp"
format = "%Y-%m-%d %H:%M:%S"
zone = "Asia/Shanghia"
required = true

[[column]]
name = "product"
tpye = "low_cardinality"

[[column]]
name = "user_id"
type = "strng"
required = true

[[column]]
name = "amount"
type = "f64"

[products]
column = "product"
dictionary = "${DICTIONARY}"
add = ["name", "name"]

[table]
time = "ts"
order_by = ["usr_id"]

[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user_id"

[clickhouse]
url = "tcp://ch.example:9000"

[pipeline]
workers = 0
"#;

#[test]
fn ten_mistakes_in_one_file() {
    assert_eq!(
        problems(TEN_MISTAKES),
        [
            "4:10: decode.format: unknown value `jsno`; did you mean `json`?",
            "10:8: column \"ts\".zone: unknown time zone `Asia/Shanghia`; did you mean `Asia/Shanghai`?",
            "15:1: column \"product\".tpye: unknown key; did you mean `type`?",
            "19:8: column \"user_id\".type: unknown type `strng`; did you mean `string`?",
            "28:14: products.dictionary: variable `DICTIONARY` is not set; set it in the environment, or give a default: ${DICTIONARY:-default}",
            "29:16: products.add[1]: `name` is added twice",
            "33:13: table.order_by[0]: there is no column `usr_id`; did you mean `user_id`?",
            "37:10: rollup[0].amount: column `amount` is f64, and an amount is a decimal; money is never a float: declare the column as decimal(18,2), which adds up to the cent",
            "41:7: clickhouse.url: the URL's scheme is neither http nor https; Longshore speaks ClickHouse's HTTP interface: \"http://host:8123\" or \"https://host:8443\"",
            "44:11: pipeline.workers: 0 is out of range: from 1 to 256",
        ]
    );
}

#[test]
fn each_is_shown_with_its_line() {
    let found = super::parse_as(TEN_MISTAKES, "conf/longshore.toml", &[]).expect_err("ten mistakes");
    assert_eq!(
        found[2].render(),
        concat!(
            "conf/longshore.toml:15:1: column \"product\".tpye: unknown key\n",
            "   |\n",
            "15 | tpye = \"low_cardinality\"\n",
            "   | ^^^^\n",
            "   = help: did you mean `type`?",
        )
    );
    assert_eq!(
        found[0].render(),
        concat!(
            "conf/longshore.toml:4:10: decode.format: unknown value `jsno`\n",
            "  |\n",
            "4 | format = \"jsno\"\n",
            "  |          ^^^^^^\n",
            "  = help: did you mean `json`?",
        )
    );
}

#[test]
fn columns_are_counted_in_characters_and_carriage_returns_are_not_shown() {
    let text = "version = 1\r\nproducts = { fixed = \"网\", \"naïve\" = 1 }\r\n[table]\r\ntime = \"ts\"\r\n";
    let found = super::parse_as(text, "longshore.toml", &[]).expect_err("an unknown key and no columns");
    let naive = found.iter().find(|diagnostic| diagnostic.message == "unknown key").expect("the unknown key");
    assert_eq!((naive.line, naive.column, naive.key.as_str()), (2, 27, "products.\"naïve\""));
    assert_eq!(
        naive.render().lines().skip(1).take(3).collect::<Vec<_>>(),
        ["  |", "2 | products = { fixed = \"网\", \"naïve\" = 1 }", "  |                           ^^^^^^^"]
    );
}

#[test]
fn what_is_missing_has_no_line_to_show() {
    let found = super::parse_as("# empty\n", "longshore.toml", &[]).expect_err("an empty config");
    assert_eq!(
        found[0].render(),
        concat!(
            "longshore.toml:1:1: version: this key is required\n",
            "  = help: write `version = 1` at the top of the file",
        )
    );
    assert_eq!(found.len(), 4, "version, column, products, table: {found:#?}");
}
