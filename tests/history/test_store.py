"""The contract's own words: an error says whose fault it is, and both stores have all that it asks for"""

import inspect
from pathlib import Path
from typing import Any

import pytest

from history.cassandra.store import CassandraStore
from history.cassandra.tables import CassandraTables
from history.config import StoreSettings
from history.core.model import Author, Comment
from history.sqlite.file import WriteFile
from history.sqlite.store import SqliteStore
from history.store import (
    Claim,
    Erasing,
    History,
    Nodes,
    Notices,
    Outcome,
    Reader,
    Store,
    StoreError,
    StoreOverloaded,
    StoreUnavailable,
    Videos,
    own_comments,
)


def test_a_store_that_is_full_is_one_that_is_away_for_now() -> None:
    assert issubclass(StoreOverloaded, StoreUnavailable)
    assert issubclass(StoreUnavailable, StoreError)


@pytest.mark.parametrize("contract", [Reader, Store, Erasing, Notices, Videos, Nodes, History])
async def test_both_stores_take_what_the_contract_takes(contract: type, tmp_path: Path) -> None:
    nowhere: Any = None
    settings = StoreSettings()
    stores = (
        SqliteStore(WriteFile(tmp_path / "file", settings), settings),
        CassandraStore(CassandraTables(nowhere, "keyspace"), settings),
    )
    for name, promised in inspect.getmembers(contract, inspect.isfunction):
        for store in stores:
            if not name.startswith("_"):
                kept = getattr(store, name)
                assert list(inspect.signature(kept).parameters) == list(inspect.signature(promised).parameters)[1:], (
                    name
                )
    await stores[0].close()


def test_equal_claims_are_one() -> None:
    assert Claim("a", "v", "k", 1, 2, b"d") == Claim("a", "v", "k", 1, 2, b"d")


def test_own_comments_are_those_whose_own_claim_holds() -> None:
    comments = [Comment(n, "v", Author("a", "A"), "hi", 1) for n in range(3)]
    items = [(each, Claim("a", "v", "k", each.id, 1, b"d")) for each in comments]
    outcomes: list[Outcome] = [items[0][1], StoreUnavailable("no LWT"), items[0][1]]
    assert own_comments(items, outcomes) == comments[:1]
