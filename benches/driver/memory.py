"""The engine's memory under input that is made to need much: each shape is loaded once, into the embedded server, and must
stay below the bound with every record counted.

`python3 benches/driver/memory.py LONGSHORE [SHAPE...]` prints the shapes' peaks by themselves.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Callable

import clickhouse
from contestant import Failed

MEBIBYTES_MAX = 512
TIME = '[[column]]\nname = "ts"\ntype = "timestamp"\nformat = "epoch_ms"\nrequired = true\n'
END = '[products]\nfixed = "shop"\n[table]\ntime = "ts"\n'
START_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Shape:
    """Records of one kind, and the config that makes much of them."""
    name: str
    config: str
    records: int
    record: Callable[[int], str]
    # Whether every record is loaded; otherwise each is a dead letter.
    loaded: bool = True
    # A query and what it must answer.
    check: tuple | None = None


def columns(count, what, name="c"):
    """Columns of one kind."""
    return "".join(f'[[column]]\nname = "{name}{number}"\n{what}\n' for number in range(count))


def address(number):
    """Another one for each number below 2^24."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def access_line(number):
    """A line of an access log. A million of them have a million addresses."""
    ip = address(number * 7919 % 1_000_000)
    return f'{ip} - - [20/Nov/2026:10:{number // 60_000 % 60:02}:00 +0000] "GET /p{number % 50} HTTP/1.1" 200 512'


ACCESS_CONFIG = """[decode]
format = "access_log"
[[column]]
name = "ts"
path = "time"
type = "timestamp"
format = "%d/%b/%Y:%H:%M:%S %z"
precision = "s"
required = true
[[column]]
name = "ip"
path = "host"
type = "ipv4"
required = true
[[column]]
name = "host"
path = "host"
type = "string"
required = true
[[column]]
name = "page"
path = "path"
type = "low_cardinality"
""" + END + "".join(f'[[rollup]]\n{rollup}\n' for rollup in (
    'kind = "requests_by_ip"\nip = "ip"', 'kind = "pv_uv"\nuser = "host"\nby = ["page"]',
    'kind = "new_users"\nuser = "host"\nby = ["page"]', 'kind = "pv_uv"\nname = "by_address"\nuser = "ip"\nby = ["host"]'))

SHAPES = [
    Shape("sparse, 1000 columns", TIME + columns(990, 'type = "u64"') + END, 90_000, lambda n: f'{{"ts":{START_MS + n}}}'),
    Shape("sparse, 204 columns", TIME + columns(204, 'type = "u64"') + END, 400_000, lambda n: f'{{"ts":{START_MS + n}}}'),
    Shape("lists of many items", TIME + columns(1, 'type = "list(u64)"') + END, 900,
          lambda n: f'{{"ts":{START_MS + n},"c0":[{"1," * 40_000}1]}}',
          check=("SELECT sum(length(c0)) FROM longshore.events", ["36000900"])),
    Shape("many groups, four rollups", ACCESS_CONFIG, 1_200_000, access_line,
          check=("SELECT sum(requests), uniqExact(ip) FROM longshore.requests_by_ip_by_minute", ["1200000", "1000000"])),
    Shape("each low-cardinality value another one", TIME + columns(8, 'type = "low_cardinality"') + END, 900_000,
          lambda n: f'{{"ts":{START_MS + n},' + ",".join(f'"c{c}":"{n * 8 + c:x}"' for c in range(8)) + "}",
          check=("SELECT uniqExact(c0), uniqExact(c7) FROM longshore.events", ["900000", "900000"])),
    Shape("every record wrong", TIME + END, 1_000_000, lambda n: f'{{"ts":"{"no time" * 11} {n}"}}', loaded=False),
    Shape("long defaults", TIME + columns(20, f'type = "string"\ndefault = "{"d" * 500}"') + END, 100_000,
          lambda n: f'{{"ts":{START_MS + n}}}', check=("SELECT sum(length(c0)) FROM longshore.events", ["50000000"])),
    Shape("one path, 50 columns", TIME + columns(50, 'path = "x"\ntype = "string"') + END, 20_000,
          lambda n: f'{{"ts":{START_MS + n},"x":"{"x" * 500}"}}',
          check=("SELECT sum(length(c0)), sum(length(c49)) FROM longshore.events", ["10000000", "10000000"])),
]


def peak_mebibytes(longshore, shape, folder):
    """The engine's peak while it loads the shape, once its answers are right."""
    folder = pathlib.Path(folder)
    log = folder / "shape.log"
    with log.open("w") as file:
        file.writelines(shape.record(number) + "\n" for number in range(shape.records))
    with clickhouse.embedded(longshore, folder / "data") as server:
        config = folder / "shape.toml"
        # Keys of the top come first.
        config.write_text(f'version = 1\n{shape.config}\n[clickhouse]\nurl = "{server.url}"\nuser = "longshore"\n'
                          f'password = "{server.password}"\ndatabase = "longshore"\n')
        run = subprocess.run([longshore, "load", "--quiet", "--json", "-c", config, log], capture_output=True, text=True)
        if run.returncode != 0:
            raise Failed(f"{shape.name}: the load ended with {run.returncode}: {run.stderr[:600]}")
        summary = json.loads(run.stdout)
        got, wanted = (summary["loaded"], summary["dead"]), (shape.records, 0)
        if got != (wanted if shape.loaded else wanted[::-1]):
            raise Failed(f"{shape.name}: {got} records are loaded and dead, of {shape.records}")
        table = "events" if shape.loaded else "dead_letters"
        checks = [(f"SELECT count() FROM longshore.{table}", [str(shape.records)])]
        checks += [shape.check] if shape.check else []
        for query, answer in checks:
            if server.numbers(query) != answer:
                raise Failed(f"{shape.name}: {query} answers {server.numbers(query)}, expected {answer}")
    return summary["peak_resident_bytes"] / 2**20


def main():
    """All shapes, or those of the command line."""
    longshore, *names = sys.argv[1:]
    failed = False
    for shape in SHAPES:
        if names and shape.name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="memory-") as folder:
            peak = peak_mebibytes(longshore, shape, folder)
        failed |= peak > MEBIBYTES_MAX
        print(f"{shape.name:<42}{peak:>7.0f} MiB{'  TOO MUCH' if peak > MEBIBYTES_MAX else ''}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
