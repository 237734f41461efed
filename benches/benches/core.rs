//! The core's parts, one core each: the index, the whole parser on four shapes and by column type, envelopes, framing,
//! aggregation for the rollups.
//!
//! Rates are of the slice's bytes as they stand in the source, of aggregation of rows. Every bench checks its answer
//! before it is timed.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, UInt64Type};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use loggen::{Cipher, Encryption, Envelope, Options};
use longshore_benches::case::Case;
use longshore_benches::shapes::{CHANNEL_LOG, WORKLOADS, Workload};
use longshore_benches::twin;
use longshore_core::config::{Config, Framing};
use longshore_core::decode::Scratch;
use longshore_core::frame::cut;
use longshore_core::limits::{RECORD_BYTES_MAX, SLICE_RECORDS_MAX};
use longshore_core::rollup::aggregate::{Aggregator, Partial};
use longshore_core::rollup::known::UserKeys;
use longshore_core::rollup::{RollupKind, RollupSpec};
use longshore_core::simd::Kernels;
use longshore_core::simd::index::Index;

const RECORDS: u64 = 20_000;

/// The global allocator of the command, so that buffers cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A workload's case, its answer checked.
fn workload(workload: Workload) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = (workload.generate)(RECORDS, folder.path());
    checked(Case::new(workload.config, folder.path(), &bytes).expect("a case"), &bytes)
}

/// The case, after its answer was found to be the twin's.
fn checked(case: Case, bytes: &[u8]) -> Case {
    let twin = twin::answer(bytes, &case.config.columns).expect("the twin's answer");
    case.answer().and_then(|answer| answer.ensure_same(&twin)).expect("the twin's answer");
    case
}

fn passes(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, case: &Case) {
    let mut buffers = case.buffers();
    group.throughput(Throughput::Bytes(case.bytes));
    group.bench_function(name, |bencher| bencher.iter(|| case.pass(&mut buffers)));
}

fn index(criterion: &mut Criterion) {
    let case = workload(Workload::named("channel-log").expect("a workload"));
    let bytes = &case.slices[0].bytes;
    let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    for kernels in Kernels::all() {
        let mut index = Index::default();
        index.build(kernels, bytes);
        assert_eq!(index.newlines().len(), newlines);
        group.bench_function(kernels.name(), |bencher| bencher.iter(|| index.build(kernels, bytes)));
    }
    group.finish();
}

fn shapes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for each in WORKLOADS {
        passes(&mut group, each.name, &workload(each));
    }
    group.finish();
}

/// The channel log with the event time and one more column of a type.
fn types(criterion: &mut Criterion) {
    let cases = [
        ("timestamp only", ""),
        ("low_cardinality", "name = \"event\"\ntype = \"low_cardinality\""),
        ("string", "name = \"page\"\ntype = \"string\""),
        ("uuid", "name = \"session_id\"\ntype = \"uuid\""),
        ("ipv4", "name = \"ip\"\ntype = \"ipv4\""),
        ("json", "name = \"props\"\ntype = \"json\""),
        ("decimal", "name = \"amount\"\ntype = \"decimal(18,2)\"\nnullable = true"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = (Workload::named("channel-log").expect("a workload").generate)(RECORDS, folder.path());
    let mut group = criterion.benchmark_group("one column of 17");
    for (name, column) in cases {
        let column = if column.is_empty() { String::new() } else { format!("[[column]]\n{column}\n") };
        let config = format!(
            "version = 1\n[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n{column}\
             [products]\nfixed = \"p\"\n[table]\ntime = \"ts\"\n"
        );
        passes(&mut group, name, &checked(Case::new(&config, folder.path(), &bytes).expect("a case"), &bytes));
    }
    group.finish();
}

/// The channel log, sealed; its answer must be that of the open one.
fn sealed(envelope: Envelope) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = match envelope {
        Envelope::Tab => "tab",
        Envelope::Json => "json",
        Envelope::Frame => "frame",
    };
    let keyring = Some(folder.path().join("keyring.toml"));
    let options = Options {
        records: RECORDS,
        seed: longshore_benches::shapes::SEED,
        broken_rate: 0.0,
        encryption: Some(Encryption { cipher: Cipher::Aes256Gcm, envelope, keyring, keys: 3 }),
        products_file: Some(folder.path().join("products.csv")),
        ..Options::default()
    };
    let mut bytes = Vec::new();
    loggen::generate(&options, &mut bytes).expect("generated");
    let section = format!("[decode.envelope]\nlayout = \"{layout}\"\nkeyring = \"keyring.toml\"\n");
    let config = CHANNEL_LOG.replace("# ENVELOPE\n", &section);
    Case::new(&config, folder.path(), &bytes).expect("a case")
}

fn envelopes(criterion: &mut Criterion) {
    let open = workload(Workload::named("channel-log").expect("a workload")).answer().expect("an answer");
    let mut group = criterion.benchmark_group("sealed");
    for (name, envelope) in [("tab", Envelope::Tab), ("json", Envelope::Json), ("frame", Envelope::Frame)] {
        let case = sealed(envelope);
        case.answer().and_then(|answer| answer.ensure_same(&open)).expect("the same records as in the open log");
        passes(&mut group, name, &case);
    }
    group.finish();
}

fn framing(criterion: &mut Criterion) {
    let lines = workload(Workload::named("channel-log").expect("a workload"));
    let frames = sealed(Envelope::Frame);
    let mut group = criterion.benchmark_group("frame");
    for (name, framing, case) in [("lines", Framing::Lines, &lines), ("frames", Framing::Frames, &frames)] {
        let bytes = &case.slices[0].bytes;
        let count = || cut(framing, bytes, SLICE_RECORDS_MAX, true, RECORD_BYTES_MAX);
        assert_eq!(count().records as u64, RECORDS);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(count));
    }
    group.finish();
}

