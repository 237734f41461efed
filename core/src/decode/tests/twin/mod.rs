//! The naive twin of a whole decoder for JSON: written from the documents alone, on serde_json, record by record.
//!
//! It shares nothing with the code it checks, not even the config: it reads the TOML itself. Slow and plain on purpose.
//! Only other crates are used here, so that the fuzz target takes these very files.

pub(crate) mod batch;
pub(crate) mod configs;
mod number;
mod time;
mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::values::Rule;

/// What a row has in a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Text(String),
    /// Integers, decimals as units of their scale, timestamps and dates as units since 1970, IPv4 addresses.
    Integer(i128),
    /// The bits of a float, of either width.
    Float(u64),
    /// Addresses and UUIDs as written, first byte first.
    Bytes([u8; 16]),
    List(Vec<Cell>),
}

/// A record, opened, and where it stood in its source.
#[derive(Debug, Clone)]
pub(crate) struct Record<'r> {
    pub(crate) row: u32,
    pub(crate) offset: u64,
    /// Bytes in the source.
    pub(crate) length: u64,
    pub(crate) text: Cow<'r, [u8]>,
}

/// A record that is not loaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dead {
    pub(crate) row: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// More than one if the documents leave it open.
    pub(crate) reasons: Vec<&'static str>,
    pub(crate) column: Option<String>,
}

/// What must come of a slice.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Number of the record, and its cells by the names of the columns.
    pub(crate) rows: Vec<(u32, Vec<(String, Cell)>)>,
    pub(crate) dead: Vec<Dead>,
    pub(crate) filtered: u64,
    pub(crate) by_product: BTreeMap<String, u64>,
}

struct Column {
    name: String,
    path: Vec<Step>,
    rule: Rule,
    /// What stands for an absent field, and for null; `None`: the record is dead.
    absent: Option<Cell>,
    null: Option<Cell>,
}

enum Step {
    Key(String),
    Index(usize),
}

struct Filter {
    column: String,
    values: Vec<String>,
    drops_these: bool,
}

struct Dictionary {
    header: Vec<String>,
    /// By id.
    rows: BTreeMap<String, Vec<String>>,
}

enum Products {
    Fixed(String),
    Column {
        column: String,
        /// `None`: every product is known.
        dictionary: Option<Dictionary>,
        default: Option<String>,
        added: Vec<String>,
    },
}

pub(crate) struct Twin {
    columns: Vec<Column>,
    filters: Vec<Filter>,
    products: Products,
    record_bytes_max: u64,
}

enum Fate {
    Loaded(String, Vec<(String, Cell)>),
    Filtered,
    Dead(Vec<&'static str>, Option<String>),
}

/// The records of lines: blank ones are none, and a byte order mark may stand at the source's start.
pub(crate) fn lines(start: u64, bytes: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut offset = start;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let mut text = line.strip_suffix(b"\n").unwrap_or(line);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut at = offset;
        if let (0, Some(rest)) = (at, text.strip_prefix(b"\xEF\xBB\xBF")) {
            (at, text) = (3, rest);
        }
        if !text.is_empty() {
            let (row, length) = (records.len() as u32, text.len() as u64);
            records.push(Record { row, offset: at, length, text: Cow::Borrowed(text) });
        }
        offset += line.len() as u64;
    }
    records
}

impl Twin {
    /// A twin for the TOML of a config, and the CSV of its dictionary.
    pub(crate) fn new(config: &str, dictionary: Option<&str>) -> Twin {
        let config: toml::Table = config.parse().expect("the config is TOML");
        let tables = |name: &str| config.get(name).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let time = config["table"]["time"].as_str().expect("a column");
        let columns = tables("column").iter().map(|column| Column::new(column, time)).collect();
        let filters = tables("filter").iter().map(Filter::new).collect();
        let products = &config["products"];
        let products = match products.get("fixed") {
            Some(product) => Products::Fixed(text(product)),
            None => Products::Column {
                column: text(&products["column"]),
                dictionary: dictionary.map(read_dictionary),
                default: products.get("default").map(text),
                added: products.get("add").map(texts).unwrap_or_default(),
            },
        };
        let limit = config.get("decode").and_then(|decode| decode.get("record_bytes_max"));
        let record_bytes_max = limit.and_then(toml::Value::as_integer).unwrap_or(1 << 20) as u64;
        Twin { columns, filters, products, record_bytes_max }
    }

    pub(crate) fn decode<'r>(&self, records: impl IntoIterator<Item = Record<'r>>) -> Expected {
        let mut expected = Expected::default();
        for Record { row, offset, length, text } in records {
            let fate = match length > self.record_bytes_max {
                true => Fate::Dead(vec!["too_long"], None),
                false => self.judge(&text),
            };
            match fate {
                Fate::Loaded(product, cells) => {
                    *expected.by_product.entry(product).or_default() += 1;
                    expected.rows.push((row, cells));
                }
                Fate::Filtered => expected.filtered += 1,
                Fate::Dead(reasons, column) => expected.dead.push(Dead { row, offset, length, reasons, column }),
            }
        }
        expected
    }

    fn judge(&self, bytes: &[u8]) -> Fate {
        let Ok(text) = std::str::from_utf8(bytes) else { return Fate::Dead(vec!["bad_utf8"], None) };
        // Brackets that were opened may be too many before the first mistake, or after it.
        if depth(text) > 128 {
            return Fate::Dead(vec!["too_deep", "bad_json"], None);
        }
        if !is_object(text) {
            return Fate::Dead(vec!["bad_json"], None);
        }
        let members = members(text).expect("an object");
        let mut cells = Vec::new();
        for column in &self.columns {
            let cell = match find(&members, &column.path) {
                None => column.absent.clone().ok_or("missing_field"),
                Some("null") => column.null.clone().ok_or("missing_field"),
                Some(raw) => column.rule.json(raw).ok_or("type_mismatch"),
            };
            match cell {
                Ok(cell) => cells.push((column.name.clone(), cell)),
                Err(reason) => return Fate::Dead(vec![reason], Some(column.name.clone())),
            }
        }
        if self.filters.iter().any(|filter| filter.drops(&cells)) {
            return Fate::Filtered;
        }
        self.products.add(cells)
    }
}

