//! Configs that the ways through a decoder are compared under, in sections: every type, and what judges rows.

/// A config of these sections, with the event time and a table around them.
pub(crate) fn whole(sections: &str) -> String {
    format!("version = 1\n[table]\ntime = \"ts\"\n{sections}")
}

/// Products of [`CHANNELS`] and [`NESTED`].
pub(crate) const DICTIONARY: &str = "id,name\np1,One\np2,Two\nproduct-with-a-long-name,Three\n";

/// What a log of channels has: a dictionary, a filter, two columns of one field, columns in an object and of it.
pub(crate) const CHANNELS: &str = r#"
[products]
column = "p"
dictionary = "products.csv"
unknown = "dead_letter"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "p"
type = "low_cardinality"
[[column]]
name = "name"
type = "string"
[[column]]
name = "same_name"
type = "low_cardinality"
path = "name"
[[column]]
name = "amount"
type = "decimal(9,2)"
nullable = true
[[column]]
name = "n"
type = "i16"
default = "7"
[[column]]
name = "is_new"
type = "bool"
nullable = true
[[column]]
name = "ratio"
type = "f64"
[[column]]
name = "id"
type = "uuid"
[[column]]
name = "ip"
type = "ipv4"
[[column]]
name = "props"
type = "json"
[[column]]
name = "net"
type = "string"
path = "props.net"
nullable = true
[[column]]
name = "second"
type = "string"
path = "tags[1]"
[[column]]
name = "tags"
type = "list(string)"
[[column]]
name = "sizes"
type = "list(u32)"
[[filter]]
drop = { name = ["drop", "é"] }
"#;

/// Every type, nullable or with a default or with neither, masks, a filter that keeps, one product.
pub(crate) const TYPES: &str = r#"
[products]
fixed = "site"
[[column]]
name = "ts"
type = "timestamp"
format = "epoch_s"
precision = "us"
required = true
[[column]]
name = "i8"
type = "i8"
[[column]]
name = "i16"
type = "i16"
nullable = true
[[column]]
name = "i32"
type = "i32"
default = "-5"
[[column]]
name = "i64"
type = "i64"
[[column]]
name = "u8"
type = "u8"
nullable = true
default = "8"
[[column]]
name = "u16"
type = "u16"
[[column]]
name = "u32"
type = "u32"
nullable = true
[[column]]
name = "u64"
type = "u64"
[[column]]
name = "f32"
type = "f32"
nullable = true
[[column]]
name = "f64"
type = "f64"
[[column]]
name = "d5"
type = "decimal(5,0)"
[[column]]
name = "d18"
type = "decimal(18,2)"
nullable = true
[[column]]
name = "d38"
type = "decimal(38,10)"
[[column]]
name = "flag"
type = "bool"
[[column]]
name = "ms"
type = "timestamp"
format = "epoch_ms"
precision = "s"
nullable = true
[[column]]
name = "ns"
type = "timestamp"
format = "epoch_ns"
precision = "ns"
[[column]]
name = "when"
type = "timestamp"
format = "rfc3339"
precision = "ms"
nullable = true
[[column]]
name = "day"
type = "date"
[[column]]
name = "v4"
type = "ipv4"
nullable = true
[[column]]
name = "v6"
type = "ipv6"
[[column]]
name = "id"
type = "uuid"
nullable = true
[[column]]
name = "low"
type = "low_cardinality"
default = "none"
[[column]]
name = "text"
type = "string"
nullable = true
[[column]]
name = "raw"
type = "json"
default = "{}"
[[column]]
name = "short"
path = "text"
type = "string"
mask = { truncate = 3 }
[[column]]
name = "hidden"
path = "d18"
type = "decimal(18,2)"
mask = "redact"
[[column]]
name = "net"
path = "v4"
type = "ipv4"
mask = { ip_prefix = 20 }
[[filter]]
keep = { u16 = [0, 1, 2, 65535] }
"#;

/// Paths that go deep, through each other and through arrays; unknown products are another one.
pub(crate) const NESTED: &str = r#"
[products]
column = "p"
dictionary = "products.csv"
unknown = "default"
default = "p2"
add = ["name"]
[[column]]
name = "ts"
type = "timestamp"
path = "a.b.ts"
required = true
[[column]]
name = "p"
type = "string"
path = "a.p"
[[column]]
name = "b"
type = "json"
path = "a.b"
nullable = true
[[column]]
name = "deep"
type = "string"
path = "a.b.c.d.e.f"
nullable = true
[[column]]
name = "first"
type = "json"
path = "items[0]"
nullable = true
[[column]]
name = "sku"
type = "low_cardinality"
path = "items[0].sku"
[[column]]
name = "third"
type = "string"
path = "items[2].tags[1]"
nullable = true
[[column]]
name = "words"
type = "list(low_cardinality)"
path = "a.words"
[[column]]
name = "flags"
type = "list(bool)"
[[column]]
name = "prices"
type = "list(decimal(9,2))"
[[column]]
name = "ids"
type = "list(uuid)"
[[column]]
name = "days"
type = "list(date)"
[[column]]
name = "nets"
type = "list(ipv6)"
required = true
"#;

/// Two columns of records that may have anything else.
pub(crate) const FEW: &str = r#"
[products]
fixed = "site"
[[column]]
name = "ts"
type = "timestamp"
required = true
[[column]]
name = "x"
type = "json"
nullable = true
"#;
