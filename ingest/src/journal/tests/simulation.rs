//! Random histories with crashes and faults, against a naive model that shares no code with the journal.
//!
//! The model remembers what it asked for and what was acknowledged, nothing else, and checks what every opening says.
//! `LONGSHORE_JOURNAL_SEED=7 cargo test -p longshore-ingest journal` replays one history.

use std::collections::BTreeMap;

use longshore_core::slice::SliceId;

use crate::content::Chain;
use crate::journal::testing::{FaultyDisk, Lies, Random};
use crate::journal::{
    Journal, JournaledSlice, Machine, OpenError, Options, Reached, Recovered, SourceNumber, WriteError,
};

const CONFIGS: [&str; 3] = ["version = 1", "version = 1 # b", "version = 1 # c"];

#[derive(Debug)]
struct Slice {
    cut: JournaledSlice,
    /// Order among all.
    sequence: u64,
    acknowledged: bool,
    /// `done` was called, and it returned.
    done_called: bool,
    done_recorded: bool,
}

#[derive(Debug)]
struct Source {
    identity: Vec<u8>,
    start: u64,
    slices: Vec<Slice>,
    /// The position may not go back behind this: something was synced since.
    floor: u64,
    durable: bool,
    forget_called: bool,
}

impl Source {
    /// End of the slices from the start on that are done without a gap.
    fn prefix(&self, done: impl Fn(&Slice) -> bool) -> u64 {
        let mut end = self.start;
        for slice in &self.slices {
            if !done(slice) {
                break;
            }
            end = slice.cut.end;
        }
        end
    }

    fn end(&self) -> u64 {
        self.slices.last().map_or(self.start, |slice| slice.cut.end)
    }
}

#[derive(Debug, Default)]
struct Model {
    sources: BTreeMap<SourceNumber, Source>,
    sequence: u64,
    identities: u64,
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => { if !$condition { return Err(format!($($message)+)); } };
}

impl Model {
    /// Everything recorded so far is durable now.
    fn synced(&mut self) {
        for source in self.sources.values_mut() {
            source.floor = source.prefix(|slice| slice.done_recorded);
            source.durable = true;
        }
    }

    /// Checks what was recovered, and goes on from there.
    fn recover(&mut self, recovered: &Recovered) -> Result<(), String> {
        for slice in &recovered.in_doubt {
            let text = recovered.configs.get(&slice.config).ok_or(format!("no config of {slice:?}"))?;
            ensure!(CONFIGS.contains(&text.as_str()), "config {text:?}");
        }
        let mut before = std::mem::take(&mut self.sources);
        let mut order = Vec::new();
        for known in &recovered.sources {
            let number = known.number;
            let Some(mut source) = before.remove(&number) else { return Err(format!("{known:?} came from nowhere")) };
            ensure!(known.identity[..] == source.identity[..], "{known:?} is not {:?}", source.identity);
            ensure!(*known.name == *format!("source {number}"), "{known:?} has another's name");
            let most = source.prefix(|slice| slice.done_called);
            ensure!(known.position <= most, "{known:?} is past {most}, what was done of it");
            ensure!(known.position >= source.floor, "{known:?} went back behind {}", source.floor);
            let acknowledged = source.slices.iter().rfind(|slice| slice.acknowledged);
            ensure!(
                acknowledged.is_none_or(|last| last.cut.end <= known.cut_end.position),
                "{known:?} lost {acknowledged:?}"
            );
            source.slices.retain(|slice| slice.cut.start >= known.position && slice.cut.end <= known.cut_end.position);
            let mut end = known.position;
            for slice in &mut source.slices {
                ensure!(slice.cut.start == end, "{known:?} has no slice at {end}");
                end = slice.cut.end;
                let in_doubt = recovered.in_doubt.contains(&slice.cut);
                ensure!(in_doubt || slice.done_called, "{:?} is gone and was not done", slice.cut);
                order.extend(in_doubt.then_some((slice.sequence, slice.cut)));
                (slice.acknowledged, slice.done_called, slice.done_recorded) = (true, !in_doubt, !in_doubt);
            }
            ensure!(end == known.cut_end.position, "{known:?} ends at {end}");
            (source.start, source.floor) = (known.position, known.position);
            (source.durable, source.forget_called) = (true, false);
            self.sources.insert(number, source);
        }
        order.sort_unstable_by_key(|&(sequence, _)| sequence);
        let order: Vec<JournaledSlice> = order.into_iter().map(|(_, cut)| cut).collect();
        ensure!(order == recovered.in_doubt, "in doubt {:?}, not {order:?}", recovered.in_doubt);
        let lost = before.values().find(|source| source.durable && !source.forget_called);
        ensure!(lost.is_none(), "{lost:?} is gone");
        Ok(())
    }

