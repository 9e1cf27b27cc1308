"""A file of any earlier version is brought up to date, once, with what is in it"""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from history.opening import open_store
from history.sqlite.schema import STEPS, VERSION, migrate, version_of
from tests.history.comments import comments_every
from tests.history.moderating_contract import all_of, names


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def tables(file: sqlite3.Connection) -> list[tuple[str, str]]:
    return file.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


@pytest.mark.parametrize("version", range(VERSION + 1))
def test_every_version_becomes_this_one(tmp_path: Path, version: int) -> None:
    with closing(connect(tmp_path / "old")) as old, closing(connect(tmp_path / "new")) as new:
        for statement in (statement for step in STEPS[:version] for statement in step):
            old.execute(statement)
        old.execute(f"PRAGMA user_version = {version}")
        assert migrate(old) == VERSION - version
        assert migrate(old) == 0
        migrate(new)
        assert version_of(old) == VERSION
        assert tables(old) == tables(new)


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "file")) as file:
        file.execute(f"PRAGMA user_version = {VERSION + 1}")
        with pytest.raises(sqlite3.DatabaseError, match="this release knows"):
            migrate(file)
        file.execute("ROLLBACK")
        assert tables(file) == []


def test_those_who_start_together_make_it_once(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "file")) as file:
        file.execute("PRAGMA journal_mode = WAL")
    made = []

    def start() -> None:
        with closing(connect(tmp_path / "file")) as file:
            made.append(migrate(file))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0] * 7 + [VERSION]


async def test_comments_of_version_1_can_be_erased(tmp_path: Path) -> None:
    comments = comments_every(1000, 3, "video")
    with closing(connect(tmp_path / "comments.sqlite")) as old:
        old.execute(STEPS[0][0])
        old.execute("PRAGMA user_version = 1")
        for c in comments:
            row = (c.video_id, c.id, c.author.id, c.author.name, c.message, c.created_at_ms)
            old.execute("INSERT INTO comments VALUES (?, ?, ?, ?, ?, ?)", row)
    store = await open_store(f"sqlite:{tmp_path}/comments.sqlite")
    assert (await store.newer("video", 0, 10)).comments == comments
    assert await all_of(store, comments[0].author.id, None) == names(*comments)
    await store.close()
