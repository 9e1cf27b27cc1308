"""Models of browsers over HTTP/2: each has one connection, shared by the EventSources of its tabs.

An EventSource does as Chromium's: it follows redirects, and after a cut it asks again, with its position, the URL that
it was redirected to; any status but 200 ends it for good. It keeps a stream through a GOAWAY, and opens the next one on
another connection.
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from yarl import URL

from scripts.audience import Record
from scripts.sse_client import SseParser
from tests.waiting import eventually

REDIRECTS_MAX = 20  # as in the Fetch standard
READ_BYTES = 1 << 16
WINDOW_BYTES = 1 << 24


class Cut(Exception):
    """The stream ended before its end, or couldn't begin."""


class Ended(Exception):
    """The EventSource has ended for good: an answer other than 200."""


class Connection:
    """One HTTP/2 connection. Its streams' events are read from queues."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.takes_streams = True
        self._reader, self._writer = reader, writer
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._queues: dict[int, asyncio.Queue[h2.events.Event | None]] = {}
        self._http.initiate_connection()
        self._http.increment_flow_control_window(WINDOW_BYTES)
        self._send()
        self.reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: URL, context: ssl.SSLContext) -> "Connection":
        """Raises OSError."""
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        return cls(reader, writer)

    async def close(self) -> None:
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def get(self, url: URL, headers: Iterable[tuple[str, str]]) -> AsyncGenerator[h2.events.Event, None]:
        """The events of one stream up to its end. Raises Cut."""
        try:
            number = self._http.get_next_available_stream_id()
            queue = self._queues[number] = asyncio.Queue()
            pseudo = [
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", url.authority),
                (":path", url.raw_path_qs),
            ]
            self._http.send_headers(number, [*pseudo, *headers], end_stream=True)
        except h2.exceptions.ProtocolError as error:
            raise Cut(str(error)) from error
        self._send()
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, h2.events.StreamReset):
                    raise Cut(f"reset: {event.error_code}")
                yield event
                if isinstance(event, h2.events.StreamEnded):
                    return
            raise Cut("the connection ended")
        finally:
            del self._queues[number]
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._http.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
                self._send()

    async def _read(self) -> None:
        try:
            while chunk := await self._reader.read(READ_BYTES):
                for event in self._http.receive_data(chunk):
                    self._take(event)
                self._send()
        except OSError:
            pass
        finally:
            self.takes_streams = False
            self._writer.close()
            for queue in self._queues.values():
                queue.put_nowait(None)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.takes_streams = False
            # A GOAWAY ends no stream (RFC 9113, 6.8), but h2 thinks that nothing may follow it.
            self._http.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            return
        if isinstance(event, h2.events.DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        queue = self._queues.get(getattr(event, "stream_id", None) or 0)
        if queue is not None:
            queue.put_nowait(event)

    def _send(self) -> None:
        if not self._writer.is_closing():
            self._writer.write(self._http.data_to_send())


class Browser:
    """`tabs` EventSources of one video"""

    def __init__(self, url: str, tabs: int, context: ssl.SSLContext) -> None:
        self.sources = [Source(self, URL(url)) for _ in range(tabs)]
        self._context = context
        self._connections: list[Connection] = []
        self._opening = asyncio.Lock()

    async def connection(self, url: URL) -> Connection:
        """One that takes new streams. Raises OSError."""
        async with self._opening:
            if not self._connections or not self._connections[-1].takes_streams:
                self._connections.append(await Connection.open(url, self._context))
            return self._connections[-1]

    @property
    def connections(self) -> int:
        """opened so far"""
        return len(self._connections)

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))


class Source:
    """One EventSource"""

    def __init__(self, browser: Browser, url: URL) -> None:
        self.record = Record()
        self.is_open = False
        self.opened = 0
        self.redirects = 0
        self.url = url
        self.named: list[str] = []
        """other events than comments, by name"""
        self.history: list[str] = []
        """why each connection ended, and with what position the next one began"""
        self._browser = browser
        self._last_event_id = ""
        self._retry_ms = 200

    async def run(self) -> None:
        """For ever. Raises Ended."""
        while True:
            try:
                await self._connect(REDIRECTS_MAX)
                end = "its end"
            except (Cut, OSError) as cut:
                end = str(cut)
            self.history.append(f"{end}, after {self._last_event_id or 'nothing'}")
            self.is_open = False
            await asyncio.sleep(self._retry_ms / 1000)

    async def _connect(self, redirects: int) -> None:
        headers = [("accept", "text/event-stream"), ("cache-control", "no-cache"), ("accept-encoding", "identity")]
        if self._last_event_id:
            headers.append(("last-event-id", self._last_event_id))
        connection = await self._browser.connection(self.url)
        parser = SseParser()
        async with contextlib.aclosing(connection.get(self.url, headers)) as events:
            async for event in events:
                if isinstance(event, h2.events.ResponseReceived):
                    answer = {name.decode(): value.decode() for name, value in event.headers}
                    if answer[":status"] == "307" and redirects:
                        self.url = self.url.join(URL(answer["location"], encoded=True))
                        self.redirects += 1
                        break
                    if answer[":status"] == "503" and not self.opened:
                        raise Cut("a busy machine; whoever loads a page tries again")
                    if answer[":status"] != "200" or not answer["content-type"].startswith("text/event-stream"):
                        raise Ended(f"{self.url}: {answer}")
                    self.is_open = True
                    self.opened += 1
                elif isinstance(event, h2.events.DataReceived):
                    self._read(parser, event.data)
            else:
                return
        await self._connect(redirects - 1)

    def _read(self, parser: SseParser, chunk: bytes) -> None:
        for event in parser.feed(chunk):
            if event.name == "message":
                self.record.arrived(json.loads(event.data)["id"], time.monotonic())
            else:
                self.named.append(f"gap {event.data}" if event.name == "gap" else event.name)
        self._last_event_id = parser.last_event_id or self._last_event_id
        self._retry_ms = parser.retry_ms or self._retry_ms


class Crowd:
    """`count` viewers of one video, in browsers with `tabs` tabs each"""

    def __init__(self, url: str, count: int, certificates: Path, tabs: int = 20) -> None:
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        context.set_alpn_protocols(["h2"])
        self.browsers = [Browser(url, tabs, context) for _ in range(count // tabs)]
        self.sources = [source for browser in self.browsers for source in browser.sources]

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Enters when all streams are open. Raises Ended if one was ended for good."""
        tasks = [asyncio.create_task(source.run()) for source in self.sources]
        try:
            await self._wait(tasks, lambda: all(source.is_open for source in self.sources))
            yield
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(browser.close() for browser in self.browsers))
        for outcome in outcomes:
            if not isinstance(outcome, asyncio.CancelledError):
                raise outcome or AssertionError("a viewer has left")

    async def wait_for(self, comment_ids: set[str]) -> None:
        """Returns when all have all of them; after a bound, with whatever they have."""
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: all(comment_ids <= each.record.read_at_s.keys() for each in self.sources), 30)

    @staticmethod
    async def _wait(tasks: list[asyncio.Task[None]], condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            for task in tasks:
                if task.done():
                    task.result()
            return condition()

        await eventually(holds)
