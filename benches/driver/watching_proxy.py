"""A proxy before a server that notes when the first INSERT of a client passes it."""
import re
import socket
import threading
import time

INSERT = re.compile(rb"INSERT(?:\+|%20| )INTO")
# Enough of what came before that the words are found though they came in two pieces.
KEPT_BYTES = 16
PIECE_BYTES = 1 << 16
CONNECT_SECONDS_MAX = 10


class Search:
    """Looks for an INSERT in bytes that come piece by piece."""

    def __init__(self):
        self.tail = b""

    def finds(self, piece):
        """Whether it is there by the end of this piece."""
        text = self.tail + piece
        self.tail = text[-KEPT_BYTES:]
        return INSERT.search(text) is not None


class WatchingProxy:
    """Listens on a port of its own; leaving the `with` closes every connection."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.inserted = threading.Event()
        # On the clock of time.monotonic().
        self.inserted_at = None
        self.sockets = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def watch(self):
        """Forgets what passed so far."""
        self.inserted_at = None
        self.inserted.clear()

    def close(self):
        """Ends the listener and every connection, and with them the threads."""
        with self.lock:
            for one in [self.listener, *self.sockets]:
                end(one)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port), timeout=CONNECT_SECONDS_MAX)
            except OSError:
                return
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.sockets += [client, server]
            threading.Thread(target=self._pump, args=(client, server, Search()), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source, target, search):
        try:
            while piece := source.recv(PIECE_BYTES):
                if search and not self.inserted.is_set() and search.finds(piece):
                    self.inserted_at = time.monotonic()
                    self.inserted.set()
                target.sendall(piece)
        except OSError:
            pass
        end(target)


def end(one):
    """Closes a socket that others may be waiting on."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()
