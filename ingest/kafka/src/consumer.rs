//! The member: polls librdkafka, and tells what happened in the port's words.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use longshore_core::config::KafkaSpec;
use longshore_core::limits::{KAFKA_POLL_ALL_BYTES, KAFKA_POLL_BYTES, KAFKA_POLL_MESSAGES};
use longshore_ingest::feed::{FeedError, Term};
use longshore_ingest::kafka::{Assigned, CommitError, Consumer, Event, Message, TopicPartition};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::assign::{ANSWER, Offsets, number, partitions};
use crate::context::{Change, Context};
use crate::pulse::Pulse;
use crate::{config, errors, probe};

/// Events of the client itself that are served at once: changes, errors, log lines.
const SERVED_AT_ONCE: usize = 16;

/// A member of a consumer group. See the [crate].
pub struct RdConsumer {
    spec: KafkaSpec,
    term: Term,
    member: Option<Member>,
    /// Something is there to be polled: librdkafka's threads say so, and the pulse.
    wake: (Sender<()>, Receiver<()>),
    /// A broker drops metadata, or this is not known yet.
    keeps_metadata: bool,
}

/// What a membership consists of, in the order in which it is given up.
struct Member {
    pulse: Pulse,
    owned: BTreeMap<TopicPartition, Owned>,
    /// The partition that reading stopped behind.
    read_last: Option<TopicPartition>,
    consumer: Arc<BaseConsumer<Context>>,
}

/// A partition that is ours.
struct Owned {
    queue: PartitionQueue<Context>,
    /// The next message's offset, at least.
    next: u64,
    /// The feed wants nothing of it for now. What comes meanwhile waits in its queue, which is bounded.
    paused: bool,
    stopped: bool,
}

impl Owned {
    /// Messages and ends, some of them: how many events, and bytes.
    fn read(
        &mut self,
        at: &TopicPartition,
        consumer: &BaseConsumer<Context>,
        event: &mut dyn FnMut(Event<'_>),
    ) -> (usize, usize) {
        let (mut told, mut bytes) = (0, 0);
        for _ in 0..KAFKA_POLL_MESSAGES {
            let error = match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let offset = message.offset().unsigned_abs();
                    // What was sought past may still come.
                    if offset >= self.next {
                        self.next = offset + 1;
                        let (payload, headers) = (message.payload(), headers(&message));
                        bytes += payload.map_or(0, <[u8]>::len);
                        event(Event::Message(Message {
                            partition: at,
                            offset,
                            timestamp: message.timestamp().to_millis(),
                            key: message.key(),
                            headers: &headers,
                            payload,
                        }));
                        told += 1;
                    }
                    if bytes >= KAFKA_POLL_BYTES {
                        break;
                    }
                    continue;
                }
                Some(Err(error)) => error,
            };
            told += 1;
            if matches!(error, KafkaError::PartitionEOF(_)) {
                event(Event::End(at, self.next));
            } else if let Some(why) = stops(consumer, at, self.next, &error) {
                self.stopped = true;
                event(Event::Stopped(at, why));
                break;
            } else {
                tracing::warn!("{at}: {error}; librdkafka tries again, nothing is lost");
            }
        }
        (told, bytes)
    }
}

impl RdConsumer {
    /// Joins the group. Returns before the group has assigned anything.
    ///
    /// # Errors
    /// The brokers do not answer or do not let us in, a topic is not there, or librdkafka does not take the config.
    pub fn join(spec: &KafkaSpec) -> Result<Self, FeedError> {
        let config = config::client(spec, probe::partitions(spec)?);
        let session = config.get("session.timeout.ms").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        let session = session.expect("librdkafka took it as a number in the probe");
        let wake = bounded(1);
        let mut consumer: BaseConsumer<Context> =
            config.create_with_context(Context::default()).map_err(errors::client)?;
        consumer.set_nonempty_callback(waking(&wake.0));
        let consumer = Arc::new(consumer);
        let topics: Vec<&str> = spec.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(errors::client)?;
        let term = Term::lasting(session);
        let pulse = Pulse::begin(&consumer, term.clone(), session, waking(&wake.0))
            .map_err(|error| FeedError::Retry { detail: format!("kafka: no thread could be started: {error}") })?;
        let member = Some(Member { pulse, owned: BTreeMap::new(), read_last: None, consumer });
        Ok(RdConsumer { spec: spec.clone(), term, member, wake, keeps_metadata: false })
    }

    /// Changes of the assignment, and errors of the client. Returns how many events were told.
    fn serve(&mut self, event: &mut dyn FnMut(Event<'_>)) -> Result<usize, FeedError> {
        let mut told = 0;
        for _ in 0..SERVED_AT_ONCE {
            let consumer = self.member()?.consumer.clone();
            match consumer.poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => {
                    let partition = u32::try_from(message.partition()).unwrap_or_default();
                    return Err(errors::misled(&TopicPartition { topic: Arc::from(message.topic()), partition }));
                }
                Some(Err(error)) => self.client_error(&error)?,
            }
            while let Some(change) = consumer.context().next_change() {
                told += match change {
                    Change::Assign(assigned) => self.assign(&assigned, event)?,
                    Change::Revoke(revoked) => self.revoke(&revoked, event)?,
                };
            }
        }
        Ok(told)
    }

