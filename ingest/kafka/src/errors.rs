//! What librdkafka and brokers say, in words for whoever is woken by it.

use longshore_core::config::KafkaSpec;
use longshore_ingest::feed::FeedError;
use longshore_ingest::kafka::{CommitError, TopicPartition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::config::{mechanism, protocol};

/// The brokers as they are written in the config.
pub(crate) fn brokers(spec: &KafkaSpec) -> String {
    spec.brokers.join(", ")
}

/// A connection or a request to the brokers failed.
pub(crate) fn broker(spec: &KafkaSpec, code: Option<Code>, said: &str) -> FeedError {
    let (brokers, group) = (brokers(spec), &spec.group);
    let said = said.trim();
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism) => {
            let detail = match &spec.sasl {
                Some(sasl) => format!(
                    "kafka: the brokers {brokers} did not let {:?} log in by {}: {said}. Check kafka.sasl.user and \
                     kafka.sasl.password, and that the user exists for this mechanism",
                    sasl.user,
                    mechanism(sasl.mechanism)
                ),
                None => format!(
                    "kafka: the brokers {brokers} ask for a log-in: {said}. Write [source.kafka.sasl], or name a port that \
                     needs none"
                ),
            };
            FeedError::Refuse { detail }
        }
        Some(Code::SSL) => FeedError::Refuse {
            detail: format!(
                "kafka: TLS with the brokers {brokers} failed: {said}. Check that kafka.tls.ca_file holds the authority \
                 that signed the brokers' certificates, that kafka.brokers names them as the certificates do, and that \
                 their port speaks TLS"
            ),
        },
        Some(Code::GroupAuthorizationFailed) => FeedError::Refuse {
            detail: format!(
                "kafka: the consumer group {group:?} is forbidden to this user: allow it to Read the group"
            ),
        },
        Some(Code::TopicAuthorizationFailed) => FeedError::Refuse {
            detail: format!(
                "kafka: a topic of {:?} is forbidden to this user: allow it to Describe and Read the topics",
                spec.topics
            ),
        },
        Some(Code::InconsistentGroupProtocol) => FeedError::Refuse {
            detail: format!(
                "kafka: another program is a member of the consumer group {group:?}, and shares partitions another way: \
                 give this engine a group of its own (kafka.group)"
            ),
        },
        _ => FeedError::Retry {
            detail: format!(
                "kafka: no answer from the brokers {brokers} over {}: {said}. Check that they run, that this machine \
                 reaches them and every address that they advertise, and that the port is one for {}",
                protocol(spec),
                protocol(spec)
            ),
        },
    }
}

/// The client could not be made.
pub(crate) fn client(error: KafkaError) -> FeedError {
    let detail = match error {
        // The value may be a secret.
        KafkaError::ClientConfig(_, description, key, _) => {
            format!("kafka: librdkafka does not take {key}: {description}. Change it under [source.kafka.properties]")
        }
        KafkaError::ClientCreation(description) => {
            format!(
                "kafka: librdkafka does not take the config: {description}. Check the files under [source.kafka.tls] and \
                 the properties"
            )
        }
        error => format!("kafka: {error}"),
    };
    FeedError::Refuse { detail }
}

/// A commit failed.
pub(crate) fn commit(spec: &KafkaSpec, error: &KafkaError) -> CommitError {
    let said = error.to_string();
    match error.rdkafka_error_code() {
        Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::FencedInstanceId) => {
            CommitError::Fenced { detail: said }
        }
        Some(Code::OffsetMetadataTooLarge | Code::InvalidCommitOffsetSize) => CommitError::Refused {
            detail:
                "kafka: the brokers do not take 4 KiB of metadata with an offset, which the plan of slices needs: set \
                     the brokers' offset.metadata.max.bytes to 4096 or more"
                    .to_owned(),
        },
        code @ Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed) => {
            let (FeedError::Refuse { detail } | FeedError::Retry { detail }) = broker(spec, code, &said);
            CommitError::Refused { detail }
        }
        _ => CommitError::Unknown { detail: said },
    }
}

/// Offsets come back without their metadata.
pub(crate) fn drops_metadata(spec: &KafkaSpec) -> String {
    format!(
        "kafka: the brokers {} do not keep the metadata of committed offsets, where the plan of slices is: what is stored \
         could not be told from what is not after a crash. Take a broker that does, as Apache Kafka does",
        brokers(spec)
    )
}

/// Why a partition cannot be read on. `None` if it may pass by itself.
pub(crate) fn stops(code: Code, offset: u64, range: Option<(i64, i64)>, said: &str) -> Option<String> {
    Some(match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => {
            let there = range.map_or("what it holds is not known".to_owned(), |(low, high)| match low == high {
                true => format!("it is empty, and goes on at {high}"),
                false => format!("it holds {low} to {}", high - 1),
            });
            format!(
                "offset {offset} is not there ({there}): its messages expired before they were read, or the topic was made \
                 anew. Nothing is skipped by itself; to go on, stop all engines of the group and reset the group's offset \
                 of this partition"
            )
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "the topic was deleted, or has fewer partitions now: create it again or take it out of kafka.topics"
                .to_owned()
        }
        Code::TopicAuthorizationFailed => "reading is forbidden to this user: allow it to Read the topic".to_owned(),
        Code::BadMessage | Code::InvalidMessage | Code::BadCompression => format!(
            "the messages from offset {offset} on are damaged ({said}): look at the broker's disk, or reset the group's \
             offset of this partition to the next good message"
        ),
        _ => return None,
    })
}

/// A partition whose messages come where they should not.
pub(crate) fn misled(at: &TopicPartition) -> FeedError {
    FeedError::Retry { detail: format!("{at}: a message came past its partition's queue; this engine joins anew") }
}
