//! What a declared rollup becomes: a target table, views that answer, and the SELECT that fills it from events.
//!
//! Targets hold aggregation states that merge in any order, so a
//! late record only adds a state; the views finish the aggregation when they are read, so they are exact at any time,
//! whatever was merged already. See `docs/tables.md` for what was measured.
//!
//! Columns of the source are always written with the table's alias (`e.`, `r.`): an alias of the SELECT list, such as
//! `minute`, may then be the name of a column too.

use longshore_core::column::ColumnType;
use longshore_core::column::layout::SLICE_COLUMN;
use longshore_core::rollup::{NARROW_SUM_DIGITS, RollupKind, RollupSpec, sum_digits};

use xxhash_rust::xxh3::xxh3_64;

use super::ddl::{Events, Table, TableColumn, settings};
use super::sql::{condition, quote_name, quote_table, quote_text};
use super::types::{SLICE_CODEC, TEXT_CODEC, clickhouse_type, plain};

/// Seconds without an insert after which the server merges a rollup into one part a partition. Merged, a read needs
/// no further merging and is several times faster.
const MERGE_WHEN_IDLE_SECONDS: u64 = 20;

/// A rollup's objects, in the order in which they are created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// Prefix of all names.
    pub name: String,
    /// Where the states are.
    pub target: Table,
    /// What fills the target from the events.
    pub select: Select,
    /// What analysts read.
    pub views: Vec<View>,
}

impl Rollup {
    /// Whether it sums, so that a slice must be counted once; else it takes a minimum.
    pub(super) fn adds(&self) -> bool {
        self.target.order_by.iter().any(|column| column == SLICE_COLUMN)
    }

    /// What its table says in its comment: what is counted there. A table that says something else counts something else.
    pub(super) fn mark(&self) -> String {
        format!("longshore: counts {:016x}", self.definition())
    }

    /// What ledger rows call it, where its table has this id.
    pub(super) fn id(&self, table: &str) -> u64 {
        xxh3_64(format!("{:016x} {table}", self.definition()).as_bytes())
    }

    /// A hash of what it counts of which events: its name and its query.
    fn definition(&self) -> u64 {
        xxh3_64(format!("{}\n{}", self.target.name, self.select.sql(None)).as_bytes())
    }
}

/// A view for analysts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name in the database.
    pub name: String,
    /// Its query.
    pub select: String,
}

/// A SELECT over the events table in parts, because a backfill runs it day by day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    columns: Vec<(String, &'static str)>,
    by: Vec<(String, String)>,
    from: String,
    filter: Vec<String>,
}

impl Select {
    /// Names of the columns that the query makes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by.iter().map(|(_, name)| name.as_str()).chain(self.columns.iter().map(|(_, name)| *name))
    }

    /// The query, with one more condition if given.
    pub fn sql(&self, extra: Option<&str>) -> String {
        let by = self.by.iter().map(|(expression, name)| format!("{expression} AS {}", quote_name(name)));
        let columns = self.columns.iter().map(|(expression, name)| format!("{expression} AS {}", quote_name(name)));
        let list: Vec<String> = by.chain(columns).collect();
        let filter: Vec<&str> = self.filter.iter().map(String::as_str).chain(extra).collect();
        let filter = if filter.is_empty() { String::new() } else { format!("\nWHERE {}", filter.join(" AND ")) };
        let by: Vec<&str> = self.by.iter().map(|(expression, _)| expression.as_str()).collect();
        format!("SELECT {}\nFROM {} AS e{filter}\nGROUP BY {}", list.join(", "), self.from, by.join(", "))
    }
}

/// A grain of time of the views.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grain {
    Minute,
    Hour,
    Day,
}

impl Grain {
    pub(super) const ALL: [Grain; 3] = [Grain::Minute, Grain::Hour, Grain::Day];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Grain::Minute => "minute",
            Grain::Hour => "hour",
            Grain::Day => "day",
        }
    }

    fn of(self, time: &str) -> String {
        match self {
            Grain::Minute => format!("toStartOfMinute({time})"),
            Grain::Hour => format!("toStartOfHour({time})"),
            Grain::Day => format!("toDate({time})"),
        }
    }
}

