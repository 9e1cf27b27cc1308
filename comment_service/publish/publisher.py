"""Sends durable events to a dispatcher, whichever can be reached; no author waits for it.

Guarantee: a dispatcher answers each event that was `put`, and each that a killed process had accepted and not
published, or it answers a catch-up that covers the event (see core/outbox.py and watermark.py). At least once: RMS
nodes drop the ids that they know.

Events go to one replica at a time, on one stream. The stream is left when it ends, when keepalive finds the peer
silent, when a batch gets no answer in time, or when another replica is better (core/reach.py); what is unanswered then
goes to the next replica. There is no pause between replicas, only between rounds in which all of them failed.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from comment_service.clocks import monotonic_ms, wall_ms
from comment_service.core.outbox import Outbox
from comment_service.core.pacing import Pacing
from comment_service.core.reach import Reach
from comment_service.publish.encoding import publishable, request
from comment_service.publish.replicas import ReplicaAway, Replicas
from comment_service.publish.watermark import Watermark
from history.core.ids import first_id_at, time_of
from history.core.model import Change, Comment
from proto.dispatch_pb2 import PublishRequest, PublishResponse
from proto.tasks import Supervisor

log = structlog.stdlib.get_logger()

REASON_CHARACTERS_MAX = 200
"""Characters of a peer's error that are logged"""

IDS_SAVED_MS = 1_000
"""ms of ids for which one word in the watermark suffices: a small write a second at most beside those that come anyway;
and so far ahead of its clock may a killed process's successor begin"""

PublishCall = grpc.aio.StreamStreamCall[PublishRequest, PublishResponse]


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """What config.py says; its descriptions give the reasons."""

    connect_timeout_ms: int
    ack_timeout_ms: int
    backoff_min_ms: int
    backoff_max_ms: int
    pacing: Pacing
    look_ms: int
    watermark_ms: int


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    backlog: int
    """events that wait to be sent"""
    in_flight: int
    """events sent, and not yet answered"""
    bytes: int
    """of both, in memory"""
    published: int
    """events answered by a dispatcher since the start"""
    resent: int
    """events that were sent again, to another replica or on another stream"""
    dropped: int
    """events left to a catch-up, because the backlog was full or a replica refused them"""
    catching_up: bool
    """a catch-up is due, or sent and not yet answered"""
    connected: str | None
    """the address of the replica to which events are sent now"""


class AnswerOverdue(Exception):
    """The connection to the replica is fine, but a batch got no answer in time."""


class AnotherIsBetter(Exception):
    """Nothing has failed. Says which link is at fault, and names the replica to go to."""

    def __init__(self, address: str, words: str) -> None:
        super().__init__(words)
        self.address = address


class StreamEnded(Exception):
    """The replica ended the stream without an error: it is stopping."""


