"""Tests of the drivers' arithmetic: verdicts, intervals, the table. The measurements themselves are run small by
`bench.py --quick` and `service.py --quick`."""
import dataclasses
import json
import math
import pathlib
import random
import tempfile
import tomllib
import unittest

import compare
import follow
import guarantee
import inputs
import link_layouts
import parse
import report
import stats
import watching_proxy
from contestant import Failed, median_ratio, pass_rate
from report import Absent, Measured
from targets import TARGETS


class Intervals(unittest.TestCase):
    def test_cuts_are_those_of_the_signed_rank_tables(self):
        # Two-sided 1 %: critical values of any table of Wilcoxon's signed-rank test.
        for n, critical in ((8, 0), (9, 1), (10, 3), (12, 7), (15, 15), (20, 37)):
            self.assertEqual(stats.signed_rank_cut(n, 0.005), critical, n)

    def test_seven_samples_cannot_be_99_percent_sure(self):
        # 2 of 128 sign patterns are as extreme as can be: 1.6 %.
        with self.assertRaises(ValueError):
            stats.interval([0.03] * 7)

    def test_the_estimate_is_the_median_of_the_averages_of_pairs(self):
        samples = [math.log1p(x / 100) for x in (1, 2, 3, 4, 5, 6, 7, 80)]
        found = stats.interval(samples)
        # One wild sample of eight moves the estimate by half a percent; the mean would move by nine.
        self.assertTrue(0.035 < found.estimate < 0.06, found)
        self.assertAlmostEqual(found.low, 0.01)
        self.assertAlmostEqual(found.high, 0.80)

    def test_noise_like_that_of_a_busy_machine_hides_no_three_percent_and_invents_none(self):
        noise = random.Random(1)
        verdicts = {0.0: [], 0.03: []}
        for effect, found in verdicts.items():
            for _ in range(200):
                # The mean of two rounds of 2 %, each sixth one disturbed.
                samples = [math.log1p(effect) + noise.gauss(0, 0.014) * (3 if noise.random() < 1 / 6 else 1)
                           for _ in range(compare.LAYOUTS)]
                found.append(stats.interval(samples).verdict())
        self.assertGreaterEqual(verdicts[0.03].count("slower"), 190)
        self.assertNotIn("faster", verdicts[0.03])
        self.assertGreaterEqual(verdicts[0.0].count("no difference"), 198)


class Verdicts(unittest.TestCase):
    def test_zero_must_be_outside_and_the_effect_worth_a_word(self):
        for (estimate, low, high), verdict in (
            ((0.03, 0.02, 0.04), "slower"),
            ((0.03, -0.001, 0.06), "no difference"),
            ((0.009, 0.008, 0.0095), "no difference"),
            ((-0.02, -0.03, -0.01), "faster"),
            ((-0.02, -0.05, 0.01), "no difference"),
        ):
            self.assertEqual(stats.Interval(estimate, low, high).verdict(), verdict)


class Layouts(unittest.TestCase):
    def test_an_order_follows_from_the_seed_and_the_plain_name(self):
        first = "_ZN4core4sort17h0123456789abcdefE"
        again = "_ZN4core4sort17hfedcba9876543210E.llvm.123"
        self.assertEqual(link_layouts.place("1", first)[0], link_layouts.place("1", again)[0])
        self.assertNotEqual(link_layouts.place("1", first)[0], link_layouts.place("2", first)[0])
        self.assertNotEqual(link_layouts.place("1", first)[0], link_layouts.place("1", "main")[0])


