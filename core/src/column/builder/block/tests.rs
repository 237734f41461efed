//! Blocks against rows: whatever the column and the values, a block gives the rows, the verdicts and the bytes that the
//! same records give when they are pushed one by one.

use proptest::prelude::*;

use super::super::*;
use super::*;
use crate::column::{Path, Step, TimeFormat, TimePrecision};
use crate::json::Plan;

/// Records `{"c": value}`, one after the other, and where the values stand.
struct Records {
    bytes: Vec<u8>,
    /// Of each record.
    ends: Vec<usize>,
    spans: Vec<Span>,
}

impl Records {
    /// Of values as written in JSON; `None` for a record without the field.
    fn new(values: &[Option<String>]) -> Records {
        let plan = Plan::new([&Path(vec![Step::Key("c".to_owned())])]);
        let mut slots = plan.slots();
        let (mut text, mut ends, mut spans) = (String::new(), Vec::new(), Vec::new());
        for value in values {
            let record = value.as_ref().map_or("{}".to_owned(), |value| format!("{{\"c\":{value}}}"));
            plan.extract(&record, &mut slots).expect("JSON");
            spans.push(span_of(&record, plan.value(0, &record, &slots), text.len()));
            text.push_str(&record);
            ends.push(text.len());
        }
        Records { bytes: text.into_bytes(), ends, spans }
    }

    /// What a row by row push takes of each record.
    fn push_row(&self, row: usize, builder: &mut ColumnBuilder) -> Result<(), Mismatch> {
        let plan = Plan::new([&Path(vec![Step::Key("c".to_owned())])]);
        let mut slots = plan.slots();
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let record = str::from_utf8(&self.bytes[start..self.ends[row]]).expect("UTF-8");
        plan.extract(record, &mut slots).expect("JSON");
        builder.push_json(plan.value(0, record, &slots), &mut String::new())
    }
}

fn span_of(record: &str, value: Option<RawValue<'_>>, start: usize) -> Span {
    let Some(raw) = value else { return Span::ABSENT };
    let at = start + raw.text().as_ptr().addr() - record.as_ptr().addr();
    let end = at + raw.text().len();
    match raw.kind() {
        Kind::Null => Span::new(SpanKind::Null, at, end),
        Kind::True => Span::new(SpanKind::True, at, end),
        Kind::False => Span::new(SpanKind::False, at, end),
        Kind::Number => Span::new(SpanKind::Number, at, end),
        Kind::PlainString => Span::new(SpanKind::Plain, at + 1, end - 1),
        Kind::EscapedString => Span::new(SpanKind::Escaped, at + 1, end - 1),
        Kind::Object => Span::new(SpanKind::Object, at, end),
        Kind::Array => Span::new(SpanKind::Array, at, end),
    }
}

/// All rows that fit, one by one, and which those are.
fn by_rows(spec: &ColumnSpec, event: bool, records: &Records) -> (ArrayRef, Vec<bool>) {
    let mut builder = builder(spec, event);
    let fits = (0..records.spans.len()).map(|row| records.push_row(row, &mut builder).is_ok()).collect();
    (builder.finish(), fits)
}

fn builder(spec: &ColumnSpec, event: bool) -> ColumnBuilder {
    if event { ColumnBuilder::event_time(spec) } else { ColumnBuilder::new(spec) }
}

/// Checks blocks of `rows` records against rows, on all kernels.
fn check(spec: &ColumnSpec, event: bool, records: &Records, rows: usize) {
    let (expected, fits) = by_rows(spec, event, records);
    for kernels in Kernels::all() {
        let mut builder = builder(spec, event);
        let mut text = String::new();
        // Twice: the second batch is written where the first one was.
        for _ in 0..2 {
            for first in (0..fits.len()).step_by(rows) {
                let last = (first + rows).min(fits.len());
                // The block ends where its allocation ends.
                let block = records.bytes[..records.ends[last - 1]].to_vec().into_boxed_slice();
                let before = builder.len();
                let pushed = builder.push_spans(&block, &records.spans[first..last], kernels, &mut text);
                let all_fit = fits[first..last].iter().all(|&fits| fits);
                assert_eq!(pushed.is_ok(), all_fit, "{kernels}: {spec:?}, records {first}..{last}");
                if pushed.is_err() {
                    assert_eq!(builder.len(), before, "nothing is left behind");
                    (first..last).for_each(|row| drop(records.push_row(row, &mut builder)));
                }
            }
            let array = builder.finish();
            assert!(array.to_data().validate_full().is_ok());
            assert_eq!(array.to_data(), expected.to_data(), "{kernels}: {spec:?}");
            builder.recycle(array);
        }
    }
}

