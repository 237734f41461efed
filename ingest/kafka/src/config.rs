//! The properties of the client, from the config.

use longshore_core::config::{KafkaSpec, SaslMechanism};
use longshore_core::limits::{
    KAFKA_FETCH_WAIT_MS, KAFKA_PREFETCH_BYTES, KAFKA_PREFETCH_PARTITION_BYTES, KAFKA_SESSION_MS,
};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// What the guarantee rests on; the config refuses to change these. See the [crate](crate).
const OURS: &[(&str, &str)] = &[
    ("group.protocol", "classic"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    ("check.crcs", "true"),
];

/// What the config's properties may change.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "longshore"),
    ("heartbeat.interval.ms", "2000"),
    // A feed waits while nothing can be stored, and stays a member: another engine could not store it either.
    ("max.poll.interval.ms", "3600000"),
    // A topic that is misspelt is not to be made.
    ("allow.auto.create.topics", "false"),
    // How soon a topic's new partitions are found.
    ("topic.metadata.refresh.interval.ms", "60000"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("socket.timeout.ms", "20000"),
    ("log.connection.close", "false"),
];

/// Least and most of `fetch.queue.backoff.ms`.
const FETCH_BACKOFF_MS: (usize, usize) = (2, 20);
/// Partitions for each of its milliseconds.
const PARTITIONS_A_MS: usize = 32;

/// The properties for a consumer that shares so many partitions with others.
pub(crate) fn client(spec: &KafkaSpec, partitions: usize) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", spec.brokers.join(","));
    config.set("group.id", spec.group.as_str());
    config.set("session.timeout.ms", KAFKA_SESSION_MS.to_string());
    set_all(&mut config, DEFAULTS.iter().copied());
    config.set("fetch.wait.max.ms", KAFKA_FETCH_WAIT_MS.to_string());
    // How soon more is fetched of a partition whose queue was full. Each that waits costs a look then.
    let (soonest, latest) = FETCH_BACKOFF_MS;
    config.set("fetch.queue.backoff.ms", (partitions / PARTITIONS_A_MS).clamp(soonest, latest).to_string());
    // Each partition has a queue of its own, so that one can wait while others are read.
    let (least, most) = KAFKA_PREFETCH_PARTITION_BYTES;
    let queue_bytes = (KAFKA_PREFETCH_BYTES / partitions.max(1)).clamp(least, most);
    config.set("queued.max.messages.kbytes", (queue_bytes >> 10).to_string());
    config.set("max.partition.fetch.bytes", queue_bytes.to_string());
    secure(spec, &mut config);
    set_all(&mut config, spec.properties.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    set_all(&mut config, OURS.iter().copied());
    let level = if spec.properties.contains_key("debug") { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning };
    config.set_log_level(level);
    config
}

fn set_all<'a>(config: &mut ClientConfig, properties: impl Iterator<Item = (&'a str, &'a str)>) {
    for (key, value) in properties {
        config.set(key, value);
    }
}

fn secure(spec: &KafkaSpec, config: &mut ClientConfig) {
    config.set("security.protocol", protocol(spec));
    if let Some(tls) = &spec.tls {
        // The library's own OpenSSL does not know where this system keeps its authorities; it has to look.
        let ca = tls.ca_file.as_ref().map_or("probe".to_owned(), |path| path.display().to_string());
        config.set("ssl.ca.location", ca);
        if let Some(identity) = &tls.identity {
            config.set("ssl.certificate.location", identity.cert_file.display().to_string());
            config.set("ssl.key.location", identity.key_file.display().to_string());
            if let Some(password) = &identity.key_password {
                config.set("ssl.key.password", password.expose());
            }
        }
    }
    if let Some(sasl) = &spec.sasl {
        config.set("sasl.mechanisms", mechanism(sasl.mechanism));
        config.set("sasl.username", sasl.user.as_str());
        config.set("sasl.password", sasl.password.expose());
    }
}

/// How the connection is secured, in Kafka's words.
pub(crate) fn protocol(spec: &KafkaSpec) -> &'static str {
    match (spec.tls.is_some(), spec.sasl.is_some()) {
        (false, false) => "PLAINTEXT",
        (false, true) => "SASL_PLAINTEXT",
        (true, false) => "SSL",
        (true, true) => "SASL_SSL",
    }
}

/// In Kafka's words.
pub(crate) fn mechanism(mechanism: SaslMechanism) -> &'static str {
    match mechanism {
        SaslMechanism::Plain => "PLAIN",
        SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}
