"""A small local web page on which one clicks matching points of a pair and sees the overlay.

Only this machine reaches it, and only the page itself may talk to it: a page of another site that the same browser has
open is refused by the Host header (DNS rebinding) and by the Origin header (forged requests).
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ivif_core.calibration.fitting import Model, fit, residuals
from ivif_core.calibration.overlay import overlay
from ivif_core.calibration.points import parse_points
from ivif_core.errors import ConfigError, InputError, one_line
from ivif_core.files.reading import read_bytes
from ivif_core.files.writing import is_there, printable, write_text

LARGEST_BODY = 1 << 20
MOST_POINTS = 1000
SILENCE = 10.0
"""Seconds that a connection may say nothing, or not take what it is sent."""
LONGEST_REQUEST = 30.0
"""Seconds of a whole request, however slowly its bytes come."""
MOST_CONNECTIONS = 32
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

Points = list[dict[str, list[float]]]
"""`{"infrared": [x, y], "visible": [x, y]}` each, in pixels."""


class ClickServer(ThreadingHTTPServer):
    """Serves the page on this machine only, and writes the points to `output` whenever they change.

    Attributes:
        address: to open in a browser.
        points: what was clicked so far; at the start, what `output` holds.
    """

    daemon_threads = False  # the interpreter ends daemons wherever they are, and inside of C++ that aborts the process
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, infrared: np.ndarray, visible: np.ndarray, output: Path, port: int = 0) -> None:
        """
        Args:
            infrared, visible: uint8 grey.
            output: JSON file; one of an earlier run is gone on with.
            port: 0 takes any free one.

        Raises:
            InputError: the port is taken, or `output` is there and holds no points of such a pair.
        """
        self.infrared, self.visible, self.output = infrared, visible, output
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self.points = self._read() if is_there(output) else []
        self.picture, self._answer = self._judge(self.points)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(f"port {port}: {error.strerror}; choose another with --port") from error
        names = ("127.0.0.1", "localhost")
        self.hosts = {f"{name}:{self.server_port}" for name in names} | set(names if self.server_port == 80 else ())
        self.address = f"http://127.0.0.1:{self.server_port}/"

    def take(self, content: Any) -> dict[str, Any]:
        """Check the points that the page sent, then write them, and answer with what they give.

        Raises:
            InputError: not the page's format, outside of the images, or they cannot be written; the file stays.
        """
        points = self._check(content)
        with self._lock:
            picture, answer = self._judge(points)
            write_text(self.output, json.dumps({"points": points}, indent=1) + "\n")
            self.points, self.picture, self._answer = points, picture, answer
            return answer

    def state(self) -> dict[str, Any]:
        """What a page that is loaded again needs: the points, and what they gave."""
        with self._lock:
            return {"points": self.points, **self._answer}

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
        """Hang up on everybody, and wait for points that are being written."""
        for connection in tuple(self._open):
            _hang_up(connection)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say on one line what is not merely a browser that went away."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"click page: {type(error).__name__}: {one_line(error)}", file=sys.stderr)

    def _read(self) -> Points:
        try:
            content = json.loads(read_bytes(self.output, LARGEST_BODY), parse_constant=_no_number)
            return self._check(content.get("points") if isinstance(content, dict) else None)
        except (ConfigError, ValueError, RecursionError) as error:
            raise InputError(
                f"{printable(self.output)} exists and holds no points of these images ({one_line(error)}); "
                "name another output"
            ) from error

    def _check(self, content: Any) -> Points:
        if not isinstance(content, list) or len(content) > MOST_POINTS:
            raise InputError(f"points: expected a list of at most {MOST_POINTS}")
        if not content:
            return []
        columns = parse_points(content, "points")
        for name, column, image in zip(("infrared", "visible"), columns, (self.infrared, self.visible), strict=True):
            if (column < -0.5).any() or (column > np.array(image.shape[1::-1]) - 0.5).any():
                raise InputError(f"points: a point lies outside of the {name} image")
        return [
            {"infrared": list(map(float, first)), "visible": list(map(float, second))}
            for first, second in zip(*columns, strict=True)
        ]

    def _judge(self, points: Points) -> tuple[bytes, dict[str, Any]]:
        """The overlay as PNG, and count, residuals in pixels, and why there are none."""
        nothing = _png(np.zeros((2, 2), np.uint8))
        if len(points) < 3:
            return nothing, {"count": len(points), "residuals": [], "note": ""}
        source, target = (np.array([point[name] for point in points]) for name in ("infrared", "visible"))
        model: Model = "homography" if len(points) >= 6 else "similarity"
        try:
            matrix = fit(source, target, model)
            picture = _png(overlay(self.infrared, self.visible, matrix))
            found = residuals(matrix, source, target)
        except (InputError, cv2.error, np.linalg.LinAlgError) as error:
            return nothing, {"count": len(points), "residuals": [], "note": one_line(error)}
        if not np.isfinite(found).all():
            return nothing, {
                "count": len(points),
                "residuals": [],
                "note": f"{model}: the points contradict each other",
            }
        return picture, {"count": len(points), "residuals": found.round(2).tolist(), "note": ""}


class _Handler(BaseHTTPRequestHandler):
    server: ClickServer
    timeout = SILENCE
    server_version, sys_version = "ivif", ""

    def do_GET(self) -> None:
        if not self._is_own_page():
            return
        path = self.path.split("?")[0]
        if path == "/":
            page = files("ivif_core.calibration").joinpath("click_page.html").read_bytes()
            self._answer(200, "text/html; charset=utf-8", page)
        elif path in ("/infrared.png", "/visible.png"):
            self._answer(200, "image/png", _png(getattr(self.server, path[1:-4])))
        elif path == "/overlay.png":
            self._answer(200, "image/png", self.server.picture)
        elif path == "/points":
            self._answer(200, "application/json", json.dumps(self.server.state()).encode())
        else:
            self._answer(404, "text/plain", b"no such page")

    def do_POST(self) -> None:
        if not self._is_own_page():
            return
        length = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(length) != 1 or not (length[0].isascii() and length[0].isdigit()):
            self._answer(411, "text/plain", b"expected one Content-Length")
            return
        if len(length[0]) > 9 or int(length[0]) > LARGEST_BODY:
            self._answer(413, "text/plain", b"more than the page ever sends")
            return
        # A page of another site can send text, but not JSON, to this address without asking first.
        if self.path != "/points" or self.headers.get_content_type() != "application/json":
            self._answer(400, "text/plain", b"expected points as JSON")
            return
        body = self.rfile.read(int(length[0]))
        if len(body) < int(length[0]):
            self._answer(400, "text/plain", b"the request was cut short")
            return
        try:
            answer = self.server.take(json.loads(body, parse_constant=_no_number))
        except (InputError, ValueError, RecursionError) as error:
            self._answer(400, "text/plain; charset=utf-8", one_line(error).encode())
            return
        self._answer(200, "application/json", json.dumps(answer).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal is for the user's points."""

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
        self._answer(403, "text/plain", reason.encode())
        return False

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended meanwhile
        connection.shutdown(socket.SHUT_RDWR)


def _no_number(text: str) -> None:
    raise InputError(f"points: expected finite numbers, got {text}")


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
