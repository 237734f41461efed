//! Brokers that are away, refuse, or know the member no more.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use longshore_core::config::{KafkaSasl, KafkaTls, SaslMechanism, Secret};
use longshore_ingest::feed::FeedError;
use longshore_ingest::kafka::{CommitError, Consumer, TopicPartition};
use rdkafka::consumer::BaseConsumer;
use rdkafka::types::RDKafkaApiKey;
use rdkafka::types::RDKafkaRespErr as Answer;

use super::broker::{Broker, Engine, spec};
use crate::assign::Offsets;
use crate::context::Context;
use crate::{RdConsumer, config, errors};

fn refused(error: FeedError) -> String {
    match error {
        FeedError::Refuse { detail } => detail,
        FeedError::Retry { detail } => panic!("it is to be tried again: {detail}"),
    }
}

fn to_retry(error: FeedError) -> String {
    match error {
        FeedError::Retry { detail } => detail,
        FeedError::Refuse { detail } => panic!("it is refused: {detail}"),
    }
}

fn at() -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: 0 }
}

#[test]
fn brokers_that_are_away_are_named_with_what_to_look_at() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let says = to_retry(RdConsumer::join(&spec(&nobody.to_string(), "away")).map(drop).unwrap_err());
    assert!(says.starts_with(&format!("kafka: no answer from the brokers {nobody} over PLAINTEXT: ")), "{says}");
    assert!(says.contains("Connection refused") && says.contains("Check that they run"), "{says}");
}

#[test]
fn tls_with_a_port_that_speaks_none_is_told_as_such() {
    let broker = Broker::new(1);
    let mut tls = broker.spec("tls");
    tls.tls = Some(KafkaTls::default());
    let error = RdConsumer::join(&tls).map(drop).unwrap_err();
    let (FeedError::Refuse { detail: says } | FeedError::Retry { detail: says }) = error;
    assert!(says.contains("SSL"), "{says}");
}

#[test]
fn a_file_of_authorities_that_is_not_there_is_named() {
    let mut tls = spec("127.0.0.1:9", "ca");
    tls.tls = Some(KafkaTls { ca_file: Some("/nowhere/ca.pem".into()), identity: None });
    let says = refused(RdConsumer::join(&tls).map(drop).unwrap_err());
    assert!(says.contains("ssl.ca.location") && says.contains("[source.kafka.tls]"), "{says}");
}

#[test]
fn every_way_to_log_in_is_built_in_and_no_password_is_told() {
    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let mut sasl = spec("127.0.0.1:9", "sasl");
        sasl.sasl = Some(KafkaSasl { mechanism, user: "shop".into(), password: Secret::new("hunter2") });
        let consumer: Result<BaseConsumer<Context>, _> =
            config::client(&sasl, 1).create_with_context(Context::default());
        assert!(consumer.is_ok(), "{mechanism:?}: {:?}", consumer.err());
        let says = refused(errors::broker(&sasl, Some(rdkafka::error::RDKafkaErrorCode::Authentication), "no"));
        assert!(says.contains("\"shop\"") && !says.contains("hunter2"), "{says}");
    }
}

#[test]
fn a_property_that_does_not_exist_is_named() {
    let mut wrong = spec("127.0.0.1:9", "property");
    wrong.properties.insert("fetch.wait.max".into(), "1".into());
    let says = refused(RdConsumer::join(&wrong).map(drop).unwrap_err());
    assert!(says.contains("fetch.wait.max") && says.contains("[source.kafka.properties]"), "{says}");
}

#[test]
fn a_member_that_the_group_forgot_ends_with_its_leases() {
    let broker = Broker::new(1);
    broker.put(0, &[Some(b"a")]);
    let mut engine = Engine::join(&broker.spec("forgotten"), 100);
    engine.until(|engine| engine.records() == 1);
    assert!(engine.given[0].lease.held());
    broker.cluster.request_errors(RDKafkaApiKey::Heartbeat, &[Answer::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    // Nobody polls: the lease ends by itself.
    let begun = Instant::now();
    while engine.given[0].lease.held() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the lease is held");
        std::thread::sleep(Duration::from_millis(20));
    }
    let says = to_retry(engine.fails());
    assert!(says.contains("joins anew"), "{says}");
    let mut next = Engine::join(&broker.spec("forgotten"), 100);
    next.until(|engine| engine.records() == 1);
    assert!(next.given[0].in_doubt);
}

#[test]
fn a_commit_between_two_generations_is_made_again() {
    let broker = Broker::new(1);
    let mut engine = Engine::join(&broker.spec("between"), 100);
    engine.until(|engine| engine.partitions() == 1);
    let refusal = [Answer::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; 3];
    broker.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &refusal);
    broker.put(0, &[Some(b"a")]);
    engine.until(|engine| engine.records() == 1);
    assert!(engine.given[0].lease.held() && !engine.given[0].in_doubt);
}

#[test]
fn a_commit_whose_outcome_is_unknown_ends_the_membership() {
    let broker = Broker::new(1);
    let mut engine = Engine::join(&broker.spec("unknown"), 100);
    engine.until(|engine| engine.partitions() == 1);
    let timeouts = [Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 9];
    broker.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &timeouts);
    broker.put(0, &[Some(b"a")]);
    let says = to_retry(engine.fails());
    assert!(says.contains("its outcome is unknown") && says.contains("kafka:t/0"), "{says}");
    assert!(engine.given.is_empty(), "nothing is given away whose plan may not be there");
    broker.cluster.clear_request_errors(RDKafkaApiKey::OffsetCommit);
}

#[test]
fn commits_that_no_trying_helps_are_told_with_what_to_do() {
    let broker = Broker::new(1);
    let mut engine = Engine::join(&broker.spec("large"), 100);
    engine.until(|engine| engine.partitions() == 1);
    let too_large = [Answer::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE];
    broker.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &too_large);
    broker.put(0, &[Some(b"a")]);
    let says = refused(engine.fails());
    assert!(says.contains("offset.metadata.max.bytes"), "{says}");
}

/// What a broker that drops metadata looks like: the offset is there, and the text is not.
#[test]
fn a_broker_that_drops_metadata_is_noticed() {
    let broker = Broker::new(1);
    let spec = broker.spec("drops");
    let consumer: BaseConsumer<Context> = config::client(&spec, 1).create_with_context(Context::default()).unwrap();
    let offsets = Offsets { consumer: &consumer, spec: &spec };
    offsets.commit(&[(at(), 0, String::new())]).unwrap();
    assert!(!offsets.is_kept(&[(at(), 0, "a mark".into())]).unwrap());
    assert!(offsets.is_kept(&[(at(), 0, String::new())]).unwrap());
    assert!(errors::drops_metadata(&spec).contains("Apache Kafka"));
}

#[test]
fn a_member_that_left_commits_nothing() {
    let broker = Broker::new(1);
    let mut member = RdConsumer::join(&broker.spec("left")).unwrap();
    member.leave();
    assert!(matches!(member.commit(&at(), 1, "m"), Err(CommitError::Fenced { .. })));
    assert!(!member.term().lasts());
}

#[test]
fn leaving_does_not_wait_for_brokers_that_went_away() {
    let broker = Broker::new(1);
    let mut engine = Engine::join(&broker.spec("gone"), 100);
    engine.until(|engine| engine.partitions() == 1);
    broker.cluster.broker_down(-1).unwrap();
    let begun = Instant::now();
    drop(engine);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
