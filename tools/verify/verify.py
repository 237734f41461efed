#!/usr/bin/env python3
"""Ask ClickHouse the questions that analysts ask and compare every answer with loggen's expected ones.

    verify.py --url http://127.0.0.1:8123 --user analyst --password-env PASSWORD --expect DIR

For each TSV that `loggen --expect DIR` wrote, the view of the same name is read and compared row by row;
then the rows of `events` (all, by product, none twice) and the dead letters by reason with summary.json.
Nothing is written, so a read-only user is enough. Python's standard library only, so that it shares
nothing with the engine.

Exit codes: 0 all equal (prints `verified`), 1 something differs, 2 could not ask.
"""

import argparse
import base64
import decimal
import http.client
import io
import json
import os
import ssl
import sys
import urllib.parse

EXIT_EQUAL, EXIT_DIFFERENT, EXIT_NOT_ASKED = 0, 1, 2

# Differing rows shown for one answer.
SHOWN_MAX = 5
TIMEOUT_S = 300
READ_BYTES = 1 << 20
# ClickHouse's own words are shown up to here.
ERROR_CHARS_MAX = 600
# Stands before an error in the middle of an answer.
EXCEPTION_MARK = b"__exception__"
FAILED = "ClickHouse failed in the middle of an answer"

TIME_COLUMNS = {"minute", "hour", "day"}
MONEY_COLUMNS = {"amount"}
# Answers, and the columns that name a row in each; the others are measures.
ANSWERS = {
    "new_users_by_minute": ("product", "channel", "minute"),
    "new_users_by_hour": ("product", "channel", "hour"),
    "new_users_by_day": ("product", "channel", "day"),
    "new_users_cumulative": ("product", "channel", "minute"),
    "gmv_by_minute": ("product", "channel", "minute"),
    "pv_uv_by_minute": ("product", "channel", "minute"),
    "requests_by_ip_by_minute": ("product", "minute", "ip"),
}


class CannotAsk(Exception):
    """ClickHouse or an expected file is out of reach: nothing can be said about the answers."""


class ClickHouse:
    """One server, asked over HTTP."""

    def __init__(self, url, user, password, database):
        self.url = urllib.parse.urlsplit(url)
        if self.url.scheme not in ("http", "https") or not self.url.hostname:
            raise CannotAsk(f"--url {url}: should look like http://127.0.0.1:8123")
        self.database = database
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {token}", "Connection": "close"}

    def rows(self, query):
        """The answer's rows as lists of text, while they arrive. The query must not name a format."""
        connection = self._connect()
        try:
            response = self._send(connection, query)
            yield from read_rows(io.BufferedReader(response, READ_BYTES), query)
        except http.client.IncompleteRead as error:
            said = error.partial.partition(EXCEPTION_MARK)[2]
            raise CannotAsk(f"the answer broke off, while asking: {query}. {readable(said)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise CannotAsk(f"{self.url.geturl()}: {error or type(error).__name__}, while asking: {query}") from error
        finally:
            connection.close()

    def _connect(self):
        if self.url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.url.hostname, self.url.port or 8443, timeout=TIMEOUT_S, context=context)
        return http.client.HTTPConnection(self.url.hostname, self.url.port or 8123, timeout=TIMEOUT_S)

    def _send(self, connection, query):
        # No settings: a user with readonly=1 may not give any. POST, because a long query fits.
        path = (self.url.path or "/") + "?" + urllib.parse.urlencode({"database": self.database})
        connection.request("POST", path, body=f"{query} FORMAT TSV".encode(), headers=self.headers)
        response = connection.getresponse()
        if response.status != 200:
            raise CannotAsk(f"ClickHouse refused (HTTP {response.status}): {readable(response.read(READ_BYTES))}")
        return response


