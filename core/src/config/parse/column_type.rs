//! `type`, `format`, `zone` and `precision` of a column: its type.

use jiff::civil::date;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{self, TimeZone};

use crate::column::builder::check_type;
use crate::column::{ColumnType, TimeFormat, TimePrecision};
use crate::config::context::{At, quote};
use crate::config::suggest;
use crate::config::table::Section;

/// The types without parameters. `timestamp` and `date` get theirs from other keys.
const SIMPLE_TYPES: [(&str, ColumnType); 16] = [
    ("string", ColumnType::String),
    ("low_cardinality", ColumnType::LowCardinality),
    ("i8", ColumnType::I8),
    ("i16", ColumnType::I16),
    ("i32", ColumnType::I32),
    ("i64", ColumnType::I64),
    ("u8", ColumnType::U8),
    ("u16", ColumnType::U16),
    ("u32", ColumnType::U32),
    ("u64", ColumnType::U64),
    ("f32", ColumnType::F32),
    ("f64", ColumnType::F64),
    ("bool", ColumnType::Bool),
    ("ipv4", ColumnType::Ipv4),
    ("ipv6", ColumnType::Ipv6),
    ("uuid", ColumnType::Uuid),
];

/// What other systems call these types.
const OTHER_NAMES: [(&str, &str); 22] = [
    ("text", "string"),
    ("str", "string"),
    ("varchar", "string"),
    ("enum", "low_cardinality"),
    ("int", "i64"),
    ("integer", "i64"),
    ("long", "i64"),
    ("int8", "i8"),
    ("int16", "i16"),
    ("int32", "i32"),
    ("int64", "i64"),
    ("uint8", "u8"),
    ("uint16", "u16"),
    ("uint32", "u32"),
    ("uint64", "u64"),
    ("float", "f64"),
    ("double", "f64"),
    ("boolean", "bool"),
    ("datetime", "timestamp"),
    ("time", "timestamp"),
    ("numeric", "decimal(18,2)"),
    ("array", "list(string)"),
];

const EPOCHS: [(&str, TimePrecision); 4] = [
    ("epoch_s", TimePrecision::Seconds),
    ("epoch_ms", TimePrecision::Millis),
    ("epoch_us", TimePrecision::Micros),
    ("epoch_ns", TimePrecision::Nanos),
];

const PRECISIONS: [(&str, TimePrecision); 4] = [
    ("s", TimePrecision::Seconds),
    ("ms", TimePrecision::Millis),
    ("us", TimePrecision::Micros),
    ("ns", TimePrecision::Nanos),
];

/// The type of a column, or `None` if any of the keys that make it could not be read.
pub(super) fn read(section: &Section<'_>) -> Option<ColumnType> {
    let written = section.required("type", "write type = \"string\", or another type of docs/columns.md")?.string()?;
    let outline = match outline(&written.value) {
        Ok(outline) => outline,
        Err((message, help)) => {
            section.context.error_help(&written.place, message, help);
            return None;
        }
    };
    let ty = complete(section, outline)?;
    // What conversion itself asks of a type, so that a checked column can always be built.
    if let Err(problem) = check_type(&ty) {
        section.context.error(&written.place, problem);
        return None;
    }
    Some(ty)
}

/// A type without what stands in other keys.
enum Outline {
    Ready(ColumnType),
    Timestamp,
    Date,
    List(Box<Outline>),
}

/// Message and help.
type Problem = (String, String);

fn outline(text: &str) -> Result<Outline, Problem> {
    let text = text.trim();
    match text.split_once('(').map(|(name, rest)| (name.trim_end(), rest.strip_suffix(')'))) {
        Some(("decimal", Some(parameters))) => decimal(parameters).map(Outline::Ready),
        Some(("list", Some(element))) => list(element),
        Some((name @ ("decimal" | "list"), None)) => {
            Err((format!("{} is not closed", quote(text)), format!("end {name}(...) with `)`")))
        }
        Some((name, _)) => {
            let help = suggest::did_you_mean(name, &["decimal", "list"], "types with parameters are");
            Err((format!("unknown type {}", quote(text)), help))
        }
        None => simple(text),
    }
}

