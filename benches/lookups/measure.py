#!/usr/bin/env python3
"""What finding a slice costs in a ledger, in dead letters and in events of some size.

    measure.py URL [--rows N] [--keep]

URL is that of a ClickHouse's HTTP port, with user and password: http://user:password@127.0.0.1:8123. A database of its
own, `lookups_bench`, is filled with N rows of each table (default 100,000,000), with the columns, keys and codecs that
`longshore schema --print` prints, and dropped at the end. Prints for each look-up how many rows it read, of how many,
and the milliseconds, the best of five; first as earlier versions asked, then as this one does.

Slices are as a service makes them: 1,000 sources, whose slices follow one another; dead letters come in heaps of ten.
"""
import argparse
import json
import time
import urllib.parse
import urllib.request

DATABASE = "lookups_bench"
SOURCES = 1_000


class Server:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.url = f"{parts.scheme}://{parts.hostname}:{parts.port}/"
        self.login = {"user": parts.username or "default", "password": parts.password or ""}

    def ask(self, sql, **settings):
        query = urllib.parse.urlencode({**self.login, "wait_end_of_query": 1, **settings})
        request = urllib.request.Request(f"{self.url}?{query}", data=sql.encode())
        try:
            with urllib.request.urlopen(request, timeout=3600) as answer:
                return answer.read().decode(), json.loads(answer.headers["X-ClickHouse-Summary"])
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{sql}\n{error.read().decode()}")


# A slice's id by its number, and the other way of a source.
SLICE = "cityHash64({n})"
TABLES = {
    "ledger": (
        "slice UInt64, head UInt64, source String CODEC(ZSTD(1)), start UInt64, `end` UInt64, bytes UInt64, "
        "before UInt64, after UInt64, records UInt64, finished_at DateTime64(3, 'UTC')",
        "ORDER BY (head, start, slice)",
        f"SELECT {SLICE.format(n='number')}, cityHash64(number % {SOURCES}), concat('/log/', toString(number % {SOURCES})), "
        f"intDiv(number, {SOURCES}) * 1000000, (intDiv(number, {SOURCES}) + 1) * 1000000, 1000000, cityHash64(number, 1), "
        "5000, fromUnixTimestamp64Milli(toInt64(1700000000000 + number), 'UTC') FROM numbers({from_}, {rows})",
    ),
    "dead_letters": (
        "slice UInt64 CODEC(ZSTD(1)), row UInt32 CODEC(T64, ZSTD(1)), source LowCardinality(String), offset UInt64 "
        "CODEC(T64, LZ4), reason LowCardinality(String), record String CODEC(ZSTD(1))",
        "ORDER BY (reason, source, offset)",
        f"SELECT {SLICE.format(n='intDiv(number, 10)')}, number % 10, concat('/log/', toString(intDiv(number, 10) % {SOURCES})), "
        f"intDiv(number, {SOURCES}) * 1000 + number % 10, ['bad_json', 'type_mismatch', 'event_time'][1 + number % 3], 'x' "
        "FROM numbers({from_}, {rows})",
    ),
    # One day's partition: what is asked for is always a slice of some days.
    "events": (
        "ts DateTime64(3, 'UTC') CODEC(T64, LZ4), product LowCardinality(String), user String, "
        "_slice UInt64 CODEC(ZSTD(1)), _row UInt32 CODEC(T64, ZSTD(1))",
        "PARTITION BY toDate(ts) ORDER BY (product, ts)",
        "SELECT fromUnixTimestamp64Milli(toInt64(1699920000000 + intDiv(number * 80000000, {total})), 'UTC'), "
        f"['shop', 'game', 'news'][1 + number % 3], toString(number % 1000), {SLICE.format(n='intDiv(number, 5000)')}, "
        "number % 5000 FROM numbers({from_}, {rows})",
    ),
}
INDEXES = {"dead_letters": "slice", "events": "_slice", "ledger": "slice"}


