//! `[source.kafka]`: topics of a Kafka cluster.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use crate::config::context::{At, quote};
use crate::config::table::{Item, Section};
use crate::config::{KafkaIdentity, KafkaMessages, KafkaSasl, KafkaSpec, KafkaStart, KafkaTls, SaslMechanism};

const KEYS: &[&str] = &["brokers", "topics", "group", "start", "messages", "tls", "sasl", "properties"];
const TLS_KEYS: &[&str] = &["ca_file", "cert_file", "key_file", "key_password", "key_password_file"];
const SASL_KEYS: &[&str] = &["mechanism", "user", "password", "password_file"];

const MESSAGES: [(&str, KafkaMessages); 2] = [("record", KafkaMessages::Record), ("lines", KafkaMessages::Lines)];

const MECHANISMS: [(&str, SaslMechanism); 3] = [
    ("plain", SaslMechanism::Plain),
    ("scram-sha-256", SaslMechanism::ScramSha256),
    ("scram-sha-512", SaslMechanism::ScramSha512),
];

/// Longest name of a topic, by Kafka's rule.
const TOPIC_BYTES_MAX: usize = 249;

const START_HELP: &str = "write \"earliest\", \"latest\", a time such as \"2026-11-01T00:00:00Z\", or offsets: \
                          { \"orders/0\" = 1200 }";

/// Properties of librdkafka that have a key of their own here.
const WITH_A_KEY: &[(&str, &str)] = &[
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("group.id", "group"),
    ("auto.offset.reset", "start"),
    ("security.protocol", "tls and sasl"),
    ("ssl.ca.location", "tls.ca_file"),
    ("ssl.certificate.location", "tls.cert_file"),
    ("ssl.key.location", "tls.key_file"),
    ("ssl.key.password", "tls.key_password"),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.user"),
    ("sasl.password", "sasl.password"),
];

/// Properties of librdkafka that the guarantee rests on, and why.
const OURS: &[(&str, &str)] = &[
    ("enable.auto.commit", "offsets are committed when what is before them is stored, and not by a clock"),
    ("auto.commit.interval.ms", "offsets are committed when what is before them is stored, and not by a clock"),
    ("enable.auto.offset.store", "offsets are committed when what is before them is stored"),
    ("auto.offset.store.enable", "offsets are committed when what is before them is stored"),
    ("offset.store.method", "offsets are kept by the brokers, which refuse an engine that was away"),
    ("group.protocol", "an engine that was away is refused by the classic protocol's generations"),
    ("group.remote.assignor", "an engine that was away is refused by the classic protocol's generations"),
    ("group.instance.id", "a member that is made again must be a new one, so that the old one's commits are refused"),
    ("partition.assignment.strategy", "partitions are handed over one by one, after what was planned is known"),
    ("isolation.level", "messages of transactions that failed are no records"),
    ("client.rack", "a follower may not have yet what was planned"),
    ("check.crcs", "damage on the wire must be noticed"),
    ("enable.partition.eof", "the engine has to know when it has read a partition"),
    ("plugin.library.paths", "no code but its own may run in the engine"),
];

pub(super) fn read(item: &Item<'_>) -> Option<KafkaSpec> {
    let section = item.section(KEYS)?;
    let brokers = brokers(&section);
    let topics = topics(&section);
    let group = section
        .required("group", "engines of one group share the partitions; name it after what it fills: group = \"shop\"")
        .and_then(Item::filled_string);
    let start = match section.item("start") {
        Some(item) => read_start(item, &topics),
        None => Some(KafkaStart::Earliest),
    };
    let messages =
        section.item("messages").map_or(Some(KafkaMessages::Record), |item| Some(item.one_of(&MESSAGES)?.value));
    let tls = section.item("tls").map(read_tls);
    let sasl = section.item("sasl").map(read_sasl);
    let properties = section.item("properties").map(read_properties).unwrap_or_default();
    if brokers.is_empty() || topics.is_empty() {
        return None;
    }
    Some(KafkaSpec {
        brokers,
        topics: topics.into_iter().collect(),
        group: group?.value,
        start: start?,
        messages: messages?,
        tls: flatten(tls)?,
        sasl: flatten(sasl)?,
        properties,
    })
}

/// `None` if it is there and was bad, else what it is.
fn flatten<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
        None => Some(None),
    }
}

fn brokers(section: &Section<'_>) -> Vec<String> {
    const HELP: &str = "write brokers = [\"host:9092\"]";
    let Some(item) = section.required("brokers", HELP) else { return Vec::new() };
    let written = item.strings();
    for broker in &written {
        let port = broker.value.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        let is_address = port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !is_address || broker.value.contains([',', '/', ' ']) {
            let message = format!("{} is not a host and a port", quote(&broker.value));
            section.context.error_help(&broker.place, message, HELP);
        }
    }
    refuse_empty(section, item, "a cluster needs a broker", HELP);
    written.into_iter().map(|broker| broker.value).collect()
}

