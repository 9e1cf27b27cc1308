"""SpooledStore: accepts while the store is away, and brings everything to it afterwards"""

import asyncio
import errno
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from history.core.ids import parse_id
from history.opening import open_store
from history.spool.files import Segment, Spool, SpoolFull
from history.spool.store import Availability, SpooledStore
from history.store import StoreUnavailable
from tests.history.comments import a_comment, comments_every
from tests.history.spool.parts import SETTINGS, Parts, RecordedVisibility, SlowToWarmUp, never_withdraw
from tests.waiting import eventually


async def test_a_store_that_answers_needs_no_spool(parts: Parts) -> None:
    await parts.store.append([a_comment(1)])
    await parts.store.append([])
    assert parts.spool.is_empty
    assert (await parts.store.older("video", None, 9)).comments == [a_comment(1)]
    assert (await parts.store.newer("video", 0, 9)).comments == [a_comment(1)]
    assert (parts.visibility.hidden, parts.visibility.shown) == ([], 0)


async def test_what_came_while_it_was_away_is_in_the_store_afterwards(parts: Parts) -> None:
    comments = comments_every(10, 50, "video")
    await parts.store.append(comments[:5])
    parts.inner.away = True
    with capture_logs() as lines:
        for comment in comments[5:]:
            await parts.store.append([comment])
        await parts.store.check()  # comments are accepted
        facts = parts.store.statistics()
        assert (facts.away, facts.spool.comments) == (True, 45)
        parts.inner.away = False
        await asyncio.wait_for(parts.store.wait_drained(), 10)
    assert [line["event"] for line in lines] == ["spooling", "store_answers_again", "spool_drained"]
    assert parts.visibility.hidden[0] == comments[5].id
    assert parts.visibility.shown == 1
    assert (await parts.inner.newer("video", 0, 100)).comments == comments
    facts = parts.store.statistics()
    assert (facts.away, facts.drained, facts.spool.bytes) == (False, 45, 0)


async def test_authors_do_not_wait_for_a_store_that_warms_up(tmp_path: Path) -> None:
    inner = SlowToWarmUp(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), slow_writes=3)
    inner.away = True
    spool = Spool.open(tmp_path / "spool", bytes_max=100_000, segment_bytes_max=10_000)
    store = SpooledStore(inner, spool, RecordedVisibility(), SETTINGS, never_withdraw)
    comments = comments_every(10, 50, "video")
    await store.append(comments[:49])  # seven batches
    inner.away = False
    draining = asyncio.create_task(store.drain())
    await eventually(lambda: inner._slow_writes == 1)  # the second write is done, or about to be
    assert store.is_away
    appends = inner.appends
    await store.append(comments[49:])
    assert inner.appends <= appends + 1  # it was spooled; at most the drain's next write came between
    await asyncio.wait_for(store.wait_drained(), 10)
    assert not store.is_away
    assert (await inner.newer("video", 0, 100)).comments == comments
    draining.cancel()
    await store.close()


async def test_readers_of_this_node_see_what_is_spooled(parts: Parts) -> None:
    comments = comments_every(10, 20, "video")
    parts.inner.away = True
    await parts.store.append(comments[10:])
    assert (await parts.store.older("video", None, 5)).comments == comments[:14:-1]
    with pytest.raises(StoreUnavailable):  # the spool alone can't say what is before
        await parts.store.older("video", None, 11)
    with pytest.raises(StoreUnavailable):
        await parts.store.newer("video", 0, 5)
    with pytest.raises(StoreUnavailable):  # between these two the store may have some
        await parts.store.newer("video", comments[9].id, 5)
    assert (await parts.store.newer("video", comments[10].id, 5)).comments == comments[11:16]
    assert (await parts.store.newer("video", comments[19].id, 5)).comments == []
    parts.draining.cancel()
    parts.inner.away = False
    await parts.inner.append(comments[:12])  # two of them were already drained
    assert (await parts.store.older("video", None, 30)).comments == comments[::-1]
    assert (await parts.store.newer("video", comments[5].id, 9)).comments == comments[6:15]
    parts.store.evict("video", [comments[19].id])
    assert (await parts.store.older("video", None, 1)).comments == [comments[18]]


