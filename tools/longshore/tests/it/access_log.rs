//! Access logs, loaded with the config that users start from: a small one of the repository's own, whose answers were
//! counted by hand, and a public one, against a count that shares nothing with the engine: a walk over the bytes of each
//! line, below. Its totals were also counted with Python's `re` and written here by hand, so the walk itself can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::shared::Site;

/// The config as users have it; only where ClickHouse is, is this test's own.
const CONFIG: &str = include_str!("../../../../fixtures/access-log/longshore.toml");

fn log_path() -> PathBuf {
    let root = std::env::var_os("LONGSHORE_REAL_DATA")
        .expect("set LONGSHORE_REAL_DATA to the folder that has apache_access.log (fixtures/README.md)");
    let path = PathBuf::from(root).join("apache_access.log");
    assert!(path.exists(), "{} is missing; point LONGSHORE_REAL_DATA to the folder that has it", path.display());
    path
}

/// What the naive walk finds in a line.
struct Hit<'a> {
    host: &'a str,
    /// `2015-05-17 10:05:00`
    minute: String,
    status: &'a str,
    bytes: u64,
    referer: &'a str,
    agent: &'a str,
}

/// Reads a line of the combined format whose times are all in UTC; `None` if it is not one.
fn read(line: &str) -> Option<Hit<'_>> {
    let (host, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once(" +0000] \"")?;
    // No request of this log has a quote in it.
    let (_, rest) = rest.split_once("\" ")?;
    let (status, rest) = rest.split_once(' ')?;
    let (bytes, rest) = rest.split_once(" \"")?;
    let (referer, agent) = rest.split_once("\" \"")?;
    let agent = agent.strip_suffix('"')?;
    let bytes = if bytes == "-" { 0 } else { bytes.parse().ok()? };
    // 17/May/2015:10:05:03; the whole log is of one month.
    let (day, rest) = time.split_once("/May/2015:")?;
    Some(Hit { host, minute: format!("2015-05-{day} {}:00", &rest[..5]), status, bytes, referer, agent })
}

/// Loads a log, and gives the summary.
fn load(site: &Site, log: &Path) -> Value {
    let (config, _) = CONFIG.split_once("\n[clickhouse]").unwrap();
    let config = site.write("longshore.toml", format!("{config}{}", site.clickhouse()));
    site.load(&config, &[log])
}

/// `fixtures/access-log/sample.log`: both forms, IPv6, another zone, escapes, `-`, a line cut off, a late one.
#[test]
fn a_sample_of_an_access_log_gives_the_answers_counted_by_hand() {
    let site = Site::new("access_log_sample");
    let log = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/access-log/sample.log"));
    let summary = load(&site, log);
    let figures = ["records", "loaded", "dead", "filtered"].map(|key| summary[key].as_u64().unwrap());
    assert_eq!(figures, [10, 9, 1, 0]);
    // 5120 + 17 + 2048 + 912 + 196 + 0 + 33
    assert_eq!(site.ask("SELECT count(), sum(bytes), uniqExact(host) FROM {db}.events"), ["9\t8326\t4"]);
    let minute = "formatDateTime(minute, '%H:%i')";
    let asked = format!("SELECT {minute} AS at, status, pv, uv FROM {{db}}.pv_uv_by_minute ORDER BY at, status");
    let right = [
        "09:59\t200\t1\t1",
        "10:00\t200\t1\t1",
        "10:00\t201\t1\t1",
        "10:00\t304\t1\t1",
        "10:01\t200\t3\t2",
        "10:01\t404\t1\t1",
        "10:02\t500\t1\t1",
    ];
    assert_eq!(site.ask(&asked), right);
    let asked = format!("SELECT {minute} AS at, ip, requests FROM {{db}}.requests_by_ip_by_minute ORDER BY at, ip");
    let right = [
        "09:59\t203.0.113.7\t1",
        "10:00\t198.51.100.23\t1",
        "10:00\t203.0.113.7\t2",
        "10:01\t192.0.2.44\t2",
        "10:01\t2001:db8::5\t2",
        "10:02\t203.0.113.7\t1",
    ];
    assert_eq!(site.ask(&asked), right);
    // Escapes in quotes: `\"` is undone, `\xe4` stays as it is written; `-` is absent.
    let asked = "SELECT path, ifNull(user, '-'), ifNull(referer, '-'), ifNull(agent, '-') FROM {db}.events \
                 WHERE path IN ('/late', '/cart?item=a%20b', '/robots.txt') OR method = 'GET' AND path LIKE '/search%' \
                 ORDER BY path FORMAT TSVRaw";
    let right = [
        "/cart?item=a%20b\tann\thttps://shop.example/item/7\tMozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)",
        "/late\t-\t-\tMozilla/5.0 (a \"quoted\" name)",
        "/robots.txt\t-\t-\t-",
        r"/search?q=\xc3\xa9t\xc3\xa9	-	http://\xe4\xe5\xe3.example/	-",
    ];
    assert_eq!(site.ask(asked), right);
    // `head -8 | wc -c`, and the ninth line's own length.
    let letter = "SELECT row, offset, length, reason FROM {db}.dead_letters";
    assert_eq!(site.ask(letter), ["8\t985\t112\tbad_line"]);
}

/// The public log in one load.
struct Loaded {
    site: Site,
    summary: Value,
    log: String,
}

impl Loaded {
    fn new() -> Self {
        let site = Site::new("access_log");
        let path = log_path();
        let summary = load(&site, &path);
        Loaded { site, summary, log: fs::read_to_string(path).unwrap() }
    }