fn types() -> Vec<ColumnType> {
    use ColumnType::*;
    let epoch = |precision, unit| Timestamp { precision, format: TimeFormat::Epoch(unit) };
    vec![
        String,
        LowCardinality,
        I8,
        I16,
        I32,
        I64,
        U8,
        U16,
        U32,
        U64,
        F32,
        F64,
        Decimal { precision: 18, scale: 2 },
        Decimal { precision: 38, scale: 30 },
        Decimal { precision: 4, scale: 0 },
        Bool,
        epoch(TimePrecision::Millis, TimePrecision::Millis),
        epoch(TimePrecision::Seconds, TimePrecision::Micros),
        epoch(TimePrecision::Nanos, TimePrecision::Seconds),
        Timestamp { precision: TimePrecision::Millis, format: TimeFormat::Rfc3339 },
        Timestamp {
            precision: TimePrecision::Millis,
            format: TimeFormat::Pattern { pattern: "%F %T".to_owned(), zone: "UTC".to_owned() },
        },
        Date { format: None },
        Ipv4,
        Ipv6,
        Uuid,
        Json,
        List(Box::new(I32)),
        List(Box::new(LowCardinality)),
    ]
}

/// A default and the masks that fit a type.
fn extras(ty: &ColumnType) -> (&'static str, Vec<Mask>) {
    let hash = Mask::Hash { salt: b"salt".to_vec() };
    match ty {
        ColumnType::String | ColumnType::LowCardinality => {
            ("none", vec![hash, Mask::Redact, Mask::Truncate { chars: 3 }])
        }
        ColumnType::Bool => ("true", vec![Mask::Redact]),
        ColumnType::Timestamp { format: TimeFormat::Epoch(_), .. } => ("1000", vec![Mask::Redact]),
        ColumnType::Timestamp { format: TimeFormat::Rfc3339, .. } => ("2026-11-20T00:00:00Z", vec![Mask::Redact]),
        ColumnType::Timestamp { .. } => ("2026-11-20 00:00:00", vec![Mask::Redact]),
        ColumnType::Date { .. } => ("2026-11-20", vec![Mask::Redact]),
        ColumnType::Ipv4 => ("192.0.2.1", vec![Mask::Redact, Mask::IpPrefix { v4: 24, v6: 48 }]),
        ColumnType::Ipv6 => ("::1", vec![Mask::Redact, Mask::IpPrefix { v4: 24, v6: 48 }]),
        ColumnType::Uuid => ("00112233-4455-6677-8899-aabbccddeeff", vec![Mask::Redact]),
        ColumnType::Json => ("[1]", vec![Mask::Redact]),
        ColumnType::List(_) => ("[]", vec![Mask::Redact]),
        _ => ("7", vec![Mask::Redact]),
    }
}

fn quoted(text: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    text.prop_map(|text| format!("\"{text}\"")).boxed()
}

fn octet() -> impl Strategy<Value = String> {
    prop_oneof![8 => (0u16..256).prop_map(|octet| octet.to_string()), 1 => "[0-9]{1,4}"]
}

fn number() -> BoxedStrategy<String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,2})",
        "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,4})?",
        "-?[1-9]\\.[0-9]{1,20}",
        "1[0-9]{12}",
        "-?[1-9]([eE][-+]?[0-9]{1,2})?",
    ]
    .boxed()
}