async def test_the_spool_alone_answers_for_nothing_that_only_the_store_has(parts: Parts) -> None:
    """Spooled, stored, and spooled again, with the first ones still in the spool"""
    parts.draining.cancel()
    early, between, last = (comments_every(10, 30, "video")[begin : begin + 10] for begin in (0, 10, 20))
    parts.inner.away = True
    await parts.store.append(early)
    parts.inner.away = False
    parts.store._back()  # the drain's first writes were quick
    await parts.store.append(between)
    parts.inner.away = True
    await parts.store.append(last)
    with pytest.raises(StoreUnavailable):
        await parts.store.newer("video", early[5].id, 5)
    with pytest.raises(StoreUnavailable):
        await parts.store.older("video", None, 11)
    assert (await parts.store.newer("video", last[0].id, 5)).comments == last[1:6]
    assert (await parts.store.older("video", None, 10)).comments == last[::-1]


async def test_the_spool_alone_answers_for_nothing_that_was_drained(parts: Parts) -> None:
    comments = comments_every(10, 40, "video")
    parts.inner.away = True
    await parts.store.append(comments[20:30])
    await parts.store.append(comments[:10])  # in a segment of its own
    parts.draining.cancel()
    parts.inner.away = False
    segments = await parts.spool.sealed()

    async def only_the_first() -> list[Segment]:
        return segments[:1]

    parts.spool.sealed = only_the_first  # type: ignore[method-assign]
    await parts.store._drain_once()
    assert parts.store.statistics().drained == 10
    parts.inner.away = True
    parts.store.gone(StoreUnavailable("cut off by the test"))
    with pytest.raises(StoreUnavailable):
        await parts.store.newer("video", comments[0].id, 5)
    with pytest.raises(StoreUnavailable):
        await parts.store.older("video", None, 5)
    await parts.store.append(comments[30:])
    assert (await parts.store.older("video", None, 5)).comments == comments[:34:-1]


async def test_what_a_former_process_left_answers_for_nothing(parts: Parts, tmp_path: Path) -> None:
    """That process may have stored others between."""
    comments = comments_every(10, 20, "video")
    parts.inner.away = True
    await parts.store.append(comments[:10])
    await parts.close()
    again = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    again.inner.away = True
    again.store.gone(StoreUnavailable("cut off by the test"))
    with pytest.raises(StoreUnavailable):
        await again.store.newer("video", comments[0].id, 5)
    await again.store.append(comments[10:])
    assert (await again.store.newer("video", comments[10].id, 5)).comments == comments[11:16]
    await again.close()


async def test_a_read_that_fails_before_the_store_counts_as_away_is_not_answered(parts: Parts) -> None:
    """Or it would be taken for all there is, and kept for long."""
    comments = comments_every(10, 10, "video")
    parts.inner.away = True
    await parts.store.append(comments)
    parts.draining.cancel()
    parts.store._back()
    with pytest.raises(StoreUnavailable):
        await parts.store.older("video", None, 5)
    parts.store.gone(StoreUnavailable("cut off by the test"))
    assert (await parts.store.older("video", None, 5)).comments == comments[:4:-1]


async def test_the_first_probe_is_the_drain_of_what_could_not_be_written(parts: Parts) -> None:
    """And no check, which may find a store well that takes no writes."""
    await eventually(lambda: parts.inner.checks == 1)
    parts.inner.refuses = True
    disk = threading.Event()
    parts.spool._thread.submit(disk.wait)  # what is to be spooled waits
    appending = asyncio.create_task(parts.store.append([a_comment(1)]))
    try:
        await eventually(lambda: parts.store.is_away)
        for _ in range(100):
            await asyncio.sleep(0)  # lets the drain run, if it is awake
        assert (parts.inner.checks, parts.store.is_away) == (1, True)
    finally:
        disk.set()
    await appending
    await eventually(lambda: parts.inner.appends > 1)
    assert parts.inner.checks == 1
    parts.inner.refuses = False
    await asyncio.wait_for(parts.store.wait_drained(), 10)


async def test_authors_wait_for_a_stuck_store_only_once(parts: Parts) -> None:
    parts.inner.stuck = True
    await parts.store.append([a_comment(1)])
    appends = parts.inner.appends
    for n in range(2, 20):
        await parts.store.append([a_comment(n)])
    assert parts.inner.appends <= appends + 1  # the drain's
    with pytest.raises(StoreUnavailable):  # within slow_ms
        await parts.store.older("video", None, 100)


