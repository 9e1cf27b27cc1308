"""rms/sending/sweep.py: what raises unexpectedly is logged and closed, and harms no other viewer and no other video"""

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from rms.feed.byte_log import EditionOffset
from rms.feed.editions import Form
from rms.sending.audience import Audience, Viewer
from tests.rms.sending.conftest import Bytes, Hall, read
from tests.waiting import eventually


class Fault(Exception):
    """Injected by a test"""


class BrokenViewer(Viewer):
    """Its socket raises what no socket does."""

    __slots__ = ()

    def send(self, data: object, flags: int = 0) -> int:
        raise Fault("this viewer")


class BrokenEdition(Bytes):
    def update(self, now_ms: int) -> None:
        raise Fault("this edition")


class NoPosition(Bytes):
    """Fails when a viewer is paused."""

    def text_at(self, offset: EditionOffset) -> bytes | None:
        raise Fault("no position")


async def closed(end: socket.socket) -> bool:
    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(end, 1) == b""


async def test_an_audience_whose_sweep_raises_is_closed_and_the_others_go_on(hall: Hall) -> None:
    well = hall.viewer()
    hall.audience, intact = Audience("broken", Form(), BrokenEdition(), hall.behind.append, 1), hall.audience
    ill = [hall.viewer() for _ in range(150)]  # more than are closed at once
    with capture_logs() as lines:
        hall.sweeper.publish(hall.audience)  # stands in front of the other one
        hall.audience = intact
        hall.frame()
        assert await read(well, 100) == hall.expected
        assert all([await closed(end) for end in ill])
    (line,) = lines
    assert (line["log_level"], line["video"], line["viewers"]) == ("error", "broken", 150)
    assert line["reason"] == "Fault('this edition')"
    assert hall.sweeper.statistics().closes == {"failed": 150}
    hall.frame()
    assert await read(well, 100) == hall.expected[-100:]


