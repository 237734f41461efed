//! Bad configs: sources, decode, products, filters, table, rollups, ClickHouse, pipeline.

use super::{END, base_with, check, parse_as, problems};

#[test]
fn sources() {
    check(&[
        (
            2,
            "[[source]]\nname = \"app\"",
            &[
                "2:1: source \"app\".paths: this key is required; write paths = [\"logs/*.log.gz\"], or a table [source.kafka] for topics",
            ],
        ),
        (
            2,
            "[[source]]\npaths = []",
            &["3:9: source[0].paths: a source needs a path; write paths = [\"logs/*.log.gz\"]"],
        ),
        (2, "[[source]]\npaths = [\"\"]", &["3:10: source[0].paths[0]: this cannot be empty"]),
        (2, "[[source]]\npaths = \"a.log\"", &["3:9: source[0].paths: found a string, wanted a list of strings"]),
        (
            2,
            "[[source]]\npaths = [\"~/a.log\"]",
            &[
                "3:10: source[0].paths[0]: `~` is the home folder, but HOME is not set; set HOME, or write the whole path",
            ],
        ),
        (
            2,
            "[[source]]\npaths = [\"a\"]\nfollow_links_into = [\"/var/*/pods\"]",
            &[
                "4:22: source[0].follow_links_into[0]: folders have no wildcards here; name a folder above them, such as \"/var/log/pods\"",
            ],
        ),
        (
            2,
            "[[source]]\nname = \"a\"\npaths = [\"a\"]\n[[source]]\nname = \"a\"\npaths = [\"b\"]",
            &["6:8: source \"a\".name: there is a source `a` on line 3 already; names must differ"],
        ),
        (
            2,
            "[[source]]\nname = \"source-2\"\npaths = [\"a\"]\n[[source]]\npaths = [\"b\"]",
            &["5:1: source[1]: there is a source `source-2` on line 3 already; names must differ"],
        ),
    ]);
}

#[test]
fn topics() {
    const HEAD: &str = "[[source]]\n[source.kafka]\nbrokers = [\"k:9092\"]\ntopics = [\"t\"]\ngroup = \"g\"\n";
    let with = |line: &str| format!("{HEAD}{line}");
    let cases: &[(&str, &[&str])] = &[
        (
            "start = \"newest\"",
            &[
                "7:9: source[0].kafka.start: `newest` is no place to start at; write \"earliest\", \"latest\", a time such as \"2026-11-01T00:00:00Z\", or offsets: { \"orders/0\" = 1200 }",
            ],
        ),
        (
            "start = { \"other/0\" = 1 }",
            &[
                "7:11: source[0].kafka.start.\"other/0\": `other/0` is not a partition of this source's topics; write \"topic/number\", such as \"orders/0\"",
            ],
        ),
        ("messages = \"line\"", &["7:12: source[0].kafka.messages: unknown value `line`; did you mean `lines`?"]),
        (
            "properties = { \"enable.auto.commit\" = true }",
            &[
                "7:16: source[0].kafka.properties.\"enable.auto.commit\": the guarantee rests on this property; leave it out: offsets are committed when what is before them is stored, and not by a clock",
            ],
        ),
        (
            "properties = { \"group.id\" = \"other\" }",
            &[
                "7:16: source[0].kafka.properties.\"group.id\": this property has a key of its own; it goes without saying, or is written as `group` of [source.kafka]",
            ],
        ),
        (
            "tls = { cert_file = \"a.pem\" }",
            &["7:21: source[0].kafka.tls.cert_file: `cert_file` needs `key_file`; certificate and key go together"],
        ),
        (
            "sasl = { mechanism = \"gssapi\", user = \"u\", password = \"${PW}\" }",
            &[
                "7:22: source[0].kafka.sasl.mechanism: unknown value `gssapi`; the choices are: plain, scram-sha-256, scram-sha-512",
                "7:55: source[0].kafka.sasl.password: variable `PW` is not set; set it in the environment, or give a default: ${PW:-default}",
            ],
        ),
        (
            "sasl = { mechanism = \"plain\", user = \"u\", password = \"hunter2\" }",
            &[
                "7:54: a secret is written here; a config that reads topics is kept in ClickHouse, for the other engines: take the secret from the environment, \"${NAME}\", or from a file",
            ],
        ),
        (
            "[decode]\nformat = \"csv\"",
            &[
                "2:1: source: messages of a topic have no header line, which `decode.format` needs; let the producer write JSON, or read files",
            ],
        ),
    ];
    for (line, wanted) in cases {
        assert_eq!(problems(&base_with(2, &with(line))), *wanted, "{line}");
    }
    check(&[(
        2,
        "[[source]]\npaths = [\"a\"]\n[source.kafka]\nbrokers = [\"k\"]\ntopics = [\"a b\"]",
        &[
            "3:9: source[0].paths: a source is files or topics; make them two sources",
            "4:1: source[0].kafka.group: this key is required; engines of one group share the partitions; name it after what it fills: group = \"shop\"",
            "5:12: source[0].kafka.brokers[0]: `k` is not a host and a port; write brokers = [\"host:9092\"]",
            "6:11: source[0].kafka.topics[0]: `a b` is not the name of a topic; a name is letters, digits, `.`, `_` and `-`, 249 at most; patterns are not known here",
        ],
    )]);
}

