#!/usr/bin/env python3
"""ClickHouse alone, with its own defaults: `server.py LIBRARY DATA HTTP_PORT TCP_PORT`, until it is ended.

The rival of the load targets. The same library as Longshore's embedded server, on loopback, but with the settings that
ClickHouse has out of the box, and a user who may read files: `file()` is the cheapest way in, cheaper than HTTP.
"""
import ctypes
import pathlib
import signal
import sys

USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
<quota>default</quota></default></users></clickhouse>"""
CONFIG = "<clickhouse><users_config>{users}</users_config><timezone>UTC</timezone></clickhouse>"
# It never ends, and keeps the server up.
QUERY = ("SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT sleepEachRow(3) FROM system.numbers FORMAT Null "
         "SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=10000000, max_execution_time=0")
PR_SET_PDEATHSIG = 1


def main():
    library, data, http_port, tcp_port = sys.argv[1:]
    folder = pathlib.Path(data).resolve()
    folder.mkdir(parents=True)
    users, config = folder / "users.xml", folder / "config.xml"
    users.write_text(USERS, encoding="utf-8")
    config.write_text(CONFIG.format(users=users), encoding="utf-8")
    # The server must not outlive the bench.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    words = ["clickhouse", "--path", folder / "store", "--config-file", config, "--http_port", http_port,
             "--tcp_port", tcp_port, "--listen_host", "127.0.0.1", "--query", QUERY]
    argv = (ctypes.c_char_p * (len(words) + 1))(*[str(word).encode() for word in words], None)
    ctypes.CDLL(library).chdb_query_cmdline(len(words), argv)
    return 1


if __name__ == "__main__":
    sys.exit(main())
