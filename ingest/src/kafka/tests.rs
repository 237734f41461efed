//! The feed against a twin of the broker: by hand, and by seeds.

mod again;
mod simulation;
mod turns;

use std::time::Duration;

use longshore_core::config::KafkaMessages;
use longshore_core::slice::SliceId;

use super::buffers::Buffers;
use super::draft::{Cutting, Draft};
use super::partition::{Partition, slice_id};
use super::plan::{self, CutRule, PlannedEnd};
use super::testing::{Broker, Planted, Shared, TwinConsumer, topic_partition};
use super::{Assigned, KafkaFeed, KafkaOptions, Message};
use crate::feed::{Feed, FeedError, PlannedSlice, Room, Term};
use crate::journal::ConfigHash;

const ROOM: Room = Room { slices: 8, bytes: 1 << 20 };

fn options(slice_bytes: usize) -> KafkaOptions {
    KafkaOptions {
        rule: CutRule { messages: KafkaMessages::Record, record_bytes_max: 40 },
        slice_bytes,
        records_max: 1_000,
        slice_age: Duration::from_secs(5),
        held_bytes_max: 400,
    }
}

fn feed(broker: &Shared, slice_bytes: usize) -> KafkaFeed<TwinConsumer> {
    KafkaFeed::new(TwinConsumer::join(broker), options(slice_bytes), ConfigHash(1))
}

/// Steps until nothing more comes.
fn all(feed: &mut KafkaFeed<TwinConsumer>, seconds: u64) -> Result<Vec<PlannedSlice>, FeedError> {
    let mut planned = Vec::new();
    for _ in 0..50 {
        feed.step(Duration::from_secs(seconds), Duration::ZERO, ROOM, &mut planned)?;
    }
    Ok(planned)
}

fn calm() -> Shared {
    let broker = Broker::new(1, 1, Planted::Nothing);
    broker.borrow_mut().calm = true;
    broker
}

/// Appends without gaps.
fn put(broker: &Shared, payload: Option<&[u8]>) {
    let mut broker = broker.borrow_mut();
    let offset = broker.end(0);
    broker.logs[0].push((offset, payload.map(<[u8]>::to_vec)));
}

#[test]
fn slices_end_by_bytes_and_by_age_and_positions_follow_what_is_done() {
    let broker = calm();
    [b"aaaa", b"bbbb", b"cccc"].iter().for_each(|payload| put(&broker, Some(*payload)));
    let mut feed = feed(&broker, 10);
    let first = all(&mut feed, 0).unwrap();
    assert_eq!(first.len(), 1, "the third message waits for others");
    assert_eq!((first[0].slice.bytes.as_slice(), first[0].meta.start, first[0].meta.end), (&b"aaaa\nbbbb\n"[..], 0, 2));
    assert_eq!(&*first[0].meta.source, "kafka:t/0");
    let second = all(&mut feed, 5).unwrap();
    assert_eq!((second[0].slice.bytes.as_slice(), second[0].meta.start, second[0].meta.end), (&b"cccc\n"[..], 2, 3));
    assert!(!second[0].in_doubt);

    feed.done(second[0].ticket).unwrap();
    all(&mut feed, 5).unwrap();
    assert_eq!(broker.borrow().committed[0].as_ref().unwrap().0, 0, "the first is not done");
    assert_eq!(feed.status(Duration::ZERO)[0].lag_records, Some(3));
    feed.done(first[0].ticket).unwrap();
    all(&mut feed, 5).unwrap();
    assert_eq!(broker.borrow().committed[0], Some((3, String::new())));
    assert!(first[0].lease.held());
    feed.close().unwrap();
    assert!(!first[0].lease.held());
}

#[test]
fn tombstones_and_empty_messages_are_no_records_and_long_ones_keep_their_head() {
    let broker = calm();
    let long = vec![b'x'; 10 << 20];
    for payload in [None, Some(&b""[..]), Some(b"a"), Some(&long), Some(b"two\nlines"), None] {
        put(&broker, payload);
    }
    let slices = all(&mut feed(&broker, 100), 5).unwrap();
    assert_eq!(slices.len(), 1, "the last two wait, since they came after the age was looked at");
    let (slice, meta) = (&slices[0].slice, &slices[0].meta);
    assert_eq!((slice.bytes.as_slice(), meta.start, meta.end), (&b"a\n"[..], 0, 4));
    let tail = slice.tail.as_ref().unwrap();
    assert_eq!((tail.length, tail.head.len()), (10 << 20, 4 << 10));
}

