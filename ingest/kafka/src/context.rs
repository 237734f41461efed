//! What librdkafka calls back, on the thread that polls it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

/// A change of the assignment that the group waits for us to acknowledge.
#[derive(Debug)]
pub(crate) enum Change {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// What was told and not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Context {
    changes: Mutex<VecDeque<Change>>,
    /// The member leaves: nobody looks at changes any more.
    leaving: AtomicBool,
    trouble: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Context {
    pub(crate) fn next_change(&self) -> Option<Change> {
        lock(&self.changes).pop_front()
    }

    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// What went wrong last.
    pub(crate) fn last_trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.trouble).clone()
    }

    /// What went wrong last, with librdkafka's words, since this was asked.
    pub(crate) fn trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.trouble).take()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!("librdkafka: {facility}: {message}");
            }
            _ => tracing::debug!("librdkafka: {facility}: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        let mut trouble = lock(&self.trouble);
        // That no broker is left says less than why the last one went.
        if trouble.is_none() || code != RDKafkaErrorCode::AllBrokersDown {
            *trouble = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigns = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            // Acknowledged here, or closing would wait for ever; the feed has given all leases up.
            let acknowledged = match assigns {
                true => consumer.incremental_assign(partitions),
                false => consumer.incremental_unassign(partitions),
            };
            if let Err(error) = acknowledged {
                tracing::debug!("librdkafka: {error}");
            }
            return;
        }
        let change = if assigns { Change::Assign(partitions.clone()) } else { Change::Revoke(partitions.clone()) };
        lock(&self.changes).push_back(change);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
