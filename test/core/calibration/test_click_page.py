from __future__ import annotations

import json
import os
import shutil
import socket
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
from ivif_core.errors import InputError


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


def raw(server, *lines: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of the answer to a request sent byte by byte as written; 0 where the server hangs up."""
    with socket.create_connection(server.server_address, timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    head, _, content = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), content


def own(server) -> str:
    return f"Host: 127.0.0.1:{server.server_port}"


GOOD = b'[{"infrared": [1, 2], "visible": [3, 4]}]'


def writing(server, *headers: str, body: bytes = GOOD) -> tuple[int, bytes]:
    lines = ("POST /points HTTP/1.1", "Content-Type: application/json", *headers)
    return raw(server, *lines, body=body)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
        "127.0.0.1",
        "",
        "[::1]",
    ],
)
@pytest.mark.parametrize("path", ["/", "/infrared.png", "/points", "/overlay.png"])
def test_another_name_for_this_machine_is_refused(server, host, path):
    """DNS rebinding: a page whose name came to mean 127.0.0.1 still sends its own name."""
    lines = [] if host is None else [f"Host: {host.format(port=server.server_port)}"]
    status, body = raw(server, f"GET {path} HTTP/1.1", *lines)
    assert status == 403 and len(body) < 100


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_its_own_names_are_served(server, name):
    host = f"{name}:{server.server_port}"
    assert raw(server, "GET / HTTP/1.1", f"Host: {host}")[0] == 200
    length = f"Content-Length: {len(GOOD)}"
    assert writing(server, f"Host: {host}", f"Origin: http://{host}", "Sec-Fetch-Site: same-origin", length)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: http://evil.example"],
        ["Origin: null"],
        ["Origin: https://127.0.0.1:{port}"],
        ["Origin: http://127.0.0.1:1"],
        ["Origin: http://127.0.0.1:{port}", "Origin: http://evil.example"],
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
        ["Host: evil.example"],
    ],
)
def test_a_page_of_another_site_cannot_write(server, headers):
    said = [line.format(port=server.server_port) for line in headers]
    assert writing(server, own(server), f"Content-Length: {len(GOOD)}", *said)[0] == 403
    assert not server.output.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 411),
        (["Content-Length: -1"], 411),
        (["Content-Length: +5"], 411),
        (["Content-Length: five"], 411),
        (["Content-Length: 5", "Content-Length: 6"], 411),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 411),
        (["Content-Length: 1048577"], 413),
        ([f"Content-Length: {'9' * 5000}"], 413),
    ],
)
def test_a_body_without_a_sane_length_is_not_read(server, headers, status):
    assert writing(server, own(server), *headers, body=b"")[0] == status
    assert not server.output.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'[{"infrared": [NaN, 1], "visible": [1, 1]}]',
        b'[{"infrared": [Infinity, 1], "visible": [1, 1]}]',
        b'[{"infrared": [1e999, 1], "visible": [1, 1]}]',
        b'[{"infrared": [1' + b"0" * 400 + b', 1], "visible": [1, 1]}]',
        b'[{"infrared": [1' + b"0" * 5000 + b', 1], "visible": [1, 1]}]',
        b'[{"infrared": [-9, 1], "visible": [1, 1]}]',
        b'[{"infrared": [1, 1], "visible": [1, 256]}]',
        b'[{"infrared": ["1", 1], "visible": [1, 1]}]',
        b'[{"infrared": [true, 1], "visible": [1, 1]}]',
        b'[{"infrared": {"0": 1, "1": 2}, "visible": [1, 1]}]',
        b'{"points": []}',
        b"[" + b",".join([GOOD[1:-1]] * 1001) + b"]",
        b"\xff\xfe[]",
        b"null",
        b"",
    ],
    ids=range(16),
)
def test_points_that_are_none_do_not_replace_the_file(server, body):
    assert server.take(json.loads(GOOD))["count"] == 1
    before = server.output.read_bytes()
    status, said = writing(server, own(server), f"Content-Length: {len(body)}", body=body)
    assert status == 400 and len(said) < 400 and b"\n" not in said
    assert server.output.read_bytes() == before and server.points == json.loads(GOOD)


def test_a_request_that_is_cut_short_writes_nothing(server):
    with socket.create_connection(server.server_address, timeout=10) as connection:
        lines = ["POST /points HTTP/1.1", own(server), "Content-Type: application/json", f"Content-Length: {len(GOOD)}"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + GOOD[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in connection.recv(100)
    assert not server.output.exists()


def test_silent_and_dripping_connections_end_and_others_are_served_meanwhile(server, monkeypatch):
    monkeypatch.setattr("ivif_core.calibration.click_page._Handler.timeout", 0.3)
    monkeypatch.setattr("ivif_core.calibration.click_page.LONGEST_REQUEST", 1.0)
    with socket.create_connection(server.server_address, timeout=10) as silent:
        assert raw(server, "GET / HTTP/1.1", own(server))[0] == 200
        assert silent.recv(10) == b""
    with socket.create_connection(server.server_address, timeout=10) as dripping:
        dripping.settimeout(0.1)
        deadline = time.monotonic() + 20
        ended = False
        while not ended and time.monotonic() < deadline:
            try:
                dripping.sendall(b"G")
                ended = dripping.recv(10) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended


def test_more_connections_than_a_page_needs_are_closed(server):
    from ivif_core.calibration.click_page import MOST_CONNECTIONS

    held = [socket.create_connection(server.server_address, timeout=10) for _ in range(MOST_CONNECTIONS)]
    try:
        with socket.create_connection(server.server_address, timeout=10) as more:
            assert more.recv(10) == b""
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 10
    status = 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = raw(server, "GET / HTTP/1.1", own(server))[0]
        except OSError:
            time.sleep(0.02)
    assert status == 200


def test_a_reload_and_a_later_run_keep_the_points(server, rng):
    points = json.loads(json.dumps(doubled(6, rng)))
    sent = server.take(points)
    status, body = raw(server, "GET /points HTTP/1.1", own(server))
    assert status == 200 and json.loads(body) == {"points": points, **sent}
    with ClickServer(server.infrared, server.visible, server.output) as later:
        assert later.points == points and later.picture == server.picture
    assert server.take([])["count"] == 0
    with ClickServer(server.infrared, server.visible, server.output) as later:
        assert later.points == []


@pytest.mark.parametrize(
    "text", ["mine", "[]", '{"points": 5}', '{"points": [{"infrared": [999, 1], "visible": [1, 1]}]}']
)
def test_a_file_that_holds_no_points_of_these_images_is_kept(server, text):
    server.output.write_text(text)
    with pytest.raises(InputError, match="name another output"):
        ClickServer(server.infrared, server.visible, server.output)
    assert server.output.read_text() == text


def test_points_on_one_line_are_kept_and_said(server):
    line = [{"infrared": [k, k], "visible": [k, k]} for k in (5.0, 9.0, 20.0)]
    assert "line" in server.take(line * 2)["note"]
    assert len(read_points(server.output)[0]) == 6


def test_the_end_waits_for_points_that_are_written_and_for_nobody_else(tmp_path, rng, monkeypatch):
    """A thread that is cut off inside of C++ when the interpreter ends would abort the process."""
    image = cv2.GaussianBlur(rng.integers(0, 256, (128, 128), np.uint8), (0, 0), 3)
    judging, go_on = threading.Event(), threading.Event()
    server = ClickServer(image, image, tmp_path / "points.json")
    judge = server._judge

    def slowly(points):
        judging.set()
        assert go_on.wait(10)
        return judge(points)

    monkeypatch.setattr(server, "_judge", slowly)
    threading.Thread(target=server.serve_forever).start()
    body = json.dumps([{"infrared": [1, 1], "visible": [2, 2]}]).encode()
    head = f"POST /points HTTP/1.1\r\nHost: {server.address[7:-1]}\r\nContent-Type: application/json\r\n"
    with (
        socket.create_connection(server.server_address) as silent,
        socket.create_connection(server.server_address) as page,
    ):
        silent.sendall(b"GET / HTTP/1.1\r\n")
        page.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert judging.wait(10)
        server.shutdown()
        closing = threading.Thread(target=server.server_close)
        closing.start()
        assert silent.recv(1) == b""  # hung up
        assert closing.is_alive() and not server.output.exists()
        go_on.set()
        closing.join(5)
        assert not closing.is_alive() and len(read_points(server.output)[0]) == 1
