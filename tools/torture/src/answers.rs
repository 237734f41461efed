//! What an analyst would be told, computed naively: from the records that were written, and from what is in the tables.

use std::collections::{BTreeMap, BTreeSet};

use crate::records::Event;

/// Product, channel, minutes since 1970.
pub type Group = (String, String, i64);

/// Orders, amount in hundredths, buyers.
pub type Gmv = (u64, i128, u64);

/// All answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// New users.
    pub new_users: BTreeMap<Group, u64>,
    /// Orders of the event `order` that have an amount.
    pub gmv: BTreeMap<Group, Gmv>,
    /// Views and visitors.
    pub pv_uv: BTreeMap<Group, (u64, u64)>,
}

/// The minute of a time.
pub fn minute_of(ts_ms: i64) -> i64 {
    ts_ms.div_euclid(60_000)
}

impl Answers {
    /// Of these events.
    pub fn of(events: &[Event]) -> Answers {
        let mut answers = Answers { new_users: new_users(events), ..Answers::default() };
        let mut people: BTreeMap<(&str, Group), BTreeSet<u64>> = BTreeMap::new();
        for event in events {
            let group = (event.product.clone(), event.channel.clone(), minute_of(event.ts_ms));
            match (&*event.event, event.cents) {
                ("order", Some(cents)) => {
                    let gmv = answers.gmv.entry(group.clone()).or_default();
                    gmv.0 += 1;
                    gmv.1 += cents;
                    let buyers = people.entry(("order", group)).or_default();
                    buyers.insert(event.user);
                    gmv.2 = buyers.len() as u64;
                }
                ("view", _) => {
                    let views = answers.pv_uv.entry(group.clone()).or_default();
                    views.0 += 1;
                    let visitors = people.entry(("view", group)).or_default();
                    visitors.insert(event.user);
                    views.1 = visitors.len() as u64;
                }
                _ => {}
            }
        }
        answers
    }
}

/// A user of a product is new in the minute of the first event, with its channel; of several at once the least channel's.
fn new_users(events: &[Event]) -> BTreeMap<Group, u64> {
    let mut first: BTreeMap<(&str, u64), (i64, &str)> = BTreeMap::new();
    for event in events {
        let seen = (event.ts_ms, &*event.channel);
        let earliest = first.entry((&event.product, event.user)).or_insert(seen);
        *earliest = seen.min(*earliest);
    }
    let mut new_users = BTreeMap::new();
    for ((product, _), (ts_ms, channel)) in first {
        *new_users.entry((product.to_owned(), channel.to_owned(), minute_of(ts_ms))).or_default() += 1;
    }
    new_users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ts_ms: i64, channel: &str, event: &str, user: u64, cents: Option<i128>) -> Event {
        let (product, channel, event) = ("shop".to_owned(), channel.to_owned(), event.to_owned());
        Event { number: 0, ts_ms, product, channel, event, user, cents }
    }

    #[test]
    fn counted_by_hand() {
        let answers = Answers::of(&[
            event(60_000, "web", "view", 1, None),
            event(59_999, "web", "order", 2, Some(150)),
            event(30_000, "web", "order", 2, Some(70)),
            event(30_000, "ads", "order", 2, None),
            event(119_999, "web", "view", 1, None),
            event(61_000, "web", "view", 3, Some(5)),
        ]);
        let group = |channel: &str, minute| ("shop".to_owned(), channel.to_owned(), minute);
        assert_eq!(answers.new_users, BTreeMap::from([(group("web", 1), 2), (group("ads", 0), 1)]));
        assert_eq!(answers.gmv, BTreeMap::from([(group("web", 0), (2, 220, 1))]));
        assert_eq!(answers.pv_uv, BTreeMap::from([(group("web", 1), (3, 2))]));
    }
}
