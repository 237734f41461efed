//! Reading TOML tables: known and unknown keys, types, ranges, and variables in strings.
//!
//! Every getter notes what is wrong in the [`Context`] and answers `None`, so that the caller goes on with what is left
//! and one run finds everything. A misspelt key is reported once and then taken for the key it was meant to be, so
//! that it does not cause further complaints of a missing key.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::context::{At, Context, Place, clean, join, quote};
use super::interpolate::interpolate;
use super::{suggest, values};

/// A table with a fixed set of keys.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context<'a>,
    /// The table's head: `[table]`, `[[column]]`, or the whole of an inline table.
    pub(super) place: Place,
    items: BTreeMap<&'static str, Item<'a>>,
    /// Keys that an unknown key was taken for.
    misspelt: Vec<&'static str>,
}

/// A value of a table or array.
#[derive(Clone)]
pub(super) struct Item<'a> {
    context: &'a Context<'a>,
    pub(super) place: Place,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// Takes the table's keys, and notes those that are not among `keys`.
    pub(super) fn open(
        context: &'a Context<'a>,
        place: Place,
        table: &'a DeTable<'a>,
        keys: &'static [&'static str],
    ) -> Self {
        let mut items = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut misspelt = Vec::new();
        for (key, value) in table {
            match keys.iter().find(|known| **known == key.get_ref().as_ref()) {
                Some(known) => {
                    items.insert(*known, Item::new(context, join(&place.key, known), value));
                }
                None => unknown.push((key, value)),
            }
        }
        for (key, value) in unknown {
            let name = key.get_ref().as_ref();
            let at = Place { key: join(&place.key, &shown_key(name)), span: key.span() };
            context.error_help(&at, "unknown key", suggest::did_you_mean(name, keys, "the keys here are"));
            if let Some(meant) = suggest::closest(name, keys.iter().copied()) {
                misspelt.push(meant);
                items.entry(meant).or_insert_with(|| Item::new(context, join(&place.key, meant), value));
            }
        }
        Section { context, place, items, misspelt }
    }

    pub(super) fn item(&self, key: &str) -> Option<&Item<'a>> {
        self.items.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.items.contains_key(key)
    }

    /// Whether there is more that was meant to be under this key.
    pub(super) fn is_misspelt(&self, key: &str) -> bool {
        self.misspelt.contains(&key)
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str, help: &str) -> Option<&Item<'a>> {
        let item = self.items.get(key);
        if item.is_none() {
            self.context.error_help(&self.place.missing(key), "this key is required", help);
        }
        item
    }

    pub(super) fn string(&self, key: &str) -> Option<At<String>> {
        self.item(key)?.string()
    }

    pub(super) fn boolean(&self, key: &str) -> Option<At<bool>> {
        self.item(key)?.boolean()
    }

    /// A value that is not written but follows from the table being there.
    pub(super) fn at_head<T>(&self, value: T) -> At<T> {
        At { value, place: self.place.clone() }
    }

    /// Notes each of these keys that is there, because of something else that is there.
    pub(super) fn refuse(&self, keys: &[&str], message: &str, help: &str) {
        for item in keys.iter().filter_map(|key| self.item(key)) {
            self.context.error_help(&item.place, message, help);
        }
    }
}

impl<'a> Item<'a> {
    fn new(context: &'a Context<'a>, key: String, value: &'a Spanned<DeValue<'a>>) -> Self {
        Item { context, place: Place { key, span: value.span() }, value: value.get_ref() }
    }

    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    pub(super) fn value(&self) -> &'a DeValue<'a> {
        self.value
    }

    fn at<T>(&self, value: T) -> At<T> {
        At { value, place: self.place.clone() }
    }

    /// Notes that the value is of a wrong type. `wanted` has its article.
    pub(super) fn wrong_type(&self, wanted: &str) {
        self.context.error(&self.place, format!("found {}, wanted {wanted}", found(self.value)));
    }

    /// A string with its variables filled in.
    pub(super) fn string(&self) -> Option<At<String>> {
        let DeValue::String(text) = self.value else {
            self.wrong_type("a string");
            return None;
        };
        match interpolate(text, self.context.env) {
            Ok(text) => Some(self.at(text)),
            Err(errors) => {
                for error in errors {
                    match error.help() {
                        Some(help) => self.context.error_help(&self.place, error.to_string(), help),
                        None => self.context.error(&self.place, error.to_string()),
                    }
                }
                None
            }
        }
    }

