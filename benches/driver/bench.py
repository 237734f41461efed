#!/usr/bin/env python3
"""Runs the benches, prints one table with every target, and appends machine and results to `benches/results/`.

    bench.py [--parts parse,engine,load] [--quick] [--rounds N] [--no-peers] [--no-write]

`make bench` builds what it needs and calls this; `make bench BENCH=parse` measures one part. `--quick` runs everything
on a few thousand records: rates mean nothing then, answers are checked all the same, and nothing is written.

Exit codes: 0 measured (targets may be missed: the table says so), 1 an answer was wrong or a measurement failed.
"""
import argparse
import pathlib
import signal
import subprocess
import sys

import report
from contestant import Failed
from engine import Engine
from load import Load
from parse import Parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = {"parse": Parse, "engine": Engine, "load": Load}
ROUNDS = 7
# No command of a bench takes so long.
COMMAND_SECONDS_MAX = 1_800
# Records of a quick run, as a share of a full one.
QUICK = 200


class Bench:
    """What all parts share: programs, folder, and how much to measure."""

    def __init__(self, arguments, rounds):
        target = ROOT / "target"
        programs = target / arguments.profile
        self.runner = programs / "runner"
        self.longshore = programs / "longshore"
        self.loggen = programs / "loggen"
        self.service = programs / "service"
        self.peers = None if arguments.no_peers else target / "peers/release/longshore-peers"
        self.quick = arguments.quick
        self.folder = target / ("bench/quick" if arguments.quick else "bench")
        self.rounds = arguments.rounds or (1 if arguments.quick else rounds)
        # Of CPU time, for each contestant's turn.
        self.seconds = 0 if arguments.quick else 0.4
        self.folder.mkdir(parents=True, exist_ok=True)

    def scaled(self, records):
        """Records to measure with."""
        return records // QUICK if self.quick else records

    def run(self, command, **options):
        """Runs a command to its end."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=COMMAND_SECONDS_MAX, **options)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(words)}: not within {COMMAND_SECONDS_MAX} s") from late
        if done.returncode != 0:
            raise Failed(f"{' '.join(words)}: exit code {done.returncode}")
        return done.stdout

    def has_io_uring(self):
        """Whether this machine lets a process use io_uring."""
        return "io_uring" in self.run([self.runner, "readers"]).split()

    def has_kernels(self, name):
        """Whether this machine has the kernels of that name."""
        return name in self.run([self.runner, "kernels"]).split()


def parse_arguments(parts, about):
    parser = argparse.ArgumentParser(description=about.split("\n\n")[0])
    parser.add_argument("--parts", default=",".join(parts), help="which, of " + ", ".join(parts))
    parser.add_argument("--quick", action="store_true", help="a few thousand records: checks the benches themselves")
    parser.add_argument("--rounds", type=int, help="turns of each contestant; 5 at least for figures worth keeping")
    parser.add_argument("--no-peers", action="store_true", help="without the Rust peers")
    parser.add_argument("--no-write", action="store_true", help="leave benches/results/ as it is")
    parser.add_argument("--profile", default="release", help="folder of the programs under target/")
    return parser.parse_args()


def main(parts=PARTS, about=__doc__, rounds=ROUNDS):
    """Measures the parts that were asked for, and prints or writes what it found."""
    # So that what a bench started ends with it when it is told to end.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    arguments = parse_arguments(parts, about)
    bench = Bench(arguments, rounds)
    run = {"revision": report.revision(), "machine": report.machine(), "rounds": bench.rounds}
    outcomes = []
    try:
        for part in arguments.parts.split(","):
            if part not in parts:
                raise Failed(f"no part {part!r}; there are: {', '.join(parts)}")
            print(f"# {part}", file=sys.stderr, flush=True)
            outcomes += parts[part](bench).measure()
    except Failed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    results = report.rows(outcomes)
    if arguments.quick:
        print(f"{len(results)} measurements made, all answers right")
        return 0
    machine = run["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, revision {run['revision']}, "
          f"medians of {bench.rounds} interleaved rounds")
    print(report.table(results))
    if not arguments.no_write:
        report.write(results, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
