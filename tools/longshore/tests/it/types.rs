//! Every column type goes through ArrowStream into its ClickHouse type and comes back as it was, extremes included.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use longshore_core::config::WireCompression;
use longshore_core::slice::SliceId;
use longshore_ingest::sink::Sink;
use longshore_sinks::clickhouse::{ClickHouseSink, Schema};

use crate::database::{TestDatabase, loaded_slice};

/// A column under test: its declaration, two values in Arrow, and what ClickHouse says they are.
struct Case {
    name: &'static str,
    ty: &'static str,
    values: ArrayRef,
    expected: [&'static str; 2],
}

fn case(name: &'static str, ty: &'static str, values: ArrayRef, expected: [&'static str; 2]) -> Case {
    Case { name, ty, values, expected }
}

fn sixteen_bytes(values: [[u8; 16]; 2]) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter(values.iter()).unwrap())
}

/// The bytes of 00112233-4455-6677-8899-aabbccddeeff in the order of its text.
const UUID: [u8; 16] = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
/// The bytes of 2001:db8::1 in network order.
const IPV6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The bytes of ::ffff:10.1.2.3.
const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];

fn list<T: arrow_array::Array + 'static>(items: T, lengths: [usize; 2]) -> ArrayRef {
    let field = Arc::new(Field::new(Field::LIST_FIELD_DEFAULT_NAME, items.data_type().clone(), false));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), Arc::new(items), None))
}

fn scalars() -> Vec<Case> {
    let text = StringArray::from(vec!["", "日本 \"q\" \\ tab\t nl\n nul\0 😀"]);
    let dictionary: DictionaryArray<Int32Type> = vec!["b", "a"].into_iter().collect();
    vec![
        case("s", "string", Arc::new(text), ["", "日本 \"q\" \\ tab\t nl\n nul\0 😀"]),
        case("lc", "low_cardinality", Arc::new(dictionary), ["b", "a"]),
        case(
            "js",
            "json",
            Arc::new(StringArray::from(vec!["{\"a\":[1,null]}", "1e400"])),
            ["{\"a\":[1,null]}", "1e400"],
        ),
        case("a8", "i8", Arc::new(Int8Array::from(vec![i8::MIN, i8::MAX])), ["-128", "127"]),
        case("a16", "i16", Arc::new(Int16Array::from(vec![i16::MIN, i16::MAX])), ["-32768", "32767"]),
        case("a32", "i32", Arc::new(Int32Array::from(vec![i32::MIN, i32::MAX])), ["-2147483648", "2147483647"]),
        case(
            "a64",
            "i64",
            Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX])),
            ["-9223372036854775808", "9223372036854775807"],
        ),
        case("b8", "u8", Arc::new(UInt8Array::from(vec![0, u8::MAX])), ["0", "255"]),
        case("b16", "u16", Arc::new(UInt16Array::from(vec![0, u16::MAX])), ["0", "65535"]),
        case("b32", "u32", Arc::new(UInt32Array::from(vec![0, u32::MAX])), ["0", "4294967295"]),
        case("b64", "u64", Arc::new(UInt64Array::from(vec![0, u64::MAX])), ["0", "18446744073709551615"]),
        case(
            "c32",
            "f32",
            Arc::new(Float32Array::from(vec![f32::MIN_POSITIVE, f32::MAX])),
            ["1.1754944e-38", "3.4028235e38"],
        ),
        case("c64", "f64", Arc::new(Float64Array::from(vec![-0.1, f64::MAX])), ["-0.1", "1.7976931348623157e308"]),
        case("bo", "bool", Arc::new(BooleanArray::from(vec![true, false])), ["true", "false"]),
        case("ip4", "ipv4", Arc::new(UInt32Array::from(vec![0x0a01_0203, u32::MAX])), ["10.1.2.3", "255.255.255.255"]),
        case("ip6", "ipv6", sixteen_bytes([IPV6, MAPPED]), ["2001:db8::1", "::ffff:10.1.2.3"]),
        case(
            "uu",
            "uuid",
            sixteen_bytes([UUID, [0xff; 16]]),
            ["00112233-4455-6677-8899-aabbccddeeff", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        ),
    ]
}

