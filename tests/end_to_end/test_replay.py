"""A whole chat log goes through the system and reaches every viewer, whichever process dies in the middle."""

import asyncio
import re

import aiohttp
import pytest

from tests.replaying import SMALL_CHAT, VERDICT, Result, replay
from tests.system import System
from tests.waiting import eventually

REFUSED = 2  # lines of the small chat that are over a limit: one is too long, one is only white space


def assert_all_arrived(result: Result) -> None:
    verdict = VERDICT.fullmatch(result.last_line)
    assert verdict, result
    assert verdict.group(1, 2) == ("0", "0"), result
    assert result.code == 0, result
    assert re.search(rf"^refused +{REFUSED} ", result.out, re.MULTILINE), result


async def replay_small_chat(system: System, speed: int, viewers: int = 5) -> Result:
    """The log is 12 minutes long; at speed 40 it takes 18 s."""
    return await replay(
        *(SMALL_CHAT, "--base", system.base_url, "--speed", str(speed), "--viewers", str(viewers), "--verify")
    )


async def test_on_sqlite() -> None:
    async with System() as system:
        assert_all_arrived(await replay_small_chat(system, speed=180, viewers=20))


async def test_on_cassandra(cassandra_url: str) -> None:
    async with System(store=cassandra_url) as system:
        assert_all_arrived(await replay_small_chat(system, speed=180, viewers=20))


@pytest.mark.parametrize("role", ["dispatcher", "rms", "comment-service"])
async def test_survives_kill_9_of_each_process_of_a_role_in_turn(role: str) -> None:
    async with System() as system, aiohttp.ClientSession(system.base_url) as session:
        replaying = asyncio.create_task(replay_small_chat(system, speed=40))
        for part in system.plan[role]:
            for _ in range(10):
                await a_new_comment(session, unless=replaying)
            await system.kill(role, part.number)
            await system.back_again(role, part.number)
        assert not replaying.done(), "the kills were meant to be in the middle"
        result = await replaying
        assert_all_arrived(result)
        if role == "rms":
            assert int(re.findall(r", (\d+) reconnects", result.out)[0]) >= 5, "both nodes died: every viewer moved"


async def a_new_comment(session: aiohttp.ClientSession, unless: asyncio.Task[Result]) -> None:
    """Returns when there is a new comment; at once when the replay is over."""
    before = await newest(session)

    async def there_is_one() -> bool:
        return unless.done() or await newest(session) not in (None, before)

    await eventually(there_is_one)


async def newest(session: aiohttp.ClientSession) -> str | None:
    """The newest comment's id; None if there is none, or no service answers"""
    try:
        async with session.get("/comments/demo?pagesize=1") as page:
            comments = (await page.json()).get("comments")
    except aiohttp.ClientError:
        return None
    return str(comments[0]["id"]) if comments else None
