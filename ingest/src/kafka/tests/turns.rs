//! Which slice is given away when there is room, and how large it is by then.

use super::*;

fn produce(broker: &Shared, partition: usize, payload: &[u8]) {
    let mut broker = broker.borrow_mut();
    let offset = broker.end(partition);
    broker.logs[partition].push((offset, Some(payload.to_vec())));
}

/// One step with room for so many slices.
fn step(feed: &mut KafkaFeed<TwinConsumer>, seconds: u64, slices: usize) -> Vec<PlannedSlice> {
    let mut planned = Vec::new();
    let room = Room { slices, bytes: 1 << 20 };
    feed.step(Duration::from_secs(seconds), Duration::ZERO, room, &mut planned).unwrap();
    planned
}

fn of_partitions(partitions: usize) -> Shared {
    let broker = Broker::new(1, partitions, Planted::Nothing);
    broker.borrow_mut().calm = true;
    broker
}

#[test]
fn a_draft_that_is_old_grows_until_there_is_room_for_it_or_it_is_full() {
    for (messages, slices) in [(9, vec![(0, 9)]), (30, vec![(0, 20), (20, 30)])] {
        let broker = of_partitions(1);
        let mut feed = feed(&broker, 100);
        feed.options.held_bytes_max = 1 << 20;
        for second in 0..messages {
            produce(&broker, 0, b"aaaa");
            assert!(step(&mut feed, second, 0).is_empty());
        }
        let lag = feed.status(Duration::from_secs(messages))[0].lag;
        assert_eq!(lag, Duration::from_secs(messages), "the first one has waited since");
        let given = all(&mut feed, 60).unwrap();
        assert_eq!(given.iter().map(|slice| (slice.meta.start, slice.meta.end)).collect::<Vec<_>>(), slices);
        assert_eq!(given[0].since, Duration::ZERO);
    }
}

#[test]
fn the_partition_that_waited_longest_is_served_first() {
    let broker = of_partitions(3);
    let mut feed = feed(&broker, 100);
    feed.options.held_bytes_max = 1 << 20;
    for (second, partition) in [2, 0, 1].into_iter().enumerate() {
        produce(&broker, partition, b"aaaa");
        step(&mut feed, second as u64, 0);
    }
    // A full one has to wait for its turn as well.
    (0..30).for_each(|_| produce(&broker, 1, b"aaaa"));
    (3..8).for_each(|second| assert!(step(&mut feed, second, 0).is_empty()));
    let served: Vec<_> = (0..3).flat_map(|_| step(&mut feed, 8, 1)).map(|slice| slice.meta.source).collect();
    assert_eq!(served.iter().map(|source| &**source).collect::<Vec<_>>(), ["kafka:t/2", "kafka:t/0", "kafka:t/1"]);
}

#[test]
fn what_is_in_doubt_is_served_before_what_is_new() {
    let broker = of_partitions(2);
    produce(&broker, 0, b"aaaa");
    let mut feed = feed(&broker, 100);
    step(&mut feed, 0, 0);
    let first = step(&mut feed, 5, 8);
    produce(&broker, 0, b"bbbb");
    produce(&broker, 1, b"cccc");
    step(&mut feed, 5, 0);
    feed.again(first[0].ticket, Duration::from_secs(60)).unwrap();
    step(&mut feed, 60, 0);
    let served: Vec<_> = (0..3).flat_map(|_| step(&mut feed, 60, 1)).collect();
    let found: Vec<_> = served.iter().map(|slice| (&*slice.meta.source, slice.meta.start, slice.in_doubt)).collect();
    assert_eq!(found, [("kafka:t/0", 0, true), ("kafka:t/0", 1, false), ("kafka:t/1", 0, false)]);
}

