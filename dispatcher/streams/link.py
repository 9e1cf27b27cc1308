"""Queues what one node's stream has yet to send, and tracks what was sent until the node acknowledges it.

There is one bound for both together. Beyond it the link ends, the node connects again, and reads from history what it
has missed: a slow link counts as a broken one, and nothing else waits for it. Nothing is dropped silently: a batch's
publisher is answered when the node has acknowledged it, or when the link has ended.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dispatcher.config import LinkLimits
from dispatcher.core.errors import Aborted, DispatcherError, InvalidRequest
from dispatcher.streams import wire
from dispatcher.streams.publisher import Batch
from dispatcher.streams.wire import Part
from proto.dispatch_pb2 import BeatAck, DispatcherMessage, VideoViewers

ACK_MS_BOUNDS = (1, 2, 3, 5, 7, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""The histogram's edges in milliseconds, close together around the 10 ms that are promised"""


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    outbox_events: int
    unacked_events: int
    delivered_events: int
    acked_ms: int | None  # when the last acknowledgement of a delivery came
    waiting_since_ms: int | None  # when the oldest unacknowledged delivery was sent


class AckLatency:
    """How long deliveries waited for their acknowledgements, of all links together"""

    def __init__(self) -> None:
        self.counts = [0] * (len(ACK_MS_BOUNDS) + 1)  # the last one: longer than all bounds
        self.sum_ms = 0

    def note(self, ms: int) -> None:
        self.counts[bisect_left(ACK_MS_BOUNDS, ms)] += 1
        self.sum_ms += ms


@dataclass(slots=True)
class _Unacked:
    number: int
    sent_ms: int
    events: int
    batches: list[Batch]


