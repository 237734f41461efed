//! A config with what it takes to process a slice as it says: what the journal keeps, so that a slice in doubt is processed
//! as it was the first time, though config and dictionary were changed since.
//!
//! Keys are no part of it, since it is written to disk: those that slices in doubt were sealed with must still be in the
//! keyring. Neither is the environment, whose variables are filled in when the text is read.

use std::path::Path;

use anyhow::{Context, anyhow};
use longshore_core::config::{Config, ProductsSpec};
use longshore_core::product::Dictionary;

use crate::config_file;

/// Stands between the config and its dictionary. A comment of TOML.
const DICTIONARY: &str = "\n# The product dictionary:\n";

/// See the [module](self).
pub(crate) struct Bundle {
    config: String,
    /// The text of the dictionary, if the config names one.
    pub(crate) dictionary: Option<String>,
}

impl Bundle {
    /// The config's text, which was read from `path`, and the dictionary that it names, which is read.
    pub(crate) fn read(text: String, path: &Path, config: &Config) -> anyhow::Result<Bundle> {
        if text.contains(DICTIONARY) {
            return Err(anyhow!("{} has the line `{}`: remove it", path.display(), DICTIONARY.trim()));
        }
        let dictionary = match &config.products {
            ProductsSpec::Column { dictionary: Some(spec), .. } => {
                let bytes = config_file::dictionary_bytes(spec)?;
                let text = String::from_utf8(bytes).ok().with_context(|| {
                    format!("the product dictionary {} (products.dictionary) is not UTF-8", spec.path.display())
                })?;
                Some(text)
            }
            _ => None,
        };
        Ok(Bundle { config: text, dictionary })
    }

    /// Takes a text apart.
    pub(crate) fn parse(text: &str) -> Bundle {
        match text.split_once(DICTIONARY) {
            Some((config, dictionary)) => Bundle { config: config.into(), dictionary: Some(dictionary.into()) },
            None => Bundle { config: text.into(), dictionary: None },
        }
    }

    /// All of it as one text.
    pub(crate) fn text(&self) -> String {
        match &self.dictionary {
            Some(dictionary) => format!("{}{DICTIONARY}{dictionary}", self.config),
            None => self.config.clone(),
        }
    }

    /// The config, with paths relative to where it is now.
    pub(crate) fn config(&self, path: &Path) -> anyhow::Result<Config> {
        config_file::parse(&self.config, path)
    }

    /// The dictionary, as it was.
    pub(crate) fn dictionary(&self, config: &Config) -> anyhow::Result<Option<Dictionary>> {
        let ProductsSpec::Column { dictionary: Some(spec), .. } = &config.products else { return Ok(None) };
        let text =
            self.dictionary.as_ref().context("the config names a product dictionary and none was kept with it")?;
        config_file::parse_dictionary(text.as_bytes(), spec).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_one_text_and_comes_apart_again() {
        for dictionary in [None, Some("id,name\n7,Shop\n".to_owned())] {
            let bundle = Bundle { config: "version = 1\n".to_owned(), dictionary };
            let again = Bundle::parse(&bundle.text());
            assert_eq!((&again.config, &again.dictionary), (&bundle.config, &bundle.dictionary));
        }
    }
}
