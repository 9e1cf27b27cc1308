"""People who mean harm, all at once, against the real processes: slow heads, slow bodies, slow readers, peers that
vanish, idle connections, many videos, floods. Nobody else notices, and nothing of it stays behind.
"""

import asyncio
import contextlib
import itertools
import os
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from proto.settings import split_address
from scripts.processes import Process
from tests.end_to_end.viewers import Viewer
from tests.system import System
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

EACH = 20
"""connections of each kind of attack on each service"""
VIDEOS = 300
LOG_LINES_MAX = 20
"""in one service's log, however much is sent"""
FILES_MORE = 8
"""open files may differ by so many: connections of the services among themselves"""
MEMORY_MORE_BYTES = 24 << 20
"""between two rounds of the same attacks: what is kept for one is used again for the next"""
TCP_REPAIR = 19
"""of tcp(7): a socket that is closed in this mode sends no FIN and no RST, as a phone that has lost its network"""

SERVICES = ("comment-service", "rms", "door")
SOON = ("--head-timeout-s", "3", "--keep-alive-s", "1", "--send-timeout-s", "2")
VIEWERS = ("--heartbeat-ms", "500", "--feed-linger-ms", "200", "--poll-rest-ms", "200", "--stall-ms-max", "2000")
FLAGS = {
    "comment-service": (*SOON, "--body-timeout-ms", "2000"),
    "rms": (*SOON, *VIEWERS),
    "door": SOON,
    "dispatcher": (),
}

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n"
STREAM = b"Accept: text/event-stream\r\n"
POST = b"POST /comment/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")
numbers = itertools.count()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system() -> AsyncIterator[System]:
    async with System(dispatchers=1, rms=1, door=True, more_flags=FLAGS.__getitem__) as system:
        yield system


def address(system: System, service: str) -> str:
    return system.plan[service][0].address


AMBIGUOUS = {
    "a length and a coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a length with a plus": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a blank before a colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "an old one with a coding": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a line feed": POST + b"X: y\nContent-Length: 5\r\n\r\nabcde",
    "a carriage return": POST + b"X: y\rContent-Length: 5\r\n\r\nabcde",
    "a zero byte": POST + b"X: \0\r\nContent-Length: 5\r\n\r\nabcde",
    "two hosts": POST.replace(b"Host: x", b"Host: x\r\nHost: y") + b"Content-Length: 0\r\n\r\n",
    "no host": POST.replace(b"Host: x\r\n", b"") + b"Content-Length: 0\r\n\r\n",
    "another protocol": b"GET / RTSP/1.0\r\nHost: x\r\n\r\n",
}
NEXT = GET % (b"/smuggled", b"")


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_may_be_read_in_two_ways_is_refused_and_ends_the_connection(system: System, name: str) -> None:
    for service in SERVICES:
        received = await answers(address(system, service), AMBIGUOUS[name] + NEXT)
        assert received.startswith(b"HTTP/1.1 400 "), (service, received)
        assert len(STATUS.findall(received)) == 1, (service, received)


async def answers(to: str, sent: bytes) -> bytes:
    """All that comes until the other side closes"""
    reader, writer = await asyncio.open_connection(*split_address(to))
    received = b""
    try:
        writer.write(sent)
        async with asyncio.timeout(20):
            with contextlib.suppress(OSError):
                while data := await reader.read(65_536):
                    received += data
    finally:
        writer.close()
    return received


# The attacks. Each returns what it was answered, when the service has ended the connection, or when it has gone itself.


async def slow_head(to: str) -> bytes:
    return await drop_by_drop(to, b"GET /comments/demo HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n")


async def slow_body(to: str) -> bytes:
    return await drop_by_drop(to, POST + b"Content-Length: 4000\r\n\r\n", b"x")


async def body_that_never_comes(to: str) -> bytes:
    return await answers(to, POST + b"Expect: 100-continue\r\nContent-Length: 40\r\n\r\n")


async def idle(to: str) -> bytes:
    return await answers(to, b"")


async def many_headers(to: str) -> bytes:
    return await answers(to, GET % (b"/comments/demo", b"X: y\r\n" * 5_000))


async def large_head(to: str) -> bytes:
    return await answers(to, GET % (b"/comments/demo", b"X: " + b"y" * 200_000 + b"\r\n"))


async def endless_chunks(to: str) -> bytes:
    return await drop_by_drop(to, POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 1_000 + b"\r\na\r\n")


async def pipelined(to: str) -> bytes:
    last = GET % (b"/health/live", b"Connection: close\r\n")
    return await answers(to, GET % (b"/health/live", b"") * 200 + last)


async def heads_only(to: str) -> bytes:
    head = b"HEAD /comments/demo HTTP/1.1\r\nHost: x\r\n" + STREAM
    return await answers(to, (head + b"\r\n") * 50 + head + b"Connection: close\r\n\r\n")


async def half_closed(to: str) -> bytes:
    reader, writer = await asyncio.open_connection(*split_address(to))
    writer.write(GET % (b"/comments/half-%d?wait=1" % next(numbers), b"Accept: application/json\r\n"))
    try:
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except OSError:  # who waits for something, and ends his side, has gone
        return b""
    finally:
        writer.close()


async def another_video(to: str) -> bytes:
    return await seen_and_gone(to, GET % (b"/comments/video-%d" % next(numbers), STREAM), how=cut)


async def stream_that_vanishes(to: str) -> bytes:
    return await seen_and_gone(to, GET % (b"/comments/demo", STREAM), how=vanish)


