use proptest::prelude::*;

use super::{Dictionary, DictionaryProblem};
use crate::config::{DictionarySpec, UnknownProduct};
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_COLUMNS_MAX, PRODUCTS_MAX};

const CSV: &str = "\
id,name,family,owner,tier
p1,Alpha,games,ann@example.com,1
p2,\"Beta, the second\",games,,2
p3,Ünïcode 😀,\"say \"\"hi\"\"\",bob,
";

const TOML: &str = r#"
[[product]]
id = "p1"
name = "Alpha"
family = "games"
owner = "ann@example.com"
tier = "1"

[[product]]
id = "p2"
name = "Beta, the second"
family = "games"
tier = "2"

[[product]]
tier = ""
id = "p3"
name = "Ünïcode 😀"
family = 'say "hi"'
owner = "bob"
"#;

fn csv(text: &str) -> Result<Dictionary, String> {
    Dictionary::parse_csv(text.as_bytes(), "products.csv").map_err(|error| error.to_string())
}

fn toml(text: &str) -> Result<Dictionary, String> {
    Dictionary::parse_toml(text.as_bytes(), "products.toml").map_err(|error| error.to_string())
}

fn csv_error(text: &str) -> String {
    csv(text).map(drop).unwrap_err()
}

fn toml_error(text: &str) -> String {
    toml(text).map(drop).unwrap_err()
}

fn value<'d>(dictionary: &'d Dictionary, id: &str, column: &str) -> &'d str {
    dictionary.value(dictionary.lookup(id).unwrap(), dictionary.column(column).unwrap())
}

#[test]
fn csv_and_toml_give_the_same_products() {
    for dictionary in [csv(CSV).unwrap(), toml(TOML).unwrap()] {
        assert_eq!(dictionary.len(), 3);
        assert!(!dictionary.is_empty());
        assert_eq!(dictionary.columns(), ["id", "name", "family", "owner", "tier"]);
        let ids: Vec<&str> = dictionary.products().map(|product| dictionary.id(product)).collect();
        assert_eq!(ids, ["p1", "p2", "p3"]);
        assert_eq!(value(&dictionary, "p1", "name"), "Alpha");
        assert_eq!(value(&dictionary, "p1", "owner"), "ann@example.com");
        assert_eq!(value(&dictionary, "p2", "name"), "Beta, the second");
        assert_eq!(value(&dictionary, "p2", "owner"), "");
        assert_eq!(value(&dictionary, "p3", "name"), "Ünïcode 😀");
        assert_eq!(value(&dictionary, "p3", "family"), "say \"hi\"");
        assert_eq!(value(&dictionary, "p3", "tier"), "");
        assert_eq!(value(&dictionary, "p3", "id"), "p3");
        assert_eq!(dictionary.lookup("p4"), None);
        assert_eq!(dictionary.lookup("P1"), None);
        assert_eq!(dictionary.lookup(""), None);
        assert_eq!(dictionary.column("colour"), None);
    }
}

#[test]
fn csv_as_spreadsheets_write_it() {
    let dictionary = csv("\u{FEFF}name, id ,owner\r\n Alpha , p1,ann\r\n\r\n\"Be\nta\",p2,\r\n").unwrap();
    assert_eq!(dictionary.columns(), ["name", "id", "owner"]);
    assert_eq!(dictionary.len(), 2);
    assert_eq!(value(&dictionary, "p1", "name"), "Alpha");
    assert_eq!(value(&dictionary, "p2", "name"), "Be\nta");
    assert_eq!(dictionary.id(dictionary.lookup("p2").unwrap()), "p2");
}

#[test]
fn the_last_line_needs_no_ending() {
    assert_eq!(csv("id\np1\np2").unwrap().len(), 2);
}

