//! `[source.kafka]`: topics of a Kafka cluster as a source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Secret;

/// Topics that are read as a member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSpec {
    /// `host:port` of some brokers of the cluster; the others are learnt from them. At least one.
    pub brokers: Vec<String>,
    /// Topics, by their whole names. At least one.
    pub topics: Vec<String>,
    /// The consumer group. Engines of one group share the partitions; its offsets carry their plans.
    pub group: String,
    /// Where a partition begins that the group has no offset of.
    pub start: KafkaStart,
    /// What a message's value is.
    pub messages: KafkaMessages,
    /// Whether the connection is encrypted, and how.
    pub tls: Option<KafkaTls>,
    /// Who logs in, if anybody.
    pub sasl: Option<KafkaSasl>,
    /// Further properties of librdkafka. None of those that the guarantee rests on.
    pub properties: BTreeMap<String, String>,
}

/// Where a partition begins that the group has no offset of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaStart {
    /// At the first message that is there.
    Earliest,
    /// Behind the last message that is there.
    Latest,
    /// At the first message whose timestamp is this or later: milliseconds since 1970.
    Timestamp(i64),
    /// At these offsets, by topic and partition; partitions that are not named begin at the first message.
    Offsets(BTreeMap<(String, u32), u64>),
}

/// What a message's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaMessages {
    /// A record.
    Record,
    /// As many records as it has lines.
    Lines,
}

/// TLS between engine and brokers. `None` everywhere: the system's authorities, no certificate of our own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaTls {
    /// PEM file of certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the engine's own certificate and its key.
    pub identity: Option<KafkaIdentity>,
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaIdentity {
    /// PEM file of the certificate.
    pub cert_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
    /// What the key is sealed with, if it is.
    pub key_password: Option<Secret>,
}

/// A log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSasl {
    /// How.
    pub mechanism: SaslMechanism,
    /// Who.
    pub user: String,
    /// With what.
    pub password: Secret,
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password as it is: without TLS anybody on the way can read it.
    Plain,
    /// A challenge, with SHA-256.
    ScramSha256,
    /// A challenge, with SHA-512.
    ScramSha512,
}
