"""The targets: what is measured, against what, and how much it must be. The cause is shown where a target is missed."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A row of the table. Exactly one of the three bounds is given."""
    name: str
    unit: str
    # What it is compared with; empty if the bound is absolute.
    rival: str = ""
    # The ratio to the rival must be at least this; for seconds the ratio is the rival's over ours.
    ratio_min: float | None = None
    # The value itself must be at least, or at most, this.
    value_min: float | None = None
    value_max: float | None = None
    # What limits it, one sentence, for a target that is missed.
    cause: str = "not known yet: profile it"

    @property
    def less_is_better(self):
        """Seconds and bytes are costs."""
        return self.unit in ("s", "CPU s", "MiB")


ARROW = "arrow-json"
CLICKHOUSE = "ClickHouse: JSONEachRow"
CLICKHOUSE_VIEWS = "ClickHouse: with three views"
CLICKHOUSE_DECRYPT = "ClickHouse: decrypt()"

TARGETS = [
    Target("parse/channel-log", "MB/s a core", ARROW, ratio_min=10,
           cause="instructions, spread wide: the walk 24 to 30 %, the index 9 to 11, shapes of props 9 to 11, copying text 7 to 8, "
                 "looking words up 7 to 8, the rest below 5 each (perf, cpu-clock)"),
    Target("parse/off-template", "MB/s a core", ARROW, ratio_min=8,
           cause="as the channel log"),
    Target("parse/shuffled-keys", "MB/s a core", ARROW, ratio_min=4,
           cause="a key in another place costs failed guesses, a hash and branches that nothing foretells"),
    Target("parse/wide-5-of-100", "MB/s a core", "own, all 100 columns", ratio_min=2,
           cause="the walk is half of it: a field nobody wants still costs its key's comparison and its end's look-up; the "
                 "rest is the index and UTF-8, which all 100 columns pay as well (perf)"),
    Target("parse/ad-event", "MB/s a core", ARROW, ratio_min=6,
           cause="seven strings are all there is, and arrow-json is at its best on them: the walk a quarter, the index a "
                 "fifth, copying text a seventh, the loop over records a twelfth (perf)"),
    Target("parse/nested", "MB/s a core", ARROW, ratio_min=4),
    Target("parse/avx2", "MB/s a core", "own, AVX-512", ratio_min=0.5),
    Target("load/plain/cpu", "CPU s", CLICKHOUSE, ratio_min=3,
           cause="the server's inserts alone are 1.8 to 2.1 CPU s, nearly all that the target leaves: LZ4, reading Arrow, "
                 "and nearly half in the kernel, most of it fresh pages for the parts' files (perf, benches/NOTES.md); the "
                 "engine takes 0.7 besides, and 0.4 to 1.1 in the kernel, most of it first touches of its memory"),
    Target("load/plain/wall", "s", CLICKHOUSE, ratio_min=3,
           cause="both cores are busy: the CPU seconds above"),
    Target("load/rollups/cpu", "CPU s", CLICKHOUSE_VIEWS, ratio_min=3.2,
           cause="as without rollups, and 1.1 CPU s of the server for some 150 small parts of states, two thirds of it in "
                 "the kernel for their files, and 0.3 of the engine for aggregating"),
    Target("load/rollups/wall", "s", CLICKHOUSE_VIEWS, ratio_min=3.2,
           cause="both cores are busy: the CPU seconds above"),
    Target("load/sealed/cpu", "CPU s", CLICKHOUSE_DECRYPT, ratio_min=2.2,
           cause="the server's inserts, as for plain lines, and a merge begins with the 39th of 41 or more"),
    Target("load/sealed/wall", "s", CLICKHOUSE_DECRYPT, ratio_min=2.2,
           cause="both cores are busy: the CPU seconds above"),
    Target("load/sealed-to-plain", "records/s", "own, plain", ratio_min=0.85,
           cause="opening a record takes 146 ns, 108 of them the AEAD (longshore bench), and plain records have become cheaper"),
    Target("load/memory", "MiB", value_max=512),
    Target("engine/no-io-uring", "MB/s", "own, io_uring", ratio_min=0.95,
           cause="runs of one reader differ by a tenth: it was 0.90 and 1.09 within ten minutes"),
    Target("engine/alone", "GB/s a core", value_min=1,
           cause="bringing the sorted rows to their places, bound by memory, and first touches of it"),
    Target("service/guarantee", "% of throughput", value_max=3,
           cause="runs of two seconds differ by a tenth and more from each other: 31 rounds had 2.36 s on average with it and "
                 "2.36 s without, and a standard error of 2.9 %; the journal by itself is 0.2 % (service/journal/share)"),
    Target("service/first-insert", "s", value_max=2),
    Target("service/idle/memory", "MiB more than for one file", value_max=64),
    Target("service/idle/cpu", "% of a core", value_max=1),
    Target("service/topics", "records/s", "the less of files and the broker", ratio_min=0.7,
           cause="both cores are busy: beside what files cost the client takes 2.2 CPU seconds for 2,000,000 messages even if "
                 "it throws them away, most of it decompressing, and keeping them 1 to 2 more"),
]
BY_NAME = {target.name: target for target in TARGETS}