#[test]
fn csv_errors_name_the_line_and_what_to_do() {
    let ragged =
        "values, the header has 2 columns: add or remove commas, and put quotes around a value that contains one";
    let cases = [
        ("", "products.csv, line 1: no column `id`; the header names nothing: is the file empty?".to_owned()),
        (
            "ID,name\np1,a\n",
            "products.csv, line 1: no column `id`; the header names `ID`, `name`: write `ID` in lower case".to_owned(),
        ),
        (
            "sku,name\np1,a\n",
            "products.csv, line 1: no column `id`; the header names `sku`, `name`: rename the one that holds the id \
             which the logs use"
                .to_owned(),
        ),
        (
            "id;name\np1;a\n",
            "products.csv, line 1: no column `id`; the header names `id;name`: the columns must be separated by commas"
                .to_owned(),
        ),
        ("id,name\n", "products.csv: no products: add a line for each product below the header".to_owned()),
        (
            "id,name,\np1,a,\n",
            "products.csv, line 1: column 3 has no name: give it one, or drop the comma too many".to_owned(),
        ),
        ("id,name,id\n", "products.csv, line 1: column `id` stands twice in the header: rename one of them".to_owned()),
        ("id,name\np1,a\np2,b,c\n", format!("products.csv, line 3: 3 {ragged}")),
        ("id,name\np1,a\np2\n", format!("products.csv, line 3: 1 {ragged}")),
        (
            "id,name\np1,a\n ,b\n",
            "products.csv, line 3: the product has no `id`: give it the id that the logs use".to_owned(),
        ),
        (
            "id,name\np1,\"a\nb\"\n\np2,c\np1,d\n",
            "products.csv, line 6: product `p1` is already on line 2: remove one of them".to_owned(),
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(csv_error(text), wanted, "{text}");
    }
}

#[test]
fn toml_errors_name_the_line_and_what_to_do() {
    let cases = [
        ("", "products.toml: no products: add a [[product]] table for each"),
        ("product = []", "products.toml: no products: add a [[product]] table for each"),
        (
            "[product]\nid = \"p1\"\n",
            "products.toml, line 1: `product` must be a table in double brackets, [[product]], once for each product",
        ),
        (
            "\n[[products]]\nid = \"p1\"\n",
            "products.toml, line 2: unknown name `products`; did you mean `product`?: a dictionary has [[product]] \
             tables and nothing else",
        ),
        ("[[product]]\nid = 17\n", "products.toml, line 2: `id` must be a string in quotes, not a TOML integer"),
        (
            "[[product]]\nid = \"p1\"\n\n[[product]]\nname = \"a\"\n",
            "products.toml, line 4: the product has no `id`: give it the id that the logs use",
        ),
        (
            "[[product]]\nname = \"a\"\n",
            "products.toml, line 1: the product has no `id`: give it the id that the logs use",
        ),
        (
            "[[product]]\nid = \"p1\"\n\n[[product]]\nid = \"p2\"\n\n[[product]]\nid = \"p1\"\n",
            "products.toml, line 7: product `p1` is already on line 1: remove one of them",
        ),
        (
            "[[product]]\nid = \"p1\"\n\"\" = \"x\"\n",
            "products.toml: column 2 has no name: give it one, or drop the comma too many",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(toml_error(text), wanted, "{text}");
    }
    assert!(toml_error("[[product]]\nid = p1\n").starts_with("products.toml, line 2: not TOML: "));
}

#[test]
fn bytes_that_are_not_utf8_are_found() {
    for parse in [Dictionary::parse_csv, Dictionary::parse_toml] {
        let error = parse(b"id,name\np1,caf\xE9\n", "products").unwrap_err();
        assert_eq!(error.to_string(), "products, line 2: not UTF-8 at byte 14 of the file: save it as UTF-8");
    }
}

#[test]
fn sizes_are_bounded() {
    let products = |count: usize| -> String {
        std::iter::once("id\n".to_owned()).chain((0..count).map(|index| format!("p{index}\n"))).collect()
    };
    let most = csv(&products(PRODUCTS_MAX)).unwrap();
    assert_eq!(most.len(), PRODUCTS_MAX);
    assert_eq!(most.id(most.lookup("p99999").unwrap()), "p99999");
    assert_eq!(
        csv_error(&products(PRODUCTS_MAX + 1)),
        "products.csv, line 100002: more than 100000 products, which is the limit: leave out those that no log names \
         any more"
    );

    let columns = |count: usize| {
        format!("id{}\np1{}\n", (1..count).map(|c| format!(",c{c}")).collect::<String>(), ",".repeat(count - 1))
    };
    assert_eq!(csv(&columns(DICTIONARY_COLUMNS_MAX)).unwrap().columns().len(), DICTIONARY_COLUMNS_MAX);
    assert!(csv_error(&columns(DICTIONARY_COLUMNS_MAX + 1)).contains("more than 100 columns"));

    let big = vec![b'\n'; DICTIONARY_BYTES_MAX + 1];
    let error = Dictionary::parse_csv(&big, "products.csv").unwrap_err();
    assert_eq!(error.problem, DictionaryProblem::TooBig { bytes: DICTIONARY_BYTES_MAX + 1 });
}

fn spec(add: &[&str], unknown: UnknownProduct) -> DictionarySpec {
    DictionarySpec { path: "products.csv".into(), unknown, add: add.iter().map(ToString::to_string).collect() }
}

#[test]
fn the_config_may_ask_only_for_what_there_is() {
    let dictionary = csv(CSV).unwrap();
    let check = |add: &[&str], unknown| dictionary.check(&spec(add, unknown)).map_err(|error| error.to_string());
    let default = |id: &str| UnknownProduct::Default(id.to_owned());
    assert_eq!(check(&[], UnknownProduct::DeadLetter), Ok(()));
    assert_eq!(check(&["family", "tier"], default("p3")), Ok(()));

    let columns = "it has `id`, `name`, `family`, `owner`, `tier`";
    let no_column =
        |name: &str, hint: &str| format!("no column `{name}`, which the config adds to the rows{hint}; {columns}");
    assert_eq!(
        check(&["family", "familly"], UnknownProduct::DeadLetter),
        Err(format!("products.csv: {}", no_column("familly", "; did you mean `family`?")))
    );
    assert_eq!(
        check(&["zzz", "ownr"], default("shop")),
        Err(format!(
            "products.csv: {}; and {}; and no product `shop`, which the config makes the default for unknown ones",
            no_column("zzz", ""),
            no_column("ownr", "; did you mean `owner`?"),
        ))
    );

    let named = csv("id\nunknown\nweb-shop\n").unwrap();
    let error = named.check(&spec(&[], default("unknwon"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "products.csv: no product `unknwon`, which the config makes the default for unknown ones; did you mean \
         `unknown`?"
    );
}

proptest! {
    /// Against a plain table of texts.
    #[test]
    fn every_value_comes_back(
        rows in prop::collection::vec(prop::collection::vec("[ab,\"\n😀]{0,4}", 3), 1..20),
    ) {
        let quote = |value: &str| format!("\"{}\"", value.replace('"', "\"\""));
        let mut text = "a,id,b,c\n".to_owned();
        for (index, row) in rows.iter().enumerate() {
            text += &format!("{},p{index},{},{}\n", quote(&row[0]), quote(&row[1]), quote(&row[2]));
        }
        let dictionary = csv(&text).unwrap();
        for (index, row) in rows.iter().enumerate() {
            let id = format!("p{index}");
            for (column, wanted) in ["a", "b", "c"].iter().zip(row) {
                prop_assert_eq!(value(&dictionary, &id, column), wanted.trim());
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "\\PC{0,60}") {
        let _ = Dictionary::parse_csv(&bytes, "x");
        let _ = Dictionary::parse_csv(&[b"id,a\n", &bytes[..]].concat(), "x");
        let _ = Dictionary::parse_toml(&bytes, "x");
        let _ = Dictionary::parse_toml(format!("[[product]]\nid = \"{text}\"").as_bytes(), "x");
    }
}

/// Any file may be given instead of a dictionary, and what is in it is nobody's business.
#[test]
fn another_file_is_told_without_a_word_of_it() {
    for text in [
        "{\"user\":\"SECRET\",\"n\":1}\n{\"user\":\"SECRET\",\"n\":2}\n",
        "{\"SECRET\":1,\"SECRET\":1}\n",
        "10.0.0.1 - SECRET [20/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 12\n",
        "1,SECRET,12.50\n",
        "k1\tSECRET==\n",
    ] {
        let error = csv_error(text);
        assert!(error.contains("does not begin with names of columns: is it the product dictionary?"), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}
