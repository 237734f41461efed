//! The pipeline over real files and a sink that fails on purpose: nothing lost, nothing twice, nothing unbounded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Condvar;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use longshore_core::config::{self, Config, Env, Format, Framing};
use longshore_core::slice::SliceId;

use super::*;
use crate::known::KnownSlice;
use crate::read::ReaderChoice;
use crate::sink::{SinkError, SliceMeta, Stored};

const CONFIG: &str = r#"
version = 1
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "n"
type = "u64"
required = true
[[column]]
name = "product"
type = "low_cardinality"
required = true
[products]
column = "product"
[table]
time = "ts"
"#;

fn config() -> Config {
    config::parse(CONFIG, Path::new("test.toml"), &Env::new()).expect("a valid config")
}

fn options(slice_bytes: usize) -> PipelineOptions {
    PipelineOptions {
        cut: CutOptions {
            framing: Framing::Lines,
            format: Format::Json,
            slice_bytes,
            records_max: 10_000,
            stream: 1,
            record_bytes_max: 200,
        },
        memory: Memory::new(1 << 30),
        read: ReadMethod::choose(ReaderChoice::Auto).expect("one of them"),
        workers: 2,
        inserts_in_flight: 2,
        retry: RetryPolicy { wait_first: Duration::from_millis(1), wait_max: Duration::from_millis(4) },
    }
}

/// Records numbered from 0; every 50th is broken.
fn write_records(path: &Path, count: u64) {
    let lines: String = (0..count)
        .map(|n| match n % 50 {
            49 => format!("{{\"ts\":{n},\"n\":broken\n"),
            _ => format!("{{\"ts\":{n},\"n\":{n},\"product\":\"p{}\"}}\n", n % 3),
        })
        .collect();
    std::fs::write(path, lines).expect("written");
}

/// What an attempt to store a slice comes to.
#[derive(Clone, Copy)]
enum Fault {
    None,
    /// Nothing is stored and the sink says so.
    Away,
    /// All is stored, but the answer is lost.
    AnswerLost,
    Refuses,
    /// Others have to be stored first.
    Behind,
}

/// Keeps slices in memory, once each, as a deduplicating server does; fails as its script says.
struct FaultySink {
    stored: Mutex<BTreeMap<SliceId, LoadedSlice>>,
    attempts: AtomicUsize,
    script: fn(usize) -> Fault,
    /// Writes wait while it is closed.
    open: (Mutex<bool>, Condvar),
}

impl FaultySink {
    fn new(script: fn(usize) -> Fault) -> Self {
        FaultySink {
            stored: Mutex::default(),
            attempts: AtomicUsize::new(0),
            script,
            open: (Mutex::new(true), Condvar::new()),
        }
    }

    fn set_open(&self, open: bool) {
        *self.open.0.lock().expect("no panic") = open;
        self.open.1.notify_all();
    }

    /// The numbers of all rows, in order.
    fn numbers(&self) -> Vec<u64> {
        let stored = self.stored.lock().expect("no panic");
        let mut numbers: Vec<u64> = stored
            .values()
            .flat_map(|slice| {
                let column = slice.decoded.batch.column_by_name("n").expect("the column");
                let column = column.as_any().downcast_ref::<arrow_array::UInt64Array>().expect("u64");
                column.values().to_vec()
            })
            .collect();
        numbers.sort_unstable();
        numbers
    }

    fn metas(&self) -> Vec<SliceMeta> {
        self.stored.lock().expect("no panic").values().map(|slice| slice.meta.clone()).collect()
    }
}

impl Sink for FaultySink {
    fn write(&self, slice: &LoadedSlice) -> Result<Stored, SinkError> {
        let mut open = self.open.0.lock().expect("no panic");
        while !*open {
            open = self.open.1.wait(open).expect("no panic");
        }
        drop(open);
        let fault = (self.script)(self.attempts.fetch_add(1, Ordering::SeqCst));
        if matches!(fault, Fault::None | Fault::AnswerLost) {
            self.stored.lock().expect("no panic").entry(slice.meta.id).or_insert_with(|| slice.clone());
        }
        match fault {
            Fault::None => Ok(Stored::default()),
            Fault::Behind => Err(SinkError::Behind { detail: "another first".into() }),
            Fault::Away | Fault::AnswerLost => Err(SinkError::Retry { detail: "away".into() }),
            Fault::Refuses => Err(SinkError::Refuse { detail: "refused".into() }),
        }
    }
}

struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
    decoder: Decoder,
}

