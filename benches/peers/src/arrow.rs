//! arrow-json: JSON to record batches, typed as near to Longshore's columns as it can.
//!
//! It has no addresses, UUIDs or times in quotes, which stay text, and cannot keep an object as its text, so that the
//! channel log has 16 of its 17 columns. Dictionaries would cost it more than plain text.

use std::sync::Arc;

use anyhow::{Context, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

use crate::Peer;

/// Rows of a batch: of 1,024, 8,192 and 65,536 the fastest on the channel log.
const BATCH_ROWS: usize = 8_192;

pub(crate) struct ArrowJson {
    decoder: Decoder,
    input: Vec<u8>,
}

impl ArrowJson {
    pub(crate) fn new(workload: &str, input: Vec<u8>) -> anyhow::Result<Self> {
        let schema = Arc::new(Schema::new(fields(workload)?));
        let decoder = ReaderBuilder::new(schema).with_batch_size(BATCH_ROWS).build_decoder()?;
        Ok(ArrowJson { decoder, input })
    }

    /// Hands each batch over as it is finished.
    fn decode(&mut self, mut each: impl FnMut(RecordBatch)) -> anyhow::Result<()> {
        let mut rest = self.input.as_slice();
        loop {
            let consumed = self.decoder.decode(rest)?;
            rest = &rest[consumed..];
            match self.decoder.flush()? {
                Some(batch) => each(batch),
                None if rest.is_empty() => return Ok(()),
                None => bail!("arrow-json stopped {} bytes before the end", rest.len()),
            }
        }
    }
}

impl Peer for ArrowJson {
    fn pass(&mut self) -> anyhow::Result<u64> {
        let mut rows = 0;
        self.decode(|batch| rows += batch.num_rows() as u64)?;
        Ok(rows)
    }

    fn columns(&mut self) -> anyhow::Result<String> {
        let mut batches = Vec::new();
        self.decode(|batch| batches.push(batch))?;
        let schema = batches.first().context("no rows")?.schema();
        let mut columns = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            // Nested leaves have other names than Longshore's columns.
            if matches!(field.data_type(), DataType::Struct(_)) {
                continue;
            }
            let mut sums = (0, 0, 0.0);
            batches.iter().for_each(|batch| sum(batch.column(index).as_ref(), &mut sums));
            let (text_bytes, number, float) = sums;
            columns.push(format!(r#""{}":[{text_bytes},"{number}",{float:?}]"#, field.name()));
        }
        Ok(format!("{{{}}}", columns.join(",")))
    }
}

/// Adds a column's bytes of text, integers and floats; nulls add nothing.
fn sum(array: &dyn Array, (text_bytes, number, float): &mut (usize, i128, f64)) {
    match array.data_type() {
        DataType::Utf8 => *text_bytes += array.as_string::<i32>().iter().flatten().map(str::len).sum::<usize>(),
        DataType::Int64 => {
            *number += array.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum::<i128>();
        }
        DataType::Timestamp(_, _) => {
            *number += array.as_primitive::<TimestampMillisecondType>().iter().flatten().map(i128::from).sum::<i128>();
        }
        DataType::Decimal128(_, _) => *number += array.as_primitive::<Decimal128Type>().iter().flatten().sum::<i128>(),
        // One by one, so that the order of additions is Longshore's.
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().for_each(|value| *float += value),
        DataType::Boolean => *number += array.as_boolean().iter().flatten().map(i128::from).sum::<i128>(),
        other => unreachable!("no schema below has {other}"),
    }
}

fn fields(workload: &str) -> anyhow::Result<Fields> {
    Ok(match workload {
        "channel-log" | "off-template" | "shuffled-keys" => channel_log(),
        "ad-event" => ["user_id", "page_id", "ad_id", "ad_type", "event_type", "event_time", "ip_address"]
            .map(text)
            .to_vec()
            .into(),
        "nested" => nested(),
        "wide-5" => vec![time("ts"), text("level_20"), text("text_46"), integer("count_72"), float("ratio_98")].into(),
        other => bail!("arrow-json has no schema for the workload {other:?}"),
    })
}

/// All but `props`.
fn channel_log() -> Fields {
    let mut fields = vec![time("ts")];
    fields.extend(["event", "product", "channel", "user_id", "device_id", "session_id", "ip", "os"].map(text));
    fields.extend(["app_version", "country", "page", "referrer", "order_id"].map(text));
    fields.push(Field::new("amount", DataType::Decimal128(18, 2), true));
    fields.push(text("currency"));
    fields.into()
}

fn nested() -> Fields {
    let device = object(
        "device",
        vec![
            text("model"),
            object("os", vec![text("name"), object("version", vec![integer("major")])]),
            object("screen", vec![float("density")]),
        ],
    );
    let city = object("city", vec![text("name"), object("location", vec![float("lat")])]);
    let app = object("app", vec![text("version"), object("build", vec![integer("number")])]);
    let context = object("context", vec![app, device, object("geo", vec![city])]);
    let flags = object("flags", vec![Field::new("sampled", DataType::Boolean, true)]);
    let parents = ["meta", "scope", "root", "link", "parent"];
    let parent = parents.into_iter().fold(flags, |inner, name| object(name, vec![inner]));
    let trace = object("trace", vec![object("span", vec![text("id"), parent])]);
    vec![time("ts"), text("id"), context, trace].into()
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn integer(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn float(name: &str) -> Field {
    Field::new(name, DataType::Float64, true)
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), true)
}

fn object(name: &str, fields: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(fields.into()), true)
}