/// A value that often fits the type, and often nearly.
fn fitting(ty: &ColumnType) -> BoxedStrategy<String> {
    match ty {
        ColumnType::String | ColumnType::LowCardinality => {
            quoted("[a-c]{0,2}|[a-z]{0,40}|\\PC{0,6}x{0,80}".prop_map(|text| text.replace(['"', '\\'], "\\n")))
        }
        ColumnType::Bool => prop_oneof!["true|false|1|0|2", quoted("true|FALSE|1|0|yes")].boxed(),
        ColumnType::Timestamp { format: TimeFormat::Epoch(_), .. } => {
            prop_oneof![8 => "1[0-9]{9}|1[0-9]{12}", 1 => number(), 1 => quoted("-?1[0-9]{9}(\\.[0-9]{0,6})?")].boxed()
        }
        ColumnType::Timestamp { format: TimeFormat::Rfc3339, .. } => {
            quoted("20[0-2][0-9]-[01][0-9]-[0-2][1-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,10})?(Z|\\+08:00)")
        }
        ColumnType::Timestamp { .. } => quoted("2026-11-[0-3][0-9] 0[0-9]:00:00"),
        ColumnType::Date { .. } => quoted("2026-[01][0-9]-[0-3][0-9]"),
        ColumnType::Ipv4 => quoted([octet(), octet(), octet(), octet()].prop_map(|octets| octets.join("."))),
        ColumnType::Ipv6 => quoted("[0-9a-f]{1,4}::[0-9a-f]{1,4}|192\\.0\\.2\\.[0-9]{1,3}"),
        ColumnType::Uuid => quoted(
            "[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-g]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        ),
        ColumnType::Json => "\\{\"a\":\\[1,\"é\"\\]\\}|\\[[0-9]\\]|\"[a-z]{0,20}\"|\"\\\\n\"|true|12".boxed(),
        ColumnType::List(item) if **item == ColumnType::I32 => {
            "\\[([0-9],){0,3}[1-9][0-9]{0,10}\\]|\\[\\]|\\[null\\]".boxed()
        }
        ColumnType::List(_) => "\\[\"[a-b]\",\"\\\\t\"\\]|\\[\\]|\\[[0-9]\\]".boxed(),
        _ => prop_oneof![8 => number(), 1 => quoted(number())].boxed(),
    }
}

/// A value of any kind, whatever the type.
fn any_value() -> BoxedStrategy<String> {
    "null|true|false|12|-0|\"\"|\"é\"|\"\\\\u00e9\"|\"\\\\\\\\\"|\\{\\}|\\[\\]|\\[1\\]|\\{\"a\":1\\}|1e400|\"[ -!#-\\[\\]-~]{0,70}\"".boxed()
}

/// A type, and values for it: mostly fitting ones, so that whole blocks fit.
fn case() -> impl Strategy<Value = (ColumnType, Vec<Option<String>>)> {
    (0..types().len(), 0u32..3, 0u32..3).prop_flat_map(|(which, odd, missing)| {
        let ty = types()[which].clone();
        let value = prop_oneof![
            30 => fitting(&ty).prop_map(Some),
            odd => any_value().prop_map(Some),
            missing * 20 => prop_oneof![Just(None), Just(Some("null".to_owned()))],
        ];
        (Just(ty), proptest::collection::vec(value, 1..100))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn blocks_are_their_rows(
        (ty, values) in case(),
        (nullable, required, has_default, event) in any::<(bool, bool, bool, bool)>(),
        mask in 0usize..8,
        rows in 1usize..90,
    ) {
        let (default, masks) = extras(&ty);
        let spec = ColumnSpec {
            name: "c".into(),
            default: has_default.then(|| default.to_owned()),
            path: Path(Vec::new()),
            nullable,
            required: required && !has_default && !nullable,
            mask: masks.get(mask).cloned(),
            ty,
        };
        check(&spec, event, &Records::new(&values), rows);
    }
}

fn spec(ty: ColumnType) -> ColumnSpec {
    ColumnSpec {
        name: "c".into(),
        ty,
        path: Path(Vec::new()),
        default: None,
        nullable: false,
        required: false,
        mask: None,
    }
}

/// Values as long as chunks are, and about so, with other text around them.
#[test]
fn texts_of_every_length() {
    let values: Vec<_> = (0..200)
        .map(|len| Some(format!("\"{}\"", "0123456789é".repeat(20).chars().take(len).collect::<String>())))
        .collect();
    for ty in [ColumnType::String, ColumnType::LowCardinality, ColumnType::Json] {
        check(&spec(ty), false, &Records::new(&values), 70);
    }
}

#[test]
fn a_column_that_no_record_has() {
    let values = vec![None; 300];
    for ty in types() {
        for nullable in [false, true] {
            check(&ColumnSpec { nullable, ..spec(ty.clone()) }, false, &Records::new(&values), 256);
        }
    }
}

#[test]
fn a_number_of_a_million_digits() {
    let values = [Some("1".repeat(1_000_000)), Some("1".to_owned()), Some(format!("1.{}", "0".repeat(1_000_000)))];
    for ty in [ColumnType::I64, ColumnType::String, ColumnType::F64, ColumnType::Decimal { precision: 18, scale: 2 }] {
        check(&spec(ty), false, &Records::new(&values), 3);
    }
}

#[test]
fn the_buffers_of_a_batch_become_those_of_the_next() {
    let values: Vec<_> = (0..10_000).map(|row| Some(format!("\"1234567890{row}\""))).collect();
    let records = Records::new(&values);
    for ty in [ColumnType::String, ColumnType::I64, ColumnType::LowCardinality] {
        let mut builder = ColumnBuilder::new(&spec(ty.clone()));
        let place = |builder: &mut ColumnBuilder| {
            builder.push_spans(&records.bytes, &records.spans, Kernels::widest(), &mut String::new()).expect("fits");
            let array = builder.finish();
            let place = array.to_data().buffers()[0].as_ptr();
            (array, place)
        };
        let (first, first_place) = place(&mut builder);
        builder.recycle(first);
        let (second, second_place) = place(&mut builder);
        assert_eq!(first_place, second_place, "{ty:?}");
        let held = second.clone();
        builder.recycle(second);
        let (third, third_place) = place(&mut builder);
        assert_ne!(second_place, third_place, "somebody holds the second batch's buffers");
        assert_eq!(held.to_data(), third.to_data());
        // Cut and shared arrays, and those of another type, are no trouble.
        builder.recycle(third.slice(10, 20));
        builder.recycle(Arc::new(arrow_array::Float64Array::from(vec![1.0; 9])));
        assert_eq!(held.to_data(), place(&mut builder).0.to_data());
    }
}
