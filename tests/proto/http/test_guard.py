"""proto/http/guard.py and peer.py, through real sockets: what an address may, and who is at the other end"""

import json
from collections import Counter
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from proto.http.guard import CALLER, Guard
from proto.http_settings import HttpSettings
from tests.proto.http.serving import GET, Serve, assert_ended, body_of, respond, response
from tests.waiting import eventually


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Says who has asked."""
    host = dict(scope["headers"]).get(b"host", b"").decode()
    facts = [scope["client"][0], scope["scheme"], host, scope[CALLER].key]
    await respond(send, json.dumps(facts).encode())


def guard(*flags: str) -> Guard:
    return Guard(HttpSettings.parse(list(flags)), Counter())


async def ask(serve: Serve, asked: bytes, *flags: str) -> tuple[int, Any]:
    reader, writer = await (await serve(who, guard=guard(*flags))).connect()
    writer.write(asked)
    status, _, body = await response(reader)
    return status, json.loads(body)


TRUSTING = ("--trusted-proxies", "127.0.0.0/8")
FORWARDED = (
    b"GET / HTTP/1.1\r\nhost: inside\r\nx-forwarded-for: 1.1.1.1, 9.9.9.9\r\nx-forwarded-proto: https\r\n"
    b"x-forwarded-host: live.example\r\nforwarded: for=8.8.8.8;host=other.example\r\n\r\n"
)


async def test_only_trusted_proxies_are_believed(serve: Serve) -> None:
    assert await ask(serve, FORWARDED) == (200, ["127.0.0.1", "http", "inside", "127.0.0.1"])
    assert await ask(serve, FORWARDED, "--trusted-proxies", "10.0.0.0/8") == (
        200,
        ["127.0.0.1", "http", "inside", "127.0.0.1"],
    )
    assert await ask(serve, FORWARDED, *TRUSTING) == (200, ["9.9.9.9", "https", "live.example", "9.9.9.9"])
    assert await ask(serve, FORWARDED, *TRUSTING, "--proxy-headers", "forwarded") == (
        200,
        ["8.8.8.8", "http", "other.example", "8.8.8.8"],
    )
    assert await ask(serve, GET, *TRUSTING) == (200, ["127.0.0.1", "http", "x", "127.0.0.1"])


PREFACE = b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n"


async def test_a_proxy_header_is_believed_from_trusted_proxies_in_any_pieces(serve: Serve) -> None:
    expected = ["2001:db8::1", "http", "x", "2001:db8::/64"]
    assert await ask(serve, PREFACE + GET, *TRUSTING) == (200, expected)
    serving = await serve(who, guard=guard(*TRUSTING))
    reader, writer = await serving.connect()
    for byte in PREFACE + GET:
        writer.write(bytes([byte]))
        await writer.drain()
    assert json.loads((await response(reader))[2]) == expected
    writer.write(GET)  # the connection is still that caller's
    assert json.loads((await response(reader))[2]) == expected
    assert (await ask(serve, PREFACE + GET))[0] == 400


async def test_who_came_through_a_header_has_no_word_in_who_he_is(serve: Serve) -> None:
    """He is no trusted proxy himself, so his X-Forwarded-For is only his."""
    assert (await ask(serve, PREFACE + FORWARDED, *TRUSTING))[1][0] == "2001:db8::1"
    inner = b"PROXY TCP4 127.0.0.7 10.0.0.1 1 2\r\n"
    assert (await ask(serve, inner + FORWARDED, *TRUSTING))[1][0] == "9.9.9.9"


async def test_a_malformed_proxy_header_ends_the_connection(serve: Serve) -> None:
    serving = await serve(who, guard=guard(*TRUSTING))
    reader, writer = await serving.connect()
    writer.write(b"PROXY NONSENSE\r\n" + GET)
    await assert_ended(reader)
    await eventually(lambda: not serving.connections)


async def test_an_address_may_have_so_many_connections_and_is_told(serve: Serve) -> None:
    mine = guard("--connections-per-address-max", "2")
    serving = await serve(who, guard=mine)
    held = [await serving.connect() for _ in range(2)]
    await eventually(lambda: len(serving.connections) == 2)
    reader, writer = await serving.connect()
    writer.write(GET)
    status, headers, body = await response(reader)
    assert (status, json.loads(body)["error"]["code"]) == (429, "too_many_connections")
    assert int(headers[b"retry-after"]) >= 1
    assert "2 connections" in json.loads(body)["error"]["message"]
    for _, each in (*held, (reader, writer)):
        each.close()
    await eventually(lambda: not serving.connections)
    reader, writer = await serving.connect()
    writer.write(GET)
    assert (await response(reader))[0] == 200


async def test_connections_through_a_proxy_are_its_callers(serve: Serve) -> None:
    serving = await serve(who, guard=guard(*TRUSTING, "--connections-per-address-max", "1"))
    statuses = []
    for source in (b"9.9.9.9", b"9.9.9.9", b"8.8.8.8"):
        reader, writer = await serving.connect()
        writer.write(b"PROXY TCP4 %b 10.0.0.1 1 2\r\n" % source + GET)
        statuses.append((await response(reader))[0])
    assert statuses == [200, 429, 200]


@pytest.mark.parametrize(
    ("flags", "code", "status"),
    [
        (["--requests-per-s", "0.1"], "too_many_requests", 429),
        (["--requests-per-s-max", "0.1"], "too_many_requests_of_all", 503),
        (["--request-bytes-per-s", "3"], "too_many_bytes", 429),
        (["--request-bytes-per-s-max", "3"], "too_many_bytes_of_all", 503),
    ],
)
async def test_who_asks_too_often_is_refused_and_counted_and_others_are_not(
    serve: Serve, flags: list[str], code: str, status: int
) -> None:
    refused: Counter[str] = Counter()
    serving = await serve(who, guard=Guard(HttpSettings.parse([*flags, *TRUSTING]), refused))
    reader, writer = await serving.connect()
    asked = b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: %b\r\n\r\n"
    for expected in (200, status):
        writer.write(asked % b"9.9.9.9")
        got, headers, body = await response(reader)
        assert got == expected
    assert json.loads(body)["error"]["code"] == code
    assert int(headers[b"retry-after"]) >= 1
    assert headers[b"access-control-allow-origin"] == b"*"
    assert refused == {code: 1}
    writer.write(asked % b"8.8.8.8")
    assert (await response(reader))[0] == (200 if status == 429 else 503)


async def test_a_refused_post_costs_no_reading_and_the_connection_goes_on(serve: Serve) -> None:
    serving = await serve(who, guard=guard("--requests-per-s", "0.1"))
    reader, writer = await serving.connect()
    writer.write(GET)
    assert (await response(reader))[0] == 200
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
    assert (await response(reader))[0] == 429
    writer.write(b"hello" + GET)
    assert (await response(reader))[0] == 429


async def test_an_event_source_that_is_refused_comes_again(serve: Serve) -> None:
    serving = await serve(who, guard=guard("--requests-per-s", "0.1"))
    reader, writer = await serving.connect()
    writer.write(GET)
    await response(reader)
    writer.write(b"GET /comments/v HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nlast-event-id: 1.2.3\r\n\r\n")
    status, headers, body = await response(reader)
    assert (status, headers[b"content-type"][:17]) == (200, b"text/event-stream")
    assert body.startswith(b"retry: ")


@pytest.mark.parametrize("length", [b"content-length: 1000000000000000000\r\n", b"content-length: 900000000\r\n"])
async def test_who_says_that_a_body_is_endless_shuts_out_nobody(serve: Serve, length: bytes) -> None:
    serving = await serve(who, guard=guard(*TRUSTING))
    reader, writer = await serving.connect()
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9\r\n%b\r\n" % length)
    await response(reader)
    writer.close()
    reader, writer = await serving.connect()
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 8.8.8.8\r\n\r\n")
        assert (await response(reader))[0] == 200


async def body_read(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"%d" % len(await body_of(receive)))


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
async def test_what_comes_of_a_body_is_counted_however_it_is_framed(serve: Serve, framing: str) -> None:
    serving = await serve(body_read, guard=guard(*TRUSTING, "--request-bytes-per-s", "100", "--burst-s", "10"))
    lines, body = {
        "content-length": (b"content-length: 5000", b"x" * 5000),
        "chunked": (b"transfer-encoding: chunked", b"1388\r\n%b\r\n0\r\n\r\n" % (b"x" * 5000)),
    }[framing]
    reader, writer = await serving.connect()
    writer.write(
        b"POST / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9\r\nexpect: 100-continue\r\n%b\r\n\r\n" % lines
    )
    await reader.readuntil(b"100 Continue\r\n\r\n")  # so the body comes behind the head
    writer.write(body)
    assert (await response(reader))[::2] == (200, b"5000")
    for address, status in ((b"9.9.9.9", 429), (b"8.8.8.8", 200)):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: %b\r\n\r\n" % address)
        assert (await response(reader))[0] == status


@pytest.mark.parametrize("asks", [True, False])
async def test_an_address_that_is_refused_takes_nobody_s_connections(serve: Serve, asks: bool) -> None:
    mine = guard(*TRUSTING, "--connections-per-address-max", "2")
    serving = await serve(who, guard=mine, connections_max=20)
    preface = b"PROXY TCP4 %b 10.0.0.1 1 2\r\n"
    held = [await serving.connect() for _ in range(2)]
    for reader, writer in held:
        writer.write(preface % b"9.9.9.9" + GET)
        assert (await response(reader))[0] == 200
    for _ in range(30):
        reader, writer = await serving.connect()
        writer.write(preface % b"9.9.9.9" + (GET if asks else b""))
        if asks:
            assert (await response(reader))[0] == 429
            await assert_ended(reader)
    await eventually(lambda: len(serving.connections) == (2 if asks else 3))
    reader, writer = await serving.connect()
    writer.write(preface % b"8.8.8.8" + GET)
    assert (await response(reader))[0] == 200
    for connection in serving.connections:
        connection.abort()
    await eventually(lambda: not serving.connections)
    assert len(mine.told) == 0


@pytest.mark.parametrize(
    "header", [b'forwarded: for="9.9.9.9, for=8.8.8.8', b"forwarded: for=unknown", b"forwarded: @"]
)
async def test_a_header_that_nobody_can_read_costs_the_proxy_nothing_and_frees_nobody(
    serve: Serve, header: bytes
) -> None:
    unlimited = ("--unlimited-networks", "127.0.0.0/8", "--requests-per-s", "0.1", "--proxy-headers", "forwarded")
    reader, writer = await (await serve(who, guard=guard(*TRUSTING, *unlimited))).connect()
    for line, status in ((header, 200), (header, 429), (b"x-check: 1", 200), (b"x-check: 1", 200)):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % line)
        assert (await response(reader))[0] == status
