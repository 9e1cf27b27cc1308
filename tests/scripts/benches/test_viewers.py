"""The viewers and their C program must find every fault: they judge all the servers."""

import asyncio
import os
import signal
import time
import zlib
from collections.abc import Sequence

import pytest

from scripts.benches.config import FanoutSettings
from scripts.benches.running import BenchFailed
from scripts.benches.viewers import Report, Viewers, an_audience, merge
from tests.scripts.benches.fake_server import HEAD, FakeServer, event
from tests.serving import serving
from tests.waiting import eventually

VIEWERS, COMMENTS = 3, 5
QUICK = FanoutSettings(connect_timeout_s=20)


async def watch(
    pieces: Sequence[bytes], *, comments: int = COMMENTS, complete: bool = True, **options: object
) -> Report:
    """What VIEWERS report when the server sends this; `complete`: whether they may wait until they have it all."""
    head = options.get("head", HEAD + b"\r\n")
    assert isinstance(head, bytes)
    ends, compressed = bool(options.get("ends")), bool(options.get("gzip"))
    async with (
        FakeServer(pieces, head=head, ends=ends) as server,
        Viewers(0, "/events?x=1", COMMENTS, gzip=compressed, settings=QUICK) as viewers,
    ):
        answer = await viewers.connect(VIEWERS, server.port)
        assert (answer.connected, answer.refused) == (VIEWERS, 0)
        # What a wrong server never sends can't be waited for: the last whole event is what tells that all has come.
        assert await viewers.wait_for(comments, 20 if complete else 0.3) is complete
        assert all(request.startswith(b"GET /events?x=1 HTTP/1.1\r\n") for request in server.requests)
        return await viewers.report(COMMENTS)


async def test_a_right_server_has_no_faults() -> None:
    report = await watch([event(number) for number in range(COMMENTS)])
    assert (report.viewers, report.deliveries) == (VIEWERS, VIEWERS * COMMENTS)
    assert (report.lost, report.doubled, report.disordered, report.ended) == (0, 0, 0, 0)


async def test_a_loss_is_found() -> None:
    report = await watch([event(0), event(1), event(3), event(4)], comments=4)
    assert report.lost == VIEWERS
    assert (report.doubled, report.disordered) == (0, 0)


async def test_a_double_is_found() -> None:
    report = await watch([event(0), event(1), event(1), event(2), event(3), event(4)])
    assert (report.lost, report.doubled, report.disordered) == (0, VIEWERS, 0)


async def test_a_disorder_is_found() -> None:
    report = await watch([event(0), event(2), event(1), event(3), event(4)])
    assert (report.lost, report.doubled, report.disordered) == (0, 0, VIEWERS)


async def test_a_double_does_not_make_up_for_a_loss() -> None:
    report = await watch([event(0), event(1), event(1), event(3), event(4)], comments=4)
    assert (report.lost, report.doubled) == (VIEWERS, VIEWERS)


async def test_who_was_cut_off_has_lost_the_rest() -> None:
    report = await watch([event(0), event(1)], comments=0, ends=True)
    assert report.deliveries <= 2 * VIEWERS
    async with FakeServer([event(0)], ends=True) as server, Viewers(0, "/", COMMENTS, settings=QUICK) as viewers:
        await viewers.connect(VIEWERS, server.port)
        await viewers.wait_for(COMMENTS, 20)  # nobody is left to wait for
        report = await viewers.report(COMMENTS)
    assert (report.ended, report.lost) == (VIEWERS, VIEWERS * (COMMENTS - 1))


@pytest.mark.parametrize("piece_bytes", [1, 7, 100])
async def test_events_are_whole_wherever_they_are_cut(piece_bytes: int) -> None:
    stream = b":\nretry: 99\n" + b":\n".join(event(number) for number in range(COMMENTS)) + b":\n\n"
    report = await watch([stream[i : i + piece_bytes] for i in range(0, len(stream), piece_bytes)])
    assert (report.deliveries, report.lost, report.doubled) == (VIEWERS * COMMENTS, 0, 0)


async def test_the_head_may_come_in_pieces() -> None:
    head = HEAD + b"X: y\r\n\r\n"
    pieces = [bytes([byte]) for byte in head[1:]]
    report = await watch([*pieces, *(event(number) for number in range(COMMENTS))], head=head[:1])
    assert (report.deliveries, report.lost) == (VIEWERS * COMMENTS, 0)


