#!/usr/bin/env bash
# Holds the dependencies to deny.toml: licences, sources, versions that are there twice, and known vulnerabilities as far as
# their database can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
deny=$("${PYTHON:-python3}" tools/fetch-program.py cargo-deny)
"$deny" --locked check --hide-inclusion-graph licenses sources bans
if said=$(timeout 120 "$deny" --locked fetch db 2>&1); then
    "$deny" --locked check --hide-inclusion-graph --disable-fetch advisories
else
    echo "deny: advisories were left out, their database cannot be reached: $(grep -m 1 -E 'fatal|error' <<<"$said" || true)"
fi
