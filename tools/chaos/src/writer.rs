//! What an application and its log rotation do: two logs that grow line by line, sometimes half a line at a time, that are
//! renamed, copied and truncated, compressed and removed. Every record goes into the books.
//!
//! What a follower cannot know is left out, since no log rotation does it either: nothing is removed before it was read,
//! and a log is truncated only once its copy is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::books::Books;
use crate::chance::Chance;
use crate::records::Record;

/// The logs.
const LOGS: [&str; 2] = ["app", "web"];
/// Most records that are written at once.
const BURST_MAX: u64 = 60;
/// A log is rotated once in so many bursts.
const ROTATED_ONCE_IN: u64 = 60;
/// A smaller log is not rotated.
const ROTATED_BYTES_MIN: u64 = 4 << 10;
/// Rotated files of a log that are kept, if all has been read of those that are removed.
const KEPT: usize = 5;

/// The application.
pub(crate) struct Writer {
    chance: Chance,
    folder: PathBuf,
    logs: Vec<Log>,
    pub(crate) books: Books,
}

/// A log with its rotated files, the newest first.
struct Log {
    path: PathBuf,
    name: &'static str,
    file: File,
    /// The rest of a line of which half is written.
    half: String,
    rotated: Vec<Rotated>,
}

/// A rotated file.
struct Rotated {
    compressed: bool,
    /// All of it is known to be in ClickHouse.
    read: bool,
}

impl Writer {
    /// Begins in an empty folder, which it makes.
    pub(crate) fn new(folder: &Path, chance: Chance) -> io::Result<Writer> {
        fs::create_dir_all(folder)?;
        let log = |&name: &&'static str| {
            let path = folder.join(format!("{name}.log"));
            let file = append_to(&path)?;
            Ok(Log { path, name, file, half: String::new(), rotated: Vec::new() })
        };
        let logs = LOGS.iter().map(log).collect::<io::Result<_>>()?;
        Ok(Writer { chance, folder: folder.to_owned(), logs, books: Books::default() })
    }

    /// Writes some records to one of the logs, and sometimes rotates it before; how long to wait until the next.
    pub(crate) fn burst(&mut self) -> io::Result<Duration> {
        let at = self.chance.below(self.logs.len() as u64) as usize;
        self.finish_line(at)?;
        if self.chance.once_in(ROTATED_ONCE_IN) && fs::metadata(&self.logs[at].path)?.len() >= ROTATED_BYTES_MIN {
            self.rotate(at)?;
        }
        let mut text = String::new();
        for _ in 0..=self.chance.below(BURST_MAX) {
            let record = Record::generate(self.books.records, &mut self.chance);
            self.books.enter(&record);
            text.push_str(&record.line);
            text.push('\n');
        }
        if self.chance.once_in(4) {
            let cut = text.len() - 1 - self.chance.below(100).min(text.len() as u64 - 1) as usize;
            self.logs[at].half = text.split_off(cut);
        }
        self.logs[at].file.write_all(text.as_bytes())?;
        Ok(self.chance.millis(10, 40))
    }

    /// Finishes what is half written, so that all records are there.
    pub(crate) fn finish_lines(&mut self) -> io::Result<()> {
        (0..self.logs.len()).try_for_each(|at| self.finish_line(at))
    }

    fn finish_line(&mut self, at: usize) -> io::Result<()> {
        let log = &mut self.logs[at];
        log.file.write_all(log.half.as_bytes())?;
        log.half.clear();
        Ok(())
    }

    /// All that was written is in ClickHouse: what is rotated by now may be removed or compressed.
    pub(crate) fn all_read(&mut self) {
        self.logs.iter_mut().flat_map(|log| &mut log.rotated).for_each(|rotated| rotated.read = true);
    }

    fn rotate(&mut self, at: usize) -> io::Result<()> {
        let by_copy = self.chance.once_in(3);
        let compress = self.chance.once_in(2);
        self.remove_oldest(at)?;
        let log = &mut self.logs[at];
        for number in (0..log.rotated.len()).rev() {
            let compressed = log.rotated[number].compressed;
            let (from, to) = (rotated(&self.folder, log, number, compressed), log.shifted(&self.folder, number));
            fs::rename(from, to)?;
        }
        let newest = rotated(&self.folder, log, 0, false);
        if by_copy {
            fs::copy(&log.path, &newest)?;
            log.file.set_len(0)?;
        } else {
            fs::rename(&log.path, &newest)?;
            log.file = append_to(&log.path)?;
        }
        log.rotated.insert(0, Rotated { compressed: false, read: false });
        if compress { self.compress(at) } else { Ok(()) }
    }

    fn remove_oldest(&mut self, at: usize) -> io::Result<()> {
        let log = &mut self.logs[at];
        if log.rotated.len() >= KEPT
            && let Some(oldest) = log.rotated.pop_if(|oldest| oldest.read)
        {
            fs::remove_file(rotated(&self.folder, log, log.rotated.len(), oldest.compressed))?;
        }
        Ok(())
    }

    /// Compresses the newest of the rotated files that has been read, as if by logrotate's `delaycompress`: what is
    /// compressed before it was read is found by the next regular scans only, for which a round would have to wait.
    fn compress(&mut self, at: usize) -> io::Result<()> {
        let log = &mut self.logs[at];
        let Some(number) = log.rotated.iter().position(|rotated| rotated.read && !rotated.compressed) else {
            return Ok(());
        };
        let plain = rotated(&self.folder, log, number, false);
        let mut encoder = GzEncoder::new(File::create(rotated(&self.folder, log, number, true))?, Compression::fast());
        io::copy(&mut File::open(&plain)?, &mut encoder)?;
        encoder.finish()?;
        fs::remove_file(plain)?;
        log.rotated[number].compressed = true;
        Ok(())
    }
}

impl Log {
    /// Where the rotated file of that number goes when another is rotated.
    fn shifted(&self, folder: &Path, number: usize) -> PathBuf {
        rotated(folder, self, number + 1, self.rotated[number].compressed)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The rotated file of that number, the newest being 0: `app.log.1` or `app.log.1.gz`.
fn rotated(folder: &Path, log: &Log, number: usize, compressed: bool) -> PathBuf {
    let end = if compressed { ".gz" } else { "" };
    folder.join(format!("{}.log.{}{end}", log.name, number + 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn every_record_of_the_books_is_in_one_of_the_files_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path(), Chance::new(7, 0)).unwrap();
        for _ in 0..1_200 {
            writer.burst().unwrap();
        }
        writer.finish_lines().unwrap();
        let mut lines = Vec::new();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let (mut file, mut text) = (File::open(&path).unwrap(), String::new());
            match path.extension().is_some_and(|end| end == "gz") {
                true => GzDecoder::new(file).read_to_string(&mut text).unwrap(),
                false => file.read_to_string(&mut text).unwrap(),
            };
            lines.extend(text.lines().map(str::to_owned));
        }
        assert_eq!(lines.len() as u64, writer.books.records);
        assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len());
        let Books { records, filtered, dead_count, rows, .. } = &writer.books;
        assert_eq!(*records, filtered + dead_count + rows.len() as u64);
        assert!(writer.logs.iter().all(|log| log.rotated.len() > 3), "nothing was read, so nothing was removed");
    }
}
