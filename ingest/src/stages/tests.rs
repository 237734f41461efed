//! What a sample is, and that every stage is run on all of it as often as it says.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use longshore_core::config::{self, Config, Env};
use longshore_core::dead_letter::Reason;
use longshore_core::decode::Decoder;

use super::*;
use crate::cut::CutOptions;
use crate::input::Input;
use crate::read::ReadMethod;
use crate::reader::ReaderOptions;

const CONFIG: &str = r#"
version = 1
[[column]]
name = "ts"
type = "timestamp"
required = true
[products]
fixed = "shop"
[table]
time = "ts"
"#;

const ONCE: Effort = Effort { repetitions: 1, budget: Duration::from_secs(3600) };
static GO_ON: AtomicBool = AtomicBool::new(false);

fn config() -> Config {
    config::parse(CONFIG, Path::new("test.toml"), &Env::new()).expect("a valid config")
}

/// Slices of 1,000 bytes, records of at most 100.
fn options(bytes: u64) -> SampleOptions {
    let Config { decode, .. } = config();
    let reader = ReaderOptions {
        cut: CutOptions {
            stream: 1,
            framing: decode.framing(),
            format: decode.format,
            slice_bytes: 1_000,
            records_max: 10_000,
            record_bytes_max: 100,
        },
        read: ReadMethod::Pread,
    };
    SampleOptions { reader, bytes }
}

/// A file of records of 10 bytes, `{"ts":nn}` and a line feed, each tenth of them broken.
fn file(folder: &Path, records: usize) -> PathBuf {
    let line =
        |n: usize| if n % 10 == 9 { "{\"ts\":n0}\n".to_owned() } else { format!("{{\"ts\":{:02}}}\n", 10 + n % 80) };
    let path = folder.join("a.log");
    std::fs::write(&path, (0..records).map(line).collect::<String>()).expect("written");
    path
}

fn input(path: &Path) -> [Input; 1] {
    [Input::file(path).expect("it is there")]
}

#[test]
fn a_sample_is_the_first_slices_and_says_whether_that_is_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), 1_000);
    let inputs = input(&path);
    let sample = Sample::read(&inputs, &options(2_500), &GO_ON).expect("read");
    assert_eq!((sample.bytes, sample.whole, sample.slices.len()), (3_000, false, 3));
    assert!((3_000..=10_000).contains(&sample.read_bytes), "{}", sample.read_bytes);
    let bytes: Vec<u8> = sample.slices.iter().flat_map(|slice| slice.slice.bytes.clone()).collect();
    assert_eq!(bytes, std::fs::read(&path).expect("read")[..3_000]);

    let all = Sample::read(&inputs, &options(1 << 20), &GO_ON).expect("read");
    assert_eq!((all.bytes, all.read_bytes, all.stored_bytes, all.whole), (10_000, 10_000, 10_000, true));
    assert_eq!(all.slices.len(), 10);
}

#[test]
fn a_sample_goes_from_input_to_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), 50);
    let other = folder.path().join("other.log");
    std::fs::write(&other, std::fs::read(&path).expect("there").to_ascii_uppercase()).expect("written");
    let both = [input(&path), input(&other)].concat();
    let sample = Sample::read(&both, &options(1 << 20), &GO_ON).expect("read");
    assert_eq!((sample.bytes, sample.slices.len(), sample.whole), (1_000, 2, true));
}

#[test]
fn nothing_to_measure_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = input(&file(folder.path(), 0));
    assert!(matches!(Sample::read(&empty, &options(100), &GO_ON), Err(StageError::Empty)));
    let path = file(folder.path(), 10);
    let gone = input(&path);
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(Sample::read(&gone, &options(100), &GO_ON), Err(StageError::Input(InputError::Open { .. }))));
}

