"""Tests of the documentation: what it names is there.

Paths are compared with git's list of files, `make` targets with the Makefile, subcommands and flags with what
`longshore --help` prints (of a debug or release build; without one these are skipped), and keys of the config with
the texts that its parser looks for. Only what stands in backticks or in a block of shell commands is looked at.
Run: python3 -m unittest discover tools/verify
"""

import functools
import os
import re
import shlex
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What a user reads; the benches' pages name the flags of other programs.
USER_PAGES = ["README.md", "docs"]
PAGES = USER_PAGES + ["ARCHITECTURE.md", "benches/README.md", "benches/NOTES.md"]
SUFFIXES = (".rs", ".py", ".sh", ".md", ".toml", ".sql", ".lock")
# Made while something runs, or an example of the text's own.
NOT_KEPT = ("target/", "results/")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


@functools.cache
def files():
    """Tracked files, and those about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.splitlines() if os.path.exists(os.path.join(ROOT, path))]


def pages(names):
    for name in names:
        if name.endswith(".md"):
            yield name
        else:
            yield from (path for path in files() if path.startswith(name + "/") and path.endswith(".md"))


def without_fences(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text):
    """What stands in backticks, line ends taken for spaces."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_fences(text))]


def commands(text):
    """Command lines: in backticks, and the lines of blocks of shell commands."""
    yield from spans(text)
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        yield from (line.partition("#")[0].strip() for line in block.splitlines())


def missing_paths(text, known):
    """Paths in backticks that none of the known files is, nor any folder of them.

    Pages leave `src/` out, and write paths from the root, from their own folder, or from a package's.
    """
    places = set()
    for path in known:
        parts = path.split("/")
        for short in (parts, [part for part in parts if part != "src"]):
            for end in range(1, len(short) + 1):
                for start in range(end):
                    places.add("/".join(short[start:end]))
    missing = []
    for span in spans(text):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?", span) or span.startswith(NOT_KEPT):
            continue
        in_the_tree = "/" in span.rstrip("/") and any(path.startswith(span.split("/")[0] + "/") for path in known)
        is_path = span.endswith(SUFFIXES) and "/" in span or span.endswith("/") or in_the_tree
        if is_path and span.rstrip("/") not in places:
            missing.append(span)
    return missing


def missing_targets(text, makefile):
    """Targets and variables of `make` commands that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=|\$\(([A-Z]+)\)|\(or \$\(([A-Z]+)\)", makefile, flags=re.MULTILINE))
    variables = {name for names in variables for name in names if name}
    missing = []
    for command in commands(text):
        words = command.split()
        if words[:1] != ["make"]:
            continue
        for word in words[1:]:
            name, is_variable, _ = word.partition("=")
            if name not in (variables if is_variable else targets):
                missing.append(command)
    return missing


def missing_arguments(text, helps):
    """Subcommands and flags of `longshore` that its help does not have. `helps` are by subcommand, "" is the program's."""
    everything = "\n".join(helps.values())

    def has(help_text, flag):
        return re.search(rf"(^|[\s,\[]){re.escape(flag)}\b", help_text) is not None

    missing = []
    for command in commands(text):
        if re.fullmatch(r"--[a-z-]+", command) and not has(everything, command):
            missing.append(command)
        words = command.replace("[", " ").replace("]", " ").replace("|", " ").split()
        if words[:1] != ["longshore"] or "->" in words:
            continue
        try:
            words = shlex.split(" ".join(words))
        except ValueError:
            continue
        names = [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)]
        name = names[0] if names else ""
        if name not in helps and name != "help":
            missing.append(command)
            continue
        flags = [word.partition("=")[0] for word in words[1:] if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)]
        missing += [command for flag in flags if not has(helps.get(name, ""), flag) and not has(helps[""], flag)]
    return missing


def missing_keys(text, sections, words):
    """Keys of the config, `section.key`, of which a part is no word that its parser looks for."""
    missing = []
    for span in spans(text):
        parts = span.split(".")
        is_key = re.fullmatch(r"[a-z]+(\.[a-z_0-9]+)+", span) and parts[0] in sections and not span.endswith(SUFFIXES)
        if is_key and not all(part in words for part in parts):
            missing.append(span)
    return missing


