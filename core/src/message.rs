//! What a topic says of the messages that records came in: offset, timestamp, key, headers.
//!
//! It travels beside a slice's bytes and becomes columns only once the records are decoded, by their number in the slice.
//! So none of it costs anything where no column asks for it.

use std::sync::Arc;

use arrow_array::builder::{StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, TimestampMillisecondArray, UInt32Array, UInt64Array};

use crate::column::arrow::TIME_ZONE;
use crate::column::{ColumnType, TimeFormat, TimePrecision};

/// A column of what a topic says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageColumn {
    /// Name of the column.
    pub name: Arc<str>,
    /// What it holds.
    pub field: MessageField,
}

/// What a topic says of a message. Null in rows that came from a file, but for the topic, which is empty there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageField {
    /// Name of the topic: `LowCardinality(String)`.
    Topic,
    /// Number of the partition: `Nullable(UInt32)`.
    Partition,
    /// Offset in the partition: `Nullable(UInt64)`.
    Offset,
    /// What the producer or the broker stamped it with: `Nullable(DateTime64(3, 'UTC'))`.
    Timestamp,
    /// The key; null if it has none. Bytes that are not UTF-8 are replaced: `Nullable(String)`.
    Key,
    /// The last header of this name; null if there is none. Bytes that are not UTF-8 are replaced: `Nullable(String)`.
    Header(String),
}

impl MessageField {
    /// Type of its column.
    pub fn ty(&self) -> ColumnType {
        match self {
            MessageField::Topic => ColumnType::LowCardinality,
            MessageField::Partition => ColumnType::U32,
            MessageField::Offset => ColumnType::U64,
            MessageField::Timestamp => ColumnType::Timestamp {
                precision: TimePrecision::Millis,
                format: TimeFormat::Epoch(TimePrecision::Millis),
            },
            MessageField::Key | MessageField::Header(_) => ColumnType::String,
        }
    }

    /// Whether its column may hold null.
    pub fn nullable(&self) -> bool {
        *self != MessageField::Topic
    }
}

/// The messages of a slice, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    topic: Arc<str>,
    partition: u32,
    list: Vec<Message>,
    /// If each message is one record, where the records end.
    ends: Option<Vec<u32>>,
    headers: Vec<Header>,
    /// Keys, and names and values of headers.
    text: Vec<u8>,
}

