//! A config with what it takes to process a slice as it says: what the journal keeps, so that a slice in doubt is processed
//! as it was the first time, though config and dictionary were changed since.
//!
//! Keys are no part of it, since it is written to disk: those that slices in doubt were sealed with must still be in the
//! keyring. Neither are the environment and the secrets' files, which are read again when the text is. A password may have
//! changed since. A salt may not, or half of a slice would be hashed by another one: so the text says which salts they were,
//! by a fingerprint that they cannot be found from.

use std::path::Path;

use anyhow::{Context, anyhow};
use longshore_core::config::{Config, ProductsSpec};
use longshore_core::product::Dictionary;

use crate::config_file;

/// Stands between the config and its dictionary. A comment of TOML.
const DICTIONARY: &str = "\n# The product dictionary:\n";

/// Stands in front of the salts' fingerprint, which stands between the config and its dictionary. A comment, too.
const SALTS: &str = "\n# The salts' fingerprint: ";

/// See the [module](self).
pub(crate) struct Bundle {
    config: String,
    /// Which salts the masks had, if there are any; earlier versions did not say it.
    salts: Option<u64>,
    /// The text of the dictionary, if the config names one.
    pub(crate) dictionary: Option<String>,
}

impl Bundle {
    /// The config's text, which was read from `path`, and the dictionary that it names, which is read.
    pub(crate) fn read(text: String, path: &Path, config: &Config) -> anyhow::Result<Bundle> {
        if let Some(ours) = [DICTIONARY, SALTS].iter().find(|ours| text.contains(**ours)) {
            return Err(anyhow!("{} has the line `{}`: remove it", path.display(), ours.trim()));
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
        Ok(Bundle { config: text, salts: config.salts_fingerprint(), dictionary })
    }

    /// Takes a text apart.
    pub(crate) fn parse(text: &str) -> Bundle {
        let (config, dictionary) = match text.split_once(DICTIONARY) {
            Some((config, dictionary)) => (config, Some(dictionary.to_owned())),
            None => (text, None),
        };
        let said = config.split_once(SALTS).and_then(|(config, digits)| {
            let digits = digits.strip_suffix('\n')?;
            Some((config, u64::from_str_radix(digits, 16).ok()?))
        });
        let (config, salts) = said.map_or((config, None), |(config, salts)| (config, Some(salts)));
        Bundle { config: config.to_owned(), salts, dictionary }
    }

    /// All of it as one text.
    pub(crate) fn text(&self) -> String {
        let mut text = self.config.clone();
        if let Some(salts) = self.salts {
            text += &format!("{SALTS}{salts:016x}\n");
        }
        if let Some(dictionary) = &self.dictionary {
            text += DICTIONARY;
            text += dictionary;
        }
        text
    }

    /// The config, with paths relative to where it is now.
    pub(crate) fn config(&self, path: &Path) -> anyhow::Result<Config> {
        config_file::parse_again(&self.config, path)
    }

    /// Refuses a config whose salts are not those that slices of it were hashed with.
    pub(crate) fn check_salts(&self, config: &Config) -> anyhow::Result<()> {
        match (self.salts, config.salts_fingerprint()) {
            (Some(then), now) if Some(then) != now => Err(anyhow!(
                "slices that are not stored yet were cut while the masks had another salt, and with this one the rest of \
                 them would be hashed otherwise: put the old salt back where the config takes it from (a variable, or the \
                 file of `hash_file`) until they are stored, then change it"
            )),
            _ => Ok(()),
        }
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
            for salts in [None, Some(0x51c3)] {
                let bundle = Bundle { config: "version = 1\n".to_owned(), salts, dictionary: dictionary.clone() };
                let again = Bundle::parse(&bundle.text());
                let parts = |bundle: &Bundle| (bundle.config.clone(), bundle.salts, bundle.dictionary.clone());
                assert_eq!(parts(&again), parts(&bundle));
            }
        }
    }

    /// As earlier versions wrote them.
    #[test]
    fn a_bundle_without_a_fingerprint_is_read_as_it_is() {
        let bundle = Bundle::parse("version = 1\n\n# The product dictionary:\nid\n7\n");
        assert_eq!((&*bundle.config, bundle.salts), ("version = 1\n", None));
        assert_eq!(bundle.dictionary.as_deref(), Some("id\n7\n"));
    }

    const COLUMNS: &str = "version = 1\n[[column]]\nname = \"ts\"\ntype = \"timestamp\"\nrequired = true\n[[column]]\n\
                           name = \"p\"\ntype = \"low_cardinality\"\n[[column]]\nname = \"user\"\ntype = \"string\"\n\
                           mask = { hash_file = \"salt\" }\n[products]\ncolumn = \"p\"\n[table]\ntime = \"ts\"\n\
                           [clickhouse]\nurl = \"http://localhost:8123\"\npassword_file = \"pw\"\n";

    /// Passwords may change while slices wait, salts may not.
    #[test]
    fn slices_in_doubt_keep_their_salt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("longshore.toml");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("salt", "5f2c9a7be0d14386b1c07a9e3d5f8264\n");
        write("pw", "hunter2\n");
        let config = config_file::parse(COLUMNS, &path).unwrap();
        let text = Bundle::read(COLUMNS.to_owned(), &path, &config).unwrap().text();
        for secret in ["5f2c9a7be0d14386b1c07a9e3d5f8264", "hunter2"] {
            assert!(!text.contains(secret), "{text}");
        }
        let again = || {
            let bundle = Bundle::parse(&text);
            bundle.check_salts(&bundle.config(&path).unwrap())
        };
        again().unwrap();
        write("pw", "another");
        again().unwrap();
        std::fs::remove_file(folder.path().join("pw")).unwrap();
        again().expect("the password of then is nothing that slices need");
        write("salt", "0a2c9a7be0d14386b1c07a9e3d5f8264");
        let said = again().unwrap_err().to_string();
        assert!(said.contains("put the old salt back") && !said.contains("9a7be0d1"), "{said}");
        std::fs::remove_file(folder.path().join("salt")).unwrap();
        assert!(again().unwrap_err().to_string().contains("put the old salt back"));
        write("salt", "5f2c9a7be0d14386b1c07a9e3d5f8264");
        again().expect("the line ending is no part of it");
    }
}
