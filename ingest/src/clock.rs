//! The time of day, which event times are compared with. The core reads no clock, and a plan remembers what this one said.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A clock that says how many milliseconds have gone by since 1970. It may go back. Clones are the same clock.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl WallClock {
    /// This machine's.
    pub fn system() -> WallClock {
        let ms = |since: std::time::Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        WallClock(Arc::new(move || match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => ms(since),
            Err(before) => -ms(before.duration()),
        }))
    }

    /// One that a test winds.
    pub fn of(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> WallClock {
        WallClock(Arc::new(now_ms))
    }

    /// What it says.
    pub fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}
