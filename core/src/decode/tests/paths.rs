//! The ways through a decoder against each other and against the naive twin: the fast pass with each kernel of the
//! machine, the careful one, and what the documents say. They must agree on every row, every dead letter and its words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;

use super::records;
use super::twin::batch::{Found, difference};
use super::twin::{Dead, Expected, Record, Twin, configs, lines};
use super::*;
use crate::simd::Kernels;

/// A config, and its dictionary if it has one.
struct Case {
    sections: &'static str,
    dictionary: Option<&'static str>,
}

const CHANNELS: Case = Case { sections: configs::CHANNELS, dictionary: Some(configs::DICTIONARY) };
const TYPES: Case = Case { sections: configs::TYPES, dictionary: None };
const NESTED: Case = Case { sections: configs::NESTED, dictionary: Some(configs::DICTIONARY) };
const FEW: Case = Case { sections: configs::FEW, dictionary: None };

impl Case {
    fn plain(&self) -> Decoder {
        match self.dictionary {
            Some(dictionary) => decoder_with_products(self.sections, dictionary),
            None => decoder(self.sections),
        }
    }

    fn twin(&self) -> Twin {
        Twin::new(&configs::whole(self.sections), self.dictionary)
    }

    /// Lines by all ways.
    fn check(&self, bytes: Vec<u8>) {
        let slice = slice(0, bytes);
        let expected = self.twin().decode(lines(0, &slice.bytes));
        agree(&slice, || self.plain(), &expected);
    }
}

pub(super) fn found(decoded: &DecodedSlice) -> Found<'_> {
    let dead = |letter: &'_ DeadLetter| {
        let DeadLetter { row, offset, length, ref fault, .. } = *letter;
        (row, offset, length, fault.reason.name())
    };
    let columns = decoded.dead.iter().map(|letter| letter.fault.column.as_deref());
    Found {
        batch: &decoded.batch,
        dead: decoded.dead.iter().map(dead).zip(columns).map(|((a, b, c, d), column)| (a, b, c, d, column)).collect(),
        filtered: decoded.filtered,
        by_product: decoded.rows_by_product.iter().map(|(product, rows)| (product.to_string(), *rows)).collect(),
    }
}

/// Decodes by all ways, and checks that all agree with what is expected.
fn agree(slice: &Slice, decoder: impl Fn() -> Decoder, expected: &Expected) {
    let careful = decode(&decoder().careful(), slice);
    if let Some(difference) = difference(&found(&careful), expected) {
        panic!("{difference}\nin {}", slice.bytes.escape_ascii());
    }
    let mut bytes = Vec::new();
    for kernels in Kernels::all() {
        let fast = decode(&decoder().with_kernels(kernels), slice);
        for ((fast, careful), name) in fast.batch.columns().iter().zip(careful.batch.columns()).zip(names(&fast.batch))
        {
            assert_eq!(fast, careful, "{kernels}: {name}");
        }
        assert_eq!(fast.dead, careful.dead, "{kernels}");
        assert_eq!((fast.records, fast.filtered), (careful.records, careful.filtered), "{kernels}");
        assert_eq!(fast.rows_by_product, careful.rows_by_product, "{kernels}");
        if let Some(difference) = difference(&found(&fast), expected) {
            panic!("{kernels}: {difference}\nin {}", slice.bytes.escape_ascii());
        }
        bytes.push(fast.batch.columns().iter().map(|column| column.to_data()).collect::<Vec<_>>());
    }
    for (kernels, other) in Kernels::all().iter().zip(&bytes) {
        for (one, other) in bytes[0].iter().zip(other) {
            assert_eq!((one.buffers(), one.nulls()), (other.buffers(), other.nulls()), "{kernels}: other bytes");
        }
    }
}

