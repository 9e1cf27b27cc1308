"""browser_headers.py: every response of a server has them, whoever makes it; over TLS one more"""

from collections import Counter

import pytest
from starlette.types import Receive, Scope, Send

from proto.http.browser_headers import POLICY_OF_DATA
from proto.http.connection import Run
from proto.http.exchange import Exchange
from proto.http.guard import Guard
from proto.http_settings import HttpSettings
from tests.browser_headers import HSTS, assert_browsers_are_told, headers_of
from tests.proto.http.serving import GET, Serve, Serving, body_of, respond

OWN = "default-src 'self'"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await body_of(receive)
    if scope["path"] == "/fails":
        raise ValueError("on purpose")
    headers = [(b"Content-Security-Policy", OWN.encode())] if scope["path"] == "/own" else []
    await respond(send, b"", 404 if scope["path"] == "/none" else 200, *headers)


def shortcut(exchange: Exchange, run: Run) -> bool:
    if exchange.scope["path"] != "/short":
        return False
    return exchange.respond_whole(b"HTTP/1.1 200 OK\r\n", b"content-length: 0\r\n", b"")


async def head_of(serving: Serving, request: bytes) -> dict[str, str]:
    reader, writer = await serving.connect()
    writer.write(request)
    return headers_of(await reader.readuntil(b"\r\n\r\n"))


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (GET, POLICY_OF_DATA),
        (GET.replace(b"GET", b"HEAD"), POLICY_OF_DATA),
        (GET.replace(b"/ ", b"/short "), POLICY_OF_DATA),
        (GET.replace(b"/ ", b"/none "), POLICY_OF_DATA),
        (GET.replace(b"/ ", b"/own "), OWN),
        (GET.replace(b"/ ", b"/fails "), POLICY_OF_DATA),
        (b"nonsense\r\n\r\n", POLICY_OF_DATA),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: %b\r\n\r\n" % (b"x" * 5000), POLICY_OF_DATA),
    ],
)
async def test_every_response_has_them(serve: Serve, request_: bytes, policy: str) -> None:
    headers = await head_of(await serve(app, shortcut), request_)
    assert_browsers_are_told(headers, request_, policy)
    assert HSTS not in headers


async def test_those_that_are_turned_away_are_told_as_well(serve: Serve) -> None:
    full = await serve(app, connections_max=0)
    assert_browsers_are_told(await head_of(full, GET), "503")
    settings = HttpSettings.parse(["--requests-per-s", "0.1", "--burst-s", "10"])
    guarded = await serve(app, guard=Guard(settings, Counter()))
    assert_browsers_are_told(await head_of(guarded, GET), "200")
    assert_browsers_are_told(await head_of(guarded, GET), "429")


async def test_only_a_trusted_proxy_says_that_there_is_tls(serve: Serve) -> None:
    secure = GET.replace(b"\r\n\r\n", b"\r\nx-forwarded-for: 9.9.9.9\r\nx-forwarded-proto: https\r\n\r\n")
    trusting = HttpSettings.parse(["--trusted-proxies", "127.0.0.0/8"])
    behind = await serve(app, shortcut, guard=Guard(trusting, Counter()), hsts_s=60)
    for path in (b"/ ", b"/short "):
        assert (await head_of(behind, secure.replace(b"/ ", path, 1)))[HSTS] == "max-age=60"
    assert HSTS not in await head_of(behind, secure.replace(b"https", b"http")), "a page in clear"
    assert HSTS not in await head_of(await serve(app), secure), "a stranger says so"
    silent = await serve(app, guard=Guard(trusting, Counter()), hsts_s=0)
    assert HSTS not in await head_of(silent, secure)
