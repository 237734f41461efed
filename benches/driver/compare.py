#!/usr/bin/env python3
"""Says whether a revision made a bench slower, with 99 % confidence.

    compare.py BASE [--bench channel-log] [--head REV] [--minutes 6]
    compare.py --check

Both revisions are built, in folders of their own, the base and this checkout with its changes to tracked files. Each is
linked LAYOUTS times with its functions in another order, the same orders for both. A sample is one order: two fresh
processes, passes in the order ABBA, and the ratio of their shortest passes in CPU time. Of the estimators that were
tried on a busy machine it was the steadiest: see benches/README.md. Rounds over all orders go on until the interval is
narrow or the time is up. An effect below 1 % counts as none.

`--check` plants a slow-down of 3 % (the feature `planted` of longshore-benches: each pass decodes 3 % of its input
twice) and looks for it, and compares the same revision built twice, which must not differ.

Exit codes: 0 no difference or faster (`--check`: both as expected), 1 slower, 2 could not compare.
"""
import argparse
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from contestant import Contestant, Failed
from stats import CONFIDENCE, interval

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/compare"
LAYOUTS = 24
# One slice of the workload, so that a process is ready soon.
RECORDS = {"wide-5": 8_000, "wide-100": 8_000}
RECORDS_DEFAULT = 40_000
# A sample is so many times ABBA.
TURNS = 8
NARROW = 0.005
ROUNDS_MIN = 2


class Build:
    """One revision's programs, one for each layout."""

    def __init__(self, name, revision, features=()):
        self.name = name
        self.revision = revision
        self.features = list(features)
        self.programs = FOLDER / "-".join([name, *features])
        self.tree = FOLDER / f"{name}-tree"
        self.is_made = False

    def make(self):
        """Checks the revision out and builds it. Third-party packages are shared by both revisions."""
        if self.tree.exists():
            git("checkout", "--quiet", "--detach", "--force", self.revision, cwd=self.tree)
        else:
            git("worktree", "prune")
            git("worktree", "add", "--quiet", "--detach", self.tree, self.revision)
        main = self.tree / "benches/src/bin/runner.rs"
        if not main.exists():
            raise Failed(f"{self.revision} has no benches/src/bin/runner.rs: it is older than `make bench-compare`")
        shutil.rmtree(self.programs, ignore_errors=True)
        self.programs.mkdir(parents=True)
        # The target folder is shared by both trees, and cargo tells sources apart by time alone.
        for source in self.tree.glob("*/**/*.rs"):
            source.touch()
        environment = {**os.environ, "CARGO_TARGET_DIR": str(FOLDER / "target"),
                       "LONGSHORE_LAYOUT_FOLDER": str(self.programs),
                       "LONGSHORE_LAYOUT_SEEDS": ",".join(str(seed) for seed in range(1, LAYOUTS + 1))}
        command = ["cargo", "rustc", "--quiet", "--release", "--locked", "-p", "longshore-benches", "--bin", "runner"]
        if self.features:
            command += ["--features", ",".join(self.features)]
        # Line tables would be written once a layout, and nobody reads them.
        command += ["--", "-C", f"linker={pathlib.Path(__file__).with_name('link_layouts.py')}", "-C", "debuginfo=0",
                    "-C", "strip=debuginfo", "-C", "llvm-args=-align-all-functions=6"]
        if subprocess.run(command, cwd=self.tree, env=environment).returncode != 0:
            raise Failed(f"{self.name} ({self.revision}) does not build")
        self.is_made = True

    def layouts(self):
        """The programs; fewer than LAYOUTS where the linker cannot shuffle."""
        return sorted(self.programs.iterdir())


