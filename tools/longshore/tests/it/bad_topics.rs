//! Topics with messages that are damaged, empty, hostile or far too long: each of them is a dead letter with its place and
//! its bytes, or nothing where it is no record, and its neighbours are loaded once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use longshore_brokers::Cluster;
use longshore_brokers::fill::{Into, fill};

use crate::run::{Service, wait_for, with_tables};
use crate::support::service;
use crate::support::shared::Site;
use crate::support::small::{CONFIG, Letter, assert_balance, letters, record, rows};

/// A dead letter keeps so much of a record that is too long.
const HEAD_BYTES: usize = 4096;
/// Ten megabytes: ten times what a record may have.
const LONG_BYTES: usize = 10_000_000;

/// What is sent to partition 0 of a topic, and what must come of it.
struct Topic {
    cluster: Cluster,
    /// What is not sent yet.
    messages: Vec<Option<Vec<u8>>>,
    /// Messages that were sent.
    sent: u64,
    /// The numbers of the records that must be rows.
    rows: Vec<u64>,
    letters: Vec<Letter>,
}

impl Topic {
    fn new(partitions: i32) -> Topic {
        let cluster = Cluster::start(1).unwrap();
        cluster.topic("t", partitions).unwrap();
        Topic { cluster, messages: Vec::new(), sent: 0, rows: Vec::new(), letters: Vec::new() }
    }

    fn offset(&self) -> u64 {
        self.sent + self.messages.len() as u64
    }

    /// A record that must be loaded, packed by `pack`; its number is its offset.
    fn good(&mut self, pack: impl Fn(String) -> String) {
        let n = self.offset();
        self.rows.push(n);
        self.messages.push(Some(pack(record(n)).into_bytes()));
    }

    /// A message that must be a dead letter.
    fn bad(&mut self, reason: &str, message: impl AsRef<[u8]>) {
        let (message, offset) = (message.as_ref(), self.offset());
        self.letters.push(letter(reason, offset, message));
        self.messages.push(Some(message.to_vec()));
    }

    /// A message that is no record: empty, or a tombstone.
    fn nothing(&mut self, message: Option<&[u8]>) {
        self.messages.push(message.map(<[u8]>::to_vec));
    }

    fn send(&mut self) {
        self.sent += fill(&self.to_partitions(1), self.messages.iter().map(Option::as_deref)).unwrap();
        self.messages.clear();
    }

    /// As what is sent goes to so many partitions in turn.
    fn to_partitions(&self, partitions: i32) -> Into {
        let (addresses, topic) = (self.cluster.addresses(), "t".to_owned());
        Into { addresses, topic, partitions, time: 1_763_726_400_000, rate: None }
    }

    /// Records so far: what is a row or a dead letter.
    fn records(&self) -> u64 {
        (self.rows.len() + self.letters.len()) as u64
    }

    fn config(&self, site: &Site) -> PathBuf {
        let source = format!(
            "[run]\nslice_age = \"200ms\"\n[[source]]\nname = \"t\"\n[source.kafka]\nbrokers = [\"{}\"]\ntopics = [\"t\"]\n\
             group = \"bad\"\nproperties = {{ \"session.timeout.ms\" = 3000, \"heartbeat.interval.ms\" = 300 }}\n",
            self.cluster.addresses()
        );
        with_tables(site, &format!("{source}{CONFIG}"))
    }

    /// The tables hold what was sent and nothing else, and the ledger says so and covers every offset. `others` are the
    /// dead letters of the other partitions, in order.
    fn assert_stored(&self, site: &Site, others: &[Letter]) {
        assert_eq!(rows(site), self.rows, "the rows");
        let (found, right) = (letters(site), [&self.letters, others].concat());
        // A difference in their bytes would fill the screen.
        let places = |letters: &[Letter]| {
            letters.iter().map(|one| (one.reason.clone(), one.offset, one.length)).collect::<Vec<_>>()
        };
        assert_eq!(places(&found), places(&right), "the dead letters");
        assert!(found == right, "the dead letters' bytes");
        assert_balance(site, self.rows.len() as u64, right.len() as u64, 0);
        let gaps = "SELECT count() FROM (SELECT source, max(`end`) AS last, sum(`end` - start) AS covered FROM {db}.ledger \
                    GROUP BY source) WHERE covered != last";
        assert_eq!(site.ask(gaps), ["0"]);
        let minutes = site.ask("SELECT new_users FROM {db}.new_users_by_minute");
        let users: BTreeSet<u64> = self.rows.iter().map(|n| n % 7).collect();
        let found: u64 = minutes.iter().map(|users| users.parse::<u64>().unwrap()).sum();
        assert_eq!(found, users.len() as u64, "new users");
    }
}