    fn any_source(&self, random: &mut Random) -> Option<SourceNumber> {
        let numbers: Vec<SourceNumber> = self.sources.keys().copied().collect();
        (!numbers.is_empty()).then(|| numbers[random.below(numbers.len())])
    }

    /// One random operation. False once the journal takes nothing more.
    fn step(&mut self, journal: &mut Journal<FaultyDisk>, random: &mut Random) -> Result<bool, String> {
        let outcome = match random.below(20) {
            0 | 1 => self.know(journal),
            2 => self.forget(journal, random),
            3..=10 => self.cut(journal, random),
            _ => self.done(journal, random),
        };
        match outcome {
            Ok(()) => {}
            Err(WriteError::Disk(_)) => {
                let again = journal.keep_config(CONFIGS[0]);
                ensure!(matches!(again, Err(WriteError::Poisoned { .. })), "a failure was forgotten: {again:?}");
                return Ok(false);
            }
            Err(error) => return Err(format!("refused: {error}")),
        }
        for (&number, source) in &self.sources {
            let position = source.prefix(|slice| slice.done_recorded);
            ensure!(journal.position(number) == Some(position), "source {number} is not at {position}");
        }
        Ok(true)
    }

    fn know(&mut self, journal: &mut Journal<FaultyDisk>) -> Result<(), WriteError> {
        self.identities += 1;
        let identity = self.identities.to_string().into_bytes();
        // Numbers are given in order, so the name can say which.
        let next = journal.state.snapshot();
        let super::Record::SnapshotBegin { next_source: number, .. } = next[0] else { unreachable!() };
        let known = journal.know(&identity, &format!("source {number}"), Reached::at(100));
        let source =
            Source { identity, start: 100, slices: Vec::new(), floor: 100, durable: false, forget_called: false };
        self.sources.insert(SourceNumber(number), source);
        assert_eq!(known?, SourceNumber(number));
        Ok(())
    }

    fn forget(&mut self, journal: &mut Journal<FaultyDisk>, random: &mut Random) -> Result<(), WriteError> {
        let Some(number) = self.any_source(random) else { return Ok(()) };
        self.sources.get_mut(&number).expect("it is one of them").forget_called = true;
        let given_up = journal.forget(number)?;
        let source = self.sources.remove(&number).expect("it is one of them");
        let in_doubt: Vec<_> = source.slices.iter().filter(|slice| !slice.done_recorded).map(|s| s.cut).collect();
        assert_eq!(given_up, in_doubt);
        self.synced();
        Ok(())
    }

    fn cut(&mut self, journal: &mut Journal<FaultyDisk>, random: &mut Random) -> Result<(), WriteError> {
        let config = journal.keep_config(CONFIGS[random.below(CONFIGS.len())])?;
        let mut cuts = Vec::new();
        for _ in 0..=random.below(4) {
            let Some(number) = self.any_source(random) else { break };
            let source = self.sources.get_mut(&number).expect("it is one of them");
            let start = source.end();
            let end = start + 1 + random.below(1_000) as u64;
            let records = (!random.once_in(3)).then(|| random.word() >> 1);
            let (slice, after) = (SliceId(random.word()), Chain(random.word()));
            let before = source.slices.last().map_or_else(Chain::default, |last| last.cut.after);
            let cut = JournaledSlice {
                slice,
                source: number,
                start,
                end,
                before,
                after,
                config,
                records,
                cut_ms: after.0.cast_signed(),
            };
            self.sequence += 1;
            let sequence = self.sequence;
            let [acknowledged, done_called, done_recorded] = [false; 3];
            source.slices.push(Slice { cut, sequence, acknowledged, done_called, done_recorded });
            cuts.push(cut);
        }
        journal.cut(&cuts)?;
        if !cuts.is_empty() {
            self.sources.values_mut().flat_map(|source| &mut source.slices).for_each(|s| s.acknowledged = true);
            self.synced();
        }
        Ok(())
    }

    fn done(&mut self, journal: &mut Journal<FaultyDisk>, random: &mut Random) -> Result<(), WriteError> {
        let Some(number) = self.any_source(random) else { return Ok(()) };
        let source = self.sources.get_mut(&number).expect("it is one of them");
        let mut open: Vec<&mut Slice> = source.slices.iter_mut().filter(|slice| !slice.done_recorded).collect();
        if open.is_empty() {
            return Ok(());
        }
        // Mostly in order.
        let at = if random.once_in(3) { random.below(open.len()) } else { 0 };
        open[at].done_called = true;
        journal.done(&open[at].cut)?;
        open[at].done_recorded = true;
        Ok(())
    }
}

