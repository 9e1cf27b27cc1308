"""A comment_service whose store is away: what readers get, and what happens when its spool is full, or its disk"""

import asyncio
import resource
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from history.config import StoreSettings
from history.core.ids import format_id
from history.opening import open_store
from history.store import History, StoreUnavailable
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.comment_service.test_main import started
from tests.waiting import eventually

LONG = "x" * 500
NOTHING_FITS = 64
"""Bytes that a file may have: the watermark fits, a comment doesn't."""


async def say(http: aiohttp.ClientSession, message: str, url: str = "") -> tuple[int, str]:
    """The status, and the comment's id or Retry-After"""
    async with http.post(f"{url}/comment/create", json={"videoId": "demo", "message": message}) as answer:
        body = await answer.json()
        return answer.status, body["id"] if answer.status == 200 else answer.headers["retry-after"]


async def page(http: aiohttp.ClientSession, query: str, url: str = "") -> list[str]:
    async with http.get(f"{url}/comments/demo?{query}") as answer:
        assert answer.status == 200, await answer.text()
        return [comment["id"] for comment in (await answer.json())["comments"]]


def cut_off_writes(running: RunningService) -> None:
    """The store can be read, and takes nothing: a Cassandra that has lost its quorum for writes, say."""

    async def away(*_: object) -> None:
        raise StoreUnavailable("cut off by the test")

    running.service.lazy_store.append = away  # type: ignore[method-assign, assignment]


async def test_pages_and_the_replay_have_what_is_spooled(start_service: StartService) -> None:
    running = await start_service(drain_retry_min_ms=60_000, drain_retry_max_ms=60_000)
    async with running.http.post("/videos", json={"id": "demo", "title": "t", "state": "live"}) as answer:
        assert answer.status == 200
    ids = [(await say(running.http, f"stored {n}"))[1] for n in range(5)]
    assert await page(running.http, "pagesize=3") == ids[:1:-1]
    cut_off_writes(running)
    ids += [(await say(running.http, f"spooled {n}"))[1] for n in range(5)]
    assert running.service.spooled.statistics().spool.comments == 5
    async with running.operators.get("/health/ready") as ready:
        facts = await ready.json()
        assert (ready.status, facts["store"], facts["spooled"]) == (200, "away; comments wait in the spool", 5)
    assert await page(running.http, "pagesize=100") == ids[::-1]
    assert await page(running.http, f"cursor={ids[7]}&pagesize=4") == ids[6:2:-1]
    assert await page(running.http, f"newer_than={ids[2]}&pagesize=4") == ids[6:2:-1]
    assert await page(running.http, "from_offset_ms=0&pagesize=100") == ids
    async with running.http.get(f"/comments/demo?from_offset_ms=0&cursor={ids[3]}&pagesize=3") as answer:
        replayed = await answer.json()
    assert [comment["id"] for comment in replayed["comments"]] == ids[4:7]
    assert replayed["nextCursor"] == ids[6]


async def test_a_full_spool_refuses_and_publishes_nothing_of_it(
    start_service: StartService, dispatcher: FakeDispatcher, tmp_path: Path
) -> None:
    (tmp_path / "comments.db").mkdir()  # so the store can't be opened
    running = await start_service(
        dispatchers=dispatcher.address, wait=False, spool_bytes_max=70_000, store_retry_max_ms=100
    )
    taken: list[str] = []
    refused = 0
    for n in range(200):
        status, answer = await say(running.http, f"{n} {LONG[:-4]}")
        if status == 200:
            taken.append(answer)
        else:
            assert (status, int(answer) >= 1) == (503, True)
            refused += 1
    assert refused > 50
    assert len(taken) > 50
    async with running.operators.get("/health/ready") as ready:
        assert (ready.status, (await ready.json())["store"]) == (503, "the store is away, and the spool is full")
    await eventually(lambda: len(dispatcher.published) == len(taken))
    assert [format_id(each) for each in dispatcher.published] == taken
    assert running.service.publisher.statistics().backlog == 0

    (tmp_path / "comments.db").rmdir()
    await eventually(lambda: not running.service.spooled.is_away)
    await running.service.spooled.wait_drained()
    taken.append((await say(running.http, "again"))[1])
    assert await page(running.http, "pagesize=100") == taken[:-101:-1]


