"""The load targets: files to table, Longshore with its embedded ClickHouse against ClickHouse alone.

Both servers run already, with their tables, in a data folder that is new: ext4 searches past inodes that were freed
within the last minutes for every file it creates, so nothing is deleted before the last run. Seconds and CPU seconds
count from the start of the command to its end, when the last row is acknowledged: for Longshore its process (start and
connecting included) and the server's, for the rival the server's while one INSERT reads the files itself. CPU seconds
until merges are quiet are reported beside.
"""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal

import clickhouse
import memory
from contestant import Failed, median_ratio
from inputs import MEASURES, Inputs
from report import Measured

ROOT = pathlib.Path(__file__).resolve().parents[2]
SQL = ROOT / "benches/sql"
RECORDS = 2_000_000
# Every column, so that the same hash means the same rows. A hash of null is null: what may be null gives two numbers.
# `props`, an object kept as text, comes by itself: see `check_same`.
HASH = """SELECT count(), sum(amount), sum(cityHash64(ts, event, product, channel, user_id, device_id, session_id, ip, os,
app_version, country, page, referrer, isNull(order_id), ifNull(order_id, ''), isNull(amount), ifNull(amount, 0),
isNull(currency), ifNull(currency, ''))), sum(cityHash64(ts, user_id, props)) FROM longshore.events"""


@dataclass(frozen=True)
class Run:
    """What one load cost, and what came of it."""
    seconds: float
    cpu_seconds: float
    # Until the server has nothing left to merge; None if it did not come to rest.
    quiet_cpu_seconds: float | None
    answer: tuple
    peak_mebibytes: float = 0.0


class Load:
    """Longshore and its rival on three kinds of input, in turns."""

    def __init__(self, bench):
        self.bench = bench
        records = bench.scaled(RECORDS)
        self.kinds = [Inputs(bench, name, records, sealed, rollups) for name, sealed, rollups in
                      (("plain", False, False), ("rollups", False, True), ("sealed", True, False))]
        self.library = bench.run(["python3", ROOT / "tools/fetch-clickhouse.py"]).strip()
        self.rounds = min(bench.rounds, 5)

    def measure(self):
        """All rows."""
        runs = {kind.name: ([], []) for kind in self.kinds}
        data = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=self.bench.folder))
        try:
            for turn in range(self.rounds):
                for kind in self.kinds:
                    systems = [(0, self.longshore), (1, self.alone)]
                    for system, load in systems if turn % 2 == 0 else reversed(systems):
                        runs[kind.name][system].append(load(kind, data / f"{kind.name}-{turn}-{system}"))
                    check_same(kind, *(system[-1] for system in runs[kind.name]))
                check_records(runs)
        finally:
            shutil.rmtree(data)
        return [outcome for kind in self.kinds for outcome in self.compared(kind, *runs[kind.name])] + self.own(runs)

    def compared(self, kind, ours, theirs):
        """CPU and wall of one kind."""
        rows = [("cpu", "CPU s", lambda run: run.cpu_seconds), ("wall", "s", lambda run: run.seconds)]
        if all(run.quiet_cpu_seconds for run in ours + theirs):
            rows.append(("cpu, merges included", "CPU s", lambda run: run.quiet_cpu_seconds))
        outcomes = []
        for name, unit, figure in rows:
            mine, rival = [figure(run) for run in ours], [figure(run) for run in theirs]
            outcomes.append(Measured(f"load/{kind.name}/{name}", statistics.median(mine), statistics.median(rival),
                                     median_ratio(rival, mine), unit, "ClickHouse alone"))
        rate = statistics.median(kind.bytes / 1e6 / run.seconds for run in ours)
        outcomes.append(Measured(f"load/{kind.name}/rate", rate, unit="MB/s of the files"))
        return outcomes

    def own(self, runs):
        """Sealed against plain, and the engine's memory."""
        records = self.kinds[0].records
        plain, sealed = ([records / run.seconds for run in runs[name][0]] for name in ("plain", "sealed"))
        peak = max(run.peak_mebibytes for ours, _ in runs.values() for run in ours)
        peaks = {shape.name: self.peak(shape) for shape in memory.SHAPES}
        return [
            *(Measured(f"load/memory/{name}", mebibytes, unit="MiB") for name, mebibytes in peaks.items()),
            Measured("load/sealed-to-plain", statistics.median(sealed), statistics.median(plain),
                     median_ratio(sealed, plain)),
            Measured("load/memory", max(peak, *peaks.values())),
        ]

    def peak(self, shape):
        """The engine's memory while it loads what is made to need much."""
        with tempfile.TemporaryDirectory(prefix="memory-", dir=self.bench.folder) as folder:
            return memory.peak_mebibytes(self.bench.longshore, shape, folder)

    def longshore(self, kind, data):
        """`longshore load` into the embedded server."""
        with clickhouse.embedded(self.bench.longshore, data) as server:
            config = kind.config(server)
            self.bench.run([self.bench.longshore, "schema", "--quiet", "--apply", "-c", config])
            command = [self.bench.longshore, "load", "--quiet", "--json", "-c", config, *kind.files]
            cpu = server.cpu_seconds()
            summary, seconds, engine_cpu = run_and_count(command)
            cpu_seconds = server.cpu_seconds() - cpu + engine_cpu
            quiet = server.await_quiet() and server.cpu_seconds() - cpu + engine_cpu
            check_summary(kind, summary)
            return Run(seconds, cpu_seconds, quiet or None, answer(kind, server), summary["peak_resident_bytes"] / 2**20)

    def alone(self, kind, data):
        """ClickHouse reads the files itself."""
        with clickhouse.alone(self.library, data) as server:
            for statement in self.rival_tables(kind):
                server.ask(statement)
            if kind.sealed:
                insert = (SQL / "decrypt.sql").read_text().format(files=kind.glob, key=kind.key_expression())
            else:
                insert = f"INSERT INTO longshore.events SELECT * FROM file('{kind.glob}', 'JSONEachRow')"
            cpu, start = server.cpu_seconds(), time.monotonic()
            server.ask(insert)
            seconds = time.monotonic() - start
            cpu_seconds = server.cpu_seconds() - cpu
            quiet = server.await_quiet() and server.cpu_seconds() - cpu
            return Run(seconds, cpu_seconds, quiet or None, answer(kind, server))

    def rival_tables(self, kind):
        """Longshore's events table without what only Longshore fills or needs: provenance, deduplication."""
        printed = self.bench.run([self.bench.longshore, "schema", "--print", "-c", kind.config(None)])
        statements = [statement.strip() for statement in printed.split(";\n")]
        database, events = statements[0], next(s for s in statements if "`longshore`.`events`\n" in s)
        events = re.sub(r",\n    `_slice` [^\n]*\n    `_row` [^\n]*\n", "\n", events)
        events = re.sub(r"non_replicated_deduplication_window = \d+, ", "", events)
        if "_slice" in events or "deduplication" in events:
            raise Failed(f"the rival's table is not what it should be:\n{events}")
        tables = [database, events]
        if kind.rollups:
            views = re.sub(r"^--.*\n", "", (SQL / "views.sql").read_text(), flags=re.MULTILINE)
            tables += [statement for statement in views.split(";\n") if statement.strip()]
        return tables


