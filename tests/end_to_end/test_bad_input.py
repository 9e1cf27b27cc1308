"""Sends every kind of wrong request to the running system: each gets its 4xx and a reason, no process dies, and the
logs stay short, however often it is done."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from proto.settings import split_address
from scripts.processes import Process
from tests.system import System

CREATE = b"POST /comment/create HTTP/1.1\r\nHost: x\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture
async def system() -> AsyncIterator[System]:
    async with System(dispatchers=1, rms=1) as system:
        yield system
        assert all(process.returncodes == [] for process in processes(system)), "a process died"


def processes(system: System) -> list[Process]:
    return [system.process(part.role, part.number) for parts in system.plan.parts for part in parts]


def addresses(system: System) -> list[str]:
    return [system.plan["comment-service"][0].address, system.plan["rms"][0].address]


def log_lines(system: System) -> int:
    return sum(map(len, system.logs.values()))


async def send(address: str, request: bytes, *, half_close: bool = False) -> bytes:
    """Sends the bytes over a new socket, and returns what the other side sends until it closes."""
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        writer.write(request)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read(65536)
    except OSError:  # it has closed the connection, at whatever point
        return b""
    finally:
        writer.close()


async def hang_up_in_the_middle(address: str, request: bytes) -> None:
    _, writer = await asyncio.open_connection(*split_address(address))
    writer.write(request)
    await writer.drain()
    writer.transport.abort()


def with_length(body: bytes, head: bytes = CREATE + JSON) -> bytes:
    return head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


WRONG_BODIES = {
    "no json": (b"hello", 400),
    "half json": (b'{"liveVideoId": "v", "mess', 400),
    "no utf-8": (b'{"liveVideoId": "v", "message": "\xff\xfe"}', 400),
    "an array": (b"[]", 422),
    "no message": (b'{"liveVideoId": "v"}', 422),
    "an empty message": (b'{"liveVideoId": "v", "message": ""}', 422),
    "only white space": (b'{"liveVideoId": "v", "message": " \\n\\t "}', 422),
    "a number for a message": (b'{"liveVideoId": "v", "message": 5}', 422),
    "an unknown field": (b'{"liveVideoId": "v", "message": "a", "admin": true}', 422),
    "too long": (json.dumps({"liveVideoId": "v", "message": "x" * 501}).encode(), 422),
    "an odd video": (b'{"liveVideoId": "../etc", "message": "a"}', 400),
    "a long video": (json.dumps({"liveVideoId": "v" * 129, "message": "a"}).encode(), 400),
    "too large": (b'{"liveVideoId": "v", "message": "' + b"x" * 100_000 + b'"}', 413),
    "deeply nested": (b"[" * 10_000, 422),
}


async def test_wrong_bodies_get_their_status_and_a_reason(system: System) -> None:
    """All at once, and many times"""
    responses: dict[str, tuple[int, object]] = {}
    async with aiohttp.ClientSession(system.base_url) as session:

        async def post(name: str, body: bytes) -> None:
            headers = {"Content-Type": "application/json"}
            async with session.post("/comment/create", data=body, headers=headers) as response:
                responses[name] = response.status, await response.json()

        before = log_lines(system)
        await asyncio.gather(*(post(name, body) for name, (body, _) in WRONG_BODIES.items() for _ in range(20)))
        assert log_lines(system) - before <= 5, "strangers can flood the log"
    assert {name: status for name, (status, _) in responses.items()} == {
        name: status for name, (_, status) in WRONG_BODIES.items()
    }
    for name, (_, body) in responses.items():
        assert isinstance(body, dict), name
        assert set(body) == {"error"}, name
        assert body["error"]["code"], name
        assert len(body["error"]["message"]) > 10, name


WRONG_REQUESTS = [
    ("GET", "/comments/v?cursor=nonsense", {}, 400),
    ("GET", "/comments/v?pagesize=0", {}, 400),
    ("GET", "/comments/v?pagesize=-1", {}, 400),
    ("GET", "/comments/v?pagesize=1000000000", {}, 400),
    ("GET", "/comments/v?pagesize=ten", {}, 400),
    ("GET", "/comments/no%20spaces", {}, 400),
    ("GET", "/comments/" + "v" * 129, {}, 400),
    ("GET", "/comments/%00", {}, 400),
    ("GET", "/nothing/here", {}, 404),
    ("DELETE", "/comment/create", {}, 405),
    ("PUT", "/comments/v", {}, 405),
    ("POST", "/comment/create", {"Content-Type": "text/plain"}, 415),
]


async def test_wrong_requests_get_their_status_and_a_reason(system: System) -> None:
    async with aiohttp.ClientSession(system.base_url) as session:
        for method, path, headers, status in WRONG_REQUESTS:
            async with session.request(method, path, headers=headers, data=b"{}") as response:
                assert response.status == status, (method, path)
                assert (await response.json())["error"]["message"], (method, path)
            if status == 405:
                assert response.headers["Allow"], path


RAW = [
    b"",
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS hello
    b"GET\r\n\r\n",
    b"GET /comments/v HTTP/9.9\r\n\r\n",
    b"GET /comments/v HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    CREATE + JSON + b"Content-Length: -1\r\n\r\n",
    CREATE + JSON + b"Content-Length: 99999999999999999999\r\n\r\n",
    CREATE + JSON + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    CREATE + JSON + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    with_length(b"\xff" * 50),
    b"\xf0\x9f\x98\x80" * 1000,
]


async def test_bytes_that_are_no_requests(system: System) -> None:
    before = log_lines(system)
    for address in addresses(system):
        for request in RAW:
            for _ in range(3):
                received = await send(address, request, half_close=True)
                assert not received.startswith(b"HTTP/1.1 5"), (request[:60], received[:200])
    assert log_lines(system) - before <= 5, list(system.logs.values())
    await still_works(system)


async def test_half_requests_that_hang_up(system: System) -> None:
    whole = with_length(b'{"liveVideoId": "v", "message": "hello"}')
    stream = b"GET /comments/v HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
    before = log_lines(system)
    for address in addresses(system):
        for request in (whole, stream):
            cuts = range(1, len(request), 7)
            await asyncio.gather(*(hang_up_in_the_middle(address, request[:cut]) for cut in cuts))
    assert log_lines(system) - before <= 5, list(system.logs.values())
    await still_works(system)


async def still_works(system: System) -> None:
    async with aiohttp.ClientSession(system.base_url) as session:
        async with session.post("/comment/create", json={"liveVideoId": "ok", "message": "still here"}) as created:
            assert created.status == 200
        async with session.get("/comments/ok", headers={"Accept": "text/event-stream"}) as live, asyncio.timeout(10):
            text = ""
            while "still here" not in text:
                text += (await live.content.readany()).decode()
