//! Valid configs: every field, and what is there when little is said.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use super::{BASE, END, base_with, parse_as};
use crate::column::layout::event_columns;
use crate::column::{ColumnSpec, ColumnType, Mask, Path, Step, TimeFormat, TimePrecision};
use crate::config::{
    ClickHouseSpec, Config, DecodeSpec, DedupSpec, DictionarySpec, EmbeddedSpec, EnvelopeLayout, EnvelopeSpec,
    FilterSpec, Format, Framing, Guarantee, KafkaIdentity, KafkaMessages, KafkaSasl, KafkaSpec, KafkaStart, KafkaTls,
    KeyringSpec, PipelineSpec, ProductsSpec, RunSpec, SaslMechanism, Secret, ServerSpec, SourceInput, SourceSpec,
    TableSpec, UnknownProduct, UrlSpec, WireCompression,
};
use crate::message::{MessageColumn, MessageField};
use crate::rollup::{Condition, RollupKind, RollupSpec};

/// A config that says everything there is to say, and no default.
pub(super) const FULL: &str = r#"version = 1

[[source]]
name = "app"
paths = ["logs/*.log.gz", "/var/log/app.log", "~/old/*.log"]
follow_links_into = ["/var/log/pods", "deep"]

[[source]]
paths = ["${LOGS:-more}/b.log"]

[decode]
format = "json"
record_bytes_max = "2 MiB"

[decode.envelope]
layout = "json"
keyring = "keyring.toml"
fields = { key = "kid", nonce = "iv", data = "payload" }

[[column]]
name = "ts"
type = "timestamp"
path = "meta.\"event.time\""
format = "%d/%b/%Y:%H:%M:%S"
zone = "Asia/Shanghai"
precision = "us"
required = true

[[column]]
name = "event"
type = "low_cardinality"
default = "unknown"

[[column]]
name = "product"
type = "string"
path = "items[0].product"
required = true

[[column]]
name = "user_id"
type = "string"
mask = { hash = "an unusual salt for these tests" }

[[column]]
name = "phone"
type = "string"
mask = { truncate = 3 }

[[column]]
name = "email"
type = "string"
nullable = true
mask = "redact"

[[column]]
name = "ip"
type = "ipv6"
mask = { ip_prefix = { v4 = 24, v6 = 48 } }

[[column]]
name = "amount"
type = "decimal(18, 2)"
default = 0.00

[[column]]
name = "level"
type = "i16"
default = -1

[[column]]
name = "paid"
type = "bool"
default = false

[[column]]
name = "visit_day"
type = "date"
format = "%d.%m.%Y"
default = "01.01.1970"

[[column]]
name = "tags"
type = "list(low_cardinality)"

[[column]]
name = "times"
type = "list(timestamp)"
format = "epoch_s"
precision = "s"

[[column]]
name = "props"
type = "json"

[products]
column = "product"
dictionary = "products.csv"
unknown = "default"
default = "other"
add = ["name", "family"]

[[filter]]
drop = { event = ["heartbeat", "ping"] }

[[filter]]
keep = { level = [0, 1, "0002"] }

[[filter]]
drop = { paid = false }

[table]
name = "app_events"
time = "ts"
order_by = ["event", "user_id"]
future_max = "2h"
past_max = "3d"

[[rollup]]
kind = "new_users"
name = "first_visits"
user = "user_id"
by = ["event", "visit_day"]

[[rollup]]
kind = "gmv"
amount = "amount"
buyer = "user_id"
where = { event = ["order_paid"], paid = true }

[[rollup]]
kind = "pv_uv"
user = "user_id"

[[rollup]]
kind = "requests_by_ip"
ip = "ip"

[clickhouse]
url = "https://ch.example:8443/"
user = "loader"
password = "pa$$word"
ca_file = "ca.pem"
database = "logs"
inserts_in_flight = 4
compression = "lz4"
guarantee = "at-least-once"
fsync = false

[pipeline]
slice_bytes = "8 MiB"
memory_max = "768 MiB"
workers = 2

[dedup]
key = ["user_id", "ts"]
window = "36h"

[run]
journal = "state/app"
slice_age = "500ms"
drain = "2m"
metrics = "[::1]:9464"
machine = "loader-1"
"#;

