//! Waiting for a sink that is away: exponential back-off, said aloud, ended by a stop request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sink::SinkError;

/// How long to wait between attempts. There is no last attempt: giving up would lose what is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Before the second attempt.
    pub wait_first: Duration,
    /// Each wait is twice the last, up to this.
    pub wait_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { wait_first: Duration::from_millis(200), wait_max: Duration::from_secs(15) }
    }
}

/// Why retrying ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryEnd {
    /// The error is not one that waiting cures.
    Fatal(String),
    /// A stop was asked for while the sink was away; the last error is inside.
    Stopped(String),
    /// Another slice has to be stored first.
    Behind(String),
}

/// How often a stop request is looked for while waiting.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Calls `attempt` until it succeeds, fails for good or for another slice's sake, or `stop` is set while it fails.
///
/// `what` names the work in the messages, such as `slice 00ab… of app.log`.
pub fn until_done<T>(
    policy: RetryPolicy,
    stop: &AtomicBool,
    what: &dyn std::fmt::Display,
    mut on_retry: impl FnMut(),
    mut attempt: impl FnMut() -> Result<T, SinkError>,
) -> Result<T, RetryEnd> {
    let mut wait = policy.wait_first;
    let mut away_since: Option<Instant> = None;
    loop {
        let detail = match attempt() {
            Ok(done) => {
                if let Some(since) = away_since {
                    tracing::info!("{what}: stored after {:.1} s of retries", since.elapsed().as_secs_f64());
                }
                return Ok(done);
            }
            Err(SinkError::Behind { detail }) => {
                return Err(if stop.load(Ordering::Relaxed) {
                    RetryEnd::Stopped(detail)
                } else {
                    RetryEnd::Behind(detail)
                });
            }
            Err(
                SinkError::Pause { detail }
                | SinkError::Stuck { detail }
                | SinkError::Isolate { detail }
                | SinkError::Refuse { detail },
            ) => return Err(RetryEnd::Fatal(detail)),
            Err(SinkError::Retry { detail }) => detail,
        };
        if stop.load(Ordering::Relaxed) {
            return Err(RetryEnd::Stopped(detail));
        }
        away_since.get_or_insert_with(Instant::now);
        on_retry();
        tracing::warn!("{what}: {detail}; trying again in {:.1} s, nothing is lost", wait.as_secs_f64());
        if sleep_unless(|| stop.load(Ordering::Relaxed), wait) {
            return Err(RetryEnd::Stopped(detail));
        }
        wait = (wait * 2).min(policy.wait_max);
    }
}

/// Sleeps for `wait`; true if it ended before, because of `ended`.
pub(crate) fn sleep_unless(ended: impl Fn() -> bool, wait: Duration) -> bool {
    let end = Instant::now() + wait;
    loop {
        if ended() {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(STOP_POLL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: RetryPolicy = RetryPolicy { wait_first: Duration::from_millis(1), wait_max: Duration::from_millis(2) };

    fn away() -> SinkError {
        SinkError::Retry { detail: "away".into() }
    }

    #[test]
    fn retries_until_it_works() {
        let stop = AtomicBool::new(false);
        let mut attempts = 0;
        let mut retries = 0;
        let done = until_done(
            FAST,
            &stop,
            &"work",
            || retries += 1,
            || {
                attempts += 1;
                if attempts < 4 { Err(away()) } else { Ok(()) }
            },
        );
        assert_eq!(done, Ok(()));
        assert_eq!((attempts, retries), (4, 3));
    }

    #[test]
    fn only_what_waiting_cures_is_retried() {
        let stop = AtomicBool::new(false);
        let detail = || "no such table".to_owned();
        for error in [
            SinkError::Pause { detail: detail() },
            SinkError::Isolate { detail: detail() },
            SinkError::Refuse { detail: detail() },
        ] {
            let mut attempts = 0;
            let attempt = || {
                attempts += 1;
                Err::<(), _>(error.clone())
            };
            assert_eq!(until_done(FAST, &stop, &"work", || {}, attempt), Err(RetryEnd::Fatal(detail())));
            assert_eq!(attempts, 1, "{error:?}");
        }
    }

    #[test]
    fn a_stop_request_ends_the_wait() {
        let stop = AtomicBool::new(false);
        let policy = RetryPolicy { wait_first: Duration::from_secs(3600), wait_max: Duration::from_secs(3600) };
        let done = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| until_done(policy, &stop, &"work", || {}, || Err::<(), _>(away())));
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
            waiting.join().expect("no panic")
        });
        assert_eq!(done, Err(RetryEnd::Stopped("away".into())));
    }
}