impl Case {
    fn new(records: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        write_records(&path, records);
        let decoder = Decoder::new(&config(), None, None).expect("a decoder");
        Case { _folder: folder, path, decoder }
    }

    fn run(
        &self,
        sink: &FaultySink,
        known: &Vec<KnownSlice>,
        slice_bytes: usize,
    ) -> (Result<Outcome, PipelineError>, Progress) {
        let progress = Progress::default();
        let stop = AtomicBool::new(false);
        let inputs = [Input::file(&self.path).expect("the file exists")];
        let outcome = run(
            &inputs,
            Books { stored: known, ..Books::NONE },
            &self.decoder,
            sink,
            &options(slice_bytes),
            (&progress, &stop),
        );
        (outcome, progress)
    }
}

fn good_numbers(count: u64) -> Vec<u64> {
    (0..count).filter(|n| n % 50 != 49).collect()
}

#[test]
fn every_record_is_stored_once_or_dead_once() {
    let case = Case::new(10_000);
    let sink = FaultySink::new(|_| Fault::None);
    let (outcome, progress) = case.run(&sink, &Vec::new(), 10_000);
    let outcome = outcome.expect("nothing refuses");
    assert!(!outcome.stopped && outcome.input_errors.is_empty());
    assert_eq!(sink.numbers(), good_numbers(10_000));
    let totals = progress.totals();
    assert_eq!((totals.records, totals.loaded, totals.dead, totals.filtered), (10_000, 9_800, 200, 0));
    assert_eq!(totals.bytes, case.path.metadata().expect("there").len());
    // n % 3 == 0 and n % 50 != 49, counted by hand: 3,334 multiples of 3 below 10,000, of which 67 are 49 modulo
    // 50: 99, 249, and so on by 150 to 9,999.
    assert_eq!(totals.rows_by_product[&std::sync::Arc::from("p0")], 3_267);
    let mut metas = sink.metas();
    metas.sort_by_key(|meta| meta.start);
    assert!(metas.windows(2).all(|pair| pair[0].end == pair[1].start), "slices tile the source");
}

/// Each byte of a list becomes four of a column, in slices of which one alone has room at its worst.
#[test]
fn whatever_slices_become_they_stay_within_their_memory() {
    let text = format!("{CONFIG}[[column]]\nname = \"list\"\ntype = \"list(u64)\"\n");
    let config = config::parse(&text, Path::new("test.toml"), &Env::new()).expect("a valid config");
    let decoder = Decoder::new(&config, None, None).expect("a decoder");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.log");
    let items = "1,".repeat(4_000);
    let lines: String =
        (0..200).map(|n| format!("{{\"ts\":{n},\"n\":{n},\"product\":\"p\",\"list\":[{items}1]}}\n")).collect();
    std::fs::write(&path, lines).expect("written");
    let (sink, progress, stop) = (FaultySink::new(|_| Fault::None), Progress::default(), AtomicBool::new(false));
    let mut options = options(40_000);
    options.cut.record_bytes_max = 10_000;
    // Four records of 32 KB of items each. Buffers that grow have room for more, which is not touched.
    const UNTOUCHED: usize = 2 * 40_000;
    for total in [200_000, 1 << 20] {
        options.memory = Memory::new(total);
        sink.stored.lock().expect("no panic").clear();
        let inputs = [Input::file(&path).expect("the file exists")];
        run(&inputs, Books::NONE, &decoder, &sink, &options, (&progress, &stop)).expect("nothing refuses");
        assert_eq!(sink.numbers(), (0..200).collect::<Vec<_>>());
        let peak = options.memory.peak();
        assert!((128_000..=total + UNTOUCHED).contains(&peak), "{peak} of {total}");
        assert!(!options.memory.is_short() && options.memory.try_take(total).is_some(), "all of it came back");
    }
}

#[test]
fn a_sink_that_is_away_or_loses_answers_costs_nothing() {
    let case = Case::new(10_000);
    let sink = FaultySink::new(|attempt| match attempt % 7 {
        1 | 2 => Fault::Away,
        4 => Fault::AnswerLost,
        _ => Fault::None,
    });
    let (outcome, progress) = case.run(&sink, &Vec::new(), 10_000);
    outcome.expect("nothing refuses");
    assert_eq!(sink.numbers(), good_numbers(10_000));
    assert_eq!(progress.totals().records, 10_000);
    assert!(progress.retries.load(Ordering::Relaxed) > 10);
}

