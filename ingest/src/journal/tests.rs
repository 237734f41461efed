//! Tests of the journal.

mod damage;
mod real;
mod simulation;

use longshore_core::limits::{JOURNAL_IDENTITY_BYTES_MAX, JOURNAL_SLICES_MAX};
use longshore_core::slice::SliceId;

use super::format::Record;
use super::testing::{FaultyDisk, Lies};
use super::{
    ConfigHash, Journal, JournaledSlice, KnownSource, Machine, Options, Reached, Refusal, SourceNumber, WriteError,
};
use crate::content::Chain;

const CONFIG: &str = "version = 1\n";

fn options() -> Options {
    Options::new(Machine::named("test"))
}

fn open(disk: &FaultyDisk) -> Journal<FaultyDisk> {
    Journal::open_on(disk.clone(), options()).expect("it opens").0
}

/// Slice `start..end` of a source, with its own id.
fn slice(source: u32, start: u64, end: u64) -> JournaledSlice {
    JournaledSlice {
        slice: SliceId(u64::from(source) << 32 | start),
        source: SourceNumber(source),
        start,
        end,
        before: Chain(7 * start),
        after: Chain(7 * end),
        config: ConfigHash::of(CONFIG),
        records: Some(3),
        cut_ms: -5,
    }
}

/// A journal with source 0 from 0 and source 1 from 50.
fn with_two_sources(disk: &FaultyDisk) -> Journal<FaultyDisk> {
    let mut journal = open(disk);
    journal.keep_config(CONFIG).unwrap();
    assert_eq!(journal.know(b"a", "a.log", Reached::at(0)).unwrap(), SourceNumber(0));
    assert_eq!(journal.know(b"b", "b.log", Reached::at(50)).unwrap(), SourceNumber(1));
    journal
}

