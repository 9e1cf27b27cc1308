"""Who is at the other end of a connection, and what its requests may: by what its proxy writes, and by the guard."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import structlog
from starlette.types import Scope

from proto.core.caller import UNREADABLE, Caller
from proto.core.proxy_protocol import Malformed, begins_with_preface, read_preface
from proto.http.guard import CALLER, GUARD, Guard, Limit, TooMany
from proto.http.requests import Head
from proto.http.unknown_proxies import PREFACE

log = structlog.stdlib.get_logger()

LimitOf = Callable[[Head], Limit | None]
"""Which limit a request counts against beside those of all requests"""


class Adopted(NamedTuple):
    """What another process, which has accepted the connection, tells of its caller"""

    key: str | None
    """See `Caller.key`."""


class BadPreface(Exception):
    """A trusted proxy has written no PROXY header that can be read, and no request."""


class Peer:
    """Of one connection, while that is open."""

    refusal: TooMany | None = None
    """Its address has as many connections as it may."""

    def __init__(
        self, guard: Guard, limit_of: LimitOf, transport: asyncio.Transport, adopted: Adopted | None = None
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._limit_of = limit_of
        self._server = _address(transport.get_extra_info("sockname"))
        self._client = client = _address(transport.get_extra_info("peername"))
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._counted: Callable[[], None] | None = None  # frees what it counts as
        if adopted is None:
            self._meet("" if client is None else client[0])
        else:
            told = self._guard.callers.of_peer("" if client is None else client[0], self._scheme)
            self._caller, self._is_proxy = told._replace(key=adopted.key), False
        self._preface: bytes | None = b"" if self._is_proxy else None
        self._asks: str | None = None  # whose request was read last

    @property
    def awaits_preface(self) -> bool:
        """Whether `requests_of` has to be asked for what arrives"""
        return self._preface is not None

    def close(self) -> None:
        """To be called once, at the end."""
        if self._counted is not None:
            self._counted()

    def requests_of(self, data: bytes) -> bytes:
        """Without what a proxy has written before the first request. Empty: more of that has to come. Raises
        BadPreface."""
        data = (self._preface or b"") + data
        try:
            preface = read_preface(data) if begins_with_preface(data) else None
        except Malformed as malformed:
            log.warning("malformed PROXY header", proxy=self._caller.address, reason=str(malformed))
            raise BadPreface from None
        if preface is not None:
            self._preface = None
            if preface.source:
                self._meet(preface.source)
            return b"" if self._transport.is_closing() else data[preface.length :]
        self._preface = data if begins_with_preface(data) else None
        return data if self._preface is None else b""

    def caller_of(self, head: Head) -> Caller:
        """Who has sent this request"""
        caller = self._guard.callers.behind(self._caller, head.headers) if self._is_proxy else self._caller
        self._asks = caller.key
        return caller

    def over(self, caller: Caller, head: Head, now_s: float) -> TooMany | None:
        """What the caller of this request has too many of. now_s: of a monotonic clock"""
        over = self.refusal or self._over(caller, head, now_s)
        if over is not None and over.status == 429:
            self._guard.unknown_proxies.refused(caller, head.headers, now_s)
        return over

    def _over(self, caller: Caller, head: Head, now_s: float) -> TooMany | None:
        if caller.key is None:
            return None
        if (over := self._guard.over(caller.key, now_s, head.size)) is not None:
            return over
        limit = self._limit_of(head)
        return None if limit is None else limit.over(caller.key, now_s)

    def is_told(self, now_s: float) -> bool:
        """Whether the caller who asked last is told that he is refused. False: the connection is to be cut. One of a
        proxy isn't: it is others' as well."""
        return self._is_proxy or self._guard.tells(self._asks, now_s)

    def bad_head_came(self, data: bytes, size: int, now_s: float) -> bool:
        """Counts what was no request, of whom nobody knows behind a proxy. data: its beginning. size: bytes of all of
        it. False: as for `is_told`."""
        self._asks = UNREADABLE if self._is_proxy else self._caller.key
        if not self._is_proxy and begins_with_preface(data):
            self._guard.unknown_proxies.looks_like_one(self._caller.address, PREFACE, now_s)
        if self._asks is None or self._guard.over(self._asks, now_s, size) is None:
            return True
        return self.is_told(now_s)

    def head_never_came(self, size: int, now_s: float) -> None:
        """Counts the bytes of a head that the connection's end has cut short."""
        self._guard.more_came(UNREADABLE if self._is_proxy else self._caller.key, now_s, size)

    def scope_of(self, head: Head, caller: Caller) -> Scope:
        """ASGI's"""
        headers, client = head.headers, self._client
        if client is not None and client[0] != caller.address:
            client = (caller.address, 0)
        if caller.host is not None:
            headers = [*(line for line in headers if line[0] != b"host"), (b"host", caller.host.encode())]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": head.http_version,
            "server": self._server,
            "client": client,
            "scheme": caller.scheme,
            "method": head.method,
            "root_path": "",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "headers": headers,
            CALLER: caller,
            GUARD: self._guard,
        }

    def body_came(self, size: int, now_s: float) -> None:
        """Counts more bytes of the request that was read last."""
        self._guard.more_came(self._asks, now_s, size)

    def _meet(self, address: str) -> None:
        """Many come through one proxy, so that one's connections aren't counted."""
        self._caller = self._guard.callers.of_peer(address, self._scheme)
        self._is_proxy = self._guard.callers.is_trusted(address)
        guard, key = self._guard, self._caller.key
        if self._is_proxy or key is None:
            return
        if guard.is_deaf_to(key, asyncio.get_running_loop().time()):
            self._transport.abort()
            return
        self.refusal = guard.connections.take(key)
        if self.refusal is None:
            self._counted = partial(guard.connections.free, key)
        elif guard.told.take(key):
            self._counted = partial(guard.told.free, key)
        else:
            self._transport.abort()  # as many others of its address are being told


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple | list) and len(name) >= 2 else None
