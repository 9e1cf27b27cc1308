"""Spool: what append returned for is on the disk, and nothing else is believed"""

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from history.core.model import Comment
from history.core.spool_format import read_segment
from history.spool.files import Spool, SpoolFull, SpoolInUse
from history.store import StoreUnavailable
from tests.history.comments import a_comment, comments_every


def open_spool(path: Path, bytes_max: int = 1_000_000, segment_bytes_max: int = 2_000) -> Spool:
    return Spool.open(path / "spool", bytes_max=bytes_max, segment_bytes_max=segment_bytes_max)


async def fill(spool: Spool, first: int = 1) -> list[Comment]:
    """Appends one after another; what was taken, once one is refused"""
    taken: list[Comment] = []
    with suppress(StoreUnavailable):
        while True:
            await spool.append([comment := a_comment(first + len(taken))], {})
            taken.append(comment)
    return taken


async def drain(spool: Spool) -> list[Comment]:
    drained: list[Comment] = []
    while segments := await spool.sealed():
        comments = segments[0].comments
        drained += comments
        await spool.drop(segments[0], comments)
    return drained


async def test_everything_comes_back_in_order(tmp_path: Path) -> None:
    comments = comments_every(10, 100, "video")
    spool = open_spool(tmp_path)
    assert spool.is_empty
    for begin in range(0, 100, 10):
        await spool.append(comments[begin : begin + 10], {})
    assert len(list((tmp_path / "spool").glob("*.spool"))) > 2
    before = spool.statistics()
    await spool.close()
    again = open_spool(tmp_path)
    assert again.statistics() == before
    assert (before.comments, before.oldest_created_at_ms) == (100, comments[0].created_at_ms)
    assert (again.low_id(), again.high_id()) == (comments[0].id, comments[-1].id)
    assert again.comments.newer("video", 0, 200) == comments
    assert await drain(again) == comments
    assert again.is_empty
    assert again.low_id() is again.high_id() is None
    assert (again.statistics().bytes, len(again.comments)) == (0, 0)
    assert list((tmp_path / "spool").glob("*.spool")) == []
    await again.close()


async def test_a_torn_tail_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    comments = comments_every(10, 5, "video")
    spool = open_spool(tmp_path)
    await spool.append(comments, {})
    await spool.close()
    (segment,) = (tmp_path / "spool").glob("*.spool")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 3)
    with capture_logs() as lines:
        again = open_spool(tmp_path)
    assert [line["event"] for line in lines] == ["spool_tail_cut"]
    await again.append(comments[4:], {})
    assert await drain(again) == comments
    await again.close()
    (tmp_path / "spool" / "000000000099.spool").write_bytes(b"LCsp")  # killed at once after it was made
    empty = open_spool(tmp_path)
    assert empty.is_empty
    await empty.close()


@pytest.mark.parametrize("at", [0, 9, 40])
async def test_a_flipped_bit_costs_one_comment_and_the_file_is_kept(tmp_path: Path, at: int) -> None:
    comments = comments_every(10, 1_000, "video")
    spool = open_spool(tmp_path, segment_bytes_max=1_000_000)
    await spool.append(comments, {})
    await spool.close()
    (segment,) = (tmp_path / "spool").glob("*.spool")
    content = bytearray(segment.read_bytes())
    content[at] ^= 1
    segment.write_bytes(content)
    kept = comments if at == 0 else comments[1:]  # the file's beginning is no comment
    for _ in range(2):  # the first process is killed before it has drained it
        with capture_logs() as lines:
            again = open_spool(tmp_path)
        (line,) = lines
        assert (line["event"], line["log_level"], line["kept_comments"]) == ("spool_file_damaged", "error", len(kept))
        assert 8 <= line["lost_bytes"] < 200
        assert again.comments.newer("video", 0, 2_000) == kept
        again.release()
    again = open_spool(tmp_path)
    assert await drain(again) == kept
    await again.close()
    (aside,) = (tmp_path / "spool").glob("*.damaged")
    assert aside.read_bytes() == content
    with capture_logs() as lines:
        last = open_spool(tmp_path)
    assert (last.is_empty, lines) == (True, [])
    await last.append(comments[:1], {})
    await drain(last)
    assert aside.read_bytes() == content
    assert not aside.with_suffix(".spool").exists()
    await last.close()


async def test_a_file_without_one_good_comment_is_kept(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "000000000001.spool").write_bytes(b"nothing that is known" * 9)
    spool = open_spool(tmp_path)
    assert spool.is_empty
    (aside,) = (tmp_path / "spool").glob("*.damaged")
    await spool.append([a_comment(1)], {})
    assert [path.name for path in (tmp_path / "spool").glob("*.spool")] == ["000000000002.spool"]
    assert aside.read_bytes() == b"nothing that is known" * 9
    await spool.close()


