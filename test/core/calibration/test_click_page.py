from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from ivif_core.calibration.click_page import ClickServer
from ivif_core.calibration.points import read_points


@pytest.fixture
def server(tmp_path, rng):
    infrared = cv2.GaussianBlur(rng.integers(0, 256, (128, 160), np.uint8), (0, 0), 3)
    visible = cv2.resize(infrared, (320, 256))
    server = ClickServer(infrared, visible, tmp_path / "points.json")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def post(server, body: bytes, kind: str = "application/json"):
    request = urllib.request.Request(server.address + "points", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def doubled(count, rng):
    source = rng.uniform(10, 110, (count, 2))
    return [{"infrared": list(p), "visible": list(2 * p + 0.5)} for p in source]


def test_points_are_written_and_answered_with_residuals(server, rng):
    status, answer = post(server, json.dumps(doubled(6, rng)).encode())
    assert status == 200 and answer["count"] == 6
    assert max(answer["residuals"]) < 0.01
    source, target = read_points(server.output)
    np.testing.assert_allclose(target, 2 * source + 0.5)
    with urllib.request.urlopen(server.address + "overlay.png", timeout=10) as picture:
        overlay = cv2.imdecode(np.frombuffer(picture.read(), np.uint8), cv2.IMREAD_COLOR)
    assert overlay.shape == (768, 1920, 3)


@pytest.mark.parametrize("body", [b"{", b"5", b'[{"infrared": [1, 2]}]', b'[{"infrared": [1], "visible": [1, 2]}]'])
def test_nonsense_is_refused_and_nothing_written(server, body):
    assert post(server, body)[0] == 400
    assert not server.output.exists()


def test_other_pages_cannot_write(server, rng):
    assert post(server, json.dumps(doubled(6, rng)).encode(), "text/plain")[0] == 400
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(server.address + "../etc/passwd", timeout=10)


class Browser:
    """Headless Chromium by its debugging pipe: messages end with a zero byte."""

    def __init__(self, program: str, profile: str) -> None:
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()

        def place() -> None:
            os.dup2(to_child, 33)
            os.dup2(from_child, 44)
            os.dup2(33, 3)
            os.dup2(44, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1200,900"]
        self._process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(from_child)
        self._rest, self._number, self._session = b"", 0, None

    def open(self, address: str) -> None:
        target = self.call("Target.createTarget", url=address)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                read = os.read(self._in, 1 << 16)
                assert read, "the browser has gone"
                self._rest += read
            text, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, expression: str):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str) -> None:
        end = time.monotonic() + 20
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        os.close(self._out)
        os.close(self._in)


@pytest.mark.browser
def test_clicking_in_a_browser(server, tmp_path):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here")
    browser = Browser(program, str(tmp_path / "profile"))
    try:
        browser.open(server.address)
        browser.wait("[...document.querySelectorAll('.side img')].filter(i => i.naturalWidth).length == 2")
        boxes = {
            name: json.loads(
                browser.value(f"JSON.stringify(document.querySelector('#{name} img').getBoundingClientRect())")
            )
            for name in ("infrared", "visible")
        }
        spots = [(0.2, 0.2), (0.8, 0.25), (0.75, 0.8), (0.3, 0.7), (0.5, 0.5), (0.6, 0.3), (0.9, 0.9)]
        for index, (across, down) in enumerate(spots):
            for box in boxes.values():
                browser.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
            browser.wait(f"document.getElementById('status').textContent.startsWith('{index + 1} points')")
        browser.wait("document.getElementById('overlay').naturalWidth == 1920")
        assert browser.value("document.querySelectorAll('.mark').length") == 2 * len(spots)
        browser.value("document.getElementById('undo').click()")
        browser.wait("document.getElementById('status').textContent.startsWith('6 points')")
    finally:
        browser.close()
    source, target = read_points(server.output)
    expected = np.array(spots[:6]) * (160, 128) - 0.5
    np.testing.assert_allclose(source, expected, atol=1.0)
    np.testing.assert_allclose(target, 2 * source + 0.5, atol=1.5)