fn letter(reason: &str, offset: u64, message: &[u8]) -> Letter {
    let kept = if reason == "too_long" { HEAD_BYTES } else { message.len() };
    Letter { reason: reason.to_owned(), offset, length: message.len() as u64, record: message[..kept].to_vec() }
}

/// Waits until slices cover so many messages.
fn wait_for_messages(site: &Site, messages: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = site.ask("SELECT ifNull(sum(`end` - start), 0) FROM {db}.ledger");
        if found == [messages.to_string()] {
            return;
        }
        assert!(Instant::now() < end, "the ledger covers {found:?} messages, not {messages}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Bytes without order, which no compression makes less of.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let word = |n: u64| {
        let mixed = (n + (seed << 32) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 32)).to_le_bytes()
    };
    (0..bytes.div_ceil(8) as u64).flat_map(word).take(bytes).collect()
}

#[test]
fn each_bad_message_is_a_dead_letter_with_its_bytes_and_its_neighbours_are_loaded_once() {
    let site = Site::new("bad_topics");
    let mut topic = Topic::new(1);
    let config = topic.config(&site);
    for round in 0..20 {
        topic.good(|record| record);
        topic.bad("bad_utf8", [0xff, 0x00, 0xfe, b'{', b'"', 0x80 + round]);
        topic.bad("bad_utf8", b"{\"ts\":1795132800000,\"n\":77,\"user\":\"caf\xe9\"}");
        topic.nothing(None);
        topic.good(|record| format!("{record}\r\n"));
        topic.bad("bad_json", "no record");
        topic.nothing(Some(b""));
        topic.nothing(Some(b"\n"));
        topic.bad("bad_json", "two\nlines\nof nonsense");
        topic.good(|record| record.replace(',', ",\n"));
        topic.bad("missing_field", "{\"ts\":1795132800000}");
        // Compressed it is small.
        topic.bad("too_long", vec![b'a' + round; if round % 10 == 5 { LONG_BYTES } else { (1 << 20) + 1 }]);
        topic.good(|record| format!("{record}\n"));
        topic.nothing(None);
    }
    topic.send();
    let service = Service::start(&site, &config);
    wait_for(&site, topic.records());
    wait_for_messages(&site, topic.sent);
    assert_eq!(service.stop(), 0);
    topic.assert_stored(&site, &[]);
}

/// With so many partitions the client asks for 256 KiB of each at once. Messages that are more on the wire come all the
/// same: four megabytes between others, and ten. (Behind more than five the cluster drops what was before.)
#[test]
fn messages_of_more_bytes_than_are_fetched_at_once_hold_nothing_up() {
    let site = Site::new("bad_topics_long");
    let mut topic = Topic::new(256);
    let config = topic.config(&site);
    topic.good(|record| record);
    topic.bad("too_long", noise(0, 4_000_000));
    topic.good(|record| record);
    topic.good(|record| record);
    topic.send();
    // Partition 1 gets one of ten megabytes: of two partitions the second, the first a tombstone.
    let long = noise(1, LONG_BYTES);
    assert_eq!(fill(&topic.to_partitions(2), [None, Some(&long[..])].into_iter()).unwrap(), 2);
    topic.sent += 1;
    let service = Service::start(&site, &config);
    wait_for(&site, topic.records() + 1);
    topic.good(|record| record);
    topic.send();
    wait_for_messages(&site, topic.sent + 1);
    assert_eq!(service.stop(), 0);
    topic.assert_stored(&site, &[letter("too_long", 0, &long)]);
    // Whoever comes next begins behind all of it.
    let next = Service::start(&site, &config);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(next.stop(), 0);
    topic.assert_stored(&site, &[letter("too_long", 0, &long)]);
}

#[test]
fn a_partition_whose_messages_are_gone_says_so_in_the_log_and_the_others_go_on() {
    let site = Site::new("bad_topics_gone");
    let mut topic = Topic::new(2);
    let config = topic.config(&site);
    topic.good(|record| record);
    topic.send();
    let service = Service::start(&site, &config);
    wait_for(&site, 1);
    assert_eq!(service.stop(), 0);
    // The cluster keeps five megabytes of a partition: messages 1 and 2 of partition 0 are gone.
    for seed in 0..3 {
        assert_eq!(fill(&topic.to_partitions(1), [&noise(seed, 4_000_000)[..]].into_iter()).unwrap(), 1);
    }
    let other = record(7);
    assert_eq!(fill(&topic.to_partitions(2), [None, Some(other.as_bytes())].into_iter()).unwrap(), 2);
    let service = service::Service::start(site.command(), &config);
    let line = service.await_line("nothing more is read of it, the other partitions go on", 1);
    assert!(line.contains("ERROR kafka:t/0: offset 1 is not there"), "{line}");
    wait_for(&site, 2);
    assert_eq!(service.stop(), 0);
    assert_eq!(rows(&site), [0, 7]);
}
