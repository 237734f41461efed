"""Tests of verify.py: comparing, and what it makes of a server that answers wrongly, partly or not at all.

The server here is a fake for injecting faults only; against a real ClickHouse, verify.py itself is the test.
Run: python3 -m unittest discover tools/verify
"""

import base64
import contextlib
import http.server
import io
import json
import os
import re
import sys
import tempfile
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verify  # noqa: E402

MINUTE = "2026-11-20 08:00:00"
FILES = {
    "new_users_by_minute": f"product\tchannel\tminute\tnew_users\np01\tch-001\t{MINUTE}\t2\np01\tch-002\t{MINUTE}\t1\n",
    "new_users_by_hour": f"product\tchannel\thour\tnew_users\np01\tch-001\t{MINUTE}\t3\n",
    "new_users_by_day": "product\tchannel\tday\tnew_users\np01\tch-001\t2026-11-20 00:00:00\t3\n",
    "new_users_cumulative": f"product\tchannel\tminute\tnew_users\tcumulative\np01\tch-001\t{MINUTE}\t2\t2\n",
    "gmv_by_minute": f"product\tchannel\tminute\torders\tamount\tbuyers\np01\tch-001\t{MINUTE}\t2\t129.90\t1\n",
    "pv_uv_by_minute": "product\tchannel\tminute\tpv\tuv\n",
    "requests_by_ip_by_minute": f"product\tminute\tip\trequests\np01\t{MINUTE}\t10.0.0.1\t5\n",
}
SUMMARY = {"records": 6, "loaded": 5, "filtered": 0, "dead": {"bad_json": 1}, "loaded_by_product": {"p01": 5, "p02": 0}}


def sound_answers():
    """What a right server says, by a part of the query."""
    answers = {f"FROM {view} ": content.partition("\n")[2] for view, content in FILES.items()}
    answers["SELECT count() FROM events"] = "5\n"
    answers["GROUP BY product"] = "p01\t5\n"
    answers["GROUP BY reason"] = "bad_json\t1\n"
    answers["sum(doubled)"] = "0\n"
    return answers


