"""Authors who post at a steady rate through the public API, and remember exactly what was acknowledged.

They speak just enough HTTP/1.1 for comment_service's answers, so that posting 2,000 comments/s leaves the machine to
those who are measured. A post is sent once: whether a comment without an answer was stored is unknown, and it is
counted as an error.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple, cast

from scripts.benches.http_load import post

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_ID = b'"id":"'
_ID_BYTES = 16


class _Post(NamedTuple):
    video: str
    due_s: float
    request: bytes


class Authors:
    """`due_at_s`: for each video the acknowledged comments' ids, and when each was due (monotonic seconds)."""

    def __init__(self, port: int, videos: Sequence[str], connections: int) -> None:
        self.due_at_s: dict[str, dict[str, float]] = {video: {} for video in videos}
        self.errors: Counter[str] = Counter()
        self.longest_ms = 0.0  # from due to acknowledged
        self._port = port
        self._videos = videos
        self._connections = connections
        self._free: deque[_Connection] = deque()
        self._waiting: deque[_Post] = deque()
        self._under_way = 0
        self._changed = asyncio.Event()

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self.due_at_s.values()))

    async def post(self, rate: float, seconds: float, answer_timeout_s: float) -> None:
        """Posts to one video after the other; returns when all is answered, or nothing more is to be expected."""
        for _ in range(self._connections):
            await self._connect()
        start_s, count = time.monotonic(), round(rate * seconds)
        for number in range(count):
            due_s = start_s + number / rate
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._send(self._post(number, due_s))
        try:
            async with asyncio.timeout(answer_timeout_s):
                while self._under_way or self._waiting:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.errors["no answer"] += self._under_way + len(self._waiting)
        for connection in self._free:
            connection.close()

    def _post(self, number: int, due_s: float) -> _Post:
        video = self._videos[number % len(self._videos)]
        body = b'{"liveVideoId":"%b","message":"what a goal, number %d","author":{"name":"u%d"}}'
        return _Post(video, due_s, post("/comment/create", body % (video.encode(), number, number % 1000)))

    def _send(self, wanted: _Post) -> None:
        if self._free:
            self._under_way += 1
            self._free.popleft().send(wanted)  # the one that has rested longest: none is ever idle for long
        else:
            self._waiting.append(wanted)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        self._free.append(connection)

    def answered(self, connection: "_Connection", to: _Post, head: bytes, body: bytes) -> None:
        status = head[9:12].decode(errors="replace")
        if status == "200":
            start = body.index(_ID) + len(_ID)
            self.due_at_s[to.video][body[start : start + _ID_BYTES].decode()] = to.due_s
            self.longest_ms = max(self.longest_ms, (time.monotonic() - to.due_s) * 1000)
        else:
            self.errors[status] += 1
        self._under_way -= 1
        self._free.append(connection)
        if self._waiting:
            self._send(self._waiting.popleft())
        self._changed.set()

    def lost(self, connection: "_Connection", unanswered: _Post | None) -> None:
        if connection in self._free:
            self._free.remove(connection)
        if unanswered is not None:
            self._under_way -= 1
            self.errors["connection lost"] += 1
            self._changed.set()


class _Connection(asyncio.Protocol):
    """One keep-alive connection: one post at a time."""

    def __init__(self, authors: Authors) -> None:
        self._authors = authors
        self._post: _Post | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, wanted: _Post) -> None:
        self._post = wanted
        self._transport.write(wanted.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_size = self._buffer.find(_HEAD_END)
        if head_size < 0 or self._post is None:
            return
        head = self._buffer[:head_size].lower()
        body = self._buffer[head_size + len(_HEAD_END) :]
        if len(body) < int(head.partition(_LENGTH)[2].partition(b"\r")[0] or 0):
            return
        answered, self._post, self._buffer = self._post, None, b""
        self._authors.answered(self, answered, head, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._authors.lost(self, self._post)

    def close(self) -> None:
        self._transport.close()
