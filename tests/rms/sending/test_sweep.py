"""rms/sending/sweep.py, with real sockets: full ones, dead ones, very many writes, and what is left behind.

At the end rms/sending/audience.py and rms/sending/sweep_counts.py."""

import asyncio
import re
import socket

from hypothesis import given
from hypothesis import strategies as st

from rms.feed.byte_log import EditionOffset
from rms.feed.editions import Form
from rms.sending.audience import Audience, Viewer
from rms.sending.sweep_counts import SLICE_MS_BOUNDS, SLICE_SENDS_BOUNDS, SweepCounts
from tests.rms.sending.conftest import Bytes, Hall, read
from tests.waiting import eventually


async def test_a_sweep_passes_by_who_waits_for_the_rest_of_a_frame() -> None:
    """A chunk ends within a frame. The sweep that comes next must not send what stands behind the rest before it."""
    hall = Hall(chunk_bytes=1_000, send_buffer_bytes=0)
    end = hall.viewer()
    for _ in range(30):
        hall.frame(300)
    hall.sweeper._slice()  # the viewer has its first chunk now, and waits for its turn
    hall.frame(300)
    hall.sweeper._slice()
    assert await read(end, len(hall.expected)) == hall.expected
    hall.close()


async def test_who_falls_off_while_it_waits_is_known_to_have_what_it_has() -> None:
    hall = Hall(chunk_bytes=1_000, send_buffer_bytes=0)
    hall.viewer()
    for _ in range(30):
        hall.frame(300)
    hall.sweeper._slice()
    hall.log.trim(hall.log.frame_end(EditionOffset(5_000)))
    await eventually(lambda: len(hall.behind) == 1)
    (viewer,) = hall.behind
    assert viewer.stood_at == b"1200"  # the frame that the chunk's end cut is whole with the head
    viewer.close()
    hall.close()


async def test_of_who_falls_off_between_two_sweeps_nobody_says_what_it_has(hall: Hall) -> None:
    hall.viewer()
    hall.frame()
    hall.sweeper._slice()
    (viewer,) = hall.audience.viewers
    viewer.stood_at = b"0"  # when its socket was full, long ago
    for _ in range(3):
        hall.frame()
    hall.log.trim(hall.log.frame_end(EditionOffset(150)))
    hall.sweeper._slice()
    assert hall.behind == [viewer]
    assert viewer.stood_at is None
    viewer.close()


async def test_everybody_gets_the_same_bytes(hall: Hall) -> None:
    ends = [hall.viewer(b"hello") for _ in range(700)]  # more than two slices
    for _ in range(5):
        hall.frame()
    for end in ends:
        assert await read(end, 505) == b"hello" + hall.expected
    assert hall.sweeper.statistics().sends <= 700 * 3, "what has come together goes together"


async def test_a_full_socket_goes_on_where_it_was_cut(hall: Hall) -> None:
    slow, fast = hall.viewer(), hall.viewer()
    while not hall.sweeper.statistics().stalled:
        hall.frame(777)
        await read(fast, 777)
    for _ in range(50):
        hall.frame(777)
        await read(fast, 777)
    assert await read(slow, len(hall.expected)) == hall.expected
    await eventually(lambda: hall.sweeper.statistics().stalled == 0)
    hall.frame()
    assert await read(slow, 100) == hall.expected[-100:]


async def test_a_viewer_that_fell_off_the_log_is_handed_back(hall: Hall) -> None:
    slow = hall.viewer()
    while not hall.sweeper.statistics().stalled:
        hall.frame(1_000)
        await asyncio.sleep(0)
    hall.frame(1_000)
    hall.log.trim(hall.log.end)
    received = b""
    while not hall.behind:
        received += await read(slow, 1)
        await asyncio.sleep(0)
    (viewer,) = hall.behind
    assert viewer.stood_at is not None
    # What it stood at is what it will have once its head is out: a whole number of frames.
    stood_at = int(viewer.stood_at)
    assert stood_at % 1_000 == 0
    viewer.offset = hall.log.end
    hall.sweeper.add(viewer)
    hall.frame()
    got = received + await read(slow, stood_at - len(received) + 100)
    assert got == hall.expected[:stood_at] + hall.expected[-100:]


async def test_those_who_leave_are_let_go(hall: Hall) -> None:
    ends = [hall.viewer() for _ in range(20)]
    for end in ends[::2]:
        end.close()
    ends[1].shutdown(socket.SHUT_WR)  # half-closed: nobody reads an event stream like that
    await eventually(lambda: len(hall.sweeper) == 9)
    hall.frame()
    for end in ends[3::2]:
        assert await read(end, 100) == hall.expected
    assert hall.sweeper.statistics().closes == {"left": 11}


