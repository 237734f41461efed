//! A slice without some of its rows, which are stored already or rejected, and how many of each product they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use longshore_core::decode::DecodedSlice;
use longshore_ingest::sink::LoadedSlice;

/// Rows of each product, products in order.
pub(super) type ByProduct = Vec<(Arc<str>, u64)>;

/// The slice without these rows of its batch, and how many they are of each product, which is in that column. The slice's
/// counts but those of rows are as they were.
pub(super) fn without(slice: &LoadedSlice, rows: &[u32], product: &str) -> (LoadedSlice, ByProduct) {
    let decoded = &slice.decoded;
    let left_out = count_by_product(&decoded.batch, rows, product);
    let mut keep = vec![true; decoded.batch.num_rows()];
    rows.iter().for_each(|&row| keep[row as usize] = false);
    let batch = filter_record_batch(&decoded.batch, &BooleanArray::from(keep)).expect("a flag for each row");
    let mut rows_by_product = decoded.rows_by_product.clone();
    for (product, rows) in &mut rows_by_product {
        *rows -= left_out.iter().find(|(other, _)| other == product).map_or(0, |(_, rows)| *rows);
    }
    let decoded = DecodedSlice { batch, dead: decoded.dead.clone(), rows_by_product, ..*decoded };
    (LoadedSlice { meta: slice.meta.clone(), decoded, rejected: slice.rejected.clone() }, left_out)
}

fn count_by_product(batch: &RecordBatch, rows: &[u32], product: &str) -> ByProduct {
    let column = batch.column_by_name(product).expect("the config was checked: the product is a column");
    let (keys, texts) = match column.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => (Some(dictionary.keys().values()), dictionary.values().as_string::<i32>()),
        None => (None, column.as_string::<i32>()),
    };
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for &row in rows {
        let text = keys.map_or(row as usize, |keys| keys[row as usize] as usize);
        *counts.entry(texts.value(text)).or_default() += 1;
    }
    counts.into_iter().map(|(product, rows)| (product.into(), rows)).collect()
}
