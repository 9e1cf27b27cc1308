"""Whole answers: the same bytes whichever way they go"""

from typing import Any

from starlette.types import ASGIApp

from comment_service.http.whole_responses import ORIGINS_MAX, Head, WholeResponses
from proto.http.cors import Cors


async def nothing(*_: Any) -> None:
    """An app that is never asked"""


def answers(**rules: Any) -> WholeResponses:
    return WholeResponses(Cors(nothing, **rules))


async def never() -> Any:
    raise AssertionError("nobody needs the body")


class Ending:
    """A request whose connection ends with the response: it has to be sent in the usual way"""

    def respond_whole(self, *_: bytes) -> bool:
        return False


async def sent(whole: WholeResponses, origin: bytes | None, head: Head, body: bytes) -> list[Any]:
    messages: list[Any] = []
    apps: list[ASGIApp] = []

    async def send(message: Any) -> None:
        messages.append(message)

    whole.give(Ending(), apps.append, origin, head, body)  # type: ignore[arg-type]
    (app,) = apps
    await app({"type": "http"}, never, send)
    return messages


async def test_what_cors_adds_is_added() -> None:
    whole = answers(allow_origins=["https://here.example"])
    head = Head(200, [(b"etag", b'"x"')])
    assert head.status_line + head.lines == b'HTTP/1.1 200 OK\r\netag: "x"\r\n'
    (start, body) = await sent(whole, b"https://here.example", head, b"{}")
    assert start["headers"] == [
        (b"content-length", b"2"),
        (b"etag", b'"x"'),
        (b"access-control-allow-origin", b"https://here.example"),
        (b"vary", b"Origin"),
    ]
    assert body["body"] == b"{}"
    (start, _) = await sent(whole, b"https://stranger.example", head, b"{}")
    assert b"access-control-allow-origin" not in dict(start["headers"])


async def test_what_is_unchanged_has_no_length() -> None:
    (start, body) = await sent(answers(allow_origins=["*"]), None, Head(304, [(b"etag", b'"x"')]), b"")
    assert start["status"] == 304
    assert b"content-length" not in dict(start["headers"])
    assert body["body"] == b""


async def test_any_number_of_origins_may_come() -> None:
    whole = answers(allow_origins=["*"])
    for n in range(ORIGINS_MAX + 2):
        await sent(whole, b"https://%d.example" % n, Head(200, []), b"")
        assert len(whole._origins) <= ORIGINS_MAX
