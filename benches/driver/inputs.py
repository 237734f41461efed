"""The load targets' inputs: the channel log of loggen, plain and sealed, in four files each, and a config for each."""
import csv
import json
import pathlib
import shutil
import tomllib
from decimal import Decimal

from contestant import Failed

# As a day's log is rotated; more than cores, so that a rival that reads files side by side can.
FILES = 4
CONFIG = pathlib.Path(__file__).resolve().parent.parent / "configs/channel-log.toml"
SEALED = ["--encrypt", "aes-256-gcm", "--envelope", "tab"]
# Measures of the answers whose sums a run is checked by.
MEASURES = {
    "new_users_by_minute": ["new_users"],
    "gmv_by_minute": ["orders", "amount", "buyers"],
    "pv_uv_by_minute": ["pv", "uv"],
}


class Inputs:
    """Files of one kind, what a load of them must answer, and the config to load them with."""

    def __init__(self, bench, name, records, sealed, rollups, repeated=True):
        self.name = name
        # Whether some records repeat earlier ones, as loggen has it unless told otherwise.
        self.repeated = repeated
        self.folder = bench.folder / "load" / (str(records) if repeated else f"{records}-unique")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.records = records
        self.sealed = sealed
        self.rollups = rollups
        self.kind = "sealed" if sealed else "plain"
        self.expected = self.folder / f"{self.kind}.expected"
        self.files = [self.folder / f"{self.kind}-{part}.log" for part in range(FILES)]
        self.keyring = self.folder / "keyring.toml"
        if not all(file.exists() for file in self.files) or not (self.expected / "summary.json").exists():
            self._generate(bench)
        self.summary = json.loads((self.expected / "summary.json").read_text())
        self.bytes = sum(file.stat().st_size for file in self.files)

    def _generate(self, bench):
        whole = self.folder / f"{self.kind}.partial"
        shutil.rmtree(self.expected, ignore_errors=True)
        seal = [*SEALED, "--keyring", self.keyring] if self.sealed else []
        unique = [] if self.repeated else ["--duplicate-rate", 0]
        bench.run([bench.loggen, "--records", self.records, "--seed", 1, "--broken-rate", 0, *unique, *seal,
                   "--products-file", self.folder / "products.csv", "--expect", self.expected, "--out", whole])
        split(whole, self.files)
        whole.unlink()
        # Megabytes that no bench asks for.
        (self.expected / "requests_by_ip_by_minute.tsv").unlink(missing_ok=True)

    @property
    def glob(self):
        """All files as ClickHouse names them."""
        return str(self.folder / f"{self.kind}-{{0..{FILES - 1}}}.log")

    def config(self, server):
        """The config's file, for this server."""
        text = CONFIG.read_text(encoding="utf-8")
        text, tail = text.split("[clickhouse]\n")
        if not self.rollups:
            text = text.split("[[rollup]]\n")[0]
        envelope = f'[decode.envelope]\nlayout = "tab"\nkeyring = "{self.keyring}"\n\n' if self.sealed else ""
        text = text.replace("# ENVELOPE\n", envelope)
        if server:
            tail = f'database = "longshore"\nurl = "{server.url}"\nuser = "{server.user}"\npassword = "{server.password}"\n'
        path = self.folder / f"{self.name}.toml"
        path.touch(mode=0o600)
        path.write_text(f"{text}[clickhouse]\n{tail}", encoding="utf-8")
        return path

    def key_expression(self):
        """The key of a line as SQL, from its id."""
        keys = [(key["id"], key["secret"]) for key in tomllib.loads(self.keyring.read_text())["key"]]
        branches = "".join(f"key = '{name}', base64Decode('{secret}'), " for name, secret in keys[:-1])
        return f"multiIf({branches}base64Decode('{keys[-1][1]}'))"

    def sums(self):
        """Of each answer its rows and the sums of its measures, from loggen's files."""
        answers = {}
        for answer, measures in MEASURES.items():
            with open(self.expected / f"{answer}.tsv", encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
            answers[answer] = [len(rows)] + [sum(Decimal(row[measure]) for row in rows) for measure in measures]
        return answers


def split(whole, files):
    """Cuts a file into parts of about the same size, behind line ends."""
    size = whole.stat().st_size
    with open(whole, "rb") as source:
        for part, path in enumerate(files, start=1):
            end = size * part // len(files)
            with open(path, "wb") as out:
                while source.tell() < end:
                    out.write(source.read(min(1 << 24, end - source.tell())))
                out.write(source.readline())
        if source.read(1):
            raise Failed(f"{whole} was not split whole")
