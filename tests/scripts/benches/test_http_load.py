"""The load generator against a small real server"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.benches.http_load import NUMBER, LoadFailed, get, load, post

seen: list[str] = []  # paths


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen.append(self.path)
        right = self.path.partition("?")[0] in ("/right", "/large")
        self._answer(200 if right else 404, b"x" * 1_000_000 if self.path == "/large" else b"ok")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(200 if body == b"{}" else 400)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""

    def _answer(self, status: int, body: bytes = b"ok") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the asker has ended
            self.wfile.write(body)


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(
    ("request_bytes", "is_right"), [(get("/right"), True), (post("/any", b"{}"), True), (get("/wrong"), False)]
)
async def test_it_counts_what_is_answered(port: int, request_bytes: bytes, is_right: bool) -> None:
    watched = {"us": os.getpid()}
    figures = await load(port, request_bytes, connections=2, seconds=0.5, warm_s=0.05, watched=watched)
    assert figures.requests > 0
    assert figures.failed == (0 if is_right else figures.requests)
    assert 0 < figures.p50_ms <= figures.p99_ms <= figures.max_ms
    assert figures.cpu_us["us"] >= 0
    assert figures.own_cpu_us > 0


async def test_each_request_has_its_number(port: int) -> None:
    seen.clear()
    await load(port, get(f"/right?{NUMBER.decode()}"), connections=1, seconds=1, warm_s=0)
    assert seen[:3] == [f"/right?{n:016}" for n in range(3)]


async def test_a_large_answer_is_read_whole(port: int) -> None:
    figures = await load(port, get("/large"), connections=2, seconds=0.5, warm_s=0.05)
    assert figures.requests > 0
    assert figures.failed == 0


async def test_nobody_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(LoadFailed, match="refused"):
            await load(nobody.getsockname()[1], get("/"), connections=1, seconds=0.05)
