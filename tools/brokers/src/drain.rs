//! Reads a topic to its end and throws it away: what the brokers and the client can do at most.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::Error;

/// A partition's end is waited for no longer than this.
const ANSWER: Duration = Duration::from_secs(60);

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Messages.
    pub messages: u64,
    /// From the first of them to the last.
    pub took: Duration,
}

/// Reads all messages that are there, of all partitions at once, without a group.
///
/// # Errors
/// Nobody answers.
pub fn drain(addresses: &str, topic: &str, partitions: i32) -> Result<Drained, Error> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses).set("group.id", "drain").set("enable.partition.eof", "true");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut from = TopicPartitionList::new();
    (0..partitions).try_for_each(|partition| from.add_partition_offset(topic, partition, Offset::Beginning))?;
    consumer.assign(&from)?;
    let (mut messages, mut ends, mut first) = (0, 0, None);
    while ends < partitions {
        match consumer.poll(ANSWER) {
            Some(Ok(_)) => {
                first.get_or_insert_with(Instant::now);
                messages += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(KafkaError::NoMessageReceived.into()),
        }
    }
    Ok(Drained { messages, took: first.map_or(Duration::ZERO, |first| first.elapsed()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cluster;
    use crate::fill::{Into, fill};

    #[test]
    fn everything_is_read_tombstones_too() {
        let cluster = Cluster::start(1).unwrap();
        cluster.topic("t", 3).unwrap();
        let into = Into { addresses: cluster.addresses(), topic: "t".into(), partitions: 2, time: 0, rate: None };
        let records = (0..1_000).map(|n| (n % 10 != 0).then_some(&b"record"[..]));
        assert_eq!(fill(&into, records).unwrap(), 1_000);
        // One partition is empty.
        assert_eq!(drain(&into.addresses, "t", 3).unwrap().messages, 1_000);
    }
}
