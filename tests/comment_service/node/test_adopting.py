"""What other node numbers' processes have left is stored and published, whoever comes back"""

import asyncio
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from comment_service.node.adopting import adopt
from comment_service.publish.watermark import Saved, Watermark
from comment_service.service import build
from history.core.ids import format_id
from history.core.model import Comment
from history.spool.files import Spool
from tests.comment_service.conftest import StartService, config
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.history.comments import comments_every
from tests.waiting import eventually


def open_spool(tmp_path: Path, node: int, bytes_max: int = 1_000_000) -> Spool:
    return Spool.open(tmp_path / "state" / "spool" / f"node{node}", bytes_max=bytes_max, segment_bytes_max=1_000)


async def leave(tmp_path: Path, node: int, comments: list[Comment]) -> None:
    """A process with that number was killed, with these in its spool."""
    spool = open_spool(tmp_path, node)
    for comment in comments:
        await spool.append([comment], {})
    await spool.close()


async def test_a_process_with_another_number_stores_and_publishes_what_was_left(
    start_service: StartService, dispatcher: FakeDispatcher, tmp_path: Path
) -> None:
    comments = comments_every(10, 9, "demo", time.time_ns() // 1_000_000 - 20_000)
    await leave(tmp_path, 3, comments)
    Watermark(tmp_path / "state", 3).write(low_id := comments[0].id - 5)
    Watermark(tmp_path / "state", 4).write(comments[4].id, clean=True)
    running = await start_service(dispatchers=dispatcher.address, node=4)
    await asyncio.wait_for(running.service.spooled.wait_drained(), 10)
    async with running.http.get("/comments/demo?pagesize=100") as answer:
        page = await answer.json()
    assert [each["id"] for each in page["comments"]] == [format_id(each.id) for each in comments[::-1]]
    await eventually(lambda: low_id in dispatcher.catch_ups)
    # The next process with the old number owes nothing, and gives no id again.
    assert Watermark(tmp_path / "state", 3).read() == Saved(low_id, clean=True, ids_up_to=comments[-1].id)
    assert not list((tmp_path / "state" / "spool" / "node3").glob("*.spool"))


async def test_a_process_that_is_killed_at_once_has_lost_nothing(tmp_path: Path) -> None:
    comments = comments_every(10, 30, "video")
    await leave(tmp_path, 3, comments)
    Watermark(tmp_path / "state", 3).write(7)
    service = await build(config(tmp_path, "127.0.0.1:1", node=4))
    for part in (service._watermark, service.spooled._spool):  # as the kernel does
        part.release()
    service._listener.close()
    service.operators.close()
    saved = Watermark(tmp_path / "state", 4).read()
    assert saved is not None
    assert (saved.low_id, saved.clean) == (7, False)
    spool = open_spool(tmp_path, 4)
    assert len(spool.comments) == 30
    spool.release()


async def test_what_a_living_process_has_is_left_to_it(tmp_path: Path) -> None:
    await leave(tmp_path, 3, comments_every(10, 5, "video"))
    theirs = Watermark(tmp_path / "state", 3).hold()
    theirs.write(7)
    spool = open_spool(tmp_path, 4)
    assert adopt(spool, 4, tmp_path / "state", tmp_path / "state" / "spool") == []
    assert spool.is_empty
    theirs.release()
    spool_of_3 = open_spool(tmp_path, 3)
    with capture_logs() as lines:
        assert adopt(spool, 4, tmp_path / "state", tmp_path / "state" / "spool") == []
    assert [line["log_level"] for line in lines] == ["error"]
    spool_of_3.release()
    (one,) = adopt(spool, 4, tmp_path / "state", tmp_path / "state" / "spool")
    one.watermark.release()
    assert len(spool.comments) == 5
    spool.release()


async def test_only_so_much_is_adopted_as_there_is_room_for(tmp_path: Path) -> None:
    comments = comments_every(10, 60, "video")
    await leave(tmp_path, 3, comments)
    seen: list[Comment] = []
    for _ in range(20):
        spool = open_spool(tmp_path, 4, bytes_max=2_500)
        for one in adopt(spool, 4, tmp_path / "state", tmp_path / "state" / "spool"):
            one.watermark.release()
        assert spool.statistics().bytes <= 2_500
        while segments := await spool.sealed():
            taken = segments[0].comments
            seen += taken
            await spool.drop(segments[0], taken)
        await spool.close()
    assert seen == comments


async def test_a_start_waits_while_its_files_are_being_adopted(
    start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Watermark(tmp_path / "state", 0).hold()
    starting = asyncio.ensure_future(start_service())
    tried = 0
    hold = Watermark.hold

    def counted(self: Watermark) -> Watermark:
        nonlocal tried
        tried += 1
        return hold(self)

    monkeypatch.setattr(Watermark, "hold", counted)
    await eventually(lambda: tried > 1)
    theirs.release()
    assert (await starting).service.node == 0