async def test_a_step_of_the_drain_that_fails_unexpectedly_is_logged_and_repeated(parts: Parts) -> None:
    parts.inner.away = True
    comments = comments_every(10, 20, "video")
    await parts.store.append(comments)
    with capture_logs() as lines:
        parts.inner.bug = ZeroDivisionError("a bug")
        await eventually(lambda: sum(line["event"] == "drain_failed" for line in lines) >= 2)
        assert parts.spool.statistics().comments == 20
        parts.inner.away, parts.inner.bug = False, None
        await asyncio.wait_for(parts.store.wait_drained(), 60)
    assert {line["reason"] for line in lines if line["event"] == "drain_failed"} == {"ZeroDivisionError('a bug')"}
    assert (await parts.inner.newer("video", 0, 100)).comments == comments


async def test_a_spool_that_can_not_be_emptied_is_no_sign_of_the_store(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk was made read-only, as after an error: what is in it can't be removed, and nothing can be added."""

    def is_read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    parts.inner.away = True
    spooled, later = [a_comment(1)], [a_comment(2)]
    await parts.store.append(spooled)
    with monkeypatch.context() as disk, capture_logs() as lines:
        disk.setattr(Path, "unlink", is_read_only)
        disk.setattr("os.fdatasync", is_read_only)
        parts.inner.away = False
        await eventually(lambda: any(line["event"] == "drain_failed" for line in lines))
        assert not parts.store.is_away
        await parts.store.append(later)
        await parts.store.check()
    await asyncio.wait_for(parts.store.wait_drained(), 10)
    assert (await parts.inner.newer("video", 0, 9)).comments == spooled + later


async def test_a_first_probe_that_fails_unexpectedly_is_repeated(tmp_path: Path) -> None:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    parts.inner.bug = ZeroDivisionError("a bug")
    await eventually(lambda: parts.inner.checks > 2)
    parts.inner.bug = None
    await eventually(lambda: parts.store._availability is Availability.AVAILABLE)
    await parts.close()


async def test_full_means_refused(tmp_path: Path) -> None:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path, bytes_max=2_000)
    parts.inner.away = True
    accepted: list[int] = []
    with suppress(SpoolFull):
        for n in range(1, 1_000):
            await parts.store.append([a_comment(n)])
            accepted.append(n)
    assert 0 < len(accepted) < 100
    with pytest.raises(StoreUnavailable):
        await parts.store.check()
    parts.inner.away = False
    await asyncio.wait_for(parts.store.wait_drained(), 10)
    await parts.store.append([a_comment(1_000)])
    assert [each.id for each in (await parts.inner.newer("video", 0, 1_000)).comments] == [*accepted, 1_000]
    await parts.close()


async def test_what_a_former_process_left_is_hidden_until_it_is_drained(parts: Parts, tmp_path: Path) -> None:
    parts.inner.away = True
    await parts.store.append([a_comment(7), a_comment(5)])
    await parts.close()
    again = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    assert again.visibility.hidden == [5]
    again.draining.cancel()
    again.draining = asyncio.create_task(again.store.drain())
    await eventually(lambda: again.visibility.shown == 1)
    assert [each.id for each in (await again.inner.newer("video", 0, 9)).comments] == [5, 7]
    await again.close()


SPOOLING = """
import asyncio, sys
from pathlib import Path
from history.spool.files import Spool
from history.core.ids import format_id
from tests.history.comments import a_comment

async def main():
    spool = Spool.open(Path(sys.argv[1]), bytes_max=10**8, segment_bytes_max=65_536)
    for n in range(1, 10**9, 10):
        await spool.append([a_comment(n + k, "video", "x" * (n % 300)) for k in range(10)], {})
        print(format_id(n + 9), flush=True)

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_acknowledged(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SPOOLING, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(150):
        acknowledged = await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest, _ = await process.communicate()
    *_, acknowledged = [acknowledged, *(line for line in rest.splitlines() if len(line) == 16)]
    spool = Spool.open(folder, bytes_max=10**8, segment_bytes_max=65_536)
    store = SpooledStore(parts.inner, spool, parts.visibility, SETTINGS, never_withdraw)
    draining = asyncio.create_task(store.drain())
    await asyncio.wait_for(store.wait_drained(), 30)
    draining.cancel()
    stored = [each.id for each in (await parts.inner.newer("video", 0, 1_000_000)).comments]
    assert stored == list(range(1, len(stored) + 1))
    assert len(stored) >= parse_id(acknowledged.decode().strip())
    await spool.close()