#[test]
fn when_too_much_is_held_the_largest_goes_however_young_it_is() {
    let broker = of_partitions(3);
    let mut feed = feed(&broker, 1_000);
    feed.options.held_bytes_max = 1 << 20;
    (0..6).for_each(|_| produce(&broker, 0, b"aaaa"));
    (0..9).for_each(|_| produce(&broker, 1, b"aaaa"));
    (0..3).for_each(|_| produce(&broker, 2, b"aaaa"));
    (0..20).for_each(|_| assert!(step(&mut feed, 0, 8).is_empty(), "none is old"));
    let held = feed.status(Duration::ZERO).iter().map(|status| status.lag_bytes).sum::<u64>();
    feed.options.held_bytes_max = held as usize - 1;
    let given = step(&mut feed, 0, 8);
    assert_eq!((given.len(), &*given[0].meta.source, given[0].meta.end), (1, "kafka:t/1", 9));
}

/// 64 partitions with a message a second each, and a sink that stores one slice a second: a slice has what came in the
/// minute since its partition's turn before.
#[test]
fn many_partitions_over_a_slow_sink_make_no_tiny_slices() {
    const PARTITIONS: usize = 64;
    let broker = of_partitions(PARTITIONS);
    let mut feed = feed(&broker, 1_000);
    feed.options.held_bytes_max = 1 << 20;
    let mut given = Vec::new();
    for second in 0..10 * PARTITIONS as u64 {
        (0..PARTITIONS).for_each(|partition| produce(&broker, partition, b"aaaa"));
        for slice in step(&mut feed, second, 1) {
            feed.done(slice.ticket).unwrap();
            given.push(slice.meta);
        }
    }
    assert_eq!(given.len(), 10 * PARTITIONS - 5, "one a second, once the first messages were old");
    let mut sources: Vec<_> = given[..PARTITIONS].iter().map(|meta| &meta.source).collect();
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len(), PARTITIONS, "each has its turn before one has its next");
    let messages: Vec<u64> = given[PARTITIONS..].iter().map(|meta| meta.end - meta.start).collect();
    assert!(messages.iter().all(|&count| count == 64), "{messages:?}");
}

/// 32 partitions of which each has five slices, and room for three slices in memory: if all were read alike, each would have
/// two or three messages before there is too much.
#[test]
fn many_partitions_that_are_behind_do_not_share_what_may_be_held() {
    const PARTITIONS: usize = 32;
    let broker = of_partitions(PARTITIONS);
    (0..PARTITIONS).for_each(|partition| (0..100).for_each(|_| produce(&broker, partition, b"aaaa")));
    let mut feed = feed(&broker, 100);
    // What is known of a message is more than its four bytes.
    feed.options.held_bytes_max = 3 * 20 * 50;
    let mut messages = vec![Vec::new(); PARTITIONS];
    for second in 0..3_000 {
        for slice in step(&mut feed, second, 1) {
            feed.done(slice.ticket).unwrap();
            let partition: usize = slice.meta.source.rsplit('/').next().unwrap().parse().unwrap();
            messages[partition].push(slice.meta.end - slice.meta.start);
        }
    }
    let slices: usize = messages.iter().map(Vec::len).sum();
    assert!(messages.iter().all(|of| of.iter().sum::<u64>() == 100), "{messages:?}");
    assert!(slices <= PARTITIONS * 7, "{slices} slices, where {} would be full: {messages:?}", PARTITIONS * 5);
}

/// A sink that is away: what is held has its bound, and everything is paused there until it is back.
#[test]
fn what_is_held_while_nothing_can_be_stored_is_bounded() {
    const PARTITIONS: usize = 16;
    let broker = of_partitions(PARTITIONS);
    let mut feed = feed(&broker, 100);
    for second in 0..100 {
        (0..PARTITIONS).for_each(|partition| (0..3).for_each(|_| produce(&broker, partition, b"aaaa")));
        assert!(step(&mut feed, second, 0).is_empty());
        // A step may take six messages a partition before it sees that it is too much.
        let bytes: u64 = feed.status(Duration::ZERO).iter().map(|status| status.lag_bytes).sum();
        let message = 64;
        assert!(bytes <= 400 + 6 * PARTITIONS as u64 * message, "{bytes} bytes are held");
    }
    let mut messages = 0;
    for second in 100..2_000 {
        for slice in step(&mut feed, second, 8) {
            feed.done(slice.ticket).unwrap();
            messages += slice.meta.end - slice.meta.start;
        }
    }
    assert_eq!(messages, 100 * PARTITIONS as u64 * 3);
}
