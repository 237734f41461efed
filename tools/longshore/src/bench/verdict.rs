//! Which stage is the bottleneck of a load, and what to do about it.
//!
//! The stages of a load overlap, so it runs at the lowest of these rates: what the one reader thread reads, what the
//! cores take, what the server takes. A server on the same machine takes from the same cores.

use super::figures::{Figures, ServerFigures, Stage};

/// What a load would run on, and read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    pub(super) cores: usize,
    /// Decoding threads.
    pub(super) workers: usize,
    /// The input is compressed.
    pub(super) is_compressed: bool,
}

/// Highest rates of a load, MB/s of input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ceilings {
    /// Of the one thread that reads.
    pub(super) reader: f64,
    /// Of the engine, with all cores that it may have.
    pub(super) engine: f64,
    /// Of the server, with nothing else to do for this machine.
    pub(super) server: Option<f64>,
    /// Of engine and server together, where they share the cores and the server says what it takes.
    pub(super) shared: Option<f64>,
}

impl Ceilings {
    pub(super) fn new(figures: &Figures, machine: Machine) -> Ceilings {
        let rate = |seconds: f64| 1e3 / seconds.max(f64::MIN_POSITIVE);
        let engine = figures.engine_cpu();
        let shared = figures.server.as_ref().and_then(|server| shared_cpu(engine, server));
        Ceilings {
            reader: rate(figures.read_wall.median),
            engine: rate(engine / machine.workers.min(machine.cores) as f64),
            server: figures.server.as_ref().map(|server| rate(server.wall.median)),
            shared: shared.map(|cpu| rate(cpu / machine.cores as f64)),
        }
    }

    /// The lowest.
    pub(super) fn load(&self) -> f64 {
        [Some(self.engine), self.server, self.shared].into_iter().flatten().fold(self.reader, f64::min)
    }
}

/// CPU seconds a GB of engine and server, where they share the cores.
fn shared_cpu(engine: f64, server: &ServerFigures) -> Option<f64> {
    server.cpu.filter(|_| server.is_local).map(|cpu| engine + cpu.median)
}

/// The bottleneck: a stage and a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) stage: Stage,
    pub(super) sentence: String,
}

impl Verdict {
    pub(super) fn new(figures: &Figures, ceilings: &Ceilings, machine: Machine) -> Verdict {
        let others = Ceilings { reader: f64::INFINITY, ..*ceilings }.load();
        if ceilings.reader < others {
            return reader(ceilings.reader, others, machine.is_compressed);
        }
        let engine = figures.engine_cpu();
        if let Some((server, wall)) = figures.server.as_ref().zip(ceilings.server) {
            let takes_more = shared_cpu(engine, server).is_some_and(|sum| sum > 2.0 * engine);
            if takes_more || wall < ceilings.engine.min(ceilings.shared.unwrap_or(f64::INFINITY)) {
                return of_server(server, engine, ceilings);
            }
        }
        of_engine(figures, machine.is_compressed)
    }
}

fn reader(rate: f64, others: f64, is_compressed: bool) -> Verdict {
    let cure = match is_compressed {
        true => {
            "one core decompresses an input: zstd or lz4 instead of gzip is faster, and so are several loads of a part \
             of the files each"
        }
        false => "a faster disk helps, or files compressed with zstd or lz4; more cores do not",
    };
    let sentence = format!("the reader: it brings {rate:.0} MB/s, and the rest would take {others:.0}; {cure}");
    Verdict { stage: Stage::Read, sentence }
}

fn of_server(server: &ServerFigures, engine: f64, ceilings: &Ceilings) -> Verdict {
    const CURE: &str = "fewer columns, a shorter table.order_by and fewer rollups make inserts cheaper";
    let sentence = match (server.cpu, server.is_local) {
        (Some(cpu), true) => format!(
            "the server: its CPU per GB is {:.1}x the engine's, on the same cores; {CURE}, and a machine of its own leaves \
             these to the engine",
            cpu.median / engine
        ),
        (Some(cpu), false) => format!(
            "the server: it takes {:.0} MB/s and its CPU per GB is {:.1}x the engine's, which could do {:.0} MB/s; {CURE}, \
             and so does a larger server",
            ceilings.server.unwrap_or_default(),
            cpu.median / engine,
            ceilings.engine,
        ),
        (None, _) => format!(
            "the server: it takes {:.0} MB/s, and the engine could do {:.0}; {CURE}, and so does a larger server",
            ceilings.server.unwrap_or_default(),
            ceilings.engine,
        ),
    };
    Verdict { stage: Stage::Server, sentence }
}

