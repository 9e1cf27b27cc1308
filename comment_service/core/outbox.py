"""What still has to be published, and from which id on it can't be proven that everything was: the publisher's core.

The way of an id, always forwards:

    begin ──► put ──► next_batch ──► answered            published
      │         │          └──► take_back ──► as after put (the stream has ended; at least once)
      │         └── dropped, if the backlog is full ──► owed
      └──► abandon                                       was not stored; no author got a 200

An owed comment is not sent any more. Instead `catch_up_from_id` is lowered to its id and sent: every node then reads
its videos' history from there. So memory is bounded, and a comment whose author got a 200 still reaches the viewers.

Hidden comments are published, but can't be read from history yet: they lie in this node's spool. A node that began to
serve their video after they were published has missed them. So they are owed as soon as they can be read.

`low_id()` is the watermark: each comment of this process with a smaller id is published, or no author got a 200 for it.
It counts an id from `begin` on, *before* the comment is durable, and ids only grow. That is why a watermark that was
saved long ago still holds: whatever came later has a larger id. It may be too low, which makes a catch-up longer, but
it is never too high.

Rule 1: no clock; `monotonic_ms` is an argument. Rule 2: it does not know gRPC.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from comment_service.core.chains import Chains, service_of


class Publishable(msgspec.Struct, frozen=True, gc=False):
    """An event of a video's log, as it is sent to the dispatchers: encoded once, however often it is sent"""

    id: int
    video_id: str
    encoded: bytes
    """proto/event.proto's Event"""


@dataclass(frozen=True, slots=True)
class Batch:
    """One PublishRequest. `seq` is never used again, so an answer to a batch that was taken back is recognised and
    ignored."""

    seq: int
    comments: tuple[Publishable, ...]
    catch_up_from_id: int | None
    """Nodes have to read history from this id on. None: a batch of comments"""
    sent_ms: int
    """by the clock of `next_batch`"""
    service: int = 0
    """The number of this comment_service, as in its events' ids"""
    catch_up_to_id: int = 0
    """With `catch_up_from_id`: all events of this process in between can be read. 0: not known"""
    hidden_from_id: int | None = None
    """From this id on, some can't. None: all can"""


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What config.py says; its descriptions give the reasons."""

    batch_comments_max: int
    batches_in_flight_max: int
    comments_max: int
    """backlog and flight together"""
    videos_max: int
    """of which the last event is remembered, to chain the next one to it"""


class Outbox:
    """Comments wait in the backlog, or are in flight in batches. Order is kept, also after `take_back`."""

    def __init__(self, first_id: int, limits: OutboxLimits) -> None:
        """first_id: every id that will begin is larger."""
        self._batch_comments_max = limits.batch_comments_max
        self._batches_in_flight_max = limits.batches_in_flight_max
        self._comments_max = limits.comments_max
        self._newest_id = first_id
        self._service = service_of(first_id)
        self._chains: Chains[Publishable] = Chains(first_id, limits.videos_max)
        self._open: dict[
            int, str
        ] = {}  # begun, and not yet answered, abandoned or owed, in the order of ids: the videos
        self._backlog: deque[Publishable] = deque()
        self._in_flight: dict[int, Batch] = {}
        self._comments_in_flight = 0
        self._catch_up_in_flight: Batch | None = None
        self._owed_from_id: int | None = None
        self._hidden_from_id: int | None = None
        self._seq = 0
        self.published = 0
        self.resent = 0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Comments that wait to be sent"""
        return len(self._backlog)

    @property
    def has_full_batch(self) -> bool:
        """The backlog fills a batch."""
        return len(self._backlog) >= self._batch_comments_max

    @property
    def batches_in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def comments_in_flight(self) -> int:
        return self._comments_in_flight

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

    def begin(self, event_id: int, video_id: str) -> int:
        """An event of the video has got this id; from now on the watermark counts it. It is larger than all before,
        except when a retry completes a comment that another process began. Returns its `after_id`."""
        self._open[event_id] = video_id
        if event_id < self._newest_id:
            self._open = dict(sorted(self._open.items()))
        else:
            self._newest_id = event_id
        return self._chains.begin(video_id, event_id)

    def abandon(self, event_id: int) -> None:
        """The event with this id, which has begun, was not accepted: its author got an error."""
        self._add(self._chains.abandon(self._open.pop(event_id), event_id))

    def put(self, event: Publishable) -> None:
        """The event is durable and must reach the viewers. Its id has begun. It waits for those of its video that were
        begun before (comment_service/core/chains.py)."""
        self._add(self._chains.put(event))

    def _add(self, events: Iterable[Publishable]) -> None:
        self._backlog.extend(events)
        while len(self._backlog) + self._comments_in_flight > self._comments_max and self._backlog:
            self.dropped += 1
            self._owe_comment(self._backlog.popleft())

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
            self._catch_up_in_flight = batch = self._sent((), from_id, monotonic_ms)
            return batch
        if not self._backlog:
            return None
        size = min(len(self._backlog), self._batch_comments_max)
        return self._sent(tuple(self._backlog.popleft() for _ in range(size)), None, monotonic_ms)

    def answered(self, seq: int) -> None:
        """A replica has answered the batch. An unknown seq changes nothing."""
        batch = self._in_flight.pop(seq, None)
        if batch is None:
            return
        if batch is self._catch_up_in_flight:
            self._catch_up_in_flight = None
        self._comments_in_flight -= len(batch.comments)
        self.published += len(batch.comments)
        for comment in batch.comments:
            del self._open[comment.id]

    def take_back(self) -> int:
        """The stream has ended: what is in flight waits again, before everything else. Returns how many comments."""
        taken = self._land()
        for batch in reversed(taken):
            self._backlog.extendleft(reversed(batch.comments))
        resent = sum(len(batch.comments) for batch in taken)
        self.resent += resent
        return resent

    def owe_in_flight(self) -> None:
        """A replica refuses a batch for its content, so sending it again can't help: its comments become owed."""
        for batch in self._land():
            for comment in batch.comments:
                self.dropped += 1
                self._owe_comment(comment)

    def oldest_sent_ms(self) -> int | None:
        """When the oldest unanswered batch was sent; None if there is none"""
        return next((batch.sent_ms for batch in self._in_flight.values()), None)

    def _sent(self, comments: tuple[Publishable, ...], catch_up_from_id: int | None, monotonic_ms: int) -> Batch:
        """A new batch, which is in flight now"""
        self._seq += 1
        to_id = 0 if catch_up_from_id is None else self._readable_to_id()
        batch = self._in_flight[self._seq] = Batch(
            self._seq, comments, catch_up_from_id, monotonic_ms, self._service, to_id, self._hidden_from_id
        )
        self._comments_in_flight += len(comments)
        return batch

    def _readable_to_id(self) -> int:
        """Up to here, all that was begun is in history or will never be."""
        low = _lowest(next(iter(self._open), None), self._hidden_from_id)
        return self._newest_id if low is None else low - 1

    def _land(self) -> list[Batch]:
        """Everything that was in flight and is no longer; a catch-up among it is owed again."""
        batches = list(self._in_flight.values())
        self._in_flight.clear()
        self._comments_in_flight = 0
        if self._catch_up_in_flight is not None:
            self._owed_from_id = _lowest(self._owed_from_id, self._catch_up_in_flight.catch_up_from_id)
            self._catch_up_in_flight = None
        return batches

    def _owe_comment(self, comment: Publishable) -> None:
        self.owe(comment.id)
        del self._open[comment.id]


def _lowest(*ids: int | None) -> int | None:
    """None if all are"""
    return min((each for each in ids if each is not None), default=None)