#[test]
fn decode() {
    check(&[
        (2, "decode.format = \"jsno\"", &["2:17: decode.format: unknown value `jsno`; did you mean `json`?"]),
        (
            2,
            "decode.format = \"parquet\"",
            &["2:17: decode.format: unknown value `parquet`; the choices are: json, access_log, csv, tsv"],
        ),
        (
            2,
            "decode.record_bytes_max = \"1 mile\"",
            &[
                "2:27: decode.record_bytes_max: `1 mile` is not a size; write a whole number of bytes, or one with a unit: 65536, \"64 KiB\", \"16 MiB\", \"4 GiB\"",
            ],
        ),
        (
            2,
            "decode.record_bytes_max = \"17 MiB\"",
            &["2:27: decode.record_bytes_max: 17 MiB is out of range: from 1 byte to 16 MiB"],
        ),
        (
            2,
            "decode.record_bytes_max = 0",
            &["2:27: decode.record_bytes_max: 0 bytes is out of range: from 1 byte to 16 MiB"],
        ),
        (
            2,
            "decode.record_bytes_max = -1",
            &["2:27: decode.record_bytes_max: this size is out of range: from 1 byte to 16 MiB"],
        ),
        (
            2,
            "decode.record_bytes_max = 1.5",
            &["2:27: decode.record_bytes_max: found a float, wanted a size such as \"16 MiB\""],
        ),
        (
            2,
            "decode.record_bytes_max = \"2 MiB\"\npipeline.slice_bytes = \"1 MiB\"",
            &[
                "2:27: decode.record_bytes_max: a record of 2 MiB (decode.record_bytes_max) does not fit in a slice of 1 MiB (pipeline.slice_bytes); lower decode.record_bytes_max or raise pipeline.slice_bytes",
            ],
        ),
        (
            2,
            "pipeline.slice_bytes = \"512 KiB\"",
            &[
                "2:24: pipeline.slice_bytes: a record of 1 MiB (decode.record_bytes_max) does not fit in a slice of 512 KiB (pipeline.slice_bytes); lower decode.record_bytes_max or raise pipeline.slice_bytes",
            ],
        ),
    ]);
}

