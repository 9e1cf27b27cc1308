"""SpooledStore: whether the store answers is found out by checks and probes, and asked for no more often than needed"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from history.opening import open_store
from history.spool.files import Spool, SpoolFull
from history.spool.store import Availability, SpooledStore
from history.store import StoreUnavailable
from tests.history.comments import a_comment
from tests.history.spool.parts import SETTINGS, FaultyStore, Parts, RecordedVisibility, never_withdraw
from tests.waiting import eventually


async def test_a_check_finds_out_that_the_store_has_gone(parts: Parts) -> None:
    await eventually(lambda: parts.store._availability is not Availability.UNKNOWN)
    await parts.store.check()
    parts.inner.stuck = True
    await parts.store.check()  # within slow_ms: from now on the spool takes comments
    assert parts.store.is_away
    parts.inner.stuck = False
    await eventually(lambda: not parts.store.is_away)


async def test_who_asks_at_the_same_time_shares_a_check(parts: Parts) -> None:
    await eventually(lambda: parts.store._availability is not Availability.UNKNOWN)
    checks = parts.inner.checks
    parts.inner.stuck = True
    impatient = asyncio.create_task(parts.store.check())
    await eventually(lambda: parts.inner.checks == checks + 1)
    others = [asyncio.create_task(parts.store.check()) for _ in range(100)]
    await asyncio.sleep(0)
    impatient.cancel()  # the others get the result all the same
    await asyncio.gather(*others)
    assert parts.store.is_away
    assert all(not other.cancelled() for other in others)


async def test_a_check_serves_those_who_ask_soon_after(tmp_path: Path) -> None:
    inner = FaultyStore(await open_store(f"sqlite:{tmp_path / 'comments.db'}"))
    spool = Spool.open(tmp_path / "spool", bytes_max=100_000, segment_bytes_max=1_000)
    store = SpooledStore(inner, spool, RecordedVisibility(), replace(SETTINGS, check_ms=60_000), never_withdraw)
    for _ in range(100):
        await store.check()
    assert inner.checks == 1
    await store.close()


async def test_a_check_that_fails_unexpectedly_is_logged_and_the_next_is_made(parts: Parts) -> None:
    await eventually(lambda: parts.store._availability is not Availability.UNKNOWN)
    parts.inner.bug = ZeroDivisionError("a bug")
    with capture_logs() as lines, pytest.raises(StoreUnavailable, match="a bug"):
        await parts.store.check()
    assert [(line["event"], line["reason"]) for line in lines] == [("store_check_failed", "ZeroDivisionError('a bug')")]
    assert not parts.store.is_away  # it says nothing about the store
    parts.inner.bug = None
    await parts.store.check()


async def test_it_closes_while_it_is_checked(parts: Parts) -> None:
    await eventually(lambda: parts.store._availability is not Availability.UNKNOWN)
    parts.inner.stuck = True
    checks = parts.inner.checks
    checking = asyncio.create_task(parts.store.check())
    await eventually(lambda: parts.inner.checks == checks + 1)
    await parts.store.close()
    with pytest.raises(asyncio.CancelledError):
        await checking


async def test_a_start_without_the_store_is_ready_once_that_is_known(tmp_path: Path) -> None:
    inner = FaultyStore(await open_store(f"sqlite:{tmp_path / 'comments.db'}"))
    inner.away = True
    spool = Spool.open(tmp_path / "spool", bytes_max=100_000, segment_bytes_max=1_000)
    store = SpooledStore(inner, spool, RecordedVisibility(), SETTINGS, never_withdraw)
    with pytest.raises(StoreUnavailable):  # it may just be opening
        await store.check()
    assert not store.is_away
    draining = asyncio.create_task(store.drain())
    await eventually(lambda: store.is_away)
    await store.check()
    draining.cancel()
    await store.close()


async def test_it_is_probed_when_there_is_nothing_to_drain(tmp_path: Path) -> None:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path, bytes_max=0)
    parts.inner.away = True
    with pytest.raises(SpoolFull):
        await parts.store.append([a_comment(1)])
    parts.inner.away = False
    await eventually(lambda: not parts.store.statistics().away)
    await parts.store.append([a_comment(1)])
    await parts.close()
