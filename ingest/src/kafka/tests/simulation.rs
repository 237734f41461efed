//! Engines of a group that come, go, are away and give slices back, by seeds.

use std::collections::BTreeMap;

use super::super::testing::Dice;
use super::*;

/// What became of all slices: where each was, and what it held.
#[derive(Default)]
struct Table {
    slices: BTreeMap<SliceId, (usize, u64, u64, Vec<u8>)>,
}

impl Table {
    /// A slice under its token: a second time nothing happens, but it must be the same.
    fn store(&mut self, planned: &PlannedSlice) -> Result<(), String> {
        let partition = planned.meta.source.rsplit('/').next().unwrap().parse().unwrap();
        let slice = (partition, planned.meta.start, planned.meta.end, planned.slice.bytes.clone());
        match self.slices.insert(planned.meta.id, slice.clone()) {
            Some(before) if before != slice => Err(format!("{} came with other bytes", planned.meta.id)),
            _ => Ok(()),
        }
    }

    /// Every message once, in one slice.
    fn check(&self, broker: &Broker) -> Result<(), String> {
        for (partition, log) in broker.logs.iter().enumerate() {
            let mut slices: Vec<_> = self.slices.values().filter(|slice| slice.0 == partition).collect();
            slices.sort_by_key(|slice| slice.1);
            let mut next = 0;
            for (_, start, end, bytes) in slices {
                if *start != next {
                    return Err(format!(
                        "partition {partition}: a slice begins at {start}, the one before ends at {next}"
                    ));
                }
                let within = log.iter().filter(|(offset, _)| (start..end).contains(&offset));
                let wanted: Vec<u8> = within
                    .filter_map(|(_, payload)| payload.as_ref().filter(|payload| payload.len() <= 40))
                    .filter(|payload| !payload.is_empty())
                    .flat_map(|payload| [&payload[..], b"\n"].concat())
                    .collect();
                if wanted != *bytes {
                    return Err(format!("partition {partition}, {start} to {end}: other bytes"));
                }
                next = *end;
            }
            if next != broker.end(partition) {
                return Err(format!("partition {partition}: stored to {next} of {}", broker.end(partition)));
            }
        }
        Ok(())
    }
}

struct Engine {
    feed: KafkaFeed<TwinConsumer>,
    pending: Vec<PlannedSlice>,
}

struct Simulation {
    broker: Shared,
    dice: Dice,
    engines: Vec<Engine>,
    table: Table,
    now: u64,
}

impl Simulation {
    fn engine(&mut self) -> Engine {
        let slice_bytes = 10 + self.dice.below(80) as usize;
        Engine { feed: feed(&self.broker, slice_bytes), pending: Vec::new() }
    }

    fn produce(&mut self) {
        let mut broker = self.broker.borrow_mut();
        let partition = self.dice.below(broker.logs.len() as u64) as usize;
        let payload = match self.dice.below(10) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(vec![b'x'; 41]),
            length => Some(vec![b'a' + self.dice.below(26) as u8; length as usize]),
        };
        broker.produce(partition, payload);
    }

    /// A step of one engine; one whose feed ended is made anew, its inserts go on.
    fn step(&mut self, index: usize) {
        let room = Room { slices: self.dice.below(4) as usize, bytes: 1 << 20 };
        let engine = &mut self.engines[index];
        let now = Duration::from_secs(self.now);
        if self.dice.one_in(4) {
            let stored = &self.table.slices;
            // What is in the ledger is whole.
            let _ = engine.feed.settle(&|id| stored.contains_key(&id));
        }
        if engine.feed.step(now, Duration::ZERO, room, &mut engine.pending).is_err() {
            let feed = self.engine().feed;
            self.engines[index].feed = feed;
        }
    }

    fn store(&mut self, index: usize) -> Result<(), String> {
        let engine = &mut self.engines[index];
        if engine.pending.is_empty() {
            return Ok(());
        }
        let slice = engine.pending.swap_remove(self.dice.below(engine.pending.len() as u64) as usize);
        if !slice.lease.held() {
            return Ok(());
        }
        // Whoever gives a slice back may have stored it, and not know.
        let goes_back = !self.broker.borrow().calm && self.dice.one_in(4);
        if !goes_back || self.dice.one_in(4) {
            self.table.store(&slice)?;
        }
        let due = Duration::from_secs(self.now + self.dice.below(20));
        match goes_back {
            true => engine.feed.again(slice.ticket, due),
            false => engine.feed.done(slice.ticket),
        }
        .map_err(|error| error.to_string())
    }

    fn run(seed: u64, planted: Planted) -> Result<(), String> {
        let broker = Broker::new(seed ^ 0xb40c, 3, planted);
        let mut simulation =
            Simulation { broker, dice: Dice(seed), engines: Vec::new(), table: Table::default(), now: 0 };
        for _ in 0..3 {
            let engine = simulation.engine();
            simulation.engines.push(engine);
        }
        for _ in 0..600 {
            simulation.act()?;
        }
        simulation.broker.borrow_mut().calm = true;
        for _ in 0..400 {
            simulation.now += 6;
            for index in 0..simulation.engines.len() {
                simulation.step(index);
                while !simulation.engines[index].pending.is_empty() {
                    simulation.store(index)?;
                }
            }
        }
        let broker = simulation.broker.borrow();
        simulation.table.check(&broker)?;
        let ends = broker.committed.iter().enumerate();
        match ends.into_iter().find(|(p, committed)| committed.as_ref().map_or(0, |c| c.0) != broker.end(*p)) {
            Some((partition, committed)) => Err(format!("partition {partition} is committed at {committed:?}")),
            None => Ok(()),
        }
    }

    fn act(&mut self) -> Result<(), String> {
        let index = self.dice.below(self.engines.len() as u64) as usize;
        self.now += self.dice.below(2);
        match self.dice.below(40) {
            0 => {
                // A crash: nobody tells the group, which finds out later or at once.
                let member = self.engines[index].feed.consumer.member;
                self.engines[index] = self.engine();
                self.broker.borrow_mut().kick(member);
            }
            1 => {
                // An engine that is away: its session ends and it does not know.
                let mut broker = self.broker.borrow_mut();
                let members = broker.members();
                if members.is_empty() {
                    return Ok(());
                }
                let member = members[self.dice.below(members.len() as u64) as usize];
                broker.kick(member);
            }
            2 => self.broker.borrow_mut().rebalance(),
            3 | 4 => self.broker.borrow_mut().deliver_late(),
            5..=19 => self.produce(),
            20..=33 => self.step(index),
            _ => self.store(index)?,
        }
        Ok(())
    }
}

#[test]
fn every_offset_is_stored_once_whatever_the_group_does() {
    for seed in 0..1_000 {
        Simulation::run(seed, Planted::Nothing).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn the_simulation_notices_a_broker_that_does_not_keep_its_part() {
    for planted in [Planted::NoMetadata, Planted::NoFencing] {
        let noticed = (0..400).find(|&seed| Simulation::run(seed, planted).is_err());
        assert!(noticed.is_some(), "{planted:?} was not noticed in 400 seeds");
    }
}