/// A stretch of the text.
type Span = (u32, u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message {
    /// Number of its first record in the slice.
    first: u32,
    offset: u64,
    timestamp: Option<i64>,
    key: Option<Span>,
    /// Headers before it, of all messages.
    headers_before: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    name: Span,
    value: Option<Span>,
}

impl Messages {
    /// None so far, of a partition of a topic. They are as many records as they have lines.
    pub fn of_lines(topic: Arc<str>, partition: u32) -> Self {
        Messages { topic, partition, list: Vec::new(), ends: None, headers: Vec::new(), text: Vec::new() }
    }

    /// The same, but each is one record, whatever it holds: see [`Messages::push_end`].
    pub fn of_records(topic: Arc<str>, partition: u32) -> Self {
        Messages { ends: Some(Vec::new()), ..Messages::of_lines(topic, partition) }
    }

    /// The message that was pushed last is a record whose bytes end there in the slice; behind them stands one byte, a line
    /// feed, that is part of no record. A message without an end is no record of the slice's bytes, but its tail.
    ///
    /// # Panics
    /// If messages are lines.
    pub fn push_end(&mut self, end: u32) {
        self.ends.as_mut().expect("messages are records").push(end);
    }

    /// If each message is one record: where the records end.
    pub fn ends(&self) -> Option<&[u32]> {
        self.ends.as_deref()
    }

    /// Adds a message whose first record has the number `first` in the slice; numbers and offsets grow. The timestamp is
    /// in milliseconds since 1970.
    pub fn push<'a>(
        &mut self,
        first: u32,
        offset: u64,
        timestamp: Option<i64>,
        key: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) {
        let headers_before = self.headers.len() as u32;
        let key = key.map(|key| self.keep(key));
        for (name, value) in headers {
            let name = self.keep(name.as_bytes());
            let value = value.map(|value| self.keep(value));
            self.headers.push(Header { name, value });
        }
        self.list.push(Message { first, offset, timestamp, key, headers_before });
    }

    /// Makes room for so many times the messages that there are, if more are to come.
    pub fn reserve_times(&mut self, times: usize) {
        let more = |len: usize| len * times.saturating_sub(1);
        self.list.reserve_exact(more(self.list.len()));
        self.headers.reserve_exact(more(self.headers.len()));
        self.text.reserve_exact(more(self.text.len()));
        if let Some(ends) = &mut self.ends {
            ends.reserve_exact(more(ends.len()));
        }
    }

    /// Bytes of keys and headers.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Bytes that all this takes up, about.
    pub fn held_bytes(&self) -> usize {
        let ends = self.ends.as_ref().map_or(0, |ends| size_of_val(&ends[..]));
        size_of_val(&self.list[..]) + size_of_val(&self.headers[..]) + ends + self.text.len()
    }

    /// Offset of the message that a record came in.
    ///
    /// # Panics
    /// If there is no message at or before it.
    pub fn offset_of(&self, record: u32) -> u64 {
        self.list[self.index_of(record)].offset
    }

    fn index_of(&self, record: u32) -> usize {
        let after = self.list.partition_point(|message| message.first <= record);
        after.checked_sub(1).expect("a slice's first record is in its first message")
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        (start, self.text.len() as u32)
    }

    fn bytes(&self, (start, end): Span) -> &[u8] {
        &self.text[start as usize..end as usize]
    }

    /// The last header of that name of the message at this index.
    fn header(&self, index: usize, name: &str) -> Option<&[u8]> {
        let first = self.list[index].headers_before as usize;
        let end = self.list.get(index + 1).map_or(self.headers.len(), |next| next.headers_before as usize);
        let mut found = self.headers[first..end].iter().rev();
        let header = found.find(|header| self.bytes(header.name) == name.as_bytes())?;
        header.value.map(|value| self.bytes(value))
    }
}

/// The column of a field for records of these numbers, which grow. `messages` is `None` for a slice of a file.
pub(crate) fn column(field: &MessageField, messages: Option<&Messages>, records: &[u32]) -> ArrayRef {
    let Some(messages) = messages else { return absent(field, records.len()) };
    let indexes = indexes(messages, records);
    let list = || indexes.clone().map(|index| &messages.list[index]);
    match field {
        MessageField::Topic => topics(&messages.topic, records.len()),
        MessageField::Partition => Arc::new(UInt32Array::from(vec![Some(messages.partition); records.len()])),
        MessageField::Offset => Arc::new(list().map(|message| Some(message.offset)).collect::<UInt64Array>()),
        MessageField::Timestamp => timestamps(list().map(|message| message.timestamp)),
        MessageField::Key => texts(list().map(|message| message.key.map(|key| messages.bytes(key)))),
        MessageField::Header(name) => texts(indexes.clone().map(|index| messages.header(index, name))),
    }
}

/// The index of each record's message.
fn indexes<'a>(messages: &'a Messages, records: &'a [u32]) -> impl Iterator<Item = usize> + Clone + 'a {
    let first = records.first().map_or(0, |record| messages.index_of(*record));
    records.iter().scan(first, |index, record| {
        while messages.list.get(*index + 1).is_some_and(|next| next.first <= *record) {
            *index += 1;
        }
        Some(*index)
    })
}

fn absent(field: &MessageField, rows: usize) -> ArrayRef {
    match field {
        MessageField::Topic => topics("", rows),
        MessageField::Partition => Arc::new(UInt32Array::from(vec![None; rows])),
        MessageField::Offset => Arc::new(UInt64Array::from(vec![None; rows])),
        MessageField::Timestamp => timestamps(std::iter::repeat_n(None, rows)),
        MessageField::Key | MessageField::Header(_) => texts(std::iter::repeat_n(None, rows)),
    }
}

