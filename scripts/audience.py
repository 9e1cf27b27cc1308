"""Watches a video with many SSE viewers, records what each gets, and counts what is lost, doubled or out of order."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec

from scripts.config import SSE, SseSettings
from scripts.sse_client import Event, Refused, SseClient


@dataclass(slots=True)
class Record:
    """What one viewer got: when it first read each comment (monotonic seconds), in the order of arrival."""

    read_at_s: dict[str, float] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)  # ids that arrived again

    def arrived(self, comment_id: str, now_s: float) -> None:
        if comment_id in self.read_at_s:
            self.repeated.append(comment_id)
        else:
            self.read_at_s[comment_id] = now_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sums over all viewers, for the comments passed to `judge`. Latencies in ms from due to read; NaN: none read."""

    lost: int
    doubled: int
    disordered: int
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return (
            f"lost={self.lost} doubled={self.doubled} disordered={self.disordered} "
            f"p50_ms={self.p50_ms:.1f} p99_ms={self.p99_ms:.1f}"
        )


def judge(records: list[Record], due_at_s: Mapping[str, float]) -> Verdict:
    """due_at_s: the acknowledged comments, and when each was due to be posted.

    lost: acknowledged, and never read. doubled: read again by the same viewer. disordered: read after one with a
    larger id. The latency begins when a comment was due, not when it was sent. Otherwise a slow service that delays the
    sender would hide its own slowness ("coordinated omission", Gil Tene).
    """
    lost = doubled = disordered = 0
    latencies_ms: list[float] = []
    for record in records:
        mine = {comment_id: at for comment_id, at in record.read_at_s.items() if comment_id in due_at_s}
        lost += len(due_at_s) - len(mine)
        doubled += sum(comment_id in due_at_s for comment_id in record.repeated)
        largest = ""
        for comment_id, at in mine.items():
            disordered += comment_id < largest
            largest = max(largest, comment_id)
            latencies_ms.append((at - due_at_s[comment_id]) * 1000)
    return Verdict(lost, doubled, disordered, percentile(latencies_ms, 50), percentile(latencies_ms, 99))


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that at least `percent` % of the values don't exceed; NaN without values."""
    if not values:
        return float("nan")
    rank = max(1, -(-len(values) * percent // 100))
    return sorted(values)[int(rank) - 1]


class _Comment(msgspec.Struct):
    id: str


class Audience:
    """`count` viewers of one video, each with its own connection. They reconnect after cuts as SseClient does.

    on_event: told each event, with the viewer's number in `records`. socket_of: makes their sockets.
    """

    def __init__(
        self,
        url: str,
        count: int,
        *,
        on_event: Callable[[int, Event], object] = lambda number, event: None,
        socket_of: Callable[[], socket.socket] | None = None,
        settings: SseSettings = SSE,
    ) -> None:
        self.records = [Record() for _ in range(count)]
        self._url = url
        self._on_event = on_event
        self._socket_of = socket_of
        self._settings = settings
        self._clients: list[SseClient] = []
        self._changed = asyncio.Event()  # set at each arrival and at each first connection

    @contextlib.asynccontextmanager
    async def watching(self, connect_timeout_s: float) -> AsyncIterator[None]:
        """Enters when all viewers are connected. Raises TimeoutError after the time-out, Refused if one is refused."""
        own = self._socket_of
        connector = aiohttp.TCPConnector(limit=0, socket_factory=(lambda address: own()) if own else None)
        async with aiohttp.ClientSession(connector=connector) as session:
            clients = (
                SseClient(session, self._url, on_state=self._notice, settings=self._settings) for _ in self.records
            )
            self._clients = list(clients)
            tasks = [asyncio.create_task(self._watch(number)) for number in range(len(self.records))]
            try:
                await self._wait_connected(tasks, connect_timeout_s)
                yield
                _raise_failures(tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def reconnects(self) -> int:
        return sum(max(0, client.connections - 1) for client in self._clients)

    @property
    def servers(self) -> list[str]:
        """host:port of each viewer's current server, in the order of `records`; empty: not connected"""
        return [client.server for client in self._clients]

    async def wait_for(self, comment_ids: set[str], timeout_s: float) -> bool:
        """Returns True as soon as every viewer has all of them, False after the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for record in self.records:
                    while not comment_ids <= record.read_at_s.keys():
                        await self._change()
                return True
        return False

    async def _wait_connected(self, tasks: list[asyncio.Task[None]], timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not all(client.connections for client in self._clients):
                await self._change()
                _raise_failures(tasks)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _notice(self, state: object) -> None:
        self._changed.set()

    async def _watch(self, number: int) -> None:
        client, record = self._clients[number], self.records[number]
        decode = msgspec.json.Decoder(_Comment).decode
        try:
            async for event in client.events():
                if event.name == "message":
                    record.arrived(decode(event.data).id, time.monotonic())
                self._on_event(number, event)
                self._changed.set()
        except Refused:
            self._changed.set()
            raise


def _raise_failures(tasks: list[asyncio.Task[None]]) -> None:
    """Raises the error of a viewer that has ended: it was refused, or got something that is no comment."""
    for task in tasks:
        if task.done():
            task.result()
