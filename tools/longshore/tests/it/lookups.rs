//! Looking a slice up does not read a whole table.

use longshore_core::dead_letter::Reason;
use longshore_core::slice::SliceId;
use longshore_sinks::clickhouse::Schema;

use crate::shop::Shop;

/// Granules of the table that a statement reads, of how many, as the last of its indexes leaves them.
fn granules(shop: &Shop, sql: &str) -> (u64, u64) {
    // ClickHouse says what an index of rows leaves only where it looks before it reads.
    let sql = format!("EXPLAIN indexes = 1 {sql} SETTINGS use_skip_indexes_on_data_read = 0");
    let lines = shop.database.lines(&sql);
    let parts = |line: &str| {
        let (_, granules) = line.trim().split_once("Granules: ")?;
        let (left, all) = granules.split_once('/')?;
        Some((left.parse().ok()?, all.parse().ok()?))
    };
    let found: Vec<(u64, u64)> = lines.iter().filter_map(|line| parts(line)).collect();
    let (Some(first), Some(last)) = (found.first(), found.last()) else { panic!("no index: {lines:#?}") };
    (last.0, first.1)
}

#[test]
fn a_slice_is_found_by_reading_a_small_part_of_ledger_and_dead_letters() {
    let shop = Shop::new("lookups");
    // 400,000 slices of 100 sources; five letters of every twentieth.
    shop.database.execute(
        "INSERT INTO {db}.ledger (slice, stream, head, source, start, `end`, bytes, before, records, loaded) \
         SELECT cityHash64(number), 'events', number % 100, 's', intDiv(number, 100) * 10, intDiv(number, 100) * 10 + 10, 10, 0, 1, 1 \
         FROM numbers(400000)",
    );
    shop.database.execute(
        "INSERT INTO {db}.dead_letters (slice, row, source, offset, length, reason) \
         SELECT cityHash64(intDiv(number, 5) * 20), number % 5, toString(number % 7), number, 1, \
         ['bad_json', 'rejected', 'event_time'][1 + number % 3] FROM numbers(100000)",
    );
    for table in ["ledger", "dead_letters"] {
        shop.database.execute(&format!("OPTIMIZE TABLE {{db}}.{table} FINAL"));
    }
    let id = shop.database.lines("SELECT cityHash64(200000)")[0].parse().map(SliceId).unwrap();
    let clickhouse = &shop.database.clickhouse;
    let mut meta = crate::database::loaded_slice(1, crate::shop::batch(1, &[]), Vec::new()).meta;
    (meta.id, meta.head, meta.start) = (id, 0, 20_000);
    let (read, all) = granules(&shop, &clickhouse.whole_statement(&meta));
    assert!(read <= 2 && all > 40, "{read} of {all} granules of the ledger");
    assert_eq!(clickhouse.rows(&clickhouse.whole_statement(&meta)).unwrap().len(), 1);
    let (read, all) = granules(&shop, &clickhouse.whole_slices_statement(&[id]));
    assert!(read * 4 <= all && all > 40, "{read} of {all} granules of the ledger, by the id alone");
    let (read, all) = granules(&shop, &clickhouse.dead_rows_statement(id, Reason::Rejected));
    assert!(read * 2 <= all && all > 10, "{read} of {all} granules of the dead letters");
}

#[test]
fn a_marker_is_found_by_the_primary_key_of_its_day() {
    let shop = Shop::new("lookups_markers");
    // Two days with 50,000 slices and 200,000 groups each.
    for (slice, product, minute, count) in
        [("cityHash64(number)", "''", "0", 50_000), ("0", "'shop'", "number % 1440", 200_000)]
    {
        shop.database.execute(&format!(
            "INSERT INTO {{db}}.requests_by_ip_minutes (product, minute, ip, _slice, requests) \
             SELECT {product}, toDateTime('2026-11-20 00:00:00', 'UTC') + 86400 * arrayJoin([0, 1]) + 60 * ({minute}), \
             toIPv4(if({slice} = 0, number, 0)), {slice}, 1 FROM numbers({count})"
        ));
    }
    shop.database.execute("OPTIMIZE TABLE {db}.requests_by_ip_minutes FINAL");
    let id = shop.database.lines("SELECT cityHash64(20000)")[0].parse().map(SliceId).unwrap();
    let clickhouse = &shop.database.clickhouse;
    // 2026-11-20, and a day that is not there.
    let statement = clickhouse.marked_statement("requests_by_ip_minutes", id, &[20_777, 20_800]);
    let (read, all) = granules(&shop, &statement);
    assert!(read <= 2 && all > 50, "{read} of {all} granules");
    assert_eq!(shop.database.lines(&statement), ["20777"]);
}

#[test]
fn tables_of_an_earlier_version_lack_an_index_and_loads_go_on_until_it_is_added() {
    let shop = Shop::new("lookups_old");
    let schema = Schema::from_config(&shop.config);
    shop.write(1, &[crate::shop::view("10:00:00.000", "web", "ann")]);
    for table in ["ledger", "dead_letters"] {
        shop.database.execute(&format!("ALTER TABLE {{db}}.{table} DROP INDEX by_slice"));
    }
    let clickhouse = &shop.database.clickhouse;
    let differences = schema.check(clickhouse).unwrap();
    let objects: Vec<&str> = differences.iter().map(|difference| difference.object.as_str()).collect();
    assert_eq!(objects, ["dead_letters.by_slice", "ledger.by_slice"]);
    assert!(differences.iter().all(|difference| difference.can_apply() && difference.is_only_slow()));
    let preflight = longshore_sinks::clickhouse::preflight(clickhouse, &shop.config).unwrap();
    assert_eq!(preflight.differences, []);
    assert_eq!(schema.apply(clickhouse).unwrap(), ["added index dead_letters.by_slice", "added index ledger.by_slice"]);
    assert_eq!(schema.check(clickhouse).unwrap(), []);
}
