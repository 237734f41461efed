//! `longshore run` over topics: engines of a consumer group that come, go and die while messages flow into a real
//! ClickHouse. Every message is stored once.

use std::path::PathBuf;
use std::time::Duration;

use longshore_brokers::Cluster;
use longshore_brokers::fill::{Into, fill};

use crate::run::{CONFIG, Service, assert_exact, records, wait_for, with_tables};
use crate::support::shared::Site;

/// A cluster with a topic, and the config of an engine that reads it.
struct Topic {
    cluster: Cluster,
    partitions: i32,
    sent: u64,
}

impl Topic {
    fn new(partitions: i32) -> Topic {
        let cluster = Cluster::start(1).unwrap();
        cluster.topic("orders", partitions).unwrap();
        Topic { cluster, partitions, sent: 0 }
    }

    /// Sends the next records: number `n` has the key `n`, counted from the first of this call.
    fn send(&mut self, count: u64) {
        let text = records(self.sent, self.sent + count);
        let (addresses, topic) = (self.cluster.addresses(), "orders".to_owned());
        let into = Into { addresses, topic, partitions: self.partitions, time: 1_763_726_400_000, rate: None };
        assert_eq!(fill(&into, text.lines().map(str::as_bytes)).unwrap(), count);
        self.sent += count;
    }

    fn config(&self, site: &Site) -> PathBuf {
        let source = format!(
            "[[source]]\nname = \"orders\"\n[source.kafka]\nbrokers = [\"{}\"]\ntopics = [\"orders\"]\ngroup = \"shop\"\n\
             properties = {{ \"session.timeout.ms\" = 3000, \"heartbeat.interval.ms\" = 300 }}\n\
             [message]\npartition = \"part\"\noffset = \"at\"\nkey = \"message_key\"\ntimestamp = \"sent\"\n",
            self.cluster.addresses().split(',').next().unwrap()
        );
        with_tables(site, &format!("{source}{CONFIG}"))
    }
}

#[test]
fn engines_of_a_group_come_go_and_die_and_each_message_is_stored_once() {
    let site = Site::new("topics_group");
    let mut topic = Topic::new(6);
    let config = topic.config(&site);
    topic.send(2_000);
    let first = Service::start(&site, &config);
    let second = Service::start(&site, &config);
    for _ in 0..10 {
        topic.send(300);
        std::thread::sleep(Duration::from_millis(150));
    }
    // In the middle of whatever it does.
    drop(first);
    let third = Service::start(&site, &config);
    for _ in 0..10 {
        topic.send(300);
        std::thread::sleep(Duration::from_millis(150));
    }
    wait_for(&site, topic.sent);
    assert_eq!((second.stop(), third.stop()), (0, 0));
    assert_exact(&site, topic.sent);
    // Whoever comes later finds nothing new.
    let fourth = Service::start(&site, &config);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(fourth.stop(), 0);
    assert_exact(&site, topic.sent);
}

#[test]
fn rows_say_which_message_they_were() {
    let site = Site::new("topics_columns");
    let mut topic = Topic::new(3);
    let config = topic.config(&site);
    topic.send(150);
    let service = Service::start(&site, &config);
    wait_for(&site, 150);
    assert_eq!(service.stop(), 0);
    assert_exact(&site, 150);
    // Record n goes to partition n % 3, so that it is message n / 3 there, with the key n.
    let wrong = site.execute(
        "SELECT count() FROM {db}.events WHERE part != n % 3 OR at != intDiv(n, 3) OR message_key != toString(n) \
         OR sent != toDateTime64('2025-11-21 12:00:00', 3, 'UTC') + toIntervalMillisecond(n)",
    );
    assert_eq!(wrong.trim(), "0");
    let dead = site.execute("SELECT source, offset, record FROM {db}.dead_letters ORDER BY record");
    let wanted = ["kafka:orders/2 49", "kafka:orders/1 16", "kafka:orders/0 33"];
    let found: Vec<String> = dead.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(found, wanted);
}
