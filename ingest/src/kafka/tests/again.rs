//! Slices that go back to their feed.

use longshore_core::limits::KAFKA_PLAN_SLICES_MAX;

use super::*;
use crate::feed::Ticket;

/// A feed that gave away slices of two messages of four bytes each, and those.
fn given(broker: &Shared, slices: usize) -> (KafkaFeed<TwinConsumer>, Vec<PlannedSlice>) {
    (0..2 * slices).for_each(|number| put_number(broker, number));
    let mut feed = feed(broker, 10);
    let mut given = all(&mut feed, 0).unwrap();
    given.extend(all(&mut feed, 5).unwrap());
    assert_eq!(ranges(&given), (0..slices as u64).map(|slice| (2 * slice, 2 * slice + 2)).collect::<Vec<_>>());
    (feed, given)
}

/// Message `number` says so, in four bytes.
fn put_number(broker: &Shared, number: usize) {
    put(broker, Some(format!("{number:04}").as_bytes()));
}

fn ranges(slices: &[PlannedSlice]) -> Vec<(u64, u64)> {
    slices.iter().map(|slice| (slice.meta.start, slice.meta.end)).collect()
}

/// The group's offset, and the ends of the slices planned behind it.
fn committed(broker: &Shared) -> (u64, Vec<u64>) {
    let (offset, plan) = broker.borrow().committed[0].clone().expect("something is committed");
    (offset, plan::decode(offset, &plan).unwrap().iter().map(|planned| planned.end).collect())
}

#[track_caller]
fn assert_same_again(before: &PlannedSlice, again: &PlannedSlice) {
    assert_eq!((&before.meta, &before.slice.bytes), (&again.meta, &again.slice.bytes));
    assert_eq!(before.slice.bytes.len(), 10);
    assert!(again.in_doubt && again.lease.held());
    assert_ne!(before.ticket, again.ticket);
    assert_eq!((before.config, before.since), (again.config, again.since));
}

#[test]
fn one_in_the_middle_is_read_again_while_later_ones_are_stored_and_new_ones_cut() {
    let broker = calm();
    let (mut feed, slices) = given(&broker, 3);
    feed.again(slices[1].ticket, Duration::from_secs(9)).unwrap();
    feed.done(slices[0].ticket).unwrap();
    feed.done(slices[2].ticket).unwrap();
    (6..9).for_each(|number| put_number(&broker, number));
    let new = all(&mut feed, 8).unwrap();
    assert_eq!(ranges(&new), [(6, 8)], "nothing is due, and one message waits for others");
    feed.done(new[0].ticket).unwrap();
    assert_eq!(feed.in_doubt(), [slices[1].meta.id]);

    let again = all(&mut feed, 9).unwrap();
    assert_eq!(ranges(&again), [(2, 4)]);
    assert_same_again(&slices[1], &again[0]);
    assert_eq!(committed(&broker), (2, vec![4, 6, 8]), "what is done behind it waits for it");
    assert!(feed.in_doubt().is_empty());
    feed.done(slices[1].ticket).unwrap();
    assert_eq!(all(&mut feed, 9).unwrap().len(), 0);
    assert_eq!(committed(&broker).0, 2, "the ticket from before is nobody's");

    feed.done(again[0].ticket).unwrap();
    put_number(&broker, 9);
    let rest = all(&mut feed, 13).unwrap();
    assert_eq!(ranges(&rest), [(8, 10)], "what was read before it was kept, and is as old as it is");
    assert_eq!(rest[0].slice.bytes, b"0008\n0009\n");
    feed.done(rest[0].ticket).unwrap();
    all(&mut feed, 13).unwrap();
    assert_eq!(committed(&broker), (10, Vec::new()));
}

