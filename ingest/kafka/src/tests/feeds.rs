//! Groups of one and more members, without faults but those of members.

use longshore_ingest::feed::{Feed, FeedError};

use super::broker::{Broker, Engine, Table, lines};

/// Messages of a partition, by number.
fn numbered(partition: usize, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{partition}-{number}")).collect()
}

fn put(broker: &Broker, partition: usize, numbers: std::ops::Range<usize>) {
    let messages = numbered(partition, numbers);
    let payloads: Vec<_> = messages.iter().map(|message| Some(message.as_bytes())).collect();
    broker.put(partition as i32, &payloads);
}

#[test]
fn a_member_reads_every_partition_and_the_next_one_goes_on_behind_it() {
    let broker = Broker::new(4);
    (0..4).for_each(|partition| put(&broker, partition, 0..500));
    let mut table = Table::default();
    let mut engine = Engine::join(&broker.spec("one"), 300);
    engine.until(|engine| engine.records() == 2_000);
    assert!(engine.given.iter().all(|planned| planned.lease.held() && !planned.in_doubt));
    assert!(engine.given.iter().all(|planned| planned.slice.bytes.len() <= 300));
    engine.store(&mut table);
    engine.feed.close().unwrap();
    (0..4).for_each(|partition| assert_eq!(table.records(partition), numbered(partition, 0..500)));

    (0..4).for_each(|partition| put(&broker, partition, 500..600));
    let mut next = Engine::join(&broker.spec("one"), 300);
    next.until(|engine| engine.records() == 400);
    assert!(next.given.iter().all(|planned| !planned.in_doubt && planned.meta.start >= 500));
    next.store(&mut table);
    next.feed.close().unwrap();
    (0..4).for_each(|partition| assert_eq!(table.records(partition), numbered(partition, 0..600)));
}

#[test]
fn what_a_member_planned_and_did_not_store_is_cut_again_by_the_next_one() {
    let broker = Broker::new(2);
    (0..2).for_each(|partition| put(&broker, partition, 0..300));
    let mut before = Engine::join(&broker.spec("doubt"), 500);
    before.until(|engine| engine.records() == 600);
    let planned = std::mem::take(&mut before.given);
    drop(before);
    assert!(planned.iter().all(|slice| !slice.lease.held()), "leases end with their member");

    // It would cut other slices.
    let mut after = Engine::join(&broker.spec("doubt"), 90);
    after.until(|engine| engine.records() == 600);
    let mut ids: Vec<_> = planned.iter().map(|slice| (slice.meta.id, slice.slice.bytes.clone())).collect();
    let mut again: Vec<_> = after.given.iter().map(|slice| (slice.meta.id, slice.slice.bytes.clone())).collect();
    ids.sort();
    again.sort();
    assert_eq!(ids, again);
    assert!(after.given.iter().all(|slice| slice.in_doubt));
}

/// librdkafka fetches ahead: what it has when it is sought elsewhere must not be taken for what is there.
#[test]
fn slices_that_go_back_are_read_again_while_messages_flow() {
    let broker = Broker::new(2);
    let mut engine = Engine::join(&broker.spec("back"), 400);
    let mut table = Table::default();
    let (mut went_back, mut came_again) = (std::collections::BTreeMap::new(), 0);
    for round in 0..40 {
        (0..2).for_each(|partition| put(&broker, partition, round * 100..(round + 1) * 100));
        engine.step().unwrap();
        for planned in std::mem::take(&mut engine.given) {
            let (id, bytes) = (planned.meta.id, planned.slice.bytes.clone());
            match went_back.remove(&id) {
                Some(before) => {
                    assert_eq!(before, bytes);
                    assert!(planned.in_doubt);
                    came_again += 1;
                    engine.given.push(planned);
                }
                // Most of them, in no order.
                None if id.0 % 4 != 0 => {
                    let due = engine.now() + std::time::Duration::from_millis(id.0 % 300);
                    engine.feed.again(planned.ticket, due).unwrap();
                    went_back.insert(id, bytes);
                }
                None => engine.given.push(planned),
            }
        }
        engine.store(&mut table);
    }
    assert!(came_again > 0);
    let begun = std::time::Instant::now();
    while (0..2).any(|partition| table.messages(partition) < 4_000) {
        engine.step().unwrap();
        engine.store(&mut table);
        assert!(begun.elapsed().as_secs() < 120, "{:?}", engine.feed.status(engine.now()));
    }
    engine.feed.close().unwrap();
    (0..2).for_each(|partition| assert_eq!(table.records(partition), numbered(partition, 0..4_000)));
}

