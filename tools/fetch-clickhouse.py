#!/usr/bin/env python3
"""Fetches ClickHouse's library once, into the cache where Longshore looks for it, and prints its path.

The library comes through npm, the package manager's own client, and must match the checksums in clickhouse.lock
beside this file. It appears in the cache whole or not at all; runs at the same time wait for each other; a run that
finds it there ends at once. Standard library only, Python 3.8 or newer.
"""

import argparse
import base64
import errno
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CHUNK_BYTES = 1 << 20
# What a full disk must still hold beside the two files.
SPARE_BYTES = 64 << 20
NETWORK_SIGNS = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


class Failure(Exception):
    """One sentence for the user."""


def say(text):
    print(f"clickhouse: {text}", file=sys.stderr, flush=True)


def megabytes(count):
    return f"{count / 1e6:.0f} MB"


def read_pins(path):
    """The version and the section of this platform; the few lines of TOML that the file uses."""
    wanted = f"{platform.system().lower()}-{platform.machine().lower()}"
    pins, section = {}, None
    for line in path.read_text().splitlines():
        line = line.split("#", 1)[0].strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and section in (None, wanted):
            name, value = (part.strip() for part in line.split("=", 1))
            pins[name] = value.strip('"') if value.startswith('"') else int(value)
    if "package" not in pins:
        raise Failure(
            f"no library is pinned for {wanted}: Longshore takes a `clickhouse` (26.6 or newer) on PATH or the library "
            "that LONGSHORE_CLICKHOUSE_LIB names, or a server that runs already (clickhouse.url in the config)"
        )
    return pins


def cache_folder(version):
    cache = os.environ.get("LONGSHORE_CACHE")
    if not cache:
        home = os.environ.get("HOME")
        user_cache = os.environ.get("XDG_CACHE_HOME") or (home and os.path.join(home, ".cache"))
        if not user_cache:
            raise Failure("neither LONGSHORE_CACHE nor HOME is set, so there is no place for the library; set one")
        cache = os.path.join(user_cache, "longshore")
    return Path(cache).absolute() / "clickhouse" / version


def is_there(library, stamp, pins):
    """True if the library is the pinned one: its digest was taken when the stamp was written, and the file has had
    the same size and the same time of change since."""
    try:
        about = library.stat()
        return stamp.read_text() == stamp_text(about, pins) and about.st_size == pins["library_bytes"]
    except OSError:
        return False


def stamp_text(about, pins):
    return f"{pins['library_sha256']} {about.st_size} {about.st_mtime_ns}\n"


def digests(path):
    sha256, sha512 = hashlib.sha256(), hashlib.sha512()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            sha256.update(chunk)
            sha512.update(chunk)
    return sha256.hexdigest(), base64.b64encode(sha512.digest()).decode()


def check_room(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise Failure(
            f"{folder} has {megabytes(free)} free and ClickHouse needs {megabytes(needed + SPARE_BYTES)}; make room, "
            "or set LONGSHORE_CACHE to a folder on another disk"
        )


def download(pins, work):
    """The package's tarball, unchecked."""
    npm = shutil.which("npm")
    if npm is None:
        raise Failure(
            "npm is not on PATH, and ClickHouse's library is fetched with it; install Node.js with npm, or set "
            "LONGSHORE_CLICKHOUSE_LIB to a libchdb.so that is here already"
        )
    spec = f"{pins['package']}@{pins['version']}"
    say(f"downloading {spec} with npm ({megabytes(pins['tarball_bytes'])}, once)")
    command = [npm, "pack", spec, "--pack-destination", str(work), "--ignore-scripts"]
    done = subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        if "ENOSPC" in said:
            raise Failure(f"the disk is full: npm could not store {spec} under {work.parent} or in its own cache")
        if any(sign in said for sign in NETWORK_SIGNS):
            raise Failure(f"npm cannot reach its registry to fetch {spec}; check the network and run this again")
        errors = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines() or ["no reason"]
        raise Failure(f"npm could not fetch {spec} (exit code {done.returncode}): {errors[0].strip()}")
    tarballs = list(work.glob("*.tgz"))
    if len(tarballs) != 1:
        raise Failure(f"npm said that it fetched {spec} but left {len(tarballs)} archives in {work}, not one")
    return tarballs[0]


def check_tarball(tarball, pins):
    say("checking it against the pinned checksums")
    sha256, sha512 = digests(tarball)
    for name, found in (("tarball_sha256", sha256), ("tarball_sha512", sha512)):
        if found != pins[name]:
            raise Failure(
                f"the archive that npm fetched is not the pinned one ({name} is {found}, tools/clickhouse.lock has "
                f"{pins[name]}); nothing was kept; if it stays so after `npm cache clean --force`, the registry serves "
                "something else, so do not use it"
            )


def unpack(tarball, pins, library):
    """Unpacks the library beside its place, checks it, and moves it there."""
    say(f"unpacking the library ({megabytes(pins['library_bytes'])})")
    partial = tarball.parent / "libchdb.so"
    sha256 = hashlib.sha256()
    with tarfile.open(tarball) as archive, open(partial, "wb") as out:
        with archive.extractfile(pins["member"]) as member:
            for chunk in iter(lambda: member.read(CHUNK_BYTES), b""):
                sha256.update(chunk)
                out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if sha256.hexdigest() != pins["library_sha256"]:
        raise Failure(f"{pins['member']} in the archive is not the pinned one; nothing was kept")
    os.replace(partial, library)


def fetch(pins, folder):
    library, stamp = folder / "libchdb.so", folder / "libchdb.so.stamp"
    if is_there(library, stamp, pins):
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is fetching the library: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there(library, stamp, pins):
            return library
        # What a killed run left; nobody else is here.
        for left in folder.glob("fetch-*"):
            shutil.rmtree(left, ignore_errors=True)
        if library.exists() and digests(library)[0] == pins["library_sha256"]:
            say("the library is here already")
        else:
            check_room(folder, pins["tarball_bytes"] + pins["library_bytes"])
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as work:
                tarball = download(pins, Path(work))
                check_tarball(tarball, pins)
                unpack(tarball, pins, library)
        stamp.write_text(stamp_text(library.stat(), pins))
    return library


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lock", type=Path, default=Path(__file__).resolve().parent / "clickhouse.lock", metavar="FILE")
    options = parser.parse_args()
    # A terminated run removes what it has half done, as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        pins = read_pins(options.lock)
        print(fetch(pins, cache_folder(pins["version"])))
    except Failure as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was kept")
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say("the disk is full: nothing was kept; make room, or set LONGSHORE_CACHE to a folder on another disk")
        else:
            say(f"{error}; nothing was kept")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