def unknown_rows(text, words):
    """Keys in the tables of a page on the config, `| \\`key\\` | type |`, that its parser does not look for."""
    tables = re.findall(r"^\| key \| (?:type|column|meaning).*?\n\n", text + "\n\n", flags=re.MULTILINE | re.DOTALL)
    rows = [row.split("|")[1] for table in tables for row in table.splitlines()[2:] if row.startswith("|")]
    return [key for row in rows for key in re.findall(r"`([a-z_0-9]+)`", row) if key not in words]


def longshore():
    """The program, if it was built here."""
    built = [os.path.join(ROOT, "target", profile, "longshore") for profile in ("debug", "release")]
    built = [path for path in built if os.path.exists(path)]
    return max(built, key=os.path.getmtime, default=None)


def help_of(program, *arguments):
    return subprocess.run([program, *arguments, "--help"], capture_output=True, text=True, check=True).stdout


def parser_words():
    """Words that the config's parser looks for, and its sections."""
    sources = [path for path in files() if path.startswith("core/src/config/") and "/tests" not in path]
    words = {word for path in sources for word in re.findall(r'"([a-z_0-9]+)"', read(path))}
    keys = re.search(r"const KEYS: &\[&str\] = &\[(.*?)\];", read("core/src/config/parse/mod.rs"), re.DOTALL)
    return words, set(re.findall(r'"([a-z]+)"', keys.group(1)))


class Docs(unittest.TestCase):
    maxDiff = None

    def assert_nothing(self, found):
        self.assertEqual({page: missing for page, missing in found.items() if missing}, {})

    def test_paths_are_there(self):
        self.assert_nothing({page: missing_paths(read(page), files()) for page in pages(PAGES)})

    def test_targets_are_there(self):
        makefile = read("Makefile")
        self.assert_nothing({page: missing_targets(read(page), makefile) for page in pages(PAGES)})

    def test_subcommands_and_flags_are_there(self):
        program = longshore()
        if program is None:
            self.skipTest("longshore is not built")
        helps = {"": help_of(program)}
        names = re.findall(r"^  ([a-z]+) ", helps[""].partition("Commands:")[2].partition("Options:")[0], re.MULTILINE)
        self.assertIn("load", names)
        helps |= {name: help_of(program, name) for name in names if name != "help"}
        self.assert_nothing({page: missing_arguments(read(page), helps) for page in pages(USER_PAGES)})

    def test_keys_of_the_config_are_there(self):
        words, sections = parser_words()
        self.assertIn("clickhouse", sections)
        found = {page: missing_keys(read(page), sections, words) for page in pages(PAGES)}
        found["docs/config.md, its tables"] = unknown_rows(read("docs/config.md"), words)
        self.assert_nothing(found)

    def test_what_is_not_there_is_found(self):
        known = ["tools/fetch.py", "ingest/src/input.rs", "docs/a.md"]
        text = "`tools/fetch.sh` `tools/fetch.py` `ingest/input.rs` `ingest/output.rs` `a/b` `docs/` `gone/` `/etc/x.md`"
        self.assertEqual(missing_paths(text, known), ["tools/fetch.sh", "ingest/output.rs", "gone/"])
        makefile = "BENCH ?= x\nbench: build\nbuild:\n\techo $(BASE)\n"
        text = "`make bench BENCH=load` `make bnech` `make bench BASE=x`\n```sh\nmake build   # it\nmake it\n```\n"
        self.assertEqual(missing_targets(text, makefile), ["make bnech", "make it"])
        helps = {"": "-q, --quiet\n  --help", "load": "-c, --config <FILE>\n  --json  as JSON"}
        text = "`longshore load -c FILE --json` `longshore lod` `longshore load --jsn` `--quiet` `--quite` `longshore help X`"
        self.assertEqual(missing_arguments(text, helps), ["longshore lod", "longshore load --jsn", "--quite"])
        words, sections = {"run", "journal", "table"}, {"run", "table"}
        self.assertEqual(missing_keys("`run.journal` `run.jornal` `run.rs` `first.x`", sections, words), ["run.jornal"])
        table = "| key | type |\n| --- | --- |\n| `journal`, `jornal` | string |\n\n"
        self.assertEqual(unknown_rows(table, words), ["jornal"])


if __name__ == "__main__":
    unittest.main()
