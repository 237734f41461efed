//! The expected answers, computed from the generator's own truth: the rows are sorted for each answer and
//! counted in one pass. Money is whole cents. No part of this reads the log back or shares code with the engine.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use rayon::slice::ParallelSliceMut;

use crate::error::{Result, on_file};
use crate::record::{Event, Row};

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 60 * MINUTE_S;
const DAY_S: i64 = 24 * HOUR_S;

/// New users by product, channel and start of the period (seconds since 1970).
type NewUsers = BTreeMap<(u8, u16, i64), u64>;

/// Writes all answers into the folder. Leaves `rows` in another order.
pub(crate) fn write(folder: &Path, rows: &mut [Row]) -> Result<()> {
    let new_users = |rows: &mut [Row]| -> io::Result<()> {
        let firsts = first_sightings(rows);
        write_new_users(folder, "minute", &new_users_by(&firsts, MINUTE_S))?;
        write_new_users(folder, "hour", &new_users_by(&firsts, HOUR_S))?;
        write_new_users(folder, "day", &new_users_by(&firsts, DAY_S))?;
        write_cumulative(folder, &new_users_by(&firsts, MINUTE_S))
    };
    new_users(rows)
        .and_then(|()| {
            rows.par_sort_unstable_by_key(|row| (row.product, row.channel, minute(row), row.user));
            write_gmv(folder, rows)
        })
        .and_then(|()| write_pv_uv(folder, rows))
        .and_then(|()| write_requests_by_ip(folder, rows))
        .map_err(on_file("cannot write the expected answers into", folder))
}

/// The start of the row's minute, seconds since 1970.
fn minute(row: &Row) -> i64 {
    row.ts_ms.div_euclid(1000 * MINUTE_S) * MINUTE_S
}

/// Each user's first row: by event time, then by the smaller channel. Channel numbers are padded to equal
/// length in the log, so they compare like their text.
fn first_sightings(rows: &mut [Row]) -> Vec<Row> {
    rows.par_sort_unstable_by_key(|row| (row.product, row.user, row.ts_ms, row.channel));
    rows.chunk_by(|a, b| (a.product, a.user) == (b.product, b.user)).map(|user| user[0]).collect()
}

fn new_users_by(firsts: &[Row], period_s: i64) -> NewUsers {
    let mut new_users = NewUsers::new();
    for row in firsts {
        let start = row.ts_ms.div_euclid(1000 * period_s) * period_s;
        *new_users.entry((row.product, row.channel, start)).or_default() += 1;
    }
    new_users
}

fn write_new_users(folder: &Path, period: &str, new_users: &NewUsers) -> io::Result<()> {
    let mut table =
        Table::create(folder, &format!("new_users_by_{period}"), &["product", "channel", period, "new_users"])?;
    for ((product, channel, start), count) in new_users {
        table.row(format_args!("{}\t{}\t{}\t{count}", Product(*product), Channel(*channel), Utc(*start)))?;
    }
    table.finish()
}

fn write_cumulative(folder: &Path, by_minute: &NewUsers) -> io::Result<()> {
    let columns = ["product", "channel", "minute", "new_users", "cumulative"];
    let mut table = Table::create(folder, "new_users_cumulative", &columns)?;
    let mut of = None;
    let mut cumulative = 0;
    for ((product, channel, start), count) in by_minute {
        if of != Some((product, channel)) {
            of = Some((product, channel));
            cumulative = 0;
        }
        cumulative += count;
        table.row(format_args!(
            "{}\t{}\t{}\t{count}\t{cumulative}",
            Product(*product),
            Channel(*channel),
            Utc(*start)
        ))?;
    }
    table.finish()
}

