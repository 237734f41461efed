//! `[[rollup]]`: what is aggregated by minute.

use super::columns::{ColumnDraft, Columns, check_name, type_name};
use super::conditions;
use super::events::{OWN_TABLES, TableDraft};
use super::sources::Names;
use crate::column::{ColumnType, Mask};
use crate::config::ProductsSpec;
use crate::config::context::{At, quote};
use crate::config::table::{Item, Section};
use crate::rollup::{Condition, RollupKind, RollupSpec};

const KEYS: &[&str] = &["kind", "name", "user", "amount", "buyer", "ip", "by", "where"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    NewUsers,
    Gmv,
    PvUv,
    RequestsByIp,
}

const KINDS: [(&str, Kind); 4] =
    [("new_users", Kind::NewUsers), ("gmv", Kind::Gmv), ("pv_uv", Kind::PvUv), ("requests_by_ip", Kind::RequestsByIp)];

impl Kind {
    /// The keys that name what is counted.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::NewUsers | Kind::PvUv => &["user"],
            Kind::Gmv => &["amount", "buyer"],
            Kind::RequestsByIp => &["ip"],
        }
    }
}

/// The rollups as far as they could be read.
pub(super) struct Rollups {
    drafts: Vec<Draft>,
}

struct Draft {
    name: Option<String>,
    kind: Option<RollupKind>,
    by: Vec<String>,
    filter: Vec<Condition>,
}

impl Rollups {
    pub(super) fn into_specs(self) -> Option<Vec<RollupSpec>> {
        let spec = |draft: Draft| {
            Some(RollupSpec { name: draft.name?, kind: draft.kind?, by: draft.by, filter: draft.filter })
        };
        self.drafts.into_iter().map(spec).collect()
    }
}

/// What a rollup refers to.
struct Reader<'s, 'a> {
    section: &'s Section<'a>,
    columns: &'s Columns,
    products: Option<&'s ProductsSpec>,
    table: &'s TableDraft,
}

pub(super) fn read(
    root: &Section<'_>,
    columns: &Columns,
    products: Option<&ProductsSpec>,
    table: &TableDraft,
) -> Rollups {
    let sections = root.item("rollup").map(|item| item.tables(KEYS)).unwrap_or_default();
    let mut names = Names::default();
    let draft = |section| Reader { section, columns, products, table }.read(&mut names);
    Rollups { drafts: sections.iter().map(draft).collect() }
}

impl Reader<'_, '_> {
    fn read(&self, names: &mut Names) -> Draft {
        let section = self.section;
        let kind = section.required("kind", "write kind = \"new_users\", \"gmv\", \"pv_uv\" or \"requests_by_ip\"");
        let kind = kind.and_then(|item| item.one_of(&KINDS));
        let name = self.name(kind.as_ref(), names);
        let kind = kind.and_then(|kind| self.kind(kind.value));
        let by = self.group(kind.as_ref());
        let filter = section.item("where").map(|item| conditions::read(section, item, self.columns));
        Draft { name, kind, by, filter: filter.unwrap_or_default() }
    }

    /// The name, which is the kind's unless one is given.
    fn name(&self, kind: Option<&At<Kind>>, names: &mut Names) -> Option<String> {
        let context = self.section.context;
        let name = match self.section.item("name") {
            Some(item) => item.string()?,
            None => {
                let kind = kind?;
                let (word, _) = KINDS.iter().find(|(_, other)| *other == kind.value)?;
                At { value: (*word).to_owned(), place: kind.place.clone() }
            }
        };
        check_name(context, &name);
        names.add(context, &name.value, &name.place, "rollup");
        let shown = quote(&name.value);
        if OWN_TABLES.contains(&name.value.as_str()) {
            let message = format!("{shown} is the name of a table of Longshore's own");
            context.error_help(&name.place, message, "choose another name");
        }
        let prefix = format!("{}_", name.value);
        if self.table.name.as_ref().is_some_and(|table| *table == name.value || table.starts_with(&prefix)) {
            let message = format!("a rollup's tables are named {shown} and {shown}_..., and so is the events table");
            context.error_help(&name.place, message, "choose another name for one of the two");
        }
        Some(name.value)
    }

    fn kind(&self, kind: Kind) -> Option<RollupKind> {
        for key in ["user", "amount", "buyer", "ip"] {
            if !kind.keys().contains(&key) {
                let help = format!("this kind takes {}, by and where", kind.keys().join(", "));
                self.section.refuse(&[key], "this kind of rollup does not have it", &help);
            }
        }
        match kind {
            Kind::NewUsers => Some(RollupKind::NewUsers { user: self.person("user")? }),
            Kind::PvUv => Some(RollupKind::PvUv { user: self.person("user")? }),
            Kind::Gmv => {
                let (amount, buyer) = (self.amount(), self.person("buyer"));
                Some(RollupKind::Gmv { amount: amount?, buyer: buyer? })
            }
            Kind::RequestsByIp => Some(RollupKind::RequestsByIp { ip: self.address()? }),
        }
    }

    /// The column that `key` names, which must be declared.
    fn column(&self, key: &str) -> Option<(At<String>, Option<&ColumnDraft>)> {
        let help = format!("write {key} = \"...\", a declared column");
        let name = self.section.required(key, &help)?.string()?;
        let column = self.columns.find(self.section.context, &name);
        Some((name, column))
    }

    /// A column that rows are told apart by has a value in each row, and not the same in all.
    fn check_distinct(&self, name: &At<String>, column: &ColumnDraft) {
        let context = self.section.context;
        if column.nullable {
            let message = format!("column {} is nullable, and a rollup does not tell nulls apart", quote(&name.value));
            let help = "make it `required`, or leave `nullable` out; records to leave alone are for `where`";
            context.error_help(&name.place, message, help);
        }
        if matches!(column.mask, Some(Mask::Redact)) {
            let message = format!("column {} is redacted, so its values cannot be told apart", quote(&name.value));
            context.error_help(&name.place, message, "mask it with `hash`, which keeps equal values equal");
        }
    }