impl Column {
    fn new(declared: &toml::Value, time: &str) -> Column {
        let name = text(&declared["name"]);
        let flag = |key: &str| declared.get(key).and_then(toml::Value::as_bool).unwrap_or(false);
        let rule = Rule::new(declared, name == time);
        let default = declared.get("default").map(|default| rule.default(&text(default)));
        let otherwise = match (flag("nullable"), flag("required")) {
            (_, true) => None,
            (true, _) => Some(Cell::Null),
            _ => Some(rule.zero()),
        };
        let null = if flag("nullable") { Some(Cell::Null) } else { default.clone().or_else(|| otherwise.clone()) };
        let path = declared.get("path").map_or_else(|| name.clone(), text);
        Column { name, path: steps(&path), rule, absent: default.or(otherwise), null }
    }
}

impl Filter {
    fn new(declared: &toml::Value) -> Filter {
        let drops_these = declared.get("drop").is_some();
        let condition = declared.get(if drops_these { "drop" } else { "keep" }).and_then(toml::Value::as_table);
        let (column, values) = condition.expect("a condition").iter().next().expect("a column");
        Filter { column: column.clone(), values: texts(values), drops_these }
    }

    fn drops(&self, cells: &[(String, Cell)]) -> bool {
        let (_, cell) = cells.iter().find(|(name, _)| *name == self.column).expect("a declared column");
        let value = match cell {
            Cell::Null => None,
            Cell::Text(text) => Some(text.clone()),
            Cell::Integer(number) => Some(number.to_string()),
            Cell::Bool(value) => Some(value.to_string()),
            other => panic!("{other:?} cannot be filtered"),
        };
        value.is_some_and(|value| self.values.contains(&value)) == self.drops_these
    }
}

impl Products {
    fn add(&self, mut cells: Vec<(String, Cell)>) -> Fate {
        let (column, dictionary, default, added) = match self {
            Products::Fixed(product) => {
                cells.push(("product".to_owned(), Cell::Text(product.clone())));
                return Fate::Loaded(product.clone(), cells);
            }
            Products::Column { column, dictionary, default, added } => (column, dictionary, default, added),
        };
        let (_, cell) = cells.iter_mut().find(|(name, _)| name == column).expect("a declared column");
        let Cell::Text(mut product) = cell.clone() else { panic!("a product is text") };
        let Some(Dictionary { header, rows }) = dictionary else { return Fate::Loaded(product, cells) };
        if !rows.contains_key(&product) {
            let Some(default) = default else {
                return Fate::Dead(vec!["unknown_product"], Some(column.clone()));
            };
            product.clone_from(default);
            *cell = Cell::Text(default.clone());
        }
        for name in added {
            let place = header.iter().position(|other| other == name).expect("a column of the dictionary");
            cells.push((format!("product_{name}"), Cell::Text(rows[&product][place].clone())));
        }
        Fate::Loaded(product, cells)
    }
}

/// Rows of a CSV without quotes.
fn read_dictionary(csv: &str) -> Dictionary {
    let mut rows = csv.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let id = header.iter().position(|name| name == "id").expect("an id");
    Dictionary { header, rows: rows.map(|row| (row[id].clone(), row)).collect() }
}

fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        other => panic!("{other:?} is no scalar"),
    }
}

fn texts(value: &toml::Value) -> Vec<String> {
    value.as_array().map_or_else(|| vec![text(value)], |values| values.iter().map(text).collect())
}

/// `a.b[0].c`.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        steps.push(Step::Key(pieces.next().expect("a key").to_owned()));
        steps.extend(pieces.map(|index| Step::Index(index.trim_end_matches(']').parse().expect("an index"))));
    }
    steps
}

/// The members of an object. Of equal keys the last one counts, and all of its value.
fn members(json: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(json).ok()
}

/// The JSON text at the path, in an object with these members.
fn find<'t>(members: &BTreeMap<String, &'t RawValue>, path: &[Step]) -> Option<&'t str> {
    let (Step::Key(key), rest) = path.split_first()? else { return None };
    below(members.get(key)?.get(), rest)
}

fn below<'t>(json: &'t str, path: &[Step]) -> Option<&'t str> {
    match path.split_first() {
        None => Some(json),
        Some((Step::Key(_), _)) => find(&members(json)?, path),
        Some((Step::Index(index), rest)) => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            below(items.get(*index)?.get(), rest)
        }
    }
}

/// Most brackets that are open at once, if the text is JSON.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open, mut in_string, mut escaped) = (0, 0_usize, false, false);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '[' | '{' if !in_string => open += 1,
            ']' | '}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Whether the text is one JSON object, and nothing else.
fn is_object(text: &str) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let is_json = Checked::deserialize(&mut deserializer).is_ok() && deserializer.end().is_ok();
    is_json && text.trim_start().starts_with('{')
}

/// Any JSON, with every string in it decoded and dropped: `IgnoredAny` would not look into escapes, and a
/// `serde_json::Value` takes some keys for its own.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Checked)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Checked, A::Error> {
        while items.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    /// Objects; and long numbers, which `arbitrary_precision` hands on as an object with their text.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Checked, A::Error> {
        while members.next_entry::<String, Checked>()?.is_some() {}
        Ok(Checked)
    }
}
