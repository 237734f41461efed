"""The engine without a server: from files in the page cache to Arrow streams that go nowhere."""
import statistics

from contestant import Contestant, Failed, median_ratio, take_turns
from inputs import Inputs
from load import RECORDS
from report import Absent, Measured

# Turns of each reader for each round: they differ by less than one run from the next.
READER_TURNS = 3


class Engine:
    """The plain channel log through the whole pipeline."""

    def __init__(self, bench):
        self.bench = bench
        self.inputs = Inputs(bench, "plain", bench.scaled(RECORDS), False, False)

    def contestant(self, name, *options):
        """The pipeline as a contestant."""
        return Contestant(name, [self.bench.runner, "engine", *options, self.inputs.config(None), *self.inputs.files])

    def measure(self):
        """All rows."""
        return [self.alone(), self.readers()]

    def alone(self):
        """GB of input a CPU second, all threads: reading, parsing, sorting, encoding."""
        engine = self.contestant("engine")
        try:
            [rates] = take_turns([engine], self.bench.rounds, 0, self.checked(lambda run: run["cpu_seconds"]))
        finally:
            engine.close()
        return Measured("engine/alone", statistics.median(rates) / 1e3)

    def readers(self):
        """Wall rates with and without io_uring."""
        if not self.bench.has_io_uring():
            return Absent("engine/no-io-uring", "io_uring is refused here, so there is nothing to compare with")
        readers = [self.contestant(name, "--reader", name) for name in ("pread", "io_uring")]
        try:
            rates = take_turns(readers, self.bench.rounds * READER_TURNS, 0, self.checked(lambda run: run["seconds"]))
        finally:
            for reader in readers:
                reader.close()
        return Measured("engine/no-io-uring", *map(statistics.median, rates), median_ratio(*rates))

    def checked(self, seconds):
        """MB a second of a run, once its counts were found right."""
        def rate(run):
            expected = self.inputs.summary
            if (run["records"], run["by_product"]) != (expected["loaded"], expected["loaded_by_product"]):
                raise Failed(f"the engine made {run['records']} rows, {run['by_product']}, expected {expected}")
            return run["bytes"] / 1e6 / seconds(run)
        return rate