#[test]
fn envelopes() {
    check(&[
        (
            2,
            "[decode.envelope]\nkeyring = \"k.toml\"",
            &["2:1: decode.envelope.layout: this key is required; write layout = \"tab\", \"json\" or \"frame\""],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"tabs\"\nkeyring = \"k.toml\"",
            &["3:10: decode.envelope.layout: unknown value `tabs`; did you mean `tab`?"],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"tab\"",
            &[
                "2:1: decode.envelope.keyring: an envelope needs its keys; write keyring = \"keyring.toml\" (a file) or keyring_env = \"LONGSHORE_KEYS\" (a variable)",
            ],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"tab\"\nkeyring = \"k.toml\"\nkeyring_env = \"KEYS\"",
            &["5:15: decode.envelope.keyring_env: the keys come from `keyring` already; keep one of the two"],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"tab\"\nkeyring = \"k.toml\"\nfields = { key = \"k\" }",
            &["5:10: decode.envelope.fields: only the layout `json` has named fields; leave it out"],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"json\"\nkeyring = \"k.toml\"\nfields = { key = \"data\" }",
            &["5:10: decode.envelope.fields: two of key, nonce and data are the same field"],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"json\"\nkeyring = \"k.toml\"\nfields = { nonse = \"n\" }",
            &["5:12: decode.envelope.fields.nonse: unknown key; did you mean `nonce`?"],
        ),
        (
            2,
            "[decode]\nformat = \"csv\"\nenvelope = { layout = \"frame\", keyring = \"k.toml\" }",
            &[
                "4:23: decode.envelope.layout: frames have no header line, and the fields of csv and tsv are named by one; use the layout `tab` or `json`, or another decode.format",
            ],
        ),
        (
            2,
            "[decode.envelope]\nlayout = \"tab\"\nkeyring = \"\"",
            &["4:11: decode.envelope.keyring: a path cannot be empty; leave the key out if there is no such file"],
        ),
    ]);
}

#[test]
fn products() {
    check(&[
        (21, "column = \"prodct\"", &["21:10: products.column: there is no column `prodct`; did you mean `product`?"]),
        (
            21,
            "column = \"ts\"",
            &[
                "21:10: products.column: the product is a string, and column `ts` is timestamp; declare it as string or low_cardinality",
            ],
        ),
        (
            10,
            "type = \"string\"\nnullable = true",
            &[
                "22:10: products.column: every record has a product, and column `product` is nullable; make it `required`, or give it a `default`",
            ],
        ),
        (
            21,
            "column = \"product\"\nfixed = \"web\"",
            &["22:9: products.fixed: the product cannot be fixed and in a column; keep `fixed` or `column`"],
        ),
        (21, "fixed = \"\"", &["21:9: products.fixed: this cannot be empty"]),
        (
            21,
            "fixed = \"web\"",
            &[
                "9:8: column \"product\".name: the fixed product adds a column `product`, so no column can be declared with that name; rename the column, or write column = \"product\" in [products]",
            ],
        ),
        (
            21,
            "column = \"product\"\nadd = [\"name\"]",
            &[
                "22:7: products.add: there is no dictionary, so every product is known; leave it out, or write dictionary = \"products.csv\"",
            ],
        ),
        (
            21,
            "column = \"product\"\nunknown = \"default\"\ndefault = \"other\"",
            &[
                "22:11: products.unknown: there is no dictionary, so every product is known; leave it out, or write dictionary = \"products.csv\"",
                "23:11: products.default: there is no dictionary, so every product is known; leave it out, or write dictionary = \"products.csv\"",
            ],
        ),
        (
            21,
            "column = \"product\"\ndictionary = \"p.csv\"\nunknown = \"default\"",
            &[
                "20:1: products.default: unknown = \"default\" needs the default product; write default = \"...\", a product of the dictionary",
            ],
        ),
        (
            21,
            "column = \"product\"\ndictionary = \"p.csv\"\ndefault = \"other\"",
            &[
                "23:11: products.default: records of unknown products are dead letters, so there is no default product; write unknown = \"default\", or leave `default` out",
            ],
        ),
        (
            21,
            "column = \"product\"\ndictionary = \"p.csv\"\nunknown = \"dead_leter\"",
            &["23:11: products.unknown: unknown value `dead_leter`; did you mean `dead_letter`?"],
        ),
        (
            21,
            "column = \"product\"\ndictionary = \"p.json\"",
            &["22:14: products.dictionary: a dictionary is a .csv or a .toml file; rename the file to what it holds"],
        ),
        (
            21,
            "column = \"product\"\ndictionary = \"p.csv\"\nadd = [\"name\", \"family name\", \"name\"]",
            &[
                "23:16: products.add[1]: `family name` cannot be a name; a name is letters, digits and `_`, and starts with a letter",
                "23:31: products.add[2]: `name` is added twice",
            ],
        ),
        (
            21,
            "column = \"product\"\ndictionary = \"p.csv\"\nadd = [\"name\"]\n[[column]]\nname = \"product_name\"\ntype = \"string\"",
            &[
                "23:8: products.add[0]: this adds a column `product_name`, and one is declared on line 25; rename the declared column",
            ],
        ),
    ]);
    let fixed = base_with(9, "name = \"channel\"")
        .replace("column = \"product\"", "fixed = \"web\"\ndictionary = \"p.csv\"\nadd = [\"name\"]");
    assert_eq!(
        problems(&fixed),
        [
            "22:14: products.dictionary: a fixed product has no dictionary; leave it out, or write `column` instead of `fixed`",
            "23:7: products.add: a fixed product has no dictionary; leave it out, or write `column` instead of `fixed`",
        ]
    );
}