def read_rows(stream, query):
    """Rows of a TSV answer. An error after the first rows comes in the place of a row, in a response that is
    otherwise fine: it must not pass for data, nor a cut answer for a short one."""
    failed = False
    for line in stream:
        if line.startswith(b"Code: ") and b"DB::Exception" in line:
            raise CannotAsk(f"{FAILED}: {readable(line)}, while asking: {query}")
        failed = failed or EXCEPTION_MARK in line
        if failed or line == b"\r\n":
            # The error's own text follows; the empty line announces the mark.
            continue
        if not line.endswith(b"\n"):
            raise CannotAsk(f"the answer is cut short, while asking: {query}")
        yield line[:-1].decode("utf-8", "replace").split("\t")
    if failed:
        raise CannotAsk(f"{FAILED}, while asking: {query}")


def readable(said):
    """The beginning of ClickHouse's own words."""
    return said.decode("utf-8", "replace").strip()[:ERROR_CHARS_MAX]


def one_row(clickhouse, query):
    """The only row of an answer."""
    rows = list(clickhouse.rows(query))
    if len(rows) != 1:
        raise CannotAsk(f"{len(rows)} rows instead of one, while asking: {query}")
    return rows[0]


def selected(column):
    """What to select so that a column's text does not depend on its type or the server's settings."""
    if column in TIME_COLUMNS:
        return f"toString(toDateTime({column}, 'UTC'))"
    return f"toString({column})"


def view_query(view, columns):
    """The view's rows in the order of the text of the expected file."""
    order = ", ".join(str(number) for number in range(1, len(columns) + 1))
    return f"SELECT {', '.join(map(selected, columns))} FROM {view} ORDER BY {order}"


def money(text):
    """Amounts in one spelling: 5, 5.0 and 5.00 are equal, 5.001 is not."""
    try:
        amount = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return text
    if not amount.is_finite():
        return text
    cents = amount.quantize(decimal.Decimal("0.01"), context=decimal.Context(prec=80))
    return f"{cents:f}" if cents == amount else f"{amount:f}"


def normalized(rows, columns):
    """The rows as tuples, amounts in one spelling."""
    amounts = [at for at, column in enumerate(columns) if column in MONEY_COLUMNS]
    for row in rows:
        if len(row) != len(columns):
            raise CannotAsk(f"a row of {len(row)} values for {len(columns)} columns: {row}")
        for at in amounts:
            row[at] = money(row[at])
        yield tuple(row)


class Differences:
    """Counts differing rows and keeps the first ones."""

    def __init__(self):
        self.count = 0
        self.first = []

    def add(self, expected, actual):
        self.count += 1
        if len(self.first) < SHOWN_MAX:
            self.first.append((expected, actual))


def compare(expected, actual, key_columns):
    """Compare two sorted streams of rows whose first `key_columns` values name a row. A row that only one of
    them has costs one difference, not all that follow. Returns how many rows were expected, and Differences."""
    differences = Differences()
    rows = 0
    expected, actual = iter(expected), iter(actual)
    want, have = next(expected, None), next(actual, None)
    while want is not None or have is not None:
        if have is None or (want is not None and want[:key_columns] < have[:key_columns]):
            differences.add(want, None)
            rows, want = rows + 1, next(expected, None)
        elif want is None or have[:key_columns] < want[:key_columns]:
            differences.add(None, have)
            have = next(actual, None)
        else:
            if want != have:
                differences.add(want, have)
            rows, want, have = rows + 1, next(expected, None), next(actual, None)
    return rows, differences


def expected_rows(file, columns):
    """The rows of an expected file, behind its header."""
    for line in file:
        row = line.rstrip("\n").split("\t")
        if len(row) != len(columns):
            raise CannotAsk(f"{file.name}: not {len(columns)} values: {line!r}")
        yield row


class Report:
    """Prints one line an answer and remembers whether all were equal."""

    def __init__(self, out):
        self.out = out
        self.equal = True

    def answer(self, name, rows, differences):
        if not differences.count:
            self._line(name, f"{rows:,} rows", "equal")
            return
        self.equal = False
        self._line(name, f"{rows:,} rows", f"{differences.count:,} DIFFER")
        for expected, actual in differences.first:
            print(f"    expected {shown(expected)}\n    actual   {shown(actual)}", file=self.out)

    def number(self, name, expected, actual):
        if expected == actual:
            self._line(name, f"{actual:,}", "equal")
            return
        self.equal = False
        self._line(name, f"{actual:,}", f"DIFFERS, expected {expected:,}")

    def _line(self, name, what, verdict):
        print(f"{name:<28}{what:>18}  {verdict}", file=self.out, flush=True)