fn simple(text: &str) -> Result<Outline, Problem> {
    match text {
        "timestamp" => return Ok(Outline::Timestamp),
        "date" => return Ok(Outline::Date),
        "json" => return Ok(Outline::Ready(ColumnType::Json)),
        "decimal" => return Err(("a decimal needs its digits".to_owned(), DECIMAL_HELP.to_owned())),
        "list" => return Err(("a list needs the type of its items".to_owned(), "write list(string)".to_owned())),
        _ => {}
    }
    if let Some((_, ty)) = SIMPLE_TYPES.iter().find(|(name, _)| *name == text) {
        return Ok(Outline::Ready(ty.clone()));
    }
    let names = SIMPLE_TYPES.iter().map(|(name, _)| *name);
    let names: Vec<&str> = names.chain(["timestamp", "date", "json", "decimal(p,s)", "list(type)"]).collect();
    let lower = text.to_lowercase();
    let help = match OTHER_NAMES.iter().find(|(name, _)| *name == lower) {
        Some((_, ours)) => format!("did you mean `{ours}`?"),
        None => suggest::did_you_mean(text, &names, "the types are"),
    };
    Err((format!("unknown type {}", quote(text)), help))
}

const DECIMAL_HELP: &str = "write decimal(18,2): 18 digits in all, 2 of them after the point";

fn decimal(parameters: &str) -> Result<ColumnType, Problem> {
    let numbers: Option<Vec<u8>> = parameters.split(',').map(|number| number.trim().parse().ok()).collect();
    let Some([precision, scale]) = numbers.as_deref() else {
        return Err((format!("{} is not a precision and a scale", quote(parameters)), DECIMAL_HELP.to_owned()));
    };
    if !(1..=38).contains(precision) {
        return Err((format!("a decimal has 1 to 38 digits, not {precision}"), DECIMAL_HELP.to_owned()));
    }
    if scale > precision {
        let message = format!("a decimal of {precision} digits cannot have {scale} of them after the point");
        return Err((message, DECIMAL_HELP.to_owned()));
    }
    Ok(ColumnType::Decimal { precision: *precision, scale: *scale })
}

fn list(element: &str) -> Result<Outline, Problem> {
    let element = outline(element)?;
    if matches!(element, Outline::List(_) | Outline::Ready(ColumnType::Json)) {
        let help = "declare the column as json to keep it as text".to_owned();
        return Err(("a list holds scalars only, neither lists nor json".to_owned(), help));
    }
    Ok(Outline::List(Box::new(element)))
}

/// Adds what stands in `format`, `zone` and `precision`, and notes those that the type does not have.
fn complete(section: &Section<'_>, outline: Outline) -> Option<ColumnType> {
    const NO_TIME: &str = "only a timestamp has it";
    match outline {
        Outline::Ready(ty) => {
            section.refuse(&["format"], "only a timestamp or a date has a format", "leave it out");
            section.refuse(&["zone", "precision"], NO_TIME, "leave it out");
            Some(ty)
        }
        Outline::Date => {
            section.refuse(&["zone", "precision"], NO_TIME, "leave it out");
            match section.item("format") {
                None => Some(ColumnType::Date { format: None }),
                Some(item) => {
                    let pattern = item.string()?;
                    date_pattern(section, &pattern)?;
                    Some(ColumnType::Date { format: Some(pattern.value) })
                }
            }
        }
        Outline::Timestamp => {
            let precision = match section.item("precision") {
                None => Some(TimePrecision::Millis),
                Some(item) => item.one_of(&PRECISIONS).map(|precision| precision.value),
            };
            let format = time_format(section);
            Some(ColumnType::Timestamp { precision: precision?, format: format? })
        }
        Outline::List(element) => Some(ColumnType::List(Box::new(complete(section, *element)?))),
    }
}

