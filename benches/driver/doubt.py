"""How soon a service stores again whose journal holds many slices in doubt.

The journal is made by the product's feed over 10,000 real files (`service doubt`), as an engine leaves it that died
before anything was stored. Then `longshore run` starts on a copy of it, and a proxy before the server notes when the
first INSERT passes. The last start goes on until all is stored, and every record must be there once.
"""
import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import types

import clickhouse
from contestant import Failed
from follow import Run, SmallFiles, schema_of, service_config, without_dictionary, write_config
from report import Measured
from watching_proxy import WatchingProxy

SLICES = 10_000
STARTS = 5
INSERT_SECONDS_MAX = 120
STORED_SECONDS_MAX = 1_800


class Doubt:
    """Starts on copies of one journal."""

    def __init__(self, bench):
        self.bench = bench
        self.files = SmallFiles(bench, bench.scaled(SLICES))

    def measure(self):
        """All rows."""
        data = pathlib.Path(tempfile.mkdtemp(prefix="doubt-", dir=self.bench.folder))
        try:
            with clickhouse.embedded(self.bench.longshore, data / "server") as server, \
                    WatchingProxy(server.http_port) as proxy:
                return self.measured(data, server, proxy)
        finally:
            shutil.rmtree(data)

    def measured(self, data, server, proxy):
        """The first insert of each start, and when all was stored after the last one."""
        metrics_port = clickhouse.free_port()
        config = self.config(data, server, proxy, metrics_port)
        schema_of(self.bench, config)
        kept = self.leave_in_doubt(data, config)
        seconds = []
        for _ in range(1 if self.bench.quick else STARTS):
            shutil.rmtree(data / "journal", ignore_errors=True)
            shutil.copytree(kept, data / "journal")
            proxy.watch()
            with Run(self.bench, config, metrics_port) as run:
                seconds.append(first_insert(run, proxy))
                print(f"start {len(seconds)}: first insert after {seconds[-1]:.2f} s", file=sys.stderr, flush=True)
                # All but the last are killed here, a few slices further.
                if len(seconds) == 1 and self.bench.quick or len(seconds) == STARTS:
                    stored = run.wait_for("nothing is in doubt", STORED_SECONDS_MAX, self.is_done)
                    run.stop()
        self.files.check(server)
        return [
            Measured("service/first-insert", statistics.median(seconds)),
            Measured("service/first-insert/slowest", max(seconds), unit="s"),
            Measured("service/in-doubt/all-stored", stored, unit="s from the start, each slice looked up first"),
        ]

    def is_done(self, metrics):
        """Whether every slice in doubt is stored."""
        files, doubt = metrics.get("longshore_followed_inputs"), metrics.get("longshore_slices_in_doubt")
        return files == self.files.records and doubt == 0

    def config(self, data, server, proxy, metrics_port):
        """For a server behind the proxy."""
        behind = types.SimpleNamespace(url=f"http://127.0.0.1:{proxy.port}", user=server.user, password=server.password)
        text = without_dictionary(self.files.config(behind).read_text(encoding="utf-8"))
        return write_config(data / "service.toml", service_config(text, data, self.files.patterns, metrics_port))

    def leave_in_doubt(self, data, config):
        """Makes the journal, and puts it where nobody writes it."""
        command = [self.bench.service, "doubt", config, *self.files.folders]
        in_doubt = json.loads(self.bench.run(command))["in_doubt"]
        if in_doubt != self.files.records:
            raise Failed(f"{in_doubt} slices are in doubt, expected {self.files.records}")
        return (data / "journal").rename(data / "journal-kept")


def first_insert(run, proxy):
    """Seconds from the start of a run to its first insert."""
    if not proxy.inserted.wait(INSERT_SECONDS_MAX):
        raise Failed(f"no insert within {INSERT_SECONDS_MAX} s; see {run.log}")
    return proxy.inserted_at - run.started
