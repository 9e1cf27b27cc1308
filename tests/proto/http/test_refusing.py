"""proto/http/refusing.py, guard.py and unknown_proxies.py, through real sockets: what is refused counts, costs little,
and has an end."""

import asyncio
import json
from collections import Counter
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from proto.core.caller import Caller
from proto.http.guard import TURNS_S_MAX, Guard
from proto.http.unknown_proxies import TOLD_EVERY_S, UnknownProxies
from proto.http_settings import REFUSED_IN_A_ROW_MAX, HttpSettings
from tests.proto.http.serving import GET, Serve, Serving, assert_ended, echo, response
from tests.proto.http.test_guard import TRUSTING, guard
from tests.waiting import eventually

OTHER = "127.0.0.2"
BAD_HEADS = {
    "malformed": (400, b"GET / HTTP/1.1\r\nno colon\r\n\r\n"),
    "too large": (431, b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 5_000),
    "too many lines": (431, b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 60 + b"\r\n"),
    "no start": (400, b"\x16\x03\x01"),
}
TWO_MORE = REFUSED_IN_A_ROW_MAX + 2


async def sent(serving: Serving, data: bytes, local: str = "127.0.0.1") -> tuple[int, str]:
    """The status and, of an error, the code; 0: the connection was cut"""
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port, local_addr=(local, 0))
    try:
        writer.write(data)
        status, _, body = await response(reader)
        return status, json.loads(body)["error"]["code"] if status >= 400 else ""
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, ""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("kind", BAD_HEADS)
async def test_a_refused_head_is_a_request_of_its_address(serve: Serve, kind: str) -> None:
    status, head = BAD_HEADS[kind]
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1"))
    assert (await sent(serving, head))[0] == status
    assert await sent(serving, GET) == (429, "too_many_requests")
    assert (await sent(serving, GET, OTHER))[0] == 200


