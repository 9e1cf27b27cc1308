"""SqliteStore keeps the contracts, survives kill -9, and turns every fault of the file into StoreUnavailable."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from history.clocks import wall_ms
from history.config import NOTICES_KEPT_MS, StoreSettings
from history.core.ids import parse_id
from history.opening import open_reader, open_store
from history.sqlite.store import NEWER, OLDER, SqliteStore
from history.store import Claim, History, Outcome, StoreUnavailable
from tests.history.claims_contract import ClaimsContract, claimed
from tests.history.comments import a_comment, comments_every
from tests.history.contract import StoreContract, read_on, video
from tests.history.double_ids_contract import DoubleIdsContract
from tests.history.moderating_contract import ModeratingContract
from tests.history.notices_contract import NoticesContract
from tests.history.programs import program
from tests.history.videos_contract import VideosContract

__all__ = ["video"]


@pytest.fixture(scope="module")
def new_url(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    folder = tmp_path_factory.mktemp("sqlite")
    numbers = itertools.count()
    return lambda: f"sqlite:{folder}/a folder #{next(numbers)}?/comments.sqlite"


@pytest.fixture(scope="module")
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(url: str) -> AsyncIterator[History]:
    store = await open_store(url)
    yield store
    await store.close()


class TestSqliteContract(
    StoreContract, ModeratingContract, NoticesContract, VideosContract, ClaimsContract, DoubleIdsContract
):
    pass


async def test_acknowledged_comments_survive_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/comments.sqlite"
    acknowledged: list[int] = []
    async with program("write", url, "video", "1000000") as writer:
        assert writer.stdout is not None
        async for line in writer.stdout:
            acknowledged.append(parse_id(line.strip().decode()))
            if len(acknowledged) == 200:
                writer.kill()
    assert len(acknowledged) >= 200
    reader = await open_reader(url)
    stored = [comment.id for comment in (await reader.newer("video", 0, len(acknowledged) + 10)).comments]
    assert stored[: len(acknowledged)] == acknowledged  # one more may be stored and not acknowledged
    await reader.close()


async def test_commits_are_fsynced(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "comments.sqlite", StoreSettings())
    file = store._file._connection._file
    assert file is not None
    assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert file.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    await store.close()


async def test_a_page_is_one_descent_of_the_tree(tmp_path: Path) -> None:
    """So its cost doesn't depend on its depth."""
    store = await SqliteStore.open(tmp_path / "comments.sqlite", StoreSettings())
    for query in (OLDER, NEWER):
        with closing(sqlite3.connect(tmp_path / "comments.sqlite")) as file:
            ((*_, plan),) = file.execute(f"EXPLAIN QUERY PLAN {query}", ("video", 1, 10)).fetchall()
        assert plan.startswith("SEARCH comments USING PRIMARY KEY (video_id=? AND id")
    await store.close()


@pytest.mark.parametrize("make_unusable", ["is a folder", "is no database", "lies under a file", "is newer"])
async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, make_unusable: str) -> None:
    path = tmp_path / "comments.sqlite"
    if make_unusable == "is a folder":
        path.mkdir()
    elif make_unusable == "is no database":
        path.write_bytes(b"no database" * 1000)
    elif make_unusable == "lies under a file":
        path.touch()
        path = path / "comments.sqlite"
    else:
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match=r"comments\.sqlite: "):
        await open_store(f"sqlite:{path}")
    reader = await open_reader(f"sqlite:{path}")
    with pytest.raises(StoreUnavailable, match=r"comments\.sqlite: "):
        await reader.older("video", None, 1)
    with pytest.raises(StoreUnavailable):
        await reader.check()
    await reader.close()


async def test_a_full_disk_refuses_and_heals(tmp_path: Path) -> None:
    """SQLite's own limit on the file's size stands for the disk's: the same error, but without the torn bytes."""
    store = await SqliteStore.open(tmp_path / "comments.sqlite", StoreSettings())
    comments = comments_every(10, 5000, "video")
    await store.append(comments[:1])
    assert store._file._connection._file is not None
    store._file._connection._file.execute("PRAGMA max_page_count = 10")
    with pytest.raises(StoreUnavailable, match="full"):
        await store.append(comments)
    assert (await store.newer("video", 0, 10)).comments == comments[:1]
    await store.append(comments)
    assert await read_on(store, "video", 1000) == comments
    await store.close()


