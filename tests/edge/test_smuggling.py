"""Requests that two readers may take for different ones, through each balancer: what it forwards is what our service
sees. Each request that arrives is answered to whoever sent it, and nobody gets another's answer.

The service is our own server with an app that tells what it has read.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.types import Receive, Scope, Send

from proto.http.guard import Guard
from proto.http.server import build_server
from proto.http_settings import HttpSettings
from proto.listening import address_of, listen
from scripts.plan import LOCAL, free_ports
from tests.edge.balancers import HASH, KINDS, Edge
from tests.proto.http.serving import body_of, respond
from tests.waiting import eventually

HEAD = b"POST /attack-NNN HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /smug-NNN HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"
SILENT_S, QUIET_S, LATE_S = 0.5, 0.05, 10.0
"""Without any answer to an attack for SILENT_S, none is awaited: some readers wait for more, as they may. Behind one it
is QUIET_S; but what the service has seen is awaited for LATE_S."""
AT_ONCE = 10
"""Attacks; and then as many requests of somebody else, over the balancer's connections that the attacks went over"""

OF_A_BALANCER = {501, 505}
"""nginx and Envoy say so of codings and versions that they don't know. Our service says 400."""

TOLD = re.compile(rb"told=\[([^\]]*)\]")
STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")


def framed(lines: bytes, body: bytes = LAST + SMUGGLED) -> bytes:
    return HEAD + lines + b"\r\n\r\n" + body


CODINGS = {
    "a blank before the colon": b"Transfer-Encoding : chunked",
    "a tab": b"Transfer-Encoding:\tchunked",
    "a vertical tab": b"Transfer-Encoding:\x0bchunked",
    "a tab behind": b"Transfer-Encoding: chunked\t",
    "identity behind": b"Transfer-Encoding: chunked, identity",
    "identity before": b"Transfer-Encoding: identity, chunked",
    "xchunked": b"Transfer-Encoding: xchunked",
    "gzip": b"Transfer-Encoding: gzip, chunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "a parameter": b"Transfer-Encoding: chunked;a=b",
    "a comma": b"Transfer-Encoding: ,chunked",
    "in capitals": b"TRANSFER-ENCODING: CHUNKED",
    "two": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "two, the second another": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "two, the first another": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded behind": b"X: y\r\n Transfer-Encoding: chunked",
    "a line feed": b"X: y\nTransfer-Encoding: chunked",
    "a carriage return": b"X: y\rTransfer-Encoding: chunked",
    "a zero byte": b"Transfer-Encoding: chunked\0",
    "a zero byte before": b"X: y\0\r\nTransfer-Encoding: chunked",
    "an underscore": b"Transfer_Encoding: chunked",
    "for this connection only": b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    "plain": b"Transfer-Encoding: chunked",
}
LENGTHS = {
    "two": b"Content-Length: 3\r\nContent-Length: 0",
    "twice the same": b"Content-Length: 3\r\nContent-Length: 3",
    "a list": b"Content-Length: 3, 3",
    "plus": b"Content-Length: +3",
    "minus": b"Content-Length: -3",
    "hexadecimal": b"Content-Length: 0x3",
    "blanks around": b"Content-Length:   3   ",
    "a blank within": b"Content-Length: 3 5",
    "a zero before": b"Content-Length: 003",
    "too large": b"Content-Length: 18446744073709551619",
    "empty": b"Content-Length:",
    "folded": b"Content-Length:\r\n 3",
    "for this connection only": b"Connection: Content-Length\r\nContent-Length: 3",
}
SIZES = {
    "plus": b"+3",
    "minus": b"-3",
    "0x": b"0x3",
    "too large": b"10000000000000003",
    "a blank behind": b"3 ",
    "a blank before": b" 3",
    "empty": b"",
    "an extension": b"3;a=b",
    "an extension with a line feed": b"3;a\nb",
    "an extension with a carriage return": b"3;a\rb",
    "an extension with a line end": b'3;a="\r\nb"',
    "not hexadecimal": b"3g",
    "zeros": b"00000000000000000000003",
}
ROWS = {
    **{f"coding: {name}": framed(line) for name, line in CODINGS.items()},
    **{
        f"length and coding: {name}": framed(b"Content-Length: %d\r\n" % len(LAST + SMUGGLED) + line)
        for name, line in CODINGS.items()
    },
    **{
        f"coding and short length: {name}": framed(line + b"\r\nContent-Length: 4", b"2c\r\n" + SMUGGLED + LAST)
        for name, line in CODINGS.items()
    },
    **{f"length: {name}": framed(line, b"abc" + SMUGGLED) for name, line in LENGTHS.items()},
    **{
        f"size: {name}": HEAD + CHUNKED + b"\r\n" + size + b"\r\nabc\r\n" + LAST + SMUGGLED
        for name, size in SIZES.items()
    },
    **{
        name: HEAD + CHUNKED + b"\r\n" + body + SMUGGLED
        for name, body in {
            "a size ends with a line feed": b"3\nabc\r\n0\r\n\r\n",
            "a chunk ends with a line feed": b"3\r\nabc\n0\r\n\r\n",
            "a chunk has no end": b"3\r\nabc0\r\n\r\n",
            "the last chunk ends with line feeds": b"0\n\n",
            "the last chunk ends with carriage returns": b"0\r\r",
            "a trailer is a request": b"0\r\nGET /smug-NNN HTTP/1.1\r\n\r\n",
            "a trailer has a request": b"0\r\nX: GET /smug-NNN HTTP/1.1\r\n\r\n",
            "a trailer has a length": b"0\r\nContent-Length: 50\r\n\r\n",
            "a trailer has a coding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "a trailer ends with a line feed": b"0\r\nX: y\n\r\n",
        }.items()
    },
    "old, with a coding": framed(b"Connection: keep-alive\r\nTransfer-Encoding: chunked").replace(b"1.1", b"1.0", 1),
    "old, with both": framed(b"Content-Length: 5\r\nTransfer-Encoding: chunked").replace(b"1.1", b"1.0", 1),
    "a GET with a body": framed(b"Content-Length: 3", b"abc" + SMUGGLED).replace(b"POST", b"GET", 1),
    "line feeds only": b"POST /attack-NNN HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc" + SMUGGLED,
    "the head ends with a line feed": b"POST /attack-NNN HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\nabc" + SMUGGLED,
    "a line feed in the target": b"GET /attack-NNN\nX: y HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an absolute form of another host": b"GET http://y/attack-NNN HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "two hosts": b"GET /attack-NNN HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + SMUGGLED,
    "no host": b"GET /attack-NNN HTTP/1.1\r\n\r\n" + SMUGGLED,
    "no version": b"GET /attack-NNN\r\n\r\n" + SMUGGLED,
    "an encoded line end": b"GET /%0d%0aX:%20y-NNN HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "h2c": framed(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\nContent-Length: 3", b"abc"
    )
    + SMUGGLED,
    "h2c, chunked": framed(b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked"),
    "a WebSocket": b"GET /attack-NNN HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    + SMUGGLED,
    "a body waits for a word": framed(b"Expect: 100-continue\r\nContent-Length: 3", b"abc" + SMUGGLED),
}