#[test]
fn filters() {
    check(&[
        (
            END,
            "[[filter]]",
            &[
                "30:1: filter[0]: a filter needs a condition; write drop = { event = [\"heartbeat\"] } or keep = { ... }",
            ],
        ),
        (
            END,
            "[[filter]]\ndrop = { user_id = \"a\" }\nkeep = { user_id = \"b\" }",
            &["30:1: filter[0]: a filter drops or keeps, not both; write a [[filter]] for each"],
        ),
        (
            END,
            "[[filter]]\ndrop = { user_id = \"a\", product = \"b\" }",
            &["31:8: filter[0].drop: a filter is about one column, not 2; write a [[filter]] for each column"],
        ),
        (
            END,
            "[[filter]]\ndrop = {}",
            &["31:8: filter[0].drop: a filter is about one column, not 0; write a [[filter]] for each column"],
        ),
        (END, "[[filter]]\ndrop = \"user_id\"", &["31:8: filter[0].drop: found a string, wanted a table"]),
        (
            END,
            "[[filter]]\ndrop = { userid = \"a\" }",
            &["31:10: filter[0].drop.userid: there is no column `userid`; did you mean `user_id`?"],
        ),
        (
            END,
            "[[filter]]\ndrop = { amount = [0] }",
            &[
                "31:10: filter[0].drop.amount: column `amount` is decimal(18,2), which conditions do not take; use a column of type string, low_cardinality, bool or an integer",
            ],
        ),
        (
            END,
            "[[filter]]\ndrop = { user_id = [] }",
            &["31:20: filter[0].drop.user_id: the list is empty, so no record satisfies it"],
        ),
        (
            END,
            "[[filter]]\ndrop = { user_id = [\"a\", 5, true] }",
            &[
                "31:26: filter[0].drop.user_id[1]: found an integer, wanted a string, as the column's type is",
                "31:29: filter[0].drop.user_id[2]: found a boolean, wanted a string, as the column's type is",
            ],
        ),
        (
            END,
            "[[filter]]\nkeep = { n = [\"7\", 300, \"x\", true] }\n[[column]]\nname = \"n\"\ntype = \"u8\"",
            &[
                "31:20: filter[0].keep.n[1]: `300` is no value of the column: wanted a whole number from 0 to 255",
                "31:25: filter[0].keep.n[2]: `x` is no value of the column: wanted a whole number from 0 to 255",
                "31:30: filter[0].keep.n[3]: found a boolean, wanted an integer, as the column's type is",
            ],
        ),
        (
            END,
            "[[filter]]\nkeep = { b = [true, \"false\", \"no\", 1] }\n[[column]]\nname = \"b\"\ntype = \"bool\"",
            &[
                "31:30: filter[0].keep.b[2]: `no` is no value of the column: wanted true or false",
                "31:36: filter[0].keep.b[3]: found an integer, wanted true or false, as the column's type is",
            ],
        ),
        (
            END,
            "[[filter]]\nkeep = { s = \"x\" }\n[[column]]\nname = \"s\"\ntype = \"string\"\nmask = \"redact\"",
            &[
                "31:10: filter[0].keep.s: column `s` is redacted, so its values cannot be told apart; use another column, or another mask",
            ],
        ),
    ]);
}