fn of_engine(figures: &Figures, is_compressed: bool) -> Verdict {
    let (stage, spread) = figures.dearest();
    let share = 100.0 * spread.median / figures.engine_cpu();
    let (what, cure) = match stage {
        Stage::Read if is_compressed => ("decompressing", "zstd and lz4 take a fraction of what gzip takes"),
        Stage::Read => ("reading", "there is little else to do for the engine"),
        Stage::Open => ("opening the envelopes", "larger records cost less a byte, and frames need no base64"),
        Stage::Parse => {
            ("parsing", "declare fewer columns, and low_cardinality where a string repeats; more cores help")
        }
        Stage::Sort => ("sorting", "a shorter table.order_by, and input whose rows come nearly in that order"),
        Stage::Aggregate => ("aggregating", "fewer rollups and `by` columns help; more cores do, too"),
        Stage::Encode => ("encoding", "fewer columns help"),
        Stage::Send => ("sending", "clickhouse.compression = \"none\" saves CPU where the network is fast"),
        Stage::Server => ("the server", "more cores help"),
    };
    let sentence = format!("the engine, mostly {what} ({share:.0}% of its CPU): {cure}");
    Verdict { stage, sentence }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Spread;
    use super::*;

    const MACHINE: Machine = Machine { cores: 4, workers: 2, is_compressed: false };

    fn just(seconds: f64) -> Spread {
        Spread::of([seconds])
    }

    /// An engine of 0.5 CPU s/GB: 4,000 MB/s on two workers. The reader brings 5,000 MB/s.
    fn figures(server: Option<ServerFigures>) -> Figures {
        let stages = vec![(Stage::Read, just(0.1)), (Stage::Parse, just(0.3)), (Stage::Encode, just(0.1))];
        Figures { stages, read_wall: just(0.2), crowding: 1.0, server }
    }

    fn server(cpu: Option<f64>, wall: f64, is_local: bool) -> Option<ServerFigures> {
        Some(ServerFigures { cpu: cpu.map(just), wall: just(wall), is_local, busy_cores: None })
    }

    fn judge(figures: &Figures, machine: Machine) -> (Ceilings, Verdict) {
        let ceilings = Ceilings::new(figures, machine);
        (ceilings, Verdict::new(figures, &ceilings, machine))
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected, "{found}, expected {expected}");
    }

    #[test]
    fn without_a_server_the_dearest_stage_is_the_bottleneck() {
        let (ceilings, verdict) = judge(&figures(None), MACHINE);
        assert_near(ceilings.engine, 4_000.0);
        assert_near(ceilings.reader, 5_000.0);
        assert_near(ceilings.load(), 4_000.0);
        assert_eq!((ceilings.server, ceilings.shared, verdict.stage), (None, None, Stage::Parse));
        assert!(verdict.sentence.contains("mostly parsing (60% of its CPU)"), "{}", verdict.sentence);
    }

    #[test]
    fn a_slow_disk_is_the_bottleneck_whatever_the_cores_do() {
        let slow = Figures { read_wall: just(1e3 / 180.0), ..figures(server(Some(2.0), 1.0, true)) };
        let (ceilings, verdict) = judge(&slow, MACHINE);
        assert_near(ceilings.load(), 180.0);
        assert_eq!(verdict.stage, Stage::Read);
        // Four cores take 2.5 s/GB together.
        assert!(verdict.sentence.contains("brings 180 MB/s, and the rest would take 1000; a faster disk"));
        let (_, verdict) = judge(&slow, Machine { is_compressed: true, ..MACHINE });
        assert!(verdict.sentence.contains("decompresses"), "{}", verdict.sentence);
    }

    #[test]
    fn a_server_on_the_same_cores_is_the_bottleneck_if_it_takes_more_of_them() {
        let (ceilings, verdict) = judge(&figures(server(Some(1.5), 0.5, true)), MACHINE);
        assert_near(ceilings.shared.unwrap(), 2_000.0);
        assert_near(ceilings.load(), 2_000.0);
        assert_eq!(verdict.stage, Stage::Server);
        assert!(verdict.sentence.contains("CPU per GB is 3.0x the engine's, on the same cores"));
        let (ceilings, verdict) = judge(&figures(server(Some(0.25), 0.25, true)), MACHINE);
        assert_eq!(verdict.stage, Stage::Parse);
        assert_near(ceilings.load(), 4_000.0);
    }

    #[test]
    fn a_server_elsewhere_is_the_bottleneck_if_it_takes_less_than_the_engine_gives() {
        let (ceilings, verdict) = judge(&figures(server(Some(4.0), 1.0, false)), MACHINE);
        assert_eq!((ceilings.shared, verdict.stage), (None, Stage::Server));
        assert_near(ceilings.load(), 1_000.0);
        assert!(verdict.sentence.contains("takes 1000 MB/s and its CPU per GB is 8.0x"), "{}", verdict.sentence);
        // It is large: much CPU, and yet more than the engine gives.
        let (ceilings, verdict) = judge(&figures(server(Some(4.0), 0.2, false)), MACHINE);
        assert_eq!(verdict.stage, Stage::Parse);
        assert_near(ceilings.load(), 4_000.0);
        let (_, verdict) = judge(&figures(server(None, 1.0, true)), MACHINE);
        assert!(verdict.sentence.contains("takes 1000 MB/s, and the engine could do 4000"), "{}", verdict.sentence);
    }
}
