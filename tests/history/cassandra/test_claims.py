"""Idempotency-Keys in Cassandra: who is alone needs no LWT. What every store promises is in claims_contract.py."""

from itertools import count

import pytest

from history.cassandra.claims import PROPOSALS, _name
from history.cassandra.store import CassandraStore
from history.store import Claim, StoreUnavailable
from tests.history.cassandra.test_store import store
from tests.history.contract import video
from tests.waiting import eventually

__all__ = ["store", "video"]

DECIDED = "SELECT key, comment_id FROM $keyspace.idempotency_keys WHERE author_id = ? AND video_id = ? AND key = ?"


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


def a_claim(video_id: str, comment_id: int, key: str = "key") -> Claim:
    return Claim("author", video_id, key, comment_id, 1_760_000_000_000, b"\0digest")


@pytest.mark.asyncio(loop_scope="module")
class TestCassandraClaims:
    async def test_only_those_that_meet_another_are_decided(self, store: CassandraStore, video: str) -> None:
        first = a_claim(video, 1)
        assert await store.claim_keys([first], 0, 60_000) == [first]
        assert await store._tables.run(DECIDED, "author", video, "key") == []
        assert await store.claim_keys([a_claim(video, 2), a_claim(video, 3, "other")], 0, 60_000) == [
            first,
            a_claim(video, 3, "other"),
        ]
        assert await store._tables.run(DECIDED, "author", video, "key") == [("key", 1)]
        assert await store._tables.run(DECIDED, "author", video, "other") == []

    async def test_a_claim_ends_as_a_whole(self, store: CassandraStore, video: str) -> None:
        """A row that outlives its values would be taken for a claim of nothing."""
        ids = count(1)

        async def never_half() -> bool:
            claim = a_claim(video, next(ids))
            (first,) = await store.claim_keys([claim], 0, 1_000)
            rows = await store._tables.run(PROPOSALS, [_name(claim)])
            assert all(None not in row[:4] for row in rows)
            assert isinstance(first, Claim)
            assert first.digest == claim.digest
            return first.comment_id > 1

        await eventually(never_half)

    async def test_one_keys_error_is_its_own(
        self, store: CassandraStore, video: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = [a_claim(video, n, f"key {n}") for n in range(3)]
        await store.claim_keys(keys, 0, 60_000)
        decide_by_lwt = store._claims._decide_by_lwt

        async def fail_one(claim: Claim, keep_ms: int) -> Claim:
            if claim.key == "key 1":
                raise StoreUnavailable("cut off by the test")
            return await decide_by_lwt(claim, keep_ms)

        monkeypatch.setattr(store._claims, "_decide_by_lwt", fail_one)
        one, error, other = await store.claim_keys([a_claim(video, 10 + n, f"key {n}") for n in range(3)], 0, 60_000)
        assert (one, other) == (keys[0], keys[2])
        assert isinstance(error, StoreUnavailable)

    async def test_a_key_twice_in_one_call_is_one(self, store: CassandraStore, video: str) -> None:
        twice = [a_claim(video, comment_id) for comment_id in (7, 8)]
        one, other = await store.claim_keys(twice, 0, 60_000)
        assert one == other
        assert one in twice

    async def test_the_same_claim_again_stands(self, store: CassandraStore, video: str) -> None:
        claim = a_claim(video, 1)
        for _ in range(3):
            assert await store.claim_keys([claim], 0, 60_000) == [claim]
