//! Where the partitions begin that the group gave us.

use std::sync::Arc;
use std::time::Duration;

use longshore_core::config::{KafkaSpec, KafkaStart};
use longshore_core::limits::KAFKA_ANSWER_MS;
use longshore_ingest::feed::FeedError;
use longshore_ingest::kafka::{Assigned, CommitError, TopicPartition, plan};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::context::Context;
use crate::errors;

/// How long a broker is waited for.
pub(crate) const ANSWER: Duration = Duration::from_millis(KAFKA_ANSWER_MS);

/// A commit of one partition.
pub(crate) type Committed = (TopicPartition, u64, String);

/// Questions about a group's offsets, and their answers.
pub(crate) struct Offsets<'a> {
    pub(crate) consumer: &'a BaseConsumer<Context>,
    pub(crate) spec: &'a KafkaSpec,
}

impl Offsets<'_> {
    /// Where each of these partitions begins. What is chosen here is committed, and `keeps_metadata` proven.
    ///
    /// # Errors
    /// The brokers do not answer, or do not keep metadata.
    pub(crate) fn decide(
        &self,
        partitions: &[TopicPartition],
        keeps_metadata: &mut bool,
    ) -> Result<Vec<Assigned>, FeedError> {
        let committed = self.committed(partitions)?;
        *keeps_metadata |= committed.iter().flatten().any(|(_, metadata)| !metadata.is_empty());
        let mut assigned = Vec::new();
        let mut chosen = Vec::new();
        for (at, committed) in partitions.iter().zip(committed) {
            let committed = match committed {
                Some(committed) => committed,
                None => {
                    let start = self.start(at)?;
                    chosen.push((at.clone(), start, plan::mark(start)));
                    (start, plan::mark(start))
                }
            };
            assigned.push(Assigned { partition: at.clone(), start: committed.0, committed: Some(committed) });
        }
        if let Some(first) = assigned.first().filter(|_| chosen.is_empty() && !*keeps_metadata) {
            // A plan of nothing either way.
            chosen.push((first.partition.clone(), first.start, plan::mark(first.start)));
        }
        if !chosen.is_empty() {
            self.commit(&chosen).map_err(|error| match error {
                CommitError::Refused { detail } => FeedError::Refuse { detail },
                error => FeedError::Retry { detail: format!("kafka: offsets to begin at were not committed: {error}") },
            })?;
            if !*keeps_metadata {
                *keeps_metadata = self.is_kept(&chosen)?;
            }
        }
        match *keeps_metadata || partitions.is_empty() {
            true => Ok(assigned),
            false => Err(FeedError::Refuse { detail: errors::drops_metadata(self.spec) }),
        }
    }

    /// The group's offsets and their metadata, in one answer.
    pub(crate) fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<(u64, String)>>, FeedError> {
        let answer = self.consumer.committed_offsets(list(partitions), ANSWER).map_err(|error| self.failed(error))?;
        let one = |at: &TopicPartition| {
            let found = answer.find_partition(&at.topic, number(at)).expect("the answer has what was asked for");
            found.error().map_err(|error| self.failed(error))?;
            Ok(match found.offset() {
                Offset::Offset(offset) => Some((offset.unsigned_abs(), found.metadata().to_owned())),
                _ => None,
            })
        };
        partitions.iter().map(one).collect()
    }

    /// Whether these commits are there as they were made.
    pub(crate) fn is_kept(&self, commits: &[Committed]) -> Result<bool, FeedError> {
        let partitions: Vec<TopicPartition> = commits.iter().map(|(at, ..)| at.clone()).collect();
        let found = self.committed(&partitions)?;
        Ok(commits.iter().zip(found).all(|((_, offset, metadata), found)| {
            found.is_some_and(|(found_offset, found)| found_offset == *offset && found == *metadata)
        }))
    }

    /// Commits, and waits for the group's coordinator.
    pub(crate) fn commit(&self, commits: &[Committed]) -> Result<(), CommitError> {
        let mut offsets = TopicPartitionList::with_capacity(commits.len());
        for (at, offset, metadata) in commits {
            let mut added = offsets.add_partition(&at.topic, number(at));
            let offset = i64::try_from(*offset).expect("the broker's offsets are 63 bits");
            added.set_offset(Offset::Offset(offset)).expect("it is not negative");
            added.set_metadata(metadata);
        }
        self.consumer.commit(&offsets, CommitMode::Sync).map_err(|error| errors::commit(self.spec, &error))
    }

    fn start(&self, at: &TopicPartition) -> Result<u64, FeedError> {
        let (low, high) = self.range(at)?;
        Ok(match &self.spec.start {
            KafkaStart::Earliest => low,
            KafkaStart::Latest => high,
            KafkaStart::Timestamp(time) => self.at_time(at, *time)?.unwrap_or(high),
            KafkaStart::Offsets(offsets) => *offsets.get(&(at.topic.to_string(), at.partition)).unwrap_or(&low),
        })
    }

    /// First offset, and the one behind the last.
    fn range(&self, at: &TopicPartition) -> Result<(u64, u64), FeedError> {
        let range = self.consumer.fetch_watermarks(&at.topic, number(at), ANSWER);
        range.map(|(low, high)| (low.unsigned_abs(), high.unsigned_abs())).map_err(|error| self.failed(error))
    }

    /// The first message of this time or later; `None` if there is none.
    fn at_time(&self, at: &TopicPartition, time: i64) -> Result<Option<u64>, FeedError> {
        let mut asked = TopicPartitionList::new();
        asked
            .add_partition_offset(&at.topic, number(at), Offset::Offset(time))
            .expect("the config takes no time before 1970");
        let answer = self.consumer.offsets_for_times(asked, ANSWER).map_err(|error| self.failed(error))?;
        let found = answer.find_partition(&at.topic, number(at)).expect("the answer has what was asked for");
        found.error().map_err(|error| self.failed(error))?;
        Ok(match found.offset() {
            Offset::Offset(offset) => Some(offset.unsigned_abs()),
            _ => None,
        })
    }

    fn failed(&self, error: KafkaError) -> FeedError {
        let (code, said) = self.consumer.context().trouble().unzip();
        let said = said.map_or_else(|| error.to_string(), |said| format!("{error}; {said}"));
        errors::broker(self.spec, error.rdkafka_error_code().or(code), &said)
    }
}

/// Partitions without offsets.
pub(crate) fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, number(at));
    }
    list
}

/// The partitions of a list.
pub(crate) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let of = |topic: &str, partition: i32| TopicPartition {
        topic: Arc::from(topic),
        partition: u32::try_from(partition).expect("the group assigns partitions that exist"),
    };
    list.elements().iter().map(|element| of(element.topic(), element.partition())).collect()
}

/// A partition's number as librdkafka has it.
pub(crate) fn number(at: &TopicPartition) -> i32 {
    i32::try_from(at.partition).expect("the broker's partitions are 31 bits")
}
