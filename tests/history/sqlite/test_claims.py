"""Idempotency-Keys in SQLite; what every store promises of them is in records_contract.py"""

from pathlib import Path

from history.opening import open_store
from history.store import Claim


async def test_expired_claims_are_no_claims_and_are_swept_in_slices(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    old = [Claim("ann", "demo", str(n), n, 1, b"d") for n in range(1_500)]
    assert await store.claim_keys(old, 0, 1_000) == old
    new = [Claim("ann", "demo", str(n), 10_000 + n, 1, b"e") for n in range(10)]
    assert await store.claim_keys(new, 999, 1_000) == old[:10]
    assert await store.claim_keys(new, 1_000, 1_000) == new
    assert await store.sweep(1_000) == 1_490
    assert await store.claim_keys(new, 1_001, 1_000) == new
    await store.close()


async def test_a_key_twice_in_one_call_is_one(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    twice = [Claim("ann", "demo", "key", n, 1, b"d") for n in (7, 8)]
    assert await store.claim_keys(twice, 0, 1_000) == [twice[0]] * 2
    await store.close()
