//! From what was measured to a figure a stage.
//!
//! All are CPU seconds for each GB (10^9 bytes) of the input as it is after decompression and before opening, so that
//! they add up. A stage that was not run alone is the difference of two that were, repetition by repetition.

use longshore_ingest::stages::{Cost, EngineRun, ReadRun};

use super::Inserted;

/// What becomes of a record, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Read,
    Open,
    Parse,
    Sort,
    Aggregate,
    Encode,
    Send,
    Server,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Open => "open",
            Stage::Parse => "parse",
            Stage::Sort => "sort",
            Stage::Aggregate => "aggregate",
            Stage::Encode => "encode",
            Stage::Send => "send",
            Stage::Server => "server",
        }
    }
}

/// The repetitions of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) repetitions: usize,
}

impl Spread {
    /// # Panics
    /// Without a value.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len().is_multiple_of(2) {
            true => f64::midpoint(values[middle - 1], values[middle]),
            false => values[middle],
        };
        Spread { median, min: values[0], max: values[values.len() - 1], repetitions: values.len() }
    }

    /// Seconds a GB as MB/s: the slowest repetition is the lowest rate, the highest may be infinite. `None`: it took no
    /// time that can be told.
    pub(super) fn rate(self) -> Option<Spread> {
        let rate = |seconds: f64| 1e3 / seconds;
        (self.median > 0.0).then(|| Spread {
            median: rate(self.median),
            min: rate(self.max),
            max: rate(self.min),
            repetitions: self.repetitions,
        })
    }
}

/// What was measured without a server.
pub(super) struct Measured<'a> {
    pub(super) sample_bytes: u64,
    pub(super) read: &'a [ReadRun],
    pub(super) engine: &'a [EngineRun],
    /// What the steps of `engine` are.
    pub(super) steps: &'a [Stage],
}

/// What each stage takes. Seconds are of CPU and a GB unless said otherwise.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// The engine's stages, in order.
    pub(super) stages: Vec<(Stage, Spread)>,
    /// Seconds on the clock for a GB through the reader, which is one thread.
    pub(super) read_wall: Spread,
    /// Seconds on the clock for each of CPU while decoding: more than one where others use this machine's cores.
    pub(super) crowding: f64,
    pub(super) server: Option<ServerFigures>,
}

/// What the server takes.
#[derive(Debug, Clone)]
pub(super) struct ServerFigures {
    /// `None` if it does not let us see.
    pub(super) cpu: Option<Spread>,
    /// Seconds on the clock for a GB, with nothing else to do for the engine.
    pub(super) wall: Spread,
    /// It shares this machine's cores.
    pub(super) is_local: bool,
    /// Cores that it used for others' work before.
    pub(super) busy_cores: Option<f64>,
}

impl Figures {
    pub(super) fn new(measured: &Measured<'_>, inserted: Option<&Inserted>) -> Figures {
        let gigabytes = measured.sample_bytes as f64 / 1e9;
        let cpu = |cost: Cost| cost.cpu.as_secs_f64() / gigabytes;
        let runs = measured.engine;
        let read =
            |of: fn(&Cost) -> f64| Spread::of(measured.read.iter().map(|run| of(&run.cost) / (run.bytes as f64 / 1e9)));
        let mut stages = vec![(Stage::Read, read(|cost| cost.cpu.as_secs_f64()))];
        if runs.iter().all(|run| run.open.is_some()) {
            stages.push((Stage::Open, Spread::of(runs.iter().filter_map(|run| run.open).map(cpu))));
        }
        let parse = |run: &EngineRun| (cpu(run.unsorted) - run.open.map_or(0.0, cpu)).max(0.0);
        stages.push((Stage::Parse, Spread::of(runs.iter().map(parse))));
        let sort = |run: &EngineRun| (cpu(run.decode) - cpu(run.unsorted)).max(0.0);
        stages.push((Stage::Sort, Spread::of(runs.iter().map(sort))));
        let step = |index: usize| Spread::of(runs.iter().map(|run| cpu(run.steps[index])));
        let steps = measured.steps.iter().enumerate().map(|(index, &stage)| (stage, step(index)));
        stages.extend(steps.clone());
        if let Some(inserted) = inserted {
            // A write takes these steps, too.
            let before: f64 = steps.map(|(_, spread)| spread.median).sum();
            let send = |client: Cost| (cpu(client) - before).max(0.0);
            stages.push((Stage::Send, Spread::of(inserted.runs.iter().map(|run| send(run.client)))));
        }
        let server = inserted.map(|inserted| ServerFigures {
            cpu: inserted
                .runs
                .iter()
                .map(|run| run.server_cpu.map(|cpu| cpu.as_secs_f64() / gigabytes))
                .collect::<Option<Vec<f64>>>()
                .map(Spread::of),
            wall: Spread::of(inserted.runs.iter().map(|run| run.client.wall.as_secs_f64() / gigabytes)),
            is_local: inserted.is_local,
            busy_cores: inserted.busy_cores,
        });
        let crowding = |run: &EngineRun| run.decode.wall.as_secs_f64() / run.decode.cpu.as_secs_f64().max(1e-9);
        let crowding = Spread::of(runs.iter().map(crowding)).median;
        Figures { stages, read_wall: read(|cost| cost.wall.as_secs_f64()), crowding, server }
    }

    /// All of the engine's stages together.
    pub(super) fn engine_cpu(&self) -> f64 {
        self.stages.iter().map(|(_, spread)| spread.median).sum()
    }

    /// The engine's stage that takes most.
    pub(super) fn dearest(&self) -> (Stage, Spread) {
        let dearest = self.stages.iter().max_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
        *dearest.expect("there are always stages")
    }
}