/// Name of the table that a declared rollup's aggregates are in.
pub(super) fn target_name(spec: &RollupSpec) -> String {
    let suffix = match spec.kind {
        RollupKind::NewUsers { .. } => "first_seen",
        RollupKind::Gmv { .. } | RollupKind::PvUv { .. } | RollupKind::RequestsByIp { .. } => "minutes",
    };
    format!("{}_{suffix}", spec.name)
}

/// The objects of a declared rollup.
pub(super) fn rollup(spec: &RollupSpec, events: &Events<'_>) -> Rollup {
    let builder = Builder { spec, events };
    match &spec.kind {
        RollupKind::NewUsers { user } => builder.new_users(user),
        RollupKind::Gmv { amount, buyer } => builder.gmv(amount, buyer),
        RollupKind::PvUv { user } => builder.pv_uv(user),
        RollupKind::RequestsByIp { ip } => builder.requests_by_ip(ip),
    }
}

struct Builder<'a> {
    spec: &'a RollupSpec,
    events: &'a Events<'a>,
}

impl Builder<'_> {
    fn new_users(&self, user: &str) -> Rollup {
        let target = target_name(self.spec);
        let first_type = self.first_type();
        let by: Vec<String> = self.spec.by.iter().map(|name| format!(", {}", source(name))).collect();
        // In ClickHouse parentheses around a lone value are no tuple.
        let tuple = if by.is_empty() { "tuple" } else { "" };
        let time = source(self.events.time);
        let first = format!("min(CAST({tuple}({time}{}), {}))", by.concat(), quote_text(&first_type));
        let columns = vec![
            self.product_column(),
            TableColumn::new("user", self.type_of(user)).with_codec(TEXT_CODEC),
            TableColumn::new("first", format!("SimpleAggregateFunction(min, {first_type})")).with_codec(TEXT_CODEC),
        ];
        let select = self.select(
            vec![(self.product(), "product".to_owned()), (source(user), "user".to_owned())],
            vec![(first, "first")],
            None,
        );
        let rollup_target = Table {
            name: target.clone(),
            columns,
            engine: "AggregatingMergeTree",
            partition_by: None,
            order_by: vec!["product".to_owned(), "user".to_owned()],
            expires: None,
            index: None,
            constraint: None,
            settings: self.target_settings(),
        };
        let mut views: Vec<View> = Grain::ALL.iter().map(|&grain| self.new_users_view(&target, grain)).collect();
        views.push(self.cumulative_view());
        Rollup { name: self.spec.name.clone(), target: rollup_target, select, views }
    }

    /// The type of a user's first sighting: a tuple whose order is the tie rule, time first, then the `by` columns.
    fn first_type(&self) -> String {
        let by: Vec<String> = self
            .spec
            .by
            .iter()
            .map(|name| {
                let column = self.events.column(name);
                format!(", {} {}", quote_name(name), clickhouse_type(plain(&column.ty), false))
            })
            .collect();
        format!("Tuple(_time {}{})", self.type_of(self.events.time), by.concat())
    }

    /// FINAL finishes the minimum of users whose rows are not merged yet.
    ///
    /// It would not on `r.first.channel`: a subcolumn is read alone, is no aggregate, and FINAL takes the first row's.
    /// `materialize` has the tuple read whole.
    fn new_users_view(&self, target: &str, grain: Grain) -> View {
        let part = |name: &str| format!("tupleElement(materialize(r.`first`), {})", quote_text(name));
        let time = grain.of(&part("_time"));
        let mut by = vec![(qualified("product"), "product")];
        by.extend(self.spec.by.iter().map(|name| (part(name), name.as_str())));
        by.push((time, grain.name()));
        let list: Vec<String> = by.iter().map(|(sql, name)| format!("{sql} AS {}", quote_name(name))).collect();
        let keys: Vec<&str> = by.iter().map(|(sql, _)| sql.as_str()).collect();
        View {
            name: format!("{}_by_{}", self.spec.name, grain.name()),
            select: format!(
                "SELECT {}, count() AS `new_users`\nFROM {} AS r FINAL\nGROUP BY {}",
                list.join(", "),
                quote_table(self.events.database, target),
                keys.join(", ")
            ),
        }
    }

    fn cumulative_view(&self) -> View {
        let by: Vec<String> =
            std::iter::once("product").chain(self.spec.by.iter().map(String::as_str)).map(qualified).collect();
        let list: Vec<String> = std::iter::once("product")
            .chain(self.spec.by.iter().map(String::as_str))
            .chain(["minute", "new_users"])
            .map(|name| format!("{} AS {}", qualified(name), quote_name(name)))
            .collect();
        View {
            name: format!("{}_cumulative", self.spec.name),
            select: format!(
                "SELECT {}, sum(r.`new_users`) OVER (PARTITION BY {} ORDER BY r.`minute` ASC ROWS BETWEEN UNBOUNDED \
                 PRECEDING AND CURRENT ROW) AS `cumulative`\nFROM {} AS r",
                list.join(", "),
                by.join(", "),
                quote_table(self.events.database, &format!("{}_by_minute", self.spec.name))
            ),
        }
    }

    fn gmv(&self, amount: &str, buyer: &str) -> Rollup {
        let (precision, scale) = match self.events.column(amount).ty {
            ColumnType::Decimal { precision, scale } => (precision, scale),
            ref other => panic!("the config was checked, yet amount `{amount}` is {other:?}"),
        };
        let digits = sum_digits(precision);
        // ClickHouse sums in 128 bits unless a value has more.
        let value = match digits {
            NARROW_SUM_DIGITS => self.amount(amount),
            _ => format!("toDecimal256({}, {scale})", self.amount(amount)),
        };
        let measures = vec![
            Measure::sum("orders", "count()".to_owned(), "UInt64".to_owned()),
            Measure::sum("amount", format!("sum({value})"), format!("Decimal({digits}, {scale})")),
            self.distinct("buyers", buyer),
        ];
        self.by_minute(measures, None, Some(amount))
    }

    /// The amount in the rows that have one.
    fn amount(&self, column: &str) -> String {
        let value = source(column);
        if self.events.column(column).nullable { format!("assumeNotNull({value})") } else { value }
    }

    fn pv_uv(&self, user: &str) -> Rollup {
        let measures = vec![Measure::sum("pv", "count()".to_owned(), "UInt64".to_owned()), self.distinct("uv", user)];
        self.by_minute(measures, None, None)
    }

    fn requests_by_ip(&self, ip: &str) -> Rollup {
        let measures = vec![Measure::sum("requests", "count()".to_owned(), "UInt64".to_owned())];
        self.by_minute(measures, Some(ip), None)
    }

    /// A rollup by product, `by` columns, minute and perhaps address. Rows in which `needed` is null do not count.
    fn by_minute(&self, measures: Vec<Measure>, ip: Option<&str>, needed: Option<&str>) -> Rollup {
        let target = target_name(self.spec);
        let minute = Grain::Minute.of(&source(self.events.time));
        let mut by = vec![(self.product(), "product".to_owned())];
        by.extend(self.spec.by.iter().map(|name| (source(name), name.clone())));
        by.push((minute, "minute".to_owned()));
        let mut columns = vec![self.product_column()];
        columns.extend(self.spec.by.iter().map(|name| {
            let column = self.events.column(name);
            TableColumn::new(name, clickhouse_type(&column.ty, false)).with_codec(TEXT_CODEC)
        }));
        columns.push(TableColumn::new("minute", "DateTime('UTC')").with_codec("T64, LZ4"));
        if let Some(ip) = ip {
            by.push((source(ip), "ip".to_owned()));
            columns.push(TableColumn::new("ip", self.type_of(ip)).with_codec(TEXT_CODEC));
        }
        columns.push(TableColumn::new(SLICE_COLUMN, "UInt64").with_codec(SLICE_CODEC));
        let order_by: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        columns.extend(
            measures
                .iter()
                .map(|measure| TableColumn::new(measure.name, measure.state_type.as_str()).with_codec(TEXT_CODEC)),
        );
        let table = Table {
            name: target.clone(),
            columns,
            engine: "AggregatingMergeTree",
            partition_by: Some("toDate(`minute`)".to_owned()),
            order_by,
            expires: None,
            index: None,
            constraint: None,
            settings: self.target_settings(),
        };
        let states = measures.iter().map(|measure| (measure.state.clone(), measure.name)).collect();
        let select = self.select(by, states, needed);
        let views = Grain::ALL.iter().map(|&grain| self.by_view(&target, grain, &measures, ip.is_some())).collect();
        Rollup { name: self.spec.name.clone(), target: table, select, views }
    }

    fn by_view(&self, target: &str, grain: Grain, measures: &[Measure], ip: bool) -> View {
        let time = match grain {
            Grain::Minute => qualified("minute"),
            coarser => coarser.of(&qualified("minute")),
        };
        let mut by = vec![(qualified("product"), "product")];
        by.extend(self.spec.by.iter().map(|name| (qualified(name), name.as_str())));
        by.push((time, grain.name()));
        if ip {
            by.push((qualified("ip"), "ip"));
        }
        let keys: Vec<&str> = by.iter().map(|(sql, _)| sql.as_str()).collect();
        let keys = keys.join(", ");
        let list: Vec<String> = by
            .iter()
            .map(|(sql, name)| format!("{sql} AS {}", quote_name(name)))
            .chain(measures.iter().map(|measure| {
                format!("{}({}) AS {}", measure.finish, qualified(measure.name), quote_name(measure.name))
            }))
            .collect();
        View {
            name: format!("{}_by_{}", self.spec.name, grain.name()),
            select: format!(
                "SELECT {}\nFROM {} AS r\nWHERE {} = 0\nGROUP BY {keys}",
                list.join(", "),
                quote_table(self.events.database, target),
                qualified(SLICE_COLUMN)
            ),
        }
    }

    /// Distinct values of a column, exactly.
    fn distinct(&self, name: &'static str, column: &str) -> Measure {
        let ty = &self.events.column(column).ty;
        let plain_ty = clickhouse_type(plain(ty), false);
        let value = match ty {
            ColumnType::LowCardinality => format!("CAST({}, {})", source(column), quote_text(&plain_ty)),
            _ => source(column),
        };
        Measure {
            name,
            state: format!("uniqExactState({value})"),
            state_type: format!("AggregateFunction(uniqExact, {plain_ty})"),
            finish: "uniqExactMerge",
        }
    }

    fn select(&self, by: Vec<(String, String)>, columns: Vec<(String, &'static str)>, needed: Option<&str>) -> Select {
        let mut filter: Vec<String> = needed
            .iter()
            .filter(|name| self.events.column(name).nullable)
            .map(|name| format!("{} IS NOT NULL", source(name)))
            .collect();
        filter.extend(self.spec.filter.iter().map(|declared| condition(declared, self.events)));
        Select { columns, by, from: quote_table(self.events.database, self.events.name), filter }
    }

    fn product(&self) -> String {
        source(self.events.product)
    }

    fn product_column(&self) -> TableColumn {
        let column = self.events.column(self.events.product);
        TableColumn::new("product", clickhouse_type(&column.ty, false)).with_codec(TEXT_CODEC)
    }

    /// The type of a column that is never null.
    fn type_of(&self, column: &str) -> String {
        clickhouse_type(&self.events.column(column).ty, false)
    }

    fn target_settings(&self) -> Vec<(&'static str, u64)> {
        let mut settings = settings();
        settings.push(("min_age_to_force_merge_seconds", MERGE_WHEN_IDLE_SECONDS));
        settings.push(("min_age_to_force_merge_on_partition_only", 1));
        settings
    }
}

/// A column of the events table behind the alias `e`.
pub(super) fn source(name: &str) -> String {
    format!("e.{}", quote_name(name))
}

/// A column of a target behind the alias `r`.
pub(super) fn qualified(name: &str) -> String {
    format!("r.{}", quote_name(name))
}

/// What is aggregated, from state to answer.
struct Measure {
    name: &'static str,
    state: String,
    state_type: String,
    finish: &'static str,
}

impl Measure {
    fn sum(name: &'static str, state: String, ty: String) -> Self {
        Measure { name, state, state_type: format!("SimpleAggregateFunction(sum, {ty})"), finish: "sum" }
    }
}
