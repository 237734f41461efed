//! What reading a topic costs, from the broker's socket to planned slices. Measures, and tests nothing.
//!
//! `cargo test --release -p longshore-kafka -- --ignored --nocapture cost`

use std::time::{Duration, Instant};

use longshore_brokers::Cluster;
use longshore_brokers::fill::{Into, check_whole, fill};
use longshore_core::config::KafkaMessages;
use longshore_ingest::feed::{Feed, Room};
use longshore_ingest::journal::ConfigHash;
use longshore_ingest::kafka::plan::CutRule;
use longshore_ingest::kafka::{KafkaFeed, KafkaOptions};

use super::broker::spec;
use crate::RdConsumer;

const PARTITIONS: i32 = 16;
const RECORDS: usize = 1_000_000;

#[test]
#[ignore = "measures, and tests nothing"]
fn cost() {
    let cluster = Cluster::start(1).unwrap();
    cluster.topic("t", PARTITIONS).unwrap();
    let into = Into { addresses: cluster.addresses(), topic: "t".into(), partitions: PARTITIONS, time: 0, rate: None };
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    let begun = Instant::now();
    fill(&into, records.iter().map(|record| record.as_bytes())).unwrap();
    check_whole(&into).unwrap();
    println!("filled in {:.1} s", begun.elapsed().as_secs_f64());
    let mut spec = spec(&into.addresses, "cost");
    spec.properties.clear();
    let rule = CutRule { messages: KafkaMessages::Record, record_bytes_max: 1 << 20 };
    let options = KafkaOptions {
        rule,
        slice_bytes: 28 << 20,
        records_max: 262_144,
        slice_age: Duration::from_secs(1),
        held_bytes_max: 256 << 20,
    };
    let mut feed = KafkaFeed::new(RdConsumer::join(&spec).unwrap(), options, ConfigHash(1));
    let (mut bytes, mut messages, mut first) = (0, 0, None);
    let begun = Instant::now();
    while messages < RECORDS as u64 {
        let mut planned = Vec::new();
        let room = Room { slices: 8, bytes: 64 << 20 };
        feed.step(begun.elapsed(), Duration::from_millis(50), room, &mut planned).unwrap();
        for slice in planned {
            first.get_or_insert_with(Instant::now);
            bytes += slice.slice.bytes.len();
            messages += slice.meta.end - slice.meta.start;
            feed.done(slice.ticket).unwrap();
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{messages} messages, {:.0} MB in {seconds:.1} s, of which the group took until {:?} to give the first slice",
        bytes as f64 / 1e6,
        first.map(|first| first - begun)
    );
    feed.close().unwrap();
}

/// Some 420 bytes of JSON.
fn record(number: usize) -> String {
    let filler = "abcdefghij".repeat(30 + number % 10);
    format!(
        "{{\"ts\":{},\"user\":\"u{}\",\"app\":\"shop\",\"text\":\"{filler}\",\"n\":{number}}}",
        1_700_000_000 + number,
        number * 7919 % 100_003
    )
}