#[test]
fn events_table() {
    check(&[
        (24, "time = \"tss\"", &["24:8: table.time: there is no column `tss`; did you mean `ts`?"]),
        (
            24,
            "time = \"user_id\"",
            &[
                "24:8: table.time: the event time is a timestamp, and column `user_id` is string; declare it with type = \"timestamp\"",
                "24:8: table.time: every record has a time, and column `user_id` is not required; add `required = true` to the column: records without a time become dead letters",
            ],
        ),
        (
            6,
            "nullable = true",
            &[
                "24:8: table.time: every record has a time, and column `ts` is not required; add `required = true` to the column: records without a time become dead letters",
            ],
        ),
        (
            24,
            "time = \"ts\"\nname = \"ledger\"",
            &[
                "25:8: table.name: `ledger` is the name of a table of Longshore's own; choose another name, such as `events`",
            ],
        ),
        (
            24,
            "time = \"ts\"\nname = \"db.events\"",
            &[
                "25:8: table.name: `db.events` cannot be a name; a name is letters, digits and `_`, and starts with a letter",
            ],
        ),
        (
            24,
            "time = \"ts\"\norder_by = [\"usr_id\", \"ts\", \"product\", \"user_id\", \"user_id\"]",
            &[
                "25:13: table.order_by[0]: there is no column `usr_id`; did you mean `user_id`?",
                "25:23: table.order_by[1]: `ts` is the event time, which the table is ordered by last anyway; leave it out",
                "25:29: table.order_by[2]: `product` is the product, which the table is ordered by first anyway; leave it out",
                "25:51: table.order_by[4]: `user_id` is in `order_by` twice",
            ],
        ),
        (
            24,
            "time = \"ts\"\norder_by = [\"c\"]\n[[column]]\nname = \"c\"\ntype = \"string\"\nnullable = true",
            &[
                "25:13: table.order_by[0]: column `c` is nullable, and a table cannot be ordered by it; make it `required`, or leave `nullable` out",
            ],
        ),
    ]);
}

