//! Reads the config and the files that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, anyhow};
use longshore_core::budget::{Budget, Command};
use longshore_core::config::{self, Config, Diagnostic, DictionarySpec, Env, KeyringSpec, ProductsSpec, Surroundings};
use longshore_core::envelope::Keyring;
use longshore_core::product::Dictionary;
use longshore_ingest::memory::Memory;

/// Reads and checks the config; the error is the full report of everything that is wrong with it.
pub(crate) fn read(path: &Path) -> anyhow::Result<Config> {
    parse(&text(path)?, path)
}

/// The config's text.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the config {}", path.display()))
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

fn report(diagnostics: &[Diagnostic], path: &Path) -> anyhow::Error {
    let report: Vec<String> = diagnostics.iter().map(|diagnostic| diagnostic.render()).collect();
    let count = diagnostics.len();
    let plural = if count == 1 { "problem" } else { "problems" };
    anyhow!("{}\n{}: {count} {plural}", report.join("\n\n"), path.display())
}

/// The keys that the config names, if its records are sealed.
pub(crate) fn keyring(config: &Config) -> anyhow::Result<Option<Keyring>> {
    let Some(envelope) = &config.decode.envelope else { return Ok(None) };
    let keyring = match &envelope.keyring {
        KeyringSpec::File(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the keyring {} (decode.envelope.keyring)", path.display()))?;
            Keyring::parse(&text, &path.display().to_string())?
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
    let origin = spec.path.display().to_string();
    let bytes = std::fs::read(&spec.path)
        .with_context(|| format!("cannot read the product dictionary {origin} (products.dictionary)"))?;
    parse_dictionary(&bytes, spec).map(Some)
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
