"""The contract's own words: an error says whose fault it is, and both stores have all that it asks for"""

import inspect

import pytest

from history.cassandra.store import CassandraStore
from history.sqlite.store import SqliteStore
from history.store import Claim, Erasing, Reader, Records, Store, StoreError, StoreOverloaded, StoreUnavailable


def test_a_store_that_is_full_is_one_that_is_away_for_now() -> None:
    assert issubclass(StoreOverloaded, StoreUnavailable)
    assert issubclass(StoreUnavailable, StoreError)


@pytest.mark.parametrize("store", [SqliteStore, CassandraStore])
@pytest.mark.parametrize("contract", [Reader, Store, Erasing, Records])
def test_both_stores_take_what_the_contract_takes(store: type, contract: type) -> None:
    for name, promised in inspect.getmembers(contract, inspect.isfunction):
        if not name.startswith("_"):
            kept = getattr(store, name)
            assert list(inspect.signature(kept).parameters) == list(inspect.signature(promised).parameters), name


def test_equal_claims_are_one() -> None:
    assert Claim("a", "v", "k", 1, 2, b"d") == Claim("a", "v", "k", 1, 2, b"d")
