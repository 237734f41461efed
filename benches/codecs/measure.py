#!/usr/bin/env python3
"""Measures column codecs on channel-log rows, on a ClickHouse server: size on disk, seconds to write, seconds to read.

    measure.py http://127.0.0.1:8123 [--user U] [--password P] [--rows 2000000]

It makes the rows in the server (database `longshore_codecs`, dropped at the end), in slices of 40,000 as the engine
inserts them: slices follow event time with a jitter of some seconds, ids are random. Each candidate is a table of one
column whose rows stand in the order of the events table, (product, event, ts). Times are the best of three: compare
them within one run only.
"""
import argparse
import json
import urllib.error
import urllib.request

DATABASE = "longshore_codecs"

ROWS = """
SELECT
    'app-' || toString(least(toUInt8(floor(-log2((rand(1) + 1) / 4294967297))), 7)) AS product,
    ['view', 'view', 'view', 'view', 'click', 'click', 'open', 'register', 'pay', 'share'][rand(2) % 10 + 1] AS event,
    fromUnixTimestamp64Milli(1795132800000 + intDiv(toInt64(number) * 86400000, {rows}) + rand(3) % 3000, 'UTC') AS ts,
    'u' || leftPad(toString(toUInt32(exp(rand(4) / 4294967296. * log(300000)))), 9, '0') AS user,
    lower(hex(sipHash64(user))) || lower(hex(sipHash64(user, 'd'))) AS device,
    'channel-' || toString(toUInt8(exp(rand(5) / 4294967296. * log(40)))) AS channel,
    ['1.0.2', '1.1.0', '2.0.0', '2.0.1'][rand(6) % 4 + 1] AS app_version,
    '/' || ['home', 'item', 'cart', 'search', 'me'][rand(7) % 5 + 1] || '/' || toString(rand(8) % 5000) AS page,
    toString(sipHash64(number)) || '-' || toString(rand(9)) AS request_id,
    '{{"net":"wifi","ms":' || toString(rand(10) % 900) || ',"ab":["x' || toString(rand(11) % 9) || '","b"]}}' AS extra,
    if(event = 'pay', toDecimal64(rand(12) % 1000000, 2) / 100, NULL) AS amount,
    toIPv4(rand(13) % 16777216 + 167772160) AS ip,
    toInt32(rand(14) % 40) AS level,
    sipHash64(intDiv(number, 40000)) AS _slice,
    toUInt32(number % 40000) AS _row
FROM numbers({rows})
"""

CANDIDATES = {
    "ts": ("DateTime64(3, 'UTC')", ["LZ4", "ZSTD(1)", "Delta, LZ4", "Delta, ZSTD(1)", "DoubleDelta, LZ4",
                                    "DoubleDelta, ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)", "Delta, T64, ZSTD(1)"]),
    "_slice": ("UInt64", ["LZ4", "ZSTD(1)", "Delta, LZ4", "Delta, ZSTD(1)", "T64, ZSTD(1)"]),
    "_row": ("UInt32", ["LZ4", "ZSTD(1)", "Delta, LZ4", "Delta, ZSTD(1)", "DoubleDelta, ZSTD(1)", "T64, LZ4",
                        "T64, ZSTD(1)", "Delta, T64, ZSTD(1)"]),
    "user": ("String", ["LZ4", "LZ4HC(4)", "ZSTD(1)", "ZSTD(3)"]),
    "device": ("String", ["LZ4", "ZSTD(1)", "ZSTD(3)"]),
    "page": ("String", ["LZ4", "ZSTD(1)", "ZSTD(3)"]),
    "request_id": ("String", ["LZ4", "ZSTD(1)", "ZSTD(3)"]),
    "extra": ("String", ["LZ4", "ZSTD(1)", "ZSTD(3)"]),
    "channel": ("LowCardinality(String)", ["LZ4", "ZSTD(1)"]),
    "amount": ("Nullable(Decimal(18, 2))", ["LZ4", "ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)"]),
    "ip": ("IPv4", ["LZ4", "ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)"]),
    "level": ("Int32", ["LZ4", "ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)", "Delta, ZSTD(1)"]),
}


class Server:
    def __init__(self, arguments):
        self.url = arguments.url.rstrip("/") + "/?max_threads=1&max_insert_threads=1&async_insert=0"
        self.headers = {"X-ClickHouse-User": arguments.user, "X-ClickHouse-Key": arguments.password}

    def run(self, sql):
        """Runs a statement on one thread; returns its text and its seconds as the server counts them."""
        request = urllib.request.Request(self.url, data=sql.encode(), headers=self.headers)
        try:
            with urllib.request.urlopen(request) as response:
                summary = json.loads(response.headers["X-ClickHouse-Summary"])
                return response.read().decode().strip(), int(summary["elapsed_ns"]) / 1e9
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{sql[:200]}\n{error.read().decode()}") from error


def measure(server, column, kind, codec):
    """One candidate: bytes a row, seconds to write and to read all rows."""
    table = f"{DATABASE}.candidate"
    write, read = [], []
    for _ in range(3):
        server.run(f"DROP TABLE IF EXISTS {table}")
        server.run(f"CREATE TABLE {table} (`{column}` {kind} CODEC({codec})) ENGINE = MergeTree ORDER BY tuple() "
                   "SETTINGS min_bytes_for_wide_part = 0")
        write.append(server.run(f"INSERT INTO {table} SELECT `{column}` FROM {DATABASE}.rows "
                                "SETTINGS max_insert_block_size = 10000000, min_insert_block_size_rows = 10000000")[1])
    # `ignore` decompresses the column and computes nothing on it.
    for _ in range(3):
        read.append(server.run(f"SELECT count() FROM {table} WHERE NOT ignore(`{column}`)")[1])
    size, _ = server.run("SELECT sum(column_data_compressed_bytes) FROM system.parts_columns "
                         f"WHERE database = '{DATABASE}' AND table = 'candidate' AND active")
    return int(size), min(write), min(read)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--user", default="default")
    parser.add_argument("--password", default="")
    parser.add_argument("--rows", type=int, default=2_000_000)
    arguments = parser.parse_args()
    server = Server(arguments)

    server.run(f"DROP DATABASE IF EXISTS {DATABASE}")
    server.run(f"CREATE DATABASE {DATABASE}")
    server.run(f"CREATE TABLE {DATABASE}.rows ENGINE = MergeTree ORDER BY (product, event, ts) AS "
               + ROWS.format(rows=arguments.rows))
    server.run(f"OPTIMIZE TABLE {DATABASE}.rows FINAL")
    print("| column | codec | bytes a row | write s | read s |\n| --- | --- | --- | --- | --- |")
    for column, (kind, codecs) in CANDIDATES.items():
        for codec in codecs:
            size, write, read = measure(server, column, kind, codec)
            print(f"| `{column}` {kind} | {codec} | {size / arguments.rows:.3f} | {write:.3f} | {read:.3f} |", flush=True)
    server.run(f"DROP DATABASE {DATABASE}")


if __name__ == "__main__":
    main()