    /// A string that is not empty.
    pub(super) fn filled_string(&self) -> Option<At<String>> {
        let text = self.string()?;
        if text.value.is_empty() {
            self.context.error(&self.place, "this cannot be empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&self) -> Option<At<bool>> {
        match self.value {
            DeValue::Boolean(value) => Some(self.at(*value)),
            _ => {
                self.wrong_type("true or false");
                None
            }
        }
    }

    /// A whole number of a range; in quotes if it comes from a variable.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<At<u64>> {
        let value = match self.value {
            DeValue::Integer(integer) => integer_value(integer),
            DeValue::String(text) if text.contains("${") => {
                let text = self.string()?.value;
                match text.trim().parse() {
                    Ok(value) => Some(value),
                    Err(_) => {
                        self.context.error(&self.place, format!("{} is not a whole number", quote(&text)));
                        return None;
                    }
                }
            }
            _ => {
                self.wrong_type("a whole number");
                return None;
            }
        };
        let fits = value.and_then(|value| u64::try_from(value).ok()).filter(|value| range.contains(value));
        if fits.is_none() {
            let found = value.map_or_else(|| "this number".to_owned(), |value| value.to_string());
            let (least, most) = range.into_inner();
            self.context.error(&self.place, format!("{found} is out of range: from {least} to {most}"));
        }
        fits.map(|value| self.at(value))
    }

    /// A number of bytes: a whole number, or a string such as `16 MiB`.
    pub(super) fn bytes(&self, range: RangeInclusive<u64>) -> Option<At<u64>> {
        let value = match self.value {
            DeValue::Integer(integer) => integer_value(integer).and_then(|value| u64::try_from(value).ok()),
            DeValue::String(_) => {
                let text = self.string()?.value;
                let value = values::byte_size(&text);
                if value.is_none() {
                    let help =
                        "write a whole number of bytes, or one with a unit: 65536, \"64 KiB\", \"16 MiB\", \"4 GiB\"";
                    self.context.error_help(&self.place, format!("{} is not a size", quote(&text)), help);
                    return None;
                }
                value
            }
            _ => {
                self.wrong_type("a size such as \"16 MiB\"");
                return None;
            }
        };
        let fits = value.filter(|value| range.contains(value));
        if fits.is_none() {
            let found = value.map_or_else(|| "this size".to_owned(), values::shown_bytes);
            let (least, most) = range.into_inner();
            let (least, most) = (values::shown_bytes(least), values::shown_bytes(most));
            self.context.error(&self.place, format!("{found} is out of range: from {least} to {most}"));
        }
        fits.map(|value| self.at(value))
    }

    /// A duration such as `5s`; the range is in milliseconds.
    pub(super) fn duration(&self, range: RangeInclusive<u64>) -> Option<At<Duration>> {
        let DeValue::String(_) = self.value else {
            self.wrong_type("a duration such as \"5s\"");
            return None;
        };
        let text = self.string()?.value;
        let Some(value) = values::duration(&text) else {
            let help = "write a whole number and a unit: \"500ms\", \"5s\", \"2m\", \"1h\", \"7d\"";
            self.context.error_help(&self.place, format!("{} is not a duration", quote(&text)), help);
            return None;
        };
        let (least, most) = range.into_inner();
        let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
        if !(least..=most).contains(&value) {
            let [found, least, most] = [value, least, most].map(values::shown_duration);
            self.context.error(&self.place, format!("{found} is out of range: from {least} to {most}"));
            return None;
        }
        Some(self.at(value))
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<At<T>> {
        let text = self.string()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(self.at(*value));
        }
        let candidates: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = suggest::did_you_mean(&text.value, &candidates, "the choices are");
        self.context.error_help(&self.place, format!("unknown value {}", quote(&text.value)), help);
        None
    }

    /// The items of an array.
    pub(super) fn array(&self, wanted: &str) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(items) = self.value else {
            self.wrong_type(wanted);
            return None;
        };
        let item = |(index, value)| Item::new(self.context, format!("{}[{index}]", self.place.key), value);
        Some(items.iter().enumerate().map(item).collect())
    }

    /// An array of strings that are not empty; those that are not strings are noted and left out.
    pub(super) fn strings(&self) -> Vec<At<String>> {
        self.array("a list of strings").into_iter().flatten().filter_map(|item| item.filled_string()).collect()
    }

    /// The items of an array of tables (`[[name]]`), called by their `name` where they have one.
    pub(super) fn tables(&self, keys: &'static [&'static str]) -> Vec<Section<'a>> {
        let key = &self.place.key;
        let items = match self.value {
            DeValue::Table(_) => {
                self.context.error_help(
                    &self.place,
                    "found a table, wanted an array of tables",
                    format!("write [[{key}]], once for each"),
                );
                vec![self.clone()]
            }
            _ => self.array(&format!("an array of tables [[{key}]]")).unwrap_or_default(),
        };
        items
            .into_iter()
            .filter_map(|mut item| {
                let name = item.value.get("name").and_then(|name| name.get_ref().as_str());
                if let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('$')) {
                    item.place.key = format!("{key} \"{}\"", clean(name));
                }
                item.section(keys)
            })
            .collect()
    }

    /// A table with a fixed set of keys.
    pub(super) fn section(&self, keys: &'static [&'static str]) -> Option<Section<'a>> {
        let table = self.table()?;
        Some(Section::open(self.context, self.place.clone(), table, keys))
    }

    /// A table whose keys are the user's, in the order of the file.
    pub(super) fn entries(&self) -> Option<Vec<(At<String>, Item<'a>)>> {
        let mut entries: Vec<_> = self
            .table()?
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                let path = join(&self.place.key, &shown_key(name));
                let at = At { value: name.to_owned(), place: Place { key: path.clone(), span: key.span() } };
                (at, Item::new(self.context, path, value))
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.place.span.start);
        Some(entries)
    }

    fn table(&self) -> Option<&'a DeTable<'a>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.wrong_type("a table");
        }
        table
    }
}

/// The value of a TOML integer, unless it is beyond even 128 bits.
pub(super) fn integer_value(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What a value is, with an article.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A key of the user for a key path: quoted if it is not a bare key.
fn shown_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { clean(key) } else { format!("\"{}\"", clean(key)) }
}