async def test_another_writer_that_holds_the_file_too_long(tmp_path: Path) -> None:
    path = tmp_path / "comments.sqlite"
    store = await SqliteStore.open(path, StoreSettings(sqlite_busy_timeout_ms=50))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.append([a_comment(1)])
        assert (await store.older("video", None, 10)).comments == []  # readers don't wait
        other.execute("ROLLBACK")
    await store.append([a_comment(1)])
    assert (await store.older("video", None, 10)).comments == [a_comment(1)]
    await store.close()


async def test_a_file_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    """Its disk is unmounted, perhaps: an empty file in its place would take comments that nobody finds later."""
    folder, elsewhere = tmp_path / "history", tmp_path / "elsewhere"
    url = f"sqlite:{folder}/comments.sqlite"
    store, reader, early = await open_store(url), await open_reader(url), await open_reader(url)
    await store.append([a_comment(1)])
    assert (await reader.older("video", None, 10)).comments == [a_comment(1)]
    folder.rename(elsewhere)
    folder.mkdir()
    for use in (store.append([a_comment(2)]), store.older("video", None, 10), reader.older("video", None, 10)):
        with pytest.raises(StoreUnavailable, match="the file is gone"):
            await use
    assert not list(folder.iterdir())
    assert (await early.older("video", None, 10)).comments == []  # it has seen none: perhaps there never was one
    folder.rmdir()
    elsewhere.rename(folder)
    await store.append([a_comment(2)])
    for each in (store, reader, early):
        assert (await each.older("video", None, 10)).comments == [a_comment(2), a_comment(1)]
        await each.close()


async def test_another_file_in_its_place_is_opened_and_said(tmp_path: Path) -> None:
    """A backup that is restored while services run, or a disk that is mounted anew"""
    path = tmp_path / "comments.sqlite"
    store, reader = await open_store(f"sqlite:{path}"), await open_reader(f"sqlite:{path}")
    await store.append([a_comment(1)])
    assert (await reader.older("video", None, 10)).comments == [a_comment(1)]
    with closing(sqlite3.connect(path)) as file:
        file.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))
    await store.append([a_comment(2)])
    for name in ("comments.sqlite", "comments.sqlite-wal", "comments.sqlite-shm"):
        (tmp_path / name).unlink()
    (tmp_path / "backup").rename(path)
    with structlog.testing.capture_logs() as logs:
        await store.append([a_comment(3)])
        assert (await reader.older("video", None, 10)).comments == [a_comment(3), a_comment(1)]
    said = [(line["event"], line["log_level"]) for line in logs]
    assert said == [("store_file_replaced", "warning")] * 2  # once by each process
    await store.close()
    await reader.close()


async def test_closed_is_unavailable(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.sqlite")
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.append([a_comment(1)])
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.older("video", None, 1)


async def test_a_cancelled_append_leaves_the_store_usable(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.sqlite")
    appending = asyncio.create_task(store.append(comments_every(1, 1000, "video")))
    await asyncio.sleep(0)
    appending.cancel()
    await asyncio.wait([appending])
    await store.append([a_comment(1)])
    assert (await store.newer("video", 0, 1)).comments == [a_comment(1)]
    await store.close()


async def test_notices_are_swept_after_an_hour(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(erase_slice_max=2))
    for n in range(5):
        await store.append(comments_every(1, 3, f"video-{n}"))
    now_ms = wall_ms()
    assert await store.sweep(now_ms) == 0
    assert await store.sweep(now_ms + NOTICES_KEPT_MS + 10_000) == 5
    assert await store.late_since(0, now_ms) == []
    await store.close()


async def _claim(store: History, claims: Sequence[Claim], now_ms: int) -> Sequence[Outcome]:
    """Keeps them for a second."""
    return await store.append_claimed([claimed(each) for each in claims], now_ms, 1_000)


@pytest.mark.parametrize("form", ["{}", "019acd12-3456-7abc-8def-{:012}"])
async def test_expired_claims_are_no_claims_and_are_swept_in_slices(tmp_path: Path, form: str) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    old = [Claim("ann", "demo", form.format(n), n, 1, b"d") for n in range(1_500)]
    assert await _claim(store, old, 0) == old
    new = [Claim("ann", "demo", form.format(n), 10_000 + n, 1, b"e") for n in range(10)]
    assert await _claim(store, new, 999) == old[:10]
    assert await _claim(store, new, 1_000) == new
    assert await store.sweep(1_000) == 1_490
    assert await _claim(store, new, 1_001) == new
    await store.close()


async def test_a_key_twice_in_one_call_is_one(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    twice = [Claim("ann", "demo", "key", n, 1, b"d") for n in (7, 8)]
    assert await _claim(store, twice, 0) == [twice[0]] * 2
    assert [each.id for each in (await store.newer("demo", 0, 10)).comments] == [7]
    await store.close()