/// One joins, one leaves, one goes without a word: slices follow each other all the same.
#[test]
fn members_come_and_go_and_slices_follow_each_other() {
    const PARTITIONS: usize = 4;
    let broker = Broker::new(PARTITIONS as i32);
    let mut table = Table::default();
    let all = |table: &Table, count| (0..PARTITIONS).all(|partition| table.records(partition).len() == count);
    let mut spec = broker.spec("many");
    spec.properties.insert("session.timeout.ms".into(), "3000".into());
    spec.properties.insert("max.poll.interval.ms".into(), "5000".into());
    let mut engines = vec![Engine::join(&spec, 200), Engine::join(&spec, 200)];
    let mut put_to = 0;
    let more = |put_to: &mut usize, engines: &mut [Engine], table: &mut Table, shares: &[usize]| {
        let begun = std::time::Instant::now();
        loop {
            if *put_to < 4_000 {
                (0..PARTITIONS).for_each(|partition| put(&broker, partition, *put_to..*put_to + 50));
                *put_to += 50;
            }
            for engine in &mut *engines {
                // On a machine that is busy a session may end by itself.
                if engine.step().is_err() {
                    *engine = Engine::join(&spec, 200);
                }
                engine.store(table);
            }
            let mut found: Vec<usize> = engines.iter().map(Engine::partitions).collect();
            found.sort_unstable();
            if found == shares && all(table, *put_to) {
                return;
            }
            assert!(begun.elapsed().as_secs() < 300, "{found:?} partitions instead of {shares:?}");
        }
    };
    more(&mut put_to, &mut engines, &mut table, &[2, 2]);
    engines.push(Engine::join(&spec, 200));
    more(&mut put_to, &mut engines, &mut table, &[1, 1, 2]);
    engines.remove(0).feed.close().unwrap();
    more(&mut put_to, &mut engines, &mut table, &[2, 2]);
    // This one is stuck: it is not polled any more, and what it gave away is not stored.
    let mut stuck = engines.remove(0);
    (0..PARTITIONS).for_each(|partition| put(&broker, partition, put_to..put_to + 50));
    stuck.until(|engine| !engine.given.is_empty());
    put_to += 50;
    more(&mut put_to, &mut engines, &mut table, &[4]);
    assert!(stuck.given.iter().all(|planned| !planned.lease.held()));
    assert!(matches!(stuck.fails(), FeedError::Retry { .. }));
    let count = put_to;
    (0..PARTITIONS).for_each(|partition| assert_eq!(table.records(partition), numbered(partition, 0..count)));
}

#[test]
fn whatever_a_message_holds_and_however_it_is_packed_it_comes_as_it_is() {
    let broker = Broker::new(4);
    let (garbage, long) = (&b"\xff\x00\xfe{\"a\":"[..], vec![b'x'; 10_000_000]);
    for (partition, codec) in ["lz4", "zstd", "snappy", "gzip"].into_iter().enumerate() {
        let payloads = [None, Some(&b""[..]), Some(garbage), Some(&long), Some(b"last")];
        broker.put_as(codec, partition as i32, &payloads);
    }
    let mut engine = Engine::join(&broker.spec("kinds"), 1_000);
    engine.until(|engine| engine.records() == 8);
    for partition in 0..4 {
        let name = format!("kafka:t/{partition}");
        let slices: Vec<_> = engine.given.iter().filter(|planned| *planned.meta.source == *name).collect();
        // Where they end depends on when messages came, but for the long one, which ends its slice.
        let mut next = 0;
        for slice in &slices {
            assert_eq!(slice.meta.start, next);
            next = slice.meta.end;
            assert_eq!(slice.slice.tail.is_some(), next == 4);
        }
        assert_eq!(next, 5);
        assert_eq!(slices.iter().flat_map(|slice| lines(&slice.slice.bytes)).collect::<Vec<_>>(), [garbage, b"last"]);
        let tail = slices.iter().find_map(|slice| slice.slice.tail.as_ref()).unwrap();
        assert_eq!((tail.length, tail.head.as_slice()), (10_000_000, &long[..4 << 10]));
    }
}
