//! The ways through a decoder against each other: the fast pass with each kernel of the machine, and the careful one.
//! They must agree on every row, every dead letter and its words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::simd::Kernels;

const SECTIONS: &str = r#"
[products]
column = "p"
dictionary = "products.csv"
unknown = "dead_letter"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "p"
type = "low_cardinality"
[[column]]
name = "name"
type = "string"
[[column]]
name = "same_name"
type = "low_cardinality"
path = "name"
[[column]]
name = "amount"
type = "decimal(9,2)"
nullable = true
[[column]]
name = "n"
type = "i16"
default = "7"
[[column]]
name = "is_new"
type = "bool"
nullable = true
[[column]]
name = "ratio"
type = "f64"
[[column]]
name = "id"
type = "uuid"
[[column]]
name = "ip"
type = "ipv4"
[[column]]
name = "props"
type = "json"
[[column]]
name = "net"
type = "string"
path = "props.net"
nullable = true
[[column]]
name = "second"
type = "string"
path = "tags[1]"
[[column]]
name = "tags"
type = "list(string)"
[[column]]
name = "sizes"
type = "list(u32)"
[[filter]]
drop = { name = ["drop", "é"] }
"#;

const DICTIONARY: &str = "id,name\np1,One\np2,Two\nproduct-with-a-long-name,Three\n";

/// A member's text; most are what a program would write.
fn member() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => "[a-z/]{0,40}", 1 => Just("drop".to_owned()), 1 => Just("é".to_owned()),
        1 => Just("a\\nb\\u00e9\\\"".to_owned()), 1 => Just("\\u0064rop".to_owned()), 1 => "[ -~é\u{1}]{0,20}",
    ];
    let number = prop_oneof![
        4 => any::<i16>().prop_map(|n| n.to_string()),
        1 => select(vec!["1.50", "-0.0", "1e2", "01", "1.", "99999", "null", "\"12\"", "true"]).prop_map(str::to_owned),
    ];
    let props = select(vec![
        r#"{"n":12,"net":"cell","ab":[6,112],"dur_ms":55754}"#,
        r#"{"n":1,"net":"4g","ab":[7,18],"scroll":0.21}"#,
        r#"{"n":1,"net":null}"#,
        r#"{ "n": 1, "net": "wi fi", "deep": {"a": [[], {}, [{"b": [1, 2, {"c": "\\"}]}]]} }"#,
        r#"{}"#,
        r#"[]"#,
        r#"null"#,
        r#""text""#,
        r#"{"net":{"net":1}}"#,
        r#"{"n":1,}"#,
        r#"[[[[[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]]]]"#,
    ]);
    let tags = select(vec![
        r#"["a","b","c"]"#,
        r#"["a"]"#,
        "[]",
        r#"["a","b\n","ccc"]"#,
        r#"[1,"b",true]"#,
        "[null]",
        "null",
        "\"a\"",
        r#"["a",{"b":1}]"#,
    ]);
    let sizes = select(vec!["[1,2,3]", "[]", "[-1]", "[4294967295]", "[4294967296]", "[1, 2 ,3]", "null"]);
    prop_oneof![
        name.prop_map(|name| format!("\"name\":\"{name}\"")),
        select(vec!["p1", "p2", "product-with-a-long-name", "p9", ""]).prop_map(|p| format!("\"p\":\"{p}\"")),
        any::<u32>().prop_map(|ts| format!("\"ts\":1795161604{:03}", ts % 1000)),
        number.clone().prop_map(|n| format!("\"n\":{n}")),
        number.clone().prop_map(|n| format!("\"amount\":{n}")),
        number.prop_map(|n| format!("\"ratio\":{n}")),
        select(vec!["true", "false", "null", "1", "\"TRUE\"", "tru"]).prop_map(|b| format!("\"is_new\":{b}")),
        select(vec!["\"c04bd407-7835-4831-8ee7-2c31a27aa50d\"", "\"C04BD40778354831 8ee7-2c31a27aa50d\"", "null"])
            .prop_map(|id| format!("\"id\":{id}")),
        select(vec!["\"123.49.253.164\"", "\"1.2.3.4\"", "\"256.1.1.1\"", "\"\"", "null"])
            .prop_map(|ip| format!("\"ip\":{ip}")),
        props.prop_map(|props| format!("\"props\":{props}")),
        tags.prop_map(|tags| format!("\"tags\":{tags}")),
        sizes.prop_map(|sizes| format!("\"sizes\":{sizes}")),
        "[a-z]{1,60}".prop_map(|key| format!("\"{key}\":\"not wanted\"")),
        Just("\"na\\u006de\":\"escaped key\"".to_owned()),
    ]
}

