//! The Kafka cluster of a run, as a process that takes commands (`tools/brokers`), and the producer before it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::chance::Chance;
use crate::records::Record;

/// Brokers in memory. They end with the thread that started them, or when this is dropped.
pub(crate) struct Brokers {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    addresses: String,
    /// What is sent goes through a file here.
    batch: PathBuf,
}

/// The topic.
pub(crate) const TOPIC: &str = "chaos";
/// Its partitions: so many that what each gets is less than it keeps.
const PARTITIONS: u64 = 16;

impl Brokers {
    /// Starts the program, with the topic.
    pub(crate) fn start(program: &Path, folder: &Path) -> io::Result<Brokers> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.arg("--topic").arg(format!("{TOPIC}:{PARTITIONS}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let commands = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let batch = folder.join("batch.log");
        let mut brokers = Brokers { child, commands, answers, addresses: String::new(), batch };
        brokers.addresses = brokers.answer()?;
        Ok(brokers)
    }

    /// `host:port` of each, with commas.
    pub(crate) fn addresses(&self) -> &str {
        &self.addresses
    }

    /// Produces records, and returns once all are acknowledged.
    pub(crate) fn send(&mut self, lines: &str) -> io::Result<()> {
        fs::write(&self.batch, lines)?;
        let command = format!("fill {TOPIC} {}", self.batch.display());
        self.obey(&command)
    }

    /// Breaks all connections and takes none, or does so again.
    pub(crate) fn set_up(&mut self, up: bool) -> io::Result<()> {
        self.obey(if up { "up" } else { "down" })
    }

    fn obey(&mut self, command: &str) -> io::Result<()> {
        writeln!(self.commands, "{command}")?;
        self.commands.flush()?;
        let answer = self.answer()?;
        match answer.starts_with("ok") {
            true => Ok(()),
            false => Err(io::Error::other(format!("`{command}`: {answer}"))),
        }
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the brokers ended")),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next records as lines, entered in the books by `enter`.
pub(crate) fn lines(from: u64, count: u64, chance: &mut Chance, mut enter: impl FnMut(&Record)) -> String {
    let mut text = String::new();
    for number in from..from + count {
        let record = Record::generate(number, chance);
        enter(&record);
        text.push_str(&record.line);
        text.push('\n');
    }
    text
}