    /// Reads offsets and plans, tells them, and begins to read there.
    fn assign(&mut self, assigned: &TopicPartitionList, event: &mut dyn FnMut(Event<'_>)) -> Result<usize, FeedError> {
        let consumer = self.member()?.consumer.clone();
        let offsets = Offsets { consumer: &consumer, spec: &self.spec };
        let decided =
            offsets.decide(&partitions(assigned), &mut self.keeps_metadata).and_then(|decided| {
                match consumer.rebalance_protocol() {
                    RebalanceProtocol::Cooperative => Ok(decided),
                    _ => Err(errors::broker(&self.spec, Some(Code::InconsistentGroupProtocol), "")),
                }
            });
        let decided = decided.inspect_err(|_| {
            // The group waits for an answer even of a member that leaves.
            let _ = consumer.incremental_assign(assigned);
        })?;
        let mut begin = TopicPartitionList::with_capacity(decided.len());
        for Assigned { partition: at, start, .. } in &decided {
            let offset = Offset::Offset(i64::try_from(*start).expect("the broker's offsets are 63 bits"));
            begin.add_partition_offset(&at.topic, number(at), offset).expect("it is not negative");
            let mut queue = consumer.split_partition_queue(&at.topic, number(at)).expect("a topic's name has no NUL");
            queue.set_nonempty_callback(waking(&self.wake.0));
            self.member()?.owned.insert(at.clone(), Owned { queue, next: *start, paused: false, stopped: false });
        }
        let told = decided.len();
        decided.into_iter().for_each(|assigned| event(Event::Assigned(assigned)));
        consumer.incremental_assign(&begin).map_err(|error| self.failed(&error))?;
        Ok(told)
    }

    /// Tells what is taken away, and acknowledges it when that was heard.
    fn revoke(&mut self, revoked: &TopicPartitionList, event: &mut dyn FnMut(Event<'_>)) -> Result<usize, FeedError> {
        let consumer = self.member()?.consumer.clone();
        let lost = consumer.assignment_lost();
        if lost {
            self.term.end();
        }
        let revoked_partitions = partitions(revoked);
        revoked_partitions.iter().for_each(|at| event(Event::Revoked(at)));
        let acknowledged = consumer.incremental_unassign(revoked);
        self.member()?.owned.retain(|at, _| !revoked_partitions.contains(at));
        acknowledged.map_err(|error| self.failed(&error))?;
        match lost {
            // Nothing is known of what came between; another member knows from the start.
            true => Err(FeedError::Retry {
                detail: format!(
                    "kafka: the consumer group {:?} dropped this engine, which was away or out of reach for too long: it \
                     joins anew, nothing is lost",
                    self.spec.group
                ),
            }),
            false => Ok(revoked_partitions.len()),
        }
    }

    /// Messages and ends of the partitions that are not paused, some of each; of those that it does not come to first the
    /// next time.
    fn read(&mut self, event: &mut dyn FnMut(Event<'_>)) -> Result<usize, FeedError> {
        let Member { owned, consumer, read_last, .. } = self.member.as_mut().ok_or_else(gone)?;
        let behind = |at: &TopicPartition| read_last.as_ref().is_some_and(|last| at > last);
        let mut order: Vec<_> = owned.iter_mut().filter(|(_, owned)| !owned.paused && !owned.stopped).collect();
        let first = order.iter().position(|(at, _)| behind(at)).unwrap_or(0);
        order.rotate_left(first);
        let (mut told, mut bytes) = (0, 0);
        for (at, owned) in order {
            let (events, of) = owned.read(at, consumer, event);
            (told, bytes) = (told + events, bytes + of);
            if bytes >= KAFKA_POLL_ALL_BYTES {
                *read_last = Some(at.clone());
                break;
            }
        }
        Ok(told)
    }

    /// An error of the client as a whole. Most pass: librdkafka connects again by itself.
    fn client_error(&self, error: &KafkaError) -> Result<(), FeedError> {
        let code = error.rdkafka_error_code();
        let said = self.trouble(error);
        match (error, code) {
            (KafkaError::MessageConsumptionFatal(_), _) | (_, Some(Code::PollExceeded)) => Err(FeedError::Retry {
                detail: format!(
                    "kafka: the membership of {:?} is over: {said}; this engine joins anew",
                    self.spec.group
                ),
            }),
            (
                _,
                Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed | Code::InconsistentGroupProtocol),
            ) => Err(errors::broker(&self.spec, code, &said)),
            _ => {
                let (FeedError::Retry { detail } | FeedError::Refuse { detail }) =
                    errors::broker(&self.spec, code, &said);
                tracing::warn!("{detail}; nothing is lost, it is tried again");
                Ok(())
            }
        }
    }

    /// librdkafka's words for an error, if it had any.
    fn trouble(&self, error: &KafkaError) -> String {
        let trouble = self.member.as_ref().and_then(|member| member.consumer.context().trouble());
        trouble.map_or_else(|| error.to_string(), |(_, said)| said)
    }

    fn failed(&self, error: &KafkaError) -> FeedError {
        errors::broker(&self.spec, error.rdkafka_error_code(), &self.trouble(error))
    }

    fn member(&mut self) -> Result<&mut Member, FeedError> {
        self.member.as_mut().ok_or_else(gone)
    }

    /// Whether the group still takes this for its member, as far as is known here.
    fn is_member(&self) -> bool {
        self.term.lasts() && self.member.as_ref().is_some_and(|member| !member.consumer.assignment_lost())
    }
}

impl Consumer for RdConsumer {
    fn poll(&mut self, wait: Duration, event: &mut dyn FnMut(Event<'_>)) -> Result<(), FeedError> {
        if self.serve(event)? + self.read(event)? == 0 && !wait.is_zero() {
            // Woken or not: it is looked again.
            let _ = self.wake.1.recv_timeout(wait);
            self.serve(event)?;
            self.read(event)?;
        }
        Ok(())
    }

    fn commit(&mut self, partition: &TopicPartition, offset: u64, metadata: &str) -> Result<(), CommitError> {
        let fenced = || CommitError::Fenced { detail: "the session with the group is over".to_owned() };
        if !self.is_member() {
            return Err(fenced());
        }
        let consumer = self.member.as_ref().ok_or_else(fenced)?.consumer.clone();
        let commits = [(partition.clone(), offset, metadata.to_owned())];
        Offsets { consumer: &consumer, spec: &self.spec }.commit(&commits)?;
        match self.is_member() {
            true => Ok(()),
            // It may have gone without a generation, which nobody checks.
            false => Err(CommitError::Unknown { detail: "the session with the group ended meanwhile".to_owned() }),
        }
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) -> Result<(), FeedError> {
        let member = self.member()?;
        let Some(owned) = member.owned.get_mut(partition) else { return Ok(()) };
        let forward = offset >= owned.next;
        owned.next = offset;
        let to = Offset::Offset(i64::try_from(offset).expect("the broker's offsets are 63 bits"));
        match member.consumer.seek(&partition.topic, number(partition), to, ANSWER) {
            Ok(()) => Ok(()),
            // A partition that is not read yet cannot be sought in; what lies between is read and passed over.
            Err(error) if forward => {
                tracing::debug!("{partition}: {error}");
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn set_paused(&mut self, partition: &TopicPartition, paused: bool) -> Result<(), FeedError> {
        // librdkafka's own pause throws away what it has fetched.
        if let Some(owned) = self.member()?.owned.get_mut(partition) {
            owned.paused = paused;
        }
        Ok(())
    }

    fn term(&self) -> Term {
        self.term.clone()
    }

    fn leave(&mut self) {
        self.term.end();
        if let Some(Member { pulse, owned, consumer, .. }) = self.member.take() {
            consumer.context().leave();
            drop(pulse);
            drop(owned);
            // The last handle: closing leaves the group, and waits for the connection to take that.
            drop(consumer);
        }
    }
}

impl Drop for RdConsumer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A message's headers. Those whose names are not UTF-8 are left out: Kafka's protocol says that names are, and the client
/// panics over one that is not, for which a stranger's message must not end the engine.
fn headers<'m>(message: &'m BorrowedMessage<'_>) -> Vec<(&'m str, Option<&'m [u8]>)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let one = |index| catch_unwind(AssertUnwindSafe(|| headers.try_get(index))).ok().flatten();
    (0..headers.count()).filter_map(one).map(|header| (header.key, header.value)).collect()
}

fn gone() -> FeedError {
    FeedError::Retry { detail: "kafka: this engine left the group and joins anew".to_owned() }
}

fn waking(wake: &Sender<()>) -> impl Fn() + Send + Sync + Clone + 'static {
    let wake = wake.clone();
    move || {
        // If it is full, whoever polls is woken already.
        let _ = wake.try_send(());
    }
}

/// Why a partition cannot be read on after this error. `None` if it may pass by itself.
fn stops(consumer: &BaseConsumer<Context>, at: &TopicPartition, next: u64, error: &KafkaError) -> Option<String> {
    let code = error.rdkafka_error_code()?;
    let said = consumer.context().trouble().map_or_else(|| error.to_string(), |(_, said)| said);
    let expired = matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange);
    let range = expired.then(|| consumer.fetch_watermarks(&at.topic, number(at), ANSWER).ok()).flatten();
    errors::stops(code, next, range, &said)
}
