//! One record as the generator knows it: the truth that the log is written from and the expected answers
//! are computed from, so that neither is ever derived from the other.

use std::fmt;
use std::str::FromStr;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Event {
    PageView,
    Click,
    AddToCart,
    Register,
    OrderPaid,
    Heartbeat,
}

impl Event {
    /// Every event and its share of the records in percent.
    pub(crate) const SHARES: [(Event, u64); 6] = [
        (Event::PageView, 60),
        (Event::Click, 20),
        (Event::AddToCart, 8),
        (Event::Register, 2),
        (Event::OrderPaid, 5),
        (Event::Heartbeat, 5),
    ];

    /// The name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Event::PageView => "page_view",
            Event::Click => "click",
            Event::AddToCart => "add_to_cart",
            Event::Register => "register",
            Event::OrderPaid => "order_paid",
            Event::Heartbeat => "heartbeat",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(name: &str) -> Result<Event, String> {
        let known = Event::SHARES.map(|(event, _)| event);
        known.into_iter().find(|event| event.name() == name).ok_or_else(|| {
            let names = known.map(Event::name).join(", ");
            format!("no event is called {name:?}: {names}")
        })
    }
}

/// Why the engine has to refuse a record; `name` is the word in its dead-letter table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Reason {
    BadEnvelope,
    BadJson,
    BadUtf8,
    MissingField,
    TagMismatch,
    TypeMismatch,
    UnknownKey,
    UnknownProduct,
}

impl Reason {
    /// All of them, in the order of their names.
    pub const ALL: [Reason; 8] = [
        Reason::BadEnvelope,
        Reason::BadJson,
        Reason::BadUtf8,
        Reason::MissingField,
        Reason::TagMismatch,
        Reason::TypeMismatch,
        Reason::UnknownKey,
        Reason::UnknownProduct,
    ];

    /// The reason's name, as in `bad_json`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::BadEnvelope => "bad_envelope",
            Reason::BadJson => "bad_json",
            Reason::BadUtf8 => "bad_utf8",
            Reason::MissingField => "missing_field",
            Reason::TagMismatch => "tag_mismatch",
            Reason::TypeMismatch => "type_mismatch",
            Reason::UnknownKey => "unknown_key",
            Reason::UnknownProduct => "unknown_product",
        }
    }
}

/// A way to break a record. Each leaves one reason possible, whatever order an engine checks in: a record
/// is broken in one way only, and never breaks another rule as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// The line ends early.
    Truncated,
    /// Printable ASCII that is not JSON.
    Garbage,
    /// Bytes that are not UTF-8, inside a string.
    InvalidUtf8,
    /// No `user_id`.
    NoUser,
    /// No `ts`.
    NoTime,
    /// `ts` is a word.
    WordForTime,
    /// `amount` is "12.3x".
    BadAmount,
    /// `product` is not in the dictionary.
    UnknownProduct,
    /// One bit of the sealed record differs.
    FlippedBit,
    /// A key id that the keyring does not have.
    UnknownKey,
    /// Not base64; for frames, too short to hold a nonce and a tag.
    BadEnvelope,
}

pub(crate) const DEFECTS_JSON: &[&[Defect]] = &[
    &[Defect::Truncated, Defect::Garbage],
    &[Defect::InvalidUtf8],
    &[Defect::NoUser, Defect::NoTime],
    &[Defect::WordForTime, Defect::BadAmount],
    &[Defect::UnknownProduct],
];

/// A CSV line that is cut or garbage can still be read as a short record, so those two are left out.
pub(crate) const DEFECTS_DELIMITED: &[&[Defect]] = &[
    &[Defect::InvalidUtf8],
    &[Defect::NoUser, Defect::NoTime],
    &[Defect::WordForTime, Defect::BadAmount],
    &[Defect::UnknownProduct],
];

pub(crate) const DEFECTS_SEALED: &[&[Defect]] = &[&[Defect::FlippedBit], &[Defect::UnknownKey], &[Defect::BadEnvelope]];