    fn person(&self, key: &str) -> Option<String> {
        let (name, column) = self.column(key)?;
        if let Some(column) = column {
            self.check_distinct(&name, column);
        }
        if let Some(ty) = column.and_then(|column| column.ty.as_ref()).filter(|ty| !is_identity(ty)) {
            let message = format!("column {} is {}, which does not identify a user", quote(&name.value), type_name(ty));
            let help = "use a column of type string, low_cardinality, uuid, ipv4, ipv6 or an integer";
            self.section.context.error_help(&name.place, message, help);
        }
        Some(name.value)
    }

    /// Null amounts are no orders of nothing: sums leave them out, so the column may be nullable.
    fn amount(&self) -> Option<String> {
        let (name, column) = self.column("amount")?;
        let ty = column.and_then(|column| column.ty.as_ref());
        if let Some(ty) = ty.filter(|ty| !matches!(ty, ColumnType::Decimal { .. })) {
            let message = format!("column {} is {}, and an amount is a decimal", quote(&name.value), type_name(ty));
            let help = "money is never a float: declare the column as decimal(18,2), which adds up to the cent";
            self.section.context.error_help(&name.place, message, help);
        }
        if matches!(column, Some(ColumnDraft { mask: Some(_), .. })) {
            let message = format!("column {} is masked, so the sum would not be the amount's", quote(&name.value));
            self.section.context.error_help(&name.place, message, "take the column's mask away");
        }
        Some(name.value)
    }

    fn address(&self) -> Option<String> {
        use ColumnType::{Ipv4, Ipv6, LowCardinality, String};
        let (name, column) = self.column("ip")?;
        if let Some(column) = column {
            self.check_distinct(&name, column);
        }
        let ty = column.and_then(|column| column.ty.as_ref());
        if let Some(ty) = ty.filter(|ty| !matches!(ty, Ipv4 | Ipv6 | String | LowCardinality)) {
            let message = format!("column {} is {}, which is no address", quote(&name.value), type_name(ty));
            self.section.context.error_help(&name.place, message, "use a column of type ipv4, ipv6 or string");
        }
        Some(name.value)
    }

    /// The columns of `by`, without those that have something wrong with them.
    fn group(&self, kind: Option<&RollupKind>) -> Vec<String> {
        let mut group: Vec<String> = Vec::new();
        for name in self.section.item("by").map(Item::strings).unwrap_or_default() {
            if group.contains(&name.value) {
                let message = format!("{} is in `by` twice", quote(&name.value));
                self.section.context.error(&name.place, message);
            } else if self.may_group(&name, kind) {
                group.push(name.value);
            }
        }
        group
    }

    fn may_group(&self, name: &At<String>, kind: Option<&RollupKind>) -> bool {
        let context = self.section.context;
        let shown = quote(&name.value);
        if let Some((message, help)) = self.not_to_group(&name.value, kind) {
            context.error_help(&name.place, format!("{shown} {message}"), help);
            return false;
        }
        let Some(column) = self.columns.find(context, name) else { return false };
        self.check_distinct(name, column);
        if let Some(ty) = column.ty.as_ref().filter(|ty| !is_group(ty)) {
            let message = format!("column {shown} is {}, which a rollup cannot be by", type_name(ty));
            let help = "use a column of type string, low_cardinality, bool, date, uuid, ipv4, ipv6 or an integer";
            context.error_help(&name.place, message, help);
        }
        true
    }

    /// Why a column has no business in `by`, whatever its type, and what to do.
    fn not_to_group(&self, name: &str, kind: Option<&RollupKind>) -> Option<(&'static str, &'static str)> {
        if self.products.is_some_and(|products| products.column_name() == name) {
            return Some(("is the product, which every rollup is by", "leave it out"));
        }
        if self.table.time.as_deref() == Some(name) {
            return Some(("is the event time, and every rollup is by its minute", "leave it out"));
        }
        let added = match self.products {
            Some(ProductsSpec::Column { dictionary: Some(dictionary), .. }) => &dictionary.add[..],
            _ => &[],
        };
        if name.strip_prefix("product_").is_some_and(|key| added.iter().any(|other| other == key)) {
            let help = "leave it out: it follows from the product, which every rollup is by";
            return Some(("comes from the dictionary, and a rollup is by columns of the record", help));
        }
        let is_counted = match kind? {
            RollupKind::NewUsers { user } | RollupKind::PvUv { user } => user == name,
            RollupKind::Gmv { amount, buyer } => amount == name || buyer == name,
            RollupKind::RequestsByIp { ip } => ip == name,
        };
        if is_counted {
            return Some(("is what this rollup counts", "leave it out of `by`"));
        }
        let is_taken = ["product", "minute", "hour", "day"].contains(&name) || kind?.measures().contains(&name);
        is_taken.then_some(("is a name that the rollup's views use themselves", "give the column another name"))
    }
}

/// Types that tell one user from another.
fn is_identity(ty: &ColumnType) -> bool {
    use ColumnType::{I8, I16, I32, I64, Ipv4, Ipv6, LowCardinality, String, U8, U16, U32, U64, Uuid};
    matches!(ty, String | LowCardinality | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64 | Uuid | Ipv4 | Ipv6)
}

/// Types to group by.
fn is_group(ty: &ColumnType) -> bool {
    is_identity(ty) || matches!(ty, ColumnType::Bool | ColumnType::Date { .. })
}