fn decimals() -> Vec<Case> {
    let decimal = |precision, scale, values: Vec<i128>| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
    };
    let digits38: i128 = 10_i128.pow(38) - 1;
    vec![
        case("d4", "decimal(4,2)", decimal(4, 2, vec![-9999, 9999]), ["-99.99", "99.99"]),
        case(
            "d18",
            "decimal(18,2)",
            decimal(18, 2, vec![-1, 999_999_999_999_999_999]),
            ["-0.01", "9999999999999999.99"],
        ),
        case(
            "d38",
            "decimal(38,10)",
            decimal(38, 10, vec![-digits38, digits38]),
            ["-9999999999999999999999999999.9999999999", "9999999999999999999999999999.9999999999"],
        ),
    ]
}

fn times() -> Vec<Case> {
    // 1900-01-01 and 2299-12-31 23:59:59 in seconds since 1970; nanoseconds reach to 2262-04-11 only.
    let (first, last): (i64, i64) = (-2_208_988_800, 10_413_791_999);
    vec![
        case(
            "t0",
            "timestamp(s)",
            Arc::new(TimestampSecondArray::from(vec![first, last]).with_timezone("UTC")),
            ["1900-01-01 00:00:00", "2299-12-31 23:59:59"],
        ),
        case(
            "t3",
            "timestamp(ms)",
            Arc::new(TimestampMillisecondArray::from(vec![-1, last * 1000 + 999]).with_timezone("UTC")),
            ["1969-12-31 23:59:59.999", "2299-12-31 23:59:59.999"],
        ),
        case(
            "t6",
            "timestamp(us)",
            Arc::new(TimestampMicrosecondArray::from(vec![first * 1_000_000, -1]).with_timezone("UTC")),
            ["1900-01-01 00:00:00.000000", "1969-12-31 23:59:59.999999"],
        ),
        case(
            "t9",
            "timestamp(ns)",
            Arc::new(TimestampNanosecondArray::from(vec![1, 9_223_286_399_999_999_999]).with_timezone("UTC")),
            ["1970-01-01 00:00:00.000000001", "2262-04-10 23:59:59.999999999"],
        ),
        case("da", "date", Arc::new(Date32Array::from(vec![-25567, 120_529])), ["1900-01-01", "2299-12-31"]),
    ]
}

fn lists() -> Vec<Case> {
    vec![
        case("ls", "list(string)", list(StringArray::from(vec!["a", "", "x'y"]), [3, 0]), ["['a','','x\\'y']", "[]"]),
        case(
            "li",
            "list(i64)",
            list(Int64Array::from(vec![i64::MIN, 1, 2]), [1, 2]),
            ["[-9223372036854775808]", "[1,2]"],
        ),
        case(
            "lu",
            "list(uuid)",
            list(FixedSizeBinaryArray::try_from_iter([UUID].iter()).unwrap(), [1, 0]),
            ["['00112233-4455-6677-8899-aabbccddeeff']", "[]"],
        ),
        case(
            "l6",
            "list(ipv6)",
            list(FixedSizeBinaryArray::try_from_iter([IPV6].iter()).unwrap(), [1, 0]),
            ["['2001:db8::1']", "[]"],
        ),
        case("l4", "list(ipv4)", list(UInt32Array::from(vec![0x0a01_0203]), [0, 1]), ["[]", "['10.1.2.3']"]),
        case("lb", "list(bool)", list(BooleanArray::from(vec![true, false]), [2, 0]), ["[true,false]", "[]"]),
        case(
            "ld",
            "list(decimal(18,2))",
            list(Decimal128Array::from(vec![-5]).with_precision_and_scale(18, 2).unwrap(), [0, 1]),
            ["[]", "[-0.05]"],
        ),
        case("lt", "list(date)", list(Date32Array::from(vec![-1]), [0, 1]), ["[]", "['1969-12-31']"]),
    ]
}

