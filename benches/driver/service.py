#!/usr/bin/env python3
"""Measures `longshore run`: what its guarantee costs, how it starts after a crash, many small files, and topics.

    service.py [--parts guarantee,doubt,files,topics] [--quick] [--rounds N] [--no-write] [--profile NAME]

`make bench-service` builds what it needs and calls this. A part is a class that is made of a `Bench` and has `measure`,
which gives rows of the table; a further one stands in `PARTS`, and its targets in `targets.py`.

Exit codes: 0 measured (targets may be missed: the table says so), 1 an answer was wrong or a measurement failed.
"""
import sys

from bench import main
from doubt import Doubt
from guarantee import Guarantee
from many_files import ManyFiles
from topics import Topics

PARTS = {"guarantee": Guarantee, "doubt": Doubt, "files": ManyFiles, "topics": Topics}
# A share of 3 % is looked for; fewer than nine rounds cannot be 99 % sure of one.
ROUNDS = 9

if __name__ == "__main__":
    sys.exit(main(PARTS, __doc__, ROUNDS))
