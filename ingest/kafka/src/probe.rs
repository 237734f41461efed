//! Looks at the cluster before a group is joined, so that what is wrong is said at once and by name: librdkafka itself
//! tries on in silence.

use std::time::{Duration, Instant};

use longshore_core::config::KafkaSpec;
use longshore_core::limits::{KAFKA_ANSWER_MS, KAFKA_PARTITIONS_MAX};
use longshore_ingest::feed::FeedError;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::context::Context;
use crate::{config, errors};

/// How long one question waits before what went wrong is looked at.
const QUESTION: Duration = Duration::from_millis(500);

/// Errors that are looked at between questions.
const TOLD_AT_ONCE: usize = 16;

/// How many partitions the topics have together.
///
/// # Errors
/// No broker answers, or none lets us in; a topic is not there.
pub(crate) fn partitions(spec: &KafkaSpec) -> Result<usize, FeedError> {
    let client: BaseConsumer<Context> =
        config::client(spec, 1).create_with_context(Context::default()).map_err(errors::client)?;
    let until = Instant::now() + Duration::from_millis(KAFKA_ANSWER_MS);
    let mut partitions = 0;
    for topic in &spec.topics {
        partitions += of_topic(&client, spec, topic, until)?;
    }
    if partitions > KAFKA_PARTITIONS_MAX {
        let detail = format!(
            "kafka: the topics of the group {:?} have {partitions} partitions together; one source takes {} at most: make \
             it several sources with a group each",
            spec.group, KAFKA_PARTITIONS_MAX
        );
        return Err(FeedError::Refuse { detail });
    }
    Ok(partitions)
}

fn of_topic(client: &BaseConsumer<Context>, spec: &KafkaSpec, topic: &str, until: Instant) -> Result<usize, FeedError> {
    loop {
        let answer = client.fetch_metadata(Some(topic), QUESTION);
        // Errors are told to whoever polls.
        (0..TOLD_AT_ONCE).for_each(|_| drop(client.poll(Duration::ZERO)));
        let trouble = client.context().last_trouble();
        let error = match answer {
            Ok(metadata) => {
                let found = metadata.topics().iter().find(|found| found.name() == topic);
                match found.map(|found| (found.error(), found.partitions().len())) {
                    Some((None, partitions)) if partitions > 0 => return Ok(partitions),
                    Some((error, _)) => error.map(Code::from),
                    None => None,
                }
            }
            Err(error) => {
                if let Some((code @ (Code::Authentication | Code::SSL), said)) = &trouble {
                    return Err(errors::broker(spec, Some(*code), said));
                }
                error.rdkafka_error_code()
            }
        };
        if error == Some(Code::TopicAuthorizationFailed) {
            return Err(errors::broker(spec, error, ""));
        }
        if Instant::now() < until {
            continue;
        }
        return Err(match error {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => FeedError::Refuse {
                detail: format!(
                    "kafka: the topic {topic:?} is not at the brokers {}: create it, or correct kafka.topics",
                    errors::brokers(spec)
                ),
            },
            _ => {
                let (code, said) = trouble.unwrap_or((Code::OperationTimedOut, "no answer in time".to_owned()));
                errors::broker(spec, Some(code), &said)
            }
        });
    }
}
