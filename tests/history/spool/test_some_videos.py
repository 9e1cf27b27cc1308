"""SpooledStore and DrainStep: a store that takes some videos' comments, and others' not"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from history.core.model import Comment
from history.opening import open_store
from history.spool.store import Availability
from history.store import Claim, StoreRefuses, StoreUnavailable
from tests.history.comments import a_comment
from tests.history.spool.parts import Parts
from tests.waiting import eventually


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    await eventually(lambda: parts.store._availability is Availability.AVAILABLE)
    yield parts
    await parts.close()


async def stored(parts: Parts, video_id: str) -> list[Comment]:
    return (await parts.inner.newer(video_id, 0, 10_000)).comments


async def make_known(parts: Parts, how: str) -> list[Comment]:
    """The store takes nothing of "bad", and the spool has found that out: this far, of "bad"."""
    setattr(parts.inner, how, {"bad"})
    good, bad = a_comment(1, "good"), a_comment(2, "bad")
    await parts.store.append([good, bad])
    await eventually(lambda: not parts.store.is_away and parts.spool.statistics().comments == 1)
    assert await stored(parts, "good") == [good]
    return [bad]


@pytest.mark.parametrize("how", ["lost", "hanging"])
async def test_one_videos_failing_partition_stops_no_other(parts: Parts, how: str) -> None:
    with capture_logs() as lines:
        bad = await make_known(parts, how)
        for n in range(10, 60):
            await parts.store.append([a_comment(n, f"good {n}"), a_comment(n + 100, "bad")])
            bad.append(a_comment(n + 100, "bad"))
            assert not parts.store.is_away
            assert await stored(parts, f"good {n}") == [a_comment(n, f"good {n}")]  # in the store, not in the spool
        assert parts.spool.statistics().comments == len(bad)
        assert (await parts.store.newer("bad", 0, 100)).comments == bad
        await parts.store.check()
        assert [line["event"] for line in lines].count("spooling") == 1
        setattr(parts.inner, how, set())
        await asyncio.wait_for(parts.store.wait_drained(), 30)
    assert await stored(parts, "bad") == bad
    assert [line["event"] for line in lines if "videos" in line["event"]] == [
        "spooling_some_videos",
        "all_videos_are_stored_again",
    ]


async def test_what_was_drained_is_shown_although_one_video_is_left(parts: Parts) -> None:
    await make_known(parts, "lost")
    assert parts.visibility.hidden == [1, 2]  # from the first spooled one on; then from the first that is left
    assert parts.visibility.shown == 1
    parts.inner.lost = set()
    await eventually(lambda: parts.visibility.shown == 2)


async def test_keys_of_other_videos_are_claimed(parts: Parts) -> None:
    await make_known(parts, "lost")
    items = [
        (comment, Claim("ann", comment.video_id, "key", comment.id, comment.created_at_ms, b"digest"))
        for comment in (a_comment(5, "bad"), a_comment(6, "good"), a_comment(7, "bad too"), a_comment(8, "good"))
    ]
    assert await parts.store.append_claimed(items[:1], 0, 60_000) == [items[0][1]]
    outcomes = await parts.store.append_claimed(items, 0, 60_000)
    assert outcomes == [items[0][1], items[1][1], items[2][1], items[1][1]]  # the last one is a retry
    assert [each.id for each in await stored(parts, "good")] == [1, 6]
    assert not parts.store.is_away


async def test_a_check_that_fails_while_comments_are_taken_is_no_outage(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it reads is a partition, too."""

    async def failing() -> None:
        await parts.store.append([a_comment(1)])
        raise StoreUnavailable("no quorum for that partition")

    monkeypatch.setattr(parts.inner, "check", failing)
    await parts.store.check()
    assert not parts.store.is_away


@pytest.mark.parametrize("bad", [5, 30])
async def test_many_failing_videos_stop_no_other(parts: Parts, bad: int) -> None:
    parts.inner.lost = {f"bad {n}" for n in range(bad)}
    for n in range(1, 100):
        await parts.store.append([a_comment(n, f"bad {n % bad}"), a_comment(n + 100, "good")])
    await eventually(lambda: not parts.store.is_away and parts.spool.statistics().comments == 99)
    assert len(await stored(parts, "good")) == 99
    parts.inner.lost = {"bad 0"}
    await eventually(lambda: parts.spool.statistics().comments == len(range(bad, 100, bad)))
    parts.inner.lost = set()
    await asyncio.wait_for(parts.store.wait_drained(), 30)
    assert sum([len(await stored(parts, f"bad {n}")) for n in range(bad)]) == 99


async def test_a_store_that_is_away_is_not_asked_for_each_video(parts: Parts) -> None:
    parts.inner.away = True
    for n in range(1, 100):
        await parts.store.append([a_comment(n, f"video {n}")])
    parts.draining.cancel()
    appends = parts.inner.appends
    with pytest.raises(StoreUnavailable, match="cut off"):
        await parts.store._drain_once()
    assert parts.inner.appends <= appends + 20  # some writes of many, and twice eight videos
    assert parts.store._refused == set()
    assert parts.store.is_away


async def test_what_is_refused_for_good_is_not_spooled_and_holds_up_nothing(parts: Parts) -> None:
    """Also if it lies in the spool already."""
    parts.inner.away = True
    await parts.store.append([a_comment(1, "bad")])
    parts.inner.poison, parts.inner.away = {"bad"}, False
    await eventually(lambda: not parts.store.is_away)
    with pytest.raises(StoreRefuses):
        await parts.store.append([a_comment(2, "bad"), a_comment(3, "good")])
    await parts.store.append([a_comment(4, "good")])
    assert [each.id for each in await stored(parts, "good")] == [4]
    assert (parts.store.is_away, parts.spool.statistics().comments) == (False, 1)
    parts.inner.poison = set()
    await asyncio.wait_for(parts.store.wait_drained(), 30)
    assert [each.id for each in await stored(parts, "bad")] == [1]
