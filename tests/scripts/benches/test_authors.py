"""scripts/benches/authors.py: what is due is posted once, and each answer counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from scripts.benches.authors import Authors

Answer = Callable[[asyncio.StreamWriter, dict[str, str]], Awaitable[None]]


@asynccontextmanager
async def service(answer: Answer) -> AsyncIterator[int]:
    """A server that gives each POST's body to `answer`; its port"""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await answer(writer, msgspec.json.decode(await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_every_video_gets_its_share_and_every_id_is_remembered() -> None:
    posted: list[str] = []

    async def accept(writer: asyncio.StreamWriter, body: dict[str, str]) -> None:
        posted.append(body["liveVideoId"])
        answer = b'{"id":"%016x","liveVideoId":"v"}' % len(posted)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer)
        writer.write(head)
        await writer.drain()
        writer.write(answer)

    async with service(accept) as port:
        authors = Authors(port, ["a", "b"], connections=2)
        await authors.post(rate=1_000, seconds=0.02, answer_timeout_s=10)
    assert (posted.count("a"), posted.count("b")) == (10, 10)
    assert sorted(authors.due_at_s["a"] | authors.due_at_s["b"]) == [f"{n:016x}" for n in range(1, 21)]
    assert authors.acknowledged == 20
    assert not authors.errors
    assert authors.longest_ms > 0


async def test_what_is_not_acknowledged_is_an_error() -> None:
    async def refuse(writer: asyncio.StreamWriter, body: dict[str, str]) -> None:
        if body["liveVideoId"] == "gone":
            writer.close()
        elif body["liveVideoId"] == "full":
            writer.write(b"HTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\n{}")
        # else: never an answer

    async with service(refuse) as port:
        authors = Authors(port, ["gone", "full", "mute"], connections=3)
        await authors.post(rate=1_000, seconds=0.003, answer_timeout_s=0.2)
    assert authors.errors == {"connection lost": 1, "503": 1, "no answer": 1}
    assert authors.acknowledged == 0
