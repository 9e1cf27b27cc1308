"""Asks one server as fast as it answers, over a fixed number of connections: requests/s and how long each took.

It speaks just enough HTTP/1.1 for servers that answer with a Content-Length, so that a core of this machine is left
for the server: about 10 µs of CPU a request.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class LoadFigures:
    requests: int
    failed: int  # answers that are not 200 or 304, and connections that ended
    per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    failed: int = 0
    latencies_ns: list[int] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """One connection: the next request goes when the answer is whole."""

    def __init__(self, request: bytes, tally: _Tally, may_go_on: Callable[[], bool]) -> None:
        self._request = request
        self._tally = tally
        self._may_go_on = may_go_on
        self._buffer = b""
        self._sent_ns = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one in all but its bases
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_size = self._buffer.find(_HEAD_END)
        if head_size < 0:
            return
        head = self._buffer[:head_size].lower()
        length = int(head.partition(_LENGTH)[2].partition(b"\r")[0] or 0)
        if len(self._buffer) < head_size + len(_HEAD_END) + length:
            return
        self._tally.requests += 1
        self._tally.failed += head[9:12] not in (b"200", b"304")
        self._tally.latencies_ns.append(time.perf_counter_ns() - self._sent_ns)
        self._buffer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._tally.failed += self._may_go_on()
            self.ended.set_result(None)

    def _send(self) -> None:
        if self._may_go_on():
            self._sent_ns = time.perf_counter_ns()
            self._transport.write(self._request)
        else:
            self._transport.close()


def post(path: str, body: bytes) -> bytes:
    """A POST of JSON, ready to send"""
    return b"POST %b HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        path.encode(),
        len(body),
        body,
    )


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n\r\n" % path.encode()


def load(port: int, request: bytes, *, connections: int, seconds: float, warm_s: float = 1.0) -> LoadFigures:
    """Blocks for the seconds, and before them for those in which the server warms up and nothing counts."""
    return uvloop.run(_load(port, request, connections, seconds, warm_s))


async def _load(port: int, request: bytes, connections: int, seconds: float, warm_s: float) -> LoadFigures:
    loop = asyncio.get_running_loop()
    tally = _Tally()
    end = time.perf_counter() + warm_s + seconds
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: _Client(request, tally, lambda: time.perf_counter() < end), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.sleep(warm_s)
    begin_requests, begin_failed, begin = tally.requests, tally.failed, time.perf_counter()
    tally.latencies_ns.clear()
    await asyncio.wait([client.ended for client in clients])
    elapsed_s = time.perf_counter() - begin
    latencies = sorted(tally.latencies_ns) or [0]
    requests = tally.requests - begin_requests
    return LoadFigures(
        requests,
        tally.failed - begin_failed,
        requests / elapsed_s,
        latencies[len(latencies) // 2] / 1e6,
        latencies[len(latencies) * 99 // 100] / 1e6,
    )
