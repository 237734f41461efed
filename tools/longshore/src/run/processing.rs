//! How a service processes slices: by the config that each was cut under.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use longshore_core::decode::Decoder;
use longshore_core::simd::Kernels;
use longshore_core::slice::SliceId;
use longshore_ingest::journal::ConfigHash;
use longshore_ingest::service::{Plan, Plans};
use longshore_ingest::sink::SinkError;
use longshore_sinks::clickhouse::{ClickHouse, ClickHouseSink, ClientError, Failures, GuardedSink, Store};

use crate::bundle::Bundle;
use crate::config_file;
use crate::dead_letters::Alarm;
use crate::metrics::Metrics;
use crate::output::whole;

/// How slices are processed: a decoder and a sink for each config that slices were cut under.
pub(crate) struct Processing {
    pub(super) path: PathBuf,
    kernels: Kernels,
    client: ClickHouse,
    metrics: Arc<Metrics>,
    alarm: Arc<Alarm>,
    /// Of all slices, whatever their config.
    failures: Failures,
    /// What slices are cut under from now on, with a number that grows.
    current: Mutex<(u64, Arc<str>)>,
    /// Other engines plan slices that this one may have to process; their configs are in ClickHouse.
    shared: bool,
    texts: Mutex<BTreeMap<ConfigHash, String>>,
    plans: Mutex<HashMap<ConfigHash, Arc<Plan>>>,
}

impl Processing {
    pub(super) fn new(
        path: &Path,
        kernels: Kernels,
        client: &ClickHouse,
        bundle: &Bundle,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let current: Arc<str> = bundle.text().into();
        let config = bundle.config(path)?;
        let processing = Processing {
            path: path.to_owned(),
            kernels,
            client: client.clone(),
            metrics,
            alarm: Arc::default(),
            failures: Failures::default(),
            texts: Mutex::new(BTreeMap::from([(ConfigHash::of(&current), current.to_string())])),
            plans: Mutex::new(HashMap::new()),
            current: Mutex::new((1, current.clone())),
            shared: config.sources.iter().any(|source| source.kafka().is_some()),
        };
        processing.plan(ConfigHash::of(&current)).map_err(|why| anyhow!(why))?;
        Ok(processing)
    }

    /// What is cut from now on is processed by this plan, which was made of the text.
    pub(crate) fn replace(&self, text: &str, plan: Plan) -> ConfigHash {
        let hash = ConfigHash::of(text);
        self.know(&BTreeMap::from([(hash, text.to_owned())]));
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Slices of the config before are under way. Should there be older ones, their plans are made again: each plan
        // remembers users, and takes memory.
        let before = ConfigHash::of(&current.1);
        plans.retain(|known, _| *known == before);
        plans.insert(hash, Arc::new(plan));
        if *current.1 != *text {
            *current = (current.0 + 1, text.into());
        }
        hash
    }

    /// Configs that slices in doubt were cut under.
    pub(super) fn know(&self, configs: &BTreeMap<ConfigHash, String>) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.extend(configs.iter().map(|(&hash, text)| (hash, text.clone())));
    }

    /// Keeps a config where the other engines find it, if they may have to. To be done before anything is cut under it.
    ///
    /// # Errors
    /// ClickHouse is away or refuses.
    pub(crate) fn keep(&self, text: &str) -> Result<ConfigHash, ClientError> {
        let hash = ConfigHash::of(text);
        if self.shared {
            self.client.keep_config(hash.0, text)?;
        }
        Ok(hash)
    }

    /// The text of a config that slices were cut under, here or by another engine.
    fn text(&self, config: ConfigHash) -> Result<String, String> {
        if let Some(text) = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(&config) {
            return Ok(text.clone());
        }
        if !self.shared {
            return Err("its text is not known here".to_owned());
        }
        let kept = self.client.kept_config(config.0).map_err(|error| format!("asking ClickHouse for it: {error}"))?;
        let text = kept.filter(|text| ConfigHash::of(text) == config).ok_or_else(|| {
            format!(
                "another engine cut slices under it, and `{}`.configs does not have it: engines of a consumer group must \
                 fill the same database",
                self.client.database()
            )
        })?;
        self.know(&BTreeMap::from([(config, text.clone())]));
        Ok(text)
    }

    /// How slices that were cut under this text are processed.
    pub(crate) fn make(&self, text: &str) -> anyhow::Result<Plan> {
        let bundle = Bundle::parse(text);
        let config = bundle.config(&self.path)?;
        let decoder = Decoder::new(&config, config_file::keyring(&config)?, bundle.dictionary(&config)?)?;
        let sink = ClickHouseSink::new(&self.client, &config, false)?;
        let sink = GuardedSink::new(sink, &config, &self.failures);
        let sink = self.alarm.around(self.metrics.around(Box::new(sink)), &self.metrics);
        Ok(Plan { decoder: decoder.with_kernels(self.kernels), sink })
    }
}

impl Plans for Processing {
    fn plan(&self, config: ConfigHash) -> Result<Arc<Plan>, String> {
        if let Some(plan) = self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&config) {
            return Ok(plan.clone());
        }
        let text = self.text(config)?;
        let plan = Arc::new(self.make(&text).map_err(|error| whole(&error))?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(plans.entry(config).or_insert(plan).clone())
    }

    fn current(&self) -> (u64, Arc<str>) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stored(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, SinkError> {
        Store::whole_slices(&self.client, slices).map_err(|error| SinkError::Retry { detail: error.to_string() })
    }
}
