"""What still has to be published, and from which id on it can't be proven that everything was: the publisher's core.

The way of an id, always forwards:

    begin ──► put ──► next_batch ──► answered            published
      │         │          └──► take_back ──► as after put (the stream has ended; at least once)
      │         └── dropped, if the backlog is full ──► owed
      └──► abandon                                       was not stored; no author got a 200

An owed event is not sent any more. Instead `catch_up_from_id` is lowered to its id and sent: every node then reads
its videos' history from there. So memory is bounded, and a comment whose author got a 200 still reaches the viewers.

Hidden comments are published, but can't be read from history yet: they lie in this node's spool. A node that began to
serve their video after they were published has missed them. So they are owed as soon as they can be read.

`low_id()` is the watermark: each event of this process with a smaller id is published, or nobody got a 200 for it. It
counts an id from `begin` on, *before* the event is durable, and ids only grow. That is why a watermark that was
saved long ago still holds: whatever came later has a larger id. It may be too low, which makes a catch-up longer, but
it is never too high.

Rule 1: no clock; `monotonic_ms` is an argument. Rule 2: it does not know gRPC.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from comment_service.core.chains import Chains, service_of

EVENT_BYTES = 320
"""At most so many are around an event in a PublishRequest: its video's id twice, of 128 bytes, and tags, lengths and
numbers. And around all events together. It is also about what an event takes in memory beside its bytes."""

SURE_AGAIN_MAX = 10_000
"""events that are sent again because of a doubt, and answered: of a purge in as many videos"""


class Publishable(msgspec.Struct, frozen=True, gc=False):
    """An event of a video's log, as it is sent to the dispatchers: encoded once, however often it is sent"""

    id: int
    video_id: str
    encoded: bytes
    """proto/event.proto's Event"""

    @property
    def bytes_max(self) -> int:
        """At most so many of a PublishRequest"""
        return len(self.encoded) + EVENT_BYTES