#[test]
fn a_stop_ends_every_measurement() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = input(&file(folder.path(), 1_000));
    let stop = AtomicBool::new(true);
    assert!(matches!(Sample::read(&inputs, &options(5_000), &stop), Err(StageError::Stopped)));
    let sample = Sample::read(&inputs, &options(5_000), &GO_ON).expect("read");
    assert!(matches!(sample.measure_reading(&inputs, &options(5_000), (None, ONCE), &stop), Err(StageError::Stopped)));
    let decoder = Decoder::new(&config(), None, None).expect("a decoder");
    let engine = Engine { decoder: &decoder, sample: &sample, steps: &[] };
    assert!(matches!(engine.measure(ONCE, &stop), Err(StageError::Stopped)));
}

#[test]
fn reading_again_reads_as_much_as_often_as_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = input(&file(folder.path(), 1_000));
    let sample = Sample::read(&inputs, &options(1 << 20), &GO_ON).expect("read");
    let thrice = Effort { repetitions: 3, ..ONCE };
    let runs = sample.measure_reading(&inputs, &options(1 << 20), (None, thrice), &GO_ON).expect("read");
    assert_eq!(runs.iter().map(|run| run.bytes).collect::<Vec<_>>(), [10_000; 3]);
}

#[test]
fn a_file_that_the_sample_brought_into_the_page_cache_is_not_measured_from_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = input(&file(folder.path(), 1_000));
    let Some(now) = PageCache::of(&inputs, 5_000) else { return println!("skipped: no cachestat here") };
    assert_eq!((now, now.is_warm()), (PageCache { cached: 5_000, of: 5_000 }, true));
    let sample = Sample::read(&inputs, &options(1 << 20), &GO_ON).expect("read");
    let cold = Some(PageCache { cached: 0, of: 10_000 });
    let thrice = Effort { repetitions: 3, ..ONCE };
    let runs = sample.measure_reading(&inputs, &options(1 << 20), (cold, thrice), &GO_ON).expect("read");
    assert_eq!(runs.iter().map(|run| run.cost).collect::<Vec<_>>(), [sample.cost]);
}

#[test]
fn every_step_runs_on_every_slice_and_the_answer_is_of_one_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = input(&file(folder.path(), 1_000));
    let sample = Sample::read(&inputs, &options(1 << 20), &GO_ON).expect("read");
    let decoder = Decoder::new(&config(), None, None).expect("a decoder");
    let (calls, rows) = (Cell::new(0), Cell::new(0));
    // Uses up CPU time until the clock that measures it has seen some.
    let spin = Duration::from_millis(1);
    let count = |decoded: &longshore_core::decode::DecodedSlice| {
        calls.set(calls.get() + 1);
        rows.set(rows.get() + decoded.batch.num_rows());
        let begin = cpu_time();
        while cpu_time() - begin < spin {}
    };
    let steps: [Step<'_>; 1] = [&count];
    let engine = Engine { decoder: &decoder, sample: &sample, steps: &steps };
    let (answer, runs) = engine.measure(Effort { repetitions: 2, ..ONCE }, &GO_ON).expect("measured");
    assert_eq!((answer.records, answer.rows, answer.dead, answer.filtered), (1_000, 900, 100, 0));
    assert_eq!(answer.dead_by_reason.into_iter().collect::<Vec<_>>(), [(Reason::BadJson, 100)]);
    // A pass to warm up, and two that count.
    assert_eq!((calls.get(), rows.get(), runs.len()), (30, 2_700, 2));
    for run in runs {
        assert_eq!((run.open, run.steps.len()), (None, 1));
        assert!(run.steps[0].cpu >= 10 * spin && run.decode.cpu > Duration::ZERO, "{run:?}");
    }
}

#[test]
fn repetitions_end_with_the_budget_but_there_is_always_one() {
    let count = |effort: Effort| effort.repeat(|| Ok::<_, StageError>(())).expect("no error").len();
    assert_eq!(count(Effort { repetitions: 4, ..ONCE }), 4);
    assert_eq!(count(Effort { repetitions: 4, budget: Duration::ZERO }), 1);
    let mut calls = 0;
    let failed = ONCE.repeat(|| {
        calls += 1;
        Err::<(), _>(StageError::Stopped)
    });
    assert!(matches!(failed, Err(StageError::Stopped)) && calls == 1);
}
