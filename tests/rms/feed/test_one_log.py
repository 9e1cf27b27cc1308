"""The feed as a whole: what viewers end up with, whatever order events come in, whichever node they change to.

A state machine plays two comment_services whose clocks differ and which may have to spool, a store, two nodes that may
be cut off from a service, begin without their past, or die, and viewers in all forms. In the end each viewer must have
each comment that was accepted after it came, once, as history has it; or a gap was announced.
"""

import zlib

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from history.core.ids import first_id_at, format_id, time_of
from rms.feed.editions import Form
from rms.feed.event import AUTHOR_PURGED, COMMENT, ERASED, HIDDEN, RESTORED, Event, Promise
from rms.feed.position import parse_position
from rms.feed.resuming import NeedsHistory
from rms.feed.sse import retry_line
from tests.rms.feed.one_log import AUTHORS, FORMS, LIMITS, SEED, Node, Service, Store, Viewer
from tests.rms.parts import T0


class OneLog(RuleBasedStateMachine):
    viewers = Bundle("viewers")

    @initialize(skews=st.tuples(st.integers(-4_000, 4_000), st.integers(-4_000, 4_000)))
    def start(self, skews: tuple[int, int]) -> None:
        self.now_ms = T0
        self.services = [Service(number + 1, skew) for number, skew in enumerate(skews)]
        self.store = Store()
        self.accepted: list[Event] = []
        self.nodes = [Node(self.store, self.services, self.now_ms) for _ in range(2)]
        self.everybody: list[Viewer] = []

    # comment_services

    @rule(
        which=st.integers(0, 1), author=st.sampled_from(AUTHORS), ms=st.one_of(st.integers(0, 3_000), st.just(40_000))
    )
    def post(self, which: int, author: str, ms: int) -> None:
        self.now_ms += ms
        self.nothing_takes_long()
        service = self.services[which]
        event_id = service.next_id(self.now_ms)
        data = b'{"id":"%b","author":{"id":"%b"}}' % (format_id(event_id).encode(), author.encode())
        self.accept(service, Event(event_id, data))

    def nothing_takes_long(self) -> None:
        """What is accepted is published, and delivered where nothing is cut off, within LATE_MS."""
        for which, service in enumerate(self.services):
            old = first_id_at(self.now_ms - 4_000 + service.skew_ms)
            if service.unpublished and service.unpublished[0].id < old:
                self.publish_now(which, 1_000_000)
            for node in self.nodes:
                if node.queues[service.number] and node.queues[service.number][0].id < old:
                    node.deliver(service.number, 1_000_000, self.now_ms)

    @rule(which=st.integers(0, 1), index=st.integers(0, 30), kind=st.sampled_from((ERASED, HIDDEN, RESTORED)))
    def moderate(self, which: int, index: int, kind: str) -> None:
        comments = [event for event in self.accepted if event.kind == COMMENT and event.id in self.store.rows]
        service = self.services[which]
        if index >= len(comments) or service.spools:
            return
        target = comments[-1 - index]
        before = self.store.state.get(target.id)
        if before == ERASED or (kind == RESTORED) != (before == HIDDEN):
            return
        # Its id is above that of the last event about the comment, whatever the clocks say.
        last_id = max(event.id for event in self.accepted if target.id in (event.id, event.target_id))
        event_id = service.ids.next(max(self.now_ms + service.skew_ms, time_of(last_id) + 1))
        if kind == RESTORED:
            del self.store.state[target.id]
            data = target.data if self.store.is_visible(target) else b""
            self.accept(service, Event(event_id, data, RESTORED, "restored", target.id))
        else:
            self.store.state[target.id] = kind
            data = b'{"id":"%b"}' % format_id(target.id).encode()
            self.accept(service, Event(event_id, data, kind, "deleted", target.id))

    @rule(which=st.integers(0, 1), author=st.sampled_from(AUTHORS))
    def purge(self, which: int, author: str) -> None:
        service = self.services[which]
        if service.spools:
            return
        up_to_id = max((event.id for event in self.accepted), default=0)
        event_id = service.next_id(self.now_ms)
        self.store.purged[author] = up_to_id
        data = b'{"authorId":"%b","upTo":"%b"}' % (author.encode(), format_id(up_to_id).encode())
        self.accept(service, Event(event_id, data, AUTHOR_PURGED, "author_purged", up_to_id, author))

    def accept(self, service: Service, event: Event) -> None:
        """It is durable, and its author has got a 200."""
        event = msgspec.structs.replace(event, after_id=service.last_id)
        service.last_id = event.id
        self.accepted.append(event)
        service.unpublished.append(event)
        if service.spools:
            service.spooled.append(event)
        else:
            self.store.rows[event.id] = event

    @rule(which=st.integers(0, 1), count=st.integers(1, 5))
    def publish(self, which: int, count: int) -> None:
        self.publish_now(which, count)

    def publish_now(self, which: int, count: int) -> None:
        service = self.services[which]
        for event in service.unpublished[:count]:
            hidden = service.spooled[0].id if service.spooled else 0
            live = msgspec.structs.replace(event, hidden_from_id=hidden)
            for node in self.nodes:
                if service.number not in node.cut_off:
                    node.queues[service.number].append(live)
                elif node.cut_off[service.number] is None:
                    node.cut_off[service.number] = event.id
        del service.unpublished[:count]

    @rule(which=st.integers(0, 1))
    def store_goes_away(self, which: int) -> None:
        self.services[which].spools = True

    @rule(which=st.integers(0, 1))
    def store_comes_back(self, which: int) -> None:
        """New comments go to the store again; what was spooled follows later."""
        self.services[which].spools = False

    @rule(which=st.integers(0, 1))
    def drain(self, which: int) -> None:
        service = self.services[which]
        service.spools = False
        if not service.spooled:
            return
        from_id, up_to_id = service.spooled[0].id, service.ids.next(0)
        for event in service.spooled:
            self.store.rows[event.id] = event
        service.spooled.clear()
        for node in self.nodes:
            node.catch_up(from_id, self.now_ms)
            node.promised(Promise(service.number, from_id, up_to_id))

    # Nodes

    @rule(which=st.integers(0, 1), of=st.integers(0, 1), count=st.integers(1, 9))
    def deliver(self, which: int, of: int, count: int) -> None:
        self.nodes[which].deliver(self.services[of].number, count, self.now_ms)

    @rule(which=st.integers(0, 1), of=st.integers(0, 1))
    def cut_off(self, which: int, of: int) -> None:
        node, service = self.nodes[which], self.services[of]
        if service.number not in node.cut_off:
            lost = node.queues[service.number]
            node.cut_off[service.number] = lost[0].id if lost else None
            lost.clear()
            node.feed.sure_until(self.now_ms - 10_000)

    @rule(which=st.integers(0, 1))
    def reconnect(self, which: int) -> None:
        node = self.nodes[which]
        missed = [from_id for from_id in node.cut_off.values() if from_id is not None]
        node.cut_off.clear()
        if missed:
            node.catch_up(min(missed), self.now_ms)
        node.feed.sure_until(None)

    @rule(which=st.integers(0, 1), history_is_away=st.booleans())
    def kill(self, which: int, history_is_away: bool) -> None:
        """The node dies, and another one takes its place; its viewers come back with what they have. history_is_away:
        the new one can't read it yet."""
        dead = self.nodes[which]
        self.nodes[which] = Node(self.store, self.services, self.now_ms, history_is_away)
        for viewer in self.everybody:
            if viewer.node is dead:
                self.enter(viewer, self.nodes[which])

    @rule(which=st.integers(0, 1))
    def history_is_back(self, which: int) -> None:
        self.nodes[which].read_past(self.now_ms)

    @rule(which=st.integers(0, 1), count=st.integers(1, 30))
    def go_on_with_the_past(self, which: int, count: int) -> None:
        self.nodes[which].append_past(count, self.now_ms)

    # Viewers

    @rule(target=viewers, which=st.integers(0, 1), form=st.sampled_from(FORMS), backfill=st.integers(0, SEED))
    def come(self, which: int, form: Form, backfill: int) -> Viewer:
        node = self.nodes[which]
        edition = node.edition(form, self.now_ms)
        attach = edition.attach(node.feed.join(backfill), self.now_ms)
        viewer = Viewer(node, form, edition, attach.offset, b"", len(self.accepted))
        self.open(viewer, attach.private)
        self.everybody.append(viewer)
        return viewer

    def open(self, viewer: Viewer, private: bytes) -> None:
        viewer.stream = b""
        viewer.decompress = zlib.decompressobj(31) if viewer.form.gzip else None
        viewer.feed(viewer.edition.begin(retry_line(1)))
        viewer.stream = b""
        viewer.feed(private)

    @rule(viewer=viewers, frames=st.integers(0, 4))
    def read(self, viewer: Viewer, frames: int) -> None:
        """Some frames, as far as there are any"""
        viewer.edition.update(self.now_ms)
        log = viewer.edition.log
        for _ in range(frames):
            if not self.stand_in_log(viewer) or viewer.offset == log.end:
                return
            end, data = log.rest_of_frame(viewer.offset, 1)
            viewer.feed(log.read(viewer.offset, 1) + data)
            viewer.offset = end

    @rule(viewer=viewers)
    def read_all(self, viewer: Viewer) -> None:
        viewer.edition.update(self.now_ms)
        if self.stand_in_log(viewer):
            viewer.feed(viewer.edition.log.read(viewer.offset, 1 << 30))
            viewer.offset = viewer.edition.log.end

    def stand_in_log(self, viewer: Viewer) -> bool:
        """As a sweep does with a viewer whose offset has fallen off"""
        if viewer.offset < viewer.edition.log.base:
            moved = viewer.edition.moved(viewer.offset)
            if moved is None:
                self.enter(viewer, viewer.node)
                return False
            viewer.offset = moved
        return True

    @rule(viewer=viewers, which=st.integers(0, 1))
    def change(self, viewer: Viewer, which: int) -> None:
        """The connection breaks; it comes back, perhaps elsewhere."""
        self.enter(viewer, self.nodes[which])

    def enter(self, viewer: Viewer, node: Node) -> None:
        if not viewer.last_id:  # it has read no event yet: it comes as a new one
            viewer.owed_from = len(self.accepted)
            attach = node.feed.join(0)
        else:
            position = parse_position(viewer.last_id)
            found = node.resuming.resume(position, SEED, self.now_ms)
            if isinstance(found, NeedsHistory):
                limit = LIMITS.resume_events_max + 1
                history = self.store.since(found.from_id, limit)
                found = node.resuming.resume(position, SEED, self.now_ms, history)
            assert not isinstance(found, NeedsHistory)
            attach = found
        viewer.node = node
        viewer.form = viewer.form._replace(claims=attach.claims)
        viewer.edition = node.edition(viewer.form, self.now_ms)
        entered = viewer.edition.attach(attach, self.now_ms)
        viewer.offset = entered.offset
        self.open(viewer, entered.private)

    # What must hold

    @invariant()
    def nothing_twice(self) -> None:
        for viewer in getattr(self, "everybody", ()):
            if not viewer.gaps:
                assert all(count == 1 for count in viewer.got.values()), "doubled"

    def teardown(self) -> None:
        if not hasattr(self, "everybody"):
            return
        for which in range(2):
            self.reconnect(which)
        for of in range(2):
            self.drain(of)
            self.publish(of, 1_000_000)
        for which in range(2):
            for of in range(2):
                self.deliver(which, of, 1_000_000)
            self.history_is_back(which)
            self.go_on_with_the_past(which, 1_000_000)
        for viewer in self.everybody:
            for _ in range(3):  # it may have to enter again first
                self.read_all(viewer)
            self.nothing_twice()
            if viewer.gaps:
                continue
            for event in self.accepted[viewer.owed_from :]:
                if event.kind == COMMENT and self.store.is_visible(event):
                    assert event.id in viewer.shown, "lost"
            for comment_id in viewer.shown:
                assert self.store.is_visible(self.store.rows[comment_id]), "still shown"


TestOneLog = OneLog.TestCase
TestOneLog.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
