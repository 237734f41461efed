//! Configs that slices of topics were planned under, by their hash: an engine that takes a partition over processes what
//! another one planned as that one would have, though its own config may be another.
//!
//! A config is kept before the first slice is planned under it, and never removed: it is small, and there is one for each
//! change that an operator makes.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use super::client::ClickHouse;
use super::ddl::CONFIGS;
use super::error::ClientError;
use super::sql::quote_table;

impl ClickHouse {
    /// Keeps a config's text under its hash, unless it is kept already. Once this returns, any engine finds it.
    ///
    /// # Errors
    /// The server is away or refuses, or something else is kept under the hash.
    pub fn keep_config(&self, hash: u64, text: &str) -> Result<(), ClientError> {
        if let Some(kept) = self.kept_config(hash)? {
            return match kept == text {
                true => Ok(()),
                false => Err(ClientError::Invalid(format!(
                    "{} holds another config under the hash {hash:016x}: somebody changed it; remove that row",
                    quote_table(self.database(), CONFIGS)
                ))),
            };
        }
        let columns: [ArrayRef; 2] = [Arc::new(UInt64Array::from(vec![hash])), Arc::new(StringArray::from(vec![text]))];
        let fields = vec![Field::new("hash", DataType::UInt64, false), Field::new("text", DataType::Utf8, false)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())
            .expect("a row of the columns that the schema names");
        self.insert(CONFIGS, &format!("{hash:016x}-config"), &batch)
    }

    /// The text that is kept under a hash.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub fn kept_config(&self, hash: u64) -> Result<Option<String>, ClientError> {
        let table = quote_table(self.database(), CONFIGS);
        let rows = self.rows(&format!("SELECT text FROM {table} WHERE hash = {hash} LIMIT 1"))?;
        Ok(rows.into_iter().flatten().next())
    }
}
