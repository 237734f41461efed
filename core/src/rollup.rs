//! Declared rollups: what is to be counted, by what, and how the answers are called.
//!
//! A rollup is declared once in the config; a sink decides how it is kept. All are by product and by minute of event time.
//!
//! [`aggregate`] makes of a batch what it adds to each rollup, and [`known`] remembers which users need not
//! be sent again.

pub mod aggregate;
pub mod known;
pub(crate) mod read;
pub mod sample;
pub(crate) mod sip;

/// A rollup as declared and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupSpec {
    /// Prefix of the tables' and views' names, such as `new_users`; an SQL identifier, unique among the rollups.
    pub name: String,
    /// What is counted.
    pub kind: RollupKind,
    /// Columns to group by after the product, such as `channel`. Each is a declared column.
    pub by: Vec<String>,
    /// Only rows that satisfy all conditions count; empty: all rows.
    pub filter: Vec<Condition>,
}

/// What a rollup counts. The strings are names of declared columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollupKind {
    /// Users by the minute of their first event, by event time, ties by the smaller `by` columns.
    NewUsers {
        /// Column that identifies a user within a product.
        user: String,
    },
    /// Orders, amount and distinct buyers.
    Gmv {
        /// Decimal column that is summed, exactly.
        amount: String,
        /// Column that identifies a buyer within a product.
        buyer: String,
    },
    /// Views and distinct visitors.
    PvUv {
        /// Column that identifies a visitor within a product.
        user: String,
    },
    /// Requests by address.
    RequestsByIp {
        /// IPv4, IPv6 or string column.
        ip: String,
    },
}

impl RollupKind {
    /// Name in the config, which is also the default prefix of the tables and views.
    pub const fn name(&self) -> &'static str {
        match self {
            RollupKind::NewUsers { .. } => "new_users",
            RollupKind::Gmv { .. } => "gmv",
            RollupKind::PvUv { .. } => "pv_uv",
            RollupKind::RequestsByIp { .. } => "requests_by_ip",
        }
    }

    /// What the answers call what they count. With `product`, `minute`, `hour` and `day` these are names that no `by`
    /// column can have.
    pub const fn measures(&self) -> &'static [&'static str] {
        match self {
            RollupKind::NewUsers { .. } => &["new_users", "cumulative"],
            RollupKind::Gmv { .. } => &["orders", "amount", "buyers"],
            RollupKind::PvUv { .. } => &["pv", "uv"],
            RollupKind::RequestsByIp { .. } => &["ip", "requests"],
        }
    }
}

/// Digits of a sum of amounts of up to [`NARROW_AMOUNT_DIGITS`]: it takes 10^20 of the largest to exceed them.
pub const NARROW_SUM_DIGITS: u8 = 38;
/// Digits of amounts whose sums are kept in 128 bits. Larger ones are summed in 256, where it takes 10^38 of them.
pub const NARROW_AMOUNT_DIGITS: u8 = 18;
/// Digits of a sum of larger amounts.
pub const WIDE_SUM_DIGITS: u8 = 76;

/// Digits of the column that holds sums of amounts of so many digits: more than any number of rows comes to, since neither
/// ClickHouse nor Arrow says that a sum has overflowed.
pub const fn sum_digits(amount_digits: u8) -> u8 {
    if amount_digits <= NARROW_AMOUNT_DIGITS { NARROW_SUM_DIGITS } else { WIDE_SUM_DIGITS }
}

/// `column` is one of `values`. Values are compared as text, as they stand in the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// A declared string, low-cardinality, bool or integer column.
    pub column: String,
    /// At least one.
    pub values: Vec<String>,
}