/// What a history had in it, so that a test can tell that it tested something.
#[derive(Debug, Default)]
struct Seen {
    crashes: u64,
    faults: u64,
    torn: u64,
    compactions: u64,
    in_doubt: u64,
}

/// Opens the journal, whatever dies meanwhile.
fn open(
    disk: &FaultyDisk,
    options: Options,
    random: &mut Random,
    seen: &mut Seen,
) -> Result<(Journal<FaultyDisk>, Recovered), String> {
    for attempt in 0.. {
        match attempt < 4 && random.once_in(3) {
            true => disk.plan(Some(random.below(30) as u64), random.once_in(2).then_some(10)),
            false => disk.plan(None, None),
        }
        match Journal::open_on(disk.clone(), options) {
            Ok(opened) => return Ok(opened),
            Err(OpenError::Disk(_)) if disk.crashed() => {
                seen.crashes += 1;
                disk.restart();
            }
            Err(OpenError::Disk(error)) if attempt < 4 => {
                seen.faults += 1;
                drop(error);
            }
            Err(error) => return Err(format!("cannot be opened: {error}")),
        }
    }
    unreachable!("without faults it opens or fails")
}

/// A history. An error says which promise was broken.
fn simulate(seed: u64, lies: Lies) -> Result<Seen, String> {
    let mut random = Random(seed ^ 0x6a09_e667_f3bc_c908);
    let disk = FaultyDisk::new(seed, lies);
    let mut options = Options::new(Machine::named("simulation"));
    options.segment_bytes = 300 + random.below(3_000) as u64;
    let (mut model, mut seen) = (Model::default(), Seen::default());
    for _ in 0..8 {
        let (mut journal, recovered) = open(&disk, options, &mut random, &mut seen)?;
        model.recover(&recovered)?;
        seen.torn += u64::from(recovered.torn.is_some());
        seen.in_doubt += recovered.in_doubt.len() as u64;
        let segment = journal.segment();
        let crash_in = random.below(200) as u64;
        disk.plan((!random.once_in(4)).then_some(crash_in), random.once_in(2).then(|| 20 + random.below(100)));
        let mut alive = true;
        for _ in 0..random.below(80) {
            alive = model.step(&mut journal, &mut random)?;
            if !alive {
                break;
            }
        }
        seen.compactions += journal.segment() - segment;
        match disk.crashed() {
            true => seen.crashes += 1,
            false => seen.faults += u64::from(!alive),
        }
        drop(journal);
        // A process that ends leaves what it wrote to the system; a machine that dies does not.
        if disk.crashed() || random.once_in(3) {
            disk.restart();
        }
    }
    Ok(seen)
}

#[test]
fn nothing_acknowledged_is_lost_and_no_position_is_ahead_whatever_dies() {
    let seeds = match std::env::var("LONGSHORE_JOURNAL_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("LONGSHORE_JOURNAL_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..1_000,
    };
    let mut all = Seen::default();
    for seed in seeds.clone() {
        match simulate(seed, Lies::default()) {
            Ok(seen) => {
                all.crashes += seen.crashes;
                all.faults += seen.faults;
                all.torn += seen.torn;
                all.compactions += seen.compactions;
                all.in_doubt += seen.in_doubt;
            }
            Err(broken) => panic!("LONGSHORE_JOURNAL_SEED={seed} replays it: {broken}"),
        }
    }
    if seeds.end - seeds.start > 1 {
        println!("{all:?}");
        assert!(all.crashes > 1_000 && all.faults > 500 && all.torn > 300, "{all:?}");
        assert!(all.compactions > 1_000 && all.in_doubt > 1_000, "{all:?}");
    }
}

/// Seeds of the first hundred in which a promise is broken.
fn broken(lies: Lies) -> usize {
    (0..100).filter(|&seed| simulate(seed, lies).is_err()).count()
}

#[test]
fn the_simulation_notices_a_cut_that_is_not_synced() {
    assert!(broken(Lies { file_sync: true, dir_sync: false }) > 0);
}

#[test]
fn the_simulation_notices_segments_that_are_removed_before_the_directory_is_synced() {
    assert!(broken(Lies { file_sync: false, dir_sync: true }) > 0);
}