class Service:
    """Tells of each request what it has read, and remembers it."""

    def __init__(self) -> None:
        self.address = ""
        self.seen: Counter[bytes] = Counter()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await body_of(receive)
        except ConnectionError:  # not a whole request
            return
        target = scope["raw_path"]
        told = b"%b %b %d %b" % (
            scope["method"].encode(), target, len(body), dict(scope["headers"]).get(b"host", b""),
        )  # fmt: skip
        if not target.startswith(b"/health"):
            self.seen[told] += 1
        await respond(send, b"told=[%b]" % told)

    def saw(self, mark: bytes) -> Counter[bytes]:
        return Counter({told: count for told, count in self.seen.items() if mark in told})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Service"]:
        settings = HttpSettings.parse(["--unlimited-networks", "127.0.0.0/8"])

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.answer(scope, receive, send)

        server = build_server(app, settings.connection_limits(), Guard(settings, Counter()), stop_s=1.0)
        listener = listen(f"{LOCAL}:0", 100, 30_000)
        self.address = address_of(listener)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually(lambda: server.started)
        try:
            yield self
        finally:
            server.stop()
            await running


class Exchanged(NamedTuple):
    told: Counter[bytes]
    statuses: set[int]


async def attack(service: Service, number: int, port: int, sent: bytes) -> Exchanged:
    """Sends it, and reads until nothing more comes. number: stands for NNN, so that what comes late is known."""
    reader, writer = await asyncio.open_connection(LOCAL, port)
    received, mark, found = b"", b"-%03d " % number, Exchanged(Counter(), set())
    try:
        writer.write(sent.replace(b"-NNN", mark[:-1]))
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LATE_S):
                while not reader.at_eof():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(QUIET_S if found.statuses else SILENT_S):
                            while data := await reader.read(65_536):
                                received += data
                                found = Exchanged(
                                    Counter(TOLD.findall(received)), set(map(int, STATUS.findall(received)))
                                )
                    if found.told == service.saw(mark):
                        break
    finally:
        writer.close()
    return found


async def innocent(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What somebody else is told, on a connection of his own"""
    writer.write(b"GET /innocent-%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    async with asyncio.timeout(10):
        return await reader.readuntil(b"]")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_balancer_and_the_service_see_the_same(kind: str, certificates: Path) -> None:
    nodes = [f"{LOCAL}:{port}" for port in free_ports(3)]
    async with Service().running() as service, Edge(kind, HASH, service.address, nodes, certificates) as balancer:
        others = [await asyncio.open_connection(LOCAL, balancer.clear_port) for _ in range(AT_ONCE)]
        rows = list(enumerate(ROWS.items()))
        for begin in range(0, len(rows), AT_ONCE):
            some = rows[begin : begin + AT_ONCE]
            attacks = (attack(service, number, balancer.clear_port, sent) for number, (_, sent) in some)
            for (number, (row, _)), found in zip(some, await asyncio.gather(*attacks), strict=True):
                assert service.saw(b"-%03d " % number) == found.told, (row, found)
                assert found.statuses < {*range(500), *OF_A_BALANCER}, (row, found)
                if row.startswith("length and coding: "):
                    assert not any(b"/smug-" in told for told in found.told), (row, found)
            told = await asyncio.gather(*(innocent(begin + at, *other) for at, other in enumerate(others)))
            for at, answer in enumerate(told):
                assert b"told=[GET /innocent-%d 0 x]" % (begin + at) in answer, (some, answer)
        for _, writer in others:
            writer.close()


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])  # Envoy takes no HTTP/1.0
async def test_an_old_client_without_a_host_is_served(kind: str, certificates: Path) -> None:
    nodes = [f"{LOCAL}:{port}" for port in free_ports(3)]
    async with Service().running() as service, Edge(kind, HASH, service.address, nodes, certificates) as balancer:
        found = await attack(service, 0, balancer.clear_port, b"GET /old HTTP/1.0\r\n\r\n")
        assert found.statuses == {200}
