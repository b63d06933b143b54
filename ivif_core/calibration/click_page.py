"""A small local web page on which one clicks matching points of a pair and sees the overlay."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ivif_core.calibration.fitting import fit, residuals
from ivif_core.calibration.overlay import overlay
from ivif_core.errors import InputError
from ivif_core.files.writing import write_text

LARGEST_BODY = 1 << 20


class ClickServer(ThreadingHTTPServer):
    """Serves the page on this machine only, and writes the points to `output` whenever they change.

    Attributes:
        address: to open in a browser.
    """

    daemon_threads = True

    def __init__(self, infrared: np.ndarray, visible: np.ndarray, output: Path, port: int = 0) -> None:
        """
        Args:
            infrared, visible: uint8 grey.
            port: 0 takes any free one.

        Raises:
            InputError: the port is taken.
        """
        self.infrared, self.visible, self.output = infrared, visible, output
        self.lock = threading.Lock()
        self.picture = _png(np.zeros((2, 2), np.uint8))
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(f"port {port}: {error.strerror}; give another with --port") from error
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"

    def take(self, content: Any) -> dict[str, Any]:
        """Write points that the page sent, and answer with what they give.

        Raises:
            InputError: not the page's format.
        """
        try:
            pairs = [{name: [float(v) for v in entry[name]] for name in ("infrared", "visible")} for entry in content]
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"points: expected a list of infrared and visible [x, y]: {error}") from error
        if any(len(point) != 2 for pair in pairs for point in pair.values()):
            raise InputError("points: expected two numbers a point")
        with self.lock:
            write_text(self.output, json.dumps({"points": pairs}, indent=1))
            if len(pairs) < 3:
                return {"count": len(pairs), "residuals": []}
            source, target = (np.array([pair[name] for pair in pairs]) for name in ("infrared", "visible"))
            matrix = fit(source, target, "homography" if len(pairs) >= 6 else "similarity")
            self.picture = _png(overlay(self.infrared, self.visible, matrix))
            return {"count": len(pairs), "residuals": residuals(matrix, source, target).round(2).tolist()}


class _Handler(BaseHTTPRequestHandler):
    server: ClickServer

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/":
            page = files("ivif_core.calibration").joinpath("click_page.html").read_bytes()
            self._answer(200, "text/html; charset=utf-8", page)
        elif path in ("/infrared.png", "/visible.png"):
            self._answer(200, "image/png", _png(getattr(self.server, path[1:-4])))
        elif path == "/overlay.png":
            self._answer(200, "image/png", self.server.picture)
        else:
            self._answer(404, "text/plain", b"no such page")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        # A page of another site can send text, but not JSON, to this address without asking first.
        if self.path != "/points" or self.headers.get("Content-Type") != "application/json" or length > LARGEST_BODY:
            self._answer(400, "text/plain", b"expected points as JSON")
            return
        try:
            answer = self.server.take(json.loads(self.rfile.read(length)))
        except (InputError, ValueError) as error:
            self._answer(400, "text/plain; charset=utf-8", str(error).encode())
            return
        self._answer(200, "application/json", json.dumps(answer).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal is for the user's points."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
