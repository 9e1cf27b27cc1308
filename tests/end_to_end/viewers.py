"""Viewers as browsers are, each with a model of what its page shows; and the book of what was said, to compare with."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

from scripts.sse_client import SseParser
from tests.waiting import eventually

BACKFILL = 200
"""All that is said in these tests, so that a new viewer has to show what pages show"""

RETRY_S = 0.2
"""from a cut to the next try; less than the nodes ask for, so that tests are short"""

AGREE_S = 30.0
"""for models that have to come to agree with the book; only a broken system needs it all"""

VISIBLE, HIDDEN, ERASED = "visible", "hidden", "erased"


@dataclass(slots=True)
class Book:
    """What was accepted, and what an operator was answered about it"""

    said: dict[str, dict[str, object]] = field(default_factory=dict)
    """comments as their authors got them, by id"""
    state: dict[str, str] = field(default_factory=dict)
    erased_s: dict[str, float] = field(default_factory=dict)
    """when the operator was answered that all living nodes have the erasure (monotonic seconds), by id"""

    def visible(self) -> dict[str, str]:
        """messages by id"""
        return {each: str(comment["message"]) for each, comment in self.said.items() if self.state[each] == VISIBLE}

    def gone(self, *states: str) -> list[str]:
        """messages that nobody may see"""
        return [str(comment["message"]) for each, comment in self.said.items() if self.state[each] in states]


@dataclass(slots=True)
class Connection:
    url: str
    began_s: float
    text: str = ""


class Viewer:
    """Follows a video from the original URL on. After a cut it comes back to the original URL, with the last id."""

    def __init__(self, url: str, *, gzip: bool = False, rate: int | None = None, first: str = "") -> None:
        """url, first: without a query. first: where its first connection goes; empty: to the original URL"""
        self.shown: dict[str, str] = {}
        """messages by id, as its page has them"""
        self.times = Counter[str]()
        """how often each comment came"""
        self.positions: dict[str, str] = {}
        """the `id:` that came with each event, by its data"""
        self.names = Counter[tuple[str, str]]()
        """how often each named event came, by name and data"""
        self.gaps: list[str] = []
        self.skipped = 0
        self.connections: list[Connection] = []
        self.last_event_id = ""
        self._original = url
        self._next = first
        self._query = {"backfill": str(BACKFILL)} | ({} if rate is None else {"max_rate": str(rate)})
        self._encoding = "gzip" if gzip else "identity"
        self.is_thinned = rate is not None
        self._authors: dict[str, object] = {}
        self._response: aiohttp.ClientResponse | None = None
        self._is_there = asyncio.Event()
        self._is_there.set()
        self.name = f"{'gzip' if gzip else 'plain'}, rate {rate}, first at {first or 'the original URL'}"

    def go(self, url: str) -> None:
        """Its connection breaks, if it has one, and the next one goes to this URL."""
        self._next = url
        self._is_there.set()
        if self._response is not None:
            self._response.close()

    def leave(self) -> None:
        """Its connection breaks, and the next one begins after `go`."""
        self.go("")
        self._is_there.clear()

    @property
    def is_in(self) -> bool:
        return self._response is not None

    async def run(self) -> None:
        """For ever"""
        async with aiohttp.ClientSession() as session:
            while await self._is_there.wait():
                url, self._next = self._next or self._original, ""
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    await self._connect(session, url)
                self._response = None
                if not self._next:
                    await asyncio.sleep(RETRY_S)

    async def _connect(self, session: aiohttp.ClientSession, url: str) -> None:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": self._encoding}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        else:
            self.times.clear()  # it comes as a new one, perhaps again, and is given all of the past
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        began_s = time.monotonic()
        async with session.get(url, params=self._query, headers=headers, timeout=timeout) as response:
            if response.status != 200:
                return
            connection = Connection(f"{response.url.origin()}", began_s)
            self.connections.append(connection)
            self._response = response
            parser = SseParser()
            async for chunk in response.content.iter_any():
                connection.text += chunk.decode(errors="replace")
                for event in parser.feed(chunk):
                    # A stream without events only says when to come again.
                    assert response.headers.get("Content-Encoding", "identity") == self._encoding
                    self._take(event.name, event.data)
                    if event.id:
                        self.positions[event.data] = event.id
                self.last_event_id = parser.last_event_id or self.last_event_id

    def _take(self, name: str, data: str) -> None:
        """As comment_service/page/conversation.js does, and a later version's that knows one event more"""
        payload = json.loads(data)
        if name == "message":
            self.times[payload["id"]] += 1
            self._show(payload)
            return
        self.names[name, data] += 1
        if name in ("deleted", "retracted"):
            self.shown.pop(payload["id"], None)
        elif name == "restored":
            self._show(payload)
        elif name == "author_purged":
            gone = [
                each
                for each in self.shown
                if self._authors[each] == payload["authorId"] and int(each, 16) <= int(payload["upTo"], 16)
            ]
            for each in gone:
                del self.shown[each]
        elif name == "gap":
            self.gaps.append(data)
        elif name == "skipped":
            self.skipped += payload["skipped"]

    def _show(self, comment: Mapping[str, object]) -> None:
        comment_id = str(comment["id"])
        self.shown[comment_id] = str(comment["message"])
        self._authors[comment_id] = comment["author"]["id"]  # type: ignore[index]

    def faults(self, book: Book) -> list[str]:
        """How its model differs from the book"""
        visible = book.visible()
        lost = [text for each, text in visible.items() if each not in self.shown]
        faults = [f"shows {text!r}" for each, text in self.shown.items() if visible.get(each) != text]
        faults += [f"got {each} {count} times" for each, count in self.times.items() if count > 1]
        faults += [f"was told a gap: {gap}" for gap in self.gaps]
        if len(lost) > self.skipped:
            faults += [f"lost {len(lost)}, of which {self.skipped} were told: {lost[:5]}"]
        if self.skipped and not self.is_thinned:
            faults += ["was told that comments were skipped"]
        return [f"{self.name}: {fault}" for fault in faults]

    def sent_after_erasure(self, book: Book) -> list[str]:
        """Texts that a connection brought which began after the operator had his answer"""
        return [
            f"{self.name}: {book.said[each]['message']!r} from {connection.url}"
            for connection in self.connections
            for each, erased_s in book.erased_s.items()
            if connection.began_s > erased_s and f'"{book.said[each]["message"]}"' in connection.text
        ]


@contextlib.asynccontextmanager
async def watching(viewers: Iterable[Viewer]) -> AsyncIterator[None]:
    """Enters when all have a connection."""
    viewers = list(viewers)
    tasks = [asyncio.create_task(viewer.run()) for viewer in viewers]

    def all_are_in() -> bool:
        for task in tasks:
            if task.done():
                task.result()
        return all(viewer.is_in for viewer in viewers)

    try:
        await eventually(all_are_in)
        yield
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, asyncio.CancelledError), outcome


async def agree(viewers: Iterable[Viewer], book: Book) -> None:
    """Returns when each viewer's model is what the book says."""
    viewers = list(viewers)
    await no_faults(lambda: [fault for viewer in viewers for fault in viewer.faults(book)])


async def no_faults(faults: Callable[[], list[str]]) -> None:
    with contextlib.suppress(TimeoutError):
        await eventually(lambda: not faults(), AGREE_S)
    assert not faults(), "\n".join(faults())