class Fake(http.server.BaseHTTPRequestHandler):
    """Answers each query with the text that the server's table has for it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, self.headers["Authorization"], query))
        matches = [answer for part, answer in self.server.answers.items() if part in query]
        status = self.server.status
        body = matches[0].encode() if len(matches) == 1 else f"{len(matches)} answers to {query}".encode()
        self.send_response(status if len(matches) == 1 else 500)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if body else b"")
        if not self.server.breaks_off:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_):
        """Says nothing."""


class AgainstFake(unittest.TestCase):
    def setUp(self):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Fake)
        self.server.answers, self.server.asked = sound_answers(), []
        self.server.status, self.server.breaks_off = 200, False
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name, content in FILES.items():
            self.write(f"{name}.tsv", content)
        self.write("summary.json", json.dumps(SUMMARY))
        os.environ["VERIFY_TEST_PASSWORD"] = "s3cret:ü"
        self.addCleanup(os.environ.pop, "VERIFY_TEST_PASSWORD")

    def write(self, name, content):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(content)

    def answer(self, part, text):
        self.assertIn(part, self.server.answers)
        self.server.answers[part] = text

    def run_verify(self, *more, port=None):
        out, err = io.StringIO(), io.StringIO()
        url = f"http://127.0.0.1:{port or self.server.server_port}"
        flags = ["--url", url, "--password-env", "VERIFY_TEST_PASSWORD", "--expect", self.folder, *more]
        with contextlib.redirect_stderr(err):
            code = verify.main(flags, out)
        return code, out.getvalue(), err.getvalue()

    def assert_differs(self, *patterns):
        code, out, err = self.run_verify()
        self.assertEqual((code, err), (1, ""), out)
        self.assertNotRegex(out, r"(?m)^verified$")
        for pattern in patterns:
            self.assertRegex(out, pattern)

    def assert_cannot_ask(self, *patterns):
        code, out, err = self.run_verify()
        self.assertEqual(code, 2, out)
        self.assertNotIn("verified", out)
        for pattern in patterns:
            self.assertRegex(err, pattern)

    def test_equal_answers_are_verified(self):
        code, out, err = self.run_verify()
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(out.endswith("\nverified\n"))
        self.assertRegex(out, r"(?m)^new_users_by_minute +2 rows  equal$")
        self.assertEqual(len(out.splitlines()), len(FILES) + 4 + 1)

    def test_the_user_is_named_in_the_header_and_no_setting_is_sent(self):
        self.run_verify("--only", "gmv_by_minute")
        path, authorization, query = self.server.asked[0]
        self.assertEqual(urllib.parse.parse_qs(urllib.parse.urlsplit(path).query), {"database": ["longshore"]})
        self.assertEqual(base64.b64decode(authorization.split()[1]).decode(), "analyst:s3cret:ü")
        self.assertEqual(
            query,
            "SELECT toString(product), toString(channel), toString(toDateTime(minute, 'UTC')), toString(orders), "
            "toString(amount), toString(buyers) FROM gmv_by_minute ORDER BY 1, 2, 3, 4, 5, 6 FORMAT TSV",
        )
        self.assertFalse(any("FROM pv_uv_by_minute" in asked for _, _, asked in self.server.asked))

    def test_a_different_measure_is_shown(self):
        self.answer("FROM new_users_by_minute ", f"p01\tch-001\t{MINUTE}\t2\np01\tch-002\t{MINUTE}\t7\n")
        self.assert_differs(
            r"(?m)^new_users_by_minute +2 rows  1 DIFFER$",
            rf"expected p01  ch-002  {MINUTE}  1\n +actual   p01  ch-002  {MINUTE}  7",
            r"(?m)^gmv_by_minute +1 rows  equal$",
        )

    def test_a_cent_is_a_difference_and_trailing_zeros_are_not(self):
        for same in ("129.9", "129.900"):
            self.answer("FROM gmv_by_minute ", f"p01\tch-001\t{MINUTE}\t2\t{same}\t1\n")
            self.assertEqual(self.run_verify()[0], 0)
        for other in ("129.91", "129.8999", "nan", ""):
            self.answer("FROM gmv_by_minute ", f"p01\tch-001\t{MINUTE}\t2\t{other}\t1\n")
            self.assert_differs(r"gmv_by_minute +1 rows  1 DIFFER")

    def test_a_row_where_none_is_expected(self):
        self.answer("FROM pv_uv_by_minute ", f"p01\tch-001\t{MINUTE}\t1\t1\n")
        self.assert_differs(r"pv_uv_by_minute +0 rows  1 DIFFER\n +expected \(no such row\)")

    def test_no_rows_where_some_are_expected(self):
        self.answer("FROM requests_by_ip_by_minute ", "")
        self.assert_differs(r"requests_by_ip_by_minute +1 rows  1 DIFFER(?s:.*)actual   \(no such row\)")

    def test_counts_dead_letters_and_doubled_rows_are_compared(self):
        self.answer("SELECT count() FROM events", "1004\n")
        self.answer("GROUP BY product", "p01\t4\np02\t1\n")
        self.answer("GROUP BY reason", "bad_json\t1\ntoo_long\t2\n")
        self.answer("sum(doubled)", "3\n")
        self.assert_differs(
            r"(?m)^events +1,004  DIFFERS, expected 5$",
            r"events by product +1 rows  2 DIFFER",
            r"dead letters by reason +1 rows  1 DIFFER",
            r"events twice by _slice, _row +3  DIFFERS, expected 0",
        )

    def test_a_refusal_is_not_a_difference(self):
        self.server.status = 404
        self.server.answers = {"": "Code: 60. DB::Exception: Unknown table"}
        self.assert_cannot_ask(r"HTTP 404.*Unknown table")

    def test_an_error_in_the_middle_of_an_answer_is_no_row(self):
        row = f"p01\tch-001\t{MINUTE}\t2\n"
        words = "Code: 241. DB::Exception: Memory limit exceeded\n"
        self.answer("FROM new_users_by_minute ", row + words)
        self.assert_cannot_ask(r"middle.*Memory limit exceeded")
        marked = f"{row}\r\n__exception__\r\ntag\r\n{words}49 tag\r\n__exception__\r\n"
        self.answer("FROM new_users_by_minute ", marked)
        self.assert_cannot_ask(r"middle.*Memory limit exceeded")
        self.server.breaks_off = True
        self.assert_cannot_ask(r"broke off(?s:.*)Memory limit exceeded")

    def test_a_cut_answer_is_not_a_short_one(self):
        self.answer("FROM new_users_by_minute ", f"p01\tch-001\t{MINUTE}\t2\np01\tch-0")
        self.assert_cannot_ask(r"cut short")
        self.answer("FROM new_users_by_minute ", f"p01\tch-001\t{MINUTE}\t2\n")
        self.server.breaks_off = True
        self.assert_cannot_ask(r"broke off")

    def test_nobody_there(self):
        self.server.shutdown()
        self.server.server_close()
        self.assert_cannot_ask(r"Connection refused.*while asking: SELECT")

    def test_what_is_expected_must_be_there_and_whole(self):
        self.write("gmv_by_minute.tsv", "product\tchannel\n")
        self.assert_cannot_ask(r"gmv_by_minute\.tsv: its header")
        os.remove(os.path.join(self.folder, "gmv_by_minute.tsv"))
        self.assert_cannot_ask(r"cannot read .*gmv_by_minute\.tsv.*loggen --expect")
        self.write("summary.json", "{")
        self.assert_cannot_ask(r"summary\.json")

    def test_a_missing_password_variable_is_named(self):
        code, _, err = self.run_verify("--password-env", "VERIFY_TEST_NO_SUCH")
        self.assertEqual(code, 2)
        self.assertIn("VERIFY_TEST_NO_SUCH", err)


class Comparing(unittest.TestCase):
    def compare(self, expected, actual):
        rows, differences = verify.compare(expected, actual, 1)
        self.assertEqual(rows, len(expected))
        return differences.count, differences.first

    def test_one_missing_or_extra_row_is_one_difference(self):
        rows = [(f"{number:03}", "x") for number in range(100)]
        self.assertEqual(self.compare(rows, rows), (0, []))
        self.assertEqual(self.compare(rows, rows[:50] + rows[51:]), (1, [(rows[50], None)]))
        self.assertEqual(self.compare(rows[:50] + rows[51:], rows), (1, [(None, rows[50])]))
        self.assertEqual(self.compare(rows, rows[:99]), (1, [(rows[99], None)]))
        self.assertEqual(self.compare([], rows[:1]), (1, [(None, rows[0])]))

    def test_a_row_that_comes_twice_is_a_difference(self):
        self.assertEqual(self.compare([("a", "1")], [("a", "1"), ("a", "1")]), (1, [(None, ("a", "1"))]))

    def test_all_differences_are_counted_and_five_shown(self):
        expected = [(f"{number:03}", "1") for number in range(9)]
        count, first = self.compare(expected, [(key, "2") for key, _ in expected])
        self.assertEqual((count, len(first)), (9, 5))
        self.assertEqual(first[0], (("000", "1"), ("000", "2")))

    def test_money_has_one_spelling(self):
        for text, spelled in [("5", "5.00"), ("0.1", "0.10"), ("12.340", "12.34"), ("1E+2", "100.00"), ("5.001", "5.001")]:
            self.assertEqual(verify.money(text), spelled)
        huge = "9" * 30
        self.assertEqual(verify.money(huge), f"{huge}.00")

    def test_answers_cover_what_the_files_hold(self):
        self.assertEqual(set(verify.ANSWERS), set(FILES))
        for view in verify.ANSWERS:
            self.assertTrue(re.fullmatch(r"[a-z_]+", view))


if __name__ == "__main__":
    unittest.main()
