"""docs/backup.md, done: a SQLite history is copied while it is written, and restored"""

import sqlite3
from contextlib import closing
from pathlib import Path

from history.core.ids import parse_id
from history.opening import open_store
from tests.history.comments import a_comment
from tests.history.programs import program


async def test_a_backup_of_a_file_that_is_being_written(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/comments.db"
    acknowledged: list[int] = []
    async with program("write", url, "video", "1000000") as writer:
        assert writer.stdout is not None
        while len(acknowledged) < 50:
            acknowledged.append(parse_id((await writer.stdout.readline()).strip().decode()))
        with closing(sqlite3.connect(tmp_path / "comments.db")) as file:
            file.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        before_backup = len(acknowledged)
        while len(acknowledged) < 100:
            acknowledged.append(parse_id((await writer.stdout.readline()).strip().decode()))
        writer.kill()
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        assert backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    # Restore: all processes are stopped; the old file and what belongs to it makes way.
    for name in ("comments.db", "comments.db-wal", "comments.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(tmp_path / "comments.db")

    store = await open_store(url)
    stored = [comment.id for comment in (await store.newer("video", 0, 1_000_000)).comments]
    assert stored[:before_backup] == acknowledged[:before_backup]
    await store.append([a_comment(1)])
    assert (await store.newer("video", 0, 1)).comments[0] == a_comment(1)
    await store.close()
