"""People who post and operators who moderate, over real HTTP, and what they were answered as a book."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

import aiohttp

from tests.end_to_end.viewers import AGREE_S, BACKFILL, ERASED, HIDDEN, VISIBLE, Book, Viewer, agree, watching
from tests.system import System
from tests.waiting import eventually

VIDEO = "show"
TOKEN = "secret"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
PAUSE_S = 0.1
"""between two comments of those who talk all the time: twenty in the two seconds of a lease"""


class Newsroom:
    """Posts and orders go to the comment_services in turn."""

    def __init__(self, system: System, http: aiohttp.ClientSession) -> None:
        self.book = Book()
        self.services = [f"http://{part.address}" for part in system.plan["comment-service"]]
        self.operators = [f"http://{part.operators}" for part in system.plan["comment-service"]]
        self.nodes = [f"http://{part.address}" for part in system.plan["rms"]]
        self.original = f"{system.base_url}/comments/{VIDEO}"
        self._http = http
        self._turns = itertools.cycle(self.services)

    def viewer(self, *, node: int | None = None, gzip: bool = False, rate: int | None = None) -> Viewer:
        """node: from 1, where its first connection goes"""
        return Viewer(self.original, gzip=gzip, rate=rate, first=self.stream(node) if node else "")

    def stream(self, node: int) -> str:
        """The URL of the stream at this node, from 1"""
        return f"{self.nodes[node - 1]}/comments/{VIDEO}"

    @contextlib.asynccontextmanager
    async def asked_for_stream(self, node: int) -> AsyncIterator[asyncio.StreamReader]:
        """A new viewer's request is sent to this node, whether or not it is answered."""
        host, _, port = self.nodes[node - 1].removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        try:
            writer.write(f"GET /comments/{VIDEO}?backfill={BACKFILL} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            await writer.drain()
            yield reader
        finally:
            writer.close()
            await writer.wait_closed()

    # Authors

    async def say(self, count: int = 1, author: str = "ann") -> list[str]:
        """Returns the ids."""
        ids = []
        for _ in range(count):
            message = f"{author} says {len(self.book.said)}."
            body = {"liveVideoId": VIDEO, "message": message, "author": {"id": author, "name": author}}
            async with self._http.post(f"{next(self._turns)}/comment/create", json=body) as response:
                assert response.status == 200, await response.text()
                comment = await response.json()
            self.book.said[comment["id"]] = comment
            self.book.state[comment["id"]] = VISIBLE
            ids.append(comment["id"])
        return ids

    @contextlib.asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Somebody posts all the time."""
        over = asyncio.Event()

        async def talk() -> None:
            while not over.is_set():
                await self.say(author="talker")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), PAUSE_S)

        talk_task = asyncio.create_task(talk())
        try:
            yield
        finally:
            over.set()
            await talk_task

    # Operators. Each returns the HTTP status.

    async def erase(self, comment_id: str) -> int:
        return await self._moderate("DELETE", f"/{comment_id}", [comment_id], ERASED)

    async def hide(self, comment_id: str) -> int:
        return await self._moderate("POST", f"/{comment_id}/hide", [comment_id], HIDDEN)

    async def restore(self, comment_id: str) -> int:
        return await self._moderate("POST", f"/{comment_id}/restore", [comment_id], VISIBLE)

    async def purge(self, author: str) -> int:
        """All that he has said until now"""
        theirs = [each for each, said in self.book.said.items() if said["author"]["id"] == author]  # type: ignore[index]
        return await self._moderate("DELETE", f"?author={author}", theirs, ERASED)

    async def _moderate(self, method: str, order: str, ids: list[str], state: str) -> int:
        url = f"{next(self._turns)}/comments/{VIDEO}{order}"
        async with self._http.request(method, url, headers=ADMIN) as response:
            assert response.status in (200, 202), await response.text()
            for each in ids:
                self.book.state[each] = state
                if state == ERASED and response.status == 200:
                    self.book.erased_s[each] = time.monotonic()
            return response.status

    # What must hold

    async def pages_agree(self) -> None:
        """The pages of all services come to be what the book says, in the order of ids."""
        for service in self.services:
            paged: list[tuple[str, str]] = []

            async def is_so(service: str = service, paged: list[tuple[str, str]] = paged) -> bool:
                paged[:] = await self._pages(service)
                return paged == sorted(self.book.visible().items(), reverse=True)

            with contextlib.suppress(TimeoutError):
                await eventually(is_so, AGREE_S)
            assert paged == sorted(self.book.visible().items(), reverse=True), service

    async def _pages(self, service: str) -> list[tuple[str, str]]:
        """ids and messages, newest first"""
        comments: list[tuple[str, str]] = []
        cursor = None
        while True:
            query = {"pagesize": "100"} | ({"cursor": cursor} if cursor else {})
            async with self._http.get(f"{service}/comments/{VIDEO}", params=query) as response:
                page = await response.json()
            comments += [(each["id"], each["message"]) for each in page["comments"]]
            cursor = page["nextCursor"]
            if cursor is None:
                return comments

    async def newcomers_agree(self, *nodes: int) -> None:
        """Viewers who come now, to these nodes and in all forms, are given what the book says, and nothing else."""
        assert len(self.book.visible()) <= BACKFILL, "more was said than a new viewer can be given"
        await self._newcomers(nodes, lambda viewers: agree(viewers, self.book))

    async def newcomers_see_nothing_gone(self, node: int) -> None:
        """Viewers who come now are given the past without what is gone, even if the node can't give what is new."""
        visible = set(self.book.visible())

        async def have_the_past(viewers: Sequence[Viewer]) -> None:
            await eventually(lambda: all(visible <= viewer.shown.keys() for viewer in viewers))

        await self._newcomers([node], have_the_past)

    async def _newcomers(
        self, nodes: Sequence[int], until: Callable[[Sequence[Viewer]], Coroutine[None, None, None]]
    ) -> None:
        gone = self.book.gone(ERASED, HIDDEN)
        viewers = [
            self.viewer(node=node, gzip=gzip, rate=rate)
            for node in nodes
            for gzip in (False, True)
            for rate in (None, 2)
        ]
        async with watching(viewers):
            await until(viewers)
        texts = [connection.text for viewer in viewers for connection in viewer.connections]
        assert not [message for message in gone for text in texts if f'"{message}"' in text]
