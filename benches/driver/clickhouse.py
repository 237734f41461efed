"""Servers of the load targets: Longshore's embedded one and ClickHouse alone, how to ask them, and their CPU time."""
import base64
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import time
import tomllib
import urllib.parse

from contestant import Failed

START_SECONDS_MAX = 60
QUERY_SECONDS_MAX = 900
# Merges count as quiet when none runs at so many looks in a row.
QUIET_LOOKS = 4
LOOK_SECONDS = 0.25
QUIET_SECONDS_MAX = 120
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A running server in a data folder of its own; leaving the `with` ends it."""

    def __init__(self, command, data, user, server_is_child):
        self.data = pathlib.Path(data)
        self.http_port, tcp_port = free_port(), free_port()
        self.user, self.password = user, ""
        log = open(self.data.parent / (self.data.name + ".log"), "wb")
        command = [word.format(http=self.http_port, tcp=tcp_port) for word in map(str, command)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        self.pids = [self.process.pid]
        try:
            self._await()
            if server_is_child:
                self.pids += children(self.process.pid)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends it: nobody reads this data again, but a server that is stopped properly takes its child along."""
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _await(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"ClickHouse does not answer; see {self.data}.log")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
                connection.request("GET", "/ping")
                if connection.getresponse().read() == b"Ok.\n":
                    return
            except OSError:
                time.sleep(0.05)

    @property
    def url(self):
        """Where it answers."""
        return f"http://127.0.0.1:{self.http_port}"

    def ask(self, query, **settings):
        """Runs one query; the answer's text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=QUERY_SECONDS_MAX)
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        connection.request("POST", "/?" + urllib.parse.urlencode(settings), query.encode(),
                           {"Authorization": f"Basic {token}"})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise Failed(f"ClickHouse refused: {text[:600]}\nin: {query[:600]}")
        return text

    def numbers(self, query):
        """The only row of an answer."""
        return self.ask(query + " FORMAT TSV").strip().split("\t")

    def cpu_seconds(self):
        """CPU seconds of the server so far, all threads."""
        return sum(cpu_seconds(pid) for pid in self.pids)

    def await_quiet(self):
        """Returns once merges have come to rest; False if they do not."""
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        quiet = 0
        while quiet < QUIET_LOOKS:
            if time.monotonic() > deadline:
                return False
            quiet = quiet + 1 if self.numbers("SELECT count() FROM system.merges") == ["0"] else 0
            time.sleep(LOOK_SECONDS)
        return True


def embedded(longshore, data):
    """Longshore's own server, as `longshore load` would start it, but so that its CPU time can be told apart."""
    command = [longshore, "clickhouse", "--data", data, "--http-port", "{http}", "--tcp-port", "{tcp}"]
    server = Server(command, data, "longshore", True)
    [credentials] = pathlib.Path(data).glob("*credentials*")
    server.password = next(value for key, value in tomllib.loads(credentials.read_text()).items() if "engine" in key)
    return server


def alone(library, data):
    """ClickHouse with its defaults."""
    script = pathlib.Path(__file__).with_name("server.py")
    return Server([sys.executable, script, library, data, "{http}", "{tcp}"], data, "default", False)


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def children(pid):
    """Processes that this one started."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    if not found:
        raise Failed(f"process {pid} has no server")
    return found


def cpu_seconds(pid):
    """User and system time of a process (proc(5): fields 14 and 15; the name before may hold spaces)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
