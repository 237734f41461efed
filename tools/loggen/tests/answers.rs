//! The expected answers, recomputed from the written lines by the plainest possible reader: serde_json, the
//! rules as the documentation states them, ordered maps. It shares nothing with the generator's own way.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use common::{json, lines, options, read, run, utc};
use loggen::{Event, Options};
use serde_json::Value;

/// An answer by its first three columns.
type Rows<V> = BTreeMap<(String, String, String), V>;
/// Records, cents, users.
type Sums<'r> = (u64, i64, BTreeSet<&'r str>);

/// One loaded record as the reader sees it.
struct Loaded {
    ts_ms: i64,
    event: String,
    product: String,
    channel: String,
    user: String,
    ip: String,
    cents: i64,
}

/// Reads one line by the rules: the record, or the reason why not.
fn load(line: &[u8], products: u32) -> Result<Loaded, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "bad_utf8")?;
    let record: Value = serde_json::from_str(text).map_err(|_| "bad_json")?;
    let string = |name: &str| record.get(name).map(|value| value.as_str().unwrap().to_owned());
    let ts_ms = record.get("ts").ok_or("missing_field")?.as_i64().ok_or("type_mismatch")?;
    let user = string("user_id").ok_or("missing_field")?;
    let amount = match &record["amount"] {
        Value::Null => "0.00".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let (units, hundredths) = amount.split_once('.').ok_or("type_mismatch")?;
    let cents = hundredths.len() == 2;
    let cents: i64 = format!("{units}{hundredths}").parse().ok().filter(|_| cents).ok_or("type_mismatch")?;
    let product = string("product").unwrap();
    if !(1..=products).any(|number| product == format!("p{number:02}")) {
        return Err("unknown_product");
    }
    let (event, channel, ip) = (string("event").unwrap(), string("channel").unwrap(), string("ip").unwrap());
    Ok(Loaded { ts_ms, event, product, channel, user, ip, cents })
}

#[derive(Default)]
struct Answers {
    loaded: Vec<Loaded>,
    filtered: u64,
    dead: BTreeMap<&'static str, u64>,
}

fn read_log(log: &[u8], options: &Options) -> Answers {
    let mut answers = Answers::default();
    for line in lines(log) {
        match load(line, options.products) {
            Ok(record) if options.drop_events.iter().any(|event| event.name() == record.event) => answers.filtered += 1,
            Ok(record) => answers.loaded.push(record),
            Err(reason) => *answers.dead.entry(reason).or_default() += 1,
        }
    }
    answers
}

fn floor(ts_ms: i64, period_s: i64) -> String {
    utc(ts_ms.div_euclid(period_s * 1000) * period_s)
}

/// A TSV as the files are: header, then `key \t measures` in the maps' order, which is that of the text.
fn tsv<V>(header: &str, rows: &Rows<V>, measures: impl Fn(&V) -> String) -> String {
    let mut tsv = format!("{}\n", header.replace(' ', "\t"));
    for ((a, b, c), value) in rows {
        writeln!(tsv, "{a}\t{b}\t{c}\t{}", measures(value)).unwrap();
    }
    tsv
}

impl Answers {
    fn new_users(&self, period_s: i64) -> Rows<u64> {
        let mut first: BTreeMap<(&str, &str), (i64, &str)> = BTreeMap::new();
        for record in &self.loaded {
            let seen = (record.ts_ms, record.channel.as_str());
            let earliest = first.entry((&record.product, &record.user)).or_insert(seen);
            *earliest = seen.min(*earliest);
        }
        let mut counts = BTreeMap::new();
        for ((product, _), (ts_ms, channel)) in first {
            *counts.entry((product.to_owned(), channel.to_owned(), floor(ts_ms, period_s))).or_default() += 1;
        }
        counts
    }

    fn cumulative(&self) -> String {
        let by_minute = self.new_users(60);
        let mut tsv = "product\tchannel\tminute\tnew_users\tcumulative\n".to_owned();
        for ((product, channel, minute), count) in &by_minute {
            let until = by_minute.iter().filter(|((p, c, m), _)| p == product && c == channel && m <= minute);
            let total: u64 = until.map(|(_, count)| count).sum();
            writeln!(tsv, "{product}\t{channel}\t{minute}\t{count}\t{total}").unwrap();
        }
        tsv
    }