/// `rows` sorted by product, channel, minute, user: how many of them, and of how many users, in each minute.
fn minutes<'r>(rows: &'r [&'r Row]) -> impl Iterator<Item = (&'r [&'r Row], usize)> {
    let key = |row: &Row| (row.product, row.channel, minute(row));
    rows.chunk_by(move |a, b| key(a) == key(b)).map(|rows| (rows, rows.chunk_by(|a, b| a.user == b.user).count()))
}

fn write_gmv(folder: &Path, rows: &[Row]) -> io::Result<()> {
    let columns = ["product", "channel", "minute", "orders", "amount", "buyers"];
    let mut table = Table::create(folder, "gmv_by_minute", &columns)?;
    let orders: Vec<&Row> = rows.iter().filter(|row| row.event == Event::OrderPaid).collect();
    for (orders, buyers) in minutes(&orders) {
        let cents: u64 = orders.iter().map(|row| u64::from(row.cents)).sum();
        table.row(format_args!(
            "{}\t{}\t{}.{:02}\t{buyers}",
            Key(orders[0]),
            orders.len(),
            cents / 100,
            cents % 100
        ))?;
    }
    table.finish()
}

fn write_pv_uv(folder: &Path, rows: &[Row]) -> io::Result<()> {
    let mut table = Table::create(folder, "pv_uv_by_minute", &["product", "channel", "minute", "pv", "uv"])?;
    let views: Vec<&Row> = rows.iter().filter(|row| row.event == Event::PageView).collect();
    for (views, visitors) in minutes(&views) {
        table.row(format_args!("{}\t{}\t{visitors}", Key(views[0]), views.len()))?;
    }
    table.finish()
}

fn write_requests_by_ip(folder: &Path, rows: &mut [Row]) -> io::Result<()> {
    let mut table = Table::create(folder, "requests_by_ip_by_minute", &["product", "minute", "ip", "requests"])?;
    rows.par_sort_unstable_by_key(|row| (row.product, minute(row), row.ip));
    for of_minute in rows.chunk_by(|a, b| (a.product, minute(a)) == (b.product, minute(b))) {
        let by_ip = of_minute.chunk_by(|a, b| a.ip == b.ip);
        let mut requests: Vec<(String, usize)> =
            by_ip.map(|rows| (Ipv4Addr::from_bits(rows[0].ip).to_string(), rows.len())).collect();
        // The table is in the order of its text.
        requests.sort_unstable();
        for (ip, requests) in requests {
            let row = &of_minute[0];
            table.row(format_args!("{}\t{}\t{ip}\t{requests}", Product(row.product), Utc(minute(row))))?;
        }
    }
    table.finish()
}

/// A TSV file with a header line.
struct Table {
    file: BufWriter<File>,
}

impl Table {
    fn create(folder: &Path, name: &str, columns: &[&str]) -> io::Result<Table> {
        let mut file = BufWriter::with_capacity(1 << 18, File::create(folder.join(format!("{name}.tsv")))?);
        writeln!(file, "{}", columns.join("\t"))?;
        Ok(Table { file })
    }

    fn row(&mut self, row: fmt::Arguments<'_>) -> io::Result<()> {
        self.file.write_fmt(row)?;
        self.file.write_all(b"\n")
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Product(u8);
struct Channel(u16);
/// Seconds since 1970.
struct Utc(i64);
/// Product, channel and minute of a row.
struct Key<'r>(&'r Row);

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:02}", self.0 + 1)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ch-{:03}", self.0)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        let time = jiff::tz::Offset::UTC.to_datetime(time);
        write!(f, "{:04}-{:02}-{:02} ", time.year(), time.month(), time.day())?;
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}", Product(self.0.product), Channel(self.0.channel), Utc(minute(self.0)))
    }
}

/// JSON of name-to-number pairs; the names need no escaping.
pub(crate) fn json_object<'n>(pairs: impl Iterator<Item = (&'n str, u64)>) -> String {
    let mut json = String::from("{");
    for (at, (name, number)) in pairs.enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(json, "{comma}\"{name}\":{number}");
    }
    json.push('}');
    json
}
