"""A post that one comment_service doesn't acknowledge goes to the next one with the same key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from scripts.benches.accounts import text_of
from scripts.benches.authors import Connect
from scripts.benches.config import PARTITION
from scripts.benches.keyed_authors import KeyedAuthors
from tests.serving import serving

SOON = replace(PARTITION, rate=100.0, again_s=0.01, answer_timeout_s=0.1)


class Service:
    """Answers every post with this status; None: never"""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.keys: list[str] = []
        self.bodies: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length: ")[2].partition("\r")[0])
            self.bodies.append((await reader.readexactly(size)).decode())
            self.keys.append(head.partition("idempotency-key: ")[2].partition("\r")[0])
            if self.status:
                body = f'{{"id":"{len(self.keys):016x}"}}'
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Connect]:
        async with serving(self.talk) as port:
            yield lambda: asyncio.open_connection("127.0.0.1", port)


async def posted_to(one: Service, other: Service) -> KeyedAuthors:
    """Six posts to two videos: three to each service first"""
    async with one.listening() as first, other.listening() as second:
        authors = KeyedAuthors({"one": first, "other": second}, ["v", "w"], "run", SOON)
        await authors.post(0.06)
    return authors


async def test_both_services_and_both_videos_get_their_share() -> None:
    one, other = Service("200 OK"), Service("200 OK")
    authors = await posted_to(one, other)
    assert [sorted(authors.posted[video]) for video in ("v", "w")] == [[0, 2, 4], [1, 3, 5]]
    assert [authors.posted["v"][number].first for number in (0, 2, 4)] == ["one", "other", "one"]
    assert (sorted(one.keys), sorted(other.keys)) == (["run-0", "run-1", "run-4", "run-5"], ["run-2", "run-3"])
    assert text_of(0) in one.bodies[0]
    assert (authors.cut, authors.errors) == (0, {})


async def test_what_one_refuses_or_leaves_unanswered_the_other_gets_with_the_same_key() -> None:
    for status in ("503 No", None):
        one, other = Service(status), Service("200 OK")
        authors = await posted_to(one, other)
        assert sorted(other.keys) == [f"run-{number}" for number in range(6)]
        assert {*one.keys} <= {*other.keys}
        assert sum(map(len, authors.posted.values())) == 6
        assert authors.posted["v"][0].first == "one"
        assert (authors.cut, authors.errors["503"]) == ((0, 4) if status else (4, 0))


async def test_what_nobody_takes_is_given_up() -> None:
    async with Service("503 No").listening() as service:
        authors = KeyedAuthors({"one": service}, ["v"], "run", replace(SOON, give_up_s=0.05))
        await authors.post(0.02)
    assert authors.errors["given up"] == 2
    assert authors.posted == {"v": {}}
