"""Idempotency-Keys in Cassandra: who is alone asks for no LWT. What every store promises is in records_contract.py."""

import pytest

from history.cassandra_store import CassandraStore
from history.store import Claim
from tests.history.contract import video
from tests.history.test_cassandra_store import store

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
        assert await store._run(DECIDED, "author", video, "key") == []
        assert await store.claim_keys([a_claim(video, 2), a_claim(video, 3, "other")], 0, 60_000) == [
            first,
            a_claim(video, 3, "other"),
        ]
        assert await store._run(DECIDED, "author", video, "key") == [("key", 1)]
        assert await store._run(DECIDED, "author", video, "other") == []

    async def test_a_key_twice_in_one_call_is_one(self, store: CassandraStore, video: str) -> None:
        twice = [a_claim(video, comment_id) for comment_id in (7, 8)]
        one, other = await store.claim_keys(twice, 0, 60_000)
        assert one == other
        assert one in twice

    async def test_the_same_claim_again_stands(self, store: CassandraStore, video: str) -> None:
        claim = a_claim(video, 1)
        for _ in range(3):
            assert await store.claim_keys([claim], 0, 60_000) == [claim]