def run_and_count(command):
    """Runs a load to its end: its summary, its seconds, and the CPU seconds of all its threads."""
    start = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    try:
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        # A bench that is told to end leaves no load behind.
        process.kill()
        process.wait()
        raise
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with {process.returncode}: {out.decode()[:600]}")
    return json.loads(out), seconds, usage.ru_utime + usage.ru_stime


def check_summary(kind, summary):
    """Every record of the files is loaded, product by product."""
    expected = kind.summary
    got = (summary["loaded"], summary["dead"], summary["loaded_by_product"])
    if got != (expected["loaded"], 0, expected["loaded_by_product"]):
        raise Failed(f"{kind.name}: loaded, dead and products are {got}, expected {expected}")


def answer(kind, server):
    """Rows, sum and hash of the table; the rollups must have loggen's sums."""
    table = tuple(server.numbers(HASH))
    if int(table[0]) != kind.summary["loaded"]:
        raise Failed(f"{kind.name}: {table[0]} rows, expected {kind.summary['loaded']}")
    for name, expected in kind.sums().items() if kind.rollups else ():
        sums = ", ".join(f"sum({measure})" for measure in MEASURES[name])
        got = [Decimal(number) for number in server.numbers(f"SELECT count(), {sums} FROM longshore.{name}")]
        if got != expected:
            raise Failed(f"{name}: rows and sums of {MEASURES[name]} are {got}, expected {expected}")
    return table


def check_same(kind, ours, theirs):
    """Longshore's table and the rival's hold the same rows. JSONExtract writes an object's numbers anew, 0.6 for 0.60, so
    that the text of `props` cannot be compared where the rival decrypts."""
    compared = 3 if kind.sealed else 4
    if ours.answer[:compared] != theirs.answer[:compared]:
        raise Failed(f"{kind.name}: rows, amount and hashes are {ours.answer}, in ClickHouse's own load {theirs.answer}")


def check_records(runs):
    """The three kinds hold the same records, `props` included."""
    answers = {name: ours[-1].answer for name, (ours, _) in runs.items()}
    if len(set(answers.values())) != 1:
        raise Failed(f"the same records gave different rows, amounts and hashes: {answers}")
