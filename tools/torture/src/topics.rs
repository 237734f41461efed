//! The same about topics: producers, a consumer group whose engines come, go, die and are away, and the server that all of
//! them store in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_ingest::feed::Term;
use longshore_ingest::journal::ConfigHash;
use longshore_ingest::kafka::testing::{Broker, Planted, Shared, TwinConsumer, topic_partition};
use longshore_ingest::kafka::{Consumer as _, KafkaFeed};
use xxhash_rust::xxh3::xxh3_64;

use crate::check::{Books, check};
use crate::clickhouse::{Connection, LedgerRow, Server};
use crate::engine::{Bug, Configs, Ended, Engine, Plans, topic_options};
use crate::env::{Env, Life, lock};
use crate::records::{Common, Fate, Placed, Record, Setup};
use crate::simulation::{CLOCKS_MS, Options, Report, WINDOW};

/// Partitions of the topic.
const PARTITIONS: usize = 3;
/// Engines at most.
const ENGINES: usize = 3;
/// Steps with faults.
const STEPS: usize = 220;
/// Steps that whatever is left must be stored in once faults are over.
const DRAIN_STEPS: usize = 5_000;

/// An engine, and what the group knows of it.
struct Member {
    engine: Engine<KafkaFeed<TwinConsumer>>,
    life: Life,
    number: u64,
    term: Term,
}

struct World {
    env: Env,
    bug: Option<Bug>,
    common: Common,
    server: Server,
    broker: Shared,
    plans: Plans,
    configs: Configs,
    setup: Setup,
    members: Vec<Member>,
    /// Members that died, of which the group does not know yet.
    gone: Vec<u64>,
    /// Records by partition, with their offsets.
    written: Vec<Vec<Placed>>,
    records: u64,
}

/// Runs a seed.
pub(crate) fn simulate(seed: u64, options: Options) -> Report {
    let env = Env::new(seed, options.verbose);
    let common = Common { dedup: env.once_in(2), unplanned: false };
    let window = if options.bug == Some(Bug::WindowTooSmall) { 2 } else { WINDOW };
    let mut world = World {
        bug: options.bug,
        common,
        server: Server::new(env.clone(), window),
        broker: Broker::new(env.word(), PARTITIONS, Planted::Nothing),
        plans: Plans::default(),
        configs: Arc::new(Mutex::new(BTreeMap::<ConfigHash, String>::new())),
        setup: Setup::Quiet,
        members: Vec::new(),
        gone: Vec::new(),
        written: vec![Vec::new(); PARTITIONS],
        records: 0,
        env,
    };
    for _ in 0..STEPS {
        world.step();
    }
    let drained = world.drain();
    let ends: Vec<u64> = (0..PARTITIONS).map(|partition| world.broker.borrow().end(partition)).collect();
    let books =
        Books { written: &world.written, ends: &ends, source: &partition_of, plans: &lock(&world.plans), common };
    let mut findings = check(&world.server, &books);
    findings.stuck = !drained;
    let (trace, faults) = (world.env.trace(), world.env.faults());
    Report { trace, faults, records: world.records, findings }
}

/// The partition of a slice, whose head is the hash of its name.
fn partition_of(row: &LedgerRow) -> usize {
    let is = |partition: &usize| xxh3_64(topic_partition(*partition).to_string().as_bytes()) == row.head;
    (0..PARTITIONS).find(is).unwrap_or(usize::MAX)
}

impl World {
    fn step(&mut self) {
        self.env.pass(Duration::from_millis(self.env.below(400) as u64));
        match self.env.below(48) {
            0..=8 => self.produce(),
            9..=18 => self.with_member(Engine::read),
            19..=32 => self.with_member(Engine::store),
            33..=36 => self.server.go_on(),
            37 => {
                if self.env.fault("server killed", 3) {
                    self.server.kill();
                }
            }
            38 if self.env.once_in(3) => self.env.set_clock(*self.env.pick(&CLOCKS_MS)),
            38 => self.env.pass(Duration::from_secs(self.env.below(100) as u64)),
            39 => {
                self.setup = *self.env.pick(&Setup::ALL);
                let text = self.setup.text(self.common);
                self.with_member(|engine| engine.reload(&text));
            }
            40 if self.env.once_in(2) => self.server.constrain(!self.server.is_constrained()),
            40 => self.die("the engine is killed"),
            41 if self.env.once_in(2) => self.goes_away(),
            42 => self.hears_of_the_gone(),
            43 => {
                self.env.count("the group is balanced anew");
                self.broker.borrow_mut().rebalance();
            }
            44 => self.broker.borrow_mut().deliver_late(),
            45 if self.env.once_in(3) => {
                self.env.count("the server's machine loses power");
                self.server.lose_power();
            }
            _ => self.server.start(),
        }
    }

