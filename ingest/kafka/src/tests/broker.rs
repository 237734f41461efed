//! A mock cluster on loopback, a producer, and feeds over it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use longshore_core::config::{KafkaMessages, KafkaSpec, KafkaStart};
use longshore_ingest::feed::{Feed, FeedError, PlannedSlice, Room};
use longshore_ingest::journal::ConfigHash;
use longshore_ingest::kafka::{KafkaFeed, KafkaOptions, plan::CutRule};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use crate::RdConsumer;

/// However slow the machine is, what is waited for has come by then.
const LONG: Duration = Duration::from_secs(120);

pub(super) struct Broker {
    pub(super) cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Broker {
    /// One broker with one topic, `t`.
    pub(super) fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", partitions, 1).unwrap();
        let producer = producer(&cluster.bootstrap_servers(), "none");
        Broker { cluster, producer }
    }

    pub(super) fn spec(&self, group: &str) -> KafkaSpec {
        spec(&self.cluster.bootstrap_servers(), group)
    }

    /// Appends these messages to a partition, in one batch or some.
    pub(super) fn put(&self, partition: i32, payloads: &[Option<&[u8]>]) {
        send(&self.producer, partition, payloads);
    }

    /// The same, compressed.
    pub(super) fn put_as(&self, codec: &str, partition: i32, payloads: &[Option<&[u8]>]) {
        send(&producer(&self.cluster.bootstrap_servers(), codec), partition, payloads);
    }
}

fn producer(brokers: &str, codec: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("compression.codec", codec);
    config.set("linger.ms", "2").set("message.max.bytes", "20000000");
    config.create().unwrap()
}

fn send(producer: &BaseProducer, partition: i32, payloads: &[Option<&[u8]>]) {
    for payload in payloads {
        let record = BaseRecord::<(), [u8]>::to("t").partition(partition);
        let record = if let Some(payload) = payload { record.payload(payload) } else { record };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
}

pub(super) fn spec(brokers: &str, group: &str) -> KafkaSpec {
    let properties =
        [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500"), ("fetch.wait.max.ms", "50")].into_iter();
    KafkaSpec {
        brokers: vec![brokers.to_owned()],
        topics: vec!["t".to_owned()],
        group: group.to_owned(),
        start: KafkaStart::Earliest,
        messages: KafkaMessages::Record,
        tls: None,
        sasl: None,
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

pub(super) fn options(slice_bytes: usize) -> KafkaOptions {
    KafkaOptions {
        rule: CutRule { messages: KafkaMessages::Record, record_bytes_max: 1_000 },
        slice_bytes,
        records_max: 1_000,
        slice_age: Duration::from_millis(200),
        held_bytes_max: 4 << 20,
    }
}

/// A feed, and what it gave away.
pub(super) struct Engine {
    pub(super) feed: KafkaFeed<RdConsumer>,
    pub(super) given: Vec<PlannedSlice>,
    begun: Instant,
}

impl Engine {
    pub(super) fn join(spec: &KafkaSpec, slice_bytes: usize) -> Engine {
        let consumer = RdConsumer::join(spec).unwrap();
        let feed = KafkaFeed::new(consumer, options(slice_bytes), ConfigHash(1));
        Engine { feed, given: Vec::new(), begun: Instant::now() }
    }

    /// The feed's clock.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn step(&mut self) -> Result<(), FeedError> {
        let room = Room { slices: 8, bytes: 1 << 20 };
        self.feed.step(self.now(), Duration::from_millis(20), room, &mut self.given)
    }

    /// Steps until this holds.
    pub(super) fn until(&mut self, holds: impl Fn(&Engine) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < LONG, "it took too long: {:?}", self.feed.status(Duration::ZERO));
            self.step().unwrap();
        }
    }

    /// Steps until the feed fails.
    pub(super) fn fails(&mut self) -> FeedError {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < LONG, "it did not fail");
            if let Err(error) = self.step() {
                return error;
            }
        }
    }

    /// Partitions that it has.
    pub(super) fn partitions(&self) -> usize {
        self.feed.status(Duration::ZERO).len()
    }

    /// Records of what it gave away whose leases it holds.
    pub(super) fn records(&self) -> usize {
        self.given.iter().map(|planned| lines(&planned.slice.bytes).len()).sum()
    }

    /// All that was given away is stored, in this table, and is said to be.
    pub(super) fn store(&mut self, table: &mut Table) {
        for planned in self.given.drain(..) {
            if planned.lease.held() {
                table.store(&planned);
                self.feed.done(planned.ticket).unwrap();
            }
        }
    }
}

pub(super) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// Slices under their ids, as a table with tokens keeps them.
#[derive(Default)]
pub(super) struct Table {
    slices: BTreeMap<(String, u64), (u64, u64, Vec<u8>)>,
}

impl Table {
    fn store(&mut self, planned: &PlannedSlice) {
        let meta = &planned.meta;
        let slice = (meta.end, meta.id.0, planned.slice.bytes.clone());
        let before = self.slices.insert((meta.source.to_string(), meta.start), slice.clone());
        assert!(before.is_none_or(|before| before == slice), "another slice begins at {}", meta.start);
    }

    /// Messages of a partition that slices cover, with gaps or not.
    pub(super) fn messages(&self, partition: usize) -> u64 {
        let source = format!("kafka:t/{partition}");
        let slices = self.slices.iter().filter(|((of, _), _)| *of == source);
        slices.map(|((_, start), (end, ..))| end - start).sum()
    }

    /// The records of a partition, whose slices follow each other from 0 on without gaps.
    pub(super) fn records(&self, partition: usize) -> Vec<String> {
        let mut next = 0;
        let mut records = Vec::new();
        for ((_, start), (end, _, bytes)) in
            self.slices.iter().filter(|((source, _), _)| *source == format!("kafka:t/{partition}"))
        {
            assert_eq!(*start, next, "slices follow each other");
            next = *end;
            records.extend(lines(bytes).into_iter().map(|line| String::from_utf8(line.to_vec()).unwrap()));
        }
        records
    }
}