@pytest.mark.parametrize("chunk_bytes", [1, 10, 1000])
@pytest.mark.parametrize("piece_bytes", [3, 1000])
async def test_chunks_are_no_part_of_the_events(chunk_bytes: int, piece_bytes: int) -> None:
    stream = b"".join(event(number) for number in range(COMMENTS))
    chunks = [stream[i : i + chunk_bytes] for i in range(0, len(stream), chunk_bytes)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    pieces = [wire[i : i + piece_bytes] for i in range(0, len(wire), piece_bytes)]
    report = await watch(pieces, head=HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    assert (report.deliveries, report.lost, report.doubled) == (VIEWERS * COMMENTS, 0, 0)


async def test_a_compressed_stream_is_read_while_it_flows() -> None:
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(event(number)) + packer.flush(zlib.Z_FULL_FLUSH) for number in range(COMMENTS)]
    report = await watch(pieces, head=HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip=True)
    assert (report.deliveries, report.lost) == (VIEWERS * COMMENTS, 0)


async def test_named_events_and_others_comments_are_told_apart() -> None:
    others = [
        b'id: 1\ndata: {"message":"c#oal @home"}\n\n',
        b"event: gap\ndata: {}\n\n",
        b"event: viewers\ndata: {}\n\n",
    ]
    report = await watch([*others, *(event(number) for number in range(COMMENTS))])
    assert report.unmarked == VIEWERS
    assert report.deliveries == VIEWERS * COMMENTS


async def test_a_refusal_is_no_viewer() -> None:
    async with (
        FakeServer([], head=b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as server,
        Viewers(0, "/", COMMENTS, settings=QUICK) as viewers,
    ):
        answer = await viewers.connect(VIEWERS, server.port)
        assert (answer.connected, answer.refused) == (0, VIEWERS)
        assert answer.reason == "HTTP/1.1 503 Service Unavailable"
        assert (await viewers.report(COMMENTS)).viewers == 0


async def test_nobody_listens() -> None:
    async with FakeServer([]) as server:
        port = server.port
    async with Viewers(0, "/", COMMENTS, settings=QUICK) as viewers:
        answer = await viewers.connect(VIEWERS, port)
    assert (answer.connected, answer.refused, answer.reason) == (0, VIEWERS, "Connection refused")


async def test_idle_viewers_count_for_nothing() -> None:
    async with (
        FakeServer([event(number) for number in range(COMMENTS)]) as server,
        Viewers(0, "/", COMMENTS, settings=QUICK) as viewers,
    ):
        await viewers.idle(2, server.port)
        await viewers.connect(1, server.port)
        assert await viewers.wait_for(COMMENTS, 20)
        report = await viewers.report(COMMENTS)
    assert (report.viewers, report.idle, report.deliveries, report.lost) == (1, 2, COMMENTS, 0)


async def test_latency_counts_from_when_a_comment_was_due() -> None:
    due_ns = time.monotonic_ns() - 5_000_000_000
    report = await watch([event(number, due_ns) for number in range(COMMENTS)])
    assert report.percentile_ms(0.5) >= 5_000
    assert report.percentile_ms(0.5) <= report.percentile_ms(0.99)


async def test_only_what_comes_until_the_deadline_is_in_time() -> None:
    for deadline_ns, in_time in ((time.monotonic_ns() + 10**12, COMMENTS), (time.monotonic_ns() - 10**9, 0)):
        async with (
            FakeServer([event(number) for number in range(COMMENTS)]) as server,
            Viewers(0, "/", COMMENTS, settings=QUICK) as viewers,
        ):
            await viewers.deadline(deadline_ns)
            await viewers.connect(1, server.port)
            assert await viewers.wait_for(COMMENTS, 20)
            report = await viewers.report(COMMENTS)
            assert (report.deliveries, report.in_time) == (COMMENTS, in_time)


async def test_a_process_that_has_ended_is_told() -> None:
    async with Viewers(0, "/", COMMENTS, settings=QUICK) as viewers:
        os.kill(viewers.pid, signal.SIGKILL)
        with pytest.raises(BenchFailed):
            await viewers.report(0)


async def test_a_redirect_to_a_path_is_followed() -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        asked.append(request.split()[1])
        moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /n/rms-1%b\r\n\r\n" % request.split()[1]
        writer.write(HEAD + b"\r\n" + event(0) if request.startswith(b"GET /n/") else moved)
        await reader.read()

    async with serving(serve) as port:
        async with Viewers(0, "/comments/v?backfill=0", COMMENTS, settings=QUICK) as viewers:
            answer = await viewers.connect(1, port)
            assert (answer.connected, answer.refused) == (1, 0)
            assert await viewers.wait_for(1, 20)
        assert asked == [b"/comments/v?backfill=0", b"/n/rms-1/comments/v?backfill=0"]


def report(last_ns: int, latency_us: list[tuple[int, int]]) -> Report:
    count = sum(deliveries for _, deliveries in latency_us)
    return Report(1, 0, 0, count, count, 1, 0, 0, 0, 0, 10, last_ns, latency_us)


def test_reports_of_several_processes_add_up() -> None:
    merged = merge([report(5, [(10, 1), (20, 1)]), report(7, [(20, 2), (900, 1)])])
    assert merged.latency_us == [(10, 1), (20, 3), (900, 1)]
    assert (merged.viewers, merged.deliveries, merged.lost, merged.bytes, merged.last_ns) == (2, 5, 2, 20, 7)
    assert (merged.percentile_ms(0.5), merged.percentile_ms(1.0)) == (0.02, 0.9)


def test_a_later_report_can_be_read_by_itself() -> None:
    found = report(7, [(10, 1), (20, 4), (900, 1)]).since(report(5, [(10, 1), (20, 1)]))
    assert found.latency_us == [(20, 3), (900, 1)]
    assert (found.deliveries, found.bytes, found.lost, found.last_ns) == (4, 0, 1, 7)


def test_nothing_has_no_latency() -> None:
    assert merge([report(0, [])]).percentile_ms(0.99) == 0


SMALL = FanoutSettings(viewers_per_process_max=4, connect_timeout_s=20)


async def test_many_viewers_come_in_several_processes() -> None:
    async with FakeServer([event(0), event(1)]) as server, an_audience("/", 11, 2, settings=SMALL) as audience:
        assert len(audience.processes) == 3
        await audience.connect(9, server.port, idle=2)
        assert await audience.wait_for(2, 20)
        found = await audience.report(2)
        assert (found.viewers, found.idle, found.deliveries, found.lost) == (9, 2, 18, 0)
        assert len(server.requests) == 11


async def test_a_server_that_refuses_is_no_server_to_measure() -> None:
    async with (
        FakeServer([], head=b"HTTP/1.1 503 Full\r\n\r\n") as server,
        an_audience("/", 3, 1, settings=SMALL) as audience,
    ):
        with pytest.raises(BenchFailed, match="3 of 3 viewers did not get a stream"):
            await audience.connect(3, server.port)


async def test_viewers_of_many_videos_get_their_own_comments() -> None:
    async with (
        FakeServer([event(number) for number in (0, 2, 4)]) as server,
        Viewers(0, "/videos/", COMMENTS, videos=2, settings=QUICK) as viewers,
    ):
        await viewers.connect(4, server.port)
        assert not await viewers.wait_for(COMMENTS, 0.3)
        found = await viewers.report(COMMENTS)
    assert (
        sorted(request.split()[1] for request in server.requests) == [b"/videos/0", b"/videos/0"] + [b"/videos/1"] * 2
    )
    assert (found.deliveries, found.misplaced, found.lost, found.doubled) == (6, 6, 4, 0)


async def test_who_was_cut_or_refused_comes_back_the_way_it_came_with_its_position() -> None:
    again = b"retry: 10\n" + event(0).replace(b"id: 1", b"id: abc.1.2")
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%d/videos/0\r\n\r\n"
    async with (
        FakeServer([again], ends=True) as node,
        FakeServer([], head=moved % node.port) as front,
        Viewers(0, "/videos/", COMMENTS, videos=1, settings=QUICK) as viewers,
    ):
        answer = await viewers.connect(1, front.port)
        assert (answer.connected, answer.refused) == (1, 0)
        await eventually(lambda: len(node.requests) > 2)
        assert b"Last-Event-ID: abc.1.2\r\n" in front.requests[1]
        assert b"Last-Event-ID: abc.1.2\r\n" in node.requests[1]
        found = await viewers.report(1)
    assert (found.viewers, found.lost) == (1, 0)
    assert (found.ended > 0, found.doubled > 0) == (True, True)
