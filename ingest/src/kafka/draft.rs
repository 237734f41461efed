//! A slice of a partition while its messages come in.

use std::time::Duration;

use longshore_core::config::{Framing, KafkaMessages};
use longshore_core::frame::Records;
use longshore_core::limits::DEAD_LETTER_HEAD_BYTES;
use longshore_core::message::Messages;
use longshore_core::slice::Tail;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::buffers::Buffers;
use super::plan::CutRule;
use super::port::{Message, TopicPartition};
use crate::cut::too_long;
use crate::journal::ConfigHash;

/// How new slices are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutting {
    pub(super) rule: CutRule,
    /// What the slice is processed under.
    pub(super) config: ConfigHash,
    pub(super) slice_bytes: usize,
    pub(super) records_max: usize,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Draft {
    at: TopicPartition,
    pub(super) start: u64,
    /// Offset behind the last message; `start` if there was none.
    pub(super) next: u64,
    pub(super) bytes: Vec<u8>,
    records: usize,
    /// What is known of the messages; made with the first one.
    pub(super) messages: Option<Messages>,
    pub(super) tail: Option<Tail>,
    /// When the first message came.
    pub(super) since: Duration,
}

impl Draft {
    pub(super) fn at(at: &TopicPartition, start: u64) -> Self {
        Draft {
            at: at.clone(),
            start,
            next: start,
            bytes: Vec::new(),
            records: 0,
            messages: None,
            tail: None,
            since: Duration::ZERO,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next == self.start
    }

    /// Bytes held, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.len() + self.messages.as_ref().map_or(0, Messages::held_bytes)
    }

    /// Whether a message still belongs to this slice.
    pub(super) fn has_room_for(&self, message: &Message<'_>, cutting: Cutting) -> bool {
        let payload = record_of(message.payload);
        // Of one that is too long nothing is kept here but its head.
        let kept = if payload.len() > cutting.rule.record_bytes_max as usize { &[] } else { payload };
        let text = |(name, value): &(&str, Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len);
        let about = message.key.map_or(0, <[u8]>::len) + message.headers.iter().map(text).sum::<usize>();
        let records = self.records + records_in(kept, cutting.rule);
        self.held_text_bytes() + kept.len() + about <= cutting.slice_bytes && records <= cutting.records_max
    }

    /// Bytes of payloads, keys and headers.
    fn held_text_bytes(&self) -> usize {
        self.bytes.len() + self.messages.as_ref().map_or(0, Messages::text_bytes)
    }

    /// Adds a message. `next` moves behind it.
    pub(super) fn add(&mut self, message: &Message<'_>, rule: CutRule, buffers: &mut Buffers, now: Duration) {
        if self.is_empty() {
            self.since = now;
        }
        self.next = message.offset + 1;
        let payload = record_of(message.payload);
        let is_too_long = payload.len() > rule.record_bytes_max as usize;
        let records = if is_too_long { 1 } else { records_in(payload, rule) };
        if records == 0 {
            return;
        }
        let TopicPartition { topic, partition } = &self.at;
        let messages = self.messages.get_or_insert_with(|| match rule.messages {
            KafkaMessages::Record => Messages::of_records(topic.clone(), *partition),
            KafkaMessages::Lines => Messages::of_lines(topic.clone(), *partition),
        });
        let first = u32::try_from(self.records).expect("a slice's records are bounded");
        messages.push(first, message.offset, message.timestamp, message.key, message.headers.iter().copied());
        if is_too_long {
            let head = payload[..payload.len().min(DEAD_LETTER_HEAD_BYTES)].to_vec();
            self.tail = Some(too_long(head, payload.len() as u64, 0, None, rule.record_bytes_max as usize));
            return;
        }
        if let Some(times) = buffers.make_room(&mut self.bytes, payload.len() + 1) {
            messages.reserve_times(times);
        }
        self.bytes.extend_from_slice(payload);
        if rule.messages == KafkaMessages::Record {
            messages.push_end(u32::try_from(self.bytes.len()).expect("a slice's bytes are bounded"));
        }
        self.bytes.push(b'\n');
        self.records += records;
    }

    /// Hash of what is decoded.
    pub(super) fn hash(&self) -> u64 {
        let ends = self.messages.as_ref().and_then(Messages::ends);
        if self.tail.is_none() && ends.is_none() {
            return xxh3_64(&self.bytes);
        }
        let mut hash = Xxh3::new();
        hash.update(&xxh3_64(&self.bytes).to_le_bytes());
        ends.unwrap_or_default().iter().for_each(|end| hash.update(&end.to_le_bytes()));
        if let Some(tail) = &self.tail {
            hash.update(&tail.length.to_le_bytes());
            hash.update(&tail.head);
        }
        hash.digest()
    }
}

/// A message's payload without one line end behind it: many producers write lines.
fn record_of(payload: Option<&[u8]>) -> &[u8] {
    let payload = payload.unwrap_or_default();
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How many records a payload is.
fn records_in(payload: &[u8], rule: CutRule) -> usize {
    match rule.messages {
        KafkaMessages::Record => usize::from(!payload.is_empty()),
        KafkaMessages::Lines => Records::new(Framing::Lines, payload).count(),
    }
}
