//! Which values fit a type, as docs/columns.md says.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::value::RawValue;

use super::number::Number;
use super::time::{self, Timestamp};
use super::{Cell, text};

enum Type {
    Text,
    Integer { first: i128, last: i128 },
    F32,
    F64,
    Decimal { precision: u32, scale: i64 },
    Bool,
    Timestamp(Timestamp),
    Date,
    Ipv4,
    Ipv6,
    Uuid,
    Json,
    List(Box<Type>),
}

enum Mask {
    Redact,
    Truncate(usize),
    Ipv4Prefix(u32),
}

/// What becomes of the values of a column.
pub(super) struct Rule {
    ty: Type,
    mask: Option<Mask>,
}

impl Rule {
    pub(super) fn new(declared: &toml::Value, is_event_time: bool) -> Rule {
        let option = |key: &str, otherwise: &str| declared.get(key).map_or_else(|| otherwise.to_owned(), text);
        let timestamp = || Timestamp {
            format: option("format", "epoch_ms"),
            digits: time::digits(&option("precision", "ms")),
            is_event_time,
        };
        let mask = declared.get("mask").map(|mask| match mask.as_table() {
            None => Mask::Redact,
            Some(mask) => match (mask.get("truncate"), mask.get("ip_prefix")) {
                (Some(chars), _) => Mask::Truncate(chars.as_integer().expect("a count") as usize),
                (_, Some(bits)) => Mask::Ipv4Prefix(bits.as_integer().expect("bits") as u32),
                _ => panic!("the twin does not know this mask"),
            },
        });
        Rule { ty: Type::new(&text(&declared["type"]), &timestamp), mask }
    }

    pub(super) fn zero(&self) -> Cell {
        match &self.ty {
            Type::Text | Type::Json => Cell::Text(String::new()),
            Type::F32 | Type::F64 => Cell::Float(0),
            Type::Bool => Cell::Bool(false),
            Type::Ipv6 | Type::Uuid => Cell::Bytes([0; 16]),
            Type::List(_) => Cell::List(Vec::new()),
            _ => Cell::Integer(0),
        }
    }

    pub(super) fn default(&self, text: &str) -> Cell {
        match &self.ty {
            Type::Json => Cell::Text(text.to_owned()),
            Type::List(_) => Cell::List(Vec::new()),
            ty => ty.string(text).expect("a default fits its type"),
        }
    }

    /// The cell of a JSON value that is not null; `None` if it does not fit.
    pub(super) fn json(&self, raw: &str) -> Option<Cell> {
        let cell = self.ty.json(raw)?;
        Some(match &self.mask {
            None => cell,
            Some(Mask::Redact) => match cell {
                Cell::Text(_) => Cell::Text("***".to_owned()),
                _ => self.zero(),
            },
            Some(Mask::Truncate(chars)) => cell.truncated(*chars),
            Some(Mask::Ipv4Prefix(bits)) => {
                let Cell::Integer(address) = cell else { panic!("an address") };
                let rest = 32 - bits;
                Cell::Integer(address >> rest << rest)
            }
        })
    }
}

impl Cell {
    fn truncated(self, chars: usize) -> Cell {
        match self {
            Cell::Text(text) => Cell::Text(text.chars().take(chars).collect()),
            Cell::List(items) => Cell::List(items.into_iter().map(|item| item.truncated(chars)).collect()),
            other => panic!("{other:?} cannot be truncated"),
        }
    }
}

impl Type {
    fn new(name: &str, timestamp: &dyn Fn() -> Timestamp) -> Type {
        if let Some((name, arguments)) = name.strip_suffix(')').and_then(|name| name.split_once('(')) {
            if name == "list" {
                return Type::List(Box::new(Type::new(arguments, timestamp)));
            }
            let (precision, scale) = arguments.split_once(',').expect("precision and scale");
            return Type::Decimal {
                precision: precision.trim().parse().expect("digits"),
                scale: scale.trim().parse().expect("digits"),
            };
        }
        let integer = |first: i128, last: i128| Type::Integer { first, last };
        match name {
            "string" | "low_cardinality" => Type::Text,
            "i8" => integer(-128, 127),
            "i16" => integer(-32_768, 32_767),
            "i32" => integer(-2_147_483_648, 2_147_483_647),
            "i64" => integer(-9_223_372_036_854_775_808, 9_223_372_036_854_775_807),
            "u8" => integer(0, 255),
            "u16" => integer(0, 65_535),
            "u32" => integer(0, 4_294_967_295),
            "u64" => integer(0, 18_446_744_073_709_551_615),
            "f32" => Type::F32,
            "f64" => Type::F64,
            "bool" => Type::Bool,
            "timestamp" => Type::Timestamp(timestamp()),
            "date" => Type::Date,
            "ipv4" => Type::Ipv4,
            "ipv6" => Type::Ipv6,
            "uuid" => Type::Uuid,
            "json" => Type::Json,
            other => panic!("{other} is no type"),
        }
    }

