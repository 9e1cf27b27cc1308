"""proto/http/come_again.py: who comes back to a stream and is turned away for now comes again"""

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from proto.http.come_again import TRIES_NEXT, ComeAgain, start_over
from scripts.sse_client import Event, SseParser

BACK = {"Last-Event-ID": "x", "Accept": "text/event-stream"}


async def asked(status: int, headers: dict[str, str], method: str = "GET", **more: str) -> tuple[int, str, str]:
    """Status, content type and body, as the server would send them"""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("why", status, more)(scope, receive, send)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await ComeAgain(app)({"type": "http", "method": method, "headers": raw}, receive, send)
    begin, *rest = sent
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    kind = Headers(raw=begin["headers"]).get("content-type", "")
    return begin["status"], kind, b"".join(message["body"] for message in rest).decode()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_what_passes_is_told_to_come_again(status: int) -> None:
    stream = "text/event-stream; charset=utf-8"
    assert await asked(status, BACK) == (200, stream, "retry: 2000\n\n")
    assert await asked(status, BACK, **{"retry-after": "7"}) == (200, stream, "retry: 7000\n\n")


async def test_a_balancer_that_tries_the_next_node_sees_the_status() -> None:
    assert (await asked(503, BACK | {TRIES_NEXT: "1"}))[0::2] == (503, "why")


@pytest.mark.parametrize("status", [429, 500])
async def test_what_a_balancer_passes_on_is_told_to_come_again(status: int) -> None:
    assert (await asked(status, BACK | {TRIES_NEXT: "1"}))[0::2] == (200, "retry: 2000\n\n")


@pytest.mark.parametrize("status", [200, 204, 307, 400, 404, 406])
async def test_all_else_is_as_it_was(status: int) -> None:
    assert (await asked(status, BACK))[0::2] == (status, "why")


@pytest.mark.parametrize(
    "headers",
    [{"Accept": "text/event-stream"}, {"Last-Event-ID": "x", "Accept": "*/*"}, {"Last-Event-ID": "x"}],
)
async def test_whoever_is_new_or_wants_no_stream_gets_the_error(headers: dict[str, str]) -> None:
    assert (await asked(503, headers))[0::2] == (503, "why")


async def test_only_a_get_comes_back() -> None:
    assert (await asked(503, BACK, "POST"))[0] == 503


def test_who_starts_over_is_told_and_forgets_its_position() -> None:
    parser = SseParser()
    parser.feed(b"id: old\ndata: x\n\n")
    assert parser.feed(start_over(3)) == [Event("gap", '{"reason":"unknown_position"}', "")]
    assert (parser.last_event_id, parser.retry_ms) == ("", 3000)
