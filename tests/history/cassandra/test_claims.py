"""Idempotency-Keys in Cassandra: who is alone needs no LWT. What every store promises is in claims_contract.py."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest

from history.cassandra import claims as cassandra_claims
from history.cassandra.claims import BY_KEY
from history.cassandra.store import CassandraStore
from history.core.keys import name_of_key
from history.core.model import Comment
from history.store import Claim, StoreUnavailable
from tests.history.cassandra.test_store import store
from tests.history.claims_contract import KEYS, a_claim, append_claimed, claimed, stored_ids
from tests.history.contract import video
from tests.waiting import eventually

__all__ = ["store", "video"]

DECIDED = "SELECT key, comment_id FROM $keyspace.idempotency_keys WHERE author_id = ? AND video_id = ? AND key = ?"


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


@pytest.mark.asyncio(loop_scope="module")
class TestCassandraClaims:
    async def test_only_those_that_meet_another_are_decided(self, store: CassandraStore, video: str) -> None:
        first, other = a_claim(video, 1), a_claim(video, 3, "other")
        assert await append_claimed(store, [first]) == [first]
        assert await store._tables.run(DECIDED, "author", video, "key") == []
        assert await append_claimed(store, [a_claim(video, 2), other]) == [first, other]
        assert await store._tables.run(DECIDED, "author", video, "key") == [("key", first.comment_id)]
        assert await store._tables.run(DECIDED, "author", video, "other") == []

    async def test_a_claim_ends_as_a_whole(self, store: CassandraStore, video: str) -> None:
        """A row that outlives its values would be taken for a claim of nothing."""
        numbers = count(1)
        begun = a_claim(video, 0)
        await append_claimed(store, [begun], 1_000)

        async def never_half() -> bool:
            claim = a_claim(video, next(numbers))
            (first,) = await append_claimed(store, [claim], 1_000)
            rows = await store._tables.run(BY_KEY.proposals, [name_of_key("author", video, "key")])
            assert all(None not in row[:4] for row in rows)
            assert isinstance(first, Claim)
            assert first.digest == claim.digest
            return first.comment_id > begun.comment_id

        await eventually(never_half)

    @pytest.mark.parametrize("how", ["fails", "is slow"])
    async def test_one_keys_error_is_its_own(
        self, store: CassandraStore, video: str, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = [a_claim(video, n, f"key {n}") for n in range(3)]
        await append_claimed(store, keys)
        decide_by_lwt = store._claims._decide_by_lwt

        async def fail_one(claim: Claim, keep_ms: int) -> Claim:
            if claim.key == "key 1":
                if how == "is slow":
                    await asyncio.Event().wait()
                raise StoreUnavailable("cut off by the test")
            return await decide_by_lwt(claim, keep_ms)

        monkeypatch.setattr(store._claims, "_decide_by_lwt", fail_one)
        async with asyncio.timeout(30):
            one, error, other = await append_claimed(store, [a_claim(video, 10 + n, f"key {n}") for n in range(3)])
        assert (one, other) == (keys[0], keys[2])
        assert isinstance(error, StoreUnavailable)

    async def test_a_key_twice_in_one_call_is_one(self, store: CassandraStore, video: str) -> None:
        twice = [a_claim(video, number) for number in (7, 8)]
        one, other = await append_claimed(store, twice)
        assert one == other
        assert one in twice
        assert isinstance(one, Claim)
        assert await stored_ids(store, video) == [one.comment_id]

    async def test_the_same_claim_again_stands(self, store: CassandraStore, video: str) -> None:
        claim = a_claim(video, 1)
        for _ in range(3):
            assert await append_claimed(store, [claim]) == [claim]

    @pytest.mark.parametrize("key", KEYS)
    async def test_what_the_decision_was_against_is_erased(self, store: CassandraStore, video: str, key: str) -> None:
        """Three meet: the one that is alone has appended, the second dies before it says that it wasn't, and the LWT
        gets the second one's claim before the first one's second write can be read."""
        alone, dead, late = (a_claim(video, number, key) for number in (2, 1, 3))
        assert await append_claimed(store, [alone]) == [alone]
        await propose_and_decide(store, dead, says_it_saw_others=False)
        assert await append_claimed(store, [late]) == [dead]
        assert await stored_ids(store, video) == []
        assert await append_claimed(store, [alone]) == [dead]  # its own process learns it, too
        assert await stored_ids(store, video) == []

    async def test_who_was_alone_among_neighbours_learns_that_he_is_no_longer(
        self, store: CassandraStore, video: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another one comes between the first reading and the second, of many that are only counted."""
        mine = [a_claim(video, n, KEYS[1].replace("abc", f"{n:03x}")) for n in range(3)]
        theirs = a_claim(video, 9, mine[1].key)
        append = store._claims._append

        async def meanwhile(comments: Sequence[Comment]) -> None:
            await append(comments)
            await propose_and_decide(store, theirs, says_it_saw_others=True)

        with monkeypatch.context() as meeting:
            meeting.setattr(store._claims, "_append", meanwhile)
            assert await append_claimed(store, mine) == [mine[0], theirs, mine[2]]
        assert await stored_ids(store, video) == [mine[0].comment_id, mine[2].comment_id]


async def propose_and_decide(store: CassandraStore, claim: Claim, *, says_it_saw_others: bool) -> None:
    """Of a process that dies at once, or after its second write; and the LWT, to which somebody hands this claim"""
    ((layout, places, _),) = cassandra_claims._parts([claimed(claim)])
    row = (*places[0], cassandra_claims._bigint(claim.comment_id), cassandra_claims._bigint(1), claim.digest)
    ttl = cassandra_claims._int(60)
    await store._claims._write(layout.propose, [(*row, ttl)])
    if says_it_saw_others:
        await store._claims._write(layout.mark, [(*row, cassandra_claims.FALSE, ttl)])
    await store._claims._decide_by_lwt(claim, 60_000)
