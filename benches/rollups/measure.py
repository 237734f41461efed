#!/usr/bin/env python3
"""What rollups cost.

    measure.py CONFIG INPUT [--longshore PATH] [--data DIR] [--runs N]

Loads INPUT into an empty embedded ClickHouse with CONFIG as it is declared, without its rollups and with them. The two
take turns, so that what else the machine does falls
on both. CPU seconds are those of longshore and of the server it starts, from start to stop, merges that run
meanwhile included. Prints medians, and what the rollups add.

CONFIG must have a [clickhouse] section with a key `database`, and [clickhouse.embedded] with
`data = "${LONGSHORE_BENCH_DATA:-...}"`, as the config of the end-to-end bench has.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def variants(text):
    start, end = text.index("[[rollup]]"), text.index("[clickhouse]")
    return {"none": text[:start] + text[end:], "all": text}


def load(longshore, config, log, data):
    environment = dict(os.environ, LONGSHORE_BENCH_DATA=str(data))
    command = [longshore, "load", "--quiet", "--json", "-c", config, log]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"longshore failed: {status}")
    report = json.loads(out)
    return usage.ru_utime + usage.ru_stime, report["seconds"], report["peak_resident_bytes"] / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("input")
    parser.add_argument("--longshore", default=ROOT / "target/release/longshore")
    parser.add_argument("--data", help="where the servers' folders go, such as a tmpfs")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()

    ways = variants(arguments.config.read_text())
    folder = arguments.config.resolve().parent
    runs = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(dir=arguments.data) as data:
        configs = {}
        for way, text in ways.items():
            # Paths in a config are relative to its folder.
            absolute = re.sub(r'"((?:products|keyring)\.\w+)"', lambda found: f'"{folder / found[1]}"', text)
            configs[way] = pathlib.Path(data) / f"{way}.toml"
            configs[way].write_text(absolute)
        for run in range(arguments.runs):
            for way, config in configs.items():
                server = pathlib.Path(data) / f"{way}-{run}"
                runs[way].append(load(arguments.longshore, config, arguments.input, server))
                subprocess.run(["rm", "-rf", server], check=True)

    print(f"{'rollups':<8} {'CPU s':>7} {'added':>7} {'wall s':>7} {'added':>7} {'peak MiB':>9}   medians of {arguments.runs}")
    medians = {way: [statistics.median(figures) for figures in zip(*runs[way])] for way in ways}
    for way, (cpu, wall, memory) in medians.items():
        base_cpu, base_wall, _ = medians["none"]
        print(f"{way:<8} {cpu:7.2f} {cpu - base_cpu:7.2f} {wall:7.2f} {wall - base_wall:7.2f} {memory:9.0f}")


if __name__ == "__main__":
    main()
