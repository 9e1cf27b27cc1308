"""Lets viewers in: checks that there is room, finds where they enter their video's log, and sends what comes first."""

import asyncio
import math
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from history.store import StoreUnavailable
from proto.http.browser_headers import BROWSER_LINES
from proto.http.come_again import come_again, comes_back, is_passing, stream_that_ends
from proto.http.cors import origin_headers
from proto.http.responses import error_response
from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.feed.byte_log import EditionOffset, FeedOffset
from rms.feed.editions import Form
from rms.feed.entry import Attach
from rms.feed.polled import Answer, Answers, own_event
from rms.feed.sse import heartbeat_event, retry_line
from rms.http.allowances import Allowances
from rms.sending.audience import Audience, CountedViewer, Seat, Viewer, stream_ends_ms
from rms.sending.polled import answer_from
from rms.sending.streamed import stream_from
from rms.sending.sweep import Sweeper
from rms.videos.drain import Drain, reconnect_words
from rms.videos.records import EVENT, record_frame
from rms.videos.request import Refused, StreamRequest
from rms.videos.seats import Seats
from rms.videos.served import CannotOpen, ServedVideos, TooManyVideos
from rms.videos.video import ServedVideo

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx must pass on each event at once
    **origin_headers("", ()),
    "vary": "accept-encoding",
}

Find = Callable[[], Awaitable[Attach[FeedOffset]]]
"""Gives the place in its video's log at which a viewer enters now"""

TakeSocket = Callable[[], Awaitable[int | None]]
"""Gives the viewer's socket, non-blocking and registered with no event loop; None if it can't be had"""


