"""What the threads around a SQLite file promise, beside the contracts that stand on it"""

import sqlite3
from pathlib import Path

import pytest

from history.config import StoreSettings
from history.sqlite.file import WriteFile
from history.store import StoreUnavailable


async def test_each_write_is_fsynced(tmp_path: Path) -> None:
    file = WriteFile(tmp_path / "file", StoreSettings())
    assert await file.write(lambda open_file: open_file.execute("PRAGMA synchronous").fetchone()) == (2,)  # FULL
    await file.close()


async def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    file = WriteFile(tmp_path / "file", StoreSettings())

    def half(open_file: sqlite3.Connection) -> None:
        open_file.execute("INSERT INTO nodes VALUES (1, 'a', 'a', 1)")
        raise sqlite3.OperationalError("broken by the test")

    with pytest.raises(StoreUnavailable, match="broken by the test"):
        await file.write(half)
    assert await file.query("SELECT * FROM nodes", ()) == []
    await file.close()


async def test_an_unexpected_error_gives_the_lock_back(tmp_path: Path) -> None:
    file, other = (WriteFile(tmp_path / "file", StoreSettings(sqlite_busy_timeout_ms=0)) for _ in range(2))

    def wrong(open_file: sqlite3.Connection) -> None:
        open_file.execute("INSERT INTO nodes VALUES (1, 'a', 'a', 1)")
        open_file.execute("INSERT INTO nodes VALUES (?, 'a', 'a', 1)", (1 << 64,))  # OverflowError, by Python itself

    with pytest.raises(OverflowError):
        await file.write(wrong)
    await other.write(lambda open_file: open_file.execute("INSERT INTO nodes VALUES (2, 'b', 'b', 1)").rowcount)
    assert [row[0] for row in await file.query("SELECT node FROM nodes", ())] == [2]
    await file.close()
    await other.close()


async def test_what_is_erased_is_overwritten(tmp_path: Path) -> None:
    file = WriteFile(tmp_path / "file", StoreSettings())
    word = "a-word-that-stands-nowhere-else"
    await file.write(lambda open_file: open_file.execute("INSERT INTO nodes VALUES (1, ?, 'a', 1)", (word,)).rowcount)
    await file.write(lambda open_file: open_file.execute("DELETE FROM nodes").rowcount)
    await file.close()  # folds the log back
    assert word.encode() not in (tmp_path / "file").read_bytes()