fn full() -> Config {
    parse_as(FULL, "/etc/longshore/longshore.toml", &[("HOME", "/home/u")]).expect("a valid config")
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

fn column(name: &str, ty: ColumnType) -> ColumnSpec {
    ColumnSpec {
        name: name.into(),
        ty,
        path: Path(vec![Step::Key(name.to_owned())]),
        default: None,
        nullable: false,
        required: false,
        mask: None,
    }
}

#[test]
fn sources_and_decode() {
    let config = full();
    assert_eq!(config.path, FilePath::new("/etc/longshore/longshore.toml"));
    assert_eq!(
        config.sources,
        [
            SourceSpec {
                name: "app".to_owned(),
                input: SourceInput::Files(paths(&[
                    "/etc/longshore/logs/*.log.gz",
                    "/var/log/app.log",
                    "/home/u/old/*.log",
                ])),
                follow_links_into: paths(&["/var/log/pods", "/etc/longshore/deep"]),
            },
            SourceSpec {
                name: "source-2".to_owned(),
                input: SourceInput::Files(paths(&["/etc/longshore/more/b.log"])),
                follow_links_into: vec![],
            },
        ]
    );
    let layout = EnvelopeLayout::Json { key: "kid".to_owned(), nonce: "iv".to_owned(), data: "payload".to_owned() };
    let keyring = KeyringSpec::File(PathBuf::from("/etc/longshore/keyring.toml"));
    assert_eq!(
        config.decode,
        DecodeSpec {
            format: Format::Json,
            envelope: Some(EnvelopeSpec { layout, keyring }),
            record_bytes_max: 2_097_152,
        }
    );
    assert_eq!(config.decode.framing(), Framing::Lines);
    assert_eq!(config.pipeline, PipelineSpec { slice_bytes: 8_388_608, workers: Some(2), memory_max: 805_306_368 });
}

#[test]
fn run() {
    let wanted = RunSpec {
        journal: PathBuf::from("/etc/longshore/state/app"),
        slice_age: Duration::from_millis(500),
        drain: Duration::from_secs(120),
        metrics: Some(SocketAddr::from((Ipv6Addr::LOCALHOST, 9464))),
        machine: Some("loader-1".to_owned()),
    };
    assert_eq!(full().run, wanted);
    let said = parse_as(&BASE.join("\n"), "conf/app.prod.toml", &[]).expect("a valid config").run;
    let unsaid = RunSpec {
        journal: PathBuf::from("conf/app.prod.journal"),
        slice_age: Duration::from_secs(5),
        drain: Duration::from_secs(30),
        metrics: None,
        machine: None,
    };
    assert_eq!(said, unsaid);
}

#[test]
fn columns() {
    let key = |key: &str| Step::Key(key.to_owned());
    let wanted = [
        ColumnSpec {
            path: Path(vec![key("meta"), key("event.time")]),
            required: true,
            ..column(
                "ts",
                ColumnType::Timestamp {
                    precision: TimePrecision::Micros,
                    format: TimeFormat::Pattern {
                        pattern: "%d/%b/%Y:%H:%M:%S".to_owned(),
                        zone: "Asia/Shanghai".to_owned(),
                    },
                },
            )
        },
        ColumnSpec { default: Some("unknown".to_owned()), ..column("event", ColumnType::LowCardinality) },
        ColumnSpec {
            path: Path(vec![key("items"), Step::Index(0), key("product")]),
            required: true,
            ..column("product", ColumnType::String)
        },
        ColumnSpec {
            mask: Some(Mask::Hash { salt: b"an unusual salt for these tests".to_vec() }),
            ..column("user_id", ColumnType::String)
        },
        ColumnSpec { mask: Some(Mask::Truncate { chars: 3 }), ..column("phone", ColumnType::String) },
        ColumnSpec { nullable: true, mask: Some(Mask::Redact), ..column("email", ColumnType::String) },
        ColumnSpec { mask: Some(Mask::IpPrefix { v4: 24, v6: 48 }), ..column("ip", ColumnType::Ipv6) },
        ColumnSpec {
            default: Some("0.00".to_owned()),
            ..column("amount", ColumnType::Decimal { precision: 18, scale: 2 })
        },
        ColumnSpec { default: Some("-1".to_owned()), ..column("level", ColumnType::I16) },
        ColumnSpec { default: Some("false".to_owned()), ..column("paid", ColumnType::Bool) },
        ColumnSpec {
            default: Some("01.01.1970".to_owned()),
            ..column("visit_day", ColumnType::Date { format: Some("%d.%m.%Y".to_owned()) })
        },
        column("tags", ColumnType::List(Box::new(ColumnType::LowCardinality))),
        column(
            "times",
            ColumnType::List(Box::new(ColumnType::Timestamp {
                precision: TimePrecision::Seconds,
                format: TimeFormat::Epoch(TimePrecision::Seconds),
            })),
        ),
        column("props", ColumnType::Json),
    ];
    for (found, wanted) in full().columns.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
    assert_eq!(full().columns.len(), wanted.len());
}

#[test]
fn products_filters_table_and_rollups() {
    let config = full();
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let condition = |column: &str, values: &[&str]| Condition { column: column.to_owned(), values: owned(values) };
    assert_eq!(
        config.products,
        ProductsSpec::Column {
            column: "product".to_owned(),
            dictionary: Some(DictionarySpec {
                path: PathBuf::from("/etc/longshore/products.csv"),
                unknown: UnknownProduct::Default("other".to_owned()),
                add: owned(&["name", "family"]),
            }),
        }
    );
    assert_eq!(
        config.filters,
        [
            FilterSpec::Drop(condition("event", &["heartbeat", "ping"])),
            FilterSpec::Keep(condition("level", &["0", "1", "2"])),
            FilterSpec::Drop(condition("paid", &["false"])),
        ]
    );
    assert_eq!(
        config.table,
        TableSpec {
            name: "app_events".to_owned(),
            time: "ts".to_owned(),
            order_by: owned(&["event", "user_id"]),
            future_max: Duration::from_secs(7_200),
            past_max: Some(Duration::from_secs(3 * 86_400)),
        }
    );
    let user = "user_id".to_owned();
    let rollup =
        |name: &str, kind, by: &[&str], filter| RollupSpec { name: name.to_owned(), kind, by: owned(by), filter };
    assert_eq!(
        config.rollups,
        [
            rollup("first_visits", RollupKind::NewUsers { user: user.clone() }, &["event", "visit_day"], vec![]),
            rollup(
                "gmv",
                RollupKind::Gmv { amount: "amount".to_owned(), buyer: user.clone() },
                &[],
                vec![condition("event", &["order_paid"]), condition("paid", &["true"])],
            ),
            rollup("pv_uv", RollupKind::PvUv { user }, &[], vec![]),
            rollup("requests_by_ip", RollupKind::RequestsByIp { ip: "ip".to_owned() }, &[], vec![]),
        ]
    );
    let window = Duration::from_secs(36 * 3_600);
    assert_eq!(config.dedup, Some(DedupSpec { key: owned(&["user_id", "ts"]), window }));
}

#[test]
fn clickhouse_on_a_url() {
    assert_eq!(
        full().clickhouse,
        ClickHouseSpec {
            server: ServerSpec::Url(UrlSpec {
                url: "https://ch.example:8443".to_owned(),
                user: "loader".to_owned(),
                password: Secret::new("pa$word"),
                ca_file: Some(PathBuf::from("/etc/longshore/ca.pem")),
            }),
            database: "logs".to_owned(),
            inserts_in_flight: 4,
            compression: WireCompression::Lz4,
            guarantee: Guarantee::AtLeastOnce,
            fsync: false,
        }
    );
}

#[test]
fn clickhouse_embedded() {
    let text = base_with(
        END,
        "[clickhouse.embedded]\ndata = \"~/data\"\nhttp_port = \"${PORT}\"\ntcp_port = 9000\nlibrary = \"/opt/libchdb.so\"\nmemory_max = \"4 GiB\"\nanalyst_password = \"${PW}\"",
    );
    let config = parse_as(&text, "conf/longshore.toml", &[("HOME", "/home/u"), ("PORT", "8123"), ("PW", "s3cret")]);
    assert_eq!(
        config.expect("a valid config").clickhouse.server,
        ServerSpec::Embedded(EmbeddedSpec {
            data: Some(PathBuf::from("/home/u/data")),
            http_port: Some(8123),
            tcp_port: Some(9000),
            library: Some(PathBuf::from("/opt/libchdb.so")),
            memory_bytes_max: Some(4_294_967_296),
            analyst_password: Some(Secret::new("s3cret")),
        })
    );
}

#[test]
fn what_is_not_said() {
    let config = parse_as(&(BASE.join("\n")), "longshore.toml", &[]).expect("a valid config");
    assert_eq!(config.sources, []);
    assert_eq!(config.decode, DecodeSpec { format: Format::Json, envelope: None, record_bytes_max: 1_048_576 });
    assert_eq!(config.pipeline, PipelineSpec { slice_bytes: 29_360_128, workers: None, memory_max: 536_870_912 });
    assert_eq!(
        config.columns[0].ty,
        ColumnType::Timestamp { precision: TimePrecision::Millis, format: TimeFormat::Epoch(TimePrecision::Millis) }
    );
    assert_eq!(config.products, ProductsSpec::Column { column: "product".to_owned(), dictionary: None });
    assert_eq!(config.filters, []);
    let table = TableSpec {
        name: "events".to_owned(),
        time: "ts".to_owned(),
        order_by: vec![],
        future_max: Duration::from_secs(86_400),
        past_max: None,
    };
    assert_eq!(config.table, table);
    assert_eq!(config.rollups[0].name, "gmv");
    assert_eq!(config.dedup, None);
    assert_eq!(
        config.clickhouse,
        ClickHouseSpec {
            server: ServerSpec::Embedded(EmbeddedSpec::default()),
            database: "longshore".to_owned(),
            inserts_in_flight: 2,
            compression: WireCompression::Auto,
            guarantee: Guarantee::ExactlyOnce,
            fsync: true,
        }
    );
}

#[test]
fn duplicates_are_known_for_a_week() {
    let text = base_with(END, "[dedup]\nkey = [\"user_id\", \"amount\"]");
    let dedup = parse_as(&text, "longshore.toml", &[]).expect("a valid config").dedup.expect("it is there");
    assert_eq!(dedup.window, Duration::from_secs(604_800));
}

#[test]
fn smaller_choices() {
    let url = base_with(END, "[clickhouse]\nurl = \"http://localhost:8123\"");
    let ServerSpec::Url(url) = parse_as(&url, "c.toml", &[]).expect("valid").clickhouse.server else {
        panic!("a server on a URL")
    };
    assert_eq!((url.user.as_str(), url.password.expose(), url.ca_file), ("default", "", None));

    let envelope = |lines: &str| {
        let text = base_with(2, &format!("[decode.envelope]\n{lines}"));
        parse_as(&text, "c.toml", &[]).expect("valid").decode
    };
    let frames = envelope("layout = \"frame\"\nkeyring_env = \"LONGSHORE_KEYS\"");
    assert_eq!(frames.framing(), Framing::Frames);
    assert_eq!(
        frames.envelope,
        Some(EnvelopeSpec { layout: EnvelopeLayout::Frame, keyring: KeyringSpec::Env("LONGSHORE_KEYS".to_owned()) })
    );
    let fields =
        envelope("layout = \"json\"\nkeyring = \"k.toml\"\nfields.data = \"d\"").envelope.expect("an envelope");
    let layout = EnvelopeLayout::Json { key: "key".to_owned(), nonce: "nonce".to_owned(), data: "d".to_owned() };
    assert_eq!(fields, EnvelopeSpec { layout, keyring: KeyringSpec::File(PathBuf::from("k.toml")) });

    let fixed = base_with(9, "name = \"channel\"").replace("column = \"product\"", "fixed = \"web\"");
    let fixed = parse_as(&fixed, "c.toml", &[]).expect("valid").products;
    assert_eq!(fixed, ProductsSpec::Fixed { id: "web".to_owned() });
}

#[test]
fn masks_of_addresses_with_one_number() {
    let mask = |ty: &str, bits: u8| {
        let text = base_with(14, &format!("type = \"{ty}\"\nmask = {{ ip_prefix = {bits} }}"));
        parse_as(&text, "c.toml", &[]).expect("valid").columns[2].mask.clone()
    };
    assert_eq!(mask("ipv4", 24), Some(Mask::IpPrefix { v4: 24, v6: 0 }));
    assert_eq!(mask("ipv6", 48), Some(Mask::IpPrefix { v4: 0, v6: 48 }));
    // ::ffff:192.0.2.1 with 120 of its 128 bits is 192.0.2.1 with 24 of its 32.
    assert_eq!(mask("ipv6", 120), Some(Mask::IpPrefix { v4: 24, v6: 120 }));
}

#[test]
fn types() {
    let ty = |text: &str| {
        let config = base_with(END, &format!("[[column]]\nname = \"c\"\ntype = \"{text}\""));
        parse_as(&config, "c.toml", &[]).expect(text).columns[4].ty.clone()
    };
    let list = |item| ColumnType::List(Box::new(item));
    let cases = [
        ("string", ColumnType::String),
        ("low_cardinality", ColumnType::LowCardinality),
        ("i8", ColumnType::I8),
        ("i16", ColumnType::I16),
        ("i32", ColumnType::I32),
        ("i64", ColumnType::I64),
        ("u8", ColumnType::U8),
        ("u16", ColumnType::U16),
        ("u32", ColumnType::U32),
        ("u64", ColumnType::U64),
        ("f32", ColumnType::F32),
        ("f64", ColumnType::F64),
        ("decimal(38,0)", ColumnType::Decimal { precision: 38, scale: 0 }),
        (" decimal ( 5 , 5 ) ", ColumnType::Decimal { precision: 5, scale: 5 }),
        ("bool", ColumnType::Bool),
        ("date", ColumnType::Date { format: None }),
        ("ipv4", ColumnType::Ipv4),
        ("ipv6", ColumnType::Ipv6),
        ("uuid", ColumnType::Uuid),
        ("json", ColumnType::Json),
        ("list(string)", list(ColumnType::String)),
        ("list( decimal(10, 2) )", list(ColumnType::Decimal { precision: 10, scale: 2 })),
        ("list(date)", list(ColumnType::Date { format: None })),
    ];
    for (text, wanted) in cases {
        assert_eq!(ty(text), wanted, "{text}");
    }
}

#[test]
fn formats_of_times() {
    let format = |lines: &str| {
        let text = base_with(5, &format!("type = \"timestamp\"\n{lines}"));
        match parse_as(&text, "c.toml", &[]).expect(lines).columns[0].ty.clone() {
            ColumnType::Timestamp { format, .. } => format,
            other => panic!("{other:?}"),
        }
    };
    let pattern =
        |pattern: &str, zone: &str| TimeFormat::Pattern { pattern: pattern.to_owned(), zone: zone.to_owned() };
    let cases = [
        ("format = \"epoch_s\"", TimeFormat::Epoch(TimePrecision::Seconds)),
        ("format = \"epoch_ms\"", TimeFormat::Epoch(TimePrecision::Millis)),
        ("format = \"epoch_us\"", TimeFormat::Epoch(TimePrecision::Micros)),
        ("format = \"epoch_ns\"", TimeFormat::Epoch(TimePrecision::Nanos)),
        ("format = \"rfc3339\"", TimeFormat::Rfc3339),
        ("format = \"%d/%b/%Y:%H:%M:%S %z\"", pattern("%d/%b/%Y:%H:%M:%S %z", "UTC")),
        ("format = \"%F %T%.f\"", pattern("%F %T%.f", "UTC")),
        ("format = \"%F %I:%M %p\"", pattern("%F %I:%M %p", "UTC")),
        ("format = \"%s\"", pattern("%s", "UTC")),
        ("format = \"%F\"\nzone = \"America/New_York\"", pattern("%F", "America/New_York")),
    ];
    for (lines, wanted) in cases {
        assert_eq!(format(lines), wanted, "{lines}");
    }
}

#[test]
fn paths_start_at_the_configs_folder() {
    let text =
        base_with(2, "[[source]]\npaths = [\"a.log\", \"../b.log\", \"/c.log\", \"~\", \"~/d.log\", \"~other/e.log\"]");
    for (file, wanted) in [
        ("longshore.toml", ["a.log", "../b.log", "/c.log", "/home/u", "/home/u/d.log", "~other/e.log"]),
        (
            "conf/longshore.toml",
            ["conf/a.log", "conf/../b.log", "/c.log", "/home/u", "/home/u/d.log", "conf/~other/e.log"],
        ),
    ] {
        let config = parse_as(&text, file, &[("HOME", "/home/u")]).expect("a valid config");
        assert_eq!(config.sources[0].paths(), paths(&wanted), "{file}");
    }
}

#[test]
fn the_configs_of_the_documentation_are_valid() {
    let page = include_str!("../../../../docs/config.md");
    let configs: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(configs.len(), 2);
    for text in configs {
        let env = [("HOME", "/home/u"), ("SALT", "5f2c9a7be0d14386b1c07a9e3d5f8264")];
        if let Err(found) = parse_as(text, "longshore.toml", &env) {
            panic!("{found:#?}");
        }
    }
}

#[test]
fn the_demos_config_is_valid() {
    let text = include_str!("../../../../fixtures/demo/longshore.toml");
    if let Err(found) = parse_as(text, "fixtures/demo/longshore.toml", &[]) {
        panic!("{found:#?}");
    }
}

#[test]
fn topics_with_everything() {
    let text = base_with(
        2,
        r#"[[source]]
name = "orders"
[source.kafka]
brokers = ["k1:9092", "[::1]:9093"]
topics = ["orders.eu", "orders_us"]
group = "shop"
start = { "orders.eu/3" = 1200, "orders_us/0" = 0 }
messages = "lines"
properties = { "fetch.min.bytes" = 65536, "client.id" = "engine-${N}", "socket.keepalive.enable" = true }
[source.kafka.tls]
ca_file = "ca.pem"
cert_file = "/tls/engine.pem"
key_file = "/tls/engine.key"
key_password = "${KEY_PW}"
[source.kafka.sasl]
mechanism = "scram-sha-512"
user = "longshore"
password = "${PW}""#,
    );
    let env = [("N", "1"), ("KEY_PW", "k"), ("PW", "p")];
    let config = parse_as(&text, "conf/longshore.toml", &env).expect("a valid config");
    let wanted = KafkaSpec {
        brokers: vec!["k1:9092".to_owned(), "[::1]:9093".to_owned()],
        topics: vec!["orders.eu".to_owned(), "orders_us".to_owned()],
        group: "shop".to_owned(),
        start: KafkaStart::Offsets([(("orders.eu".to_owned(), 3), 1200), (("orders_us".to_owned(), 0), 0)].into()),
        messages: KafkaMessages::Lines,
        tls: Some(KafkaTls {
            ca_file: Some("conf/ca.pem".into()),
            identity: Some(KafkaIdentity {
                cert_file: "/tls/engine.pem".into(),
                key_file: "/tls/engine.key".into(),
                key_password: Some(Secret::new("k")),
            }),
        }),
        sasl: Some(KafkaSasl {
            mechanism: SaslMechanism::ScramSha512,
            user: "longshore".to_owned(),
            password: Secret::new("p"),
        }),
        properties: [("fetch.min.bytes", "65536"), ("client.id", "engine-1"), ("socket.keepalive.enable", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    assert_eq!(config.sources[0].kafka(), Some(&wanted));
    assert!(config.sources[0].paths().is_empty());
}

#[test]
fn where_topics_start() {
    let start = |line: &str| {
        let text = format!("[[source]]\n[source.kafka]\nbrokers = [\"k:1\"]\ntopics = [\"t\"]\ngroup = \"g\"\n{line}");
        let config = parse_as(&base_with(2, &text), "longshore.toml", &[]).expect("a valid config");
        config.sources[0].kafka().expect("topics").start.clone()
    };
    assert_eq!(start(""), KafkaStart::Earliest);
    assert_eq!(start("start = \"earliest\""), KafkaStart::Earliest);
    assert_eq!(start("start = \"latest\""), KafkaStart::Latest);
    // 20,000 days and 1.5 s; the same with a zone.
    assert_eq!(start("start = \"2024-10-04T00:00:01.5Z\""), KafkaStart::Timestamp(20_000 * 86_400_000 + 1500));
    assert_eq!(start("start = \"2024-10-04T02:00:01.5+02:00\""), KafkaStart::Timestamp(20_000 * 86_400_000 + 1500));
}

#[test]
fn columns_of_messages_come_behind_the_declared_ones() {
    let lines =
        "[message]\nkey = \"order_key\"\noffset = \"at\"\nheaders = { \"trace-id\" = \"trace\", app = \"sender\" }";
    let config = parse_as(&base_with(END, lines), "longshore.toml", &[]).expect("a valid config");
    let column = |name: &str, field: MessageField| MessageColumn { name: name.into(), field };
    let wanted = [
        column("at", MessageField::Offset),
        column("order_key", MessageField::Key),
        column("trace", MessageField::Header("trace-id".to_owned())),
        column("sender", MessageField::Header("app".to_owned())),
    ];
    assert_eq!(config.message, wanted);
    let names: Vec<String> = event_columns(&config).iter().map(|column| column.name.to_string()).collect();
    assert_eq!(names[names.len() - 6..], ["at", "order_key", "trace", "sender", "_slice", "_row"]);
}
