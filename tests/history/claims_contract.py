"""What every store promises about Idempotency-Keys and node numbers. Derived as contract.py's class is."""

import asyncio
import random
from itertools import count

import pytest

from history.clocks import wall_ms
from history.core.ids import NODES
from history.core.video import Video
from history.opening import open_store
from history.store import Claim, History
from tests.waiting import eventually

DAY_MS = 86_400_000


def a_claim(video_id: str, comment_id: int, key: str = "key") -> Claim:
    return Claim("author", video_id, key, comment_id, 1_760_000_000_000, b"\0digest")


@pytest.mark.asyncio(loop_scope="module")
class ClaimsContract:
    async def test_the_first_claim_of_a_key_stands(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        claims = [a_claim(video, 100 + n) for n in range(6)]
        firsts = await asyncio.gather(
            *((store, other)[n % 2].claim_keys([claim], wall_ms(), DAY_MS) for n, claim in enumerate(claims))
        )
        assert len({first for (first,) in firsts}) == 1
        ((first,), *_) = firsts
        assert first in claims
        assert await store.claim_keys([a_claim(video, 999)], wall_ms(), DAY_MS) == [first]
        for another in (a_claim(video, 999, "key 2"), a_claim(f"{video}-2", 999)):
            assert await store.claim_keys([another], wall_ms(), DAY_MS) == [another]
        await other.close()

    async def test_many_keys_are_claimed_at_once(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        some = [a_claim(video, 1_000 + n, f"key {n}") for n in range(0, 200, 2)]
        assert await store.claim_keys(some, wall_ms(), DAY_MS) == some
        more = [a_claim(video, 2_000 + n, f"key {n}") for n in range(100)]
        expected = [some[n // 2] if n % 2 == 0 else more[n] for n in range(100)]
        assert await other.claim_keys(more, wall_ms(), DAY_MS) == expected
        assert await store.claim_keys(more, wall_ms(), DAY_MS) == expected
        await other.close()

    async def test_processes_that_claim_many_keys_agree(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        claims = [[a_claim(video, 1_000 * who + n, f"key {n}") for n in range(40)] for who in range(4)]
        firsts = await asyncio.gather(
            *((store, other)[who % 2].claim_keys(some, wall_ms(), DAY_MS) for who, some in enumerate(claims))
        )
        assert all(each == firsts[0] for each in firsts)
        assert all(first in wanted for first, wanted in zip(firsts[0], zip(*claims, strict=True), strict=True))
        await other.close()

    async def test_a_claim_ends(self, store: History, video: str) -> None:
        await store.claim_keys([a_claim(video, 1)], wall_ms(), 1_000)
        ids = count(2)

        async def ended() -> bool:
            wanted = a_claim(video, next(ids))
            return await store.claim_keys([wanted], wall_ms(), 1_000) == [wanted]

        await eventually(ended)

    async def test_a_node_number_has_one_holder(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        node = random.randrange(NODES)
        assert await store.claim_node(node, f"{video}-a", "a on host", wall_ms(), 60_000) is None
        assert await other.claim_node(node, f"{video}-b", "b on host", wall_ms(), 60_000) == "a on host"
        assert await other.claim_node(node, f"{video}-a", "a again", wall_ms(), 60_000) is None
        await other.release_node(node, f"{video}-b")  # not its own
        assert await other.claim_node(node, f"{video}-b", "b on host", wall_ms(), 60_000) == "a again"
        await store.release_node(node, f"{video}-a")
        assert await other.claim_node(node, f"{video}-b", "b on host", wall_ms(), 60_000) is None
        await other.release_node(node, f"{video}-b")
        await other.close()

    async def test_a_lease_ends(self, store: History, video: str) -> None:
        node = random.randrange(NODES)
        await store.claim_node(node, f"{video}-a", "a", wall_ms(), 1_000)

        async def ended() -> bool:
            return await store.claim_node(node, f"{video}-b", "b", wall_ms(), 60_000) is None

        await eventually(ended)
        assert await store.claim_node(node, f"{video}-a", "a", wall_ms(), 60_000) == "b"
        await store.release_node(node, f"{video}-b")

    async def test_sweeping_takes_nothing_that_lives(self, store: History, video: str) -> None:
        claim = a_claim(video, 1)
        await store.claim_keys([claim], wall_ms(), DAY_MS)
        await store.add_video(Video(video, "title", None, 1))
        await store.sweep(wall_ms())
        assert await store.claim_keys([a_claim(video, 2)], wall_ms(), DAY_MS) == [claim]
        assert await store.video(video) is not None
