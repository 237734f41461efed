//! How a service processes slices: by the config that each was cut under.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use longshore_core::decode::Decoder;
use longshore_core::limits::CONFIG_TEXTS_KEPT;
use longshore_core::simd::Kernels;
use longshore_core::slice::SliceId;
use longshore_ingest::journal::{self, ConfigHash};
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
    /// Keeps the configs of slices in doubt of files.
    journal: PathBuf,
    /// Texts that were needed last, the oldest first: with the dictionary each may be large.
    texts: Mutex<VecDeque<(ConfigHash, Arc<str>)>>,
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
            journal: config.run.journal.clone(),
            texts: Mutex::default(),
            plans: Mutex::new(HashMap::new()),
            current: Mutex::new((1, current.clone())),
            shared: config.sources.iter().any(|source| source.kafka().is_some()),
        };
        processing.know(ConfigHash::of(&current), current.clone());
        processing.plan(ConfigHash::of(&current)).map_err(|why| anyhow!(why))?;
        Ok(processing)
    }

    /// What is cut from now on is processed by this plan, which was made of the text.
    pub(crate) fn replace(&self, text: &str, plan: Plan) -> ConfigHash {
        let hash = ConfigHash::of(text);
        self.know(hash, text.into());
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

    /// Where slices are stored.
    pub(super) fn client(&self) -> &ClickHouse {
        &self.client
    }

    /// Configs that slices in doubt were cut under, of the journal.
    pub(super) fn recovered(&self, configs: &BTreeMap<ConfigHash, String>) {
        configs.iter().for_each(|(&hash, text)| self.know(hash, text.as_str().into()));
    }

    /// Remembers a text, and forgets the one that was not needed for longest.
    fn know(&self, hash: ConfigHash, text: Arc<str>) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.retain(|(known, _)| *known != hash);
        texts.push_back((hash, text));
        if texts.len() > CONFIG_TEXTS_KEPT {
            texts.pop_front();
        }
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
    fn text(&self, config: ConfigHash) -> Result<Arc<str>, String> {
        let known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = known.iter().find(|(known, _)| *known == config).map(|(_, text)| text.clone());
        drop(known);
        if let Some(text) = text {
            return Ok(text);
        }
        let text = match journal::kept_config(&self.journal, config) {
            Some(text) => text,
            None if self.shared => self.text_of_others(config)?,
            None => return Err(format!("its text is not in the journal {}", self.journal.display())),
        };
        let text: Arc<str> = text.into();
        self.know(config, text.clone());
        Ok(text)
    }

    /// The same as ClickHouse keeps it.
    fn text_of_others(&self, config: ConfigHash) -> Result<String, String> {
        let kept = self.client.kept_config(config.0).map_err(|error| format!("asking ClickHouse for it: {error}"))?;
        kept.filter(|text| ConfigHash::of(text) == config).ok_or_else(|| {
            format!(
                "another engine cut slices under it, and `{}`.configs does not have it: engines of a consumer group must \
                 fill the same database",
                self.client.database()
            )
        })
    }

    /// How slices that were cut under this text are processed.
    pub(crate) fn make(&self, text: &str) -> anyhow::Result<Plan> {
        let bundle = Bundle::parse(text);
        let config = bundle.config(&self.path)?;
        bundle.check_salts(&config)?;
        let decoder = Decoder::new(&config, config_file::keyring(&config)?, bundle.dictionary(&config)?)?;
        let sink = ClickHouseSink::new(&self.client, &config)?;
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
        let current = ConfigHash::of(&self.current().1);
        if plans.len() >= CONFIG_TEXTS_KEPT {
            // Of configs that other engines cut slices under, and that are most likely over.
            plans.retain(|known, _| *known == current);
        }
        Ok(plans.entry(config).or_insert(plan).clone())
    }

    fn current(&self) -> (u64, Arc<str>) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn give_up(&self) {
        self.client.give_up();
    }

    fn stored(&self, slices: &[SliceId]) -> Result<HashSet<SliceId>, SinkError> {
        Store::whole_slices(&self.client, slices).map_err(|error| SinkError::Retry { detail: error.to_string() })
    }
}