#[test]
fn rollups() {
    check(&[
        (27, "kind = \"gvm\"", &["27:8: rollup[0].kind: unknown value `gvm`; did you mean `gmv`?"]),
        (
            27,
            "kind = \"retention\"",
            &[
                "27:8: rollup[0].kind: unknown value `retention`; the choices are: new_users, gmv, pv_uv, requests_by_ip",
            ],
        ),
        (29, "buyer = \"userid\"", &["29:9: rollup[0].buyer: there is no column `userid`; did you mean `user_id`?"]),
        (
            18,
            "type = \"f64\"",
            &[
                "28:10: rollup[0].amount: column `amount` is f64, and an amount is a decimal; money is never a float: declare the column as decimal(18,2), which adds up to the cent",
            ],
        ),
        (
            28,
            "amount = \"user_id\"\nby = [\"user_id\"]",
            &[
                "28:10: rollup[0].amount: column `user_id` is string, and an amount is a decimal; money is never a float: declare the column as decimal(18,2), which adds up to the cent",
                "29:7: rollup[0].by[0]: `user_id` is what this rollup counts; leave it out of `by`",
            ],
        ),
        (
            30,
            "by = [\"minute\", \"buyers\", \"uv\"]\n[[column]]\nname = \"minute\"\ntype = \"u8\"\n\
             [[column]]\nname = \"buyers\"\ntype = \"string\"\n[[column]]\nname = \"uv\"\ntype = \"u8\"",
            &[
                "30:7: rollup[0].by[0]: `minute` is a name that the rollup's views use themselves; give the column another name",
                "30:17: rollup[0].by[1]: `buyers` is a name that the rollup's views use themselves; give the column another name",
            ],
        ),
        (
            29,
            "buyer = \"ts\"",
            &[
                "29:9: rollup[0].buyer: column `ts` is timestamp, which does not identify a user; use a column of type string, low_cardinality, uuid, ipv4, ipv6 or an integer",
            ],
        ),
        (
            14,
            "type = \"string\"\nnullable = true",
            &[
                "30:9: rollup[0].buyer: column `user_id` is nullable, and a rollup does not tell nulls apart; make it `required`, or leave `nullable` out; records to leave alone are for `where`",
            ],
        ),
        (
            END,
            "user = \"user_id\"",
            &[
                "30:8: rollup[0].user: this kind of rollup does not have it; this kind takes amount, buyer, by and where",
            ],
        ),
        (
            END,
            "name = \"ledger\"",
            &["30:8: rollup \"ledger\".name: `ledger` is the name of a table of Longshore's own; choose another name"],
        ),
        (
            END,
            "name = \"events\"",
            &[
                "30:8: rollup \"events\".name: a rollup's tables are named `events` and `events`_..., and so is the events table; choose another name for one of the two",
            ],
        ),
        (
            END,
            "[[rollup]]\nkind = \"gmv\"\namount = \"amount\"\nbuyer = \"user_id\"",
            &["31:8: rollup[1].kind: there is a rollup `gmv` on line 27 already; names must differ"],
        ),
        (
            END,
            "by = [\"product\", \"ts\", \"amount\", \"chanel\", \"f\", \"c\", \"c\"]\n[[column]]\nname = \"channel\"\ntype = \"string\"\n[[column]]\nname = \"f\"\ntype = \"f32\"\n[[column]]\nname = \"c\"\ntype = \"date\"",
            &[
                "30:7: rollup[0].by[0]: `product` is the product, which every rollup is by; leave it out",
                "30:18: rollup[0].by[1]: `ts` is the event time, and every rollup is by its minute; leave it out",
                "30:24: rollup[0].by[2]: `amount` is what this rollup counts; leave it out of `by`",
                "30:34: rollup[0].by[3]: there is no column `chanel`; did you mean `channel`?",
                "30:44: rollup[0].by[4]: column `f` is f32, which a rollup cannot be by; use a column of type string, low_cardinality, bool, date, uuid, ipv4, ipv6 or an integer",
                "30:54: rollup[0].by[6]: `c` is in `by` twice",
            ],
        ),
        (
            END,
            "where = { event = [\"paid\"], product = 5 }",
            &[
                "30:11: rollup[0].where.event: there is no column `event`; declare it in a [[column]]",
                "30:39: rollup[0].where.product: found an integer, wanted a string, as the column's type is",
            ],
        ),
        (
            END,
            "[[rollup]]\nkind = \"requests_by_ip\"\nip = \"amount\"",
            &[
                "32:6: rollup[1].ip: column `amount` is decimal(18,2), which is no address; use a column of type ipv4, ipv6 or string",
            ],
        ),
    ]);
    let added = base_with(END, "by = [\"product_family\"]")
        .replace("column = \"product\"", "column = \"product\"\ndictionary = \"p.csv\"\nadd = [\"family\"]");
    assert_eq!(
        problems(&added),
        [
            "32:7: rollup[0].by[0]: `product_family` comes from the dictionary, and a rollup is by columns of the record; leave it out: it follows from the product, which every rollup is by"
        ]
    );
}

