//! The text of each column's value, without quotes or escapes, for all formats.

use crate::json;
use crate::record::{Defect, Field, Record};
use crate::rng::mix;
use crate::text;

/// How long a user's session id lasts.
const SESSION_MS: i64 = 30 * 60_000;

/// Appends the decoded value; nothing where it is null.
pub(crate) fn push_simple(out: &mut Vec<u8>, field: Field, record: &Record) {
    let person = record.person;
    match field {
        Field::Ts if record.defect == Some(Defect::WordForTime) => out.extend_from_slice(b"yesterday"),
        Field::Ts => text::push_number(out, record.ts_ms.unsigned_abs()),
        Field::Event => out.extend_from_slice(record.event.name().as_bytes()),
        Field::Product if record.defect == Some(Defect::UnknownProduct) => out.extend_from_slice(b"p99"),
        Field::Product => text::push_product(out, record.product),
        Field::Channel => text::push_channel(out, record.channel),
        Field::UserId => {
            out.push(b'u');
            text::push_padded(out, record.user, 11);
        }
        Field::DeviceId => {
            text::push_hex(out, mix(person, 2));
            text::push_hex(out, mix(person, 3));
        }
        Field::SessionId => {
            let session = mix(person, (record.ts_ms / SESSION_MS).unsigned_abs());
            text::push_uuid(out, session, mix(session, 5));
        }
        Field::Ip => text::push_ip(out, text::ip(person)),
        Field::Os => out.extend_from_slice(text::os(person).as_bytes()),
        Field::AppVersion => text::push_app_version(out, person),
        Field::Country => out.extend_from_slice(text::country(person).as_bytes()),
        Field::Page => push_page(out, record),
        Field::Referrer => text::push_referrer(out, record),
        Field::Props => json::push_props(out, record),
        Field::Amount if record.defect == Some(Defect::BadAmount) => out.extend_from_slice(b"12.3x"),
        Field::OrderId | Field::Amount | Field::Currency if !record.is_order() => {}
        Field::OrderId => {
            out.extend_from_slice(b"ord-");
            text::push_padded(out, record.index, 12);
        }
        Field::Amount => text::push_cents(out, u64::from(record.cents)),
        Field::Currency => out.extend_from_slice(text::currency(record.product).as_bytes()),
    }
}

fn push_page(out: &mut Vec<u8>, record: &Record) {
    if record.defect == Some(Defect::InvalidUtf8) {
        out.extend_from_slice(b"/item/");
        out.extend_from_slice(json::NOT_UTF8[(record.noise >> 40) as usize % json::NOT_UTF8.len()]);
    }
    text::push_page(out, record);
}

/// One order in eight writes its amount as a string in JSON.
pub(crate) fn quotes_amount(record: &Record) -> bool {
    record.noise >> 58 & 7 == 0
}
