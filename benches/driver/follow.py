"""`longshore run` under the service's benches: its files, its config, the process, what it says of itself."""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import clickhouse
from contestant import Failed
from inputs import MEASURES, Inputs

# Everything that is waited for comes long before this, or not at all.
STOP_SECONDS_MAX = 90
START_SECONDS_MAX = 120
# Each look costs the engine some milliseconds where it follows thousands of files.
LOOK_SECONDS = 0.5
# The files are in folders, since a feed plans at most 4,096 slices at once: `service doubt` takes one folder a feed.
FOLDERS = ("a", "b", "c")
# Nothing of a file that is there is waited for longer than a service may be told to.
SLICE_AGE = "100ms"


def service_config(text, folder, patterns, metrics_port=None, fsync=True, dedup=()):
    """A load's config as one of `longshore run`. `text` ends inside [clickhouse]; the journal is in `folder`."""
    lines = [] if fsync else ["fsync = false", 'guarantee = "at-least-once"']
    lines += ["", "[run]", f'journal = "{folder / "journal"}"', f'slice_age = "{SLICE_AGE}"']
    if metrics_port is not None:
        lines.append(f'metrics = "127.0.0.1:{metrics_port}"')
    if dedup:
        lines += ["", "[dedup]", f"key = {json.dumps(list(dedup))}"]
    lines += ["", "[[source]]", 'name = "app"', f"paths = {json.dumps([str(pattern) for pattern in patterns])}"]
    return text + "\n".join(lines) + "\n"


def without_dictionary(text):
    """The config with every product known, so that the journal's copy of it is the file's text and nothing else."""
    return re.sub(r"(?m)^(dictionary|unknown) = .*\n", "", text)


class SmallFiles(Inputs):
    """Many files of one record each, of the channel log with its rollups."""

    def __init__(self, bench, count):
        # Files that are equal byte by byte count as one.
        super().__init__(bench, f"small-{count}", count, False, True, repeated=False)
        self.root = self.folder / "small"
        if not (self.root / "complete").exists():
            self.write()

    def write(self):
        """One file a record, spread over the folders."""
        lines = [line for file in self.files for line in file.read_bytes().splitlines(keepends=True)]
        if len(lines) != self.records:
            raise Failed(f"{len(lines)} lines, expected {self.records}")
        for folder in FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for number, line in enumerate(lines):
            (self.root / FOLDERS[number % len(FOLDERS)] / f"{number:05}.log").write_bytes(line)
        (self.root / "complete").touch()

    @property
    def folders(self):
        """Where the files are."""
        return [self.root / folder for folder in FOLDERS]

    @property
    def patterns(self):
        """All of them."""
        return [folder / "*.log" for folder in self.folders]

    def check(self, server):
        """Every record is in the events table once, and in the rollups as loggen counted it."""
        counts = server.numbers("SELECT count(), uniqExact(_slice, _row) FROM longshore.events")
        ledger = server.numbers("SELECT count(), sum(records) FROM longshore.ledger")
        if counts + ledger != [str(self.records)] * 4:
            raise Failed(f"rows, distinct ones, slices and records are {counts + ledger}, expected {self.records}")
        for name, expected in self.sums().items():
            sums = ", ".join(f"sum({measure})" for measure in MEASURES[name])
            got = server.numbers(f"SELECT count(), {sums} FROM longshore.{name}")
            if [type(one)(text) for one, text in zip(expected, got)] != expected:
                raise Failed(f"{name}: {got}, expected {expected}")


class Run:
    """A `longshore run` in a folder of its own; leaving the `with` ends it."""

    def __init__(self, bench, config, metrics_port):
        self.metrics_port = metrics_port
        self.log = config.with_suffix(".log")
        with open(self.log, "ab") as log:
            command = [str(bench.longshore), "run", "-c", str(config)]
            self.started = time.monotonic()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Ends it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it in order."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"`longshore run` did not end; see {self.log}") from late
        if code != 0:
            raise Failed(f"`longshore run` ended with {code}; see {self.log}")

    def metrics(self):
        """Its metrics by name, those of several sources or kinds summed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        connection.request("GET", "/metrics")
        return sums_by_name(connection.getresponse().read().decode())

    def wait_for(self, what, seconds_max, reached):
        """Waits until the metrics satisfy it: the seconds since the start."""
        deadline = time.monotonic() + seconds_max
        seen = {}
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"`longshore run` ended with {self.process.returncode}; see {self.log}")
            try:
                seen = self.metrics()
            except OSError:
                seen = {}
            if seen and reached(seen):
                return time.monotonic() - self.started
            time.sleep(LOOK_SECONDS)
        raise Failed(f"not within {seconds_max} s: {what}; see {self.log}; metrics: {seen}")

    def cpu_seconds(self):
        """CPU seconds so far, all threads."""
        return clickhouse.cpu_seconds(self.process.pid)

    def resident_mebibytes(self):
        """What of it is in memory: its program's pages, heap and stacks."""
        return memory_mebibytes(pathlib.Path(f"/proc/{self.process.pid}/status").read_text(), "VmRSS")


def sums_by_name(text):
    """OpenMetrics text as numbers by name; the samples of one name, which differ by their labels, are summed."""
    sums = {}
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, value = re.split(r"[{\s]", line, maxsplit=1)[0], line.rsplit(" ", 1)[1]
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def memory_mebibytes(status, field):
    """A field of /proc/PID/status, which is in KiB."""
    found = re.search(rf"(?m)^{field}:\s+(\d+) kB$", status)
    if not found:
        raise Failed(f"no {field} in /proc/PID/status")
    return int(found[1]) / 1024


def write_config(path, text):
    """It may hold a password."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def schema_of(bench, config):
    """Makes the config's tables."""
    bench.run([bench.longshore, "schema", "--quiet", "--apply", "-c", config])


