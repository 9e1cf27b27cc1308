"""scripts/sse_client.py: the parser with the WHATWG's examples and any split, the client with real cuts."""

import asyncio
import collections
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from scripts.config import SseSettings
from scripts.sse_client import Event, Phase, Refused, SseClient, SseParser, State, TooLong

QUICK = SseSettings(open_timeout_s=0.5, retry_first_ms=1, retry_max_ms=5)


def parse(*chunks: bytes) -> list[Event]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


# The examples of https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6
WHATWG = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("message", "YHOO\n+2\n10", "")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [Event("message", "first event", "1"), Event("message", "second event", "")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [Event("message", "", ""), Event("message", "\n", "")]),
    (b"data:test\n\ndata: test\n\n", [Event("message", "test", ""), Event("message", "test", "")]),
    (b"event: add\ndata: 73857293\n\n", [Event("add", "73857293", "")]),
]


@pytest.mark.parametrize(("stream", "events"), WHATWG)
def test_the_standards_examples(stream: bytes, events: list[Event]) -> None:
    assert parse(stream) == events


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),  # a BOM is allowed, once, at the start
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", ["a", "b", "c"]),
        (b"data: a\r\n\rdata: b\n\r", ["a", "b"]),
        (
            "data: 1\x0b2\x0c3\x852\u20284\u2029\n\n".encode(),
            ["1\x0b2\x0c3\x852\u20284\u2029"],
        ),  # these are no line ends
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"event: x\n\ndata: a\n\n", ["a"]),  # a name without data is dropped
        (b"Data: a\n\ndata : b\n\n", []),  # field names are exact
    ],
)
def test_lines(stream: bytes, data: list[str]) -> None:
    assert [event.data for event in parse(stream)] == data


def test_an_id_with_nul_is_ignored_and_an_id_without_data_counts() -> None:
    parser = SseParser()
    assert parser.feed(b"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\nid: 3\n\nid: 4\n") == [
        Event("message", "a", "1"),
        Event("message", "b", "1"),
    ]
    assert parser.last_event_id == "3", "4 was not dispatched"


def test_retry_takes_digits_only() -> None:
    parser = SseParser()
    parser.feed("retry: 1500\n\nretry: 1e3\n\nretry: ٣\n\nretry:\n\n".encode())
    assert parser.retry_ms == 1500


