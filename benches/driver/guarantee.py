"""What exactly-once costs: followed files into the table, whole and with parts of the guarantee left out.

The contestants are one program, `service load`: the engine of `longshore run` from the libraries, which leaves out the
parts that it is told to. Each run has a server of its own whose tables fit: without provenance the columns are not there,
without tokens no table keeps a window of them. Seconds count from the start of the program to its end, when the last row
is acknowledged, CPU seconds are the program's and the server's until then.
"""
import json
import math
import pathlib
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass

import clickhouse
import stats
from contestant import Failed
from follow import schema_of, service_config, write_config
from inputs import Inputs
from load import RECORDS, answer, run_and_count
from report import Measured

# A key that no two records share, as long as loggen repeats none.
KEY = ("ts", "user_id", "session_id", "event", "page")
PARTS = ("journal", "provenance", "tokens")
# Rounds of what has no target.
ROUNDS_OTHERS = 5
# Some hundred times what it takes.
LOAD_SECONDS_MAX = 300
# Slices that the journal by itself is timed on.
JOURNAL_SLICES = 1_000


@dataclass(frozen=True)
class Way:
    """How the files are loaded."""
    name: str
    without: tuple = ()
    fsync: bool = True
    dedup: tuple = ()


WHOLE, BARE = Way("whole"), Way("bare", PARTS)
SINGLE = [Way(f"without-{part}", (part,)) for part in PARTS]
NO_FSYNC, DEDUP = Way("no-fsync", fsync=False), Way("dedup", dedup=KEY)
WAYS = [WHOLE, BARE, *SINGLE, NO_FSYNC, DEDUP]


@dataclass(frozen=True)
class Run:
    """What one load cost, and what came of it."""
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    slices: int
    answer: tuple


class Guarantee:
    """All ways, in turns."""

    def __init__(self, bench):
        self.bench = bench
        self.inputs = Inputs(bench, "plain", bench.scaled(RECORDS), False, False, repeated=False)

    def measure(self):
        """All rows."""
        runs = {way: [] for way in WAYS}
        data = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=self.bench.folder))
        try:
            for turn in range(self.bench.rounds):
                for way in order(turn):
                    runs[way].append(self.load(way, data / f"{way.name}-{turn}"))
                    tell(way, turn, runs[way][-1])
                check_same(runs)
            journal = self.journal(data / "journal")
        finally:
            shutil.rmtree(data)
        return compared(runs) + self.journal_rows(journal, runs[WHOLE])

    def load(self, way, folder):
        """One load into a server of its own."""
        folder.mkdir()
        with clickhouse.embedded(self.bench.longshore, folder / "server") as server:
            text = self.inputs.config(server).read_text(encoding="utf-8")
            # The dictionary and the keyring lie where the config lies.
            path = self.inputs.folder / f"service-{way.name}.toml"
            config = write_config(path, service_config(text, folder, self.inputs.files, fsync=way.fsync, dedup=way.dedup))
            schema_of(self.bench, config)
            take_out(server, way.without)
            command = [self.bench.service, "load", config, "--records", self.inputs.records,
                       "--seconds-max", LOAD_SECONDS_MAX]
            if way.without:
                command += ["--without", ",".join(way.without)]
            before = server.cpu_seconds()
            summary, seconds, engine = run_and_count(command)
            server_cpu = server.cpu_seconds() - before
            self.check(way, folder, server, summary)
            return Run(seconds, server_cpu + engine, server_cpu, summary["slices"], answer(self.inputs, server))

    def check(self, way, folder, server, summary):
        """Every record is loaded, and the run had the parts that it should have had."""
        expected = self.inputs.summary
        got = (summary["loaded"], summary["dead"], summary["duplicates"], summary["loaded_by_product"])
        if got != (expected["loaded"], 0, 0, expected["loaded_by_product"]):
            raise Failed(f"{way.name}: loaded, dead, duplicates and products are {got}, expected {expected}")
        [ledger] = server.numbers("SELECT sum(records) FROM longshore.ledger")
        if int(ledger) != self.inputs.records:
            raise Failed(f"{way.name}: the ledger has {ledger} records, expected {self.inputs.records}")
        if "provenance" not in way.without:
            [distinct] = server.numbers("SELECT uniqExact(_slice, _row) FROM longshore.events")
            if int(distinct) != expected["loaded"]:
                raise Failed(f"{way.name}: {distinct} places of rows, expected {expected['loaded']}")
        if (folder / "journal").exists() == ("journal" in way.without):
            raise Failed(f"{way.name}: the journal is there and should not be, or the other way round")

    def journal(self, folder):
        """Seconds of each slice that is journaled by itself."""
        command = [self.bench.service, "journal", folder, "--slices", self.bench.scaled(JOURNAL_SLICES)]
        return json.loads(self.bench.run(command))["seconds"]

    def journal_rows(self, seconds, whole):
        """The journal's time by slice, and what that is of a load."""
        median = statistics.median(seconds)
        share = statistics.median(100 * run.slices * median / run.seconds for run in whole)
        return [
            Measured("service/journal/slice", 1e3 * median, unit="ms a slice, its sync included"),
            Measured("service/journal/share", share, unit="% of the load's seconds, if it hid behind nothing"),
        ]


