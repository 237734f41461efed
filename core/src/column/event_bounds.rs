//! How far from the moment at which its slice was cut an event may be: a clock that is wrong would spread rows over days
//! that nobody asks for, each of which costs ClickHouse parts in every table.

use std::time::Duration;

use super::mismatch::Shown;
use crate::config::TableSpec;
use crate::slice::CutAt;

/// The event times that one slice takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventBounds {
    cut_ms: i64,
    future_max: Duration,
    past_max: Option<Duration>,
}

impl EventBounds {
    /// Those of a slice that was cut then; none if nobody knows when.
    pub(crate) fn of(table: &TableSpec, cut: CutAt) -> Option<EventBounds> {
        let (cut_ms, past_max) = match cut {
            CutAt::Unknown => return None,
            CutAt::Planned(cut_ms) => (cut_ms, table.past_max),
            CutAt::Backfill(cut_ms) => (cut_ms, None),
        };
        Some(EventBounds { cut_ms, future_max: table.future_max, past_max })
    }

    /// The first millisecond since 1970 that is taken.
    pub(super) fn first_ms(&self) -> i64 {
        self.past_max.map_or(i64::MIN, |past| self.cut_ms.saturating_sub(ms(past)))
    }

    /// The last one.
    pub(super) fn last_ms(&self) -> i64 {
        self.cut_ms.saturating_add(ms(self.future_max))
    }

    /// What is wrong with a time that is not taken; how far it is off only where that may be said.
    pub(super) fn refuse(&self, time_ms: Option<i64>, shown: Shown) -> String {
        let off = time_ms.map(|time| time.saturating_sub(self.cut_ms));
        let (side, bound, key) = match (self.past_max, off) {
            (Some(past), Some(..0)) => ("before", past, "past_max"),
            _ => ("after", self.future_max, "future_max"),
        };
        let far = match off.filter(|_| shown == Shown::Value) {
            Some(off) => about(off.unsigned_abs()),
            None => "too far".to_owned(),
        };
        format!(
            "the event time is {far} {side} the moment at which its slice was cut, and the config allows {} \
             (table.{key}): a clock is wrong, or the bound is too narrow",
            about(ms(bound).unsigned_abs())
        )
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A time in its largest whole unit.
fn about(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let &(unit, name) = UNITS.iter().find(|(unit, _)| ms >= *unit).unwrap_or(&(1, "ms"));
    format!("{} {name}", ms / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn table(past_max: Option<u64>) -> TableSpec {
        TableSpec {
            name: "events".to_owned(),
            time: "ts".to_owned(),
            order_by: Vec::new(),
            future_max: Duration::from_secs(86_400),
            past_max: past_max.map(Duration::from_secs),
        }
    }

    #[test]
    fn what_nobody_remembers_bounds_only_the_future() {
        let of = |cut| EventBounds::of(&table(Some(7_200)), cut);
        assert_eq!(of(CutAt::Unknown), None);
        let planned = of(CutAt::Planned(10 * DAY_MS)).unwrap();
        assert_eq!((planned.first_ms(), planned.last_ms()), (10 * DAY_MS - 7_200_000, 11 * DAY_MS));
        let unplanned = of(CutAt::Backfill(10 * DAY_MS)).unwrap();
        assert_eq!((unplanned.first_ms(), unplanned.last_ms()), (i64::MIN, 11 * DAY_MS));
    }

    #[test]
    fn a_refusal_says_which_bound_and_how_far_unless_that_is_secret() {
        let refuse = |shown, off| {
            let bounds = EventBounds::of(&table(Some(7_200)), CutAt::Planned(0)).unwrap();
            bounds.refuse(Some(off), shown)
        };
        assert_eq!(
            refuse(Shown::Value, 400 * DAY_MS + 5),
            "the event time is 400 d after the moment at which its slice was cut, and the config allows 1 d \
             (table.future_max): a clock is wrong, or the bound is too narrow"
        );
        assert!(refuse(Shown::Value, -10_800_000).starts_with("the event time is 3 h before the moment"));
        assert!(refuse(Shown::Value, -10_800_000).contains("allows 2 h (table.past_max)"));
        for shown in [Shown::Hidden, Shown::Masked] {
            assert!(refuse(shown, 400 * DAY_MS).starts_with("the event time is too far after the moment"));
        }
    }
}
