//! The writer's own books: what every table and rollup must hold, computed as records are written, with nothing of the
//! engine's code. Answers are kept as text by group, as ClickHouse prints them, so that both sides compare as they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::records::{Event, Fate, Record};

/// Product, channel, minutes since 1970.
type Group = (&'static str, &'static str, i64);

/// Answers by group: both as columns with one space between.
pub(crate) type Answers = BTreeMap<String, String>;

/// All that was written.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Records, whatever became of them.
    pub(crate) records: u64,
    /// Records that the filter drops.
    pub(crate) filtered: u64,
    /// Numbers of the records that are rows.
    pub(crate) rows: BTreeSet<u64>,
    /// Dead letters: how many of this reason and text.
    pub(crate) dead: BTreeMap<(&'static str, String), i64>,
    /// How many dead letters.
    pub(crate) dead_count: u64,
    events: BTreeMap<Group, Sums>,
    orders: BTreeMap<Group, Counted>,
    views: BTreeMap<Group, Counted>,
    requests: BTreeMap<(&'static str, [u8; 4], i64), u64>,
    /// The first event of each user of a product: its time, and of several at once the least channel.
    first_seen: BTreeMap<(&'static str, u64), (i64, &'static str)>,
}

/// What is summed of a group's events.
#[derive(Debug, Default)]
struct Sums {
    count: u64,
    numbers: u64,
    users: u64,
    cents: i64,
}

/// Rows, their amounts, and who they are of.
#[derive(Debug, Default)]
struct Counted {
    rows: u64,
    cents: i64,
    users: BTreeSet<u64>,
}

impl Counted {
    fn add(&mut self, event: &Event) {
        self.rows += 1;
        self.cents += event.cents.unwrap_or(0);
        self.users.insert(event.user);
    }
}

impl Books {
    /// Enters a record that is written.
    pub(crate) fn enter(&mut self, record: &Record) {
        self.records += 1;
        match &record.fate {
            Fate::Event(event) => self.enter_event(event),
            Fate::Filtered => self.filtered += 1,
            Fate::Dead(reason, kept) => {
                self.dead_count += 1;
                *self.dead.entry((reason.name(), kept.clone())).or_default() += 1;
            }
        }
    }

    fn enter_event(&mut self, event: &Event) {
        let &Event { number, ts_ms, product, channel, user, ip, .. } = event;
        let minute = ts_ms.div_euclid(60_000);
        let group = (product, channel, minute);
        self.rows.insert(number);
        let sums = self.events.entry(group).or_default();
        sums.count += 1;
        sums.numbers += number;
        sums.users += user;
        sums.cents += event.cents.unwrap_or(0);
        match event.event {
            "order" if event.cents.is_some() => self.orders.entry(group).or_default().add(event),
            "view" => self.views.entry(group).or_default().add(event),
            _ => {}
        }
        *self.requests.entry((product, ip, minute)).or_default() += 1;
        let seen = (ts_ms, channel);
        let first = self.first_seen.entry((product, user)).or_insert(seen);
        *first = seen.min(*first);
    }

    /// Count, sum of numbers, of users, and of amounts.
    pub(crate) fn events(&self) -> Answers {
        let text = |sums: &Sums| format!("{} {} {} {}", sums.count, sums.numbers, sums.users, decimal(sums.cents));
        self.events.iter().map(|(group, sums)| (key(group), text(sums))).collect()
    }

    /// New users.
    pub(crate) fn new_users(&self) -> Answers {
        let mut counts: BTreeMap<Group, u64> = BTreeMap::new();
        for (&(product, _), &(ts_ms, channel)) in &self.first_seen {
            *counts.entry((product, channel, ts_ms.div_euclid(60_000))).or_default() += 1;
        }
        counts.iter().map(|(group, count)| (key(group), count.to_string())).collect()
    }

    /// Orders, amount, buyers.
    pub(crate) fn gmv(&self) -> Answers {
        let text = |counted: &Counted| format!("{} {} {}", counted.rows, decimal(counted.cents), counted.users.len());
        self.orders.iter().map(|(group, counted)| (key(group), text(counted))).collect()
    }

    /// Views and visitors.
    pub(crate) fn pv_uv(&self) -> Answers {
        let text = |counted: &Counted| format!("{} {}", counted.rows, counted.users.len());
        self.views.iter().map(|(group, counted)| (key(group), text(counted))).collect()
    }

    /// Requests of addresses.
    pub(crate) fn requests(&self) -> Answers {
        let text = |&(product, [a, b, c, d], minute): &(&str, [u8; 4], i64)| {
            format!("{product} {a}.{b}.{c}.{d} {}", minute * 60)
        };
        self.requests.iter().map(|(group, count)| (text(group), count.to_string())).collect()
    }
}

/// A group with its minute in seconds since 1970.
fn key((product, channel, minute): &Group) -> String {
    format!("{product} {channel} {}", minute * 60)
}

/// Hundredths as a decimal.
fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use longshore_core::dead_letter::Reason;

    use super::*;

    fn event(number: u64, ts_ms: i64, channel: &'static str, event: &'static str, user: u64) -> Event {
        Event { number, ts_ms, product: "shop", channel, event, user, ip: [10, 0, 0, 1], cents: None }
    }

    fn books(records: Vec<Fate>) -> Books {
        let mut books = Books::default();
        records.into_iter().for_each(|fate| books.enter(&Record { line: String::new(), fate }));
        books
    }

    fn answers(of: &[(&str, &str)]) -> Answers {
        of.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn counted_by_hand() {
        let order = |number, ts_ms, cents| Event { cents, ..event(number, ts_ms, "web", "order", 2) };
        let books = books(vec![
            Fate::Event(event(1, 60_000, "web", "view", 1)),
            Fate::Event(order(2, 59_999, Some(150))),
            Fate::Event(order(3, 30_000, Some(1_000_001))),
            // No amount, so no order; at the moment of the first sighting, of a smaller channel.
            Fate::Event(Event { channel: "ads", ..order(4, 30_000, None) }),
            Fate::Event(event(5, 119_999, "web", "view", 1)),
            Fate::Event(event(6, 61_000, "web", "view", 3)),
            Fate::Filtered,
            Fate::Dead(Reason::BadJson, "x".to_owned()),
        ]);
        assert_eq!((books.records, books.filtered, books.dead_count, books.rows.len()), (8, 1, 1, 6));
        assert_eq!(
            books.events(),
            answers(&[("shop web 60", "3 12 5 0.00"), ("shop web 0", "2 5 4 10001.51"), ("shop ads 0", "1 4 2 0.00")])
        );
        assert_eq!(books.gmv(), answers(&[("shop web 0", "2 10001.51 1")]));
        assert_eq!(books.pv_uv(), answers(&[("shop web 60", "3 2")]));
        assert_eq!(books.new_users(), answers(&[("shop web 60", "2"), ("shop ads 0", "1")]));
        assert_eq!(books.requests(), answers(&[("shop 10.0.0.1 0", "3"), ("shop 10.0.0.1 60", "3")]));
        assert_eq!(books.dead, BTreeMap::from([(("bad_json", "x".to_owned()), 1)]));
    }
}
