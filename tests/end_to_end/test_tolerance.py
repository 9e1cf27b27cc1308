"""What real clients send gets the answer that its sender means, from each service that listens for HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from proto.settings import split_address
from tests.system import System
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACE, STREAM, PAGE, POLL, EMPTY = "a place", "a stream", "a page", "an answer to a poll", "nothing"
SERVICES = ("comment-service", "rms", "door")


class Row(NamedTuple):
    """A request; what the comment_service, and what a node and the door are to answer: one of the above, or a status"""

    what: str
    request: bytes
    comment_service: str | int
    node: str | int


def get(path: str = "/comments/demo", *lines: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {path} {version}", "Host: x", *lines, "", ""]).encode()


ES = "Accept: text/event-stream"
BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
BODY = b'{"liveVideoId": "demo", "message": "hello"}'


def post(*lines: str, path: str = "/comment/create", body: bytes = BODY) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *lines, "", ""]
    return "\r\n".join(head).encode() + body


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = b"5;ext=1\r\n" + BODY[:5] + b"\r\n%X\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n"

ROWS = [
    # What is accepted
    Row("no Accept", get(), PAGE, STREAM),
    Row("an empty Accept", get("/comments/demo", "Accept:"), PAGE, STREAM),
    Row("anything", get("/comments/demo", "Accept: */*"), PAGE, STREAM),
    Row("a stream", get("/comments/demo", ES), PLACE, STREAM),
    Row("in capitals", get("/comments/demo", "ACCEPT: TEXT/EVENT-STREAM"), PLACE, STREAM),
    Row("with a charset", get("/comments/demo", "Accept: text/event-stream; charset=utf-8"), PLACE, STREAM),
    Row("any text", get("/comments/demo", "Accept: text/*"), PLACE, STREAM),
    Row("a stream rather", get("/comments/demo", "Accept: application/json;q=0.5, text/event-stream"), PLACE, STREAM),
    Row("JSON rather", get("/comments/demo", "Accept: application/json, text/event-stream;q=0.5"), PAGE, STREAM),
    Row("in two lines", get("/comments/demo", "Accept: application/json;q=0.1", ES), PLACE, STREAM),
    Row("an odd weight", get("/comments/demo", "Accept: text/event-stream;q=high"), PLACE, STREAM),
    Row("JSON", get("/comments/demo", "Accept: application/json"), PAGE, 406),
    Row("no stream", get("/comments/demo", "Accept: text/event-stream;q=0"), PAGE, 406),
    Row("what the address bar sends", get("/comments/demo", BROWSER), PAGE, STREAM),
    # Header names, and what comes before and behind
    Row("lower-case names", get("/comments/demo", ES.lower()).replace(b"Host", b"host"), PLACE, STREAM),
    Row("no blank behind the colon", get("/comments/demo", ES.replace(": ", ":")), PLACE, STREAM),
    Row("empty lines first", b"\r\n\r\n" + get("/comments/demo", ES), PLACE, STREAM),
    Row("close", get("/comments/demo", ES, "Connection: close"), PLACE, STREAM),
    Row("keep-alive, in capitals", get("/comments/demo", ES, "Connection: Keep-Alive"), PLACE, STREAM),
    Row("a body of none", get("/comments/demo", ES, "Content-Length: 0"), PLACE, STREAM),
    Row("a body that nobody needs", get("/comments/demo", ES, "Content-Length: 2") + b"{}", PLACE, STREAM),
    # Queries
    Row("a cache buster", get("/comments/demo?_=1699999999999", ES), PLACE, STREAM),
    Row("Yaffle's polyfill", get("/comments/demo?lastEventId=&r=0.123", ES), PLACE, STREAM),
    Row("amvtek's polyfill", get("/comments/demo?evs_preamble=2056&evs_last_event_id=", ES), PLACE, STREAM),
    Row("statistics", get("/comments/demo?utm_source=a&fbclid=b&gclid=c&_ga=d&mc_cid=e&msclkid=f", ES), PLACE, STREAM),
    Row("statistics of a page", get("/comments/demo?utm_source=a&fbclid=b&gclid=c&_ga=d&msclkid=f&_=1"), PAGE, STREAM),
    Row("a question mark alone", get("/comments/demo?", ES), PLACE, STREAM),
    Row("ampersands", get("/comments/demo?&&_=1&", ES), PLACE, STREAM),
    # Paths
    Row("a trailing slash", get("/comments/demo/", ES), PLACE, STREAM),
    Row("a page's trailing slash", get("/comments/demo/?pagesize=5"), PAGE, STREAM),
    Row("repeated slashes", get("//comments///demo//", ES), PLACE, STREAM),
    Row("an encoded letter", get("/comments/%64emo", ES), PLACE, STREAM),
    Row("an encoded colon", get("/comments/demo%3A1", ES), PLACE, STREAM),
    Row("an encoded slash", get("/comments%2Fdemo", ES), PLACE, STREAM),
    Row("the absolute form", get("http://example.org/comments/demo", ES), PLACE, STREAM),
    Row("the absolute form with a query", get("http://example.org:81/comments/demo?_=1", ES), PLACE, STREAM),
    Row("a wrong path", get("/comment5/demo", ES), 404, 404),
    Row("what isn't encoded", get("/comments/d\u00e9mo", ES), 400, 400),
    # Versions
    Row("HTTP/1.0", b"GET /comments/demo HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n", PLACE, STREAM),
    Row("HTTP/1.0, kept alive", get("/comments/demo", "Connection: keep-alive", version="HTTP/1.0"), PAGE, STREAM),
    Row("an offer of h2c", get("/comments/demo", ES, *H2C), PLACE, STREAM),
    Row("an offer of a WebSocket", get("/comments/demo", "Connection: Upgrade", "Upgrade: websocket"), PAGE, STREAM),
    Row("HTTP/2 without an offer", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 400),
    # Methods
    Row("HEAD", get("/comments/demo", ES, method="HEAD"), PLACE, EMPTY),
    Row("HEAD of a page", get(method="HEAD"), EMPTY, EMPTY),
    Row("HEAD of a health check", get("/health/live", method="HEAD"), EMPTY, EMPTY),
    Row("OPTIONS", get(method="OPTIONS"), 204, 204),
    Row(
        "OPTIONS of a preflight",
        get(
            "/comments/demo",
            "Origin: http://a",
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: last-event-id,cache-control",
            method="OPTIONS",
        ),
        200,
        200,
    ),
    Row("a method that isn't there", get(method="PUT"), 405, 405),
    # Long polls
    Row("a poll", get("/comments/demo?wait=0", "Accept: application/json"), PLACE, POLL),
    Row("a poll without Accept", get("/comments/demo?wait=0"), PLACE, POLL),
    Row("a poll of anything", get("/comments/demo/?_=1&wait=0", "Accept: */*"), PLACE, POLL),
    Row("a poll over HTTP/1.0", get("/comments/demo?wait=0", version="HTTP/1.0"), PLACE, POLL),
    Row("a poll's HEAD", get("/comments/demo?wait=0", method="HEAD"), PLACE, EMPTY),
    Row("a stream with wait", get("/comments/demo?wait=0", ES), PLACE, STREAM),
    # Posts
    Row("a post", post(LENGTH), 200, 404),
    Row("a post in chunks", post("Transfer-Encoding: chunked", body=CHUNKED), 200, 404),
    Row("a post in lower case", post(LENGTH).replace(b"Content-", b"content-").replace(b"Host", b"host"), 200, 404),
    Row("a post to a trailing slash", post(LENGTH, path="/comment/create/"), 200, 404),
    Row("a post in the absolute form", post(LENGTH, path="http://example.org/comment/create"), 200, 404),
    Row("a post behind empty lines", b"\r\n" + post(LENGTH), 200, 404),
    Row("a post that ends the connection", post(LENGTH, "Connection: close"), 200, 404),
    Row("a post with an offer of h2c", post(LENGTH, *H2C), 200, 404),
    Row("a post with a charset", post(LENGTH).replace(b"/json", b"/JSON; charset=UTF-8"), 200, 404),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system() -> AsyncIterator[System]:
    async with System(dispatchers=1, rms=1, door=True) as system:
        yield system


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    """all of it, or the beginning of a stream's"""