#[test]
fn a_message_is_a_record_or_lines_and_each_record_knows_its_message() {
    for (messages, first_records) in [(KafkaMessages::Record, [0, 1, 2]), (KafkaMessages::Lines, [0, 1, 3])] {
        let broker = calm();
        for payload in [Some(&b"a"[..]), None, Some(b"two\n\r\nlines\n"), Some(b""), Some(b"c\r\n")] {
            put(&broker, payload);
        }
        let mut feed = feed(&broker, 200);
        feed.options.rule.messages = messages;
        all(&mut feed, 0).unwrap();
        let slices = all(&mut feed, 9).unwrap();
        assert_eq!((slices.len(), slices[0].meta.start, slices[0].meta.end), (1, 0, 5));
        let slice = &slices[0].slice;
        assert_eq!(slice.bytes, b"a\ntwo\n\r\nlines\nc\n");
        let known = slice.messages.as_ref().unwrap();
        assert_eq!(first_records.map(|record| known.offset_of(record)), [0, 2, 4]);
        let ends: Option<&[u32]> = if messages == KafkaMessages::Record { Some(&[1, 13, 15]) } else { None };
        assert_eq!(known.ends(), ends);
        let records = if messages == KafkaMessages::Record { 3 } else { 4 };
        assert_eq!(known.offset_of(records - 1), 4, "the last record is the last message's");
    }
}

#[test]
fn keys_and_headers_count_for_a_slices_size() {
    let at = topic_partition(0);
    let cutting = Cutting { rule: options(1).rule, config: ConfigHash(1), slice_bytes: 100, records_max: 10 };
    let headers = [("name", Some(&b"value"[..]))];
    let message =
        |key| Message { partition: &at, offset: 3, timestamp: None, key, headers: &headers, payload: Some(b"p") };
    let mut draft = Draft::at(&at, 3);
    assert!(draft.has_room_for(&message(Some(&[b'k'; 90])), cutting));
    assert!(!draft.has_room_for(&message(Some(&[b'k'; 91])), cutting));
    draft.add(&message(Some(&[b'k'; 40])), cutting.rule, &mut Buffers::default(), Duration::ZERO);
    assert!(draft.has_room_for(&message(Some(&[b'k'; 39])), cutting), "51 and 49 of 100, a line feed among them");
    assert!(!draft.has_room_for(&message(Some(&[b'k'; 40])), cutting));
}

#[test]
fn a_successor_with_other_options_cuts_the_same_slices_again() {
    let broker = calm();
    for payload in [&b"aaaa"[..], b"bbbb", &[b'x'; 41], b"cccc", b"dddd", b"eeee"] {
        put(&broker, Some(payload));
    }
    let mut before = feed(&broker, 10);
    let given = all(&mut before, 0).unwrap();
    broker.borrow_mut().kick(1);
    let mut after = feed(&broker, 1_000);
    after.options.rule = CutRule { messages: KafkaMessages::Lines, record_bytes_max: 1_000 };
    let again = all(&mut after, 0).unwrap();
    let ranges: Vec<_> = given.iter().map(|slice| (slice.meta.start, slice.meta.end)).collect();
    assert_eq!(ranges, [(0, 3), (3, 5)], "the long one ends the first");
    assert_eq!(again.len(), 2);
    for (given, again) in given.iter().zip(&again) {
        assert_eq!(
            (&given.meta, &given.slice.bytes, &given.slice.tail),
            (&again.meta, &again.slice.bytes, &again.slice.tail)
        );
        assert!(again.in_doubt && !given.in_doubt);
    }
    assert!(matches!(all(&mut before, 0), Err(FeedError::Retry { .. })), "its session is over");
    assert!(!given[0].lease.held());
}

