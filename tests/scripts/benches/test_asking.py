"""The load generator against a small real server"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.benches.asking import NUMBER, TURN, Asked, ask, get, post
from scripts.benches.config import HistorySettings
from scripts.benches.running import BenchFailed

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


async def load(
    port: int, request: str, *, connections: int = 2, seconds: float = 0.2, warm_s: float = 0.05, turns: int = 1
) -> Asked:
    settings = HistorySettings(connections=connections, seconds=seconds, warm_s=warm_s)
    return await ask(port, request, {"us": os.getpid()}, settings, turns)


@pytest.mark.parametrize("request_text", [get("/right"), post("/any", "{}"), get("/large")])
async def test_it_counts_what_is_answered(port: int, request_text: str) -> None:
    asked = await load(port, request_text)
    assert asked.requests > 0
    assert asked.per_s > 0
    assert asked.p99_ms > 0
    assert asked.cpu_us["us"] >= 0
    assert asked.cpu_us["asker"] > 0


@pytest.mark.parametrize("request_text", [get("/wrong"), post("/any", "[]")])
async def test_what_is_refused_is_no_figure(port: int, request_text: str) -> None:
    with pytest.raises(BenchFailed, match=r"(\d+) of \1 requests failed"):
        await load(port, request_text)


async def test_each_request_has_its_number(port: int) -> None:
    seen.clear()
    await load(port, get(f"/right?{NUMBER}-{TURN}"), connections=1, warm_s=0, turns=2)
    assert seen[:3] == [f"/right?{n:012}-{n % 2:06}" for n in range(3)]


async def test_nobody_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(BenchFailed, match="refused"):
            await load(nobody.getsockname()[1], get("/"), connections=1)
