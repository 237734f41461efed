//! The engine's own rates, stage by stage, on some of a user's input: which stage is the bottleneck.
//!
//! A load is no place to measure them: its stages overlap, and a clock inside the loop over records would be most of
//! what it shows. So each stage is run alone over the same slices, one after the other, several times. What cannot be run
//! alone is a difference: parsing is decoding without opening.
//!
//! CPU time is the whole process's, so that nothing escapes that a helper thread or the kernel does for a stage; nothing
//! else may run in the process meanwhile.

mod engine;
mod read;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub use engine::{Answer, Engine, EngineRun, Step};
pub use read::{PageCache, ReadRun, Sample, SampleOptions};

use crate::input::InputError;

/// What some work took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// From its begin to its end.
    pub wall: Duration,
    /// Of all cores, the kernel's part included.
    pub cpu: Duration,
}

impl Cost {
    /// Does some work and says what it took.
    pub fn of<T>(work: impl FnOnce() -> T) -> (T, Cost) {
        let (wall, cpu) = (Instant::now(), cpu_time());
        let done = work();
        (done, Cost { wall: wall.elapsed(), cpu: cpu_time().saturating_sub(cpu) })
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// CPU time that this process has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How often something is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// At most so often, at least once.
    pub repetitions: usize,
    /// None is begun after this.
    pub budget: Duration,
}

impl Effort {
    /// The results of all repetitions: at least one.
    ///
    /// # Errors
    /// The first of `once`.
    pub fn repeat<T, E>(&self, mut once: impl FnMut() -> Result<T, E>) -> Result<Vec<T>, E> {
        let begin = Instant::now();
        let mut results = vec![once()?];
        while results.len() < self.repetitions && begin.elapsed() < self.budget {
            results.push(once()?);
        }
        Ok(results)
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// None of the inputs could be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There is nothing to measure.
    #[error("the inputs hold no record: there is nothing to measure")]
    Empty,
    /// A stop was asked for.
    #[error("stopped before everything was measured")]
    Stopped,
}

/// An error once a stop was asked for.
fn unless_stopped(stop: &AtomicBool) -> Result<(), StageError> {
    match stop.load(Ordering::Relaxed) {
        true => Err(StageError::Stopped),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