class Link:
    """`ended` is set once, with the error for the node or None: then the stream is to be closed."""

    def __init__(self, session: int, node_id: str, limits: LinkLimits, latency: AckLatency) -> None:
        self.session = session
        self.node_id = node_id
        self.ended: asyncio.Future[DispatcherError | None] = asyncio.get_running_loop().create_future()
        self._limits = limits
        self._latency = latency
        self._ready: Callable[[], None] | None = None  # to be called when there is something to send
        self._is_ready = False  # it was called, and what there is hasn't been written yet
        self._control: deque[bytes] = deque()  # goes first, so that a full outbox never looks like a dead replica
        self._beat_ack = False  # one is to be sent
        self._sums: dict[str, int] = {}  # video -> viewers on all nodes, for that one
        self._has_delivered = False  # since the last beat
        self._catch_ups: deque[tuple[bytes, Batch]] = deque()
        self._outbox: deque[tuple[Part, Batch]] = deque()
        self._unacked: deque[_Unacked] = deque()
        self._number = 0
        self._acked_ms: int | None = None
        self._useless: int | None = None
        self._outbox_events = self._unacked_events = self._delivered_events = self._outbox_bytes = 0

    def __repr__(self) -> str:
        return f"<Link {self.session} of {self.node_id}: {self.statistics()}>"

    def statistics(self) -> LinkStatistics:
        return LinkStatistics(
            self._outbox_events,
            self._unacked_events,
            self._delivered_events,
            self._acked_ms,
            self._unacked[0].sent_ms if self._unacked else None,
        )

    def more_useless(self, useless_events: int) -> int:
        """How many useless events the node has counted since its last beat; 0 at its first beat here."""
        before, self._useless = self._useless, useless_events
        return 0 if before is None else max(0, useless_events - before)

    @property
    def unread(self) -> int:
        """How many messages, other than deliveries, the node hasn't read yet"""
        return len(self._control)

    # What is to be sent

    def send_nowait(self, message: DispatcherMessage) -> None:
        """Queues a message that isn't numbered: welcome, interest_ack, drain."""
        self._control.append(message.SerializeToString())
        self._say_ready()

    def send_beat_ack_nowait(self, sums: Mapping[str, int]) -> None:
        """Queues the response to a beat. sums: viewers on all nodes, by video.

        One is enough, however many beats came while the peer wasn't reading. None is needed without sums if there was
        a delivery since the last beat: the node takes any message as a sign of life.
        """
        self._sums.update(sums)
        if sums or not self._has_delivered:
            self._beat_ack = True
            self._say_ready()
        self._has_delivered = False

    def deliver_nowait(self, part: Part, batch: Batch) -> bool:
        """Queues events, for which the batch then waits. False: the outbox has overflowed, and the link must end."""
        batch.wait_for_one_more()
        self._outbox.append((part, batch))
        self._outbox_events += part.events
        self._outbox_bytes += len(part.encoded)
        self._say_ready()
        return (
            self._outbox_events + self._unacked_events <= self._limits.outbox_events_max
            and self._outbox_bytes <= self._limits.outbox_bytes_max
        )

    def catch_up_nowait(self, body: bytes, batch: Batch) -> None:
        """Queues a catch-up, for which the batch then waits. body: wire.catch_up_body"""
        batch.wait_for_one_more()
        self._catch_ups.append((body, batch))
        self._say_ready()

    def use(self, ready: Callable[[], None]) -> None:
        """ready: called when there is a message to send, at once if there is one now; and then not before `rest`."""
        self._ready = ready
        self.rest()
        if self._is_ready:
            ready()

    def rest(self) -> bool:
        """A message has been written. True: there is another one; False: `ready` will be called again."""
        self._is_ready = bool(self._outbox or self._control or self._beat_ack or self._catch_ups)
        return self._is_ready

    def _say_ready(self) -> None:
        if not self._is_ready and self._ready is not None:
            self._is_ready = True
            self._ready()

    def next_message(self, now_ms: int, ack_within_ms: int = 0) -> bytes | None:
        """The next encoded DispatcherMessage, with as many of the queued events as one may carry; None: no more.

        ack_within_ms: what a delivery says about its acknowledgement"""
        if self._control:
            return self._control.popleft()
        if self._catch_ups:
            body, batch = self._catch_ups.popleft()
            self._numbered(0, [batch], now_ms)
            return wire.catch_up(self._number, body)
        if self._outbox:
            parts, batches = self._take()
            self._has_delivered = True
            self._numbered(sum(part.events for part in parts), batches, now_ms)
            return wire.deliver(self._number, parts, ack_within_ms, self._take_sums())
        if self._beat_ack:
            return DispatcherMessage(beat_ack=BeatAck(videos=self._take_sums())).SerializeToString()
        return None

    def _take_sums(self) -> list[VideoViewers]:
        """For the response to a beat. A delivery is one, too: responses in messages of their own would come first at
        each turn of a busy link, and keep its deliveries waiting for ever."""
        self._beat_ack = False
        sums, self._sums = self._sums, {}
        return [VideoViewers(video_id=video_id, viewers=viewers) for video_id, viewers in sums.items()]

    # What the node has acknowledged

    def delivered(self, number: int, now_ms: int) -> None:
        """The node has all deliveries up to this number. Raises InvalidRequest if there was no such number."""
        if number > self._number:
            raise InvalidRequest(f"delivery {number} was acknowledged, and the last one was {self._number}")
        while self._unacked and self._unacked[0].number <= number:
            acked = self._unacked.popleft()
            self._acked_ms = now_ms
            self._latency.note(now_ms - acked.sent_ms)
            self._unacked_events -= acked.events
            self._delivered_events += acked.events
            for batch in acked.batches:
                batch.one_is_done()

    def overdue(self, now_ms: int) -> Aborted | None:
        """Why the link must end, if its oldest delivery has waited too long for the node's acknowledgement.

        A node acknowledges what it has taken in, without waiting for its viewers or a store: one that doesn't is stuck.
        """
        oldest = self._unacked[0] if self._unacked else None
        if oldest is None or now_ms - oldest.sent_ms <= self._limits.ack_ms_max:
            return None
        return Aborted(f"delivery {oldest.number} wasn't acknowledged within {self._limits.ack_ms_max} ms")

    def overflow(self) -> Aborted:
        return Aborted(
            f"the outbox is full: {self._outbox_events} events are queued and {self._unacked_events} "
            "unacknowledged; connect again and catch up from history"
        )

    def end(self, reason: DispatcherError | None) -> int | None:
        """Ends the link: no batch waits for it any longer. Returns the smallest id that may not have arrived, if any.

        The caller notes that id as missed by the node, before it awaits anything: the batches' publishers won't send
        them again.
        """
        if not self.ended.done():
            self.ended.set_result(reason)
        waiting = [batch for unacked in self._unacked for batch in unacked.batches]
        waiting += [batch for _, batch in self._outbox]
        waiting += [batch for _, batch in self._catch_ups]
        self._unacked.clear()
        self._outbox.clear()
        self._catch_ups.clear()
        self._outbox_events = self._outbox_bytes = self._unacked_events = 0
        for batch in waiting:
            batch.one_is_done()
        return min((batch.smallest_id for batch in waiting if batch.smallest_id is not None), default=None)

    def _take(self) -> tuple[list[Part], list[Batch]]:
        """As many parts as fit, and at least one"""
        limits = self._limits
        if self._outbox_events <= limits.deliver_events_max and self._outbox_bytes <= limits.deliver_bytes_max:
            queued, self._outbox = self._outbox, deque()
            self._outbox_events = self._outbox_bytes = 0
            return [part for part, _ in queued], [batch for _, batch in queued]
        parts: list[Part] = []
        batches: list[Batch] = []
        events = size = 0
        while self._outbox:
            part, batch = self._outbox[0]
            events += part.events
            size += len(part.encoded)
            if parts and (events > limits.deliver_events_max or size > limits.deliver_bytes_max):
                break
            self._outbox.popleft()
            self._outbox_events -= part.events
            self._outbox_bytes -= len(part.encoded)
            parts.append(part)
            batches.append(batch)
        return parts, batches

    def _numbered(self, events: int, batches: list[Batch], now_ms: int) -> None:
        """Counts a delivery, whose acknowledgement is due from now on."""
        self._number += 1
        self._unacked_events += events
        self._unacked.append(_Unacked(self._number, now_ms, events, batches))