def shown(row):
    return "(no such row)" if row is None else "  ".join(row)


def verify_view(clickhouse, folder, view, report):
    """Compare one view with its file."""
    with open_expected(folder, f"{view}.tsv") as file:
        columns = file.readline().rstrip("\n").split("\t")
        keys = ANSWERS[view]
        if tuple(columns[: len(keys)]) != keys or len(columns) == len(keys):
            raise CannotAsk(f"{file.name}: its header should begin with {' '.join(keys)}, then measures")
        actual = clickhouse.rows(view_query(view, columns))
        expected = normalized(expected_rows(file, columns), columns)
        report.answer(view, *compare(expected, normalized(actual, columns), len(keys)))


def verify_counts(clickhouse, summary, report):
    """Compare rows of `events`, all and by product, and dead letters by reason with the summary."""
    report.number("events", summary["loaded"], int(one_row(clickhouse, "SELECT count() FROM events")[0]))
    by_product = "SELECT toString(product), count() FROM events GROUP BY product ORDER BY 1"
    report_map(report, "events by product", summary["loaded_by_product"], clickhouse.rows(by_product))
    by_reason = "SELECT toString(reason), count() FROM dead_letter_reasons GROUP BY reason ORDER BY 1"
    report_map(report, "dead letters by reason", summary["dead"], clickhouse.rows(by_reason))
    # By slice, so that the server need not hold the pairs of all rows at once.
    of_slice = "SELECT count() - uniqExact(_row) AS doubled FROM events GROUP BY _slice"
    report.number("events twice by _slice, _row", 0, int(one_row(clickhouse, f"SELECT sum(doubled) FROM ({of_slice})")[0]))


def report_map(report, name, expected, actual):
    """Names and numbers; a number of 0 is the same as no row."""
    wanted = sorted((key, str(number)) for key, number in expected.items() if number)
    report.answer(name, *compare(wanted, map(tuple, actual), 1))


def open_expected(folder, name):
    path = os.path.join(folder, name)
    try:
        return open(path, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CannotAsk(f"cannot read {path}: {error.strerror}; loggen --expect DIR writes it") from error


def read_summary(folder):
    with open_expected(folder, "summary.json") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise CannotAsk(f"{file.name}: {error}") from error


def verify(clickhouse, folder, views, out):
    """All comparisons. True if everything is equal."""
    report = Report(out)
    summary = read_summary(folder)
    for view in views:
        verify_view(clickhouse, folder, view, report)
    verify_counts(clickhouse, summary, report)
    return report.equal


def arguments(argv):
    parser = argparse.ArgumentParser(description="Compare ClickHouse's answers with loggen's expected ones.")
    parser.add_argument("--url", required=True, help="ClickHouse's HTTP interface, such as http://127.0.0.1:8123")
    parser.add_argument("--user", default="analyst")
    parser.add_argument("--password-env", metavar="VAR", help="the environment variable that holds the password")
    parser.add_argument("--database", default="longshore")
    parser.add_argument("--expect", metavar="DIR", required=True, help="the folder that loggen --expect wrote")
    parser.add_argument(
        "--only", metavar="VIEW", action="append", choices=list(ANSWERS), help="compare this view alone (repeatable)"
    )
    return parser.parse_args(argv)


def password(variable):
    if variable is None:
        return ""
    if variable not in os.environ:
        raise CannotAsk(f"--password-env {variable}: no such environment variable")
    return os.environ[variable]


def main(argv=None, out=None):
    args = arguments(argv)
    out = out or sys.stdout
    try:
        clickhouse = ClickHouse(args.url, args.user, password(args.password_env), args.database)
        equal = verify(clickhouse, args.expect, args.only or list(ANSWERS), out)
    except CannotAsk as error:
        print(f"verify: {error}", file=sys.stderr)
        return EXIT_NOT_ASKED
    print("verified" if equal else "NOT verified: the answers differ", file=out)
    return EXIT_EQUAL if equal else EXIT_DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