async def test_an_audience_that_failed_takes_viewers_again(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    edition = hall.audience.edition
    monkeypatch.setattr(edition, "update", BrokenEdition().update)
    ill = hall.viewer()
    hall.sweeper.send_aside(hall.audience, b"told\n")
    assert await closed(ill)
    monkeypatch.undo()
    well = hall.viewer()
    hall.frame()
    assert await read(well, 100) == hall.expected


async def test_a_viewer_whose_send_raises_is_closed_and_the_sweep_goes_on(hall: Hall) -> None:
    ends = [hall.viewer(), hall.viewer(kind=BrokenViewer), hall.viewer(), hall.viewer(kind=BrokenViewer), hall.viewer()]
    with capture_logs() as lines:
        hall.frame()
        for end in ends[::2]:
            assert await read(end, 100) == hall.expected
        assert all([await closed(end) for end in ends[1::2]])
    (line,) = lines  # one for a sweep, and not one for each viewer
    assert (line["log_level"], line["video"], line["reason"]) == ("error", "v", "Fault('this viewer')")
    assert hall.sweeper.statistics().closes == {"failed": 2}
    assert len(hall.sweeper) == len(hall.audience.viewers) == 3


async def test_a_viewer_that_fails_on_its_way_in_is_closed(hall: Hall) -> None:
    with capture_logs() as lines:
        end = hall.viewer(b"head", BrokenViewer)
        assert await closed(end)
    assert [line["reason"] for line in lines] == ["Fault('this viewer')"]
    assert len(hall.sweeper) == 0


async def test_a_viewer_that_fell_off_and_that_nobody_takes_is_closed(hall: Hall) -> None:
    def refuse(viewer: Viewer) -> None:
        raise Fault("nobody takes it")

    first, second = hall.viewer(), hall.viewer()
    hall.audience.on_behind = refuse
    hall.frame()
    hall.sweeper._slice()
    hall.audience.viewers[1].offset = EditionOffset(0)
    hall.log.trim(hall.log.end)
    with capture_logs() as lines:
        hall.frame()
        assert await read(first, 200) == hall.expected
        assert await read(second, 100) == hall.expected[:100]
        assert await closed(second)
    assert [line["reason"] for line in lines] == ["Fault('nobody takes it')"]
    assert len(hall.sweeper) == 1


async def test_a_viewer_that_fails_when_its_socket_has_room_does_not_swallow_the_edges_of_others(hall: Hall) -> None:
    """epoll tells each edge once: who stands behind the failing one in the same poll must still be served."""
    ends = [hall.viewer() for _ in range(5)]
    while hall.sweeper.statistics().stalled < 5:
        hall.frame(1_000)
        await asyncio.sleep(0)
    for viewer in hall.audience.viewers[::2]:
        viewer.__class__ = BrokenViewer
    size = len(hall.expected)
    with capture_logs() as lines:
        for end in ends[1::2]:
            assert await read(end, size) == hall.expected
        for end in ends[::2]:
            got = b""
            while part := await asyncio.get_running_loop().sock_recv(end, 1 << 20):
                got += part
            assert hall.expected.startswith(got), "cut anywhere, and nothing twice"
    assert {line["reason"] for line in lines} == {"Fault('this viewer')"}
    assert hall.sweeper.statistics().closes == {"failed": 3}


async def test_a_viewer_that_fails_when_its_turn_comes_is_closed() -> None:
    hall = Hall(chunk_bytes=1_000, send_buffer_bytes=0)
    end = hall.viewer()
    for _ in range(30):
        hall.frame(300)
    hall.sweeper._slice()  # it has its first chunk now, and waits for its turn
    (viewer,) = hall.audience.viewers
    viewer.__class__ = BrokenViewer
    with capture_logs() as lines:
        assert await read(end, 1_000) == hall.expected[:1_000]
        assert await closed(end)
    assert [line["reason"] for line in lines] == ["Fault('this viewer')"]
    hall.close()


async def test_a_viewer_that_cannot_be_paused_is_closed_and_the_sweep_goes_on() -> None:
    hall = Hall(edition=NoPosition())
    slow, fast = hall.viewer(), hall.viewer()
    with capture_logs() as lines:
        while len(hall.sweeper) == 2:
            hall.frame(777)
            assert await read(fast, 777) == hall.expected[-777:]
    assert {line["reason"] for line in lines} == {"Fault('no position')"}
    got = b""
    while part := await asyncio.get_running_loop().sock_recv(slow, 1 << 20):
        got += part
    assert hall.expected.startswith(got)
    hall.frame()
    assert await read(fast, 100) == hall.expected[-100:]
    hall.close()


async def test_a_viewer_that_epoll_does_not_know_is_closed_all_the_same(hall: Hall) -> None:
    gone, well = hall.viewer(), hall.viewer()
    hall.sweeper._epoll.unregister(hall.audience.viewers[0])
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.close()  # a reset
    with capture_logs() as lines:
        hall.frame()
        assert await read(well, 100) == hall.expected
        await eventually(lambda: len(hall.sweeper) == 1)
    assert [line["event"] for line in lines] == ["closing a viewer failed"]
    assert hall.sweeper.statistics().closes == {"reset": 1}


async def test_an_edition_without_last_words_keeps_nobody(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    def aside(data: bytes) -> bytes:
        raise Fault("no words")

    monkeypatch.setattr(hall.audience.edition, "aside", aside)
    ends = [hall.viewer(), hall.viewer()]
    with capture_logs() as lines:
        hall.sweeper.send_away(hall.audience, hall.audience.viewers[:], "drained", b"bye")
    assert all([await closed(end) for end in ends])
    assert [line["reason"] for line in lines] == ["Fault('no words')"]


async def test_a_viewer_that_fails_at_its_last_words_keeps_nobody(hall: Hall) -> None:
    ends = [hall.viewer(), hall.viewer(kind=BrokenViewer), hall.viewer()]
    with capture_logs():
        hall.sweeper.send_away(hall.audience, hall.audience.viewers[:], "drained", b"bye")
    assert [await read(end, 3) for end in ends[::2]] == [b"bye"] * 2
    assert all([await closed(end) for end in ends])
    assert hall.sweeper.statistics().closes == {"drained": 2, "failed": 1}


async def test_a_detached_viewer_that_fails_is_closed(hall: Hall) -> None:
    end = hall.viewer(kind=BrokenViewer)
    (viewer,) = hall.audience.viewers
    hall.sweeper.detach(viewer)
    with pytest.raises(Fault):
        hall.sweeper.close_detached(viewer, "too_slow", b"bye")
    assert await closed(end)