#[test]
fn several_are_read_again_each_when_it_is_due_and_as_often_as_they_go_back() {
    let broker = calm();
    let (mut feed, slices) = given(&broker, 5);
    for (slice, due) in [(4, 20), (0, 20), (2, 30)] {
        feed.again(slices[slice].ticket, Duration::from_secs(due)).unwrap();
    }
    assert!(all(&mut feed, 19).unwrap().is_empty());
    let mut twice = all(&mut feed, 20).unwrap();
    twice.sort_by_key(|slice| slice.meta.start);
    assert_eq!(ranges(&twice), [(0, 2), (8, 10)]);
    assert_same_again(&slices[0], &twice[0]);
    assert_same_again(&slices[4], &twice[1]);

    feed.again(twice[0].ticket, Duration::from_secs(30)).unwrap();
    let thrice = all(&mut feed, 30).unwrap();
    assert_eq!(ranges(&thrice), [(0, 2), (4, 6)]);
    assert_same_again(&slices[0], &thrice[0]);
    assert_same_again(&slices[2], &thrice[1]);
    for slice in [&slices[1], &slices[3], &twice[1], &thrice[0], &thrice[1]] {
        assert_eq!(committed(&broker).0, 0);
        feed.done(slice.ticket).unwrap();
    }
    all(&mut feed, 30).unwrap();
    assert_eq!(committed(&broker), (10, Vec::new()));
}

#[test]
fn a_successor_reads_again_what_went_back_and_the_one_before_does_not() {
    let broker = calm();
    let (mut before, slices) = given(&broker, 3);
    before.again(slices[1].ticket, Duration::from_secs(9)).unwrap();
    before.done(slices[0].ticket).unwrap();
    before.done(slices[2].ticket).unwrap();
    all(&mut before, 8).unwrap();
    let mut after = feed(&broker, 1_000);
    // Both are members, and the group decides.
    while !before.status(Duration::ZERO).is_empty() {
        broker.borrow_mut().rebalance();
        assert!(all(&mut before, 8).unwrap().is_empty());
    }
    assert!(!slices[1].lease.held());
    assert_eq!(committed(&broker), (2, vec![4, 6]));
    // What an engine says of slices that are not its own any more is not heard.
    before.again(slices[1].ticket, Duration::ZERO).unwrap();
    before.done(slices[2].ticket).unwrap();
    assert!(all(&mut before, 1_000).unwrap().is_empty());

    let again = all(&mut after, 8).unwrap();
    assert_eq!(ranges(&again), [(2, 4), (4, 6)]);
    for (before, again) in slices[1..].iter().zip(&again) {
        assert_eq!((&before.meta, &before.slice.bytes), (&again.meta, &again.slice.bytes));
        assert!(again.in_doubt && again.lease.held());
    }
}

/// A plan that is full because its first slice went back: what is whole behind it cannot be given away, and must not keep
/// that slice from being read, however little may be held.
#[test]
fn a_full_plan_whose_first_slice_went_back_goes_on() {
    let broker = calm();
    let count = KAFKA_PLAN_SLICES_MAX + 3;
    (0..count).for_each(|number| put_number(&broker, number));
    let mut feed = feed(&broker, 5);
    let slices = all(&mut feed, 0).unwrap();
    assert_eq!(slices.len(), KAFKA_PLAN_SLICES_MAX);
    feed.options.held_bytes_max = 0;
    slices[1..].iter().for_each(|slice| feed.done(slice.ticket).unwrap());
    feed.again(slices[0].ticket, Duration::from_secs(7)).unwrap();
    assert!(all(&mut feed, 6).unwrap().is_empty());
    let again = all(&mut feed, 7).unwrap();
    assert_eq!(ranges(&again), [(0, 1)]);
    assert_eq!(again[0].slice.bytes, b"0000\n");
    feed.done(again[0].ticket).unwrap();
    let rest = all(&mut feed, 20).unwrap();
    assert_eq!(ranges(&rest), (KAFKA_PLAN_SLICES_MAX as u64..count as u64).map(|at| (at, at + 1)).collect::<Vec<_>>());
}

