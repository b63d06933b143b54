"""The server of the local pages: it answers to its own page only, within bounds."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from ivif_core.errors import InputError
from ivif_core.files.local_page import MOST_CONNECTIONS, Body, LocalPage, as_json


class Echo(LocalPage):
    """Keeps what is posted to /points, unless that is null; /broken cannot be had."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        super().__init__("ivif_core.calibration", ("click_page.html",))

    def get(self, path: str, query: str) -> Body | None:
        if path == "/broken":
            raise InputError("it is\nbroken")
        return as_json([path, query]) if path in ("/points", "/infrared.png", "/overlay.png") else None

    def post(self, path: str, content: Any) -> Body | None:
        if content is None:
            raise InputError("expected something")
        if path == "/points":
            self.taken.append(content)
            return as_json(content)
        return None


@pytest.fixture
def server(serve):
    return serve(Echo())


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


def writing(server, *headers: str, body: bytes = GOOD, path: str = "/points") -> tuple[int, bytes]:
    lines = (f"POST {path} HTTP/1.1", "Content-Type: application/json", *headers)
    return raw(server, *lines, body=body)


def test_the_page_its_files_and_what_it_may_ask_for(server):
    assert raw(server, "GET / HTTP/1.1", own(server)) == raw(server, "GET /click_page.html HTTP/1.1", own(server))
    assert json.loads(raw(server, "GET /points?a=1 HTTP/1.1", own(server))[1]) == ["/points", "a=1"]
    assert raw(server, "GET /broken HTTP/1.1", own(server)) == (400, b"it is\\nbroken")
    for path in ("/click_page.py", "/../errors.py", "/%2e%2e/errors.py", "//etc/passwd", "points", "*"):
        assert raw(server, f"GET {path} HTTP/1.1", own(server))[0] in (400, 404)
    assert server.server_address[0] == "127.0.0.1"


def test_what_is_posted_is_taken_or_refused(server):
    length = f"Content-Length: {len(GOOD)}"
    assert writing(server, own(server), length) == (200, GOOD) and server.taken == [json.loads(GOOD)]
    assert writing(server, own(server), length, path="/other")[0] == 404
    plain = ("POST /points HTTP/1.1", "Content-Type: text/plain", own(server), length)
    assert raw(server, *plain, body=GOOD)[0] == 400
    for body in (b"null", b"", b"{", b"[" * 100_000, b"[NaN]", b"[1" + b"0" * 5000 + b"]", b"\xff\xfe[]"):
        status, said = writing(server, own(server), f"Content-Length: {len(body)}", body=body)
        assert status == 400 and len(said) < 400 and b"\n" not in said
    assert len(server.taken) == 1


def test_a_port_that_is_taken_is_said(server):
    with pytest.raises(InputError, match="--port"):
        LocalPage("ivif_core.calibration", ("click_page.html",), server.server_port)


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
    assert not server.taken


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
    assert not server.taken


def test_a_request_that_is_cut_short_writes_nothing(server):
    with socket.create_connection(server.server_address, timeout=10) as connection:
        lines = ["POST /points HTTP/1.1", own(server), "Content-Type: application/json", f"Content-Length: {len(GOOD)}"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + GOOD[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in connection.recv(100)
    assert not server.taken


def test_silent_and_dripping_connections_end_and_others_are_served_meanwhile(server, monkeypatch):
    monkeypatch.setattr("ivif_core.files.local_page._Handler.timeout", 0.3)
    monkeypatch.setattr("ivif_core.files.local_page.LONGEST_REQUEST", 1.0)
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