    fn json(&self, raw: &str) -> Option<Cell> {
        if matches!(self, Type::Json) {
            return Some(Cell::Text(raw.to_owned()));
        }
        if let Type::List(ty) = self {
            let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            let fits = items.len() <= 65_536 && raw.starts_with('[');
            let item = |item: &&RawValue| if item.get() == "null" { None } else { ty.json(item.get()) };
            return fits.then(|| items.iter().map(item).collect::<Option<_>>())?.map(Cell::List);
        }
        match raw.as_bytes()[0] {
            b'"' => self.string(&serde_json::from_str::<String>(raw).ok()?),
            b't' | b'f' => match self {
                Type::Text => Some(Cell::Text(raw.to_owned())),
                Type::Bool => Some(Cell::Bool(raw == "true")),
                _ => None,
            },
            b'{' | b'[' => None,
            _ => match self {
                Type::Date | Type::Ipv4 | Type::Ipv6 | Type::Uuid => None,
                Type::Timestamp(timestamp) if timestamp.format == "rfc3339" => None,
                Type::Bool => matches!(raw, "0" | "1").then_some(Cell::Bool(raw == "1")),
                _ => self.string(raw),
            },
        }
    }

    fn string(&self, text: &str) -> Option<Cell> {
        Some(match self {
            Type::Text => Cell::Text(text.to_owned()),
            Type::Integer { first, last } => {
                let value = Number::parse(text)?.scaled(0, false)?;
                Cell::Integer((*first..=*last).contains(&value).then_some(value)?)
            }
            Type::Decimal { precision, scale } => {
                let value = Number::parse(text)?.scaled(*scale, false)?;
                Cell::Integer((value.abs() < 10_i128.pow(*precision)).then_some(value)?)
            }
            Type::F64 => {
                Number::parse(text)?;
                let value: f64 = text.parse().ok()?;
                Cell::Float(value.is_finite().then(|| value.to_bits())?)
            }
            Type::F32 => {
                Number::parse(text)?;
                let value: f32 = text.parse().ok()?;
                Cell::Float(value.is_finite().then(|| u64::from(value.to_bits()))?)
            }
            Type::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Cell::Bool(true),
                "false" | "0" => Cell::Bool(false),
                _ => return None,
            },
            Type::Timestamp(timestamp) => Cell::Integer(timestamp.read(text)?),
            Type::Date => Cell::Integer(time::date(text)?),
            Type::Ipv4 => {
                let mapped = || text.parse::<Ipv6Addr>().ok()?.to_ipv4_mapped();
                Cell::Integer(i128::from(ipv4(text).or_else(mapped)?.to_bits()))
            }
            Type::Ipv6 => {
                let address = ipv4(text).map(|address| address.to_ipv6_mapped()).or_else(|| text.parse().ok())?;
                Cell::Bytes(address.octets())
            }
            Type::Uuid => Cell::Bytes(uuid(text)?),
            Type::Json | Type::List(_) => return None,
        })
    }
}

fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let byte = |part: &str| {
        let value: u8 = part.parse().ok()?;
        // Without zeros or a sign in front.
        (value.to_string() == part).then_some(value)
    };
    let bytes: Vec<u8> = text.split('.').map(byte).collect::<Option<_>>()?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let places: Vec<usize> = text.match_indices('-').map(|(place, _)| place).collect();
    if !places.is_empty() && places != [8, 13, 18, 23] {
        return None;
    }
    let digits = text.replace('-', "");
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
}
