"""rms/videos/past.py: bounded reads of a history that may be away"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from history.core.model import Event
from history.core.stream_data import comment_data
from history.opening import open_reader, open_store
from history.store import StoreRefuses, StoreUnavailable
from proto.tasks import Supervisor
from rms.config import RmsSettings
from rms.videos.past import SEED_AGE_MS, Past
from tests.rms.parts import T0, comment
from tests.waiting import eventually


def settings(tmp_path: Path, **values: Any) -> RmsSettings:
    url = f"sqlite:{tmp_path / 'c.db'}"
    return RmsSettings(_cli_parse_args=False, **{"store": url, **values})  # type: ignore[call-arg]


@pytest.fixture
async def tasks() -> AsyncIterator[Supervisor]:
    made = Supervisor()
    yield made
    await made.close()


async def opened(past: Past) -> Past:
    past.start()
    await eventually(lambda: past._reader is not None)
    return past


async def test_why_it_can_not_be_opened_is_said_once(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = ["no user", "no user", "wrong password", "wrong password"]
    heard: list[str] = []

    async def refuse(*arguments: Any) -> Any:
        heard.append(past.trouble)
        if reasons:
            raise StoreRefuses(reasons.pop(0))
        return await open_reader(*arguments)

    monkeypatch.setattr("rms.videos.past.open_reader", refuse)
    past = Past(settings(tmp_path, catch_up_retry_ms_max=1), tasks)
    with capture_logs() as logs:
        await opened(past)
    said = [line["reason"] for line in logs if line["log_level"] == "warning"]
    assert said == ["no user", "wrong password"]
    assert heard == ["", "no user", "no user", "wrong password", "wrong password"]
    assert past.trouble == ""
    await past.close()


async def test_a_store_that_refuses_reads_is_trouble_until_it_is_mended(tasks: Supervisor, tmp_path: Path) -> None:
    past = await opened(Past(settings(tmp_path), tasks))
    assert past._reader is not None

    async def refuse(*_: object) -> list[Event]:
        raise StoreRefuses("it wants a user")

    works, past._reader.events = past._reader.events, refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreRefuses):
        await past.since("v", 1, 1)
    assert past.trouble == "it wants a user"
    past._reader.events = works  # type: ignore[method-assign]
    await past.since("v", 1, 1)
    assert past.trouble == ""
    await past.close()


async def test_before_it_is_open_the_history_is_unavailable(tasks: Supervisor, tmp_path: Path) -> None:
    past = Past(settings(tmp_path), tasks)
    with pytest.raises(StoreUnavailable, match="not been opened"):
        await past.seed("v", 5, T0)
    await past.close()


@pytest.mark.parametrize(
    ("count", "step_ms", "seeded", "complete"),
    [
        (3, 1, 3, True),  # all there are
        (50, 60_000, 10, False),  # at least so many
        (300, 100, 300, True),  # and all of the last half minute
        (3_000, 10, 1_000, False),  # but not more than the limit
    ],
)
async def test_a_seed_has_the_last_comments(
    tasks: Supervisor, tmp_path: Path, count: int, step_ms: int, seeded: int, complete: bool
) -> None:
    config = settings(tmp_path, seed_events_max=1_000)
    store = await open_store(config.store)
    talk = [comment(0, T0 + n * step_ms) for n in range(count)]
    await store.append(talk)
    past = await opened(Past(config, tasks))
    got, complete_from = await past.seed("v", 10, talk[-1].created_at_ms)
    assert [event.id for event in got] == [each.id for each in talk[-seeded:]]
    assert [event.data for event in got] == [comment_data(each) for each in talk[-seeded:]]
    assert complete_from == (0 if complete else got[0].id)
    assert SEED_AGE_MS >= 5_000, "longer than the window of a position"
    await past.close()
    await store.close()


async def test_a_read_that_takes_too_long_is_given_up(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = await opened(Past(settings(tmp_path, history_timeout_ms=20), tasks))

    async def never(*args: object) -> list[Event]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(past._reader, "events", never)
    with pytest.raises(StoreUnavailable, match="20 ms"):
        await past.since("v", 1, 10)
    await past.close()


async def test_only_so_many_reads_run_at_once(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = await opened(Past(settings(tmp_path, history_reads_max=3), tasks))
    reading = 0

    async def counted(*args: object) -> list[object]:
        nonlocal reading
        reading += 1
        assert reading <= 3
        await asyncio.sleep(0)
        reading -= 1
        return []

    monkeypatch.setattr(past._reader, "newer", counted)
    monkeypatch.setattr(past._reader, "older", counted)
    await asyncio.gather(*(past.since("v", n, 10) for n in range(50)), *(past.seed("v", 1, T0) for _ in range(50)))
    assert (past.reads, past.reads_most) == (100, 3)
    waiting = [asyncio.create_task(past.since("v", n, 10)) for n in range(10)]
    await asyncio.sleep(0)
    for task in waiting[1::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*(past.since("v", n, 10) for n in range(10)))
    await eventually(lambda: past._turns.taken == 0)
    await past.close()


async def test_behind_a_store_that_hangs_all_give_up_together(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = await opened(Past(settings(tmp_path, history_reads_max=1, history_timeout_ms=50), tasks))

    async def never(*args: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(past._reader, "events", never)
    outcomes = await asyncio.gather(*(past.since("v", n, 10) for n in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert past.reads == 1, "the others had no turn"
    assert past._turns.taken == 0
    await past.close()


async def test_those_who_ask_for_the_same_share_one_read(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = await opened(Past(settings(tmp_path), tasks))
    reads = 0

    async def counted(*args: object) -> list[Event]:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return []

    monkeypatch.setattr(past._reader, "events", counted)
    await asyncio.gather(*(past.since("v", 1, 10) for _ in range(1_000)), past.since("v", 2, 10))
    assert reads == 2
    await past.close()


async def test_a_store_that_comes_late_is_opened(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def late(url: str, *_: object) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailable("not yet")
        return await open_reader(url)

    monkeypatch.setattr("rms.videos.past.open_reader", late)
    past = await opened(Past(settings(tmp_path, catch_up_retry_ms_max=10), tasks))
    assert tries == 3
    await past.close()


async def test_an_opening_that_fails_is_logged_and_begun_again(
    tasks: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def broken_once(url: str, *_: object) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LookupError("says the test")
        return await open_reader(url)

    monkeypatch.setattr("rms.videos.past.open_reader", broken_once)
    with capture_logs() as lines:
        past = await opened(Past(settings(tmp_path), tasks))
    failed = [(line["task"], line["reason"]) for line in lines if "reason" in line]
    assert failed == [("opening of history", "LookupError('says the test')")]
    await past.close()
