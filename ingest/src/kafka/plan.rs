//! The plan of a partition: what the metadata of its committed offset says of the slices that follow it.
//!
//! A text of `longshore2:` and base64 of: the count of configs and their hashes; the count of slices and, of each, the
//! offsets that it covers, the number of its config, its rule (twice the longest record's bytes, one more if its messages
//! are lines), when it was cut (milliseconds since 1970 and one more; 0 if nobody knows), and the hash of its bytes; then 32 bits of XXH3 over all that and the
//! committed offset, so that a text that is damaged, or belongs to another offset, is not believed. Numbers are LEB128,
//! hashes 8 bytes, little-endian. In a text of `longshore1:`, which earlier versions wrote, no slice says when it was cut. No text at all is a plan of nothing: what tools leave that reset a group's offsets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use longshore_core::config::KafkaMessages;
use longshore_core::limits::{KAFKA_PLAN_BYTES_MAX, KAFKA_PLAN_SLICES_MAX};
use xxhash_rust::xxh3::Xxh3;

use crate::journal::ConfigHash;

const PREFIX: &str = "longshore2:";
/// That of plans without times.
const PREFIX_OLDEST: &str = "longshore1:";
const CHECKSUM_BYTES: usize = 4;

/// How messages become the bytes of a slice. In the plan, since another config may rule when it is cut again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutRule {
    /// What a message is.
    pub messages: KafkaMessages,
    /// Longest message that is a record, bytes.
    pub record_bytes_max: u32,
}

impl CutRule {
    fn number(self) -> u64 {
        u64::from(self.record_bytes_max) << 1 | u64::from(self.messages == KafkaMessages::Lines)
    }

    fn of_number(number: u64) -> Option<CutRule> {
        let messages = if number & 1 == 1 { KafkaMessages::Lines } else { KafkaMessages::Record };
        Some(CutRule { messages, record_bytes_max: u32::try_from(number >> 1).ok()? })
    }
}

/// A slice of a plan. It begins where the one before it ends, the first one at the committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedEnd {
    /// Offset just past its last message.
    pub end: u64,
    /// What it is processed under.
    pub config: ConfigHash,
    /// What its bytes were made by.
    pub rule: CutRule,
    /// Hash of its bytes.
    pub hash: u64,
    /// When it was cut, in milliseconds since 1970, at least 0: what its event times are compared with.
    pub cut_ms: Option<u64>,
}

/// Why a metadata text is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Another program's.
    #[error(
        "another program commits offsets for this group: give this engine a group of its own, or reset the group's \
         offsets if the other is gone for good"
    )]
    Foreign,
    /// Ours, of a version that this program does not read.
    #[error("a newer Longshore wrote the plan: run that version until its slices are stored")]
    Version,
    /// Ours, and wrong.
    #[error("the plan does not match its checksum: the group's offsets were changed without their metadata")]
    Damaged,
}

/// The text for these slices behind `committed`, at most [`KAFKA_PLAN_BYTES_MAX`] bytes.
///
/// # Panics
/// If there are more than [`KAFKA_PLAN_SLICES_MAX`], or they do not go upwards.
pub fn encode(committed: u64, slices: &[PlannedEnd]) -> String {
    assert!(slices.len() <= KAFKA_PLAN_SLICES_MAX, "a plan is bounded");
    if slices.is_empty() {
        return String::new();
    }
    let mut configs: Vec<ConfigHash> = Vec::new();
    slices.iter().for_each(|slice| {
        if !configs.contains(&slice.config) {
            configs.push(slice.config);
        }
    });
    let mut bytes = Vec::new();
    put_number(&mut bytes, configs.len() as u64);
    configs.iter().for_each(|config| bytes.extend_from_slice(&config.0.to_le_bytes()));
    put_number(&mut bytes, slices.len() as u64);
    let mut start = committed;
    for slice in slices {
        assert!(slice.end > start, "a slice covers an offset");
        put_number(&mut bytes, slice.end - start);
        let config = configs.iter().position(|config| *config == slice.config).expect("all were collected");
        put_number(&mut bytes, config as u64);
        put_number(&mut bytes, slice.rule.number());
        put_number(&mut bytes, slice.cut_ms.map_or(0, |cut_ms| cut_ms.saturating_add(1)));
        bytes.extend_from_slice(&slice.hash.to_le_bytes());
        start = slice.end;
    }
    let checksum = checksum(committed, &bytes);
    bytes.extend_from_slice(&checksum);
    let text = format!("{PREFIX}{}", STANDARD_NO_PAD.encode(bytes));
    debug_assert!(text.len() <= KAFKA_PLAN_BYTES_MAX);
    text
}

/// A text that says that nothing is planned behind `committed`, where an empty one would not show whether it is kept.
pub fn mark(committed: u64) -> String {
    let nothing = [0, 0];
    format!("{PREFIX}{}", STANDARD_NO_PAD.encode([&nothing[..], &checksum(committed, &nothing)].concat()))
}

/// The slices behind `committed` by its metadata.
///
/// # Errors
/// The text is not a plan of ours, or not one for that offset.
pub fn decode(committed: u64, text: &str) -> Result<Vec<PlannedEnd>, PlanError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let (encoded, timed) = match (text.strip_prefix(PREFIX), text.strip_prefix(PREFIX_OLDEST)) {
        (Some(encoded), _) => (encoded, true),
        (None, Some(encoded)) => (encoded, false),
        (None, None) if text.starts_with("longshore") => return Err(PlanError::Version),
        (None, None) => return Err(PlanError::Foreign),
    };
    if text.len() > KAFKA_PLAN_BYTES_MAX {
        return Err(PlanError::Damaged);
    }
    let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| PlanError::Damaged)?;
    let (body, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(PlanError::Damaged)?;
    if *found != checksum(committed, body) {
        return Err(PlanError::Damaged);
    }
    read_slices(committed, body, timed).ok_or(PlanError::Damaged)
}

