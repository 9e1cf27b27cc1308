"""A client for server-sent events: it parses the stream, and reconnects after every cut.

The parser follows the WHATWG's "Server-sent events" (html.spec.whatwg.org, section 9.2) and touches no socket. The
client does what our documents ask of every client: it reconnects to the *original* URL with `last_event_id=`, and never
to the server that it was redirected to, because that server may be the one that died. (EventSource does the latter.)
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
import msgspec
from yarl import URL

from scripts.config import SSE, SseSettings

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """id: the last event id as of this event, which a client sends when it resumes."""

    name: str
    data: str
    id: str


class TooLong(Exception):
    """A line or an event is longer than a client may be made to keep. The stream can't be read on."""


class SseParser:
    """Turns bytes into events. The events are the same however the bytes are split into chunks, and the work is linear
    in the bytes."""

    def __init__(self, event_bytes_max: int = SSE.event_bytes_max) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._event_bytes_max = event_bytes_max
        self._line = bytearray()  # the beginning of a line whose end has not arrived
        self._at_start = True
        self._skip_lf = False  # the last byte was a CR: a LF that follows belongs to it
        self._name = ""
        self._data: list[str] = []
        self._data_bytes = 0
        self._id = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """Raises TooLong."""
        if self._at_start:
            chunk = bytes(self._line) + chunk
            self._line.clear()
            if len(chunk) < len(BOM) and BOM.startswith(chunk):
                self._line += chunk
                return []
            self._at_start = False
            chunk = chunk.removeprefix(BOM)
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        lines = chunk.splitlines(keepends=True)  # for bytes: at LF, CR and CRLF, and nowhere else
        rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        self._skip_lf = self._skip_lf or (bool(lines) and not rest and lines[-1].endswith(b"\r"))
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        events = [event for line in lines if (event := self._take(line.rstrip(b"\r\n"))) is not None]
        self._line += rest
        if len(self._line) + self._data_bytes > self._event_bytes_max:
            raise TooLong(f"an event is longer than {self._event_bytes_max} bytes")
        return events

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode(errors="replace")
        match field:
            case b"data":
                self._data.append(text)
                self._data_bytes += len(line)
            case b"event":
                self._name = text
            case b"id" if "\0" not in text:
                self._id = text
            case b"retry" if text.isascii() and text.isdigit():
                self.retry_ms = int(text)
        return None  # anything else is ignored, also a comment (an empty field name)

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        name, data = self._name, self._data
        self._name, self._data, self._data_bytes = "", [], 0
        return Event(name or "message", "\n".join(data), self._id) if data else None


class Phase(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class State:
    """reason, wait_s: why and for how long the client waits, if the phase is WAITING."""

    phase: Phase
    reason: str = ""
    wait_s: float = 0.0


class Cut(Exception):
    """This connection has ended, and the next one should not begin before `wait_s` (0: at any time)."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Refused(Exception):
    """The server's response will always be the same (400, 404, no event stream), so a retry would not help."""


class SseClient:
    """Follows one URL as long as somebody iterates over `events()`.

    It passes on every event that the server sends. A caller that must not see an id twice has to check that itself.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        on_state: Callable[[State], object] = lambda state: None,
        settings: SseSettings = SSE,
    ) -> None:
        self.last_event_id = ""
        self.connections = 0  # streams that were opened so far
        self.server = ""  # host:port of the current stream, after all redirects; empty: not connected
        self._session = session
        self._url = URL(url)
        self._on_state = on_state
        self._settings = settings
        self._failures = 0  # in a row
        self._retry_ms: int | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """Ends only when the caller stops, or raises Refused."""
        while True:
            self._on_state(State(Phase.CONNECTING))
            try:
                async for event in self._one_connection():
                    yield event
                    self._obey(event)
                cut = Cut("the server has ended the stream")
            except Cut as early:
                cut = early
            except (aiohttp.ClientError, TimeoutError, OSError, TooLong) as error:
                cut = Cut(str(error) or type(error).__name__)
            self.server = ""
            wait_s = self._wait_s(cut)
            self._on_state(State(Phase.WAITING, str(cut), wait_s))
            await asyncio.sleep(wait_s)

    async def _one_connection(self) -> AsyncIterator[Event]:
        url = self._url.update_query(last_event_id=self.last_event_id) if self.last_event_id else self._url
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._settings.connect_timeout_s, sock_read=self._settings.silence_max_s
        )
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(self._settings.open_timeout_s):
                asking = self._session.get(url, headers=headers, timeout=timeout)
                response = await stack.enter_async_context(asking)
            await _check(response)
            self.connections += 1
            self.server = response.url.authority
            self._failures = 0
            self._on_state(State(Phase.LIVE))
            parser = SseParser(self._settings.event_bytes_max)
            async for chunk in response.content.iter_any():
                for event in parser.feed(chunk):
                    self.last_event_id = event.id or self.last_event_id
                    yield event
                self._retry_ms = parser.retry_ms or self._retry_ms

    def _obey(self, event: Event) -> None:
        """Raises Cut on `reconnect`: the server is being drained, and asks this viewer to reconnect after a delay."""
        if event.name == "reconnect":
            raise Cut("the server asks to reconnect", _delay_ms(event.data) / 1000)

    def _wait_s(self, cut: Cut) -> float:
        """The server's `retry:`, or ours; doubled for each failure in a row; jittered; at least the cut's own."""
        first_ms = self._settings.retry_first_ms if self._retry_ms is None else self._retry_ms
        backoff_ms = max(first_ms, min(self._settings.retry_max_ms, first_ms << min(self._failures, 16)))
        self._failures += 1
        return max(cut.wait_s, backoff_ms / 1000 * random.uniform(0.5, 1.0))


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raises Cut for temporary errors (5xx, 429), Refused for permanent ones."""
    if response.status == 200 and response.content_type == "text/event-stream":
        return
    reason = f"{response.status} from {response.url.origin()}: {(await response.text(errors='replace'))[:300].strip()}"
    if response.status == 429 or response.status >= 500:
        raise Cut(reason, retry_after_s(response))
    raise Refused(reason)


def retry_after_s(response: aiohttp.ClientResponse) -> float:
    """The seconds that Retry-After asks for; 0 if there is none, or if it is a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _delay_ms(data: str) -> float:
    try:
        delay = msgspec.json.decode(data, type=dict[str, object]).get("delay_ms")
    except msgspec.DecodeError:
        return 0.0
    return float(delay) if isinstance(delay, int | float) else 0.0