async def send(address: str, request: bytes, then: bytes = b"") -> Answer:
    """then: what is sent after a 100 (Continue)"""
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            if then:
                assert head == b"HTTP/1.1 100 Continue\r\n\r\n"
                writer.write(then)
                head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            if b"HEAD " in request[:9] or first.split()[1] == "204":
                writer.write_eof()
                body = await reader.read()
            elif "content-length" in headers:
                body = await reader.readexactly(int(headers["content-length"]))
            else:
                body = await reader.read(65_536)
    finally:
        writer.close()
    return Answer(int(first.split()[1]), headers, body)


def kind(answer: Answer) -> str | int:
    """What it is, by what makes it that"""
    status, headers, body = answer
    if status == 307:
        assert "/comments/demo" in headers["location"]
        return PLACE
    if status != 200:
        if status >= 400:
            assert json.loads(body)["error"]["message"]
        return status
    if not body:
        return EMPTY
    if headers.get("content-type", "").startswith("text/event-stream"):
        assert b"retry: " in body
        return STREAM
    if headers.get("content-type") == "application/json":
        found = json.loads(body)
        return PAGE if "comments" in found else POLL if "position" in found else 200
    return 200


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
async def test_each_gets_what_it_means(system: System, row: Row) -> None:
    for service in SERVICES:
        answer = await send(system.plan[service][0].address, row.request)
        assert kind(answer) == (row.comment_service if service == "comment-service" else row.node), (service, answer)
        if row.request.split()[0] == b"OPTIONS" and answer.status == 204:
            assert "GET" in answer.headers["allow"]