#[test]
fn clickhouse() {
    check(&[
        (
            END,
            "[clickhouse]\nurl = \"http://ch:8123\"\n[clickhouse.embedded]",
            &[
                "31:7: clickhouse.url: a server on a URL and an embedded one exclude each other; keep `url` or [clickhouse.embedded]",
            ],
        ),
        (
            END,
            "[clickhouse]\nurl = \"clickhouse://ch:9000\"",
            &[
                "31:7: clickhouse.url: the URL's scheme is neither http nor https; Longshore speaks ClickHouse's HTTP interface: \"http://host:8123\" or \"https://host:8443\"",
            ],
        ),
        (
            END,
            "[clickhouse]\nurl = \"http://ch:0\"",
            &[
                "31:7: clickhouse.url: the URL's port is not a number from 1 to 65535; write \"http://host:8123\" or \"https://host:8443\"",
            ],
        ),
        (
            END,
            "[clickhouse]\nuser = \"loader\"\npassword = \"p\"\nca_file = \"ca.pem\"",
            &[
                "31:8: clickhouse.user: only a server on a URL has it: the embedded one makes its own users; write `url` too, or leave it out",
                "32:12: clickhouse.password: only a server on a URL has it: the embedded one makes its own users; write `url` too, or leave it out",
                "33:11: clickhouse.ca_file: only a server on a URL has it: the embedded one makes its own users; write `url` too, or leave it out",
            ],
        ),
        (
            END,
            "[clickhouse]\nurl = \"http://ch:8123\"\nca_file = \"ca.pem\"\nuser = \"\"",
            &[
                "32:11: clickhouse.ca_file: an http URL has no TLS, so there is no certificate to check; write an https URL, or leave `ca_file` out",
                "33:8: clickhouse.user: this cannot be empty",
            ],
        ),
        (
            END,
            "[clickhouse]\ndatabase = \"system\"\ninserts_in_flight = 0\ncompression = \"zstd\"\nrollups = \"views\"",
            &[
                "31:12: clickhouse.database: `system` is a database of ClickHouse's own; choose another name, such as `longshore`",
                "32:21: clickhouse.inserts_in_flight: 0 is out of range: from 1 to 16",
                "33:15: clickhouse.compression: unknown value `zstd`; the choices are: auto, none, lz4",
                "34:11: clickhouse.rollups: this is gone: the engine fills the rollups, and nothing else does; leave it out; a database that views filled has to be loaded anew, into another one",
            ],
        ),
        (
            END,
            "[clickhouse.embedded]\nhttp_port = 0\ntcp_port = 65536\nmemory_max = 4\nanalyst_password = \"\"",
            &[
                "31:13: clickhouse.embedded.http_port: 0 is out of range: from 1 to 65535",
                "32:12: clickhouse.embedded.tcp_port: 65536 is out of range: from 1 to 65535",
                "33:14: clickhouse.embedded.memory_max: 4 bytes is out of range: from 512 MiB to 1048576 GiB",
                "34:20: clickhouse.embedded.analyst_password: this cannot be empty",
            ],
        ),
        (
            END,
            "[clickhouse.embedded]\nhttp_port = 9000\ntcp_port = 9000",
            &[
                "32:12: clickhouse.embedded.tcp_port: http_port and tcp_port are the same; leave both out to have free ones chosen",
            ],
        ),
    ]);
}

#[test]
fn pipeline() {
    check(&[
        (
            END,
            "[pipeline]\nslice_bytes = \"1 KiB\"\nworkers = 0",
            &[
                "31:15: pipeline.slice_bytes: 1 KiB is out of range: from 64 KiB to 64 MiB",
                "32:11: pipeline.workers: 0 is out of range: from 1 to 256",
            ],
        ),
        (
            END,
            "[pipeline]\nslice_bytes = \"128 MiB\"\nworkers = 99999999999999999999999999999999999999999999",
            &[
                "31:15: pipeline.slice_bytes: 128 MiB is out of range: from 64 KiB to 64 MiB",
                "32:11: pipeline.workers: this number is out of range: from 1 to 256",
            ],
        ),
    ]);
    let text = base_with(END, "[pipeline]\nworkers = \"${WORKERS}\"");
    let found = parse_as(&text, "longshore.toml", &[("WORKERS", "many")]).expect_err("not a number");
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["longshore.toml:31:11: pipeline.workers: `many` is not a whole number"]);
}