def fill(server, table, rows):
    columns, key, select = TABLES[table]
    server.ask(f"CREATE TABLE {DATABASE}.{table} ({columns}) ENGINE = MergeTree {key}")
    step = 10_000_000
    for start in range(0, rows, step):
        part = select.format(from_=start, rows=min(step, rows - start), total=rows)
        server.ask(f"INSERT INTO {DATABASE}.{table} {part}", max_insert_threads=2)
    server.ask(f"OPTIMIZE TABLE {DATABASE}.{table} FINAL", max_execution_time=0)


def measure(server, name, sql, total):
    best, read = None, 0
    for _ in range(5):
        start = time.monotonic()
        _, summary = server.ask(sql, use_query_condition_cache=0)
        elapsed = (time.monotonic() - start) * 1000
        best = elapsed if best is None else min(best, elapsed)
        read = int(summary["read_rows"])
    print(f"{name:<62} {read:>12,} of {total:>12,} {best:>9.1f} ms", flush=True)


def lookups(rows):
    """Name, table, and the query as it was and as it is."""
    number = rows // 2 + 7
    slice_id = f"cityHash64({number})"
    source, start = f"cityHash64({number % SOURCES})", number // SOURCES * 1_000_000
    letters = f"cityHash64({rows // 20})"
    events = f"cityHash64({rows // 10_000})"
    day = "toInt32(toDate(ts)) IN (19675)"
    return [
        ("ledger: whether a slice is whole", "ledger", f"SELECT DISTINCT slice FROM {DATABASE}.ledger WHERE slice IN ({slice_id})",
         f"SELECT 1 FROM {DATABASE}.ledger WHERE head = {source} AND start = {start} AND slice = {slice_id} LIMIT 1"),
        ("ledger: slices of a source", "ledger", None,
         f"SELECT DISTINCT slice, head, bytes, before, after FROM {DATABASE}.ledger WHERE head IN ({source}) FORMAT Null"),
        ("ledger: slices by their ids alone", "ledger", None,
         f"SELECT DISTINCT slice FROM {DATABASE}.ledger WHERE slice IN ({slice_id})"),
        ("dead letters: of a slice", "dead_letters", f"SELECT count() FROM {DATABASE}.dead_letters WHERE slice = {letters}",
         f"SELECT count() FROM {DATABASE}.dead_letters WHERE slice = {letters} AND reason != 'event_time'"),
        ("dead letters: rows that decide", "dead_letters", None,
         f"SELECT row FROM {DATABASE}.dead_letters WHERE slice = {letters} AND reason = 'event_time'"),
        ("events: rows of a slice on its days", "events", None,
         f"SELECT toInt32(toDate(ts)) AS day, count() FROM {DATABASE}.events WHERE {day} AND _slice = {events} GROUP BY day"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--keep", action="store_true", help="leave the tables there")
    arguments = parser.parse_args()
    server, rows = Server(arguments.url), arguments.rows

    server.ask(f"CREATE DATABASE {DATABASE}")
    try:
        for table in TABLES:
            fill(server, table, rows)
        for name, _, before, now in lookups(rows):
            if before:
                measure(server, f"{name}, before", before, rows)
            measure(server, f"{name}, no index", now, rows)
        for table, column in INDEXES.items():
            server.ask(f"ALTER TABLE {DATABASE}.{table} ADD INDEX by_slice {column} TYPE bloom_filter GRANULARITY 1")
            server.ask(f"ALTER TABLE {DATABASE}.{table} MATERIALIZE INDEX by_slice", mutations_sync=2)
        for name, _, _, now in lookups(rows):
            measure(server, f"{name}, with an index", now, rows)
        sizes = f"SELECT table, formatReadableSize(sum(secondary_indices_compressed_bytes)), formatReadableSize(sum(bytes_on_disk)) " \
            f"FROM system.parts WHERE active AND database = '{DATABASE}' GROUP BY table FORMAT TSV"
        print("table, index, all\n" + server.ask(sizes)[0])
    finally:
        if not arguments.keep:
            server.ask(f"DROP DATABASE {DATABASE} SYNC")


if __name__ == "__main__":
    main()
