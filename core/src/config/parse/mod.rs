//! From the config's text to the validated [`Config`], or to everything that is wrong with it.
//!
//! Each section has a file here. A section is read on its own first; what it says about others (a rollup's columns, the
//! table's time) is checked against the columns once these are read. Nothing stops at the first problem: a part that
//! cannot be read is left out, and the config is put together only if nothing was found at all.

mod clickhouse;
mod column_type;
mod columns;
mod conditions;
mod decode;
mod dedup;
mod events;
mod kafka;
mod masks;
mod message;
mod products;
mod rollups;
mod run;
mod sources;

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::context::{Context, Place};
use super::secret::Surroundings;
use super::suggest::closest;
use super::table::{Section, integer_value};
use super::{Config, Diagnostic, Env};
use crate::limits::CONFIG_PROBLEMS_MAX;

pub use columns::type_name;

/// The version of the config's format that this program reads.
const VERSION: i128 = 1;

/// What the TOML parser says of a key that is there already.
const DUPLICATE: &str = "duplicate key";

const KEYS: &[&str] = &[
    "version",
    "source",
    "decode",
    "column",
    "message",
    "products",
    "filter",
    "table",
    "rollup",
    "dedup",
    "clickhouse",
    "pipeline",
    "run",
];

/// Reads a config.
///
/// `path` is the file that `text` came from, as the user named it: diagnostics show it, and relative paths in the config
/// start at its folder. `env` fills in variables, and its `HOME` is what `~/` means. No file is read: a config whose secrets
/// stand in files is for [`parse_with`].
///
/// # Errors
/// Every problem there is, up to [`CONFIG_PROBLEMS_MAX`], in the order of the file. If the text is not TOML, only that is
/// reported, and if it is no config at all, only the first place where that shows.
pub fn parse(text: &str, path: &Path, env: &Env) -> Result<Config, Vec<Diagnostic>> {
    parse_with(text, path, &Surroundings::without_files(env))
}

/// The same for a config whose secrets may stand in files.
///
/// # Errors
/// As for [`parse`]. What a file holds is in no diagnostic.
pub fn parse_with(text: &str, path: &Path, around: &Surroundings<'_>) -> Result<Config, Vec<Diagnostic>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let root = root.into_inner();
    let context = Context::new(text, path, around, &root);
    let mut readable = true;
    if let Some(wrong) = not_a_config(text, &root, &errors) {
        context.error_unseen(wrong, "this is not a Longshore config", SWAPPED);
        return Err(context.into_found());
    }
    for error in errors.iter().take(CONFIG_PROBLEMS_MAX) {
        let duplicate = error.message() == DUPLICATE;
        let place = Place { key: String::new(), span: error.span().unwrap_or(0..0) };
        if duplicate {
            context.error_help(&place, "this key is there already", "keep one of them");
        } else {
            context.error(&place, format!("this is not TOML: {}", error.message()));
        }
        readable &= duplicate;
    }
    let config = if readable { document(&context, &root, path) } else { None };
    match config {
        Some(config) if context.is_clean() => Ok(config),
        _ => {
            let found = context.into_found();
            assert!(!found.is_empty(), "a config was refused without a reason");
            Err(found)
        }
    }
}

/// What may have happened where a file is something else than a config.
const SWAPPED: &str = "-c takes the config; were it and an input swapped?";

/// Where it shows that a text is something else than a config, such as a log: it is not TOML, or has syntax errors,
/// and names none of our keys. Then nothing of it is to be shown: nobody knows what is in it.
fn not_a_config(text: &str, root: &DeTable<'_>, errors: &[toml::de::Error]) -> Option<usize> {
    let syntax = errors.iter().find(|error| error.message() != DUPLICATE);
    let is_ours = match syntax {
        // What of it was taken for a key by a parser that goes on after errors is no evidence.
        Some(_) => text.lines().any(begins_as_ours),
        None => root.is_empty() || root.keys().any(|key| is_like_ours(key.get_ref())),
    };
    let place = syntax.and_then(toml::de::Error::span).map_or(0, |span| span.start);
    (!is_ours).then_some(place)
}

/// Whether a line is a header of one of our tables, `[table]`, or `version = `, with a slip in it perhaps.
fn begins_as_ours(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    if let Some(table) = line.strip_prefix('[') {
        let name = table.trim_start_matches('[');
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
        let behind = name[end..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_.]".contains(c)).trim();
        return is_like_ours(&name[..end]) && (behind.is_empty() || behind.starts_with('#'));
    }
    line.strip_prefix("version").is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn is_like_ours(key: &str) -> bool {
    KEYS.contains(&key) || closest(key, KEYS.iter().copied()).is_some()
}

/// The whole config, if all of it could be read.
fn document<'a>(context: &'a Context<'a>, root: &'a DeTable<'a>, path: &Path) -> Option<Config> {
    let start = Place { key: String::new(), span: 0..0 };
    if !is_readable_version(context, root, &start) {
        return None;
    }
    let root = Section::open(context, start, root, KEYS);

    let sources = sources::read(&root);
    let pipeline = decode::read_pipeline(&root);
    let decode = decode::read(&root);
    decode::check_sizes(context, &decode, &pipeline);
    sources::check_topics(&root, &sources, &decode);
    let columns = columns::read(&root, decode.format);
    let products = products::read(&root, &columns);
    let message = message::read(&root, &mut columns.names());
    columns::check_count(context, &columns, message.len(), products.as_ref());
    let filters = conditions::read_filters(&root, &columns);
    let table = events::read(&root, &columns, products.as_ref());
    let rollups = rollups::read(&root, &columns, products.as_ref(), &table);
    let dedup = root.item("dedup").map(|item| dedup::read(item, &columns, products.as_ref()));
    let clickhouse = clickhouse::read(&root);
    let run = run::read(&root, path);

    Some(Config {
        path: path.to_owned(),
        sources,
        decode: decode.into_spec()?,
        columns: columns.into_specs()?,
        message,
        products: products?,
        filters,
        table: table.into_spec()?,
        rollups: rollups.into_specs()?,
        dedup: match dedup {
            Some(read) => Some(read?),
            None => None,
        },
        clickhouse: clickhouse?,
        pipeline: pipeline.into_spec(),
        run,
        secrets: context.written_secrets(),
    })
}

/// Checks `version`. What a config of another version says is not for us to judge, so it is not looked at.
fn is_readable_version(context: &Context<'_>, root: &DeTable<'_>, start: &Place) -> bool {
    let Some(version) = root.get("version") else {
        let help = "write `version = 1` at the top of the file";
        context.error_help(&start.missing("version"), "this key is required", help);
        return true;
    };
    let place = Place { key: "version".to_owned(), span: version.span() };
    match version.get_ref() {
        DeValue::Integer(integer) if integer_value(integer) == Some(VERSION) => true,
        DeValue::Integer(integer) => {
            let help = "write `version = 1`, or use the Longshore that this config was written for";
            context.error_help(&place, format!("version {integer} of the config is not known"), help);
            false
        }
        _ => {
            context.error_help(&place, "the version is not a whole number", "write `version = 1`");
            true
        }
    }
}
