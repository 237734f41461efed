//! Reads the config and the files that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, anyhow};
use longshore_core::budget::{Budget, Command};
use longshore_core::config::{self, Config, Diagnostic, DictionarySpec, Env, KeyringSpec, ProductsSpec, Surroundings};
use longshore_core::envelope::Keyring;
use longshore_core::limits::{
    CONFIG_BYTES_MAX, CONFIG_PROBLEMS_MAX, CONFIG_PROBLEMS_SHOWN, DICTIONARY_BYTES_MAX, KEYRING_BYTES_MAX,
};
use longshore_core::product::Dictionary;
use longshore_core::words::plural;
use longshore_ingest::memory::Memory;

/// Reads and checks the config; the error is the full report of everything that is wrong with it.
pub(crate) fn read(path: &Path) -> anyhow::Result<Config> {
    parse(&text(path)?, path)
}

/// The config's text.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let bytes =
        read_bounded(path, CONFIG_BYTES_MAX).with_context(|| format!("cannot read the config {shown}"))?.with_context(
            || format!("{shown} has more than {} MiB, so it is no Longshore config; {SWAPPED}", CONFIG_BYTES_MAX >> 20),
        )?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("{shown} is no Longshore config: it is not text from its byte {at} on; {SWAPPED}")
    })?;
    if text.trim().is_empty() {
        return Err(anyhow!("{shown} is empty; a config begins with `version = 1`, README.md has one to start from"));
    }
    Ok(text)
}

/// What may have happened where the config is another file.
const SWAPPED: &str = "-c takes the config; were it and an input swapped?";

/// The bytes of a file, whatever it is; `None` if it has more than `bytes_max`.
fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let bytes = read_head(path, bytes_max)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

/// Checks a config that was read before, from `path`, with the secrets' files that it names: all that is wrong with it, one
/// by one.
pub(crate) fn check(text: &str, path: &Path) -> Result<Config, Vec<Diagnostic>> {
    let read = |path: &Path, bytes_max: usize| read_head(path, bytes_max).map_err(|error| error.to_string());
    config::parse_with(text, path, &Surroundings { env: &environment(), read: &read, accepted_before: false })
}

/// The same, with all that is wrong as one report.
pub(crate) fn parse(text: &str, path: &Path) -> anyhow::Result<Config> {
    check(text, path).map_err(|diagnostics| report(&diagnostics, path))
}

/// Reads a config that slices were cut under, which was right then. What this run has no use for may be gone: a password's
/// file; and a salt's may have changed, which [`Bundle::check_salts`](crate::bundle::Bundle::check_salts) tells.
pub(crate) fn parse_again(text: &str, path: &Path) -> anyhow::Result<Config> {
    let read = |path: &Path, bytes_max: usize| Ok(read_head(path, bytes_max).unwrap_or_else(|_| ABSENT.to_vec()));
    config::parse_with(text, path, &Surroundings { env: &environment(), read: &read, accepted_before: true })
        .map_err(|diagnostics| report(&diagnostics, path))
}

/// Stands for a secret whose file is gone.
const ABSENT: &[u8] = b"absent";

fn environment() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A file's first bytes: so many and one more, if it has them.
fn read_head(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All that is wrong, as far as it is shown.
fn report(diagnostics: &[Diagnostic], path: &Path) -> anyhow::Error {
    let shown = diagnostics.iter().take(CONFIG_PROBLEMS_SHOWN);
    let report: Vec<String> = shown.map(|diagnostic| diagnostic.render()).collect();
    let count = diagnostics.len();
    let more = match count {
        CONFIG_PROBLEMS_MAX.. => format!(" or more, of which the first {CONFIG_PROBLEMS_SHOWN} are shown"),
        _ if count > report.len() => format!(", of which the first {CONFIG_PROBLEMS_SHOWN} are shown"),
        _ => String::new(),
    };
    anyhow!("{}\n{}: {}{more}", report.join("\n\n"), path.display(), plural(count, "problem"))
}

/// The keys that the config names, if its records are sealed.
pub(crate) fn keyring(config: &Config) -> anyhow::Result<Option<Keyring>> {
    let Some(envelope) = &config.decode.envelope else { return Ok(None) };
    let keyring = match &envelope.keyring {
        KeyringSpec::File(path) => {
            let shown = path.display();
            let bytes = read_bounded(path, KEYRING_BYTES_MAX)
                .with_context(|| format!("cannot read the keyring {shown} (decode.envelope.keyring)"))?;
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).with_context(|| {
                format!(
                    "{shown} (decode.envelope.keyring) is no keyring: that is text of at most {} MiB",
                    KEYRING_BYTES_MAX >> 20
                )
            })?;
            Keyring::parse(&text, &shown.to_string())?
        }
        KeyringSpec::Env(name) => {
            let text = std::env::var(name).map_err(|_| {
                anyhow!("the variable {name}, which decode.envelope.keyring_env names, is not set: it must hold the keyring's text")
            })?;
            Keyring::parse(&text, &format!("${name}"))?
        }
    };
    Ok(Some(keyring))
}

/// The product dictionary that the config names, checked against what the config wants of it.
pub(crate) fn dictionary(config: &Config) -> anyhow::Result<Option<Dictionary>> {
    let ProductsSpec::Column { dictionary: Some(spec), .. } = &config.products else { return Ok(None) };
    parse_dictionary(&dictionary_bytes(spec)?, spec).map(Some)
}

/// The product dictionary's file.
pub(crate) fn dictionary_bytes(spec: &DictionarySpec) -> anyhow::Result<Vec<u8>> {
    let origin = spec.path.display();
    read_bounded(&spec.path, DICTIONARY_BYTES_MAX)
        .with_context(|| format!("cannot read the product dictionary {origin} (products.dictionary)"))?
        .with_context(|| {
            format!(
                "{origin} (products.dictionary) has more than {} MiB: is it the product dictionary? If so, leave out \
                 columns that no row needs",
                DICTIONARY_BYTES_MAX >> 20
            )
        })
}

/// Memory for decoded slices, once it is known that the config stays within what it may take.
pub(crate) fn memory(config: &Config, dictionary: Option<&Dictionary>, command: Command) -> anyhow::Result<Memory> {
    let budget = Budget::of(config, command).with_dictionary(dictionary.map_or(0, Dictionary::held_bytes));
    budget.check()?;
    Ok(Memory::new(budget.decoded_bytes))
}

/// Checks a dictionary that was read before.
pub(crate) fn parse_dictionary(bytes: &[u8], spec: &DictionarySpec) -> anyhow::Result<Dictionary> {
    let origin = spec.path.display().to_string();
    let dictionary = match spec.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        true => Dictionary::parse_toml(bytes, &origin)?,
        false => Dictionary::parse_csv(bytes, &origin)?,
    };
    dictionary.check(spec)?;
    Ok(dictionary)
}
