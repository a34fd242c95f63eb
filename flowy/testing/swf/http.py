"""The local SWF over HTTP/1.1, for boto3 and any other client.

Owns: the listening socket, a thread for each connection (a long poll keeps only its own waiting), and
how a connection ends.

May not know: JSON, or what is asked. Its neighbour `wire` turns a request's bytes into a reply's.

A reply is one write on a socket without Nagle's delay: two small writes would cost 40 ms each time,
the client's delayed acknowledgement. Only this machine can connect unless another host is given:
the service checks no signatures.
"""

from __future__ import annotations

import select
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from flowy._version import __version__
from flowy.testing.swf.faults import Fault
from flowy.testing.swf.wire import LARGEST_REQUEST, Cut, Door, Reply, answer, failure, too_large

WAITING_CONNECTIONS = 1024  # that the kernel keeps until they are accepted
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends a reset

_here = threading.local()


def client_is_there() -> bool:
    """Whether the client whose request this thread serves still waits for the reply.

    A long poll asks before it hands out a task: one that goes to a client that hung up would be lost
    until it times out. True in any other thread.
    """
    handler: Handler | None = getattr(_here, "handler", None)
    return handler is None or handler.client_is_there()


class Handler(BaseHTTPRequestHandler):
    """One connection. Never made but by `Server`."""

    server: Listener
    protocol_version = "HTTP/1.1"
    server_version = f"flowy/{__version__}"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: headers and body leave in one write
    timeout = None  # an idle connection may stay; it ends with the server

    def setup(self) -> None:
        super().setup()
        _here.handler = self

    def finish(self) -> None:
        _here.handler = None
        try:
            super().finish()
        except OSError:
            pass  # the client is gone

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # the client hung up, or we did

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        target = self.headers.get("X-Amz-Target", "")
        try:
            self._send(answer(self.server.door, target, body, self.server.largest))
        except Cut as cut:
            self._cut(cut.reset)
        except Exception as error:
            self.server.failed(error)
            told = f"{type(error).__name__}: {error}"
            self._send(failure(Fault("InternalFailure", told, status=500)))

    def do_GET(self) -> None:
        """Somebody looks with a browser, or asks whether we are up."""
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # what follows is no request, and nobody reads it
        self._send(Reply(200, b"a local Amazon SWF, for boto3\n", {"Content-Type": "text/plain"}))

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # the client waits for it before it sends the rest
        return True

    def _body(self) -> bytes | None:
        """The request's body; None if there is none to read and the connection is to end."""
        size = self._size()
        if size is None:
            return None
        if size > self.server.largest:
            # Read what is under way, in pieces that are not kept: else the client sees a reset.
            left = min(size, 16 * LARGEST_REQUEST)
            while left > 0 and (piece := self.rfile.read(min(left, 65536))):
                left -= len(piece)
            self._refuse(too_large(size, self.server.largest))
            return None
        body = self.rfile.read(size)
        if len(body) < size:
            self.close_connection = True
            return None
        return body

    def _size(self) -> int | None:
        """How many bytes the body has; None if that is not said in the one way that is understood."""
        lengths = set(self.headers.get_all("Content-Length", ()))
        length = lengths.pop() if len(lengths) == 1 else ""
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdecimal()):
            told = "a request says its length in one Content-Length, and is not sent in chunks"
            self._refuse(Fault("SerializationException", told, status=411))
        elif (coding := self.headers.get("Content-Encoding", "identity").lower()) != "identity":
            told = f"a request is sent as it is: Content-Encoding {coding!r} is not understood"
            self._refuse(Fault("SerializationException", told, status=415))
        else:
            return int(length)
        return None

    def _refuse(self, fault: Fault) -> None:
        self.close_connection = True  # what follows is no request
        self._send(failure(fault))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        elif self.request_version == "HTTP/1.0":
            self.send_header("Connection", "keep-alive")  # it asked, and would not think so
        self.end_headers()
        self.wfile.write(reply.body)

    def _cut(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def client_is_there(self) -> bool:
        """Whether the connection is still open at the other end."""
        if self.server.closing:
            return False
        try:
            if not select.select([self.connection], [], [], 0)[0]:
                return True
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests that run us have their own output."""


class Listener(ThreadingHTTPServer):
    """The standard library's server, which also knows its connections so that it can end them."""

    daemon_threads = True  # for an interpreter that ends without close()
    block_on_close = False  # `Server.close` waits, after it has ended the connections
    request_queue_size = WAITING_CONNECTIONS

    def __init__(self, address: tuple[str, int], door: Door, largest: int) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.door = door
        self.largest = largest
        self.closing = False
        self.errors: list[Exception] = []
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # Past HTTPServer's, which asks the name service for our name and may wait for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, which is known before it runs: `end_connections` misses none."""
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="flowy-swf-connection", daemon=True
        )
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._connections[request]

    def failed(self, error: Exception) -> None:
        """A request met a bug of ours; tests look here."""
        self.errors.append(error)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no news."""

    def end_connections(self) -> list[threading.Thread]:
        """End them all; returns the threads that are about to end."""
        self.closing = True
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            return list(self._connections.values())


class Server:
    """Serves a door over HTTP until it is closed; a context manager.

    Args:
        door: the service.
        host, port: where to listen; port 0 takes a free one.
        wake: makes the long polls of the door ask `client_is_there` again.
        largest: how many bytes a request may have.

    Raises:
        OSError: can't listen there.
    """

    def __init__(
        self,
        door: Door,
        host: str = "127.0.0.1",
        port: int = 0,
        wake: Callable[[], None] = lambda: None,
        largest: int = LARGEST_REQUEST,
    ) -> None:
        self._wake = wake
        self._listener = Listener((host, port), door, largest)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.05,), name="flowy-swf-http", daemon=True
        )
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        """What a client takes as its `endpoint_url`."""
        host, port = self._listener.server_address[:2]
        host = str(host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def errors(self) -> list[Exception]:
        """Bugs that requests have met: each was answered with HTTP 500."""
        return self._listener.errors

    def close(self) -> None:
        """Stop listening, wake the long polls, end all connections and their threads."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        while threads := self._listener.end_connections():
            self._wake()
            for thread in threads:
                thread.join(0.1)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