async def test_who_waits_for_100_gets_it_first(system: System) -> None:
    address = system.plan["comment-service"][0].address
    answer = await send(address, post(LENGTH, "Expect: 100-continue", body=b""), BODY)
    assert answer.status == 200
    for service in SERVICES:  # a GET that expects it has no body to send
        answer = await send(system.plan[service][0].address, get("/comments/demo", ES, "Expect: 100-continue"))
        assert answer.status in (200, 307), service


NAMED, OTHER = "https://page.example", "https://other.example"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def with_origins() -> AsyncIterator[System]:
    """A node with room for one"""
    flags = {
        "comment-service": ("--cors-origins", f"{NAMED},https://b.example"),
        "rms": ("--credentials-origins", NAMED, "--capacity", "1"),
        "door": ("--credentials-origins", NAMED),
    }
    async with System(dispatchers=1, rms=1, door=True, more_flags=lambda role: flags.get(role, ())) as system:
        yield system


def for_pages(answer: Answer, service: str, origin: str) -> None:
    """The page may read it, with credentials if it is named; comment_service, which posts, lets no other page in."""
    allowed = answer.headers.get("access-control-allow-origin")
    if origin == NAMED:
        assert allowed == NAMED, answer
        assert answer.headers["access-control-allow-credentials"] == "true"
    else:
        assert allowed == (None if service == "comment-service" else "*"), answer
        assert service == "comment-service" or "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", [NAMED, OTHER])
async def test_pages_may_read_whatever_is_answered(with_origins: System, origin: str) -> None:
    says = f"Origin: {origin}"
    address = {service: with_origins.plan[service][0].address for service in SERVICES}
    for service in SERVICES:
        for what, request, status in (
            ("a wrong path", get("/nothing", says), {404}),
            ("a wrong id", get("/comments/a%20b", ES, says), {400}),
            ("a wrong method", get("/comments/demo", says, method="PUT"), {405}),
            ("a poll", get("/comments/demo?wait=0", says), {307, 503} if service == "comment-service" else {200, 503}),
            ("a stream", get("/comments/demo", ES, says), {307, 503} if service == "comment-service" else {200, 503}),
        ):
            answer = await send(address[service], request)
            assert answer.status in status, (service, what, answer)
            for_pages(answer, service, origin)
    reader, writer = await asyncio.open_connection(*split_address(address["rms"]))
    await eventually(lambda: is_taken(writer, reader))
    for service in ("rms", "door"):
        for request in (get("/comments/demo", ES, says), get("/comments/demo?wait=0", says)):
            answer = await send(address[service], request)
            assert answer.status == 503, (service, answer)
            assert int(answer.headers["retry-after"]) >= 1
            for_pages(answer, service, origin)
    writer.close()


async def is_taken(writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
    """Whether this connection holds the node's one seat: others have left theirs, and it may not be known yet"""
    writer.write(get("/comments/demo", ES))
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " in head.split(b"\r\n")[0]:
        return True
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return False


async def test_a_preflight_is_remembered(with_origins: System) -> None:
    for service in SERVICES:
        lines = (f"Origin: {NAMED}", "Access-Control-Request-Method: GET")
        wishes = "Access-Control-Request-Headers: last-event-id, cache-control"
        request = get("/comments/demo", *lines, wishes, method="OPTIONS")
        answer = await send(with_origins.plan[service][0].address, request)
        assert answer.status == 200, (service, answer)
        assert int(answer.headers["access-control-max-age"]) == 7_200
        for_pages(answer, service, NAMED)
