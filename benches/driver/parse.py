"""The parse targets: one core, from memory, MB of input a CPU second."""
import statistics

from contestant import Contestant, Failed, median_ratio, take_turns
from report import Absent, Measured

# Rows of the table, each with the workload whose file is parsed.
AGAINST_ARROW = ["channel-log", "off-template", "shuffled-keys", "ad-event", "nested"]
# Peers that do less than we do, measured on the plain log for the reader.
OTHER_PEERS = ["sonic-rs", "simd-json"]
# About 40 to 60 MB each.
RECORDS = {"channel-log": 120_000, "off-template": 120_000, "shuffled-keys": 120_000, "ad-event": 200_000,
           "nested": 60_000, "wide-5": 20_000}


class Parse:
    """Files, commands and how long to measure."""

    def __init__(self, bench):
        self.bench = bench
        self.files = {}

    def file(self, workload):
        """The workload's file, generated once a run: a generator that changed must not leave an old file behind."""
        if workload not in self.files:
            folder = self.bench.folder / "parse"
            folder.mkdir(parents=True, exist_ok=True)
            records = self.bench.scaled(RECORDS[workload])
            path = folder / f"{workload}.log"
            self.bench.run([self.bench.runner, "generate", workload, "--records", records, "--out", path])
            self.files[workload] = path
        return self.files[workload]

    def ours(self, workload, file, *options):
        """Longshore's parser, checked against its twin."""
        return Contestant("longshore", [self.bench.runner, "parse", workload, file, "--check", *options])

    def peer(self, peer, workload, file):
        """A Rust peer."""
        return Contestant(peer, [self.bench.peers, peer, workload, file])

    def measure(self):
        """All rows."""
        outcomes = []
        for workload in AGAINST_ARROW:
            outcomes += self.against_peers(workload)
        outcomes.append(self.wide())
        outcomes.append(self.avx2())
        return outcomes

    def against_peers(self, workload):
        """Ours and arrow-json, on the plain log the other peers too."""
        file = self.file(workload)
        if not self.bench.peers:
            return [self.alone(workload, file)]
        names = ["arrow-json"] + (OTHER_PEERS if workload == "channel-log" else [])
        contestants = [self.ours(workload, file)]
        try:
            contestants += [self.peer(name, workload, file) for name in names]
            for peer in contestants[1:]:
                check_peer(contestants[0].about, peer)
            rates = take_turns(contestants, self.bench.rounds, self.bench.seconds)
        finally:
            for contestant in contestants:
                contestant.close()
        outcomes = [measured(f"parse/{workload}", rates[0], rates[1])]
        for name, theirs in zip(names[1:], rates[2:]):
            outcomes.append(measured(f"parse/{workload} and {name}", rates[0], theirs, "MB/s a core", name))
        return outcomes

    def alone(self, workload, file):
        """Ours without a rival: the answer is checked, nothing is compared."""
        contestant = self.ours(workload, file)
        try:
            take_turns([contestant], self.bench.rounds, self.bench.seconds)
        finally:
            contestant.close()
        return Absent(f"parse/{workload}", "run without the peers")

    def wide(self):
        """Five declared columns against all hundred, by the input's bytes."""
        file = self.file("wide-5")
        return self.own_two("parse/wide-5-of-100", self.ours("wide-5", file), self.ours("wide-100", file))

    def avx2(self):
        """The kernels of AVX2 against those of AVX-512, where the machine has both."""
        if not self.bench.has_kernels("avx512"):
            return Absent("parse/avx2", "this machine has no AVX-512 to compare with")
        file = self.file("channel-log")
        kernels = [self.ours("channel-log", file, "--kernels", name) for name in ("avx2", "avx512")]
        return self.own_two("parse/avx2", *kernels)

    def own_two(self, name, ours, other):
        """Two of our own."""
        try:
            rates = take_turns([ours, other], self.bench.rounds, self.bench.seconds)
        finally:
            ours.close()
            other.close()
        return measured(name, *rates)


def measured(name, ours, theirs, unit="", rival=""):
    """Medians of two lists of rates."""
    return Measured(name, statistics.median(ours), statistics.median(theirs), median_ratio(ours, theirs), unit, rival)


def check_peer(ours, peer):
    """A peer must have parsed the same records; where its type is ours, its sums must be ours too."""
    theirs = peer.about
    if (theirs["records"], theirs["bytes"]) != (ours["records"], ours["bytes"]):
        raise Failed(f"{peer.name} found {theirs['records']} records in {theirs['bytes']} bytes, "
                     f"longshore {ours['records']} in {ours['bytes']}")
    same_type = 0
    for name, sums in theirs["columns"].items():
        mine = ours["columns"].get(name)
        if mine is None or kind(mine) != kind(sums):
            continue
        same_type += 1
        if mine != sums:
            raise Failed(f"column {name}: {peer.name} sums up to {sums}, longshore to {mine}")
    if theirs["columns"] and same_type == 0:
        raise Failed(f"{peer.name} has no column in common with longshore")


def kind(sums):
    """Which of text, integers and floats a column holds: those whose sum is not zero."""
    text_bytes, number, fraction = sums
    return text_bytes != 0, number != "0", fraction != 0