async def test_a_reset_during_a_sweep_harms_nobody(hall: Hall) -> None:
    ends = [hall.viewer() for _ in range(30)]
    for end in ends[::3]:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        end.close()
    hall.frame()
    hall.frame()
    for index, end in enumerate(ends):
        if index % 3:
            assert await read(end, 200) == hall.expected
    await eventually(lambda: len(hall.sweeper) == 20)


async def test_who_reads_nothing_for_too_long_is_closed(hall: Hall) -> None:
    hall.viewer()
    while not hall.sweeper.statistics().stalled:
        hall.frame(1_000)
        await asyncio.sleep(0)
    now_ms = asyncio.get_running_loop().time() * 1_000
    hall.sweeper.close_stalled(int(now_ms) + 59_000)
    assert len(hall.sweeper) == 1
    hall.sweeper.close_stalled(int(now_ms) + 61_000)
    assert len(hall.sweeper) == 0
    assert hall.sweeper.statistics().closes == {"stalled": 1}


async def test_heartbeats_go_to_those_who_have_read_everything(hall: Hall) -> None:
    end = hall.viewer()
    hall.frame()
    assert await read(end, 100) == hall.expected
    hall.sweeper.send_aside(hall.audience, b":\n")
    assert await read(end, 2) == b":\n"
    hall.frame()
    assert await read(end, 100) == hall.expected[-100:]


async def test_what_is_told_comes_along_with_the_comments(hall: Hall) -> None:
    end = hall.viewer()
    hall.frame()
    hall.sweeper.send_aside(hall.audience, b"told\n")
    assert await read(end, 105) == hall.expected + b"told\n"
    hall.frame()
    assert await read(end, 100) == hall.expected[-100:]


async def test_what_is_due_is_not_lost_when_more_is_told(hall: Hall) -> None:
    end = hall.viewer()
    for words in (b"one\n", b"two\n"):
        hall.sweeper.send_aside(hall.audience, words)
    assert await read(end, 8) == b"one\ntwo\n"


async def test_nothing_is_due_where_nobody_watches(hall: Hall) -> None:
    for _ in range(3):
        hall.sweeper.send_aside(hall.audience, b"told\n")
    assert hall.audience.due == b""


async def test_a_full_socket_gets_the_log_whole_whatever_is_told(hall: Hall) -> None:
    """A viewer may miss what is told aside, never a byte of the log, and never gets half a line."""
    slow = hall.viewer()
    for number in range(3_000):
        hall.frame(37)
        if number % 3 == 0:
            hall.sweeper.send_aside(hall.audience, b":%05d\n" % number)
        if number % 50 == 0:
            await asyncio.sleep(0)
    got, last = b"", hall.expected[-37:]
    while last not in got[-1_000:]:
        async with asyncio.timeout(10):
            got += await asyncio.get_running_loop().sock_recv(slow, 50)
        await asyncio.sleep(0)
    assert re.sub(rb":\d{5}\n", b"", got) == hall.expected


async def test_who_is_sent_away_before_its_turn_gets_all_of_the_log_first(hall: Hall) -> None:
    end = hall.viewer()
    hall.frame()
    hall.sweeper.send_away(hall.audience, hall.audience.viewers[:], "aged", b"bye")
    assert await read(end, 103) == hall.expected + b"bye"


async def test_last_words(hall: Hall) -> None:
    end = hall.viewer()
    hall.sweeper.send_away(hall.audience, hall.audience.viewers[:], "shutdown", b"bye")
    assert await read(end, 3) == b"bye"
    assert await asyncio.get_running_loop().sock_recv(end, 1) == b""


async def test_the_loop_breathes_when_a_slices_time_is_over() -> None:
    hall = Hall(slice_ms=0.001)  # every look at the clock ends it
    try:
        for _ in range(900):
            hall.viewer()
        slices = hall.sweeper.statistics().slices
        hall.frame()
        await eventually(lambda: hall.audience.swept_to == hall.log.end and hall.audience.cursor is None)
        assert hall.sweeper.statistics().slices - slices == 15, "64 viewers in each, and something else in between"
    finally:
        hall.close()


async def test_a_small_audience_waits_for_a_turn_of_a_large_one_and_not_for_its_round() -> None:
    hall = Hall(slice_ms=0.001)  # one turn in each slice
    try:
        small, hot = Audience("small", Form(), Bytes(), hall.behind.append, 1), hall.audience
        hall.audience = small
        end = hall.viewer()
        hall.audience = hot
        for _ in range(300):
            hall.viewer()
        hall.frame()
        hall.sweeper._slice()
        assert hot.cursor == 300 - 1 - 64, "its round has begun"
        small.log.append(b"small\n\n")
        hall.sweeper.publish(small)
        hall.sweeper._slice()  # the hot one's turn was before
        hall.sweeper._slice()
        assert hot.cursor is not None, "its round goes on"
        assert end.recv(99) == b"small\n\n"
        for _ in range(4):
            hall.frame()
            hall.sweeper._slice()
        assert {viewer.offset for viewer in hot.viewers[200:]} != {hot.log.end}, "what comes meanwhile goes with a turn"
        for client in hall.ends[1:]:
            assert await read(client, 500) == hall.expected
    finally:
        hall.close()


