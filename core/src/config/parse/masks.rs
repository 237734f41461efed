//! `mask` of a column: what happens to its values before they are stored.

use std::collections::BTreeSet;

use toml::de::DeValue;

use crate::column::mask::check_mask;
use crate::column::{ColumnType, Mask};
use crate::config::table::{Item, Section};
use crate::limits::SALT_BYTES_MIN;

const KEYS: &[&str] = &["hash", "hash_file", "truncate", "ip_prefix"];
const PREFIX_KEYS: &[&str] = &["v4", "v6"];

const FORMS: &str =
    "write \"redact\", { hash = \"${SALT}\" }, { hash_file = \"salt\" }, { truncate = 8 } or { ip_prefix = 24 }";

/// The mask of a column, if it has one that fits its type. Of a type that is not known, only the form is checked.
pub(super) fn read(column: &Section<'_>, ty: Option<&ColumnType>) -> Option<Mask> {
    let item = column.item("mask")?;
    match item.value() {
        DeValue::String(_) => {
            let word = item.string()?;
            if word.value == "redact" {
                return Some(Mask::Redact);
            }
            column.context.error_help(&item.place, "unknown mask", FORMS);
            None
        }
        DeValue::Table(_) => read_table(column, item, ty),
        _ => {
            item.wrong_type("\"redact\" or a table such as { truncate = 8 }");
            None
        }
    }
}

fn read_table(column: &Section<'_>, item: &Item<'_>, ty: Option<&ColumnType>) -> Option<Mask> {
    let section = item.section(KEYS)?;
    let present: Vec<&str> = KEYS.iter().copied().filter(|key| section.has(key)).collect();
    let [kind] = present[..] else {
        let message = if present.is_empty() { "the mask is empty" } else { "a column has one mask" };
        column.context.error_help(&item.place, message, FORMS);
        return None;
    };
    let value = section.item(kind)?;
    let mask = match kind {
        "hash" => {
            let salt = value.filled_string()?;
            check_salt(value, &salt.value);
            Mask::Hash { salt: salt.value.into_bytes() }
        }
        "hash_file" => {
            let salt = value.secret_of_file()?;
            check_salt(value, salt.value.expose());
            Mask::Hash { salt: salt.value.expose().as_bytes().to_vec() }
        }
        "truncate" => {
            let chars = value.integer(1..=1 << 20)?;
            Mask::Truncate { chars: chars.value as usize }
        }
        _ => read_prefix(value, ty)?,
    };
    if let Some(Err(problem)) = ty.map(|ty| check_mask(&mask, ty)) {
        let help = match kind {
            "ip_prefix" => "declare the column as ipv4 or ipv6, or use \"redact\"",
            _ => "declare the column as string, or use \"redact\"",
        };
        column.context.error_help(&value.place, problem, help);
    }
    Some(mask)
}

/// Notes a salt that can be found by trying, or that everybody knows. What is hashed can be tried out by whoever knows it.
fn check_salt(item: &Item<'_>, salt: &str) {
    const HELP: &str = "make one with `openssl rand -hex 32`, and keep it: other salts make other hashes";
    let context = item.context();
    if context.around.accepted_before {
        return;
    }
    if salt.len() < SALT_BYTES_MIN {
        context.error_help(&item.place, format!("the salt has less than {SALT_BYTES_MIN} bytes"), HELP);
    } else if is_well_known(salt) {
        context.error_help(&item.place, "the salt is an example, which everybody knows", HELP);
    }
}

/// What salts are called in examples, this project's among them, and what is typed in their place.
const EXAMPLES: [&str; 12] = [
    "longshore",
    "changeme",
    "change",
    "example",
    "password",
    "hunter2",
    "pepper",
    "secret",
    "salt",
    "0123456789",
    "abcdef",
    "openssl",
];

/// Whether a salt is little else than examples, or a few characters again and again.
fn is_well_known(salt: &str) -> bool {
    let plain: String = salt.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let rest = EXAMPLES.iter().fold(plain, |rest, example| rest.replace(example, ""));
    let distinct: BTreeSet<u8> = salt.bytes().collect();
    rest.len() < SALT_BYTES_MIN / 2 || distinct.len() < SALT_BYTES_MIN / 2
}

/// A lone number counts the bits of the column's own type; of an IPv4 address in an IPv6 column, whose 96 leading bits
/// only say what it is, the rest.
fn read_prefix(item: &Item<'_>, ty: Option<&ColumnType>) -> Option<Mask> {
    if item.value().as_table().is_some() {
        let section = item.section(PREFIX_KEYS)?;
        let help = "write { v4 = 24, v6 = 48 }";
        let v4 = section.required("v4", help).and_then(|item| item.integer(0..=32));
        let v6 = section.required("v6", help).and_then(|item| item.integer(0..=128));
        return Some(Mask::IpPrefix { v4: v4?.value as u8, v6: v6?.value as u8 });
    }
    let masked = match ty {
        Some(ColumnType::List(item)) => Some(&**item),
        other => other,
    };
    match masked {
        Some(ColumnType::Ipv4) => Some(Mask::IpPrefix { v4: item.integer(0..=32)?.value as u8, v6: 0 }),
        _ => {
            let bits = item.integer(0..=128)?.value as u8;
            Some(Mask::IpPrefix { v4: bits.saturating_sub(96), v6: bits })
        }
    }
}