/// The keys of a type; `timestamp(ms)` is short for a timestamp of that precision.
fn type_keys(ty: &str) -> String {
    match ty.strip_prefix("timestamp(").and_then(|rest| rest.strip_suffix(')')) {
        Some(precision) => format!("type = \"timestamp\"\nprecision = \"{precision}\"\n"),
        None => format!("type = \"{ty}\"\n"),
    }
}

/// The config text of these columns, each once as it is and, unless it is a list, once nullable as `n_<name>`.
fn columns_text(cases: &[Case]) -> String {
    let mut text = String::from("[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n");
    for case in cases {
        text += &format!("[[column]]\nname = \"{}\"\n{}", case.name, type_keys(case.ty));
        if !case.ty.starts_with("list") {
            text += &format!("[[column]]\nname = \"n_{}\"\nnullable = true\n{}", case.name, type_keys(case.ty));
        }
    }
    text + "[products]\nfixed = \"shop\"\n[table]\ntime = \"ts\"\n"
}

/// The first value and a null.
fn first_and_null(values: &ArrayRef) -> ArrayRef {
    let nulls = NullBuffer::from(vec![true, false]);
    arrow_array::make_array(values.to_data().into_builder().nulls(Some(nulls)).build().unwrap())
}

fn batch(cases: &[Case]) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let time = TimestampMillisecondArray::from(vec![1_795_132_800_000; 2]).with_timezone("UTC");
    columns.push(("ts".to_owned(), Arc::new(time)));
    for case in cases {
        columns.push((case.name.to_owned(), Arc::clone(&case.values)));
        if !case.ty.starts_with("list") {
            columns.push((format!("n_{}", case.name), first_and_null(&case.values)));
        }
    }
    let product: DictionaryArray<Int32Type> = std::iter::repeat_n("shop", 2).collect();
    columns.push(("product".to_owned(), Arc::new(product)));
    columns.push(("_slice".to_owned(), Arc::new(UInt64Array::from(vec![7; 2]))));
    columns.push(("_row".to_owned(), Arc::new(UInt32Array::from(vec![0, 1]))));
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            let nullable = name.starts_with("n_");
            let data_type: DataType = array.data_type().clone();
            Field::new(name, data_type, nullable)
        })
        .collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())
        .unwrap()
}

fn round_trip(cases: Vec<Case>, compression: WireCompression) {
    let database = TestDatabase::with_compression("types", compression);
    let config = database.config(&columns_text(&cases));
    Schema::from_config(&config).apply(&database.clickhouse).unwrap();
    let sink = ClickHouseSink::new(&database.clickhouse, &config).unwrap();
    let slice = loaded_slice(7, batch(&cases), Vec::new());
    assert_eq!(slice.meta.id, SliceId(7));
    sink.write(&slice).unwrap();
    for case in &cases {
        let rows = database.rows(&format!("SELECT toString(`{}`) FROM {{db}}.events ORDER BY _row", case.name));
        let found: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(found, case.expected, "{} {}", case.name, case.ty);
        if !case.ty.starts_with("list") {
            let rows = database.rows(&format!("SELECT toString(`n_{}`) FROM {{db}}.events ORDER BY _row", case.name));
            let found: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
            assert_eq!(found, [case.expected[0], "\\N"], "nullable {} {}", case.name, case.ty);
        }
    }
}

#[test]
fn scalars_round_trip() {
    round_trip(scalars(), WireCompression::None);
}

#[test]
fn scalars_round_trip_compressed() {
    round_trip(scalars(), WireCompression::Lz4);
}

#[test]
fn decimals_round_trip_to_the_last_digit() {
    round_trip(decimals(), WireCompression::Auto);
}

#[test]
fn times_round_trip_from_1900_to_2299() {
    round_trip(times(), WireCompression::Auto);
}

#[test]
fn lists_round_trip() {
    round_trip(lists(), WireCompression::Auto);
}
