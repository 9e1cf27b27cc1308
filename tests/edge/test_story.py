"""A chat log goes through each balancer to 200 viewers over HTTP/2, while a node dies, another one is drained, and the
balancer is reloaded: nobody misses a comment, and nobody gets one twice."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from scripts.audience import judge
from tests.edge.balancers import HASH, KINDS, PLACED, Edge
from tests.edge.behind import behind, drain, node_of_most
from tests.edge.browsers import Crowd
from tests.end_to_end.test_replay import a_new_comment, assert_all_arrived
from tests.replaying import SMALL_CHAT, replay
from tests.system import System

VIEWERS = 200
"""of each way"""


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_misses_or_doubles_a_comment(
    kind: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))  # for the clients of scripts/replay
    async with (
        behind() as system,
        Edge(kind, HASH, *addresses(system), certificates) as hashing,
        Edge(kind, PLACED, *addresses(system), certificates) as placing,
        aiohttp.ClientSession(system.base_url) as http,
    ):
        crowds = [Crowd(f"{edge.url}/comments/demo?backfill=0", VIEWERS, certificates) for edge in (hashing, placing)]
        async with crowds[0].watching(), crowds[1].watching():
            replaying = asyncio.create_task(
                replay(SMALL_CHAT, "--base", placing.url, "--speed", "60", "--viewers", "5", "--verify")
            )
            for _ in range(10):
                await a_new_comment(http, unless=replaying)
            victim = await node_of_most(system)
            await system.kill("rms", victim)
            await system.back_again("rms", victim)
            await a_new_comment(http, unless=replaying)
            await asyncio.gather(hashing.reload(), placing.reload())
            await a_new_comment(http, unless=replaying)
            await drain(system, await node_of_most(system))
            await a_new_comment(http, unless=replaying)
            assert not replaying.done(), "all of it was meant to be in the middle"
            assert_all_arrived(await replaying)
            said = await all_comments(http)
            for crowd in crowds:
                await crowd.wait_for(said)
        for crowd in crowds:
            verdict = judge([source.record for source in crowd.sources], dict.fromkeys(said, 0.0))
            assert (verdict.lost, verdict.doubled) == (0, 0), verdict
            assert not [name for source in crowd.sources for name in source.named if name == "gap"]
            assert all(source.opened > 1 for source in crowd.sources), "each was cut at least once"
        assert not any(source.redirects for source in crowds[0].sources), "by hash there is no redirect"
        assert all(source.redirects for source in crowds[1].sources)


def addresses(system: System) -> tuple[str, list[str]]:
    """of comment_service and the nodes"""
    return system.plan["comment-service"][0].address, [part.address for part in system.plan["rms"]]


async def all_comments(http: aiohttp.ClientSession) -> set[str]:
    found: set[str] = set()
    cursor = ""
    while True:
        async with http.get(f"/comments/demo?pagesize=100{cursor}") as answer:
            page = await answer.json()
        found |= {comment["id"] for comment in page["comments"]}
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"