fn topics(section: &Section<'_>) -> BTreeSet<String> {
    const HELP: &str = "write topics = [\"orders\"]";
    let Some(item) = section.required("topics", HELP) else { return BTreeSet::new() };
    refuse_empty(section, item, "a source needs a topic", HELP);
    let mut topics = BTreeSet::new();
    for topic in item.strings() {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !topic.value.chars().all(legal) || topic.value.len() > TOPIC_BYTES_MAX {
            let message = format!("{} is not the name of a topic", quote(&topic.value));
            let help = "a name is letters, digits, `.`, `_` and `-`, 249 at most; patterns are not known here";
            section.context.error_help(&topic.place, message, help);
        }
        if let Some(twice) = topics.replace(topic.value) {
            section.context.error(&topic.place, format!("the topic {} is named already", quote(&twice)));
        }
    }
    topics
}

fn refuse_empty(section: &Section<'_>, item: &Item<'_>, message: &str, help: &str) {
    if item.value().as_array().is_some_and(|items| items.is_empty()) {
        section.context.error_help(&item.place, message, help);
    }
}

fn read_start(item: &Item<'_>, topics: &BTreeSet<String>) -> Option<KafkaStart> {
    if matches!(item.value(), DeValue::Table(_)) {
        return read_offsets(item, topics);
    }
    let written = item.string()?;
    match written.value.as_str() {
        "earliest" => Some(KafkaStart::Earliest),
        "latest" => Some(KafkaStart::Latest),
        time => {
            let time = time.parse::<jiff::Timestamp>().ok().filter(|time| time.as_millisecond() >= 0);
            if time.is_none() {
                let message = format!("{} is no place to start at", quote(&written.value));
                item.context().error_help(&written.place, message, START_HELP);
            }
            time.map(|time| KafkaStart::Timestamp(time.as_millisecond()))
        }
    }
}

fn read_offsets(item: &Item<'_>, topics: &BTreeSet<String>) -> Option<KafkaStart> {
    let mut offsets = BTreeMap::new();
    for (name, item) in item.entries()? {
        let Some(offset) = item.integer(0..=i64::MAX as u64) else { continue };
        let partition = name.value.rsplit_once('/').and_then(|(topic, partition)| {
            let number = partition.parse::<u32>().ok().filter(|number| i32::try_from(*number).is_ok())?;
            topics.contains(topic).then(|| (topic.to_owned(), number))
        });
        match partition {
            Some(partition) => {
                offsets.insert(partition, offset.value);
            }
            None => {
                let message = format!("{} is not a partition of this source's topics", quote(&name.value));
                item.context().error_help(&name.place, message, "write \"topic/number\", such as \"orders/0\"");
            }
        }
    }
    Some(KafkaStart::Offsets(offsets))
}

fn read_tls(item: &Item<'_>) -> Option<KafkaTls> {
    let section = item.section(TLS_KEYS)?;
    let path = |key: &str| section.context.resolve(&section.string(key)?);
    let (cert_file, key_file) = (path("cert_file"), path("key_file"));
    let key_password = section.secret("key_password", "key_password_file").map(|password| password.value);
    for (there, other) in [
        ("cert_file", "key_file"),
        ("key_file", "cert_file"),
        ("key_password", "key_file"),
        ("key_password_file", "key_file"),
    ] {
        if let Some(item) = section.item(there)
            && !section.has(other)
        {
            let message = format!("`{there}` needs `{other}`");
            section.context.error_help(&item.place, message, "certificate and key go together");
        }
    }
    let identity = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(KafkaIdentity { cert_file, key_file, key_password }),
        _ => None,
    };
    Some(KafkaTls { ca_file: path("ca_file"), identity })
}

fn read_sasl(item: &Item<'_>) -> Option<KafkaSasl> {
    let section = item.section(SASL_KEYS)?;
    let mechanism = section
        .required("mechanism", "write \"scram-sha-512\", \"scram-sha-256\" or \"plain\"")
        .and_then(|item| item.one_of(&MECHANISMS));
    let user = section.required("user", "write the name to log in with").and_then(Item::filled_string);
    if !section.has("password_file") {
        let help =
            "take it from the environment, password = \"${KAFKA_PASSWORD}\", or from a file, password_file = \"...\"";
        section.required("password", help);
    }
    let password = section.secret("password", "password_file")?;
    if password.value.expose().is_empty() {
        section.context.error(&password.place, "this cannot be empty");
    }
    Some(KafkaSasl { mechanism: mechanism?.value, user: user?.value, password: password.value })
}

fn read_properties(item: &Item<'_>) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for (name, item) in item.entries().unwrap_or_default() {
        if refused(&name, &item) {
            continue;
        }
        let value = match item.value() {
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            _ => item.string().map(|text| text.value),
        };
        properties.extend(value.map(|value| (name.value, value)));
    }
    properties
}

/// Whether a property is not the user's to set here; notes it.
fn refused(name: &At<String>, item: &Item<'_>) -> bool {
    let of =
        |table: &[(&'static str, &'static str)]| table.iter().find(|(key, _)| *key == name.value).map(|(_, to)| *to);
    if let Some(key) = of(WITH_A_KEY) {
        let help = format!("it goes without saying, or is written as `{key}` of [source.kafka]");
        item.context().error_help(&name.place, "this property has a key of its own", help);
        return true;
    }
    if let Some(why) = of(OURS) {
        item.context().error_help(&name.place, "the guarantee rests on this property", format!("leave it out: {why}"));
        return true;
    }
    false
}
