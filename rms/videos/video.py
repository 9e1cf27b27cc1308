"""A served video: its feed, the audiences of the feed's editions, and what is still to be read from history."""

import asyncio
import enum
from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog

from rms.clocks import monotonic_ms, wall_ms
from rms.feed.editions import Edition, FilteredEdition, Form, PlainEdition
from rms.feed.event import Event, Promise
from rms.feed.feed import Feed
from rms.feed.gzip_edition import GzipEdition
from rms.feed.position import Position
from rms.feed.resuming import Resuming
from rms.feed.unchunked_edition import UnchunkedEdition
from rms.sending.audience import Audience, Viewer
from rms.sending.sweep import Sweeper

log = structlog.stdlib.get_logger()


class State(enum.Enum):
    """The life of a served video, from OPENING to DROPPED. It is BUFFERING now and then while it is open."""

    OPENING = "opening"
    """Its history is read. Live comments are buffered."""
    LIVE = "live"
    """Live comments go into the feed."""
    BUFFERING = "buffering"
    """Live comments are buffered, so that they come behind what a catch-up reads."""
    DROPPED = "dropped"
    """It is served no longer, or could not be opened."""


GROWN_S = 0.02
"""How soon those who wait for a feed to grow look at it, all at once: less than anybody sees"""


class ServedVideo:
    """`feed` and `resuming` are there once `opened` is done without an error."""

    __slots__ = (
        *("_brought", "_buffer", "_grown", "_on_behind", "_overflow_id", "_promised", "_sweeper", "announced_ms"),
        *("announced_viewers", "audiences"),
        *("empty_since_ms", "feed", "holds", "lacks_past", "missed_from", "opened", "promises", "record", "resuming"),
        *("state", "sure_ms", "total_viewers", "video_id"),
    )

    feed: Feed
    resuming: Resuming
    opened: asyncio.Task[None]

    def __init__(self, video_id: str, sweeper: Sweeper, on_behind: Callable[["ServedVideo", Viewer], None]) -> None:
        """on_behind: called with a viewer that has fallen off its log; its socket is open and registered nowhere."""
        self.video_id = video_id
        self.state = State.OPENING
        self.audiences: dict[Form, Audience] = {}
        self.lacks_past = False  # its last comments could not be read when it opened
        self.promises: list[Promise] = []  # by services, to be told to the feed once nothing is missed
        self.missed_from: int | None = None  # events from this id on may be missing, and are still to be read
        self.sure_ms: int | None = None
        """While events may go by this node: those from before this time (wall clock) are here, once it isn't behind"""
        self.holds = 0  # viewers that are neither in an audience nor gone: joining, streamed, entering again
        self.empty_since_ms: int | None = None  # monotonic; None: at the last look somebody was here
        self.total_viewers = 0  # on all nodes, as reported by a dispatcher
        self.announced_viewers = 0  # that number, as last sent to the viewers
        self.announced_ms: int | None = None  # monotonic, when it was sent
        self.record = b""  # what is known of the video as a thing, as JSON; empty: nobody has added it
        self._buffer: list[Event] = []  # live events that wait for `open` or `flush`
        self._overflow_id: int | None = None  # the smallest id that didn't fit into the buffer
        self._promised: Counter[Position] = Counter()  # claims for which there is room: their viewers are entering
        self._brought: dict[Position, str] = {}  # claims, and the address whose viewer was the first with them
        self._grown: asyncio.Future[None] | None = None  # see `grown`
        self._sweeper = sweeper
        self._on_behind = on_behind

    # Events

    def open(self, feed: Feed) -> None:
        """From here on events go into the feed, the buffered ones first. Those that are too old are dropped: they were
        in history when the feed's past was read."""
        self.feed, self.resuming, self.state = feed, Resuming(feed), State.LIVE
        feed.sure_until(self.sure_ms)
        self._buffer = [event for event in self._buffer if not self.is_too_old(event)]
        self.flush()

    def hold_live(self) -> None:
        """Buffers live events until `flush`. To be called while LIVE."""
        self.state = State.BUFFERING

    def buffer(self, event: Event, most: int) -> None:
        """Keeps a live event for `flush`. Those beyond the first `most` count as missed then."""
        if len(self._buffer) < most:
            self._buffer.append(event)
        else:
            self._overflow_id = event.id if self._overflow_id is None else min(self._overflow_id, event.id)

    def flush(self) -> None:
        """What is buffered goes into the feed, and what comes now isn't buffered. Idempotent."""
        if self.state is State.BUFFERING:
            self.state = State.LIVE
        buffered, self._buffer = self._buffer, []
        for event in buffered:
            try:
                self.append(event)
            except Exception as error:
                self.miss_failed(event, error)
        self.take_over()
        if self._overflow_id is not None:
            self.miss(self._overflow_id)
            self._overflow_id = None

    def is_too_old(self, event: Event) -> bool:
        """True if the feed may have had the event, and forgotten its id. Such an event must not be sent."""
        return self.feed.may_have_forgotten(event.id, wall_ms())

    def append(self, event: Event) -> None:
        """Sends an event to all viewers. Doubles are dropped. `take_over` is to be called before anything else runs,
        once for all events that are appended together."""
        if self.feed.append(event, wall_ms()):
            self.publish()

    def take_over(self) -> None:
        """To be called when events were appended to the feed: notes what it misses by them, and overwrites in its
        editions what they have overwritten in its log. A gzipped one makes its last blocks anew, which takes half a
        millisecond, however many frames it is for. Raises nothing."""
        feed = self.feed
        if feed.missing_from is not None:
            if not self.lacks_past:  # else it is looked for when that is read: it may be older than what viewers get
                self.miss(feed.missing_from)
            feed.missing_from = None
        if feed.rewritten:
            try:
                self._rewrite()
            except Exception as error:
                log.error("events not taken over", video=self.video_id, reason=repr(error), exc_info=error)

    def _rewrite(self) -> None:
        starts = [start for start in self.feed.rewritten if start >= self.feed.log.base]
        self.feed.rewritten.clear()
        sources = {form.source for form in self.audiences}
        for form, audience in self.audiences.items():
            if form not in sources:  # one that is made from it does it for its source
                audience.edition.rewrite(starts)

    def announce_gap(self, from_id: int, to_id: int) -> None:
        """Sends all viewers that events from the one id up to the other may be missing."""
        self.feed.add_gap(from_id, to_id, wall_ms())
        self.publish()

    def publish(self) -> None:
        """To be called when the feed has grown."""
        for audience in self.audiences.values():
            self._sweeper.publish(audience)
        self.wake()

    def wake(self) -> None:
        """To be called when the feed has more than before, also if that is nothing to be sent."""
        grown, self._grown = self._grown, None
        if grown is not None:
            asyncio.get_running_loop().call_later(GROWN_S, _resolve, grown)

    async def grown(self) -> None:
        """Returns soon after the feed has grown: once for all events that come close together."""
        if self._grown is None:
            self._grown = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._grown)

    # What is still to be read

    @property
    def is_behind(self) -> bool:
        """True while something is still to be read from history."""
        return self.lacks_past or self.missed_from is not None

    def set_sure(self, sure_ms: int | None) -> None:
        """See ServedVideos.sure_until."""
        self.sure_ms = sure_ms
        if self.state is State.OPENING:
            return
        known_ms = self.feed.had.sure_ms
        if sure_ms is not None:
            self.feed.sure_until(sure_ms if known_ms is None else min(sure_ms, known_ms))
        else:
            self.say_how_sure()

    def say_how_sure(self) -> None:
        """To be called when nothing is to be read any more."""
        if not self.is_behind:
            self.feed.sure_until(self.sure_ms)

    def miss(self, from_id: int) -> None:
        """Events from this id on may be missing, beside what is known to be."""
        self.missed_from = from_id if self.missed_from is None else min(self.missed_from, from_id)

    def miss_failed(self, event: Event, error: Exception) -> None:
        """Counts an event as missed that could not be appended. Logs the error of the first since nothing was missing:
        an error that comes with every event must not flood the log."""
        if not self.is_behind:
            log.error("event not appended", video=self.video_id, id=event.id, reason=repr(error), exc_info=error)
        self.miss(event.id)

    # Viewers

    @property
    def viewers(self) -> int:
        return self.holds + sum(len(audience.viewers) for audience in self.audiences.values())

    def audience(self, form: Form, backfill_max: int) -> Audience:
        """The viewers who want this form"""
        audience = self.audiences.get(form)
        if audience is None:
            edition: Edition
            if form.source is not None:
                source = self.audience(form.source, backfill_max).edition
                edition = (
                    GzipEdition(source, wall_ms(), form.chunked) if form.gzip else UnchunkedEdition(source, wall_ms())
                )
            elif form.rate or form.claims:
                edition = FilteredEdition(self.feed, form.rate, wall_ms(), backfill_max, form.claims)
            else:
                edition = PlainEdition(self.feed)
            on_behind = partial(self._on_behind, self)
            audience = Audience(self.video_id, form, edition, on_behind, monotonic_ms())
            self.audiences[form] = audience
        return audience

    def find_room_for_claims(self, claims: Position, key: str | None, most: int, each_most: int) -> bool:
        """Whether viewers with these claims can be served: there are at most so many different ones, and so many that
        one address has brought. Those that nobody has any more make room. True: they are this address's from now on, if
        they are nobody's. key: of the address; None: it has no limits."""
        if claims in self._claims:
            return True
        if not self._has_room(key, most, each_most):
            self.drop_unused_audiences()
            if not self._has_room(key, most, each_most):
                return False
        held = self._claims
        self._brought = {each: by for each, by in self._brought.items() if each in held}
        if key is not None:
            self._brought[claims] = key
        return True

    def _has_room(self, key: str | None, most: int, each_most: int) -> bool:
        held = self._claims
        of_one = 0 if key is None else sum(self._brought.get(each) == key for each in held)
        return len(held) < most and (key is None or of_one < each_most)

    def promise_room(self, claims: Position) -> None:
        """Keeps it for a viewer on its way in, until `take_room_back`."""
        self._promised[claims] += 1

    def take_room_back(self, claims: Position) -> None:
        self._promised[claims] -= 1
        self._promised += Counter()  # only those that are promised

    @property
    def _claims(self) -> set[Position]:
        return {form.claims for form in self.audiences if form.claims is not None} | self._promised.keys()

    def drop_unused_audiences(self) -> None:
        """Drops the audiences without viewers, unless another edition is made from theirs."""
        for form in sorted(self.audiences, key=lambda form: form.source is None):  # after what is made from it
            audience = self.audiences[form]
            is_source = any(other.source == form for other in self.audiences)
            if not audience.viewers and not audience.waiters and not is_source:
                del self.audiences[form]


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
