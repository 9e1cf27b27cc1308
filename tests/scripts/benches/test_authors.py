"""Every due comment is posted until it is acknowledged, through errors, cuts and lives of the service; and pauses"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from scripts.benches.authors import Acknowledged, Authors, longest_pause_s, longest_wait_s
from scripts.benches.config import FAULTS
from tests.serving import serving
from tests.waiting import eventually

Answer = Callable[[asyncio.StreamWriter, dict[str, str], bytes], Awaitable[None]]


@asynccontextmanager
async def service(answer: Answer) -> AsyncIterator[int]:
    """A server that gives each POST's body and head to `answer`; its port"""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await answer(writer, msgspec.json.decode(await reader.readexactly(size)), head)

    async with serving(talk) as port:
        yield port


SOON = replace(FAULTS, again_s=0.01)


async def accept(writer: asyncio.StreamWriter, number: int) -> None:
    """A 200 in two pieces"""
    answer = b'{"id":"%016x","liveVideoId":"v"}' % number
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer))
    await writer.drain()
    writer.write(answer)


async def test_every_video_gets_its_share_and_every_id_is_remembered() -> None:
    posted: list[str] = []

    async def take(writer: asyncio.StreamWriter, body: dict[str, str], head: bytes) -> None:
        posted.append(body["liveVideoId"])
        await accept(writer, len(posted))

    async with service(take) as port:
        authors = Authors(port, ["a", "b"], settings=SOON)
        authors.started()
        await authors.post(rate=1_000, count=20)
    assert (posted.count("a"), posted.count("b")) == (10, 10)
    assert sorted(authors.due_at_s("a") | authors.due_at_s("b")) == [f"{n:016x}" for n in range(1, 21)]
    assert (authors.cut, authors.errors) == (0, {})
    assert longest_wait_s(authors.acknowledged.values()) > 0


async def test_they_post_through_errors_cuts_and_a_kill() -> None:
    keys: list[bool] = []

    async def take(writer: asyncio.StreamWriter, body: dict[str, str], head: bytes) -> None:
        keys.append(b"idempotency-key" in head)
        if len(keys) == 2:
            writer.write(b"HTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\n{}")
        elif len(keys) == 3:
            writer.close()
        else:
            await accept(writer, len(keys))

    async with service(take) as port:
        authors = Authors(port, ["a", "b"], keyed_every=10, settings=SOON)
        authors.started()
        posting = asyncio.create_task(authors.post(200))
        await eventually(lambda: len(authors.acknowledged) >= 20)
        authors.gone()
        known = len(keys)
        authors.started()
        await eventually(lambda: len(keys) > known)
        authors.enough()
        await posting
    assert (authors.cut, authors.errors) == (1, {"503": 1})
    assert {each.video_id for each in authors.acknowledged.values()} == {"a", "b"}
    messages = [each.message for each in authors.acknowledged.values()]
    assert len(set(messages)) == len(messages)
    assert any(keys)
    assert not all(keys)
    assert len(authors.lives) == 2


async def test_what_is_never_answered_is_given_up() -> None:
    async def say_nothing(writer: asyncio.StreamWriter, body: dict[str, str], head: bytes) -> None:
        """Unlike life: not even an end"""

    async with service(say_nothing) as port:
        authors = Authors(port, ["a"], settings=replace(SOON, answer_timeout_s=0.05, give_up_s=0.1))
        authors.started()
        await authors.post(rate=1_000, count=3)
    assert authors.errors == {"given up": 3}
    assert authors.cut >= 3
    assert not authors.acknowledged


def times(*pairs: tuple[float, float]) -> list[Acknowledged]:
    """Of comments: when due, when acknowledged"""
    return [Acknowledged("v", "m", due_s, at_s) for due_s, at_s in pairs]


@pytest.mark.parametrize(
    ("acknowledged", "lives", "pause_s"),
    [
        ([], [], 0),
        ([], [(0, 5)], 5),
        ([1, 2, 4], [(0, 5)], 2),
        ([3], [(0, 5)], 3),
        ([1, 9], [(0, 2), (8, 10)], 1),  # in between it was down
    ],
)
def test_a_pause_is_counted_within_a_life(
    acknowledged: list[float], lives: list[tuple[float, float]], pause_s: float
) -> None:
    assert longest_pause_s(times(*((at_s, at_s) for at_s in acknowledged)), lives) == pause_s


def test_a_wait_does_not_count_what_the_process_was_down() -> None:
    assert longest_wait_s(times()) == 0
    assert longest_wait_s(times((0.5, 1), (2, 2.25)), [(0, 3)]) == 0.5
    assert longest_wait_s(times((2, 9)), [(0, 3), (8, 10)]) == 1
