"""A page for this machine's own browser, on a server that answers to that page only.

Only this machine reaches it. A page of another site that the same browser has open is refused by the Host header (DNS
rebinding) and by the Origin header (forged requests).
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from ivif_core.errors import InputError, IvifError, one_line

LARGEST_BODY = 1 << 20
SILENCE = 10.0
"""Seconds that a connection may say nothing, or not take what it is sent."""
LONGEST_REQUEST = 30.0
"""Seconds of a whole request, however slowly its bytes come."""
MOST_CONNECTIONS = 32
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' blob:; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript"}

Body = tuple[str, bytes]
"""Content type, and the content."""


class LocalPage(ThreadingHTTPServer):
    """Serves a page on this machine only. Subclasses say what it may ask for.

    Attributes:
        address: to open in a browser.
    """

    daemon_threads = False  # the interpreter ends daemons wherever they are, and inside of C++ that aborts the process
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, package: str, names: tuple[str, ...], port: int = 0) -> None:
        """
        Args:
            package: that holds the page's files.
            names: of the files; the first is the page.
            port: 0 takes any free one.

        Raises:
            InputError: the port is taken.
        """
        folder = files(package)
        self._files = {f"/{name}": (_KINDS[name.split(".")[-1]], folder.joinpath(name).read_bytes()) for name in names}
        self._files |= {"/": self._files[f"/{names[0]}"], "/favicon.ico": ("image/x-icon", b"")}
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(f"port {port}: {error.strerror}; choose another with --port") from error
        hosts = ("127.0.0.1", "localhost")
        self.hosts = {f"{name}:{self.server_port}" for name in hosts} | set(hosts if self.server_port == 80 else ())
        self.address = f"http://127.0.0.1:{self.server_port}/"

    def get(self, path: str, query: str) -> Body | None:
        """What is at a path beside the page's files; None: nothing.

        Raises:
            IvifError: it cannot be had.
        """
        return None

    def post(self, path: str, content: Any) -> Body | None:
        """The answer to JSON that the page sent; None: nothing takes it at this path.

        Raises:
            IvifError: the content is wrong.
        """
        return None

    def serve_until_ctrl_c(self, line: str) -> None:
        """Say where the page is, and this line, then serve."""
        print(f"Open {self.address} in a browser{line}. Ctrl-C ends.", flush=True)
        try:
            self.serve_forever()
        except KeyboardInterrupt:
            print()

    def find(self, path: str, query: str) -> Body | None:
        """A file of the page, or what `get` gives."""
        return self._files.get(path) or self.get(path, query)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or close it where too many are open."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._open.discard(request)
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, for a bounded time."""
        end = threading.Timer(LONGEST_REQUEST, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._open.discard(request)
            self._room.release()

    def server_close(self) -> None:
        """Hang up on everybody, and wait for what is being answered."""
        for connection in tuple(self._open):
            _hang_up(connection)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say on one line what is not merely a browser that went away."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"local page: {type(error).__name__}: {one_line(error)}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: LocalPage
    timeout = SILENCE
    server_version, sys_version = "ivif", ""

    def do_GET(self) -> None:
        if not self._is_own_page():
            return
        path, _, query = self.path.partition("?")
        try:
            found = self.server.find(path, query)
        except (IvifError, ValueError) as error:
            self._refuse(400, error)
            return
        self._answer_found(found)

    def do_POST(self) -> None:
        if not self._is_own_page():
            return
        length = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(length) != 1 or not (length[0].isascii() and length[0].isdigit()):
            self._refuse(411, "expected one Content-Length")
            return
        if len(length[0]) > 9 or int(length[0]) > LARGEST_BODY:
            self._refuse(413, "more than the page ever sends")
            return
        # A page of another site can send text, but not JSON, to this address without asking first.
        if self.headers.get_content_type() != "application/json":
            self._refuse(400, "expected JSON")
            return
        body = self.rfile.read(int(length[0]))
        if len(body) < int(length[0]):
            self._refuse(400, "the request was cut short")
            return
        try:
            found = self.server.post(self.path, json.loads(body, parse_constant=_no_number))
        except (IvifError, ValueError, RecursionError) as error:
            self._refuse(400, error)
            return
        self._answer_found(found)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal is the user's."""

    def _is_own_page(self) -> bool:
        """Whether the request is for this server by its own name, and not sent by a page of another site."""
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        sites = self.headers.get_all("Sec-Fetch-Site", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            reason = "expected this machine as Host"
        elif not {origin.lower() for origin in origins} <= {f"http://{host}" for host in self.server.hosts} or not set(
            sites
        ) <= {"same-origin", "none"}:
            reason = "this page answers to itself only"
        else:
            return True
        self._refuse(403, reason)
        return False

    def _answer_found(self, found: Body | None) -> None:
        if found is None:
            self._refuse(404, "no such page")
        else:
            self._answer(200, *found)

    def _refuse(self, status: int, reason: object) -> None:
        self._answer(status, "text/plain; charset=utf-8", one_line(reason).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def as_json(content: Any) -> Body:
    """An answer for the page's script."""
    return "application/json", json.dumps(content).encode()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended meanwhile
        connection.shutdown(socket.SHUT_RDWR)


def _no_number(text: str) -> None:
    raise InputError(f"expected finite numbers, got {text}")
