"""What every store promises about Idempotency-Keys and node numbers. Derived as contract.py's class is."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from itertools import count

import pytest

from history.clocks import wall_ms
from history.core.ids import NODES, first_id_at
from history.core.model import Author, Comment
from history.core.video import Video
from history.opening import open_store
from history.store import Claim, Claimed, History, Outcome, Store
from tests.waiting import eventually

DAY_MS = 86_400_000
KEYS = ("key", "019acd12-3456-7abc-8def-0123456789ab")
"""One of each kind: any text, and one that says when it was made"""


def a_claim(video_id: str, number: int, key: str = "key") -> Claim:
    """number: of the comment's id, now"""
    return Claim("author", video_id, key, first_id_at(wall_ms()) + number, 1_760_000_000_000, b"\0digest")


def claimed(claim: Claim) -> Claimed:
    author = Author(claim.author_id, "Ann")
    return Comment(claim.comment_id, claim.video_id, author, "hi", claim.created_at_ms), claim


async def append_claimed(store: Store, claims: Sequence[Claim], keep_ms: int = DAY_MS) -> Sequence[Outcome]:
    return await store.append_claimed([claimed(each) for each in claims], wall_ms(), keep_ms)


async def stored_ids(store: Store, video_id: str) -> list[int]:
    return [each.id for each in (await store.newer(video_id, 0, 1_000)).comments]


