"""Posts at a steady rate through everything that happens to comment_service, and remembers what was acknowledged.
The texts carry their number and due time, by which viewers.c recognizes them.

Its connections speak just enough HTTP/1.1, so that posting 2,000 comments/s costs little beside what is measured.
A post that was cut or refused is sent again, so one text can be stored under two ids; only the acknowledged one counts,
and so does the number of cuts. While the process is down, authors wait for its next life.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from scripts.benches.asking import post
from scripts.benches.config import FAULTS, FaultSettings

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Acknowledged(NamedTuple):
    """Monotonic seconds: when the comment was due, and when its 200 came"""

    video_id: str
    message: str
    due_s: float
    at_s: float


class _Comment(msgspec.Struct):
    id: str


class Authors:
    """Posts to the videos in turn. `started` and `gone` tell it of the process's lives."""

    def __init__(
        self, port: int, videos: Sequence[str], *, keyed_every: int = 0, settings: FaultSettings = FAULTS
    ) -> None:
        """keyed_every: each so many-th post carries an Idempotency-Key, as a page's do; 0: none"""
        self.acknowledged: dict[str, Acknowledged] = {}  # by the comment's id
        self.errors: Counter[str] = Counter()  # answers that were no 200, by status; and posts that were given up
        self.cut = 0  # posts whose connection ended without an answer
        self.lives: list[tuple[float, float]] = []  # when the process was up, from and to; monotonic seconds
        self._port = port
        self._videos = videos
        self._keyed_every = keyed_every
        self._settings = settings
        self._is_up = asyncio.Event()
        self.up_since_s = 0.0  # when the present life began, or posting did
        self._enough = False

    def started(self) -> None:
        """The process listens."""
        self.up_since_s = time.monotonic()
        self._is_up.set()

    def gone(self) -> None:
        """The process was killed."""
        self._is_up.clear()
        self.lives.append((self.up_since_s, time.monotonic()))

    def enough(self) -> None:
        """Nothing more is begun, so the last life counts up to now."""
        self._enough = True
        self.lives.append((self.up_since_s, time.monotonic()))

    def due_at_s(self, video: str) -> dict[str, float]:
        """Of the video's acknowledged comments, by id"""
        return {name: each.due_s for name, each in self.acknowledged.items() if each.video_id == video}

    async def post(self, rate: float, count: int | None = None, first: int = 0) -> None:
        """Posts `count` comments, or until `enough`; returns when all that was begun is answered, or given up. first:
        the number of the first one"""
        numbers = iter(itertools.count(first) if count is None else range(first, first + count))
        self.up_since_s = time.monotonic()
        start_s = self.up_since_s - first / rate
        # With fewer posts a second, fewer connections: none is idle until the service closes it.
        connections = min(self._settings.authors, int(rate) + 8)
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._talk(numbers, start_s, rate))

    async def _talk(self, numbers: Iterator[int], start_s: float, rate: float) -> None:
        connection = Connection(lambda: asyncio.open_connection("127.0.0.1", self._port))
        try:
            for number in numbers:
                due_s = start_s + number / rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                if self._enough:
                    return
                await self._post(connection, number, due_s)
        finally:
            connection.close()

    async def _post(self, connection: "Connection", number: int, due_s: float) -> None:
        video, message = self._videos[number % len(self._videos)], f"c#{number:06d} @T{due_s * 1e9:.0f} what a goal"
        body = f'{{"liveVideoId":"{video}","message":"{message}","author":{{"name":"u{number % 1000}"}}}}'
        keyed = self._keyed_every and number % self._keyed_every == 0
        request = post("/comment/create", body, **({"idempotency_key": f"bench-{number}"} if keyed else {})).encode()
        while time.monotonic() < due_s + self._settings.give_up_s:
            await self._is_up.wait()
            try:
                async with asyncio.timeout(self._settings.answer_timeout_s):
                    status, answer = await connection.ask(request)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                connection.close()
                self.cut += 1
            else:
                if status == "200":
                    name = msgspec.json.decode(answer, type=_Comment).id
                    self.acknowledged[name] = Acknowledged(video, message, due_s, time.monotonic())
                    return
                self.errors[status] += 1
            await asyncio.sleep(self._settings.again_s)
        self.errors["given up"] += 1


class Connection:
    """One keep-alive connection, opened when it is first needed and when it has ended; one request at a time"""

    def __init__(self, connect: Connect) -> None:
        """connect: raises OSError"""
        self._connect = connect
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Status and body. Raises OSError, IncompleteReadError."""
        if self._writer is None or self._writer.is_closing() or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await self._connect()
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        return head[9:12].decode(), await self._reader.readexactly(length)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def longest_pause_s(acknowledged: Iterable[Acknowledged], lives: Sequence[tuple[float, float]]) -> float:
    """The longest time within one of the process's lives in which nobody got a 200."""
    times_s = sorted(each.at_s for each in acknowledged)
    longest = 0.0
    for begin_s, end_s in lives:
        points = [begin_s, *(at_s for at_s in times_s if begin_s < at_s < end_s), end_s]
        longest = max(longest, *(after - before for before, after in itertools.pairwise(points)))
    return longest


def longest_wait_s(acknowledged: Iterable[Acknowledged], lives: Sequence[tuple[float, float]] = ()) -> float:
    """The longest that an author waited for his 200, from when it was due. What the process was down for isn't
    counted."""
    begins = [begin_s for begin_s, _ in lives]
    waits = (
        each.at_s - max(each.due_s, *(begin_s for begin_s in begins if begin_s <= each.at_s), 0.0)
        for each in acknowledged
    )
    return max(waits, default=0.0)