/// What the channel log's lines add up to, by serde_json.
#[derive(Default)]
struct Totals {
    users: HashSet<String>,
    views: u64,
    orders: u64,
    cents: i128,
    lines: u64,
}

impl Totals {
    fn of(bytes: &[u8]) -> Totals {
        let mut totals = Totals::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let record: serde_json::Value = serde_json::from_slice(line).expect("loggen writes JSON");
            let is = |event: &str| u64::from(record["event"] == event);
            totals.users.insert(format!("{} {}", record["product"], record["user_id"]));
            totals.views += is("page_view");
            totals.lines += 1;
            if record["event"] == "order_paid" && !record["amount"].is_null() {
                totals.orders += 1;
                totals.cents += cents(&record["amount"].to_string());
            }
        }
        totals
    }

    /// Whether a rollup has all of it.
    fn check(&self, kind: &RollupKind, partial: &Partial) {
        match (kind, partial) {
            (RollupKind::NewUsers { .. }, Partial::Sightings(seen)) => assert_eq!(seen.len(), self.users.len()),
            (RollupKind::PvUv { .. }, Partial::Groups(rows)) => assert_eq!(sum(rows, "pv"), self.views),
            (RollupKind::RequestsByIp { .. }, Partial::Groups(rows)) => assert_eq!(sum(rows, "requests"), self.lines),
            (RollupKind::Gmv { .. }, Partial::Groups(rows)) => {
                let amounts = rows["amount"].as_primitive::<Decimal128Type>();
                assert_eq!((sum(rows, "orders"), amounts.values().iter().sum()), (self.orders, self.cents));
            }
            (kind, partial) => panic!("{kind:?} gave {partial:?}"),
        }
    }
}

/// Hundredths of a number with at most two decimals, bare or in quotes.
fn cents(number: &str) -> i128 {
    let number = number.trim_matches('"');
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{decimals:0<2}").parse().expect("a number with two decimals")
}

fn sum(rows: &RecordBatch, column: &str) -> u64 {
    rows[column].as_primitive::<UInt64Type>().values().iter().sum()
}

/// One batch of the channel log for each kind of rollup, and for the three of the config, which share what they read.
fn aggregation(criterion: &mut Criterion) {
    let case = workload(Workload::named("channel-log").expect("a workload"));
    let batch = case.decoder.decode(&case.slices[0], &mut Scratch::new(&case.decoder)).batch;
    let totals = Totals::of(&case.slices[0].bytes);
    let requests = RollupSpec {
        name: "requests_by_ip".to_owned(),
        kind: RollupKind::RequestsByIp { ip: "ip".to_owned() },
        by: Vec::new(),
        filter: Vec::new(),
    };
    let alone = case.config.rollups.iter().chain([&requests]).map(|spec| (spec.name.as_str(), vec![spec.clone()]));
    let cases: Vec<_> = alone.chain([("the config's three", case.config.rollups.clone())]).collect();
    let mut group = criterion.benchmark_group("aggregate");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, rollups) in cases {
        let aggregator =
            Aggregator::new(&Config { rollups: rollups.clone(), ..case.config.clone() }, UserKeys::random());
        let partials: Vec<_> = aggregator.aggregate(&batch).collect();
        assert_eq!((partials.len(), batch.num_rows() as u64), (rollups.len(), RECORDS));
        rollups.iter().zip(&partials).for_each(|(spec, partial)| totals.check(&spec.kind, partial));
        group.bench_function(name, |bencher| bencher.iter(|| aggregator.aggregate(&batch).collect::<Vec<_>>()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = index, shapes, types, envelopes, framing, aggregation
}
criterion_main!(benches);
