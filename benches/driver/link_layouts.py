#!/usr/bin/env python3
"""A linker that links the same objects several times, functions in another order each time.

rustc calls it as its linker. It links as asked, and then once for each seed of LONGSHORE_LAYOUT_SEEDS into
LONGSHORE_LAYOUT_FOLDER. Where a function stands decides which branches and cache lines collide: on the bench of the parser
an order of functions was up to 5 % faster than another, more than most changes that one wants to measure. So the order is
taken away from chance: it follows from the seed and the functions' names, so that both revisions of a comparison have the
same orders, and there are many of them, so that no single one decides. A linker that takes no order (GNU ld) leaves the
folder with the one program.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

# What differs from build to build at the end of a mangled name.
MANGLED_HASH = re.compile(r"17h[0-9a-f]{16}E(\.llvm\.\d+)?")


def main():
    arguments = sys.argv[1:]
    linked = subprocess.run(["cc", *arguments])
    if linked.returncode != 0:
        return linked.returncode
    output = arguments.index("-o") + 1
    functions = text_symbols(arguments[output])
    folder = os.environ["LONGSHORE_LAYOUT_FOLDER"]
    for seed in os.environ["LONGSHORE_LAYOUT_SEEDS"].split(","):
        again = arguments.copy()
        again[output] = os.path.join(folder, f"runner-{seed}")
        with tempfile.NamedTemporaryFile("w", suffix=".order") as order:
            order.write("\n".join(sorted(functions, key=lambda name: place(seed, name))) + "\n")
            order.flush()
            again += [f"-Wl,--symbol-ordering-file={order.name}", "-Wl,--no-warn-symbol-ordering"]
            ordered = subprocess.run(["cc", *again], stderr=subprocess.DEVNULL)
        if ordered.returncode != 0:
            shutil.copy(arguments[output], again[output])
            break
    return 0


def text_symbols(program):
    """Names of a program's functions; none if there is no `nm`."""
    try:
        listed = subprocess.run(["nm", "--defined-only", "--format=posix", program], stdout=subprocess.PIPE, text=True)
    except OSError:
        return []
    fields = (line.split() for line in listed.stdout.splitlines())
    return [field[0] for field in fields if len(field) > 1 and field[1] in "tT"]


def place(seed, name):
    """A random place that the seed and the function's name decide."""
    plain = MANGLED_HASH.sub("", name)
    return hashlib.blake2b(f"{seed} {plain}".encode(), digest_size=8).digest(), name


if __name__ == "__main__":
    sys.exit(main())