#[test]
fn one_that_cannot_be_read_again_stops_its_partition_and_nothing_is_committed_over_it() {
    let broker = calm();
    let (mut feed, slices) = given(&broker, 3);
    feed.again(slices[1].ticket, Duration::from_secs(9)).unwrap();
    broker.borrow_mut().logs[0].drain(..3);
    [0, 2].iter().for_each(|&slice| feed.done(slices[slice].ticket).unwrap());
    (6..9).for_each(|number| put_number(&broker, number));
    assert_eq!(ranges(&all(&mut feed, 8).unwrap()), [(6, 8)]);
    assert!(all(&mut feed, 20).unwrap().is_empty());
    let stopped = feed.status(Duration::ZERO)[0].stopped.clone().unwrap();
    assert!(stopped.contains("offsets 2 to 4") && stopped.contains("its hash is"), "{stopped}");
    assert_eq!(committed(&broker), (2, vec![4, 6, 8]));
}

#[test]
fn one_that_goes_back_while_the_feed_drains_is_in_doubt() {
    let broker = calm();
    let (mut feed, slices) = given(&broker, 2);
    feed.drain();
    feed.again(slices[0].ticket, Duration::ZERO).unwrap();
    feed.done(slices[1].ticket).unwrap();
    assert!(all(&mut feed, 20).unwrap().is_empty());
    assert_eq!(feed.in_doubt(), [slices[0].meta.id]);
    feed.close().unwrap();
    assert_eq!(committed(&broker), (0, vec![2, 4]));
}

#[test]
fn one_that_turns_out_to_be_stored_is_not_read_again() {
    let broker = calm();
    let (mut feed, slices) = given(&broker, 3);
    slices.iter().for_each(|slice| feed.again(slice.ticket, Duration::from_secs(9)).unwrap());
    feed.settle(&|id| id != slices[1].meta.id).unwrap();
    let again = all(&mut feed, 9).unwrap();
    assert_eq!(ranges(&again), [(2, 4)]);
    assert_same_again(&slices[1], &again[0]);
    feed.done(again[0].ticket).unwrap();
    all(&mut feed, 9).unwrap();
    assert_eq!(committed(&broker), (6, Vec::new()));
}

/// What comes between the wish to read elsewhere and its fulfilment is passed over. Once the wish is gone it is missing.
#[test]
fn messages_that_were_passed_over_are_read_even_if_nothing_has_to_be_read_again_any_more() {
    let at = topic_partition(0);
    let cutting = Cutting { rule: options(1).rule, config: ConfigHash(1), slice_bytes: 1, records_max: 1 };
    let assigned = Assigned { partition: at.clone(), committed: None, start: 0 };
    let mut partition = Partition::new(assigned, Term::unbounded());
    let read = |partition: &mut Partition, offset| {
        let message =
            Message { partition: &at, offset, timestamp: None, key: None, headers: &[], payload: Some(b"aaaa") };
        partition.message(&message, Duration::ZERO, cutting, &mut Buffers::default());
    };
    (0..3).for_each(|offset| read(&mut partition, offset));
    let slices = [1, 2].map(|ticket| {
        partition.plan_next(0).unwrap().unwrap();
        partition.give(Ticket(ticket), false).meta
    });
    assert_eq!(slices.each_ref().map(|meta| (meta.start, meta.end)), [(0, 1), (1, 2)]);
    // The second one is read again while the first one becomes due.
    partition.again(Ticket(2), Duration::from_secs(1));
    assert_eq!(partition.wake(Duration::from_secs(1)), Some(1));
    partition.again(Ticket(1), Duration::from_secs(2));
    assert_eq!(partition.wake(Duration::from_secs(2)), None);
    (1..4).for_each(|offset| read(&mut partition, offset));
    partition.settle(&|id| id == slices[0].id);
    assert_eq!(partition.wake(Duration::from_secs(3)), Some(3));
}