/// Records that follow a template closely, and records that follow nothing.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let regular = (any::<u32>(), select(vec!["p1", "p2"]), select(vec!["a", "bc", "drop", "漢字"]), any::<u8>())
        .prop_map(|(ts, product, name, n)| {
            let props = if n % 3 == 0 {
                r#"{"n":1,"net":"4g","ab":[7,18]}"#
            } else {
                r#"{"n":53,"net":"cell","ab":[1,2],"dur":0.5}"#
            };
            let amount = if n % 7 == 0 { "12.50" } else { "null" };
            format!(
                "{{\"ts\":1795161604{:03},\"p\":\"{product}\",\"name\":\"{name}\",\"n\":{n},\"ip\":\"10.0.0.{n}\",\
                 \"id\":\"c04bd407-7835-4831-8ee7-2c31a27aa5{n:02x}\",\"props\":{props},\"amount\":{amount},\
                 \"tags\":[\"x\",\"y\"],\"sizes\":[1]}}",
                ts % 1000
            )
        });
    let any_members = (
        prop::collection::vec(member(), 0..14),
        select(vec!["{", "{ ", " {", "", "{\t"]),
        select(vec![",", ", ", " ,"]),
    )
        .prop_map(|(members, open, comma)| {
            let ts_and_product = ["\"ts\":1795161604193".to_owned(), "\"p\":\"p1\"".to_owned()];
            let members: Vec<String> = ts_and_product.into_iter().chain(members).collect();
            format!("{open}{}}}", members.join(comma))
        });
    let whole = prop_oneof![5 => regular.prop_map(String::into_bytes), 3 => any_members.prop_map(String::into_bytes)];
    let damage = prop_oneof![
        8 => Just(None),
        1 => (any::<prop::sample::Index>(), prop_oneof![select(&b"\"\\{}[],: \n\r\x00\xff"[..]), any::<u8>()]).prop_map(Some),
    ];
    let cut = prop_oneof![12 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (whole, damage, cut).prop_map(|(mut record, damage, cut)| {
        if let Some((at, byte)) = damage {
            let at = at.index(record.len());
            record[at] = byte;
        }
        if let Some(cut) = cut {
            record.truncate(cut.index(record.len()));
        }
        record
    })
}

fn plain() -> Decoder {
    decoder_with_products(SECTIONS, DICTIONARY)
}

fn agree(slice: &Slice, decoder: impl Fn() -> Decoder) {
    let careful = decode(&decoder().careful(), slice);
    let mut bytes = Vec::new();
    for kernels in Kernels::all() {
        let fast = decode(&decoder().with_kernels(kernels), slice);
        assert_eq!(fast.batch, careful.batch, "{kernels}");
        assert_eq!(fast.dead, careful.dead, "{kernels}");
        assert_eq!((fast.records, fast.filtered), (careful.records, careful.filtered), "{kernels}");
        assert_eq!(fast.rows_by_product, careful.rows_by_product, "{kernels}");
        bytes.push(fast.batch.columns().iter().map(|column| column.to_data()).collect::<Vec<_>>());
    }
    for (kernels, other) in Kernels::all().iter().zip(&bytes) {
        for (one, other) in bytes[0].iter().zip(other) {
            assert_eq!((one.buffers(), one.nulls()), (other.buffers(), other.nulls()), "{kernels}: other bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn fast_and_careful_agree(records in prop::collection::vec(record(), 0..200), ends in select(vec!["\n", "\r\n", "\n\n"])) {
        let bytes = records.iter().flat_map(|record| [record.as_slice(), ends.as_bytes()].concat()).collect::<Vec<u8>>();
        agree(&slice(0, bytes), plain);
    }

    #[test]
    fn they_agree_on_sealed_records(records in prop::collection::vec(record(), 0..150)) {
        let mut bytes = Vec::new();
        for (number, record) in records.iter().enumerate() {
            let (nonce, mut text) = super::formats::seal(record);
            if number % 29 == 7 {
                text[0] ^= 1;
            }
            bytes.extend(format!("k1\t{}\n", STANDARD.encode([&nonce[..], &text].concat())).into_bytes());
        }
        let decoder = || super::formats::sealed_decoder_of("tab", SECTIONS, Some(DICTIONARY));
        agree(&slice(0, bytes), decoder);
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
        let slice = slice(0, text);
        agree(&slice, plain);
        let decoded = decode(&plain(), &slice);
        assert_eq!(rows(&decoded.batch), [0, 1, 2, 3, 4]);
    }
}
