"""What many small files cost: the first start over them, and following them when nothing happens.

10,000 files of one record each. The first start makes a slice of each, since a slice is of one source. The idle engine
is one that was started again when all was stored, so that its memory is what following takes and not what storing took.
"""
import pathlib
import shutil
import tempfile
import time

import clickhouse
from contestant import Failed
from follow import Run, SmallFiles, schema_of, service_config, without_dictionary, write_config
from report import Measured

FILES = 10_000
FIRST_SECONDS_MAX = 3_600
FOLLOWED_SECONDS_MAX = 120
# Scans at their regular distance are part of being idle: there must be several within the time.
IDLE_SECONDS, IDLE_SECONDS_QUICK = 60, 1
# Before: what the start left to do.
SETTLE_SECONDS, SETTLE_SECONDS_QUICK = 15, 0


class ManyFiles:
    """One engine, from nothing and then idle, and one that follows a single file."""

    def __init__(self, bench):
        self.bench = bench
        self.files = SmallFiles(bench, bench.scaled(FILES))

    def measure(self):
        """All rows."""
        data = pathlib.Path(tempfile.mkdtemp(prefix="files-", dir=self.bench.folder))
        try:
            with clickhouse.embedded(self.bench.longshore, data / "server") as server:
                many = self.config(data / "many", server, self.files.patterns)
                schema_of(self.bench, many[0])
                rows = self.first_start(server, *many)
                idle_many = self.idle(*many, self.files.records)
                single = self.config(data / "single", server, [data / "single/one.log"])
                shutil.copy(next(self.files.folders[0].iterdir()), data / "single/one.log")
                return rows + idle_rows(idle_many, self.idle(*single, 1))
        finally:
            shutil.rmtree(data)

    def config(self, folder, server, patterns):
        """A config whose journal is in this folder, and the port of its metrics."""
        folder.mkdir()
        port = clickhouse.free_port()
        text = without_dictionary(self.files.config(server).read_text(encoding="utf-8"))
        return write_config(folder / "service.toml", service_config(text, folder, patterns, port)), port

    def first_start(self, server, config, port):
        """From the start until every file is stored."""
        inserts, cpu = insert_count(server), server.cpu_seconds()
        with Run(self.bench, config, port) as run:
            everything = lambda metrics: metrics.get("longshore_records_total") == self.files.records
            seconds = run.wait_for("every file is stored", FIRST_SECONDS_MAX, everything)
            engine, server_cpu = run.cpu_seconds(), server.cpu_seconds() - cpu
            inserts = insert_count(server) - inserts
            peak = run.resident_mebibytes()
            run.stop()
        self.files.check(server)
        slices = self.files.records
        return [
            Measured("service/first-start", seconds, unit="s"),
            Measured("service/first-start/slices", slices / seconds, unit="slices/s"),
            Measured("service/first-start/inserts", inserts / slices, unit="inserts a slice"),
            Measured("service/first-start/server", 1e3 * server_cpu / inserts, unit="ms of the server's CPU an insert"),
            Measured("service/first-start/engine", 1e3 * engine / slices, unit="ms of the engine's CPU a slice"),
            Measured("service/first-start/cores", (engine + server_cpu) / seconds, unit="cores busy"),
            Measured("service/first-start/memory", peak, unit="MiB of the engine when all is stored"),
        ]

    def idle(self, config, port, files):
        """An engine that follows so many files, to which nothing happens: CPU seconds a second, and its memory."""
        quick = self.bench.quick
        with Run(self.bench, config, port) as run:
            at_rest = lambda metrics: (metrics.get("longshore_followed_inputs"), metrics.get("longshore_lag_bytes"),
                                       metrics.get("longshore_slices_in_doubt")) == (files, 0, 0)
            run.wait_for(f"{files} files are followed and stored", FOLLOWED_SECONDS_MAX, at_rest)
            time.sleep(SETTLE_SECONDS_QUICK if quick else SETTLE_SECONDS)
            cpu, begin = run.cpu_seconds(), time.monotonic()
            time.sleep(IDLE_SECONDS_QUICK if quick else IDLE_SECONDS)
            share = (run.cpu_seconds() - cpu) / (time.monotonic() - begin)
            memory = run.resident_mebibytes()
            if not at_rest(run.metrics()):
                raise Failed(f"something happened to files that nobody touched; see {run.log}")
            run.stop()
        return share, memory


def idle_rows(many, single):
    """What following costs."""
    return [
        Measured("service/idle/memory", many[1] - single[1]),
        Measured("service/idle/memory in all", many[1], unit="MiB resident"),
        Measured("service/idle/memory, one file", single[1], unit="MiB resident"),
        Measured("service/idle/cpu", 100 * many[0]),
        Measured("service/idle/cpu, one file", 100 * single[0], unit="% of a core"),
    ]


def insert_count(server):
    """Inserts that the server has taken so far."""
    [count] = server.numbers("SELECT sum(value) FROM system.events WHERE event = 'InsertQuery'")
    return int(count)