fn refusal(result: Result<(), WriteError>) -> Refusal {
    match result {
        Err(WriteError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_position_moves_only_over_slices_that_are_done_without_a_gap() {
    let disk = FaultyDisk::new(1, Lies::default());
    let mut journal = with_two_sources(&disk);
    let slices = [slice(0, 0, 10), slice(1, 50, 60), slice(0, 10, 25), slice(0, 25, 30)];
    journal.cut(&slices).unwrap();
    journal.done(&slices[3]).unwrap();
    journal.done(&slices[2]).unwrap();
    assert_eq!(journal.position(SourceNumber(0)), Some(0));
    assert_eq!(journal.in_doubt_count(), 2);
    drop(journal);
    let (mut journal, recovered) = Journal::open_on(disk, options()).unwrap();
    assert_eq!(recovered.in_doubt, [slices[0], slices[1]]);
    assert_eq!(recovered.configs[&ConfigHash::of(CONFIG)], CONFIG);
    let source = |number, identity: &[u8], name: &str, position, cut_end| KnownSource {
        number: SourceNumber(number),
        identity: identity.into(),
        name: name.into(),
        position,
        cut_end: Reached { position: cut_end, chain: Chain(7 * cut_end), ..Reached::default() },
    };
    assert_eq!(recovered.sources, [source(0, b"a", "a.log", 0, 30), source(1, b"b", "b.log", 50, 60)]);
    journal.done(&slices[0]).unwrap();
    assert_eq!(journal.position(SourceNumber(0)), Some(30));
    assert_eq!(journal.position(SourceNumber(1)), Some(50));
}

#[test]
fn what_would_lose_or_double_bytes_is_refused_and_the_journal_goes_on() {
    let mut journal = with_two_sources(&FaultyDisk::new(1, Lies::default()));
    for wrong in [slice(0, 1, 10), slice(0, 0, 0), slice(1, 0, 60)] {
        assert!(matches!(refusal(journal.cut(&[wrong])), Refusal::NotNext { .. }));
    }
    // The second would go where the first already is: neither is written.
    assert!(matches!(refusal(journal.cut(&[slice(0, 0, 10), slice(0, 0, 10)])), Refusal::NotNext { expected: 10, .. }));
    assert_eq!(refusal(journal.cut(&[slice(2, 0, 10)])), Refusal::UnknownSource(SourceNumber(2)));
    let config = ConfigHash::of("another");
    let unknown = JournaledSlice { config, ..slice(0, 0, 10) };
    assert_eq!(refusal(journal.cut(&[unknown])), Refusal::UnknownConfig(config));
    assert!(matches!(refusal(journal.done(&slice(0, 0, 10))), Refusal::NotInDoubt { .. }));
    journal.cut(&[slice(0, 0, 10), slice(0, 10, 20)]).unwrap();
    let other = JournaledSlice { slice: SliceId(99), ..slice(0, 0, 10) };
    assert!(matches!(refusal(journal.done(&other)), Refusal::NotInDoubt { .. }));
    journal.done(&slice(0, 10, 20)).unwrap();
    assert!(matches!(refusal(journal.done(&slice(0, 10, 20))), Refusal::NotInDoubt { .. }));
    assert_eq!(refusal(journal.know(b"a", "other", Reached::at(0)).map(drop)), Refusal::KnownAlready(SourceNumber(0)));
    let long = vec![0; JOURNAL_IDENTITY_BYTES_MAX + 1];
    assert!(matches!(refusal(journal.know(&long, "", Reached::at(0)).map(drop)), Refusal::TooLong { .. }));
    journal.know(&long[1..], "", Reached::at(0)).unwrap();
}

#[test]
fn a_source_that_was_forgotten_gives_up_its_slices_and_never_its_number() {
    let disk = FaultyDisk::new(1, Lies::default());
    let mut journal = with_two_sources(&disk);
    journal.cut(&[slice(1, 50, 60), slice(0, 0, 10)]).unwrap();
    assert_eq!(journal.forget(SourceNumber(1)).unwrap(), [slice(1, 50, 60)]);
    drop(journal);
    let (mut journal, recovered) = Journal::open_on(disk, options()).unwrap();
    assert_eq!(recovered.in_doubt, [slice(0, 0, 10)]);
    assert_eq!(recovered.sources.len(), 1);
    assert_eq!(journal.know(b"b", "b.log", Reached::at(0)).unwrap(), SourceNumber(2));
}

#[test]
fn slices_that_are_not_done_are_bounded() {
    let mut journal = with_two_sources(&FaultyDisk::new(1, Lies::default()));
    let slices: Vec<_> = (0..JOURNAL_SLICES_MAX as u64).map(|n| slice(0, n, n + 1)).collect();
    journal.cut(&slices).unwrap();
    assert_eq!(refusal(journal.cut(&[slice(1, 50, 60)])), Refusal::Full);
    // Done out of order it is held all the same; in order it makes room.
    journal.done(&slices[1]).unwrap();
    assert_eq!(refusal(journal.cut(&[slice(1, 50, 60)])), Refusal::Full);
    journal.done(&slices[0]).unwrap();
    journal.cut(&[slice(1, 50, 60), slice(1, 60, 61)]).unwrap();
}

#[test]
fn a_journal_is_as_large_as_what_is_alive() {
    let disk = FaultyDisk::new(1, Lies::default());
    let mut options = options();
    options.segment_bytes = 2_000;
    let (mut journal, _) = Journal::open_on(disk.clone(), options).unwrap();
    journal.know(b"a", "a.log", Reached::at(0)).unwrap();
    for n in 0..1_000 {
        // Each its own config: those of slices that are over go.
        let config = journal.keep_config(&format!("# {n}")).unwrap();
        let cut = JournaledSlice { config, ..slice(0, n, n + 1) };
        journal.cut(&[cut]).unwrap();
        journal.done(&cut).unwrap();
        assert!(journal.bytes() < 2_000 + 200, "{}", journal.bytes());
    }
    let bytes: usize = disk.files().values().map(Vec::len).sum();
    assert!(bytes < 2_500 && disk.files().len() < 30, "{bytes} bytes in {:?}", disk.files().keys());
    drop(journal);
    let (journal, recovered) = Journal::open_on(disk.clone(), options).unwrap();
    assert_eq!((recovered.in_doubt.len(), recovered.sources[0].position), (0, 1_000));
    assert_eq!(disk.files().len(), 2, "the lock and one segment: {:?}", disk.files().keys());
    assert!(journal.bytes() < 300);
}

#[test]
fn one_cut_is_one_write_and_one_sync_and_done_is_a_write() {
    let disk = FaultyDisk::new(1, Lies::default());
    let mut journal = with_two_sources(&disk);
    let before = disk.operations();
    journal.cut(&[slice(0, 0, 10), slice(0, 10, 20), slice(1, 50, 60)]).unwrap();
    assert_eq!(disk.operations() - before, 2);
    journal.done(&slice(0, 0, 10)).unwrap();
    assert_eq!(disk.operations() - before, 3);
}