async def test_a_newer_releases_file_waits_for_it(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.append(comments_every(10, 5, "video"), {})
    await spool.close()
    (newer,) = (tmp_path / "spool").glob("*.spool")
    content = newer.read_bytes().replace(b"LCspool1", b"LCspool2")
    newer.write_bytes(content)
    with capture_logs() as lines:
        spool = open_spool(tmp_path)
    assert [(line["event"], line["log_level"]) for line in lines] == [("spool_file_of_newer_release", "error")]
    await spool.append([a_comment(1)], {})
    assert await drain(spool) == [a_comment(1)]
    await spool.close()
    assert newer.read_bytes() == content


async def test_it_is_bounded(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, bytes_max=1_000, segment_bytes_max=500)
    assert spool.has_room
    taken = await fill(spool)
    with pytest.raises(SpoolFull, match="of 1000 bytes"):
        await spool.append([a_comment(99)], {})
    assert not spool.has_room
    assert await drain(spool) == taken
    await spool.append([a_comment(99)], {})
    await spool.close()


async def test_appends_and_draining_side_by_side(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, segment_bytes_max=300)
    comments = comments_every(10, 60, "video")
    drained: list[Comment] = []

    async def drain_until_all_came() -> None:
        while len(drained) < len(comments):
            drained.extend(await drain(spool))
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await asyncio.gather(drain_until_all_came(), *(spool.append([comment], {}) for comment in comments))
    assert drained == comments
    assert (spool.statistics().bytes, len(spool.comments)) == (0, 0)
    await spool.close()


async def test_a_segment_that_is_full_drained_or_failed_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_files() -> list[str]:
        found = []
        for fd in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/self/fd/{fd}"))
        return sorted(Path(name).name for name in found if name.startswith(str(tmp_path)))

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    spool = open_spool(tmp_path, segment_bytes_max=300)
    await spool.append([a_comment(0)], {})
    for number in range(1, 20):
        await spool.append([a_comment(number)], {})
        newest = max((tmp_path / "spool").glob("*.spool")).name
        assert open_files() == [newest, "lock"]
    await drain(spool)
    assert open_files() == ["lock"]
    with monkeypatch.context() as fault:
        fault.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable, match="no space left"):
            await spool.append([a_comment(98)], {})
    assert open_files() == ["lock"]
    await spool.append([a_comment(99)], {})
    await spool.close()
    assert open_files() == []


@pytest.mark.parametrize("fails", ["write", "fdatasync", "open", "fsync"])
async def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """The fault is made where the kernel would report it; what a real disk then holds may be less."""
    spool = open_spool(tmp_path, segment_bytes_max=300)
    kept = [a_comment(1), a_comment(2), a_comment(3)]
    await spool.append(kept, {})
    write = os.write

    def full(*arguments: object) -> int:
        if fails == "write" and isinstance(arguments[1], memoryview):
            write(arguments[0], arguments[1][:5])  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as fault:
        fault.setattr(os, fails, full)
        kept += await fill(spool, first=10)
        with pytest.raises(StoreUnavailable, match="no space left"):
            await spool.append([a_comment(98)], {})
    size = spool.statistics().bytes
    await spool.append([a_comment(99)], {})
    assert spool.statistics().bytes > size
    await spool.close()
    again = open_spool(tmp_path)
    assert await drain(again) == [*kept, a_comment(99)]
    await again.close()


async def test_one_process_has_it(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(SpoolInUse, match="folder of its own"):
        open_spool(tmp_path)
    await spool.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await spool.append([a_comment(1)], {})
    await open_spool(tmp_path).close()


async def test_it_writes_into_the_folder_that_is_there_now(tmp_path: Path) -> None:
    """Its disk was mounted anew. What was written on into the old file would be found by nobody."""
    folder, elsewhere = tmp_path / "spool", tmp_path / "elsewhere"
    spool = open_spool(tmp_path)
    first, second, third = comments_every(10, 3, "video")
    await spool.append([first], {})
    folder.rename(elsewhere)
    with pytest.raises(StoreUnavailable, match="spool"):
        await spool.append([second], {})
    assert not folder.exists()
    folder.mkdir()
    with capture_logs() as logs:
        await spool.append([third], {})
    assert [(line["event"], line["only_in_memory"]) for line in logs] == [("spool_folder_replaced", 1)]
    with pytest.raises(SpoolInUse):
        open_spool(tmp_path)
    (segment,) = folder.glob("*.spool")
    assert read_segment(segment.read_bytes()).comments == [third]
    assert await drain(spool) == [first, third]
    await spool.close()


async def test_a_folder_that_another_process_has_by_now_is_left_to_it(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    (tmp_path / "spool").rename(tmp_path / "elsewhere")
    other = open_spool(tmp_path)
    with pytest.raises(StoreUnavailable, match="another process spools"):
        await spool.append([a_comment(1)], {})
    await other.close()
    await spool.append([a_comment(1)], {})
    await spool.close()