#[test]
fn run() {
    check(&[
        (
            END,
            "[run]\nslice_age = \"1ms\"\ndrain = \"61m\"\nmetrics = \"localhost\"\nmachine = \"\"",
            &[
                "31:13: run.slice_age: 1ms is out of range: from 100ms to 1h",
                "32:9: run.drain: 61m is out of range: from 0ms to 1h",
                "33:11: run.metrics: `localhost` is not an address and a port; write \"127.0.0.1:9464\", or \"0.0.0.0:9464\" to let other machines read the metrics",
                "34:11: run.machine: this cannot be empty",
            ],
        ),
        (
            END,
            "[run]\nslice_age = 5\ndrain = \"5\"\njournal = \"\"\nslice_ages = 1",
            &[
                "31:13: run.slice_age: found an integer, wanted a duration such as \"5s\"",
                "32:9: run.drain: `5` is not a duration; write a whole number and a unit: \"500ms\", \"5s\", \"2m\", \"1h\", \"7d\"",
                "33:11: run.journal: a path cannot be empty; leave the key out if there is no such file",
                "34:1: run.slice_ages: unknown key; did you mean `slice_age`?",
            ],
        ),
    ]);
}

#[test]
fn columns_of_messages() {
    check(&[(
        END,
        "[message]\nkey = \"user_id\"\noffset = \"_at\"\nvalue = \"v\"",
        &[
            "31:7: message.key: there is a column `user_id` on line 13 already; names must differ",
            "32:10: message.offset: `_at` cannot be a name; names that start with `_` are Longshore's own",
            "33:1: message.value: unknown key; the keys here are: topic, partition, offset, timestamp, key, headers",
        ],
    )]);
}

#[test]
fn dedup() {
    check(&[
        (
            END,
            "[dedup]",
            &[
                "30:1: dedup.key: this key is required; write key = [\"order_id\"], the columns that two copies of an event have the same values in",
            ],
        ),
        (
            END,
            "[dedup]\nkey = []",
            &[
                "31:7: dedup.key: without a key all events would be the same one; write key = [\"order_id\"], the columns that two copies of an event have the same values in",
            ],
        ),
        (
            END,
            "[dedup]\nkey = [\"user_idd\", \"user_id\", \"user_id\", \"product\", \"\"]\nwindow = \"367d\"",
            &[
                "31:8: dedup.key[0]: there is no column `user_idd`; did you mean `user_id`?",
                "31:31: dedup.key[2]: `user_id` is in `key` twice",
                "31:42: dedup.key[3]: `product` is the product, and events of different products are never the same; leave it out",
                "31:53: dedup.key[4]: this cannot be empty",
                "32:10: dedup.window: 367d is out of range: from 1m to 366d",
            ],
        ),
        (
            END,
            "[dedup]\nkey = \"user_id\"\nwindow = 7\nwindows = \"7d\"",
            &[
                "31:7: dedup.key: found a string, wanted a list of strings",
                "32:10: dedup.window: found an integer, wanted a duration such as \"5s\"",
                "33:1: dedup.windows: unknown key; did you mean `window`?",
            ],
        ),
        (
            14,
            "type = \"f64\"\n[dedup]\nkey = [\"user_id\"]\n[[column]]\nname = \"id\"\ntype = \"string\"",
            &[
                "16:8: dedup.key[0]: column `user_id` is f64, which does not tell events apart; use text, an integer, a decimal, a time, a date, an address, a uuid or a bool",
                "34:9: rollup[0].buyer: column `user_id` is f64, which does not identify a user; use a column of type string, low_cardinality, uuid, ipv4, ipv6 or an integer",
            ],
        ),
        (
            14,
            "type = \"string\"\nmask = { truncate = 3 }\n[dedup]\nkey = [\"user_id\"]",
            &[
                "17:8: dedup.key[0]: column `user_id` is masked so that different values become one; mask it with `hash`, which keeps equal values equal and others apart",
            ],
        ),
    ]);
}
