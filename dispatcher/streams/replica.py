"""Carries the registry's decisions out on the links and publishers of one replica. Nothing in here waits.

So nothing can come between reading the registry and changing it. servicer.py waits: it reads the streams, calls this,
and writes what the links and publishers hold.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dispatcher import checks
from dispatcher.clocks import wall_ms
from dispatcher.config import Config
from dispatcher.core.errors import Aborted, DispatcherError, InvalidRequest, LimitReached, Stopping
from dispatcher.core.life import State
from dispatcher.core.newest import Newest
from dispatcher.core.node import Hello
from dispatcher.core.registry import Registry
from dispatcher.core.unreadable import UnreadableEvents
from dispatcher.streams import wire
from dispatcher.streams.journal import Journal
from dispatcher.streams.link import AckLatency, Link
from dispatcher.streams.publisher import Batch, Publisher
from dispatcher.streams.watchers import Kind, Watchers
from dispatcher.streams.wire import Part
from proto import dispatch_pb2 as wire_types
from proto.dispatch_pb2 import CatchUpOrder, VideoBatch


@dataclass(slots=True)
class Counts:
    """Since the replica's start"""

    batches: int = 0
    events: int = 0
    pushes: int = 0  # events queued for nodes: one for each node that serves the video
    useless_events: int = 0  # that the connected nodes got from any replica, by their own count
    expiries: int = 0
    overflows: int = 0
    placements: int = 0
    spills: int = 0
    no_room: int = 0