LINES = st.sampled_from(
    [b"data: x", b"data", b"data: \xc3\xa9\xf0\x9f\x98\x80", b"id: 7", b"id: 8\0", b"event: e", b": hello", b"retry: 9"]
)
STREAMS = st.lists(st.tuples(LINES | st.just(b""), st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=12)


@given(lines=STREAMS, bom=st.booleans(), cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_split_gives_the_same_events(lines: list[tuple[bytes, bytes]], bom: bool, cuts: list[int]) -> None:
    stream = b"\xef\xbb\xbf" * bom + b"".join(line + end for line, end in lines)
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert parse(*(stream[a:b] for a, b in itertools.pairwise(borders))) == parse(stream)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(stream: bytes) -> None:
    assert parse(*(bytes([byte]) for byte in stream)) == parse(stream)


@pytest.mark.parametrize("piece", [b"x" * 40, b"\ndata: " + b"x" * 40, b"\ndata"])
def test_an_endless_event_is_not_kept(piece: bytes) -> None:
    parser = SseParser(event_bytes_max=1_000)
    parser.feed(b"data: " + b"x" * 900 + b"\n\n")
    with pytest.raises(TooLong, match="1000 bytes"):
        collections.deque(map(parser.feed, [piece] * 1_000))


def test_a_long_line_is_looked_through_once() -> None:
    """Counts the bytes that are split, as a time would depend on the machine."""

    class Counting(bytes):
        looked_through = 0

        def splitlines(self, keepends: bool = False) -> list[bytes]:
            Counting.looked_through += len(self)
            return super().splitlines(keepends)

        def removeprefix(self, prefix: object, /) -> "Counting":
            return self

    parser = SseParser()
    parser.feed(b"data: ")
    for _ in range(1_000):
        parser.feed(Counting(b"y" * 100))
    assert parser.feed(b"\n\n") == [Event("message", "y" * 100_000, "")]
    assert Counting.looked_through == 100_000


async def test_a_stream_that_sends_too_much_is_cut_and_asked_again() -> None:
    server = Scripted(b"data: " + b"x" * 5_000, b"data: a\n\n")
    async with served(server) as base, aiohttp.ClientSession() as session, asyncio.timeout(10):
        client = SseClient(session, f"{base}/comments/v", settings=replace(QUICK, event_bytes_max=1_000))
        async with aclosing(client.events()) as events:
            assert (await anext(events)).data == "a"


class Scripted:
    """A server with one response for each connection; records the requests' last_event_id. None: no response."""

    def __init__(self, *responses: bytes | web.Response | None) -> None:
        self.responses = list(responses)
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.query.get("last_event_id", ""))
        response = self.responses.pop(0)
        if isinstance(response, web.Response):
            return response
        if response is None:
            await asyncio.Event().wait()
            raise AssertionError
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(response)
        if response.endswith(b"!"):
            assert request.transport is not None
            request.transport.abort()
        return stream


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect(f"/comments/v?{request.query_string}")


@asynccontextmanager
async def served(server: Scripted) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/comments/v", server.handle)
    app.router.add_get("/away", redirect)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def follow(url: str, count: int, states: list[State] | None = None) -> list[Event]:
    """The first `count` events"""
    seen: list[Event] = []
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        client = SseClient(session, url, settings=QUICK, on_state=(states if states is not None else []).append)
        async with aclosing(client.events()) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == count:
                    break
    return seen


async def test_resumes_at_the_original_url_after_a_cut_an_end_and_a_503() -> None:
    server = Scripted(
        b"id: 1\ndata: a\n\nid: 2\ndata: half",  # a clean end in the middle of an event
        b"id: 2\ndata: b\n\n!",  # a reset
        web.Response(status=503, headers={"Retry-After": "0"}),
        b"id: 3\ndata: c\n\n",
    )
    states: list[State] = []
    async with served(server) as base:
        events = await follow(f"{base}/away?x=1", 3, states)
    assert [event.data for event in events] == ["a", "b", "c"]
    assert server.asked == ["", "1", "2", "2"]
    assert [state.phase for state in states if state.phase is not Phase.CONNECTING] == [
        *(Phase.LIVE, Phase.WAITING, Phase.LIVE, Phase.WAITING, Phase.WAITING, Phase.LIVE)
    ]


async def test_a_stream_that_does_not_begin_is_tried_again() -> None:
    server = Scripted(None, b"data: a\n\n")
    async with served(server) as base:
        await follow(f"{base}/comments/v", 1)
    assert len(server.asked) == 2


async def test_knows_which_server_it_is_connected_to() -> None:
    async with served(Scripted(b"data: a\n\n", b"")) as base, aiohttp.ClientSession() as session:
        client = SseClient(session, f"{base}/away", settings=QUICK)
        assert client.server == ""
        async with aclosing(client.events()) as events:
            await anext(events)
            assert f"http://{client.server}" == base


async def test_a_reconnect_event_is_obeyed() -> None:
    server = Scripted(
        b'id: 1\ndata: a\n\nevent: reconnect\ndata: {"delay_ms": 30}\n\ndata: not read\n\n', b"data: b\n\n"
    )
    states: list[State] = []
    async with served(server) as base:
        events = await follow(f"{base}/comments/v", 3, states)
    assert [event.data for event in events if event.name == "message"] == ["a", "b"]
    assert [state.wait_s for state in states if state.phase is Phase.WAITING] == [0.03]


@pytest.mark.parametrize("data", ["", "[]", "{", '{"delay_ms": "x"}'])
async def test_a_reconnect_event_without_a_delay_means_at_once(data: str) -> None:
    server = Scripted(f"event: reconnect\ndata: {data}\n\n".encode(), b"data: b\n\n")
    async with served(server) as base:
        assert (await follow(f"{base}/comments/v", 2))[1].data == "b"


@pytest.mark.parametrize("response", [web.Response(status=404, text="no"), web.Response(text="hello")])
async def test_permanent_errors_are_raised(response: web.Response) -> None:
    async with served(Scripted(response)) as base:
        with pytest.raises(Refused, match="from http://127"):
            await follow(f"{base}/comments/v", 1)


async def test_keeps_trying_while_nobody_listens() -> None:
    server = Scripted(b"data: a\n\n")
    async with served(server) as base:
        pass
    states: list[State] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await follow(f"{base}/comments/v", 1, states)
    assert len([state for state in states if state.phase is Phase.WAITING]) > 2