fn topics(topic: &str, rows: usize) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    builder.extend(std::iter::repeat_n(Some(topic), rows));
    Arc::new(builder.finish())
}

fn timestamps(millis: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(millis.collect::<TimestampMillisecondArray>().with_timezone(TIME_ZONE))
}

fn texts<'a>(texts: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    texts.for_each(|text| builder.append_option(text.map(String::from_utf8_lossy)));
    Arc::new(builder.finish())
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{TimestampMillisecondType, UInt32Type, UInt64Type};

    use super::*;

    /// Three messages: of records 0, 1 to 3, and 4. The second has two headers of one name, and one without a value.
    fn messages() -> Messages {
        let mut messages = Messages::of_lines("orders".into(), 7);
        messages.push(0, 100, Some(1_700_000_000_123), Some(b"k1"), []);
        let headers: [(&str, Option<&[u8]>); 3] = [("trace", Some(b"old")), ("trace", Some(b"new")), ("empty", None)];
        messages.push(1, 103, None, None, headers);
        messages.push(4, 104, Some(-1), Some(b"\xffx"), [("trace", Some(&b""[..]))]);
        messages
    }

    fn strings(array: &ArrayRef) -> Vec<Option<&str>> {
        array.as_string::<i32>().iter().collect()
    }

    #[test]
    fn each_record_has_what_its_message_says() {
        let messages = messages();
        let of = |field: MessageField| column(&field, Some(&messages), &[0, 2, 3, 4]);
        let offsets = of(MessageField::Offset);
        assert_eq!(offsets.as_primitive::<UInt64Type>().values(), &[100, 103, 103, 104]);
        let partitions = of(MessageField::Partition);
        assert_eq!(partitions.as_primitive::<UInt32Type>().values(), &[7, 7, 7, 7]);
        let times = of(MessageField::Timestamp);
        let times: Vec<_> = times.as_primitive::<TimestampMillisecondType>().iter().collect();
        assert_eq!(times, [Some(1_700_000_000_123), None, None, Some(-1)]);
        assert_eq!(strings(&of(MessageField::Key)), [Some("k1"), None, None, Some("\u{fffd}x")]);
        let traces = of(MessageField::Header("trace".into()));
        assert_eq!(strings(&traces), [None, Some("new"), Some("new"), Some("")]);
        assert_eq!(strings(&of(MessageField::Header("empty".into()))), [None; 4]);
        let topics = of(MessageField::Topic);
        let topics = topics.as_dictionary::<Int32Type>();
        assert_eq!(topics.downcast_dict::<arrow_array::StringArray>().unwrap().into_iter().flatten().count(), 4);
        assert_eq!(topics.values().as_string::<i32>().value(0), "orders");
    }

    #[test]
    fn a_record_is_found_in_its_message() {
        let messages = messages();
        assert_eq!([0, 1, 2, 3, 4, 5].map(|record| messages.offset_of(record)), [100, 103, 103, 103, 104, 104]);
    }

    #[test]
    fn rows_of_a_file_have_none_of_it() {
        let fields = [
            MessageField::Partition,
            MessageField::Offset,
            MessageField::Timestamp,
            MessageField::Key,
            MessageField::Header("a".into()),
        ];
        for field in fields {
            let array = column(&field, None, &[0, 5]);
            assert_eq!((array.len(), array.null_count()), (2, 2), "{field:?}");
        }
        assert_eq!(column(&MessageField::Topic, None, &[0, 5]).null_count(), 0);
    }

    #[test]
    fn columns_are_of_the_types_that_are_declared() {
        let fields = [
            MessageField::Topic,
            MessageField::Partition,
            MessageField::Offset,
            MessageField::Timestamp,
            MessageField::Key,
            MessageField::Header("a".into()),
        ];
        for field in fields {
            let wanted = crate::column::arrow::arrow_type(&field.ty());
            assert_eq!(*column(&field, None, &[]).data_type(), wanted, "{field:?}");
            assert_eq!(*column(&field, Some(&messages()), &[1]).data_type(), wanted, "{field:?}");
        }
    }
}