class Table(unittest.TestCase):
    def test_a_ratio_decides_where_there_is_a_rival_and_the_value_elsewhere(self):
        cases = [
            (Measured("parse/channel-log", 5_000, 500, 10.0), 10, True),
            (Measured("parse/channel-log", 5_000, 501, 9.98), 10, False),
            (Measured("load/memory", 512.0), 512, True),
            (Measured("load/memory", 513.0), 512, False),
            (Measured("engine/alone", 0.99), 1, False),
            (Absent("parse/avx2", "no AVX-512"), 0.5, None),
            (Measured("something else", 1.0, unit="s"), None, None),
        ]
        for outcome, target, passed in cases:
            row = report.row(outcome)
            self.assertEqual((row["target"], row["pass"]), (target, passed), outcome)

    def test_a_missed_target_shows_its_cause(self):
        rows = report.rows([Measured("load/memory", 513.0), Absent("parse/avx2", "no AVX-512")])
        text = report.table(rows)
        self.assertIn("load/memory: ", text)
        self.assertIn("parse/avx2: no AVX-512", text)
        self.assertIn("MISSED", text)
        self.assertEqual([row["name"] for row in rows], ["parse/avx2", "load/memory"], "in the targets' order")

    def test_every_target_has_one_bound_and_a_rival_if_it_is_a_ratio(self):
        for target in TARGETS:
            bounds = [target.ratio_min, target.value_min, target.value_max]
            self.assertEqual(sum(bound is not None for bound in bounds), 1, target.name)
            self.assertEqual(target.ratio_min is not None, bool(target.rival), target.name)

    def test_latest_keeps_what_a_run_did_not_measure(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for outcomes in ([Measured("load/memory", 300.0), Measured("engine/alone", 1.5)],
                             [Measured("load/memory", 200.0)]):
                report.write(report.rows(outcomes), {"revision": "abc"}, folder)
            latest = {row["name"]: row["value"] for row in json.loads((folder / "latest.json").read_text())}
            self.assertEqual(latest, {"load/memory": 200.0, "engine/alone": 1.5})
            self.assertEqual(len((folder / "runs.jsonl").read_text().splitlines()), 2)


class Peers(unittest.TestCase):
    OURS = {"records": 3, "bytes": 90, "columns": {"user": [12, "0", 0.0], "ts": [0, "77", 0.0], "id": [0, "0", 0.0]}}

    def check(self, **theirs):
        class Peer:
            name = "peer"
            about = {**self.OURS, **theirs}
        parse.check_peer(self.OURS, Peer)

    def test_the_same_sums_pass_and_other_types_are_left_out(self):
        self.check(columns={"user": [12, "0", 0.0], "id": [36, "0", 0.0], "unknown": [5, "0", 0.0]})
        self.check(columns={})

    def test_a_wrong_sum_or_count_is_an_error(self):
        for wrong in ({"records": 2}, {"bytes": 91}, {"columns": {"user": [13, "0", 0.0]}},
                      {"columns": {"ts": [0, "78", 0.0]}}, {"columns": {"other": [1, "0", 0.0]}}):
            with self.assertRaises(Failed, msg=str(wrong)):
                self.check(**wrong)

    def test_rates_are_of_the_median_pass_and_ratios_of_the_same_round(self):
        self.assertEqual(pass_rate({"bytes": 6_000_000, "passes_cpu_seconds": [0.5, 2.0, 3.0]}), 3.0)
        # 20/10, 9/3, 40/10: each round against its own.
        self.assertEqual(median_ratio([20, 9, 40], [10, 3, 10]), 3.0)


class Splitting(unittest.TestCase):
    def test_parts_hold_whole_lines_and_together_everything(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            whole = folder / "whole"
            lines = [b"%d %s\n" % (number, b"x" * (number % 37)) for number in range(1_000)]
            whole.write_bytes(b"".join(lines))
            parts = [folder / str(part) for part in range(4)]
            inputs.split(whole, parts)
            contents = [part.read_bytes() for part in parts]
            self.assertEqual(b"".join(contents), whole.read_bytes())
            for content in contents:
                self.assertTrue(content.endswith(b"\n") and len(content) > 4_000)


class GuaranteeCosts(unittest.TestCase):
    @staticmethod
    def runs(seconds):
        return [guarantee.Run(one, one, one, 32, ("rows",)) for one in seconds]

    def test_a_share_is_of_the_throughput_and_of_the_same_round(self):
        runs = {guarantee.WHOLE: self.runs([4.0, 8.0]), guarantee.BARE: self.runs([3.0, 8.0])}
        self.assertEqual(guarantee.shares(runs, guarantee.BARE, lambda run: run.seconds), [0.25, 0.0])

    def test_the_interval_holds_the_share_and_few_rounds_have_none(self):
        noise = random.Random(2)
        lost = [0.03 + noise.gauss(0, 0.01) for _ in range(12)]
        low, high = (row.value for row in guarantee.surely("x", lost))
        self.assertTrue(1 < low < 3 < high < 5, (low, high))
        self.assertEqual(guarantee.surely("x", lost[:5]), [])

    def test_the_pair_with_a_target_is_in_every_round_and_takes_turns(self):
        orders = [guarantee.order(turn) for turn in range(guarantee.ROUNDS_OTHERS + 2)]
        self.assertEqual(sorted(way.name for way in orders[0]), sorted(way.name for way in guarantee.WAYS))
        self.assertEqual(orders[0][:2], orders[1][:2][::-1])
        self.assertEqual(len(orders[-1]), 2)

    def test_ways_that_stored_other_rows_are_an_error(self):
        runs = {guarantee.WHOLE: self.runs([1.0]), guarantee.BARE: self.runs([1.0])}
        guarantee.check_same(runs)
        runs[guarantee.BARE] = [dataclasses.replace(one, slices=33) for one in runs[guarantee.BARE]]
        with self.assertRaises(Failed):
            guarantee.check_same(runs)


class Following(unittest.TestCase):
    TEXT = 'version = 1\n[products]\ncolumn = "product"\ndictionary = "a.csv"\nunknown = "default"\n[clickhouse]\nurl = "u"\n'

    def test_a_service_has_a_journal_sources_and_what_was_asked_for(self):
        text = follow.service_config(self.TEXT, pathlib.Path("/x"), ["/y/*.log"], 9464, fsync=False, dedup=("ts", "id"))
        config = tomllib.loads(text)
        self.assertEqual(config["clickhouse"], {"url": "u", "fsync": False, "guarantee": "at-least-once"})
        self.assertEqual(config["run"], {"journal": "/x/journal", "slice_age": "100ms", "metrics": "127.0.0.1:9464"})
        self.assertEqual(config["dedup"], {"key": ["ts", "id"]})
        self.assertEqual(config["source"], [{"name": "app", "paths": ["/y/*.log"]}])
        plain = tomllib.loads(follow.service_config(self.TEXT, pathlib.Path("/x"), ["/y"]))
        self.assertEqual((plain["clickhouse"], "dedup" in plain), ({"url": "u"}, False))

    def test_without_a_dictionary_every_product_is_known(self):
        self.assertEqual(tomllib.loads(follow.without_dictionary(self.TEXT))["products"], {"column": "product"})

    def test_metrics_of_one_name_are_summed(self):
        text = "# HELP x y\nlongshore_records_total{source=\"a b\"} 3\nlongshore_records_total{source=\"b\"} 4\nup 1\n# EOF\n"
        self.assertEqual(follow.sums_by_name(text), {"longshore_records_total": 7.0, "up": 1.0})

    def test_memory_is_in_mebibytes(self):
        self.assertEqual(follow.memory_mebibytes("VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n", "VmRSS"), 2.0)
        with self.assertRaises(Failed):
            follow.memory_mebibytes("VmHWM:\t 9 kB\n", "VmRSS")

    def test_an_insert_is_seen_though_it_comes_in_pieces(self):
        search = watching_proxy.Search()
        self.assertFalse(search.finds(b"POST /?query=SELECT+1 HTTP/1.1\r\nPOST /?query=INSE"))
        self.assertTrue(search.finds(b"RT+INTO+%60longshore%60"))
        self.assertFalse(watching_proxy.Search().finds(b"event = 'InsertQuery'"))


if __name__ == "__main__":
    unittest.main()