class Viewers:
    def __init__(
        self, settings: RmsSettings, served: ServedVideos, sweeper: Sweeper, drain: Drain, allowances: Allowances
    ) -> None:
        self._settings = settings
        self._served = served
        self._sweeper = sweeper
        self._drain = drain
        self._allowances = allowances
        self._credentials_origins = settings.credentials_origins_known()
        self._heartbeat_event = heartbeat_event(settings.heartbeat_ms)
        self._entering = 0
        self._streamed = 0
        self._answers = Answers()
        self._seats = Seats(settings.poll_rest_ms / 1000, served.release)

    def __len__(self) -> int:
        """Viewers that are in or entering"""
        return len(self._sweeper) + self._entering + self._streamed + len(self._seats)

    @property
    def takes_more(self) -> bool:
        return not self._drain.draining and len(self) < self._settings.capacity

    async def enter(
        self, asked: StreamRequest, take: TakeSocket, key: str | None = None
    ) -> AsyncIterator[bytes] | None:
        """Takes the viewer's socket, sends on it from now on, and returns None. If `take` gives no socket: returns the
        body of a response to stream. Raises Refused; then no socket was taken. key: what its address is counted by;
        None: it has no limits."""
        async with self._admitted(asked, key) as (video, find, seat):
            return await self._let_in(video, asked, find, take, seat)

    async def answer(
        self, asked: StreamRequest, woken: asyncio.Event, is_gone: Callable[[], bool], key: str | None = None
    ) -> Answer:
        """What a viewer is answered who asked with `wait`. woken: to be set when `is_gone` may have become true. key:
        as for `enter`. Raises Refused."""
        assert asked.wait_s is not None
        if asked.position is not None:
            self._seats.take(asked.video_id, key)
        async with self._admitted(asked, key) as (video, find, seat):
            attach = await find()
            audience = self._served.audience(video, Form(asked.form.rate, claims=attach.claims))
            self._drain.waiters.add(woken)
            try:
                answer = await answer_from(
                    self._answers,
                    audience,
                    "" if asked.position is None else str(asked.position),
                    audience.edition.attach(attach, wall_ms()),
                    asked.wait_s,
                    self._settings.poll_bytes_max,
                    woken,
                    lambda: self._drain.draining or is_gone(),
                )
            finally:
                self._drain.waiters.discard(woken)
            if not any(event.event == "viewers" for event in answer.events):
                count = max(video.viewers, video.total_viewers)
                answer.events.append(own_event("viewers", {"viewers": count}))
            if video.record:
                answer.events.append(own_event(EVENT, msgspec.Raw(video.record)))
            if self._drain.draining:
                answer.events.append(own_event("reconnect", self._drain.word_to_waiting()))
            if not self._drain.draining and not is_gone():
                video.holds += 1  # until the seat is given up
                self._seats.keep(video, seat, key)
            elif seat is not None:
                seat.free()
            return answer

    @asynccontextmanager
    async def _admitted(
        self, asked: StreamRequest, key: str | None
    ) -> AsyncIterator[tuple[ServedVideo, Find, Seat | None]]:
        """The open video, how to find the viewer's place in its log, and its seat, which is the caller's to free unless
        it raises. Raises Refused."""
        self._refuse_if_draining()
        if len(self) >= self._settings.capacity:
            raise Refused(503, "full", "this node is full: ask the original URL again later")
        seat = self._allowances.take_seat(key)
        self._entering += 1
        try:
            async with self._opened(asked.video_id, key) as video:
                find = await self._way_in(video, asked, key)
                async with self._served.entering.room(video, asked.position, key):
                    yield video, find, seat
        except BaseException:
            if seat is not None:
                seat.free()
            raise
        finally:
            self._entering -= 1

    @asynccontextmanager
    async def _opened(self, video_id: str, key: str | None) -> AsyncIterator[ServedVideo]:
        """Raises Refused."""
        try:
            if not self._served.serves(video_id):
                self._allowances.open_video(key)
            video = await self._served.enter(video_id)
        except TooManyVideos:
            raise Refused(503, "too_many_videos", "this node serves as many videos as it may") from None
        except CannotOpen:
            raise Refused(503, "video_unavailable", "this video can't be opened now: try again later") from None
        try:
            yield video
        finally:
            self._served.release(video)

    def _refuse_if_draining(self) -> None:
        if self._drain.draining:
            raise Refused(503, "draining", "this node takes no more viewers: ask the original URL again")

    async def _way_in(self, video: ServedVideo, asked: StreamRequest, key: str | None) -> Find:
        history, read, held_from = None, True, video.feed.held_from
        try:
            before_read = partial(self._allowances.read_history, key)
            history = await self._served.entering.history_for(video, asked.position, asked.backfill, before_read)
        except StoreUnavailable:
            read = False
        self._refuse_if_draining()  # it may have begun meanwhile
        come = (video, asked.position, asked.backfill, history, read, key, held_from)
        return partial(self._served.entering.place, *come)

    async def _let_in(
        self, video: ServedVideo, asked: StreamRequest, find: Find, take: TakeSocket, seat: Seat | None
    ) -> AsyncIterator[bytes] | None:
        fd = await take()
        if fd is None:
            return self._streamed_body(video, asked.form._replace(gzip=False, chunked=False), await find(), seat)
        try:
            attach = await find()
            audience = self._served.audience(video, asked.form._replace(claims=attach.claims))
            private, offset, _ = audience.edition.attach(attach, wall_ms())
            edition = audience.edition
            head = self._stream_head(edition.encoding, audience.form.chunked, asked.origin)
            head += edition.begin(self._first(video, audience.form))
            viewer = (
                Viewer(fd, audience, head + private, offset)
                if seat is None
                else CountedViewer(fd, audience, head + private, offset, seat)
            )
            viewer.ends_ms = stream_ends_ms(self._settings.stream_age_s_max, monotonic_ms())
        except BaseException:
            os.close(fd)
            raise
        self._sweeper.add(viewer)
        return None

    def _stream_head(self, encoding: str, chunked: bool, origin: str) -> bytes:
        head = STREAM_HEADS[encoding, chunked]
        if origin not in self._credentials_origins:
            return head
        return head.replace(_FOR_ALL_PAGES, _lines({**origin_headers(origin, (origin,)), "vary": "origin"}))

    def _first(self, video: ServedVideo, form: Form) -> bytes:
        """What a viewer reads first: when to reconnect, jittered, so that the viewers of a dead node don't all do it at
        once; a heartbeat, if they are events, which says how often they come; and what is known of the video"""
        retry_ms = self._settings.retry_ms
        retry = retry_line(random.randint(retry_ms // 2, retry_ms * 3 // 2))
        first = retry + self._heartbeat_event if form.beat_events else retry
        return first + record_frame(video)

    async def _streamed_body(
        self, video: ServedVideo, form: Form, attach: Attach[FeedOffset], seat: Seat | None
    ) -> AsyncIterator[bytes]:
        settings = self._settings

        def enter(attach: Attach[FeedOffset]) -> tuple[Audience, Attach[EditionOffset]]:
            audience = self._served.audience(video, form._replace(claims=attach.claims))
            return audience, audience.edition.attach(attach, wall_ms())

        async def resume(stood_at: bytes | None) -> tuple[Audience, Attach[EditionOffset]]:
            return enter(await self._served.entering.resume(video, stood_at, None if seat is None else seat.key))

        audience, entered = enter(attach)
        ends_ms = stream_ends_ms(settings.stream_age_s_max, monotonic_ms())
        video.holds += 1
        self._streamed += 1
        told = video.record
        body = stream_from(
            audience,
            audience.edition.begin(self._first(video, audience.form)) + entered.private,
            entered.offset,
            resume,
            settings.chunk_bytes,
            settings.heartbeat_ms / 1000,
        )
        try:
            async for chunk in body:  # whole frames; a heartbeat at least
                yield chunk
                if video.record is not told:
                    told = video.record
                    yield audience.edition.aside(record_frame(video))
                if self._drain.draining or (ends_ms is not None and ends_ms <= monotonic_ms()):
                    yield audience.edition.aside(reconnect_words())
                    return
        finally:
            video.holds -= 1
            self._streamed -= 1
            if seat is not None:
                seat.free()
            await body.aclose()


def refusal_headers(refused: Refused, retry_after_s: int) -> dict[str, str]:
    """Headers of a refusal. One that passes says when to try again; if that isn't known, after 1 to 2 times
    retry_after_s, so that not all come at once."""
    headers = {"cache-control": "no-store"}
    if refused.wait_s:
        headers["retry-after"] = str(math.ceil(refused.wait_s))
    elif refused.status == 503:
        headers["retry-after"] = str(random.randint(retry_after_s, 2 * retry_after_s))
    return headers


def raw_refusal(
    refused: Refused, retry_after_s: int, headers: Mapping[str, str], credentials_origins: Collection[str]
) -> bytes:
    """A refusal as rms/http/app.py sends it, for a socket that came without a framework: through the door. headers: the
    request's"""
    more = refusal_headers(refused, retry_after_s)
    if comes_back(headers) and is_passing(refused.status):
        status, response = 200, stream_that_ends(come_again(int(more.get("retry-after", retry_after_s))))
    else:
        status, response = refused.status, error_response(refused.status, refused.code, refused.message, more)
    origin = headers.get("origin", "")
    lines = {**response.headers, **origin_headers(origin, credentials_origins), "connection": "close"}
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n%b" % (
        status,
        b"OK" if status == 200 else b"Refused",
        BROWSER_LINES,
        _lines(lines),
        bytes(response.body),
    )


def _stream_head(encoding: str, chunked: bool) -> bytes:
    headers = {**STREAM_HEADERS}
    if encoding:
        headers["content-encoding"] = encoding
    if chunked:
        headers["transfer-encoding"] = "chunked"
    return b"HTTP/1.1 200 OK\r\n%b%bconnection: close\r\n\r\n" % (BROWSER_LINES, _lines(headers))


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


STREAM_HEADS = {
    (encoding, chunked): _stream_head(encoding, chunked) for encoding in ("", "gzip") for chunked in (True, False)
}
"""by Content-Encoding, and whether the body comes in chunks. Otherwise its end is the connection's."""

_FOR_ALL_PAGES = _lines(origin_headers("", ()))
