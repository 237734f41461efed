#!/usr/bin/env python3
"""Says which tests `make test` left out for want of public data, and how to have them."""

import os
import subprocess

CARGO = os.environ.get("CARGO", "cargo")


def left_out():
    """The names of the tests, as the test programs list them."""
    # All packages, as the tests before: with other ones dependencies would be built with other features, once more.
    command = [CARGO, "test", "--workspace", "--quiet", "--locked", "--lib", "--bins", "--tests", "real_data"]
    listed = subprocess.run([*command, "--", "--ignored", "--list"], check=True, capture_output=True, text=True).stdout
    return [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]


names = left_out()
print(f"\n{len(names)} tests were left out, because they read public data that are not part of the repository:")
for name in names:
    print(f"  {name}")
print("To have them, get the data as fixtures/README.md says, and name their folder: LONGSHORE_REAL_DATA=FOLDER make test")
