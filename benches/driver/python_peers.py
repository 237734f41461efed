#!/usr/bin/env python3
"""Polars and DuckDB on the channel log, beside the engine: files in the page cache, all cores, wall seconds.

They are measured to be read; no target depends on them. Their packages are installed from PyPI, at pinned versions, into
target/bench/venv; where that fails, this says why and ends well.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/bench"
PACKAGES = ["polars==2.1.0", "duckdb==2.0.0"]
RECORDS = 500_000
ROUNDS = 5
# Each is run as a program of its own: `python -c PROGRAM FILE` prints the rows and the sum of `amount`.
PROGRAMS = {
    "polars": """
import polars, sys
frame = polars.read_ndjson(sys.argv[1])
print(frame.height, round(frame["amount"].cast(polars.Float64).sum(), 2))
""",
    "duckdb": """
import duckdb, sys
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
connection.execute(f'''CREATE TABLE t AS SELECT * FROM read_ndjson('{sys.argv[1]}', columns={
    {**dict.fromkeys("event product channel user_id device_id ip os app_version country page referrer order_id "
                     "currency".split(), "VARCHAR"),
     "ts": "BIGINT", "session_id": "UUID", "props": "JSON", "amount": "DECIMAL(18,2)"}})''')
print(*connection.execute("SELECT count(*), sum(amount) FROM t").fetchall()[0])
""",
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = FOLDER / "venv/bin/python"
    if not python.exists():
        venv.create(FOLDER / "venv", with_pip=True)
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *PACKAGES],
                               capture_output=True, text=True)
    if installed.returncode != 0:
        print(f"skipped: Polars and DuckDB cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
        return 0
    log = FOLDER / "python-peers.log"
    runner = ROOT / "target/release/runner"
    subprocess.run([runner, "generate", "channel-log", "--records", str(RECORDS), "--out", log], check=True)
    config = FOLDER / "python-peers.toml"
    config.write_text((ROOT / "benches/configs/channel-log.toml").read_text(encoding="utf-8"), encoding="utf-8")
    megabytes = log.stat().st_size / 1e6

    rates = {name: [] for name in ("longshore, to Arrow", *PROGRAMS)}
    answers = {}
    for _ in range(ROUNDS):
        done = subprocess.run([runner, "engine", config, log], input="run 0\n", capture_output=True, text=True, check=True)
        run = json.loads(done.stdout.splitlines()[1])
        answers["longshore"] = run["records"]
        rates["longshore, to Arrow"].append(megabytes / run["seconds"])
        for name, program in PROGRAMS.items():
            start = time.monotonic()
            done = subprocess.run([python, "-c", program, log], capture_output=True, text=True)
            if done.returncode != 0:
                print(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
                return 1
            rates[name].append(megabytes / (time.monotonic() - start))
            answers[name] = done.stdout.split()
    rows = {int(answers["longshore"])} | {int(answers[name][0]) for name in PROGRAMS}
    sums = {round(float(answers[name][1]), 2) for name in PROGRAMS}
    if rows != {RECORDS} or len(sums) != 1:
        print(f"the answers differ: {answers}")
        return 1
    print(f"{RECORDS} channel-log records, {megabytes:.0f} MB, wall MB/s, medians of {ROUNDS}; {', '.join(PACKAGES)}, "
          "start of the program included")
    for name, values in rates.items():
        print(f"  {name:<22}{statistics.median(values):>8.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
