"""Moderating in SQLite: what is left in the file, in its log and for how long. What every store promises is in
moderating_contract.py."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from history.clocks import wall_ms
from history.config import NAMED_MS, NOTICES_KEPT_MS, StoreSettings
from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import AUTHOR_PURGED, HIDDEN, Author, Change, Comment
from history.core.purges import author_hash
from history.opening import open_store
from history.store import History
from tests.history.comments import START_MS, a_comment, comments_every
from tests.history.contract import read_on
from tests.history.moderating_contract import change, changes_of, purge, said_by

TEXT, NAME = "a-text-that-stands-nowhere-else", "a-name-that-stands-nowhere-else"


def on_disk(folder: Path) -> bytes:
    """The file and its log"""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("comments.db*")))


async def purge_all(store: History) -> None:
    order = purge(NAME, None, first_id_at(wall_ms()))
    await store.begin_purge(order)
    async for video_id, ids in store.comments_of(NAME, None, 0, order.up_to_id):
        await store.erase(video_id, ids)
    await store.end_purge(order)


@pytest.mark.parametrize("how", ["erased", "purged"])
async def test_what_is_erased_is_overwritten_in_the_file_and_its_log(tmp_path: Path, how: str) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    kept = await erase_some(store, how, 5)
    await sweep_all(store)
    left = on_disk(tmp_path)
    assert TEXT.encode() not in left
    assert NAME.encode() not in left
    assert (tmp_path / "comments.db-wal").stat().st_size == 0
    if how == "purged":
        assert author_hash(NAME) in left
    assert await read_on(store, "video", 1_000) == kept
    await store.close()


@pytest.mark.parametrize("how", ["erased", "purged"])
async def test_after_a_vacuum_nothing_is_left_wherever_rows_were_moved(tmp_path: Path, how: str) -> None:
    """When SQLite splits a page, it leaves the bytes of what it moves in the unused part, `secure_delete` or not."""
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    kept = await erase_some(store, how, 2_000)
    await sweep_all(store)
    with closing(sqlite3.connect(tmp_path / "comments.db")) as operators:  # as docs/backup.md says, while services run
        operators.execute("VACUUM")
    await sweep_all(store)
    left = on_disk(tmp_path)
    assert TEXT.encode() not in left
    assert NAME.encode() not in left
    assert await read_on(store, "video", 1_000) == kept
    await store.close()


async def erase_some(store: History, how: str, count: int) -> list[Comment]:
    """Appends some more, erases that many, and returns those that are left."""
    author = Author(NAME, NAME)
    gone = [
        Comment(first_id_at(START_MS + 2 * n), "video", author, f"{TEXT} {n} " + "x" * (n % 97), START_MS)
        for n in range(count)
    ]
    kept = [a_comment(first_id_at(START_MS + 2 * n) + 1, "video", f"kept {n}") for n in range(count)]
    await store.append([*gone, *kept])
    if how == "erased":
        await store.apply([change("erased", each) for each in gone])
    else:
        await purge_all(store)
    return kept


async def sweep_all(store: History) -> None:
    await store.sweep(wall_ms())
    await store.sweep(wall_ms() + NOTICES_KEPT_MS + 10_000)  # the notices name an author as well


async def test_a_name_is_kept_for_a_day_at_most(tmp_path: Path) -> None:
    """Also of a purge that nobody has carried on"""
    store = await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(erase_slice_max=2))
    now_ms = wall_ms()
    events = [Change(first_id_at(now_ms) + n, "video", AUTHOR_PURGED, author_id=NAME, up_to_id=n + 1) for n in range(5)]
    await store.apply(events)
    await store.begin_purge(purge(NAME, None, 7))
    await store.sweep(now_ms + NAMED_MS - 60_000)
    assert await store.events("video", 0, 10) == events
    assert NAME.encode() in on_disk(tmp_path)
    await store.sweep(now_ms + NAMED_MS + 60_000)
    assert NAME.encode() not in on_disk(tmp_path)
    assert [each.up_to_id for each in await store.events("video", 0, 10) if isinstance(each, Change)] == [1, 2, 3, 4, 5]
    assert await store.purges(now_ms) == []
    await store.close()


async def test_a_long_reader_does_not_hold_up_the_folding_of_the_log(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(sqlite_fold_ms=1))
    with closing(sqlite3.connect(tmp_path / "comments.db", isolation_level=None)) as backup:
        await store.append(comments_every(1, 2, "video"))
        backup.execute("BEGIN")
        backup.execute("SELECT * FROM comments").fetchone()
        await store.append(comments_every(1, 3, "video"))
        await store.sweep(wall_ms())
        await store.append(comments_every(1, 4, "video"))
        assert len(await read_on(store, "video", 9)) == 4
        backup.execute("ROLLBACK")
    await store.sweep(wall_ms())
    assert (tmp_path / "comments.db-wal").stat().st_size == 0
    await store.close()


async def test_marks_of_earlier_releases_are_honoured(tmp_path: Path) -> None:
    await (await open_store(f"sqlite:{tmp_path}/comments.db")).close()
    erased, barred, kept = (
        said_by(name, "video", 1, start_ms=START_MS + n)[0] for n, name in enumerate(("ann", "bob", "cid"))
    )
    with closing(sqlite3.connect(tmp_path / "comments.db", isolation_level=None)) as old:
        old.execute("INSERT INTO erased VALUES (?, ?, 1)", ("video", erased.id))
        old.execute("INSERT INTO barred_authors VALUES (?, ?, ?)", ("bob", ALL_VIDEOS, barred.id))
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    await store.append([erased, barred, kept])
    assert await read_on(store, "video", 10) == [kept]
    await store.close()


async def test_notices_of_changes_are_swept_after_an_hour(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(erase_slice_max=2))
    await store.apply([change(HIDDEN, a_comment(n)) for n in range(5)])
    now_ms = wall_ms()
    assert await store.sweep(now_ms) == 0
    assert len(await changes_of(store, 0, now_ms)) == 5
    assert await store.sweep(now_ms + NOTICES_KEPT_MS + 10_000) == 5
    assert await changes_of(store, 0, now_ms) == []
    await store.close()