fn read_slices(committed: u64, mut rest: &[u8], timed: bool) -> Option<Vec<PlannedEnd>> {
    let configs = take_number(&mut rest).filter(|count| *count <= KAFKA_PLAN_SLICES_MAX as u64)?;
    let configs = (0..configs).map(|_| take_hash(&mut rest).map(ConfigHash)).collect::<Option<Vec<_>>>()?;
    let count = take_number(&mut rest).filter(|count| *count <= KAFKA_PLAN_SLICES_MAX as u64)?;
    let mut start = committed;
    let mut slices = Vec::new();
    for _ in 0..count {
        let covered = take_number(&mut rest).filter(|covered| *covered > 0)?;
        let config = *configs.get(usize::try_from(take_number(&mut rest)?).ok()?)?;
        let end = start.checked_add(covered)?;
        let rule = CutRule::of_number(take_number(&mut rest)?)?;
        let cut_ms = if timed { take_number(&mut rest)?.checked_sub(1) } else { None };
        slices.push(PlannedEnd { end, config, rule, hash: take_hash(&mut rest)?, cut_ms });
        start = end;
    }
    rest.is_empty().then_some(slices)
}

fn checksum(committed: u64, body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Xxh3::new();
    hash.update(&committed.to_le_bytes());
    hash.update(body);
    *hash.digest().to_le_bytes().first_chunk().expect("8 bytes hold 4")
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        let bits = u64::from(byte & 0x7f);
        if (bits << shift) >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_hash(rest: &mut &[u8]) -> Option<u64> {
    let (hash, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(end: u64, config: u64, hash: u64) -> PlannedEnd {
        let rule = CutRule { messages: KafkaMessages::Lines, record_bytes_max: 64 };
        PlannedEnd { end, config: ConfigHash(config), rule, hash, cut_ms: Some(hash & 0x1ff) }
    }

    #[test]
    fn plans_come_back() {
        let latest = |slice| PlannedEnd { cut_ms: Some(u64::MAX - 1), ..slice };
        let plans: [(u64, Vec<PlannedEnd>); 5] = [
            (0, vec![]),
            (0, vec![slice(1, 7, 8)]),
            (1 << 40, vec![slice((1 << 40) + 127, 1, 2), slice((1 << 40) + 255, 2, 3), slice(u64::MAX, 1, u64::MAX)]),
            (5, vec![PlannedEnd { cut_ms: None, ..slice(6, 1, 2) }, slice(7, 1, 2)]),
            (5, (0..KAFKA_PLAN_SLICES_MAX as u64).map(|i| slice((i + 1) << 50, i, !i)).map(latest).collect()),
        ];
        for (committed, slices) in plans {
            let text = encode(committed, &slices);
            assert!(text.len() <= KAFKA_PLAN_BYTES_MAX, "{} bytes", text.len());
            assert_eq!(decode(committed, &text), Ok(slices));
        }
    }

    /// By hand: one config, number 1 in 8 bytes; one slice of 300 offsets (0xac 0x02), config 0, rule 129 (0x81 0x01), cut
    /// at 2 (3), hash 2 in 8 bytes.
    #[test]
    fn the_form_is_the_one_described() {
        let text = encode(10, &[slice(310, 1, 2)]);
        let bytes = STANDARD_NO_PAD.decode(text.strip_prefix("longshore2:").unwrap()).unwrap();
        let body = [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xac, 2, 0, 0x81, 1, 3, 2, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes[..bytes.len() - 4], body);
    }

    /// The same slice as an earlier version planned it: its text, with the checksum, is what that version wrote.
    #[test]
    fn a_plan_of_the_version_before_is_read_without_times() {
        let body = [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xac, 2, 0, 0x81, 1, 2, 0, 0, 0, 0, 0, 0, 0];
        let text = format!("longshore1:{}", STANDARD_NO_PAD.encode([&body[..], &checksum(10, &body)].concat()));
        assert_eq!(decode(10, &text), Ok(vec![PlannedEnd { cut_ms: None, ..slice(310, 1, 2) }]));
        assert_eq!(decode(11, &text), Err(PlanError::Damaged));
        let nothing = format!("longshore1:{}", STANDARD_NO_PAD.encode([&[0, 0][..], &checksum(7, &[0, 0])].concat()));
        assert_eq!(decode(7, &nothing), Ok(Vec::new()));
    }

    #[test]
    fn a_mark_is_a_plan_of_nothing_for_its_offset_alone() {
        assert_eq!(decode(7, &mark(7)), Ok(Vec::new()));
        assert_eq!(decode(8, &mark(7)), Err(PlanError::Damaged));
    }

    #[test]
    fn every_changed_character_and_every_other_offset_is_noticed() {
        let text = encode(10, &[slice(310, 1, 2), slice(311, 1, 3)]);
        for at in 0..text.len() {
            for other in [b'A', b'z', b'0'] {
                let mut changed = text.clone().into_bytes();
                if changed[at] != other {
                    changed[at] = other;
                    assert!(decode(10, std::str::from_utf8(&changed).unwrap()).is_err(), "at {at}");
                }
            }
            let cut = &text[..at];
            assert!(cut.is_empty() || decode(10, cut).is_err(), "cut at {at}");
        }
        assert_eq!(decode(11, &text), Err(PlanError::Damaged));
        assert_eq!(decode(10, "longshore3:AAAA"), Err(PlanError::Version));
        assert_eq!(decode(10, "my-consumer"), Err(PlanError::Foreign));
    }
}
