//! Products and filters.

use super::*;
use crate::decode::DecoderError;

const DICTIONARY: &str = "id,name,family\np1,One,games\np2,Two,\nother,Other,misc\n";

/// The columns, with a dictionary.
fn sections(product_type: &str, products: &str) -> String {
    COLUMNS
        .replace("\"low_cardinality\"", product_type)
        .replace("column = \"p\"", &format!("column = \"p\"\ndictionary = \"products.csv\"\n{products}"))
}

const RECORDS: &str = r#"{"ts":1,"p":"p2","name":"a"}
{"ts":2,"p":"p9","name":"b"}
{"ts":3,"p":"p1","name":"c"}
{"ts":4,"p":"p9","name":"d"}
{"ts":5,"name":"e"}
{"ts":6,"p":"p2","name":"f"}
"#;

#[test]
fn unknown_products_are_dead_letters_or_the_default_product() {
    for product_type in ["\"low_cardinality\"", "\"string\""] {
        let strict = sections(product_type, "unknown = \"dead_letter\"");
        let decoded = decode(&decoder_with_products(&strict, DICTIONARY), &slice(0, RECORDS));
        assert_eq!(texts(&decoded.batch, "p"), ["p2", "p1", "p2"]);
        assert_eq!(texts(&decoded.batch, "name"), ["a", "c", "f"]);
        assert_eq!(by_product(&decoded), [("p1", 1), ("p2", 2)]);
        let reasons: Vec<_> = decoded.dead.iter().map(|letter| (letter.row, letter.fault.reason)).collect();
        assert_eq!(reasons, [1, 3, 4].map(|row| (row, Reason::UnknownProduct)));

        let lenient =
            sections(product_type, "unknown = \"default\"\ndefault = \"other\"\nadd = [\"family\", \"name\"]");
        let decoded = decode(&decoder_with_products(&lenient, DICTIONARY), &slice(0, RECORDS));
        assert_eq!(texts(&decoded.batch, "p"), ["p2", "other", "p1", "other", "other", "p2"]);
        assert_eq!(texts(&decoded.batch, "name"), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(texts(&decoded.batch, "product_family"), ["", "misc", "games", "misc", "misc", ""]);
        assert_eq!(texts(&decoded.batch, "product_name"), ["Two", "Other", "One", "Other", "Other", "Two"]);
        assert_eq!(by_product(&decoded), [("other", 3), ("p1", 1), ("p2", 2)]);
        assert_eq!(
            names(&decoded.batch).iter().map(|name| &**name).collect::<Vec<_>>(),
            ["ts", "name", "p", "product_family", "product_name", "_slice", "_row"]
        );
    }
}

#[test]
fn without_a_dictionary_every_product_is_known() {
    for product_type in ["\"low_cardinality\"", "\"string\""] {
        let sections = COLUMNS.replace("\"low_cardinality\"", product_type);
        let decoded = decode(&decoder(&sections), &slice(0, RECORDS));
        assert_eq!(by_product(&decoded), [("", 1), ("p1", 1), ("p2", 2), ("p9", 2)]);
        assert_eq!(decoded.dead, []);
    }
}

#[test]
fn a_fixed_product_is_a_column_of_its_own() {
    let decoder = decoder(&COLUMNS.replace("column = \"p\"", "fixed = \"web\""));
    let decoded = decode(&decoder, &slice(0, RECORDS));
    assert_eq!(texts(&decoded.batch, "product"), vec!["web"; 6]);
    assert_eq!(by_product(&decoded), [("web", 6)]);
    let decoded = decode(&decoder, &slice(0, "bad\n"));
    assert_eq!(by_product(&decoded), []);
}

#[test]
fn a_long_unknown_product_is_shown_in_part() {
    let strict = sections("\"low_cardinality\"", "unknown = \"dead_letter\"");
    let record = format!("{{\"ts\":1,\"p\":\"{}\"}}\n", "é".repeat(10_000));
    let decoded = decode(&decoder_with_products(&strict, DICTIONARY), &slice(0, record));
    let detail = &decoded.dead[0].fault.detail;
    assert!(detail.starts_with(&format!("the dictionary has no product \"{}...\"", "é".repeat(80))), "{detail}");
}

#[test]
fn filters_drop_or_keep_by_what_the_columns_store() {
    let filtered = |filter: &str, types: &str| {
        let sections = format!("{COLUMNS}{types}[[filter]]\n{filter}\n");
        let decoded = decode(&decoder(&sections), &slice(0, RECORDS));
        (texts(&decoded.batch, "name").concat(), decoded.filtered)
    };
    assert_eq!(filtered("drop = { name = [\"b\", \"f\", \"x\"] }", ""), ("acde".to_owned(), 2));
    assert_eq!(filtered("keep = { name = [\"f\", \"b\"] }", ""), ("bf".to_owned(), 4));
    assert_eq!(filtered("drop = { p = \"p9\" }\n[[filter]]\nkeep = { p = [\"p1\", \"p9\"] }", ""), ("c".to_owned(), 5));
    let number = "[[column]]\nname = \"n\"\ntype = \"u16\"\npath = \"ts\"\n";
    assert_eq!(filtered("drop = { n = [3, 10] }", number), ("abdef".to_owned(), 1));
    // Null has none of the values.
    let nullable = "[[column]]\nname = \"q\"\ntype = \"string\"\npath = \"p\"\nnullable = true\n";
    assert_eq!(filtered("drop = { q = [\"p2\", \"p9\", \"\"] }", nullable), ("ce".to_owned(), 4));
    assert_eq!(filtered("keep = { q = [\"p2\", \"p9\", \"\"] }", nullable), ("abdf".to_owned(), 2));
    // Masked before it is compared.
    let masked = "[[column]]\nname = \"m\"\ntype = \"string\"\npath = \"p\"\nmask = { truncate = 1 }\n";
    assert_eq!(filtered("drop = { m = \"p\" }", masked), ("e".to_owned(), 5));
}

#[test]
fn a_filtered_record_need_not_have_a_known_product() {
    let strict = sections("\"low_cardinality\"", "unknown = \"dead_letter\"") + "[[filter]]\ndrop = { p = \"p9\" }\n";
    let decoded = decode(&decoder_with_products(&strict, DICTIONARY), &slice(0, RECORDS));
    assert_eq!((decoded.filtered, decoded.dead.len()), (2, 1));
    assert_eq!(rows(&decoded.batch), [0, 2, 5]);
}

#[test]
fn a_decoder_needs_what_the_config_names() {
    let strict = config(&sections("\"string\"", "unknown = \"dead_letter\""));
    assert_eq!(Decoder::new(&strict, None, None).unwrap_err(), DecoderError::NoDictionary);
    let dictionary = Dictionary::parse_csv(b"id\np1\n", "products.csv").unwrap();
    let adds = config(&sections("\"string\"", "unknown = \"dead_letter\"\nadd = [\"family\"]"));
    let error = Decoder::new(&adds, None, Some(dictionary)).unwrap_err();
    assert!(matches!(&error, DecoderError::Dictionary(_)), "{error}");
    let sealed = format!("[decode.envelope]\nlayout = \"tab\"\nkeyring = \"keys.toml\"\n{COLUMNS}");
    assert_eq!(Decoder::new(&config(&sealed), None, None).unwrap_err(), DecoderError::NoKeyring);
}