async def test_the_bytes_of_a_refused_head_are_its_address_s(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--request-bytes-per-s", "100"))
    assert (await sent(serving, BAD_HEADS["too large"][1]))[0] == 431
    assert await sent(serving, GET) == (429, "too_many_bytes")
    assert (await sent(serving, GET, OTHER))[0] == 200


async def test_the_bytes_of_a_head_that_never_comes_are_its_address_s(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--request-bytes-per-s", "100"))
    _, writer = await serving.connect()
    writer.write(BAD_HEADS["too large"][1][:3_000])
    await eventually(lambda: any(each._requests.unfinished for each in serving.connections))
    writer.close()
    await eventually(lambda: not serving.connections)
    assert await sent(serving, GET) == (429, "too_many_bytes")


async def test_what_follows_a_refused_head_counts(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--request-bytes-per-s", "1000"))
    reader, writer = await serving.connect()
    writer.write(BAD_HEADS["malformed"][1])
    assert (await response(reader))[0] == 400
    writer.write(b"y" * 50_000)
    await eventually(lambda: any(each._discarded >= 50_000 for each in serving.connections))
    assert await sent(serving, GET) == (429, "too_many_bytes")


@pytest.mark.parametrize("data", [GET, BAD_HEADS["malformed"][1], BAD_HEADS["too large"][1]])
async def test_an_address_that_goes_on_is_cut_off_unread_and_others_are_not(serve: Serve, data: bytes) -> None:
    refused: Counter[str] = Counter()
    settings = HttpSettings.parse(["--requests-per-s", "0.1", "--refusals-per-s", "0.1"])
    serving = await serve(echo, guard=Guard(settings, refused))
    statuses = [(await sent(serving, data))[0] for _ in range(4)]
    assert statuses[0] != 0
    assert statuses[1] == (429 if data == GET else statuses[0]), "it is told once more"
    assert statuses[2:] == [0, 0]
    assert refused == {"too_many_requests": 1}, "the last ones weren't read"
    assert (await sent(serving, GET, OTHER))[0] == 200
    await eventually(lambda: not serving.connections)


async def test_who_goes_on_over_an_open_connection_is_cut_off(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1", "--refusals-per-s", "0.1"))
    reader, writer = await serving.connect()
    writer.write(GET * 3)
    assert [(await response(reader))[0] for _ in range(2)] == [200, 429]
    with suppress(ConnectionError):
        await assert_ended(reader)


async def test_a_proxy_s_connections_are_never_cut_for_one_of_its_callers(serve: Serve) -> None:
    flags = ("--requests-per-s", "0.1", "--refusals-per-s", "0.1", *TRUSTING)
    serving = await serve(echo, guard=guard(*flags))
    asked = b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: %b\r\n\r\n"
    statuses = [(await sent(serving, asked % b"9.9.9.9"))[0] for _ in range(4)]
    assert statuses == [200, 429, 429, 429]
    assert [(await sent(serving, BAD_HEADS["malformed"][1]))[0] for _ in range(4)] == [400] * 4
    assert (await sent(serving, asked % b"8.8.8.8"))[0] == 200


async def test_a_flood_over_one_connection_ends_it(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1", "--refusals-per-s", "1000"))
    reader, writer = await serving.connect()
    writer.write(GET * TWO_MORE)
    answers = [await response(reader) for _ in range(TWO_MORE)]
    assert [status for status, _, _ in answers] == [200] + [429] * (TWO_MORE - 1)
    assert [headers.get(b"connection") for _, headers, _ in answers] == [None] * (TWO_MORE - 1) + [b"close"]
    await assert_ended(reader)


async def test_a_refused_head_request_has_no_body_and_the_next_response_follows(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1"))
    reader, writer = await serving.connect()
    writer.write(GET + GET.replace(b"GET", b"HEAD") + GET)
    assert (await response(reader))[0] == 200
    status, headers, _ = await response(reader, head_only=True)
    assert (status, int(headers[b"content-length"]) > 0) == (429, True)
    assert (await response(reader))[0] == 429


async def test_a_page_of_any_origin_reads_a_refusal_also_with_credentials(serve: Serve) -> None:
    """Or its EventSource would end for good."""
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1"))
    reader, writer = await serving.connect()
    writer.write(GET)
    await response(reader)
    lines = b"host: x\r\norigin: https://a.example\r\naccept: text/event-stream\r\nlast-event-id: 1\r\n"
    writer.write(b"GET /comments/v HTTP/1.1\r\n%b\r\n" % lines)
    status, headers, body = await response(reader)
    assert (status, body[:7]) == (200, b"retry: ")
    assert headers[b"access-control-allow-origin"] == b"https://a.example"
    assert headers[b"access-control-allow-credentials"] == b"true"


PROXIED = b"GET / HTTP/1.1\r\nhost: x\r\n%b: 9.9.9.9\r\n\r\n"


@pytest.mark.parametrize("header", [b"X-Forwarded-For", b"Forwarded"])
async def test_an_operator_finds_out_that_a_balancer_isn_t_trusted(serve: Serve, header: bytes) -> None:
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1"))
    with capture_logs() as lines:
        assert (await sent(serving, PROXIED % header))[0] == 200
        assert not lines, "nobody is refused"
        for _ in range(3):
            assert (await sent(serving, PROXIED % header))[0] == 429
    (line,) = lines
    assert "--trusted-proxies" in line["event"]
    assert (line["address"], line["written"], line["refused"]) == ("127.0.0.1", header.decode().lower(), 1)


@pytest.mark.parametrize("preface", [b"PROXY TCP4 9.9.9.9 10.0.0.1 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c"])
async def test_an_operator_finds_out_that_a_proxy_header_isn_t_read(serve: Serve, preface: bytes) -> None:
    serving = await serve(echo, guard=guard())
    with capture_logs() as lines:
        for _ in range(2):
            assert (await sent(serving, preface + GET))[0] == 400
    (line,) = lines
    assert ("--trusted-proxies" in line["event"], line["written"]) == (True, "PROXY")


async def test_nothing_is_said_of_a_proxy_that_is_trusted_or_of_a_caller_without_one(serve: Serve) -> None:
    with capture_logs() as lines:
        for flags in (TRUSTING, ()):
            serving = await serve(echo, guard=guard("--requests-per-s", "0.1", *flags))
            asked = PROXIED % b"X-Forwarded-For" if flags else GET
            assert [(await sent(serving, asked))[0] for _ in range(2)] == [200, 429]
    assert not lines


async def test_it_is_said_once_in_a_while_and_with_how_many() -> None:
    caller, headers = Caller("10.0.0.1", "10.0.0.1", "http", None), [(b"x-forwarded-for", b"9.9.9.9")]
    unknown = UnknownProxies()
    with capture_logs() as lines:
        for now_s in (1.0, 2.0, TOLD_EVERY_S, TOLD_EVERY_S + 1.0, TOLD_EVERY_S + 2.0):
            unknown.refused(caller, headers, now_s)
    assert [line["refused"] for line in lines] == [1, 3]


async def test_those_who_are_too_many_together_are_told_to_come_in_turn(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--requests-per-s-max", "0.1", "--refusals-per-s", "1000"))
    reader, writer = await serving.connect()
    writer.write(GET * 4)
    assert (await response(reader))[0] == 200
    waits_s = []
    for _ in range(3):
        status, headers, _ = await response(reader)
        assert status == 503
        waits_s.append(int(headers[b"retry-after"]))
    assert waits_s[0] < waits_s[1] < waits_s[2] <= TURNS_S_MAX


async def test_a_refusal_over_tls_says_what_every_response_says(serve: Serve) -> None:
    serving = await serve(echo, guard=guard("--requests-per-s", "0.1", *TRUSTING), hsts_s=7)
    reader, writer = await serving.connect()
    asked = b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9\r\nx-forwarded-proto: https\r\n\r\n"
    writer.write(asked * 2)
    for expected in (200, 429):
        status, headers, _ = await response(reader)
        assert (status, headers[b"strict-transport-security"]) == (expected, b"max-age=7")