async def test_a_full_disk_refuses_until_there_is_room(tmp_path: Path, dispatcher: FakeDispatcher) -> None:
    """The kernel's own limit on a file's size: a real write is cut short, as on a disk that is full."""
    (tmp_path / "comments.db").mkdir()
    slow_probes = ("--drain-retry-min-ms", "60000", "--drain-retry-max-ms", "60000")
    async with started(tmp_path, dispatcher.address, *slow_probes) as running, aiohttp.ClientSession() as http:
        url = f"http://{(await running.wait_for_line('comment_service listening'))['listen']}"
        taken = [(await say(http, f"before {n}", url))[1] for n in range(3)]
        pid = running.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (NOTHING_FITS, unlimited[1]))
        for n in range(5):
            status, retry_after = await say(http, f"on a full disk {n}", url)
            assert (status, int(retry_after) >= 1) == (503, True)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        taken += [(await say(http, f"after {n}", url))[1] for n in range(3)]
        await eventually(lambda: len(dispatcher.published) >= len(taken))
        assert [format_id(each) for each in dispatcher.published] == taken
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()

    # What it left is read by the next one, but for what a power loss has torn.
    newest = max((tmp_path / "state" / "spool" / "node0").glob("*.spool"))
    with newest.open("ab") as segment:
        segment.write(b"\x30\0\0\0 half a record")
    (tmp_path / "comments.db").rmdir()
    async with started(tmp_path, dispatcher.address) as running, aiohttp.ClientSession() as http:
        url = await running.wait_ready()
        await running.wait_for_line("spool_drained")
        assert "spool_tail_cut" in [line["event"] for line in running.lines]
        assert await page(http, "pagesize=100", url) == taken[::-1]


async def test_stopped_while_the_store_is_away_the_next_one_accepts_at_once(tmp_path: Path, nowhere: str) -> None:
    async with started(tmp_path, nowhere) as running, aiohttp.ClientSession() as http:
        url = await running.wait_ready()
        await eventually((tmp_path / "state" / "lease-node0").exists)
        (tmp_path / "comments.db").rename(tmp_path / "elsewhere.db")
        (tmp_path / "comments.db-wal").unlink()
        (tmp_path / "comments.db-shm").unlink()
        (tmp_path / "comments.db").mkdir()
        assert (await say(http, "spooled", url))[0] == 200
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
    async with started(tmp_path, nowhere, "--node-wait-ms", "600000") as running, aiohttp.ClientSession() as http:
        url = f"http://{(await running.wait_for_line('comment_service listening'))['listen']}"
        assert (await say(http, "spooled, too", url))[0] == 200


async def test_killed_while_the_store_is_away_the_next_one_publishes_at_once(
    tmp_path: Path, dispatcher: FakeDispatcher
) -> None:
    (tmp_path / "comments.db").mkdir()
    watermark = tmp_path / "state" / "published-node0"
    ids: list[str] = []
    for n in range(2):
        async with started(tmp_path, dispatcher.address, "--node-wait-ms", "0") as running:
            url = f"http://{(await running.wait_for_line('comment_service listening'))['listen']}"
            async with aiohttp.ClientSession() as http:
                ids.append((await say(http, f"in life {n}", url))[1])
            await eventually(lambda: [format_id(each) for each in dispatcher.published] == ids)
            await eventually(lambda: watermark.read_text().startswith(ids[0]))
            running.process.send_signal(signal.SIGKILL)
            await running.process.wait()


