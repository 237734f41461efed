//! A source of topics: the member of a group, and what its slices are cut by.

use std::path::Path;

use longshore_core::config::KafkaSpec;
use longshore_ingest::feed::{Feed, FeedError};
use longshore_ingest::kafka::{KafkaFeed, KafkaOptions};
use longshore_ingest::service::Plans as _;
use longshore_kafka::RdConsumer;

use super::processing::Processing;
use crate::bundle::Bundle;
use crate::output::whole;

/// The partitions that the group gives this engine, going on where its offsets say.
pub(super) fn feed(name: &str, spec: &KafkaSpec, processing: &Processing) -> Result<Box<dyn Feed>, FeedError> {
    let (_, text) = processing.current();
    let config = processing.keep(&text).map_err(|error| FeedError::Retry {
        detail: format!("the config could not be kept in ClickHouse for the group's other engines: {error}"),
    })?;
    let (path, source) = (processing.path.clone(), name.to_owned());
    let rules = move |text: &str| options(text, &path, &source);
    let options = rules(&text).map_err(|detail| FeedError::Refuse { detail })?;
    let consumer = RdConsumer::join(spec)?;
    Ok(Box::new(KafkaFeed::new(consumer, options, config).with_rules(rules)))
}

/// What a config's text says of the source of this name.
fn options(text: &str, path: &Path, source: &str) -> Result<KafkaOptions, String> {
    let config = Bundle::parse(text).config(path).map_err(|error| whole(&error))?;
    let spec = config.sources.iter().find(|other| other.name == source).and_then(|source| source.kafka());
    let spec =
        spec.ok_or_else(|| format!("source \"{source}\" reads no topics any more: restart to leave its group"))?;
    Ok(KafkaOptions::of(&config, spec))
}