#[test]
fn slices_that_wait_for_others_are_stored_after_them() {
    let case = Case::new(10_000);
    // More wait at once than both threads keep aside.
    let sink = FaultySink::new(|attempt| if attempt < 40 || attempt % 3 == 0 { Fault::Behind } else { Fault::None });
    let (outcome, progress) = case.run(&sink, &Vec::new(), 10_000);
    assert!(!outcome.expect("nothing refuses").stopped);
    assert_eq!(sink.numbers(), good_numbers(10_000));
    assert_eq!(progress.totals().records, 10_000);
}

#[test]
fn a_slice_that_waits_does_not_keep_a_run_from_its_end() {
    let case = Case::new(10_000);
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let sink = FaultySink::new(|_| Fault::Behind);
    let inputs = [Input::file(&case.path).expect("the file exists")];
    let options = options(10_000);
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&inputs, Books::NONE, &case.decoder, &sink, &options, (&progress, &stop)));
        wait_until_steady(|| progress.cut_bytes.load(Ordering::Relaxed));
        stop.store(true, Ordering::Relaxed);
        running.join().expect("no panic")
    });
    assert!(outcome.expect("nothing refuses").stopped);
    assert_eq!(sink.numbers(), []);
}

#[test]
fn a_refusal_ends_the_run_and_the_next_run_does_the_rest() {
    let case = Case::new(10_000);
    let refusing = FaultySink::new(|attempt| if attempt < 9 { Fault::None } else { Fault::Refuses });
    let (outcome, progress) = case.run(&refusing, &Vec::new(), 10_000);
    let error = outcome.expect_err("it refuses");
    assert_eq!(error.to_string(), "refused");
    let stored = progress.totals().slices;
    assert_eq!(stored, 9);

    let known: Vec<KnownSlice> = refusing.metas().iter().map(|meta| KnownSlice::of(1, meta)).collect();
    let rest = FaultySink::new(|_| Fault::None);
    let (outcome, progress) = case.run(&rest, &known, 10_000);
    outcome.expect("nothing refuses");
    assert_eq!(progress.totals().skipped_slices, 9);
    let mut numbers = [refusing.numbers(), rest.numbers()].concat();
    numbers.sort_unstable();
    assert_eq!(numbers, good_numbers(10_000));
}

#[test]
fn a_slow_sink_stops_the_reader() {
    const SLICE_BYTES: usize = 10_000;
    let case = Case::new(100_000);
    let sink = FaultySink::new(|_| Fault::None);
    sink.set_open(false);
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let inputs = [Input::file(&case.path).expect("the file exists")];
    let options = options(SLICE_BYTES);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&inputs, Books::NONE, &case.decoder, &sink, &options, (&progress, &stop)));
        let read = wait_until_steady(|| progress.cut_bytes.load(Ordering::Relaxed));
        // Being cut, read ahead, with the workers, decoded, being inserted.
        let slices_max = 1 + SLICES_READ_AHEAD + options.workers + SLICES_DECODED_QUEUED + options.inserts_in_flight;
        assert!(read > 0 && read <= (slices_max * SLICE_BYTES) as u64, "{read} bytes were cut");
        sink.set_open(true);
        running.join().expect("no panic").expect("nothing refuses");
    });
    assert_eq!(sink.numbers(), good_numbers(100_000));
}

/// The value once it has not changed for a while.
fn wait_until_steady(value: impl Fn() -> u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = (value(), Instant::now());
    while Instant::now() < deadline && (last.0 == 0 || last.1.elapsed() < Duration::from_millis(300)) {
        std::thread::sleep(Duration::from_millis(5));
        let now = value();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    last.0
}

#[test]
fn a_stop_stores_what_was_cut() {
    let case = Case::new(100_000);
    let sink = FaultySink::new(|_| Fault::None);
    sink.set_open(false);
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let inputs = [Input::file(&case.path).expect("the file exists")];
    let options = options(10_000);
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&inputs, Books::NONE, &case.decoder, &sink, &options, (&progress, &stop)));
        wait_until_steady(|| progress.cut_bytes.load(Ordering::Relaxed));
        stop.store(true, Ordering::Relaxed);
        sink.set_open(true);
        running.join().expect("no panic").expect("nothing refuses")
    });
    assert!(outcome.stopped);
    assert_eq!(progress.totals().bytes, progress.cut_bytes.load(Ordering::Relaxed));
    let stored = sink.numbers();
    assert!(!stored.is_empty() && stored.len() < 98_000);
    let last = *stored.last().expect("some");
    assert_eq!(stored, good_numbers(last + 1), "a stop leaves no gap");
}
