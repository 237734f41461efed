#!/usr/bin/env python3
"""The demo: a million encrypted records of eight products, from raw bytes to verified answers.

Generates the records, loads them into a real ClickHouse, asks for new users and GMV by the minute, and compares every
answer with those that the generator computed by itself. `demo.py --explore` opens what was loaded until Ctrl-C.
Needs Python 3 alone; `make demo` builds what it runs.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO = pathlib.Path(os.environ.get("LONGSHORE_DEMO", ROOT / "target" / "demo"))
CONFIG = "fixtures/demo/longshore.toml"
LONGSHORE = "target/release/longshore"
LOGGEN = "target/release/loggen"
START_SECONDS_MAX = 60

QUERIES = [
    (
        "New users a minute brought by each channel, the best minutes of the day",
        """SELECT product, channel, minute, new_users
FROM longshore.new_users_by_minute
ORDER BY new_users DESC, product, channel, minute LIMIT 5""",
    ),
    (
        "GMV by product, to the cent",
        """SELECT product, sum(orders) AS orders, sum(amount) AS gmv
FROM longshore.gmv_by_minute GROUP BY product ORDER BY gmv DESC""",
    ),
    (
        "GMV of one minute by channel",
        """SELECT minute, channel, orders, amount AS gmv, buyers
FROM longshore.gmv_by_minute
WHERE product = 'p01' AND minute = '2026-11-20 08:30:00'
ORDER BY gmv DESC LIMIT 5""",
    ),
]


def say(text):
    """A headline."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}", flush=True)


def run(*command):
    """Runs a command of ours in the repository; its failure ends the demo."""
    print("$ " + " ".join(str(part) for part in command), flush=True)
    finished = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment(), check=False)
    if finished.returncode != 0:
        sys.exit(f"demo: {command[0]} failed with exit code {finished.returncode}")


def environment():
    """Ours, with the demo's folder for the config to name."""
    return {**os.environ, "LONGSHORE_DEMO": str(DEMO)}


class ClickHouse:
    """`longshore clickhouse`, running as long as the `with` block."""

    def __init__(self, *options):
        self.options = options
        self.process = None
        self.url = self.password = self.page = self.command = None
        self.user = "analyst"

    def __enter__(self):
        log = DEMO / "clickhouse.out"
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [LONGSHORE, "--quiet", "clickhouse", "-c", CONFIG, *self.options], cwd=ROOT, env=environment(), stdout=out
            )
        try:
            self.wait_for_url(log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_for_url(self, log):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            text = log.read_text()
            if "Ctrl-C stops it." in text:
                self.read(text)
                return
            if self.process.poll() is not None:
                sys.exit(f"demo: ClickHouse did not start: {text.strip()}")
            time.sleep(0.05)
        sys.exit(f"demo: ClickHouse was not up after {START_SECONDS_MAX} s")

    def read(self, text):
        """Where it is and how to log in, from what it printed."""
        self.url = re.search(r"HTTP on (\S+),", text).group(1)
        self.page = re.search(r"web page:\s+open (.+) in a browser", text).group(1)
        self.command = re.search(r"SQL:\s+(.+)", text).group(1)
        credentials = pathlib.Path(re.search(r"passwords:\s+(.+)", text).group(1)).read_text()
        self.password = re.search(r'analyst_password = "(.+)"', credentials).group(1)

    def ask(self, query):
        """The answer as ClickHouse draws it, and how long it took, in milliseconds."""
        headers = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password}
        request = urllib.request.Request(self.url, f"{query}\nFORMAT PrettyCompactNoEscapes".encode(), headers)
        started = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = response.read().decode()
        return answer, (time.monotonic() - started) * 1e3

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)


def hints(clickhouse, command):
    """Where to go on from here."""
    port = urllib.parse.urlsplit(clickhouse.url).port
    say("Try it yourself")
    print(f"{command}, then open the page in a browser, or send SQL by the command. Both log in as `{clickhouse.user}`,")
    print("who reads and changes nothing.\n")
    print(f"  {clickhouse.page}")
    print(f"  {clickhouse.command}\n")
    print("Three queries to start with:\n")
    for _, query in QUERIES:
        print("  " + query.replace("\n", "\n  ") + ";\n")
    return port


def demo(records):
    """All of it, from nothing."""
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    sealed = DEMO / "channel-log.sealed"

    say(f"1. Generate {records:,} channel-log records of 8 products, sealed with AES-256-GCM")
    run(
        LOGGEN, "--records", records, "--products", 8, "--seed", 7, "--broken-rate", 0.0005,
        "--encrypt", "aes-256-gcm", "--envelope", "tab", "--keyring", DEMO / "keyring.toml",
        "--products-file", DEMO / "products.csv", "--expect", DEMO / "expected", "--out", sealed,
    )  # fmt: skip
    with open(sealed, "rb") as file:
        print("a record as it comes in:  " + file.read(100).decode() + "...")

    say("2. Load: decrypt, parse, look the product up, insert; rollups fill as the rows arrive")
    run(LONGSHORE, "load", "-c", CONFIG)

    say("3. Ask ClickHouse")
    with ClickHouse() as clickhouse:
        for title, query in QUERIES:
            _, first = clickhouse.ask(query)
            answer, again = clickhouse.ask(query)
            print(f"{title} ({first:.0f} ms by a server just started, then {again:.0f} ms):\n{answer}")

        say("4. Compare every answer with the generator's own")
        os.environ["LONGSHORE_ANALYST_PASSWORD"] = clickhouse.password
        run(
            sys.executable, "tools/verify/verify.py", "--url", clickhouse.url, "--user", clickhouse.user,
            "--password-env", "LONGSHORE_ANALYST_PASSWORD", "--database", "longshore", "--expect", DEMO / "expected",
        )  # fmt: skip
        port = hints(clickhouse, "Run `make explore`")
        (DEMO / "http_port").write_text(str(port))
    print(f"The demo took {time.monotonic() - started:.0f} s.")


def explore():
    """Opens what the demo loaded, at the address that it told."""
    port = DEMO / "http_port"
    if not port.exists():
        sys.exit("demo: nothing was loaded yet; run `make demo` first")
    with ClickHouse("--http-port", port.read_text()) as clickhouse:
        hints(clickhouse, "ClickHouse is running")
        print("Ctrl-C stops it.", flush=True)
        clickhouse.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--explore", action="store_true", help="open what was loaded, until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        explore() if options.explore else demo(options.records)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
