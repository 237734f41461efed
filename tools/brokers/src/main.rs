//! `brokers`: a Kafka cluster for tests, as a process of its own.
//!
//! It writes the brokers' addresses to standard output, one line. Then it reads commands from standard input, one a line,
//! and answers each with a line: `ok`, `ok` and numbers, or `error:` and why. It ends with its standard input, or with
//! whoever started it.

use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use longshore_brokers::Cluster;
use longshore_brokers::drain::{Drained, drain};
use longshore_brokers::fill::{Into, check_whole, fill};

/// A Kafka cluster for tests on loopback, in memory.
///
/// Commands on standard input, each answered with a line:
///   topic NAME PARTITIONS          make a topic
///   fill NAME FILE [RATE]          send a file's lines, record n to partition n % partitions with the key n
///   drain NAME                     read a topic to its end and throw it away: answers messages and seconds
///   down | up                      break all connections and take none, until it is up again
///   delay MS                       every answer takes so long
///   fail REQUEST ANSWER TIMES      such as: fail OffsetCommit NOT_COORDINATOR 3
///   heal REQUEST                   no further failures
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// How many brokers.
    #[arg(long, default_value_t = 1)]
    brokers: u8,
    /// Topics to begin with: name and partitions.
    #[arg(long, value_name = "NAME:PARTITIONS")]
    topic: Vec<String>,
}

/// Milliseconds since 1970 of each fill's first record: 2026-11-01.
const TIME: i64 = 1_793_491_200_000;

fn main() -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let arguments = Arguments::parse();
    let cluster = Cluster::start(arguments.brokers)?;
    let mut topics = Vec::new();
    for topic in &arguments.topic {
        let (name, partitions) = topic.rsplit_once(':').context("--topic NAME:PARTITIONS")?;
        make(&cluster, &mut topics, name, partitions)?;
    }
    say(&cluster.addresses())?;
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match obey(&cluster, &mut topics, &words) {
            Ok(answer) => say(&answer)?,
            Err(error) => say(&format!("error: {error:#}"))?,
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn obey(cluster: &Cluster, topics: &mut Vec<(String, i32)>, words: &[&str]) -> Result<String> {
    match *words {
        ["topic", name, partitions] => make(cluster, topics, name, partitions)?,
        ["fill", topic, file] => return fill_from(cluster, topics, topic, file, None),
        ["fill", topic, file, rate] => return fill_from(cluster, topics, topic, file, Some(rate.parse()?)),
        ["drain", topic] => return drain_all(cluster, topics, topic),
        ["down"] => cluster.down()?,
        ["up"] => cluster.up()?,
        ["delay", ms] => cluster.delay(Duration::from_millis(ms.parse()?))?,
        ["fail", request, answer, times] => cluster.fail(request, answer, times.parse()?)?,
        ["heal", request] => cluster.heal(request)?,
        _ => bail!("no such command; --help lists them"),
    }
    Ok("ok".to_owned())
}

fn make(cluster: &Cluster, topics: &mut Vec<(String, i32)>, name: &str, partitions: &str) -> Result<()> {
    let partitions = partitions.parse().with_context(|| format!("{partitions:?} is not a number of partitions"))?;
    cluster.topic(name, partitions)?;
    topics.push((name.to_owned(), partitions));
    Ok(())
}

fn find(topics: &[(String, i32)], topic: &str) -> Result<(String, i32)> {
    topics.iter().find(|(name, _)| name == topic).cloned().ok_or_else(|| anyhow!("there is no topic {topic:?}"))
}

fn drain_all(cluster: &Cluster, topics: &[(String, i32)], topic: &str) -> Result<String> {
    let (topic, partitions) = find(topics, topic)?;
    let Drained { messages, took } = drain(&cluster.addresses(), &topic, partitions)?;
    Ok(format!("ok {messages} {:.3}", took.as_secs_f64()))
}

fn fill_from(
    cluster: &Cluster,
    topics: &[(String, i32)],
    topic: &str,
    file: &str,
    rate: Option<u32>,
) -> Result<String> {
    let (topic, partitions) = find(topics, topic)?;
    let into = Into { addresses: cluster.addresses(), topic, partitions, time: TIME, rate };
    let bytes = std::fs::read(Path::new(file)).with_context(|| file.to_owned())?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let sent = fill(&into, lines)?;
    // What was read meanwhile may go; without a rate it is to be there for whoever comes.
    if rate.is_none() {
        check_whole(&into)?;
    }
    Ok(format!("ok {sent}"))
}