@dataclass(frozen=True, slots=True)
class Batch:
    """One PublishRequest. `seq` is never used again, so an answer to a batch that was taken back is recognised and
    ignored."""

    seq: int
    events: tuple[Publishable, ...]
    catch_up_from_id: int | None
    """Nodes have to read history from this id on. None: a batch of events"""
    sent_ms: int
    """by the clock of `next_batch`"""
    service: int = 0
    """The number of this comment_service, as in its events' ids"""
    catch_up_to_id: int = 0
    """With `catch_up_from_id`: all events of this process in between can be read. 0: not known"""
    hidden_from_id: int | None = None
    """From this id on, some can't. None: all can"""
    bytes_max: int = 0
    """the events' `bytes_max`, added up"""


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What config.py says; its descriptions give the reasons."""

    batch_events_max: int
    batch_bytes_max: int
    """of a PublishRequest; an event that is larger goes alone"""
    batches_in_flight_max: int
    events_max: int
    """backlog and flight together"""
    bytes_max: int
    """backlog and flight together"""
    videos_max: int
    """of which the last event is remembered, to chain the next one to it"""


class Outbox:
    """Events wait in the backlog, or are in flight in batches. Order is kept, also after `take_back`."""

    def __init__(self, first_id: int, limits: OutboxLimits) -> None:
        """first_id: every id that will begin is larger."""
        self._batch_events_max = limits.batch_events_max
        self._batch_bytes_max = limits.batch_bytes_max - EVENT_BYTES
        self._batches_in_flight_max = limits.batches_in_flight_max
        self._events_max = limits.events_max
        self._bytes_max = limits.bytes_max
        self._newest_id = first_id
        self._service = service_of(first_id)
        self._chains: Chains[Publishable] = Chains(first_id, limits.videos_max)
        self._open: dict[
            int, str
        ] = {}  # begun, and not yet answered, abandoned or owed, in the order of ids: the videos
        self._backlog: deque[Publishable] = deque()
        self._backlog_bytes = 0
        self._in_flight: dict[int, Batch] = {}
        self._events_in_flight = self._bytes_in_flight = 0
        self._catch_up_in_flight: Batch | None = None
        self._owed_from_id: int | None = None
        self._hidden_from_id: int | None = None
        self._doubtful_id = 0  # the greatest that is left to a catch-up, or was answered in doubt
        self._sure_again: set[int] = set()  # up to that one, but sent again and answered since
        self._seq = 0
        self.published = 0
        self.resent = 0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Events that wait to be sent"""
        return len(self._backlog)

    @property
    def bytes(self) -> int:
        """What waits and what is in flight takes about so much in memory."""
        return self._backlog_bytes + self._bytes_in_flight

    @property
    def has_full_batch(self) -> bool:
        """The backlog fills a batch."""
        return len(self._backlog) >= self._batch_events_max or self._backlog_bytes >= self._batch_bytes_max

    @property
    def batches_in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def events_in_flight(self) -> int:
        return self._events_in_flight

    @property
    def is_catching_up(self) -> bool:
        """A catch-up is due, or in flight."""
        return self._owed_from_id is not None or self._catch_up_in_flight is not None

    @property
    def catch_up_from_id(self) -> int | None:
        """The smallest id from which nodes have to read history, whether that was sent or not. None: they needn't."""
        in_flight = self._catch_up_in_flight
        return _lowest(self._owed_from_id, None if in_flight is None else in_flight.catch_up_from_id)

    @property
    def is_empty(self) -> bool:
        """Everything that was begun is published, and no catch-up is due or will be."""
        return not (self._open or self._in_flight) and self._owed_from_id is None and self._hidden_from_id is None

    def low_id(self) -> int:
        """The watermark; see above."""
        low = _lowest(next(iter(self._open), None), self.catch_up_from_id, self._hidden_from_id)
        return self._newest_id + 1 if low is None else low

    def is_published(self, event_id: int) -> bool | None:
        """Whether every living node has an event that was begun, and not abandoned. None: no replica has answered yet.
        False: some may lack it. The answer was in doubt, or it is left to a catch-up, and an answer to that doesn't say
        that nodes have read. Sent again, it may be published after all."""
        if event_id in self._open:
            return None
        return event_id > self._doubtful_id or event_id in self._sure_again

    def begin(self, event_id: int, video_id: str) -> int:
        """An event of the video has got this id; from now on the watermark counts it. It is larger than all before,
        except when a retry completes or publishes a comment that was begun before, by any process. Returns its
        `after_id`."""
        self._open[event_id] = video_id
        if event_id < self._newest_id:
            self._open = dict(sorted(self._open.items()))
        else:
            self._newest_id = event_id
        return self._chains.begin(video_id, event_id)

    def abandon(self, event_id: int, after_id: int | None = None) -> None:
        """The event with this id, which has begun, was not accepted: its author got an error. after_id: what `begin`
        returned, if it surely isn't stored."""
        if (video_id := self._open.pop(event_id, None)) is not None:
            self._add(self._chains.abandon(video_id, event_id, after_id))

    def put(self, event: Publishable) -> None:
        """The event is durable and must reach the viewers. Its id has begun. It waits for those of its video that were
        begun before (comment_service/core/chains.py)."""
        self._add(self._chains.put(event))

    def _add(self, events: Iterable[Publishable]) -> None:
        backlog = self._backlog
        for event in events:
            backlog.append(event)
            self._backlog_bytes += event.bytes_max
        while (
            self._backlog_bytes + self._bytes_in_flight > self._bytes_max
            or len(backlog) + self._events_in_flight > self._events_max
        ) and backlog:
            self.dropped += 1
            event = backlog.popleft()
            self._backlog_bytes -= event.bytes_max
            self._owe_event(event)

    def owe(self, from_id: int) -> None:
        """Nodes have to read history from this id on."""
        self._owed_from_id = _lowest(self._owed_from_id, from_id)

    def hide(self, from_id: int) -> None:
        """Comments from this id on can't be read from history yet."""
        self._hidden_from_id = _lowest(self._hidden_from_id, from_id)

    def show(self) -> None:
        """All hidden comments can be read now. Changes nothing if there were none."""
        self._owed_from_id = _lowest(self._owed_from_id, self._hidden_from_id)
        self._hidden_from_id = None

    def next_batch(self, monotonic_ms: int) -> Batch | None:
        """What to send now: a catch-up first, one at a time; then what waits, up to a batch. None: nothing, or enough
        is in flight."""
        if len(self._in_flight) >= self._batches_in_flight_max:
            return None
        if self._owed_from_id is not None and self._catch_up_in_flight is None:
            from_id, self._owed_from_id = self._owed_from_id, None
            self._catch_up_in_flight = batch = self._sent((), 0, from_id, monotonic_ms)
            return batch
        return self._sent(*self._next_events(), None, monotonic_ms) if self._backlog else None

    def _next_events(self) -> tuple[tuple[Publishable, ...], int]:
        """One at least, and their bytes"""
        backlog, bytes_max = self._backlog, self._backlog_bytes
        if len(backlog) <= self._batch_events_max and bytes_max <= self._batch_bytes_max:  # nearly always
            events = tuple(backlog)
            backlog.clear()
            self._backlog_bytes = 0
            return events, bytes_max
        taken = [backlog.popleft()]
        bytes_max = taken[0].bytes_max
        while backlog and len(taken) < self._batch_events_max:
            more = bytes_max + backlog[0].bytes_max
            if more > self._batch_bytes_max:
                break
            bytes_max = more
            taken.append(backlog.popleft())
        self._backlog_bytes -= bytes_max
        return tuple(taken), bytes_max

    def answered(self, seq: int, in_doubt: bool = False) -> None:
        """A replica has answered the batch. in_doubt: some living node may lack it. An unknown seq changes nothing."""
        batch = self._in_flight.pop(seq, None)
        if batch is None:
            return
        if batch is self._catch_up_in_flight:
            self._catch_up_in_flight = None
        self._events_in_flight -= len(batch.events)
        self._bytes_in_flight -= batch.bytes_max
        self.published += len(batch.events)
        if in_doubt and batch.events:
            self._doubtful_id = max(self._doubtful_id, *(event.id for event in batch.events))
            self._sure_again.difference_update(event.id for event in batch.events)
        else:
            self._sure_again.update(event.id for event in batch.events if event.id <= self._doubtful_id)
            if len(self._sure_again) > SURE_AGAIN_MAX:
                self._sure_again.clear()
        for event in batch.events:
            self._open.pop(event.id, None)  # one that was begun twice: the first answer counts

    def take_back(self) -> int:
        """The stream has ended: what is in flight waits again, before everything else. Returns how many events."""
        taken = self._land()
        for batch in reversed(taken):
            self._backlog.extendleft(reversed(batch.events))
            self._backlog_bytes += batch.bytes_max
        resent = sum(len(batch.events) for batch in taken)
        self.resent += resent
        return resent

    def owe_in_flight(self) -> None:
        """A replica refuses a batch for its content, so sending it again can't help: its events become owed."""
        for batch in self._land():
            for event in batch.events:
                self.dropped += 1
                self._owe_event(event)

    def oldest_sent_ms(self) -> int | None:
        """When the oldest unanswered batch was sent; None if there is none"""
        return next((batch.sent_ms for batch in self._in_flight.values()), None)

    def _sent(
        self, events: tuple[Publishable, ...], bytes_max: int, catch_up_from_id: int | None, monotonic_ms: int
    ) -> Batch:
        """A new batch, which is in flight now"""
        self._seq += 1
        to_id = 0 if catch_up_from_id is None else self._readable_to_id(catch_up_from_id)
        batch = self._in_flight[self._seq] = Batch(
            self._seq, events, catch_up_from_id, monotonic_ms, self._service, to_id, self._hidden_from_id, bytes_max
        )
        self._events_in_flight += len(events)
        self._bytes_in_flight += bytes_max
        return batch

    def _readable_to_id(self, from_id: int) -> int:
        """From that id up to here, all that was begun is in history or will never be. 0: not known, or nothing is; also
        while some is hidden, because nodes take it for the end of that."""
        if self._hidden_from_id is not None:
            return 0
        to_id = next(iter(self._open), self._newest_id + 1) - 1
        return to_id if to_id >= from_id else 0

    def _land(self) -> list[Batch]:
        """Everything that was in flight and is no longer; a catch-up among it is owed again."""
        batches = list(self._in_flight.values())
        self._in_flight.clear()
        self._events_in_flight = self._bytes_in_flight = 0
        if self._catch_up_in_flight is not None:
            self._owed_from_id = _lowest(self._owed_from_id, self._catch_up_in_flight.catch_up_from_id)
            self._catch_up_in_flight = None
        return batches

    def _owe_event(self, event: Publishable) -> None:
        self.owe(event.id)
        self._doubtful_id = max(self._doubtful_id, event.id)
        self._open.pop(event.id, None)


def _lowest(*ids: int | None) -> int | None:
    """None if all are"""
    return min((each for each in ids if each is not None), default=None)