async def test_a_folder_that_can_not_be_used_is_said_at_the_start(tmp_path: Path, nowhere: str) -> None:
    async with started(tmp_path, nowhere, "--spool-dir", "/proc/nowhere") as running:
        line = await running.wait_for_line("can't start")
        assert "/proc/nowhere" in str(line["reason"])
        assert await running.process.wait() == 1


async def test_a_folder_that_has_gone_refuses(start_service: StartService, tmp_path: Path) -> None:
    running = await start_service()
    cut_off_writes(running)
    folder = tmp_path / "state" / "spool" / "node0"
    folder.rename(tmp_path / "elsewhere")
    assert (await say(running.http, "nobody keeps it"))[0] == 503
    (tmp_path / "elsewhere").rename(folder)
    assert (await say(running.http, "kept"))[0] == 200


async def test_a_store_that_takes_long_to_open_is_away(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a schema is made on a busy cluster: a minute"""
    made = asyncio.Event()

    async def slowly(url: str, settings: StoreSettings) -> History:
        await made.wait()
        return await open_store(url, settings)

    monkeypatch.setattr("comment_service.service.open_store", slowly)
    running = await start_service(wait=False, node_wait_ms=50, drain_retry_min_ms=1, drain_retry_max_ms=10)

    async def store() -> tuple[int, str]:
        async with running.operators.get("/health/ready") as ready:
            return ready.status, (await ready.json())["store"]

    async def is_ready() -> bool:
        return await store() == (200, "away; comments wait in the spool")

    await eventually(is_ready)
    said = (await say(running.http, "spooled"))[1]
    made.set()
    await running.service.spooled.wait_drained()

    async def is_open() -> bool:
        return await store() == (200, "ok")

    await eventually(is_open)  # what was found out before may be told for a moment
    assert await page(running.http, "pagesize=100") == [said]


async def test_a_store_of_a_newer_release_refuses_and_readiness_says_why(
    start_service: StartService, tmp_path: Path
) -> None:
    """It is no outage: what a spool took would be stored by no process of this release."""
    with closing(sqlite3.connect(tmp_path / "comments.db")) as file:
        file.execute("PRAGMA user_version = 99")
    running = await start_service(
        wait=False, store_retry_max_ms=100, drain_retry_min_ms=1, drain_retry_max_ms=10, node_wait_ms=50
    )

    async def says_why() -> bool:
        async with running.operators.get("/health/ready") as ready:
            return ready.status == 503 and "this release knows" in (await ready.json())["store"]

    await eventually(says_why)
    for n in range(3):
        status, retry_after = await say(running.http, f"refused {n}")
        assert (status, int(retry_after) >= 1) == (503, True)
        assert await says_why()
    assert running.service.spooled.statistics().spool.comments == 0
    with closing(sqlite3.connect(tmp_path / "comments.db")) as file:
        file.execute("PRAGMA user_version = 0")
    await eventually(lambda: running.service._history is not None)
    said = (await say(running.http, "accepted"))[1]
    assert await page(running.http, "pagesize=100") == [said]


async def test_a_statement_that_is_wrong_is_no_outage(start_service: StartService, tmp_path: Path) -> None:
    running = await start_service(drain_retry_min_ms=1, drain_retry_max_ms=10)
    with closing(sqlite3.connect(tmp_path / "comments.db")) as file:
        file.execute("ALTER TABLE comments RENAME TO elsewhere")
    assert (await say(running.http, "refused"))[0] == 503
    statistics = running.service.spooled.statistics()
    assert (statistics.away, statistics.spool.comments) == (False, 0)

    async def says_why() -> bool:
        async with running.operators.get("/health/ready") as ready:
            return ready.status == 503 and "no such table" in (await ready.json())["store"]

    await eventually(says_why)
    with closing(sqlite3.connect(tmp_path / "comments.db")) as file:
        file.execute("ALTER TABLE elsewhere RENAME TO comments")
    assert (await say(running.http, "accepted"))[0] == 200