def tell(way, turn, run):
    """A line a run, since all of them take minutes."""
    print(f"round {turn + 1}: {way.name} {run.seconds:.2f} s, {run.cpu_seconds:.2f} CPU s", file=sys.stderr, flush=True)


def order(turn):
    """The ways of a round. Those with a target stand side by side, and who of them goes first changes."""
    pair = [WHOLE, BARE] if turn % 2 == 0 else [BARE, WHOLE]
    others = [*SINGLE, NO_FSYNC, DEDUP] if turn < ROUNDS_OTHERS else []
    return pair + (others if turn % 2 == 0 else others[::-1])


def take_out(server, without):
    """Makes the tables, which are empty, as they would be without these parts."""
    if "provenance" in without:
        server.ask("ALTER TABLE longshore.events DROP COLUMN _slice, DROP COLUMN _row")
    if "tokens" in without:
        names = server.ask("SELECT name FROM system.tables WHERE database = 'longshore' AND engine LIKE '%MergeTree' "
                           "AND create_table_query LIKE '%deduplication_window%' FORMAT TSV").split()
        for name in names:
            server.ask(f"ALTER TABLE longshore.{name} MODIFY SETTING non_replicated_deduplication_window = 0")


def check_same(runs):
    """All ways cut the same slices and stored the same rows."""
    last = {way.name: (done[-1].slices, done[-1].answer) for way, done in runs.items() if done}
    if len(set(last.values())) != 1:
        raise Failed(f"the same records gave different slices, rows, amounts and hashes: {last}")


def shares(runs, way, figure):
    """Of each round, what share of the throughput the way lacks that runs without nothing: 0.03 is three percent."""
    pairs = zip(runs[WHOLE], runs[way])
    return [1 - figure(without) / figure(whole) for whole, without in pairs]


FIGURES = {"wall": lambda run: run.seconds, "cpu": lambda run: run.cpu_seconds,
           "server cpu": lambda run: run.server_cpu_seconds}


def compared(runs):
    """The rows of all ways."""
    rows = whole_guarantee(runs)
    for way in SINGLE:
        for name, figure in FIGURES.items():
            lost = 100 * statistics.median(shares(runs, way, figure))
            rows.append(Measured(f"service/{way.without[0]}/{name}", lost, unit="% less without it"))
    for label, way, other, unit in (("fsync", WHOLE, NO_FSYNC, "times that of fsync = false"),
                                    ("dedup", DEDUP, WHOLE, "times that without [dedup]")):
        rows += [Measured(f"service/{label}/{name}", median_times(runs, way, other, figure), unit=unit)
                 for name, figure in FIGURES.items()]
    return rows


def whole_guarantee(runs):
    """All parts together: of the throughput, which has a target, and of CPU."""
    rows = [Measured("service/load/wall", statistics.median(run.seconds for run in runs[WHOLE]), unit="s")]
    for label, name, unit in (("service/guarantee", "wall", "% of throughput"),
                              ("service/guarantee/cpu", "cpu", "% of CPU")):
        lost = shares(runs, BARE, FIGURES[name])
        rows += [Measured(label, 100 * statistics.median(lost), unit=unit), *surely(label, lost)]
    return rows


def surely(label, lost):
    """Between what the share lies with 99 % confidence, where there are rounds enough to say."""
    try:
        interval = stats.interval([-math.log1p(-one) for one in lost])
    except ValueError:
        return []
    # From a ratio of times back to a share of the whole.
    ends = {"at least": interval.low, "at most": interval.high}
    return [Measured(f"{label}, {which}", 100 * end / (1 + end), unit="% with 99 % confidence")
            for which, end in ends.items()]


def median_times(runs, way, other, figure):
    """How many times the cost of `other` is that of `way`: the median of the rounds' ratios."""
    return statistics.median(figure(mine) / figure(its) for mine, its in zip(runs[way], runs[other]))