class Publisher:
    """Belongs to one event loop. `begin`, `abandon` and `put` never wait and never raise."""

    def __init__(
        self,
        replicas: Replicas,
        outbox: Outbox,
        watermark: Watermark,
        settings: PublishSettings,
        on_newest: Callable[[int], None],
    ) -> None:
        """on_newest: gets the largest id of any comment_service that a replica knows, with each of its responses."""
        self._on_newest = on_newest
        self._replicas = replicas
        self._outbox = outbox
        self._watermark = watermark
        self._settings = settings
        self._work = asyncio.Event()  # something to send, or room to send it
        self._emptied = asyncio.Event()
        self._working: list[asyncio.Task[None]] = []
        self._connected: str | None = None
        self._answered_on_stream = False
        self._waiters: dict[int, asyncio.Future[bool]] = {}  # of `published`
        self._closing = False
        self._ids_checked_below = 0  # the watermark says that these may have been given
        self._is_failing = False  # the watermark can't be saved, which was logged

    def start(self, tasks: Supervisor) -> None:
        """Publishes and saves the watermark from now on, until `close`."""
        self._working = [tasks.keep("publish", self._publish), tasks.keep("save watermark", self._save_watermark)]

    def begin(self, event_id: int, video_id: str) -> int:
        """Before the event with that id goes to the store. Returns its `after_id`."""
        if event_id >= self._ids_checked_below:
            self._check_ids(event_id)
        return self._outbox.begin(event_id, video_id)

    def abandon(self, event_id: int, after_id: int | None = None) -> None:
        """Instead of `put`, when the event wasn't accepted. after_id: what `begin` returned, if it surely isn't
        stored"""
        self._outbox.abandon(event_id, after_id)

    def put(self, event: Comment | Change) -> None:
        """The event is durable, and is encoded now. Its id has begun."""
        was_catching_up = self._outbox.is_catching_up
        self._outbox.put(publishable(event))
        if self._outbox.is_catching_up and not was_catching_up:
            log.warning("publish backlog full, nodes will read history", events=self._outbox.backlog)
        self._work.set()

    async def published(self, event_id: int) -> bool:
        """True: a dispatcher has answered for the event, which was `put`: every living node with viewers has it. False:
        some may not have it; put again, it may be answered better."""
        outcome = self._outbox.is_published(event_id)
        if outcome is None:
            waiter = self._waiters.setdefault(event_id, asyncio.get_running_loop().create_future())
            outcome = await asyncio.shield(waiter)
        return outcome

    def hide(self, from_id: int) -> None:
        """Published comments from this id on are in a spool, where the nodes can't read them."""
        self._outbox.hide(from_id)

    def show(self) -> None:
        """They are in the store now, and the nodes will read it once more: see history/spool/store.py."""
        self._outbox.show()
        self._work.set()

    async def close(self, timeout_ms: int) -> None:
        """Ends once the backlog is empty, or after timeout_ms. What is left is the next process's catch-up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                while not self._outbox.is_empty:
                    self._emptied.clear()
                    await self._emptied.wait()
        self._closing = True
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        with contextlib.suppress(OSError):
            self._watermark.write(self._outbox.low_id(), clean=self._outbox.is_empty)
        if not self._outbox.is_empty:
            facts = self.statistics()
            log.warning("ended before all was published", backlog=facts.backlog, catching_up=facts.catching_up)

    def statistics(self) -> PublisherStatistics:
        outbox = self._outbox
        return PublisherStatistics(
            backlog=outbox.backlog,
            in_flight=outbox.events_in_flight,
            bytes=outbox.bytes,
            published=outbox.published,
            resent=outbox.resent,
            dropped=outbox.dropped,
            catching_up=outbox.is_catching_up,
            connected=self._connected,
        )

    async def _publish(self) -> None:
        """From replica to replica, until `close`"""
        self._outbox.take_back()  # in case that this task has failed, and is begun again
        failures = 0  # in a row; a stream on which a batch was answered is none
        reason = ""
        # Cancelling alone doesn't end this: a TaskGroup that fails in the same moment raises its error instead.
        while not self._closing:
            address = await self._replicas.best()
            self._answered_on_stream = False
            try:
                await self._serve(address)
            except* (grpc.aio.AioRpcError, ReplicaAway, AnswerOverdue, StreamEnded, AnotherIsBetter) as group:
                error = _reason(group)
                reason = self._leave(address, error)
                if isinstance(error, AnotherIsBetter):
                    self._replicas.prefer(error.address)
                    self._answered_on_stream = True  # no batch was due, perhaps; it has answered before
            failures = 0 if self._answered_on_stream else failures + 1
            if failures and failures % len(self._replicas) == 0 and not self._closing:
                rounds = failures // len(self._replicas)
                if rounds == 1:
                    log.warning("no dispatcher can be reached", reason=reason, backlog=self._outbox.backlog)
                await asyncio.sleep(self._backoff_s(rounds))

    async def _serve(self, address: str) -> None:
        """Publishes to one replica until it has to be left. Always raises why, as an exception group."""
        await self._together(self._replicas.wait_connected(address, self._settings.connect_timeout_ms))
        call: PublishCall = self._replicas.stub(address).Publish()
        self._connected = address
        log.info("publishing", dispatcher=address)
        try:
            gone = self._replicas.wait_gone(address)
            watching = (self._watch_overdue(), self._watch_reach(address), gone)
            await self._together(self._send(call), self._receive(call), *watching)
        finally:
            self._connected = None
            call.cancel()

    async def _together(self, *parts: Coroutine[Any, Any, None]) -> None:
        """Runs the parts side by side until one raises."""
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    def _leave(self, address: str, error: BaseException) -> str:
        """Returns why, in words."""
        self._replicas.failed(address)
        refused = isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.INVALID_ARGUMENT
        if refused:
            self._outbox.owe_in_flight()
        resent = self._outbox.take_back()
        reason = f"{error.code().name} {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else str(error)
        reason = reason[:REASON_CHARACTERS_MAX]
        if not isinstance(error, ReplicaAway) or resent:
            log.warning("dispatcher left", dispatcher=address, reason=reason, resent=resent, refused=refused)
        return reason

    def _backoff_s(self, rounds: int) -> float:
        """Between half and all of a time that doubles with each round"""
        longest = min(self._settings.backoff_max_ms, self._settings.backoff_min_ms * 2 ** min(rounds - 1, 16))
        return random.uniform(longest / 2, longest) / 1000

    async def _send(self, call: PublishCall) -> None:
        while True:
            batch = self._outbox.next_batch(monotonic_ms())
            if batch is None:
                self._work.clear()
                await self._work.wait()
                continue
            try:
                await call.write(request(batch))
            except asyncio.InvalidStateError:  # gRPC's word for a call that is over; `_receive` gets the reason
                raise StreamEnded("the stream is over") from None
            await self._pace()

    async def _pace(self) -> None:
        """Makes fewer and larger batches while a dispatcher is slow to answer, so that viewers of other nodes don't
        wait for a node that acknowledges late. A full batch needs no pause."""
        pause_ms = self._settings.pacing.pause_ms(self._outbox.batches_in_flight)
        if pause_ms and not self._outbox.has_full_batch:
            await asyncio.sleep(pause_ms / 1000)

    async def _receive(self, call: PublishCall) -> None:
        async for response in call:
            self._answered_on_stream = True
            for seq in (response.seq, *response.seqs):
                self._outbox.answered(seq, response.in_doubt)
            self._on_newest(response.newest_id)
            self._work.set()
            self._emptied.set()
            self._tell_waiters()
        raise StreamEnded("the replica ended the stream")

    def _check_ids(self, event_id: int) -> None:
        """Saves up to which id this process may give some, before the first of them is stored. A process that is killed
        then has a successor that gives none of them again, wherever its clock stands. Under load `_save_watermark` has
        done so before it is due."""
        self._ids_checked_below = self._raise_ids_up_to(time_of(event_id))
        try:
            self._watermark.write(min(self._outbox.low_id(), event_id))
        except OSError as error:
            if not self._is_failing:
                log.error("ids can't be saved", reason=str(error))
            self._is_failing = True

    def _raise_ids_up_to(self, ms: int) -> int:
        up_to = self._watermark.ids_up_to = max(self._watermark.ids_up_to, first_id_at(ms + IDS_SAVED_MS))
        return up_to

    def _tell_waiters(self) -> None:
        for event_id in list(self._waiters):
            if (outcome := self._outbox.is_published(event_id)) is not None:
                self._waiters.pop(event_id).set_result(outcome)

    async def _watch_overdue(self) -> None:
        timeout_ms = self._settings.ack_timeout_ms
        while True:
            now_ms = monotonic_ms()
            oldest_ms = self._outbox.oldest_sent_ms()
            if oldest_ms is not None and now_ms - oldest_ms >= timeout_ms:
                raise AnswerOverdue(f"a batch has no answer after {timeout_ms} ms")
            await asyncio.sleep((timeout_ms if oldest_ms is None else oldest_ms + timeout_ms - now_ms) / 1000)

    async def _watch_reach(self, address: str) -> None:
        """Raises AnotherIsBetter. Looks begin every look_ms, however long the answers take: within two of them."""
        look_ms, reach = self._settings.look_ms, Reach(address)
        while True:
            begun_ms = monotonic_ms()
            nodes = await self._replicas.look(look_ms)
            if (other := reach.better(nodes)) is not None:
                raise AnotherIsBetter(other, reach.words(other, nodes))
            await asyncio.sleep(max(0, begun_ms + look_ms - monotonic_ms()) / 1000)

    async def _save_watermark(self) -> None:
        """Rewrites the file when the watermark has changed, and rests in between. Goes on trying while that fails, as
        on a full disk, and logs it once."""
        saved: int | None = None
        while True:
            await asyncio.sleep(self._settings.watermark_ms / 1000)
            low_id = self._outbox.low_id()
            if low_id == saved:
                continue
            up_to = self._raise_ids_up_to(wall_ms())
            try:
                await asyncio.to_thread(self._watermark.write, low_id)
            except OSError as error:
                if not self._is_failing:
                    log.error("watermark can't be saved", reason=str(error))
                self._is_failing = True
            else:
                saved, self._is_failing = low_id, False
                self._ids_checked_below = max(self._ids_checked_below, up_to)


def _reason(group: BaseExceptionGroup[Exception]) -> Exception:
    """The most informative of several errors: a gRPC status, if there is one"""
    reasons = [error for error in group.exceptions if isinstance(error, Exception)]
    return next((error for error in reasons if isinstance(error, grpc.aio.AioRpcError)), reasons[0])
