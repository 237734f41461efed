//! The cluster as a process: what was filled is there, commands are answered, and it ends with its parent's pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

/// Every message of a topic, by its key: partition, value.
fn read(addresses: &str, partitions: i32, count: usize) -> Vec<(usize, i32, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses).set("group.id", "reader");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut from = TopicPartitionList::new();
    (0..partitions).for_each(|partition| from.add_partition_offset("t", partition, Offset::Beginning).unwrap());
    consumer.assign(&from).unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let Some(message) = consumer.poll(Duration::from_secs(60)) else { continue };
        let message = message.unwrap();
        let key: usize = std::str::from_utf8(message.key().unwrap()).unwrap().parse().unwrap();
        assert_eq!(message.headers().unwrap().get(0).value, Some(&b"fill"[..]));
        assert_eq!(message.timestamp().to_millis(), Some(1_793_491_200_000 + key as i64));
        let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        found.push((key, message.partition(), value));
    }
    found.sort();
    found
}

#[test]
fn what_was_filled_is_there_once_and_commands_are_answered() {
    let folder = std::env::temp_dir().join(format!("brokers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("lines");
    let lines: Vec<String> = (0..1_000).map(|number| format!("{{\"n\":{number}}}")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();

    let mut process = Command::new(env!("CARGO_BIN_EXE_brokers"))
        .args(["--brokers", "2", "--topic", "t:4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut commands = process.stdin.take().unwrap();
    let mut answers = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let addresses = answers.next().unwrap();
    assert_eq!(addresses.split(',').count(), 2, "{addresses}");
    let mut tell = |command: &str| {
        writeln!(commands, "{command}").unwrap();
        answers.next().unwrap()
    };
    assert_eq!(tell(&format!("fill t {}", file.display())), "ok 1000");
    let found = read(&addresses, 4, 1_000);
    for (number, (key, partition, value)) in found.iter().enumerate() {
        assert_eq!((*key, *partition, value), (number, number as i32 % 4, &lines[number]));
    }
    assert_eq!(tell("fail OffsetCommit NOT_COORDINATOR 2"), "ok");
    assert_eq!(tell("heal OffsetCommit"), "ok");
    assert!(tell("fail Commit NOT_COORDINATOR 2").starts_with("error: \"Commit\" is none of: Produce, "));
    assert_eq!(tell("delay 1"), "ok");
    assert_eq!((tell("down"), tell("up")), ("ok".to_owned(), "ok".to_owned()));
    assert_eq!(read(&addresses, 4, 1_000).len(), 1_000, "what it holds stays");
    assert!(tell("dance").starts_with("error: "));
    drop(commands);
    assert!(process.wait().unwrap().success(), "it ends with its standard input");
    std::fs::remove_dir_all(&folder).unwrap();
}
