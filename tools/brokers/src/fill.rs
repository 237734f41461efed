//! Records into a topic, each once.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::Error;

const ANSWER: Duration = Duration::from_secs(60);

/// Where records go.
#[derive(Debug, Clone)]
pub struct Into {
    /// `host:port` of the brokers, with commas.
    pub addresses: String,
    /// The topic, which is there.
    pub topic: String,
    /// How many partitions it has: record `n` goes to partition `n % partitions`.
    pub partitions: i32,
    /// Milliseconds since 1970 of record 0; record `n` is `n` ms later.
    pub time: i64,
    /// At most so many a second; `None`: as fast as it goes.
    pub rate: Option<u32>,
}

/// Sends records, or tombstones, compressed, and waits until all are acknowledged. Record `n` has the key `n`, in digits, and
/// a header `source` that says `fill`. Returns how many there were.
///
/// # Errors
/// A record was not acknowledged, for which the cluster must have been down meanwhile.
pub fn fill<'a, R>(into: &Into, records: impl Iterator<Item = R>) -> Result<u64, Error>
where
    R: std::convert::Into<Option<&'a [u8]>>,
{
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &into.addresses).set("compression.codec", "zstd");
    config.set("linger.ms", "20").set("batch.size", "1000000").set("message.max.bytes", "20000000");
    config.set("queue.buffering.max.kbytes", "65536");
    // Sent again it would be there twice.
    config.set("message.send.max.retries", "0");
    let producer: BaseProducer<Failures> = BaseProducer::from_config_and_context(&config, Failures::default())?;
    let begun = Instant::now();
    let mut sent = 0_u64;
    for record in records {
        if let Some(rate) = into.rate {
            let due = Duration::from_secs_f64(sent as f64 / f64::from(rate));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        send(&producer, into, sent, record.into())?;
        sent += 1;
        if sent.is_multiple_of(256) {
            producer.poll(Duration::ZERO);
            producer.context().check()?;
        }
    }
    producer.flush(ANSWER)?;
    producer.context().check()?;
    Ok(sent)
}

fn send(producer: &BaseProducer<Failures>, into: &Into, number: u64, payload: Option<&[u8]>) -> Result<(), Error> {
    let key = number.to_string();
    let number = i64::try_from(number).expect("nobody sends so many");
    loop {
        let headers = OwnedHeaders::new().insert(Header { key: "source", value: Some("fill") });
        let record = BaseRecord::<_, [u8]>::to(&into.topic)
            .partition(i32::try_from(number % i64::from(into.partitions)).expect("it is less than the partitions"))
            .key(&key)
            .headers(headers)
            .timestamp(into.time + number);
        let record = if let Some(payload) = payload { record.payload(payload) } else { record };
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(20));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Whether each partition still begins at 0: what is dropped was never there for a reader.
///
/// # Errors
/// One does not, or nobody answers.
pub fn check_whole(into: &Into) -> Result<(), Error> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &into.addresses).set("group.id", "fill").create()?;
    (0..into.partitions).try_for_each(|partition| {
        let (start, _) = consumer.fetch_watermarks(&into.topic, partition, ANSWER)?;
        if start == 0 { Ok(()) } else { Err(Error::Dropped { partition, start }) }
    })
}

/// The first record that was not acknowledged.
#[derive(Default)]
struct Failures(Mutex<Option<(i32, String)>>);

impl Failures {
    fn check(&self) -> Result<(), Error> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or(Ok(()), |(partition, detail)| Err(Error::Lost { partition, detail }))
    }
}

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        if let Err((error, message)) = delivery {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| (message.partition(), error.to_string()));
        }
    }
}
