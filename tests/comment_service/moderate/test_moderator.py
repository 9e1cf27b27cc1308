"""Moderator: durable, then this node's copies, then the viewers; over real HTTP in http/test_moderating.py"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from comment_service.core.errors import CommentUnknown
from comment_service.moderate.moderator import AHEAD_MS_MAX, Moderator
from comment_service.publish.encoding import publishable
from history.clocks import wall_ms
from history.core.ids import first_id_at, time_of
from history.core.model import ERASED, HIDDEN, RESTORED, Change, Comment, Gone, State, comment_json
from history.opening import open_store
from history.store import History, StoreUnavailable
from proto.event_pb2 import Event, VideoEvents
from rms.feed.entry import VISIBLE, FeedLimits
from rms.feed.feed import Feed
from rms.upstream.decoding import events_of
from tests.comment_service.moderate.parts import FailingStore, ModeratingNode
from tests.comment_service.parts import comment

SAID = comment(7)


def shown_at_a_node(said: Sequence[Comment | Change]) -> list[int]:
    """The comments that a new viewer sees at a node that got these events"""
    feed = Feed(FeedLimits(1 << 20, 60_000, 50, 1_000, 660_000), [], 0, wall_ms())
    for each in said:
        encoded = VideoEvents(video_id="demo", events=[Event.FromString(publishable(each).encoded)])
        for event in events_of(encoded):
            feed.append(event, wall_ms())
    return [entry.id for entry in feed.entries() if entry.kind == VISIBLE]


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


async def test_a_store_that_hangs_holds_up_the_videos_comments_only_so_long(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(FailingStore):
        async def apply(self, changes: list[Change]) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("comment_service.moderate.moderator.STORED_MS_MAX", 1)
    node = ModeratingNode(Hanging(store))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="slow"):
        await moderator(node).erase("demo", SAID.id)
    assert node.publisher.abandoned == node.publisher.begun != []


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


async def test_a_clock_that_is_behind_makes_no_older_change(
    store: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One service hides the comment; another one, three seconds behind, restores it and hides and restores it again.
    History's state, the order of the log, and a node's feed that got all of it live agree."""
    said = comment(first_id_at(wall_ms()))
    await store.append([said])
    other_store = await open_store(f"sqlite:{tmp_path}/comments.db")
    ahead, behind = ModeratingNode(store, 1), ModeratingNode(other_store, 0)
    monkeypatch.setattr("comment_service.moderate.moderator.wall_ms", lambda: wall_ms() + 3_000)
    await moderator(ahead).hide("demo", said.id)
    monkeypatch.setattr("comment_service.moderate.moderator.wall_ms", wall_ms)
    await moderator(behind).restore("demo", said.id)
    await moderator(behind).hide("demo", said.id)
    await moderator(behind).restore("demo", said.id)
    found = await store.find("demo", said.id)
    assert found is not None
    assert (found.state, found.comment) == (State.VISIBLE, said)
    log = await store.events("demo", 0, 10)
    assert [each.kind for each in log if isinstance(each, Change)] == [HIDDEN, RESTORED, HIDDEN, RESTORED]
    for first, second in ((ahead, behind), (behind, ahead)):  # at some nodes the one comes first, at some the other
        assert shown_at_a_node([said, *first.publisher.put_, *second.publisher.put_]) == [said.id]
    await other_store.close()


async def test_a_change_of_a_comment_from_the_near_future_comes_after_it(store: History) -> None:
    said = comment(first_id_at(wall_ms() + 5_000))
    await store.append([said])
    node = ModeratingNode(store)
    await moderator(node).hide("demo", said.id)
    assert [each.target_id for each in await store.events("demo", said.id, 10) if isinstance(each, Change)] == [said.id]


async def test_a_service_whose_clock_is_far_ahead_takes_nobody_along(store: History) -> None:
    """Moderating what it has said leaves this process's ids where they are: else its comments, too, would come from the
    future, in the order of pages and for as long."""
    said = comment(first_id_at(wall_ms() + 3_600_000) + (1 << 6))
    await store.append([said])
    node = ModeratingNode(store)
    await moderator(node).hide("demo", said.id)
    assert [type(each) for each in await store.events("demo", said.id - 1, 10)] == [Gone]
    assert shown_at_a_node([said, *node.publisher.put_]) == []
    await moderator(node).restore("demo", said.id)
    found = await store.find("demo", said.id)
    assert found is not None
    assert found.state is State.VISIBLE
    assert shown_at_a_node([said, *node.publisher.put_]) == [said.id]
    # Its own change can't be followed by one with a greater id until then.
    await store.apply([Change(said.id + 1, "demo", HIDDEN, said.id)])
    with pytest.raises(StoreUnavailable, match="ahead"):
        await moderator(node).restore("demo", said.id)
    assert all(time_of(each) < wall_ms() + AHEAD_MS_MAX for each in node.publisher.begun)
    assert len(node.publisher.begun) == 2


async def test_an_id_from_the_future_is_erased_only_if_it_is_stored(store: History) -> None:
    """As after a typing error. Nodes take the highest event of a service in the log for the last one that they had."""
    node, ahead = ModeratingNode(store), first_id_at(wall_ms() + 60_000)
    with pytest.raises(CommentUnknown):
        await moderator(node).erase("demo", ahead)
    assert (node.publisher.begun, await store.events("demo", SAID.id, 10)) == ([], [])
    await store.append([comment(ahead)])
    await moderator(node).erase("demo", ahead)
    await moderator(node).erase("demo", ahead)
    assert [each.kind for each in node.publisher.put_] == [ERASED, ERASED]


async def test_one_that_is_erased_meanwhile_is_not(store: History) -> None:
    class ErasedMeanwhile(FailingStore):
        async def apply(self, changes: list[Change]) -> None:
            await self._store.apply(changes)
            await self._store.apply([Change(changes[0].id + 1, "demo", ERASED, SAID.id)])

    node = ModeratingNode(ErasedMeanwhile(store))  # type: ignore[arg-type]
    await moderator(node).restore("demo", SAID.id)
    assert [(each.kind, each.data) for each in node.publisher.put_] == [(RESTORED, b"")]


async def test_a_change_that_some_node_may_lack_is_sent_again_until_all_have_it(
    store: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comment_service.moderate.moderator.AGAIN_MS", 1)
    node = ModeratingNode(store)
    node.publisher.doubts = 3
    assert (await moderator(node).erase("demo", SAID.id)).is_published
    assert len(node.publisher.put_) == len(node.publisher.begun) == 4
    assert len(set(node.publisher.put_)) == 1


async def test_what_stays_in_doubt_is_not_said_to_be_published(store: History) -> None:
    node = ModeratingNode(store, published_ms=1)
    node.publisher.doubts = 1_000_000
    assert not (await moderator(node).erase("demo", SAID.id)).is_published


async def test_an_order_waits_only_so_long_for_its_publishing(store: History) -> None:
    node = ModeratingNode(store, published_ms=1)
    node.publisher.answers = False
    order = await moderator(node).hide("demo", SAID.id)
    assert (order.comments, order.is_published) == (1, False)
