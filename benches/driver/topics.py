"""Topics to table against files to table: the same records through `longshore run`, in turns.

The files are the partitions: file p has the records of partition p, so that slices are as wide in time and groups, and
the source alone differs. (As four files one after the other, as a day's log is rotated, each slice is of few minutes,
adds to few groups of the rollups, and gives the server less to merge.) The brokers are librdkafka's mock, on the same
cores. A rate counts from the first slice that is stored to the last, by the ledger, without the first one's records: a
new group waits three seconds for further members, and a service that starts has its tables to look at, neither of which
is throughput. The least of both rivals counts: the same records from files, and a client that reads the topic and
throws it away, which is what brokers and client can do at most.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import clickhouse
from contestant import Failed, median_ratio
from inputs import Inputs
from load import RECORDS
from report import Measured

# A partition of the mock keeps 5 MiB, compressed.
PARTITIONS = 64
SECONDS_MAX = 300
# A ratio to be told from 70 % needs no more.
ROUNDS_MAX = 5
# Variable of the server's password.
PASSWORD = "LONGSHORE_BENCH_PASSWORD"
LOOK_SECONDS = 0.1


class Brokers:
    """The process `brokers` with one topic that holds all records; leaving the `with` ends it."""

    def __init__(self, program, files):
        command = [str(program), "--topic", f"t:{PARTITIONS}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addresses = self.process.stdout.readline().strip()
        for file in files:
            self.tell(f"fill t {file}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def tell(self, command):
        """A command's answer, as words behind `ok`."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise Failed(f"brokers: {command}: {' '.join(answer)}")
        return answer[1:]

    def drain(self, records):
        """Records a second of a client that throws them away."""
        messages, seconds = self.tell("drain t")
        if int(messages) != records:
            raise Failed(f"{messages} messages were read, expected {records}")
        return records / float(seconds)


class Topics:
    """The channel log with its rollups, from a topic and from files."""

    def __init__(self, bench):
        self.bench = bench
        self.inputs = Inputs(bench, "topics", bench.scaled(RECORDS), False, True)
        self.streams = self.inputs.folder / "streams"
        if not self.streams.exists():
            self.split()

    def split(self):
        """The partitions' records as files: record n of each input goes to partition n modulo their number."""
        partial = self.streams.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(open(partial / f"{number:02}.log", "wb")) for number in range(PARTITIONS)]
            for file in self.inputs.files:
                with open(file, "rb") as lines:
                    for number, line in enumerate(lines):
                        streams[number % PARTITIONS].write(line)
        partial.rename(self.streams)

    def measure(self):
        """Topics against files, and against a client that only reads."""
        data = pathlib.Path(tempfile.mkdtemp(prefix="topics-", dir=self.bench.folder))
        brokers = self.bench.longshore.with_name("brokers")
        runs = {"topics": [], "files": [], "drain": []}
        try:
            with Brokers(brokers, self.inputs.files) as cluster:
                for turn in range(min(self.bench.rounds, ROUNDS_MAX)):
                    contestants = [("topics", self.from_topic), ("files", self.from_files)]
                    for name, rate in contestants if turn % 2 == 0 else reversed(contestants):
                        folder = data / f"{name}-{turn}"
                        folder.mkdir()
                        runs[name].append(rate(folder, cluster))
                    runs["drain"].append(cluster.drain(self.inputs.records))
        finally:
            shutil.rmtree(data)
        topics, rivals = runs.pop("topics"), runs
        name, rival = min(rivals.items(), key=lambda one: statistics.median(one[1]))
        print(", ".join(f"{name} {statistics.median(rates):,.0f}" for name, rates in rivals.items()), file=sys.stderr)
        return [Measured("service/topics", statistics.median(topics), statistics.median(rival),
                         median_ratio(topics, rival), "records/s", f"own, {name}")]

    def from_topic(self, folder, cluster):
        """One engine, a group of its own."""
        return self.run(folder, f"""
[source.kafka]
brokers = ["{cluster.addresses}"]
topics = ["t"]
group = "{folder.name}"
""")

    def from_files(self, folder, _):
        """One engine over all files."""
        return self.run(folder, f'paths = ["{self.streams}/*.log"]\n')

    def run(self, folder, source):
        """A service until all is stored: records a second."""
        with clickhouse.embedded(self.bench.longshore, folder / "data") as server:
            # A config that reads topics is kept in ClickHouse, and so takes no secret.
            environment = {**os.environ, PASSWORD: server.password}
            text = self.inputs.config(server).read_text(encoding="utf-8").replace(server.password, f"${{{PASSWORD}}}")
            config = self.inputs.folder / f"{folder.name}.toml"
            config.touch(mode=0o600)
            config.write_text(f"""{text}
[run]
journal = "{folder / 'journal'}"
slice_age = "1s"

[[source]]
name = "app"
{source}""", encoding="utf-8")
            self.bench.run([self.bench.longshore, "schema", "--quiet", "--apply", "-c", config], env=environment)
            with open(folder / "log", "wb") as log:
                service = subprocess.Popen([self.bench.longshore, "run", "--quiet", "-c", config], stdout=log, stderr=log,
                                           env=environment)
            try:
                self.await_all(server, service)
                service.send_signal(signal.SIGTERM)
                if service.wait(timeout=60) != 0:
                    raise Failed(f"longshore run ended with {service.returncode}")
            finally:
                service.kill()
                service.wait()
            return self.rate(server)

    def await_all(self, server, service):
        """Returns once the ledger has every record."""
        deadline = time.monotonic() + SECONDS_MAX
        while server.numbers("SELECT sum(records) FROM longshore.ledger") != [str(self.inputs.records)]:
            if service.poll() is not None or time.monotonic() > deadline:
                raise Failed("longshore run does not store what is there")
            time.sleep(LOOK_SECONDS)

    def rate(self, server):
        """Records a second by the ledger, once the answers were found right."""
        rows, distinct = map(int, server.numbers("SELECT count(), uniqExact(_slice, _row) FROM longshore.events"))
        if (rows, distinct) != (self.inputs.summary["loaded"],) * 2:
            raise Failed(f"{rows} rows, {distinct} distinct, expected {self.inputs.summary['loaded']}")
        records, seconds, slices = map(float, server.numbers(
            "SELECT sum(records) - argMin(records, finished_at), (max(finished_at) - min(finished_at))::Float64, count() "
            "FROM longshore.ledger"))
        print(f"{slices:.0f} slices, {records / seconds:,.0f} records/s", file=sys.stderr)
        # A quick run may have one slice.
        return max(records, 1) / max(seconds, 0.001)
