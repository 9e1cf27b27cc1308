"""Cassandra dies, people go on posting, comment_service is killed meanwhile: no acknowledged comment is lost."""

import asyncio

import aiohttp
import pytest

from history.core.ids import parse_id
from history.opening import open_reader
from scripts.audience import Audience, judge
from tests.cassandra_fixture import CassandraUnderTest
from tests.system import System
from tests.waiting import eventually

VIDEO = "outage"
VIEWERS = 5
BACK_S_MAX = 60.0


class Author:
    """Posts comments one after the other, and records which were acknowledged."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.acknowledged: dict[str, str] = {}

    async def say(self, count: int) -> None:
        """Each with an Idempotency-Key, so that a retry after a kill makes no second comment"""
        for _ in range(count):
            message = f"number {len(self.acknowledged)}"
            body = {"liveVideoId": VIDEO, "message": message, "author": {"name": "ann"}}
            headers = {"Idempotency-Key": message.replace(" ", "-")}
            async with self._session.post("/comment/create", json=body, headers=headers) as response:
                assert response.status == 200, await response.text()
                self.acknowledged[(await response.json())["id"]] = message


async def metric(session: aiohttp.ClientSession, name: str) -> float:
    async with session.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"comment_service_{name} "))


@pytest.mark.timeout(240)  # Cassandra starts again on a machine that may be busy
async def test_nothing_is_lost_while_cassandra_and_then_comment_service_die(cassandra: CassandraUnderTest) -> None:
    url = cassandra.new_url()
    async with (
        System(store=url) as system,
        aiohttp.ClientSession(system.base_url) as session,
        aiohttp.ClientSession(system.operators_url) as operators,
    ):
        author = Author(session)
        audience = Audience(f"{system.base_url}/comments/{VIDEO}", VIEWERS)
        async with audience.watching(BACK_S_MAX):
            await author.say(20)
            await asyncio.to_thread(cassandra.kill)
            try:
                await author.say(50)
                await system.kill("comment-service")
                await system.back_again("comment-service")  # it is ready without a store
                assert await metric(operators, "spool_comments") >= 50
                await author.say(50)
            finally:
                await asyncio.to_thread(cassandra.start)
            await author.say(10)

            async def is_drained() -> bool:
                return await metric(operators, "spool_comments") == await metric(operators, "catching_up") == 0

            await eventually(is_drained, BACK_S_MAX)
            assert await audience.wait_for(set(author.acknowledged), BACK_S_MAX)
        verdict = judge(audience.records, dict.fromkeys(author.acknowledged, 0.0))
        assert (verdict.lost, verdict.doubled) == (0, 0)
        reader = await open_reader(url)
        stored = {comment.id: comment.message for comment in (await reader.newer(VIDEO, 0, 1_000)).comments}
        await reader.close()
        assert stored == {parse_id(name): message for name, message in author.acknowledged.items()}