    fn by_channel_minute(&self, event: &str) -> Rows<Sums<'_>> {
        let mut rows = Rows::<Sums<'_>>::new();
        for record in self.loaded.iter().filter(|record| record.event == event) {
            let key = (record.product.clone(), record.channel.clone(), floor(record.ts_ms, 60));
            let row = rows.entry(key).or_default();
            row.0 += 1;
            row.1 += record.cents;
            row.2.insert(&record.user);
        }
        rows
    }

    fn assert_written(&self, folder: &Path) {
        for (period, seconds) in [("minute", 60), ("hour", 3600), ("day", 86_400)] {
            let header = format!("product channel {period} new_users");
            let expected = tsv(&header, &self.new_users(seconds), u64::to_string);
            assert_eq!(read(folder, &format!("new_users_by_{period}.tsv")), expected, "{period}");
        }
        assert_eq!(read(folder, "new_users_cumulative.tsv"), self.cumulative());

        let gmv = self.by_channel_minute("order_paid");
        let measures = |(orders, cents, buyers): &Sums<'_>| {
            format!("{orders}\t{}.{:02}\t{}", cents / 100, cents % 100, buyers.len())
        };
        let expected = tsv("product channel minute orders amount buyers", &gmv, measures);
        assert_eq!(read(folder, "gmv_by_minute.tsv"), expected);

        let views = self.by_channel_minute("page_view");
        let expected = tsv("product channel minute pv uv", &views, |(pv, _, users)| format!("{pv}\t{}", users.len()));
        assert_eq!(read(folder, "pv_uv_by_minute.tsv"), expected);

        let mut requests = BTreeMap::<_, u64>::new();
        for record in &self.loaded {
            *requests.entry((record.product.clone(), floor(record.ts_ms, 60), record.ip.clone())).or_default() += 1;
        }
        let expected = tsv("product minute ip requests", &requests, u64::to_string);
        assert_eq!(read(folder, "requests_by_ip_by_minute.tsv"), expected);
    }

    fn assert_summary(&self, folder: &Path, log: &[u8]) {
        let summary = json(read(folder, "summary.json").as_bytes());
        assert_eq!(summary["records"], lines(log).len());
        assert_eq!(summary["bytes"], log.len());
        assert_eq!(summary["loaded"], self.loaded.len());
        assert_eq!(summary["filtered"], self.filtered);
        assert_eq!(summary["dead"], serde_json::to_value(&self.dead).unwrap());
        let mut by_product = BTreeMap::<&str, u64>::new();
        self.loaded.iter().for_each(|record| *by_product.entry(&record.product).or_default() += 1);
        assert_eq!(summary["loaded_by_product"], serde_json::to_value(by_product).unwrap());
    }
}

fn check(options: Options) -> Answers {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { expect: Some(folder.path().to_owned()), ..options };
    let (log, _) = run(&options);
    let answers = read_log(&log, &options);
    answers.assert_written(folder.path());
    answers.assert_summary(folder.path(), &log);
    answers
}

#[test]
fn answers_equal_a_naive_recomputation() {
    let answers = check(Options { users: Some(4_000), ..options(11, 30_000) });
    assert!(answers.loaded.iter().any(|record| floor(record.ts_ms, 86_400).as_str() < "2026-11-20"));
}

#[test]
fn answers_stay_right_when_much_is_late_repeated_broken_and_escaped() {
    let answers = check(Options {
        late_rate: 0.3,
        duplicate_rate: 0.1,
        broken_rate: 0.1,
        escape_rate: 0.5,
        shuffle_keys: true,
        minutes: 7,
        products: 3,
        users: Some(500),
        ..options(12, 20_000)
    });
    assert_eq!(
        answers.dead.keys().copied().collect::<Vec<_>>(),
        ["bad_json", "bad_utf8", "missing_field", "type_mismatch", "unknown_product"]
    );
}

#[test]
fn a_declared_filter_is_expected_too() {
    let drop_events = vec![Event::Heartbeat, Event::Register];
    let answers = check(Options { drop_events, broken_rate: 0.02, ..options(13, 10_000) });
    let share = answers.filtered as f64 / 10_000.0;
    assert!((0.06..0.08).contains(&share), "{share}");
}

#[test]
fn first_events_tie_and_arrive_late_often_enough_to_matter() {
    let (log, _) = run(&options(14, 50_000));
    let mut of_user = BTreeMap::<(String, String), Vec<(i64, String)>>::new();
    for record in read_log(&log, &options(14, 50_000)).loaded {
        of_user.entry((record.product, record.user)).or_default().push((record.ts_ms, record.channel));
    }
    let mut larger_channel_first = 0;
    let mut first_event_late = 0;
    for events in of_user.values() {
        let first = events.iter().min().unwrap();
        first_event_late += usize::from(events[0].0 > first.0 + 60_000);
        larger_channel_first += usize::from(events[0].0 == first.0 && events[0].1 > first.1);
    }
    assert!(larger_channel_first > 20, "{larger_channel_first}");
    assert!(first_event_late > 100, "{first_event_late}");
}