    fn hits(&self) -> Vec<Hit<'_>> {
        self.log.lines().filter_map(read).collect()
    }

    /// What `key` of the hits is, each with how many there are, as the lines of an answer.
    fn counted(&self, key: impl Fn(&Hit<'_>) -> String) -> Vec<String> {
        let mut counts = BTreeMap::<String, u64>::new();
        for hit in self.hits() {
            *counts.entry(key(&hit)).or_default() += 1;
        }
        counts.iter().map(|(key, count)| format!("{key}\t{count}")).collect()
    }
}

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_of_an_access_log_give_the_answers_of_a_naive_count() {
    let loaded = Loaded::new();
    let figures = ["records", "loaded", "dead", "filtered"].map(|key| loaded.summary[key].as_u64().unwrap());
    assert_eq!(figures, [10_000, 9_999, 1, 0]);
    assert_eq!(loaded.summary["dead_by_reason"], json!({"bad_line": 1}));
    assert_eq!(loaded.hits().len(), 9_999);
    totals(&loaded);
    minutes(&loaded);
    addresses(&loaded);
    clients(&loaded);
    the_bad_line(&loaded);
}

/// By hand: 9125 + 45 + 164 + 445 + 2 + 213 + 2 + 3 = 9999.
fn totals(loaded: &Loaded) {
    let statuses = loaded.site.ask("SELECT status, count() FROM {db}.events GROUP BY status ORDER BY status");
    let right = ["200\t9125", "206\t45", "301\t164", "304\t445", "403\t2", "404\t213", "416\t2", "500\t3"];
    assert_eq!(statuses, right);
    assert_eq!(loaded.counted(|hit| hit.status.to_owned()), right);
    assert_eq!(loaded.site.ask("SELECT sum(bytes) FROM {db}.events"), ["2747282505"]);
    assert_eq!(loaded.hits().iter().map(|hit| hit.bytes).sum::<u64>(), 2_747_282_505);
    // Lines with `-` for the bytes: absent, so zero.
    assert_eq!(loaded.site.ask("SELECT countIf(bytes = 0) >= 669 FROM {db}.events"), ["1"]);
}

/// Hits and visitors of every minute, from the rollup.
fn minutes(loaded: &Loaded) {
    let hits = loaded.counted(|hit| hit.minute.clone());
    assert_eq!(hits.len(), 84);
    let busiest = hits.iter().filter_map(|line| line.split_once('\t')?.1.parse::<u64>().ok()).max();
    assert_eq!(busiest, Some(136));
    let minute = "toString(toDateTime(minute, 'UTC')) AS at";
    let asked = format!("SELECT {minute}, sum(pv) FROM {{db}}.pv_uv_by_minute GROUP BY at ORDER BY at");
    assert_eq!(loaded.site.ask(&asked), hits);

    let mut visitors = BTreeMap::<(String, &str), (u64, BTreeSet<&str>)>::new();
    let all = loaded.hits();
    for hit in &all {
        let (pv, hosts) = visitors.entry((hit.minute.clone(), hit.status)).or_default();
        *pv += 1;
        hosts.insert(hit.host);
    }
    let right: Vec<String> = visitors
        .iter()
        .map(|((minute, status), (pv, hosts))| format!("web\t{minute}\t{status}\t{pv}\t{}", hosts.len()))
        .collect();
    let asked = format!("SELECT product, {minute}, status, pv, uv FROM {{db}}.pv_uv_by_minute ORDER BY at, status");
    assert_eq!(loaded.site.ask(&asked), right);
}

/// Requests of every address in every minute: 3,052 pairs, 1,753 addresses, the busiest with 482 requests.
fn addresses(loaded: &Loaded) {
    let right = loaded.counted(|hit| format!("{}\t{}", hit.minute, hit.host));
    assert_eq!(right.len(), 3_052);
    let asked = "SELECT toString(toDateTime(minute, 'UTC')) AS at, ip, requests FROM {db}.requests_by_ip_by_minute \
                 ORDER BY at, ip";
    assert_eq!(loaded.site.ask(asked), right);
    let busiest = "SELECT ip, sum(requests) AS n, (SELECT uniqExact(host) FROM {db}.events) \
                   FROM {db}.requests_by_ip_by_minute GROUP BY ip ORDER BY n DESC LIMIT 1";
    assert_eq!(loaded.site.ask(busiest), ["66.249.73.135\t482\t1753"]);
}

/// Every referer and agent as it is written, escapes such as `\xe4` included.
fn clients(loaded: &Loaded) {
    let right = loaded.counted(|hit| format!("{}\t{}", hit.referer, hit.agent));
    assert_eq!(right.iter().filter(|line| line.contains(r"http://\xe4\xe5\xe3")).count(), 3);
    let asked = "SELECT ifNull(referer, '-') AS r, ifNull(agent, '-') AS a, count() FROM {db}.events \
                 GROUP BY r, a ORDER BY concat(r, '\t', a) FORMAT TSVRaw";
    assert_eq!(loaded.site.ask(asked), right);
}

/// Line 8,899: an agent whose closing quote is cut off.
fn the_bad_line(loaded: &Loaded) {
    let before: usize = loaded.log.split_inclusive('\n').take(8_898).map(str::len).sum();
    assert_eq!(before, 2_111_246);
    let line = loaded.log.lines().nth(8_898).unwrap();
    let letter = "SELECT row, offset, length, reason, source = '{log}', record FROM {db}.dead_letters FORMAT TSVRaw";
    let letter = letter.replace("{log}", &fs::canonicalize(log_path()).unwrap().display().to_string());
    assert_eq!(loaded.site.ask(&letter), [format!("8898\t2111246\t182\tbad_line\t1\t{line}")]);
}