@pytest.mark.asyncio(loop_scope="module")
class ClaimsContract:
    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("rivals", [1, 4])
    async def test_a_claim_that_holds_is_found_without_claiming(
        self, store: History, url: str, video: str, key: str, rivals: int
    ) -> None:
        other = await open_store(url)
        assert await store.claim_of("author", video, key) is None
        assert await stored_ids(store, video) == []
        ((first,), *_) = await asyncio.gather(
            *(append_claimed((store, other)[n % 2], [a_claim(video, n, key)]) for n in range(rivals))
        )
        assert await store.claim_of("author", video, key) == await other.claim_of("author", video, key) == first
        assert await store.claim_of("another", video, key) is None
        assert await store.claim_of("author", video, f"{key} 2") is None
        await other.close()

    @pytest.mark.parametrize("key", KEYS)
    async def test_the_first_claim_of_a_key_stands(self, store: History, url: str, video: str, key: str) -> None:
        other = await open_store(url)
        claims = [a_claim(video, n, key) for n in range(6)]
        firsts = await asyncio.gather(
            *(append_claimed((store, other)[n % 2], [claim]) for n, claim in enumerate(claims))
        )
        assert len({first for (first,) in firsts}) == 1
        ((first,), *_) = firsts
        assert first in claims
        assert isinstance(first, Claim)
        assert await append_claimed(store, [a_claim(video, 9, key)]) == [first]
        assert await stored_ids(store, video) in ([], [first.comment_id])  # if it isn't, its own claimant has died
        for another in (a_claim(video, 20, f"{key} 2"), a_claim(f"{video}-2", 21, key)):
            assert await append_claimed(store, [another]) == [another]
            assert another.comment_id in await stored_ids(store, another.video_id)
        await other.close()

    @pytest.mark.parametrize("key", KEYS)
    async def test_a_claim_that_holds_is_durable_with_its_comment(
        self, store: History, url: str, video: str, key: str
    ) -> None:
        claim = a_claim(video, 1, key)
        assert await append_claimed(store, [claim]) == [claim]
        other = await open_store(url)
        assert (await other.newer(video, 0, 10)).comments == [claimed(claim)[0]]
        assert await append_claimed(other, [a_claim(video, 2, key)]) == [claim]
        assert await append_claimed(other, [claim]) == [claim]  # safe to repeat
        assert await stored_ids(store, video) == [claim.comment_id]
        await other.close()

    async def test_nothing_may_be_claimed(self, store: History) -> None:
        assert await store.append_claimed([], wall_ms(), DAY_MS) == []

    @pytest.mark.parametrize("timed", [False, True])
    async def test_many_keys_are_claimed_at_once(self, store: History, url: str, video: str, timed: bool) -> None:
        keys = [str(uuid.uuid4()) for _ in range(100)]
        if timed:
            keys = [f"019acd123456{7:x}{key[15:18]}{key[19:23]}{key[24:]}" for key in keys]
        other = await open_store(url)
        some = [a_claim(video, n, keys[n]) for n in range(0, 100, 2)]
        assert await append_claimed(store, some) == some
        more = [a_claim(video, 100 + n, keys[n]) for n in range(100)]
        expected = [some[n // 2] if n % 2 == 0 else more[n] for n in range(100)]
        assert await append_claimed(other, more) == expected
        assert await append_claimed(store, more) == expected
        assert set(await stored_ids(store, video)) == {each.comment_id for each in expected}
        await other.close()

    async def test_keys_of_many_videos_are_claimed_at_once(self, store: History, video: str) -> None:
        claims = [a_claim(f"{video}-{n % 40}", n, KEYS[1].replace("abc", f"{n:03x}")) for n in range(90)]
        assert await append_claimed(store, claims) == claims
        for n in range(40):
            of_video = [each.comment_id for each in claims[n::40]]
            assert await stored_ids(store, f"{video}-{n}") == of_video

    async def test_processes_that_claim_many_keys_agree(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        keys = [f"key {n}" if n % 2 else KEYS[1].replace("abc", f"{n:03x}") for n in range(40)]
        claims = [[a_claim(video, 100 * who + n, keys[n]) for n in range(40)] for who in range(4)]
        firsts = await asyncio.gather(
            *(append_claimed((store, other)[who % 2], some) for who, some in enumerate(claims))
        )
        assert all(each == firsts[0] for each in firsts)
        assert all(first in wanted for first, wanted in zip(firsts[0], zip(*claims, strict=True), strict=True))
        # Whoever has the standing claim has appended, or will be completed: nobody else's comment is there.
        assert set(await stored_ids(store, video)) <= {each.comment_id for each in firsts[0] if isinstance(each, Claim)}
        await other.close()

    async def test_an_erased_comment_keeps_its_key(self, store: History, video: str) -> None:
        for number, key in enumerate(KEYS):
            claim = a_claim(video, number, key)
            await append_claimed(store, [claim])
            await store.erase(video, [claim.comment_id])
            assert await append_claimed(store, [a_claim(video, 100 + number, key)]) == [claim]
        assert (await store.newer(video, 0, 10)).comments == []

    async def test_a_claim_ends(self, store: History, video: str) -> None:
        await append_claimed(store, [a_claim(video, 1)], 1_000)
        ids = count(2)

        async def ended() -> bool:
            wanted = a_claim(video, next(ids))
            return await append_claimed(store, [wanted], 1_000) == [wanted]

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

    async def test_a_later_life_takes_the_number_over(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        node = random.randrange(NODES)
        assert await store.claim_node(node, f"{video}.1.a", "first", wall_ms(), 60_000) is None
        assert await other.claim_node(node, f"{video}.1.b", "copy", wall_ms(), 60_000) == "first"
        assert await other.claim_node(node, f"{video}.2.b", "second", wall_ms(), 60_000) is None
        assert await store.claim_node(node, f"{video}.1.a", "first", wall_ms(), 60_000) == "second"
        await store.release_node(node, f"{video}.1.a")  # not its own any more
        assert await store.claim_node(node, f"{video}.1.a", "first", wall_ms(), 60_000) == "second"
        await other.release_node(node, f"{video}.2.b")
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
        await append_claimed(store, [claim])
        await store.add_video(Video(video, "title", None, 1))
        await store.sweep(wall_ms())
        assert await append_claimed(store, [a_claim(video, 2)]) == [claim]
        assert await store.video(video) is not None
