//! A Kafka cluster for tests: librdkafka's mock on loopback, which engines and producers of any process can join.
//!
//! It has topics, consumer groups with generations and sessions, and offsets with their metadata, all in memory. A
//! [`Cluster`] lives in the test's own process; the command `brokers` is the same for tests in other languages.
//!
//! # What it is not
//! A partition keeps its last 5 MiB and 100,000 batches, as they were sent: [`fill`](fill::fill) compresses them, and sees to
//! it that nothing was dropped. A new group waits 3 s for further members before it shares its partitions. There is no TLS
//! and no log-in, and asked for a time it answers with the end of the partition. Producers should not send again what was
//! not acknowledged: the mock takes it twice.

pub mod drain;
pub mod fill;

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// All brokers, where one can be named.
const ALL: i32 = -1;

/// Requests that can be made to fail.
const REQUESTS: &[(&str, RDKafkaApiKey)] = &[
    ("Produce", RDKafkaApiKey::Produce),
    ("Fetch", RDKafkaApiKey::Fetch),
    ("ListOffsets", RDKafkaApiKey::ListOffsets),
    ("Metadata", RDKafkaApiKey::Metadata),
    ("OffsetCommit", RDKafkaApiKey::OffsetCommit),
    ("OffsetFetch", RDKafkaApiKey::OffsetFetch),
    ("FindCoordinator", RDKafkaApiKey::FindCoordinator),
    ("JoinGroup", RDKafkaApiKey::JoinGroup),
    ("Heartbeat", RDKafkaApiKey::Heartbeat),
    ("LeaveGroup", RDKafkaApiKey::LeaveGroup),
    ("SyncGroup", RDKafkaApiKey::SyncGroup),
];

/// What they can fail with.
const ANSWERS: &[(&str, RDKafkaRespErr)] = &[
    ("DISCONNECT", RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT),
    ("REQUEST_TIMED_OUT", RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT),
    ("COORDINATOR_LOAD_IN_PROGRESS", RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS),
    ("COORDINATOR_NOT_AVAILABLE", RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
    ("NOT_COORDINATOR", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR),
    ("NOT_LEADER", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION),
    ("ILLEGAL_GENERATION", RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION),
    ("UNKNOWN_MEMBER_ID", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID),
    ("REBALANCE_IN_PROGRESS", RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS),
    ("TOPIC_AUTHORIZATION_FAILED", RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED),
    ("GROUP_AUTHORIZATION_FAILED", RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED),
    ("OFFSET_METADATA_TOO_LARGE", RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE),
];

/// Why the cluster does not do what it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka refuses.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// No such request or answer.
    #[error("{0:?} is none of: {1}")]
    Unknown(String, String),
    /// A record was not acknowledged.
    #[error("a record of partition {partition} was not acknowledged: {detail}; what is in the topic is not known")]
    Lost {
        /// Which.
        partition: i32,
        /// What librdkafka said.
        detail: String,
    },
    /// A partition does not hold all that was sent to it.
    #[error(
        "partition {partition} begins at {start} and not at 0: it keeps 5 MiB, so take more partitions or fewer records"
    )]
    Dropped {
        /// Which.
        partition: i32,
        /// Its first message.
        start: i64,
    },
}

/// The cluster. It ends when this is dropped.
pub struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
}

impl Cluster {
    /// Starts so many brokers, on ports of loopback that are free.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start(brokers: u8) -> Result<Self, Error> {
        Ok(Cluster { mock: MockCluster::new(i32::from(brokers))? })
    }

    /// `host:port` of each broker, with commas.
    pub fn addresses(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// It is there already.
    pub fn topic(&self, name: &str, partitions: i32) -> Result<(), Error> {
        Ok(self.mock.create_topic(name, partitions, 1)?)
    }

    /// Breaks all connections and takes none, until it is [up](Cluster::up) again on the same ports. What it holds stays.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn down(&self) -> Result<(), Error> {
        Ok(self.mock.broker_down(ALL)?)
    }

    /// See [`Cluster::down`].
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn up(&self) -> Result<(), Error> {
        Ok(self.mock.broker_up(ALL)?)
    }

    /// Every answer takes so long from now on.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn delay(&self, by: Duration) -> Result<(), Error> {
        Ok(self.mock.broker_round_trip_time(ALL, by)?)
    }

    /// The next so many requests of this kind are answered with this: `fail("OffsetCommit", "NOT_COORDINATOR", 3)`. With
    /// `DISCONNECT` the connection breaks instead.
    ///
    /// # Errors
    /// No such request or answer; the error lists those there are.
    pub fn fail(&self, request: &str, answer: &str, times: usize) -> Result<(), Error> {
        let (request, answer) = (named(REQUESTS, request)?, named(ANSWERS, answer)?);
        self.mock.request_errors(request, &vec![answer; times]);
        Ok(())
    }

    /// Requests of this kind are answered as usual again.
    ///
    /// # Errors
    /// No such request.
    pub fn heal(&self, request: &str) -> Result<(), Error> {
        self.mock.clear_request_errors(named(REQUESTS, request)?);
        Ok(())
    }
}

fn named<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T, Error> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
        Error::Unknown(name.to_owned(), known.join(", "))
    })
}
