from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from ivif_core.calibration.click_page import ClickServer
from ivif_core.calibration.points import read_points
from ivif_core.errors import InputError

GOOD = b'[{"infrared": [1, 2], "visible": [3, 4]}]'


@pytest.fixture
def server(tmp_path, rng, serve):
    infrared = cv2.GaussianBlur(rng.integers(0, 256, (128, 160), np.uint8), (0, 0), 3)
    return serve(ClickServer(infrared, cv2.resize(infrared, (320, 256)), tmp_path / "points.json"))


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


def on_spots(driver, name, across, down):
    from selenium.webdriver import ActionChains

    image = driver.find_element("css selector", f"#{name} img")
    box = image.rect
    move = (across - 0.5) * box["width"], (down - 0.5) * box["height"]
    ActionChains(driver, duration=0).move_to_element_with_offset(image, *map(round, move)).click().perform()


@pytest.mark.browser
def test_clicking_in_a_browser(server, chromium):
    from selenium.webdriver.support.ui import WebDriverWait

    def wait(expression):
        WebDriverWait(chromium, 20, 0.05).until(lambda driver: driver.execute_script(f"return {expression}"))

    def starts(text):
        wait(f"document.getElementById('status').textContent.startsWith('{text}')")

    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    chromium.get(server.address)
    wait("[...document.querySelectorAll('.side img')].filter(i => i.naturalWidth).length == 2")
    spots = [(0.2, 0.2), (0.8, 0.25), (0.75, 0.8), (0.3, 0.7), (0.5, 0.5), (0.6, 0.3), (0.9, 0.9)]
    for index, spot in enumerate(spots):
        for name in ("infrared", "visible"):
            on_spots(chromium, name, *spot)
        starts(f"{index + 1} points")
    wait("document.getElementById('overlay').naturalWidth == 1920")
    chromium.refresh()  # points, marks and overlay survive it
    starts("7 points, residuals")
    wait("document.querySelectorAll('.mark').length == 14 && document.getElementById('overlay').naturalWidth == 1920")
    chromium.find_element("id", "undo").click()
    starts("6 points")
    on_spots(chromium, "infrared", 0.4, 0.4)  # half a pair is taken back first
    wait("document.querySelectorAll('.mark').length == 13")
    chromium.find_element("css selector", "body").send_keys("\ue009z")  # Ctrl-Z
    wait("document.querySelectorAll('.mark').length == 12")
    wait("document.getElementById('overlay').naturalWidth == 1920")
    chromium.get("about:blank")  # the server ends before the browser
    assert chromium.get_log("browser") == []
    source, target = read_points(server.output)
    np.testing.assert_allclose(source, np.array(spots[:6]) * (160, 128) - 0.5, atol=1.0)
    np.testing.assert_allclose(target, 2 * source + 0.5, atol=1.5)


@pytest.mark.parametrize(
    "body",
    [
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
    ],
    ids=range(12),
)
def test_points_that_are_none_do_not_replace_the_file(server, body):
    assert server.take(json.loads(GOOD))["count"] == 1
    before = server.output.read_bytes()
    status, said = post(server, body)
    assert status == 400 and len(said) < 400 and "\n" not in said
    assert server.output.read_bytes() == before and server.points == json.loads(GOOD)


def test_a_reload_and_a_later_run_keep_the_points(server, rng):
    points = json.loads(json.dumps(doubled(6, rng)))
    sent = server.take(points)
    with urllib.request.urlopen(server.address + "points", timeout=10) as answer:
        assert json.loads(answer.read()) == {"points": points, **sent}
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
