"""Moderator: durable, then this node's copies, then the viewers; over real HTTP in http/test_moderating.py"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comment_service.moderate.moderator import Moderator
from history.core.model import ERASED, HIDDEN, RESTORED, Change, comment_json
from history.opening import open_store
from history.store import History, StoreUnavailable
from tests.comment_service.moderate.parts import FailingStore, ModeratingNode
from tests.comment_service.parts import comment

SAID = comment(7)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[History]:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    await store.append([SAID])
    yield store
    await store.close()


def moderator(node: ModeratingNode) -> Moderator:
    return Moderator(lambda: node.store, node.changing)


async def test_a_change_is_begun_before_it_is_durable_and_abandoned_if_it_is_not(store: History) -> None:
    node = ModeratingNode(FailingStore(store, "apply"))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await moderator(node).erase("demo", SAID.id)
    assert node.publisher.abandoned == node.publisher.begun != []
    assert (node.publisher.put_, node.copies.applied) == ([], [])


async def test_what_is_durable_is_published_even_if_the_copies_fail(store: History) -> None:
    node = ModeratingNode(store)
    node.copies.error = ZeroDivisionError("broken by the test")
    with pytest.raises(ZeroDivisionError):
        await moderator(node).erase("demo", SAID.id)
    assert [each.id for each in node.publisher.put_] == node.publisher.begun
    assert node.publisher.abandoned == []


async def test_a_restored_comment_is_sent_to_viewers(store: History) -> None:
    node = ModeratingNode(store)
    await moderator(node).hide("demo", SAID.id)
    await moderator(node).restore("demo", SAID.id)
    hidden, restored = node.publisher.put_
    assert (hidden.kind, hidden.data) == (HIDDEN, b"")
    assert (restored.kind, restored.data) == (RESTORED, comment_json(SAID))


async def test_one_that_is_erased_meanwhile_is_not(store: History) -> None:
    class ErasedMeanwhile(FailingStore):
        async def apply(self, changes: list[Change]) -> None:
            await self._store.apply(changes)
            await self._store.apply([Change(changes[0].id + 1, "demo", ERASED, SAID.id)])

    node = ModeratingNode(ErasedMeanwhile(store))  # type: ignore[arg-type]
    await moderator(node).restore("demo", SAID.id)
    assert [(each.kind, each.data) for each in node.publisher.put_] == [(RESTORED, b"")]


async def test_an_order_waits_only_so_long_for_its_publishing(store: History) -> None:
    node = ModeratingNode(store, published_ms=1)
    node.publisher.answers = False
    order = await moderator(node).hide("demo", SAID.id)
    assert (order.comments, order.is_published) == (1, False)
