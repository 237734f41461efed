//! The right to store a slice, and how long it lasts.
//!
//! A group's partition may pass to another engine while this one stores slices of it. Whoever takes over stores the same
//! bytes under the same tokens, so that what is being stored at that moment does no harm; only an insert that *begins*
//! long after would, when its tokens are forgotten. So the lease is asked for before every attempt, and it ends in two
//! ways: the partition is [revoked](Lease::until), or the membership's [`Term`] is over.
//!
//! # Why there is a term
//! An engine that was stopped (SIGSTOP, a suspended machine) heard of nothing meanwhile, and all its threads wake at once:
//! an insert thread may go on before the member's own thread learns that its session ended. So the right lasts only for a
//! session's time after the last moment at which the process was seen to be alive and its client still took itself for a
//! member. The clock counts the time for which the machine is suspended. Whoever finds the term over ends it for
//! good, by the same atomic word that renewals go through: a slice that one thread refused to store cannot be held to be
//! under way by another.
//!
//! # What remains
//! A member whose heartbeats do not reach the group takes itself for one for a session's time more, and its term ends
//! another session's time after that at the latest. An insert that began before goes on, for as long as a request may
//! take. In that time ClickHouse must not forget the tokens of the slices that the other engine stores meanwhile: it keeps
//! those of the last 10,000 inserts of a table. And a virtual machine that is paused without its clock being set forward
//! cannot know that it was; then the first attempt after it is made with tokens that may be as old as the pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// No end is known.
const FOREVER: u64 = u64::MAX;
const OVER: u64 = 0;

/// How long a membership is known to last. Clones are the same term.
#[derive(Debug, Clone)]
pub struct Term {
    /// When it ends unless it is renewed, nanoseconds on the boot clock.
    until: Arc<AtomicU64>,
    length: Duration,
}

impl Term {
    /// One that only ends when it is [ended](Term::end).
    pub fn unbounded() -> Self {
        Term { until: Arc::new(AtomicU64::new(FOREVER)), length: Duration::MAX }
    }

    /// One that ends after `length`, unless it is renewed before.
    pub fn lasting(length: Duration) -> Self {
        Term::begun(now(), length)
    }

    fn begun(now: u64, length: Duration) -> Self {
        Term { until: Arc::new(AtomicU64::new(after(now, length))), length }
    }

    /// From now on it lasts for its length again. False if it was over: then it stays so.
    pub fn renew(&self) -> bool {
        self.renew_at(now())
    }

    fn renew_at(&self, now: u64) -> bool {
        let longer = |until| (until > now).then(|| if until == FOREVER { until } else { after(now, self.length) });
        let renewed = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer).is_ok();
        if !renewed {
            self.end();
        }
        renewed
    }

    /// It is over.
    pub fn end(&self) {
        self.until.store(OVER, Ordering::Release);
    }

    /// Whether it lasts. If it does not, it never will again.
    pub fn lasts(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            FOREVER => true,
            OVER => false,
            _ => self.lasts_at(now()),
        }
    }

    fn lasts_at(&self, now: u64) -> bool {
        // Ended by exchange, so that a renewal of the same moment either comes before and counts, or finds it over.
        let ended = |until| (until <= now).then_some(OVER);
        self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, ended).is_err()
    }
}

fn after(now: u64, length: Duration) -> u64 {
    now.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)).min(FOREVER - 1)
}

/// Nanoseconds on a clock that goes on while the machine is suspended.
fn now() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    // Neither is negative, and no machine has run for 500 years. Zero is kept for what is over.
    (time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64).max(1)
}

/// The right to store a slice. See the [module](self).
#[derive(Debug, Clone)]
pub struct Lease(Option<(Arc<AtomicBool>, Term)>);

impl Lease {
    /// Of a source that no other engine can take.
    pub fn forever() -> Self {
        Lease(None)
    }

    /// One that ends when `revoked` is set, and with the term.
    pub fn until(revoked: Arc<AtomicBool>, term: Term) -> Self {
        Lease(Some((revoked, term)))
    }

    /// Whether it is still held. Once it is not, it never is again.
    pub fn held(&self) -> bool {
        self.0.as_ref().is_none_or(|(revoked, term)| !revoked.load(Ordering::Acquire) && term.lasts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_nanos(100);

    #[test]
    fn a_term_lasts_as_long_as_it_is_renewed_in_time() {
        let term = Term::begun(1_000, LENGTH);
        assert!(term.lasts_at(1_099));
        assert!(term.renew_at(1_099));
        assert!(term.lasts_at(1_198));
        assert!(!term.lasts_at(1_199));
        assert!(!term.renew_at(1_150), "whoever saw it over was right");
        assert!(!term.lasts_at(1_150));
    }

    #[test]
    fn a_renewal_that_comes_too_late_ends_it() {
        let term = Term::begun(1_000, LENGTH);
        assert!(!term.renew_at(1_100));
        assert!(!term.lasts_at(1_000));
    }

    #[test]
    fn leases_end_by_revocation_and_with_their_term() {
        let (revoked, term) = (Arc::new(AtomicBool::new(false)), Term::lasting(Duration::from_secs(3_600)));
        let leases = [Lease::until(revoked.clone(), term.clone()), Lease::until(Arc::default(), term.clone())];
        assert!(leases.iter().all(Lease::held));
        revoked.store(true, Ordering::Release);
        assert_eq!(leases.each_ref().map(Lease::held), [false, true]);
        assert!(term.renew());
        term.end();
        assert!(!leases[1].held() && !term.renew());
        assert!(Term::unbounded().renew() && Lease::forever().held());
    }

    /// Many threads ask while one renews at the last moment: as soon as one was told that it is over, all are.
    #[test]
    fn nobody_is_told_that_it_lasts_after_somebody_was_told_that_it_does_not() {
        for round in 0..2_000_u64 {
            let term = Term::begun(0, LENGTH);
            let (renewed, refused) = std::thread::scope(|scope| {
                let renewing = scope.spawn(|| term.renew_at(99));
                let asking = scope.spawn(|| !term.lasts_at(100));
                (renewing.join().unwrap(), asking.join().unwrap())
            });
            assert_eq!(renewed, !refused, "round {round}");
            assert_eq!(term.lasts_at(101), renewed);
        }
    }
}
