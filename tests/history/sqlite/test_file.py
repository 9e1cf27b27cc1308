"""What the threads around a SQLite file promise, beside the contracts that stand on it"""

import os
import sqlite3
from pathlib import Path

import pytest

from history.config import StoreSettings
from history.sqlite.file import ReadFile, WriteFile
from history.store import StoreUnavailable
from tests.waiting import eventually


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


async def test_connections_that_nobody_reads_with_are_closed(tmp_path: Path) -> None:
    """So that the disk below can be unmounted."""
    path = tmp_path / "file"
    writing = WriteFile(path, StoreSettings())
    await writing.write(lambda open_file: None)
    await writing.close()

    def is_open() -> bool:
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        return str(path) in [os.readlink(link) for link in links if os.path.islink(link)]

    reading = ReadFile(path, StoreSettings(sqlite_idle_ms=50))
    for _ in range(2):
        for _ in range(StoreSettings().sqlite_readers):
            assert await reading.query("SELECT * FROM nodes", ()) == []
        assert is_open()
        await eventually(lambda: not is_open())
    await reading.close()


async def test_a_write_looks_for_the_lock_each_millisecond_however_long_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself looks up to 100 ms apart: beside a busy writer a write then waits for seconds."""
    writing = WriteFile(tmp_path / "file", StoreSettings())
    await writing.write(lambda open_file: None)
    other = sqlite3.connect(tmp_path / "file", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 200:
            other.execute("ROLLBACK")

    monkeypatch.setattr("history.sqlite.file.pause", pause)
    await writing.write(lambda open_file: open_file.execute("INSERT INTO nodes VALUES (1, 'a', 'a', 1)").rowcount)
    assert waits == [0.001] * 200
    await writing.close()
    other.close()
