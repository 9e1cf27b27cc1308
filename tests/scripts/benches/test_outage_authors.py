"""Authors: a real server that answers, refuses and goes away; and what pauses are counted"""

import asyncio
import itertools
import time

import pytest
from aiohttp import web

from scripts.benches.outage_authors import Acknowledged, Authors, Tally, longest_pause_s, longest_wait_s
from tests.waiting import eventually


async def served(answer: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def test_they_post_through_errors_and_cuts() -> None:
    numbers = itertools.count(1)
    keys: list[str | None] = []

    async def create(request: web.Request) -> web.Response:
        keys.append(request.headers.get("Idempotency-Key"))
        number = next(numbers)
        if number == 2:
            return web.json_response({"error": {"code": "store_unavailable", "message": ""}}, status=503)
        if number == 3:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"id": f"{number:016x}"})

    app = web.Application()
    app.router.add_post("/comment/create", create)
    runner, url = await served(app)
    authors = Authors(url, ["a", "b"])
    authors.up_since(time.monotonic())
    enough = asyncio.Event()
    posting = asyncio.create_task(authors.post(200, enough))
    await eventually(lambda: len(authors.tally.acknowledged) >= 20)
    enough.set()
    await posting
    tally = authors.tally
    assert (tally.cut, dict(tally.errors)) == (1, {"503": 1})
    assert {each.video_id for each in tally.acknowledged.values()} == {"a", "b"}
    messages = [each.message for each in tally.acknowledged.values()]
    assert len(set(messages)) == len(messages)
    assert any(keys)
    assert not all(keys)
    assert len(tally.lives) == 1
    await runner.cleanup()


def tally(acknowledged: list[tuple[float, float]], lives: list[tuple[float, float]]) -> Tally:
    """Of comments: when due, when acknowledged"""
    comments = {str(n): Acknowledged("v", "m", due_s, at_s) for n, (due_s, at_s) in enumerate(acknowledged)}
    return Tally(comments, lives=lives)


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
    assert longest_pause_s(tally([(at_s, at_s) for at_s in acknowledged], lives)) == pause_s


def test_a_wait_does_not_count_what_the_process_was_down() -> None:
    assert longest_wait_s(tally([], [])) == 0
    assert longest_wait_s(tally([(0.5, 1), (2, 2.25)], [(0, 3)])) == 0.5
    assert longest_wait_s(tally([(2, 9)], [(0, 3), (8, 10)])) == 1