#[test]
fn messages_before_another_config_are_of_the_one_before() {
    let broker = calm();
    put(&broker, Some(b"a\nb"));
    let lines = CutRule { messages: KafkaMessages::Lines, record_bytes_max: 40 };
    let mut feed = feed(&broker, 100).with_rules(move |_| Ok(KafkaOptions { rule: lines, ..options(100) }));
    assert_eq!(all(&mut feed, 0).unwrap().len(), 0, "it waits for others");
    let hash = feed.set_config("another").unwrap();
    assert_eq!((hash, feed.set_config("another").unwrap()), (ConfigHash::of("another"), hash));
    put(&broker, Some(b"c\nd"));
    let before = all(&mut feed, 0).unwrap();
    let after = all(&mut feed, 5).unwrap();
    let of = |slices: &[PlannedSlice]| {
        assert_eq!(slices.len(), 1);
        let messages = slices[0].slice.messages.as_ref().unwrap();
        (slices[0].config, messages.offset_of(0), messages.ends().is_some())
    };
    assert_eq!(of(&before), (ConfigHash(1), 0, true), "one record");
    assert_eq!(of(&after), (hash, 1, false), "lines");
}

#[test]
fn a_topic_that_is_made_anew_has_slices_of_its_own() {
    let ids = [b"aaaa", b"bbbb"].map(|payload| {
        let broker = calm();
        put(&broker, Some(payload));
        let mut feed = feed(&broker, 100);
        all(&mut feed, 0).unwrap();
        let slices = all(&mut feed, 5).unwrap();
        slices.first().map(|slice| (slice.meta.start, slice.meta.end, slice.meta.id))
    });
    let [Some((0, 1, first)), Some((0, 1, second))] = ids else { panic!("{ids:?}") };
    assert_ne!(first, second);
}

#[test]
fn what_the_sink_has_whole_is_not_read_again() {
    let rule = options(1).rule;
    let end = |end| PlannedEnd { end, config: ConfigHash(1), rule, hash: 0, cut_ms: None };
    let committed = Some((2, plan::encode(2, &[end(4), end(6), end(9), end(12)])));
    let assigned = Assigned { partition: topic_partition(0), committed, start: 0 };
    let mut partition = Partition::new(assigned, Term::unbounded());
    let ids: Vec<SliceId> = partition.in_doubt().collect();
    assert_eq!(ids, [(2, 4), (4, 6), (6, 9), (9, 12)].map(|(start, end)| slice_id(&topic_partition(0), start, end, 0)));
    assert_eq!(partition.wake(Duration::ZERO), None, "the first one is read where reading begins");
    partition.settle(&|id| id == ids[1]);
    assert_eq!(partition.wake(Duration::ZERO), None);
    partition.settle(&|id| id == ids[0] || id == ids[3]);
    assert_eq!(partition.wake(Duration::ZERO), Some(6));
    assert_eq!(partition.in_doubt().collect::<Vec<_>>(), [ids[2]]);
    assert_eq!(partition.commit_text(), (6, plan::encode(6, &[end(9), end(12)])));
    partition.settle(&|id| id == ids[2]);
    assert_eq!(partition.wake(Duration::ZERO), Some(12));
    assert_eq!(partition.commit_text(), (12, String::new()));
}

#[test]
fn a_planned_slice_whose_messages_changed_or_expired_stops_its_partition() {
    for (damage, says) in [(0, "its hash is"), (1, "the partition ends at 1"), (2, "the next message behind 0 is 3")] {
        let broker = calm();
        [b"aaaa", b"bbbb", b"cccc", b"dddd"].iter().for_each(|payload| put(&broker, Some(*payload)));
        assert_eq!(all(&mut feed(&broker, 10), 0).unwrap().len(), 1);
        {
            let mut broker = broker.borrow_mut();
            broker.kick(1);
            match damage {
                0 => broker.logs[0][1].1 = Some(b"BBBB".to_vec()),
                1 => broker.logs[0].truncate(1),
                _ => drop(broker.logs[0].drain(..3)),
            }
        }
        let mut after = feed(&broker, 10);
        assert!(all(&mut after, 9).unwrap().is_empty());
        let stopped = after.status(Duration::ZERO)[0].stopped.clone().unwrap();
        assert!(stopped.contains(says) && stopped.contains("kafka:t/0"), "{stopped}");
    }
}

#[test]
fn another_programs_metadata_is_not_guessed_at() {
    let broker = calm();
    put(&broker, Some(b"aaaa"));
    broker.borrow_mut().committed[0] = Some((0, "checkpoint 7".into()));
    let mut feed = feed(&broker, 10);
    assert!(all(&mut feed, 9).unwrap().is_empty());
    assert!(feed.status(Duration::ZERO)[0].stopped.as_ref().unwrap().contains("another program"));
}