fn time_format(section: &Section<'_>) -> Option<TimeFormat> {
    const NO_ZONE: &str = "only a pattern has a zone: epochs and rfc3339 say theirs themselves";
    let zone = read_zone(section);
    let Some(item) = section.item("format") else {
        section.refuse(&["zone"], NO_ZONE, "leave it out");
        return Some(TimeFormat::Epoch(TimePrecision::Millis));
    };
    let text = item.string()?;
    if !text.value.contains('%') {
        section.refuse(&["zone"], NO_ZONE, "leave it out");
        if text.value == "rfc3339" {
            return Some(TimeFormat::Rfc3339);
        }
        if let Some((_, unit)) = EPOCHS.iter().find(|(name, _)| *name == text.value) {
            return Some(TimeFormat::Epoch(*unit));
        }
        let known = ["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "rfc3339"];
        let help =
            suggest::did_you_mean(&text.value, &known, "write a pattern with %, such as %Y-%m-%d %H:%M:%S, or one of");
        section.context.error_help(&text.place, format!("unknown format {}", quote(&text.value)), help);
        return None;
    }
    if time_pattern(section, &text)? {
        section.refuse(&["zone"], "the pattern has an offset or zone of its own", "leave it out");
    }
    Some(TimeFormat::Pattern { pattern: text.value, zone: zone? })
}

/// The zone, UTC if there is none; it must be in the time zone database.
fn read_zone(section: &Section<'_>) -> Option<String> {
    let Some(item) = section.item("zone") else {
        return Some("UTC".to_owned());
    };
    let zone = item.string()?;
    if TimeZone::get(&zone.value).is_ok() {
        return Some(zone.value);
    }
    let names: Vec<String> = tz::db().available().map(|name| name.to_string()).collect();
    let help = match suggest::closest(&zone.value, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "write an IANA name, such as Asia/Shanghai or UTC".to_owned(),
    };
    section.context.error_help(&zone.place, format!("unknown time zone {}", quote(&zone.value)), help);
    None
}

const PATTERN_HELP: &str = "write a pattern such as %Y-%m-%d %H:%M:%S or %d/%b/%Y:%H:%M:%S %z";

/// Checks a pattern of timestamps; whether it says offset or zone itself.
fn time_pattern(section: &Section<'_>, pattern: &At<String>) -> Option<bool> {
    let parsed = probe(section, pattern)?;
    if parsed.timestamp().is_some() {
        return Some(true);
    }
    if let Err(error) = parsed.to_datetime() {
        section.context.error_help(&pattern.place, format!("the pattern does not make a time: {error}"), PATTERN_HELP);
        return None;
    }
    if parsed.hour().is_some_and(|hour| hour != PROBE_HOUR) {
        let help = "add %p, or use %H for the hours of a day";
        section.context.error_help(&pattern.place, "the pattern does not tell morning from afternoon", help);
        return None;
    }
    Some(parsed.offset().is_some() || parsed.iana_time_zone().is_some())
}

fn date_pattern(section: &Section<'_>, pattern: &At<String>) -> Option<()> {
    let parsed = probe(section, pattern)?;
    if let Err(error) = parsed.to_date() {
        let help = "write a pattern such as %Y-%m-%d or %d.%m.%Y";
        section.context.error_help(&pattern.place, format!("the pattern does not make a day: {error}"), help);
        return None;
    }
    Some(())
}

/// In the afternoon, so that a twelve-hour clock gives itself away.
const PROBE_HOUR: i8 = 13;

/// Writes a time with the pattern and reads it again, which takes every directive of the pattern to be valid.
fn probe(section: &Section<'_>, pattern: &At<String>) -> Option<BrokenDownTime> {
    let zone = TimeZone::get("Asia/Shanghai").ok()?;
    let time = date(2026, 11, 20).at(PROBE_HOUR, 14, 15, 123_456_789).to_zoned(zone).ok()?;
    let parsed = strtime::format(&pattern.value, &time).and_then(|text| strtime::parse(&pattern.value, text));
    if let Err(error) = &parsed {
        section.context.error_help(&pattern.place, format!("this is not a usable pattern: {error}"), PATTERN_HELP);
    }
    parsed.ok()
}
