//! The core's parts, one core each: framing, decoding plain and sealed records into Arrow columns.
//!
//! Rates are of the slice's bytes as they stand in the source. Every bench checks its answer before it is timed.

use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loggen::{Cipher, Encryption, Envelope, Options};
use longshore_core::config::{self, Config, Env, Framing};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::envelope::Keyring;
use longshore_core::frame::cut;
use longshore_core::limits::{RECORD_BYTES_MAX, SLICE_RECORDS_MAX};
use longshore_core::product::Dictionary;
use longshore_core::slice::{Slice, SliceId};

const CONFIG: &str = include_str!("../configs/channel-log.toml");
const RECORDS: u64 = 20_000;

/// One slice of the channel log and what it takes to decode it.
struct Case {
    slice: Slice,
    decoder: Decoder,
}

impl Case {
    fn new(envelope: Option<Envelope>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (keys, products) = (folder.path().join("keyring.toml"), folder.path().join("products.csv"));
        let options = Options {
            records: RECORDS,
            seed: 1,
            broken_rate: 0.0,
            encryption: envelope.map(|envelope| Encryption {
                cipher: Cipher::Aes256Gcm,
                envelope,
                keyring: Some(keys.clone()),
                keys: 3,
            }),
            products_file: Some(products.clone()),
            ..Options::default()
        };
        let mut bytes = Vec::new();
        loggen::generate(&options, &mut bytes).expect("generated");
        let config = config(envelope);
        let keyring = envelope.map(|_| {
            let text = std::fs::read_to_string(&keys).expect("written by loggen");
            Keyring::parse(&text, "keyring.toml").expect("a valid keyring")
        });
        let dictionary = Dictionary::parse_csv(&std::fs::read(&products).expect("written by loggen"), "products.csv");
        let decoder = Decoder::new(&config, keyring, Some(dictionary.expect("a valid dictionary"))).expect("a decoder");
        let slice = Slice { id: SliceId(1), source: Arc::from("bench"), start: 0, bytes, header: None, tail: None };
        Case { slice, decoder }
    }

    fn check(&self) {
        let decoded = self.decoder.decode(&self.slice, &mut Scratch::new(&self.decoder));
        assert_eq!(
            (decoded.records, decoded.batch.num_rows() as u64),
            (RECORDS, RECORDS),
            "{:?}",
            decoded.dead.first()
        );
    }
}

fn config(envelope: Option<Envelope>) -> Config {
    let section = match envelope {
        None => String::new(),
        Some(envelope) => {
            let layout = match envelope {
                Envelope::Tab => "tab",
                Envelope::Json => "json",
                Envelope::Frame => "frame",
            };
            format!("[decode.envelope]\nlayout = \"{layout}\"\nkeyring = \"keyring.toml\"\n")
        }
    };
    let text = CONFIG.replace("# ENVELOPE\n", &section);
    config::parse(&text, Path::new("bench.toml"), &Env::new()).expect("a valid config")
}

fn decode(criterion: &mut Criterion) {
    let cases = [
        ("json", None),
        ("json, tab envelope", Some(Envelope::Tab)),
        ("json, json envelope", Some(Envelope::Json)),
        ("json, frame envelope", Some(Envelope::Frame)),
    ];
    let mut group = criterion.benchmark_group("decode to 17 columns");
    for (name, envelope) in cases {
        let case = Case::new(envelope);
        case.check();
        let mut scratch = Scratch::new(&case.decoder);
        group.throughput(Throughput::Bytes(case.slice.bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| case.decoder.decode(&case.slice, &mut scratch)));
    }
    group.finish();
}

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for (name, framing, envelope) in
        [("lines", Framing::Lines, None), ("frames", Framing::Frames, Some(Envelope::Frame))]
    {
        let case = Case::new(envelope);
        let count = || cut(framing, &case.slice.bytes, SLICE_RECORDS_MAX, true, RECORD_BYTES_MAX);
        assert_eq!(count().records as u64, RECORDS);
        group.throughput(Throughput::Bytes(case.slice.bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(count));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = decode, framing
}
criterion_main!(benches);