async def test_viewers_may_leave_while_a_round_goes_on() -> None:
    hall = Hall(slice_ms=0.001)  # one turn in each slice
    try:
        for _ in range(300):
            hall.viewer()
        hall.frame()
        hall.sweeper._slice()
        assert hall.audience.cursor == 300 - 1 - 64
        for viewer in hall.audience.viewers[5:]:  # more leave than its next turn would begin at
            hall.sweeper._close(viewer, "left")
        hall.sweeper._slice()
        assert not hall.audience.queued
        assert len(hall.sweeper) == 5
        for end in hall.ends[:5]:
            assert await read(end, 100) == hall.expected
    finally:
        hall.close()


async def test_every_audience_has_its_turn(hall: Hall) -> None:
    audiences, ends = [], []
    for number in range(20):
        hall.audience = Audience(f"v{number}", Form(), Bytes(), hall.behind.append, 1)
        audiences.append(hall.audience)
        ends.append([hall.viewer() for _ in range(1 + number % 3)])
    for audience in audiences:
        audience.log.append(b"hello\n\n")
        hall.sweeper.publish(audience)
        hall.sweeper.publish(audience)
    hall.sweeper._slice()
    for clients in ends:
        assert [await read(client, 7) for client in clients] == [b"hello\n\n"] * len(clients)
    assert hall.sweeper.changed == {f"v{number}" for number in range(20)}
    assert not any(audience.queued for audience in audiences)


def test_a_viewer_takes_the_socket_over() -> None:
    audience = Audience("v", Form(), Bytes(), lambda viewer: None, 1)
    mine, theirs = socket.socketpair()
    fd = mine.detach()
    viewer = Viewer(fd, audience, b"", EditionOffset(0))
    with theirs:
        assert viewer.fileno() == fd
        assert viewer.gettimeout() == 0, "it never waits"
        assert viewer.send(b"hello") == 5
        assert theirs.recv(9) == b"hello"
        viewer.close()
        assert theirs.recv(9) == b"", "it was the only one who held it"
    assert viewer.fileno() == -1


def test_a_viewer_is_small() -> None:
    assert Viewer.__dictoffset__ == 0, "slots all the way up"
    assert Viewer.__basicsize__ <= 128, "19,000 of them"


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 2_000))))
def test_every_slice_stands_in_one_bucket_below_its_bound(slices: list[tuple[float, int]]) -> None:
    counts = SweepCounts()
    for held_ms, sends in slices:
        counts.slice(held_ms, sends)
    frozen = counts.frozen(viewers=0, stalled=0, lag_bytes_max=0)
    assert frozen.slices == len(slices) == sum(frozen.slice_sends)
    assert frozen.slice_sends_sum == sum(sends for _, sends in slices)
    assert frozen.slice_ms_longest == max((held_ms for held_ms, _ in slices), default=0)
    for place, bound in enumerate(SLICE_MS_BOUNDS):
        assert sum(frozen.slice_ms[: place + 1]) == sum(held_ms <= bound for held_ms, _ in slices)
    for place, bound in enumerate(SLICE_SENDS_BOUNDS):
        assert sum(frozen.slice_sends[: place + 1]) == sum(sends <= bound for _, sends in slices)


def test_what_was_frozen_stays() -> None:
    counts = SweepCounts()
    counts.sent(10)
    counts.closes["left"] += 1
    frozen = counts.frozen(viewers=1, stalled=0, lag_bytes_max=0)
    counts.sent(5)
    counts.closes["left"] += 1
    assert (frozen.sends, frozen.bytes, frozen.closes) == (1, 10, {"left": 1})


async def test_where_a_slow_viewer_stood_is_not_forgotten_while_its_head_goes_out(hall: Hall) -> None:
    """What it waited for has left the log meanwhile, and its socket takes the head in many small parts."""
    slow = hall.viewer()
    while not hall.sweeper.statistics().stalled:
        hall.frame(200_000)
        await asyncio.sleep(0)
    (viewer,) = hall.audience.viewers
    assert len(viewer.head) > 100_000
    stood_at = viewer.stood_at
    hall.frame()
    hall.log.trim(hall.log.end)
    received = b""
    while not hall.behind:
        received += await read(slow, 1_000)
        await asyncio.sleep(0)
    assert viewer.stood_at == stood_at == b"%d" % viewer.offset
    viewer.close()
