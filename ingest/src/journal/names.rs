//! The names of a journal's files, and what the lock file says.

use xxhash_rust::xxh3::xxh3_64;

use super::format::ConfigHash;

/// The file that is locked, with a [`Note`] in it.
pub(super) const LOCK: &str = "lock";
/// What is being written, and means nothing until it is renamed.
pub(super) const TEMPORARY: &str = ".tmp";

/// Name of a segment.
pub(super) fn segment(number: u64) -> String {
    format!("segment-{number:020}")
}

/// Number of the segment with this name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?;
    let number = digits.parse().ok()?;
    (segment(number) == name).then_some(number)
}

/// Name of a config.
pub(super) fn config(hash: ConfigHash) -> String {
    format!("config-{hash}.toml")
}

/// The text of a config, if these are its bytes.
pub(super) fn text_of(hash: ConfigHash, bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|text| ConfigHash::of(text) == hash)
}

/// Hash of the config with this name.
pub(super) fn config_hash(name: &str) -> Option<ConfigHash> {
    let digits = name.strip_prefix("config-")?.strip_suffix(".toml")?;
    let hash = ConfigHash(u64::from_str_radix(digits, 16).ok()?);
    (config(hash) == name).then_some(hash)
}

/// Whether a file of that name is a journal's.
pub(super) fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(TEMPORARY).unwrap_or(name);
    whole == LOCK || segment_number(whole).is_some() || config_hash(whole).is_some()
}

/// What the lock file says: who holds the journal, and which segment was the newest, so that a segment that somebody
/// took away, or an older one that was put back, is noticed.
///
/// It is written only after the segment is durable, and not synced itself: it may be out of date after a power loss, but
/// it never promises what is not there. One that its checksum does not fit says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) pid: u32,
    pub(super) journal: u128,
    pub(super) segment: u64,
}

impl Note {
    /// Always of the same length, so that it can be overwritten in place and needs no new space on a full disk.
    pub(super) fn render(&self) -> String {
        let text = format!("pid {:010}\njournal {:032x}\nsegment {:020}\n", self.pid, self.journal, self.segment);
        let checksum = xxh3_64(text.as_bytes());
        format!("{text}checksum {checksum:016x}\n")
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Note> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.strip_prefix("pid ")?.parse().ok()?;
        let journal = u128::from_str_radix(lines.next()?.strip_prefix("journal ")?, 16).ok()?;
        let segment = lines.next()?.strip_prefix("segment ")?.parse().ok()?;
        let note = Note { pid, journal, segment };
        (note.render() == text).then_some(note)
    }
}