    /// Some messages of a partition: records, some with line ends in them, and what is none.
    fn produce(&mut self) {
        let partition = self.env.below(PARTITIONS);
        for _ in 0..self.env.below(6) {
            if self.env.once_in(10) {
                let nothing = if self.env.once_in(2) { None } else { Some(Vec::new()) };
                self.broker.borrow_mut().produce(partition, nothing);
                continue;
            }
            let mut record = self.copy().unwrap_or_else(|| Record::generate(self.records, &self.env));
            self.records += 1;
            if matches!(record.fate, Fate::Event(_)) && self.env.once_in(4) {
                record.line.insert_str(record.line.len() - 1, "\r\n");
            }
            let mut broker = self.broker.borrow_mut();
            broker.produce(partition, Some(record.line.clone().into_bytes()));
            let end = broker.end(partition);
            self.written[partition].push(Placed { start: end - 1, end, record });
        }
    }

    /// In some runs now and then an event that was sent before, to whatever partition.
    fn copy(&self) -> Option<Record> {
        if !self.common.dedup || !self.env.once_in(4) {
            return None;
        }
        let sent = &self.written[self.env.below(PARTITIONS)];
        let record = (!sent.is_empty()).then(|| sent[self.env.below(sent.len())].record.clone())?;
        matches!(record.fate, Fate::Event(_)).then_some(record)
    }

    /// Lets an engine do something; sometimes starts another one first.
    fn with_member(&mut self, act: impl FnOnce(&mut Engine<KafkaFeed<TwinConsumer>>) -> Result<(), Ended>) {
        if self.members.is_empty() || (self.members.len() < ENGINES && self.env.once_in(8)) {
            self.join();
        }
        if self.members.is_empty() {
            return;
        }
        let at = self.env.below(self.members.len());
        let outcome = act(&mut self.members[at].engine);
        if self.members[at].life.over() {
            self.lose(at, "the engine died in a call");
        } else if outcome.is_err() {
            // Its feed has left the group.
            self.env.count("an engine gave up and is made anew");
            self.members.swap_remove(at);
        }
    }

    fn join(&mut self) {
        let dies = !self.env.is_calm() && !self.env.once_in(3);
        let life = Life::new(dies.then(|| 1 + self.env.below(80) as u64));
        let consumer = TwinConsumer::join(&self.broker);
        let (number, term) = (consumer.member, consumer.term());
        let text = self.setup.text(self.common);
        let feed = KafkaFeed::new(consumer, topic_options(), ConfigHash::of(&text)).with_clock(self.env.wall_clock());
        let connection = Connection { server: self.server.clone(), life: life.clone(), bug: self.bug };
        let kept = (self.plans.clone(), self.configs.clone());
        self.env.note(format_args!("engine {number} joins"));
        match Engine::over(&self.env, feed, kept, connection, &text, self.bug) {
            Ok(engine) => self.members.push(Member { engine, life, number, term }),
            Err(Ended) => self.gone.push(number),
        }
    }

    fn die(&mut self, how: &'static str) {
        if !self.members.is_empty() {
            let at = self.env.below(self.members.len());
            self.lose(at, how);
        }
    }

    /// An engine is gone, and nobody tells the group.
    fn lose(&mut self, at: usize, how: &'static str) {
        self.env.count(how);
        let member = self.members.swap_remove(at);
        self.gone.push(member.number);
    }

    /// An engine is away for so long that its session ends, and then goes on as if nothing were.
    fn goes_away(&mut self) {
        if self.members.is_empty() {
            return;
        }
        self.env.count("an engine is away");
        let at = self.env.below(self.members.len());
        self.members[at].term.end();
        self.broker.borrow_mut().kick(self.members[at].number);
    }

    fn hears_of_the_gone(&mut self) {
        for member in std::mem::take(&mut self.gone) {
            self.broker.borrow_mut().kick(member);
        }
    }

    /// No more faults: everything has to be stored now. False if it is not.
    fn drain(&mut self) -> bool {
        self.env.note(format_args!("faults are over"));
        self.env.calm();
        self.broker.borrow_mut().calm = true;
        while !self.members.is_empty() {
            self.die("the engine is stopped");
        }
        self.hears_of_the_gone();
        self.server.start();
        for _ in 0..DRAIN_STEPS {
            self.env.pass(Duration::from_millis(500));
            self.with_member(Engine::read);
            self.with_member(Engine::store);
            self.server.go_on();
            let broker = self.broker.borrow();
            let stored = |partition: usize| broker.committed[partition].as_ref().map_or(0, |(offset, _)| *offset);
            if (0..PARTITIONS).all(|partition| stored(partition) == broker.end(partition)) {
                self.server.finish();
                return true;
            }
        }
        false
    }
}