async def poll_that_vanishes(to: str) -> bytes:
    _, writer = await asyncio.open_connection(*split_address(to))
    writer.write(GET % (b"/comments/silent?wait=2", b"Accept: application/json\r\n"))
    vanish(writer)
    return b""


async def drop_by_drop(to: str, begin: bytes, drop: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*split_address(to))
    received = b""
    try:
        writer.write(begin)
        async with asyncio.timeout(30):
            with contextlib.suppress(OSError):
                while True:
                    try:
                        async with asyncio.timeout(0.2):
                            data = await reader.read(65_536)
                    except TimeoutError:
                        writer.write(drop)
                    else:
                        received += data
                        if not data:
                            return received
    finally:
        writer.close()
    return received


async def seen_and_gone(to: str, sent: bytes, how: Callable[[asyncio.StreamWriter], None]) -> bytes:
    reader, writer = await asyncio.open_connection(*split_address(to))
    writer.write(sent)
    try:
        async with asyncio.timeout(20):
            return await reader.read(100)
    except OSError:
        return b""
    finally:
        how(writer)


def cut(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def vanish(writer: asyncio.StreamWriter) -> None:
    """Without a word. Unlike a phone, this machine answers the next packet with a reset."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    writer.transport.abort()


ATTACKS: tuple[Callable[[str], Awaitable[bytes]], ...] = (
    *(slow_head, slow_body, body_that_never_comes, idle, many_headers, large_head, endless_chunks, pipelined),
    *(heads_only, half_closed, stream_that_vanishes, poll_that_vanishes),
)


async def attack_all(system: System) -> Counter[str]:
    """Status lines and the attacks that got them, each service's by number"""
    found: Counter[str] = Counter()

    async def one(attack: Callable[[str], Awaitable[bytes]], service: str) -> None:
        received = await attack(address(system, service))
        for begin in STATUS.finditer(received):
            status, rest = begin[1].decode(), received[begin.end() :].lower()
            if status == "503":  # whether all get their turn depends on how busy the machine is
                assert b"retry-after" in rest, (attack, service, received)
            else:
                assert status < "500", (attack, service, received)
                found[f"{service} {attack.__name__} {status}"] += 1

    async def videos() -> None:
        for _ in range(VIDEOS // 50):
            await asyncio.gather(*(one(another_video, "rms") for _ in range(50)))

    await asyncio.gather(
        videos(), *(one(attack, service) for attack in ATTACKS for service in SERVICES for _ in range(EACH))
    )
    return found


class State(NamedTuple):
    files: dict[str, int]
    bytes: dict[str, int]


def processes(system: System) -> dict[str, Process]:
    return {service: system.process(service) for service in SERVICES}


def files(process: Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def resident_bytes(process: Process) -> int:
    with open(f"/proc/{process.pid}/statm") as numbers_of_pages:
        return int(numbers_of_pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def of_node(system: System, name: str) -> float:
    async with aiohttp.request("GET", f"http://{system.plan['rms'][0].operators}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        return next(family.samples[0].value for family in families if family.name == name)


async def settled(system: System, files_max: dict[str, int] | None = None) -> State:
    """Once seats, rooms and, if it is known how many, files are back to where they were: one healthy viewer is left."""

    async def back() -> bool:
        counts = [await of_node(system, "rms_viewers"), await of_node(system, "rms_videos")]
        open_files = {service: files(process) for service, process in processes(system).items()}
        return counts == [1, 1] and (
            files_max is None or all(open_files[each] <= files_max[each] for each in open_files)
        )

    await eventually(back, timeout_s=30)
    return State(
        {service: files(process) for service, process in processes(system).items()},
        {service: resident_bytes(process) for service, process in processes(system).items()},
    )


async def test_attacks_leave_nothing_behind_and_nobody_else_notices(system: System) -> None:
    viewer = Viewer(f"{system.base_url}/comments/healthy")
    watching = asyncio.create_task(viewer.run())
    said: list[str] = []
    over = asyncio.Event()

    async def author() -> None:
        connector = aiohttp.TCPConnector(force_close=True)  # one that is kept may end just when it is to be used
        async with aiohttp.ClientSession(system.base_url, connector=connector) as http:
            while not over.is_set():
                body = {"liveVideoId": "healthy", "message": f"comment {len(said)}"}
                async with http.post("/comment/create", json=body) as answer:
                    assert answer.status == 200, await answer.text()
                    said.append((await answer.json())["id"])
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0.1)

    await eventually(lambda: viewer.is_in)
    before = await settled(system)
    log_lines = {service: len(system.logs[part.name]) for service in SERVICES for part in system.plan[service]}
    writing = asyncio.create_task(author())
    first = await attack_all(system)
    once = await settled(system, {service: count + FILES_MORE for service, count in before.files.items()})
    second = await attack_all(system)
    twice = await settled(system, {service: count + FILES_MORE for service, count in before.files.items()})
    over.set()
    await writing
    await eventually(lambda: set(said) <= set(viewer.times))
    assert all(viewer.times[each] == 1 for each in said)
    assert not viewer.gaps
    assert len(viewer.connections) == 1, "the healthy viewer was cut"
    watching.cancel()
    assert first.keys() == second.keys(), "not the same answers to the same attacks"
    for service in SERVICES:
        assert twice.bytes[service] - once.bytes[service] < MEMORY_MORE_BYTES, (service, once, twice)
        for part in system.plan[service]:
            lines = system.logs[part.name][log_lines[service] :]
            assert len(lines) <= LOG_LINES_MAX, lines[-LOG_LINES_MAX:]