class Replica:
    """now_ms: clocks.steady_clock_ms, which never steps back"""

    def __init__(self, config: Config, replica_id: str, now_ms: Callable[[], int]) -> None:
        self.config = config
        self.replica_id = replica_id
        self.now_ms = now_ms
        self.registry = Registry(config.registry_limits(), now_ms())
        self.journal = Journal(config.lines_per_s_max, now_ms)
        self.newest = Newest(config.ahead_ms_max)
        self._unreadable = UnreadableEvents(config.recent_s * 1000, config.publishers_max)
        self.watchers = Watchers(config.watchers_max, config.watcher_events_max)
        self.counts = Counts()
        self.latency = AckLatency()
        self.started_ms = now_ms()
        self._doubt_until_ms = self.started_ms + self.config.lease_ms
        self.links: dict[int, Link] = {}
        """of the living nodes, by session; for reading only, like the publishers"""
        self.publishers: set[Publisher] = set()
        self._sessions = itertools.count(1)
        self._stopping = False

    # Nodes

    def connect(self, hello: wire_types.Hello) -> Link:
        """Begins a node's registration; its link's first message is the welcome. Raises DispatcherError."""
        if self._stopping:
            raise Stopping
        checks.check_hello(hello, self.config)
        now_ms = self.now_ms()
        link = Link(next(self._sessions), hello.node_id, self.config.link_limits(), self.latency)
        replaced = self.registry.hello(link.session, self._hello(hello), now_ms)
        self.links[link.session] = link  # at once: what is routed to a session must find its link
        if replaced is not None:
            self.end(replaced, Aborted("a newer stream of this node took its place"))
        catch_up_from_id = self.registry.catch_up_from(link.session, now_ms)
        link.send_nowait(
            wire_types.DispatcherMessage(
                welcome=wire_types.Welcome(
                    replica_id=self.replica_id,
                    lease_ms=self.config.lease_ms,
                    beat_ms=self.config.beat_ms,
                    catch_up_from_id=catch_up_from_id or 0,
                    unreadable=self._unreadable_now(),
                )
            )
        )
        self.announce(
            Kind.NODE_CONNECTED,
            hello.node_id,
            url=hello.public_url,
            videos=len(hello.videos),
            catch_up_from=None if catch_up_from_id is None else f"{catch_up_from_id:016x}",
        )
        return link

    def receive(self, link: Link, message: wire_types.NodeMessage) -> None:
        """Takes any message after a node's hello. Raises DispatcherError: then the link must end."""
        now_ms = self.now_ms()
        kind = message.WhichOneof("message")
        if kind == "delivered":
            link.delivered(message.delivered.number, now_ms)
            self.registry.heard(link.session, now_ms)
        elif kind == "beat":
            self._beat(link, message.beat, now_ms)
        elif kind == "interest":
            joined = checks.check_video_ids(message.interest.joined, self.config)
            self.registry.interest(link.session, joined, message.interest.left, now_ms)
            if link.unread >= self.config.unread_acks_max:
                raise LimitReached(f"{link.unread} acknowledgements of interests aren't read")
            ack = wire_types.InterestAck(number=message.interest.number, unreadable=self._unreadable_now())
            link.send_nowait(wire_types.DispatcherMessage(interest_ack=ack))
        else:
            raise InvalidRequest(f"a node's stream carries beats, interests and deliveries, not {kind}")

    def _beat(self, link: Link, beat: wire_types.Beat, now_ms: int) -> None:
        before = self.registry.state(link.session)
        self.counts.useless_events += link.more_useless(beat.load.useless_events)
        changed = checks.check_viewers(beat.videos, self.config)
        if beat.delivered:
            link.delivered(beat.delivered, now_ms)
        self.registry.beat(link.session, beat.load.viewers, changed, now_ms, draining=beat.draining)
        link.send_beat_ack_nowait(self.registry.interests.sums(link.session, self.config.sums_max))
        after = self.registry.state(link.session)
        if before is not after:
            self.announce(Kind.DRAINING if after is State.DRAINING else Kind.UNDRAINED, link.node_id)

    @property
    def is_in_doubt(self) -> bool:
        """A node may live that isn't connected here, and not know yet that it misses something."""
        return self.now_ms() < self._doubt_until_ms

    @property
    def ack_within_ms(self) -> int:
        """How long nodes may wait with an acknowledgement, so that all of them together don't send too many"""
        return max(self.config.ack_gather_ms, len(self.links) * 1000 // self.config.acks_per_s_max)

    def end(self, session: int, reason: DispatcherError | None, *, was_silent: bool = False) -> None:
        """Ends a registration and its link; idempotent. reason: goes to the node; None if it closed the stream.
        was_silent: for a lease. A node that lives knows then that it misses something."""
        now_ms = self.now_ms()
        self.registry.end(session, now_ms)
        link = self.links.pop(session, None)
        if link is None:
            return
        if not was_silent:
            self._doubt_until_ms = now_ms + self.config.lease_ms
        missed_from_id = link.end(reason)
        if missed_from_id is not None:
            self.registry.published(missed_from_id, now_ms)
        self.announce(Kind.NODE_LEFT, link.node_id, reason=str(reason) if reason else "it closed the stream")

    def check_leases(self) -> None:
        """Ends the links that are silent, or owe an acknowledgement for too long. Call it every `beat_ms`.

        What fails for one node is logged, and the others are looked at all the same.
        """
        now_ms = self.now_ms()
        for session in self.registry.expired(now_ms):
            try:
                self._expire(session, now_ms)
            except Exception as error:
                self.journal.failed("can't expire a node", error, session=session)
        for session, link in tuple(self.links.items()):
            try:
                if overdue := link.overdue(now_ms):
                    self.end(session, overdue)
            except Exception as error:
                self.journal.failed("can't end a link", error, node=link.node_id)
        for publisher in self.publishers:
            if publisher.hides_as is not None:
                self._unreadable.stays(publisher.hides_as, now_ms)
        self.registry.housekeep(now_ms)
        self.journal.close_second()

    def _expire(self, session: int, now_ms: int) -> None:
        self.registry.expire(session, now_ms)
        self.counts.expiries += 1
        expired = Aborted(f"the lease has expired: nothing was heard for {self.config.lease_ms} ms")
        self.end(session, expired, was_silent=True)

    # Publishers

    def open_publisher(self, peer: str) -> Publisher:
        """Raises Stopping or LimitReached."""
        if self._stopping:
            raise Stopping
        if len(self.publishers) >= self.config.publishers_max:
            raise LimitReached(f"this replica takes at most {self.config.publishers_max} publishers")
        publisher = Publisher(peer, self.config.unanswered_batches_max, self.now_ms)
        self.publishers.add(publisher)
        return publisher

    def close_publisher(self, publisher: Publisher) -> None:
        self.publishers.discard(publisher)
        publisher.end(None)

    def publish(self, publisher: Publisher, request: wire_types.PublishRequest) -> None:
        """Queues a batch at every link that serves one of its videos. Raises InvalidRequest."""
        checks.check_batch(request, self.config)
        order = request.catch_up if request.HasField("catch_up") else None
        smallest_id = self._note_ids(request.videos, order)
        self._note_unreadable(publisher, request)
        batch = publisher.batch(request.seq, smallest_id)
        self.counts.batches += 1
        overflowed: set[int] = set()
        for route, part in self._by_route(request.videos):
            self.counts.pushes += len(route) * part.events
            overflowed.update(s for s in route if not self.links[s].deliver_nowait(part, batch))
        if order is not None:
            self._catch_up(order, batch)
        for session in overflowed:
            self.counts.overflows += 1
            self.end(session, self.links[session].overflow())
        batch.one_is_done()

    def _note_ids(self, videos: Collection[VideoBatch], order: CatchUpOrder | None) -> int | None:
        """Returns the smallest id of all; None if there is none."""
        low_ids = [video.low_id for video in videos]
        self.newest.routed([video.high_id for video in videos], wall_ms())
        if order is not None:
            low_ids.append(order.from_id)
        smallest_id = min(low_ids, default=None)
        if smallest_id is not None:
            self.registry.published(smallest_id, self.now_ms())
        return smallest_id

    def _note_unreadable(self, publisher: Publisher, request: wire_types.PublishRequest) -> None:
        if request.HasField("unreadable"):
            publisher.hides_as = request.unreadable.service
            self._unreadable.note(request.unreadable.service, request.unreadable.from_id, self.now_ms())
            return
        if publisher.hides_as is not None:
            self._unreadable.clear(publisher.hides_as)
            publisher.hides_as = None
        if request.catch_up.up_to_id:
            self._unreadable.clear(request.catch_up.service)

    def _unreadable_now(self) -> list[wire_types.Unreadable]:
        known = self._unreadable.all(self.now_ms())
        return [wire_types.Unreadable(service=service, from_id=from_id) for service, from_id in known]

    def _by_route(self, videos: Collection[VideoBatch]) -> list[tuple[tuple[int, ...], Part]]:
        """For each route that isn't empty, all that goes there: made once, however many nodes the route has.

        This runs for every video of a batch, not for every event: one look-up, one append.
        """
        route_of = self.registry.interests.route
        fields: dict[tuple[int, ...], list[bytes]] = {}
        events: dict[tuple[int, ...], int] = {}
        for video in videos:
            self.counts.events += video.events
            route = route_of(video.video_id)
            if route in fields:
                fields[route].append(wire.videos_field(video.encoded))
                events[route] += video.events
            elif route:
                fields[route] = [wire.videos_field(video.encoded)]
                events[route] = video.events
        return [(route, Part(b"".join(encoded), events[route])) for route, encoded in fields.items()]

    def _catch_up(self, order: CatchUpOrder, batch: Batch) -> None:
        """Queues a catch-up at every link; if the order names videos, only at those that serve one of them."""
        if not order.video_ids:
            body = wire.catch_up_body(order, ())
            for link in self.links.values():
                link.catch_up_nowait(body, batch)
            return
        served: dict[int, list[str]] = {}
        for video_id in dict.fromkeys(order.video_ids):
            for session in self.registry.interests.route(video_id):
                served.setdefault(session, []).append(video_id)
        for session, video_ids in served.items():
            self.links[session].catch_up_nowait(wire.catch_up_body(order, video_ids), batch)

    def announce(self, kind: Kind, node_id: str, *, video_id: str = "", reason: str = "", **facts: object) -> None:
        """Writes a topology event into the log, and sends it to the watchers. facts: for the log only"""
        named = {name: text for name, text in (("video", video_id), ("reason", reason)) if text}
        self.journal.note(kind.words, node=node_id, **named, **facts)
        if self.watchers:
            self.watchers.send(
                wire_types.TopologyEvent(
                    at_ms=wall_ms(), kind=kind.value, node_id=node_id, video_id=video_id, reason=reason
                )
            )

    def _hello(self, hello: wire_types.Hello) -> Hello:
        return Hello(
            node_id=hello.node_id,
            incarnation=hello.incarnation,
            public_url=hello.public_url.rstrip("/"),
            capacity_viewers=hello.capacity_viewers,
            viewers=hello.load.viewers,
            videos=checks.check_viewers(hello.videos, self.config),
            silent_ms=hello.silent_ms or None,
            draining=hello.draining,
        )

    # The end

    def stop_publishers(self) -> list[asyncio.Future[DispatcherError | None]]:
        """Takes no new streams and no new batches. Returns futures that are set when each publisher's batches are
        answered."""
        self._stopping = True
        self.watchers.end()
        for publisher in self.publishers:
            publisher.finish(Stopping())
        return [publisher.ended for publisher in self.publishers]

    def stop_links(self) -> None:
        """Ends every stream. Publishers first: the end of a link counts as done for the batches that wait for it."""
        for publisher in tuple(self.publishers):
            publisher.end(Stopping())
        for session in tuple(self.links):
            self.end(session, Stopping())