class Comparison:
    """Samples of one bench over two builds; greater than zero is a slower head."""

    def __init__(self, base, head, workload):
        self.workload = workload
        self.pairs = list(zip(base.layouts(), head.layouts()))
        self.samples = [[] for _ in range(LAYOUTS)]
        self.input = FOLDER / f"{workload}.log"
        generate = [base.layouts()[0], "generate", workload, "--records", str(RECORDS.get(workload, RECORDS_DEFAULT)),
                    "--out", self.input]
        if subprocess.run(generate).returncode != 0:
            raise Failed(f"the base cannot generate {workload}")

    def run(self, minutes, say):
        """Rounds over all layouts until the interval is narrow; the interval."""
        deadline = time.monotonic() + 60 * minutes
        rounds = 0
        while True:
            for index, samples in enumerate(self.samples):
                samples.append(self.sample(*self.pairs[index % len(self.pairs)]))
            rounds += 1
            found = interval([statistics.fmean(samples) for samples in self.samples])
            say(f"round {rounds}: {described(found)}")
            if rounds >= ROUNDS_MIN and (found.half_width <= NARROW or time.monotonic() > deadline):
                return found

    def sample(self, base, head):
        """Logarithm of the head's time over the base's. Both live at once, in fresh processes (each has its own
        addresses and its own pages), and take turns pass by pass, so that what disturbs one disturbs the other."""
        contestants = []
        try:
            for program in (base, head):
                contestants.append(Contestant(program, [program, "parse", self.workload, self.input]))
            if contestants[0].about["digest"] != contestants[1].about["digest"]:
                raise Failed(f"the two revisions decode {self.workload} differently")
            shortest = [math.inf, math.inf]
            for turn in range(TURNS):
                for which in (0, 1, 1, 0) if turn % 2 == 0 else (1, 0, 0, 1):
                    passes = contestants[which].run(0)["passes_cpu_seconds"]
                    # The first passes fault in the buffers.
                    shortest[which] = min(shortest[which], *passes) if turn > 0 else math.inf
            return math.log(shortest[1] / shortest[0])
        finally:
            for contestant in contestants:
                contestant.close()


def described(found):
    """An interval in words."""
    return (f"{found.estimate:+.2%} CPU time, {CONFIDENCE:.0%} sure that it is between {found.low:+.2%} and "
            f"{found.high:+.2%}")


def compare(base, head, workload, minutes):
    """Builds, measures, prints; the verdict."""
    for build in (base, head):
        if not build.is_made:
            print(f"building {build.name}, {build.revision[:12]} {' '.join(build.features)}", flush=True)
            build.make()
    found = Comparison(base, head, workload).run(minutes, lambda text: print(text, flush=True))
    verdict = found.verdict()
    print(f"{workload}: {verdict} ({described(found)})", flush=True)
    return verdict


def check(workload, minutes):
    """The two cases of the self-test."""
    revision = checkout()
    base = Build("base", revision)
    planted = compare(base, Build("head", revision, ["planted"]), workload, minutes)
    equal = compare(base, Build("head", revision), workload, minutes)
    right = (planted, equal) == ("slower", "no difference")
    print(f"planted 3 %: {planted}; equal builds: {equal}: {'as it should be' if right else 'WRONG'}")
    return 0 if right else 1


def checkout():
    """This checkout as a commit, changes to tracked files included; nothing is touched."""
    return git("stash", "create") or git("rev-parse", "HEAD")


def git(*arguments, cwd=ROOT):
    """What a git command prints."""
    done = subprocess.run(["git", *map(str, arguments)], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"git {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("base", nargs="?", help="revision to compare with")
    parser.add_argument("--head", help="revision to judge; default: this checkout")
    parser.add_argument("--bench", default="channel-log", help="name of the parse workload")
    parser.add_argument("--minutes", type=float, default=6, help="when to stop measuring, whatever is known by then")
    parser.add_argument("--check", action="store_true", help="test this tool: a planted slow-down, two equal builds")
    arguments = parser.parse_args()
    if bool(arguments.base) == arguments.check:
        parser.error("give a base revision, or --check")
    try:
        if arguments.check:
            return check(arguments.bench, arguments.minutes)
        base = git("rev-parse", "--verify", f"{arguments.base}^{{commit}}")
        head = git("rev-parse", "--verify", f"{arguments.head}^{{commit}}") if arguments.head else checkout()
        return 1 if compare(Build("base", base), Build("head", head), arguments.bench, arguments.minutes) == "slower" else 0
    except Failed as failed:
        print(f"bench-compare: {failed}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