impl Defect {
    pub(crate) fn reason(self) -> Reason {
        match self {
            Defect::Truncated | Defect::Garbage => Reason::BadJson,
            Defect::InvalidUtf8 => Reason::BadUtf8,
            Defect::NoUser | Defect::NoTime => Reason::MissingField,
            Defect::WordForTime | Defect::BadAmount => Reason::TypeMismatch,
            Defect::UnknownProduct => Reason::UnknownProduct,
            Defect::FlippedBit => Reason::TagMismatch,
            Defect::UnknownKey => Reason::UnknownKey,
            Defect::BadEnvelope => Reason::BadEnvelope,
        }
    }
}

/// What makes a record's strings harder to read than plain ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing.
    Plain,
    /// Quotes and backslashes, escaped.
    Quotes,
    /// Line feeds and tabs, escaped.
    Controls,
    /// Chinese and emoji as raw UTF-8.
    RawUnicode,
    /// The same as `\u` escapes and surrogate pairs.
    EscapedUnicode,
    /// `\/` for every slash, which JSON allows.
    EscapedSlashes,
    /// The first character of event, channel and user_id as a `\u` escape: grouping keys need decoding too.
    EscapedKeys,
}

impl Style {
    pub(crate) const HARD: [Style; 6] = [
        Style::Quotes,
        Style::Controls,
        Style::RawUnicode,
        Style::EscapedUnicode,
        Style::EscapedSlashes,
        Style::EscapedKeys,
    ];
}

/// One record before it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// Its place in the file, from 0.
    pub(crate) index: u64,
    pub(crate) ts_ms: i64,
    pub(crate) event: Event,
    /// From 0: product 0 is "p01".
    pub(crate) product: u8,
    pub(crate) channel: u16,
    /// The number in `user_id`.
    pub(crate) user: u64,
    /// 64 bits that belong to the user: device, address and the like follow from them.
    pub(crate) person: u64,
    /// 64 bits that belong to this record: page, referrer and the like follow from them.
    pub(crate) noise: u64,
    /// The order's amount in cents; 0 unless the event is `OrderPaid`.
    pub(crate) cents: u32,
    pub(crate) style: Style,
    pub(crate) defect: Option<Defect>,
}

/// What the answers need of a loaded record: 32 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) ts_ms: i64,
    pub(crate) user: u64,
    pub(crate) ip: u32,
    pub(crate) cents: u32,
    pub(crate) channel: u16,
    pub(crate) product: u8,
    pub(crate) event: Event,
}

/// A column of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Ts,
    Event,
    Product,
    Channel,
    UserId,
    DeviceId,
    SessionId,
    Ip,
    Os,
    AppVersion,
    Country,
    Page,
    Referrer,
    Props,
    OrderId,
    Amount,
    Currency,
}

impl Field {
    /// All of them in the log's usual order.
    pub(crate) const ALL: [Field; 17] = [
        Field::Ts,
        Field::Event,
        Field::Product,
        Field::Channel,
        Field::UserId,
        Field::DeviceId,
        Field::SessionId,
        Field::Ip,
        Field::Os,
        Field::AppVersion,
        Field::Country,
        Field::Page,
        Field::Referrer,
        Field::Props,
        Field::OrderId,
        Field::Amount,
        Field::Currency,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::Ts => "ts",
            Field::Event => "event",
            Field::Product => "product",
            Field::Channel => "channel",
            Field::UserId => "user_id",
            Field::DeviceId => "device_id",
            Field::SessionId => "session_id",
            Field::Ip => "ip",
            Field::Os => "os",
            Field::AppVersion => "app_version",
            Field::Country => "country",
            Field::Page => "page",
            Field::Referrer => "referrer",
            Field::Props => "props",
            Field::OrderId => "order_id",
            Field::Amount => "amount",
            Field::Currency => "currency",
        }
    }
}

impl Record {
    /// Whether the record is broken by leaving this field out.
    pub(crate) fn lacks(&self, field: Field) -> bool {
        match self.defect {
            Some(Defect::NoUser) => field == Field::UserId,
            Some(Defect::NoTime) => field == Field::Ts,
            _ => false,
        }
    }

    /// Whether the field is there and has no value.
    pub(crate) fn is_null(&self, field: Field) -> bool {
        matches!(field, Field::OrderId | Field::Amount | Field::Currency) && !self.is_order()
    }

    /// Whether an order's fields have values.
    pub(crate) fn is_order(&self) -> bool {
        self.event == Event::OrderPaid
    }
}
