"""The load generator against a small real server"""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.benches.http_load import get, load, post


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/right" else 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(200 if body == b"{}" else 400)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


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
    figures = await asyncio.to_thread(load, port, request_bytes, connections=2, seconds=0.05, warm_s=0.05)
    assert figures.requests > 0
    assert figures.failed == (0 if is_right else figures.requests)
    assert 0 < figures.p50_ms <= figures.p99_ms
