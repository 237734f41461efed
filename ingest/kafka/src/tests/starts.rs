//! Where a group begins that has no offsets, and where one that has.

use longshore_core::config::KafkaStart;
use longshore_ingest::feed::{Feed, FeedError};
use longshore_ingest::kafka::{Consumer, TopicPartition, plan};

use super::broker::{Broker, Engine, lines};
use crate::RdConsumer;

fn first_records(broker: &Broker, group: &str, start: KafkaStart, count: usize) -> Vec<String> {
    let mut spec = broker.spec(group);
    spec.start = start;
    let mut engine = Engine::join(&spec, 100);
    engine.until(|engine| engine.records() == count);
    engine.given.sort_by_key(|planned| (planned.meta.source.to_string(), planned.meta.start));
    let records = engine.given.iter().flat_map(|planned| lines(&planned.slice.bytes));
    let records = records.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    engine.feed.close().unwrap();
    records
}

#[test]
fn a_group_without_offsets_begins_where_it_is_told_to() {
    let broker = Broker::new(2);
    broker.put(0, &[Some(b"a0"), Some(b"a1"), Some(b"a2")]);
    broker.put(1, &[Some(b"b0"), Some(b"b1")]);
    let all = ["a0", "a1", "a2", "b0", "b1"];
    assert_eq!(first_records(&broker, "earliest", KafkaStart::Earliest, 5), all);
    let offsets = [(("t".to_owned(), 0), 2)].into();
    assert_eq!(first_records(&broker, "offsets", KafkaStart::Offsets(offsets), 3), ["a2", "b0", "b1"]);
}

#[test]
fn what_latest_meant_is_remembered_before_anything_is_read() {
    for start in [KafkaStart::Latest, KafkaStart::Timestamp(4_000_000_000_000)] {
        let broker = Broker::new(1);
        broker.put(0, &[Some(b"old")]);
        let mut spec = broker.spec("latest");
        spec.start = start.clone();
        let mut engine = Engine::join(&spec, 100);
        engine.until(|engine| engine.partitions() == 1);
        drop(engine);
        broker.put(0, &[Some(b"new")]);
        assert_eq!(first_records(&broker, "latest", start, 1), ["new"], "it came while no engine was there");
    }
}

#[test]
fn an_offset_that_is_not_there_stops_its_partition_and_no_other() {
    let broker = Broker::new(2);
    broker.put(0, &[Some(b"a0")]);
    broker.put(1, &[Some(b"b0")]);
    let mut spec = broker.spec("expired");
    spec.start = KafkaStart::Offsets([(("t".to_owned(), 0), 7)].into());
    let mut engine = Engine::join(&spec, 100);
    let stopped = |engine: &Engine| engine.feed.status(Default::default())[0].stopped.clone();
    engine.until(|engine| engine.records() == 1 && stopped(engine).is_some());
    let says = stopped(&engine).unwrap();
    assert_eq!(
        says,
        "kafka:t/0: offset 7 is not there (it holds 0 to 0): its messages expired before they were read, or the topic was \
         made anew. Nothing is skipped by itself; to go on, stop all engines of the group and reset the group's offset of \
         this partition"
    );
    assert_eq!(&*engine.given[0].meta.source, "kafka:t/1");
    broker.put(1, &[Some(b"b1")]);
    engine.until(|engine| engine.records() == 2);
}

#[test]
fn offset_and_plan_come_back_as_they_were_committed() {
    let broker = Broker::new(1);
    broker.put(0, &[Some(&b"a"[..]); 9]);
    let at = TopicPartition { topic: "t".into(), partition: 0 };
    let mut assigned = Vec::new();
    for round in 0_u64..2 {
        let mut member = RdConsumer::join(&broker.spec("commits")).unwrap();
        let before = assigned.len();
        while assigned.len() == before {
            member
                .poll(std::time::Duration::from_millis(50), &mut |event| {
                    if let longshore_ingest::kafka::Event::Assigned(found) = event {
                        assigned.push(found);
                    }
                })
                .unwrap();
        }
        member.commit(&at, 3 + round, &"m".repeat(4_000)).unwrap();
    }
    assert_eq!(assigned[0].committed, Some((0, plan::mark(0))));
    assert_eq!(assigned[1].committed, Some((3, "m".repeat(4_000))));
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let broker = Broker::new(1);
    let mut spec = broker.spec("misspelt");
    spec.topics = vec!["t".to_owned(), "orderz".to_owned()];
    let Err(FeedError::Refuse { detail }) = RdConsumer::join(&spec).map(drop) else { panic!("it was taken") };
    let brokers = broker.cluster.bootstrap_servers();
    assert_eq!(
        detail,
        format!("kafka: the topic \"orderz\" is not at the brokers {brokers}: create it, or correct kafka.topics")
    );
}