/// Lines of records: more than a block's worth, or a few.
fn slices(record: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let count = prop_oneof![4 => Just(200_usize), 1 => 0..5_usize];
    let line_end = select(vec!["\n", "\r\n", "\n\n"]);
    (prop::collection::vec(record, 0..200), count, line_end).prop_map(|(records, count, line_end)| {
        records.iter().take(count).flat_map(|record| [record.as_slice(), line_end.as_bytes()].concat()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn all_ways_agree_on_channels(bytes in slices(records::of_channels())) {
        CHANNELS.check(bytes);
    }

    #[test]
    fn all_ways_agree_on_every_type(bytes in slices(records::of_types())) {
        TYPES.check(bytes);
    }

    #[test]
    fn all_ways_agree_on_nested_paths(bytes in slices(records::of_paths())) {
        NESTED.check(bytes);
    }

    #[test]
    fn all_ways_agree_on_what_is_not_declared(bytes in slices(records::of_few())) {
        FEW.check(bytes);
    }

    #[test]
    fn they_agree_on_sealed_records(records in prop::collection::vec(records::of_channels(), 0..150)) {
        let mut bytes = Vec::new();
        for (number, record) in records.iter().enumerate() {
            let (nonce, mut text) = super::formats::seal(record);
            if is_flipped(number) {
                text[0] ^= 1;
            }
            bytes.extend(format!("k1\t{}\n", STANDARD.encode([&nonce[..], &text].concat())).into_bytes());
        }
        let slice = slice(0, bytes);
        let (flipped, open): (Vec<_>, Vec<_>) = lines(0, &slice.bytes).into_iter().partition(|line| is_flipped(line.row as usize));
        let open = open.into_iter().map(|line| Record { text: without_line_ending(&records[line.row as usize]).into(), ..line });
        let mut expected = CHANNELS.twin().decode(open);
        expected.dead.extend(flipped.into_iter().map(|Record { row, offset, length, .. }| {
            Dead { row, offset, length, reasons: vec!["tag_mismatch"], column: None }
        }));
        expected.dead.sort_by_key(|dead| dead.row);
        let decoder = || super::formats::sealed_decoder_of("tab", CHANNELS.sections, CHANNELS.dictionary);
        agree(&slice, decoder, &expected);
    }
}

/// Whether the record of that number is sealed and then changed.
fn is_flipped(number: usize) -> bool {
    number % 29 == 7
}

/// A record may be sealed with its line's end.
fn without_line_ending(record: &[u8]) -> &[u8] {
    match record {
        [record @ .., b'\r', b'\n'] | [record @ .., b'\n'] => record,
        record => record,
    }
}

/// Chunks end where lines end: records about as long as a chunk, and longer.
#[test]
fn records_as_long_as_chunks() {
    let chunk = crate::limits::CHUNK_BYTES;
    let record = |length: usize| {
        let plain = "{\"ts\":1795161604193,\"p\":\"p1\",\"name\":\"\"}".len();
        format!("{{\"ts\":1795161604193,\"p\":\"p1\",\"name\":\"{}\"}}\n", "x".repeat(length - plain - 1))
    };
    for length in [chunk - 1, chunk, chunk + 1, 3 * chunk] {
        let text = [record(60), record(length), record(70), record(length), record(80)].concat();
        let decoded = decode(&CHANNELS.plain(), &slice(0, text.as_str()));
        CHANNELS.check(text.into_bytes());
        assert_eq!(rows(&decoded.batch), [0, 1, 2, 3, 4]);
    }
}

/// The fast pass learned the keys of all elements of an array together, and those of an object with those of an array at
/// the same place, so that a key of one element led to the column of another one.
#[test]
fn a_key_learned_in_one_element_leads_nowhere_in_another() {
    let lines = [
        r#"{"a":{"b":{"ts":1}},"items":[{"sku":"s1"},{"sku":"s2"}],"nets":[]}"#,
        r#"{"a":{"b":{"ts":2}},"items":[{"tags":0},{"sku":"s3"},{"tags":["t0","t1"]}],"nets":[]}"#,
        r#"{"a":{"b":{"ts":3}},"items":[{"sku":"s4"},{"sku":"s5"},{"tags":["t2","t3"]}],"nets":[]}"#,
        r#"{"a":[{"b":{"ts":4}}],"items":{"sku":"s6"},"nets":[]}"#,
    ];
    for kernels in Kernels::all() {
        let decoded = decode(&NESTED.plain().with_kernels(kernels), &slice(0, lines.join("\n")));
        assert_eq!(texts(&decoded.batch, "sku"), ["s1", "", "s4"]);
        assert_eq!(texts(&decoded.batch, "third"), ["<null>", "t1", "t3"]);
        assert_eq!(places(&decoded.dead), [(3, 67 + 86 + 88, 53, Reason::MissingField)]);
    }
    NESTED.check(lines.join("\n").into_bytes());
}
