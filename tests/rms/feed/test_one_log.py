"""The feed as a whole: what viewers end up with, whatever order events come in, whichever node they change to.

A state machine plays two comment_services whose clocks differ and which may have to spool, a store, two nodes that may
be cut off from a service, or die, and viewers in all forms. In the end each viewer must have each comment that was
accepted after it came, once, as history has it; or a gap was announced.
"""

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from history.core.ids import IdSource, first_id_at, format_id, parse_id, time_of
from rms.feed.byte_log import EditionOffset
from rms.feed.editions import Edition, FilteredEdition, Form, PlainEdition
from rms.feed.event import AUTHOR_PURGED, COMMENT, ERASED, HIDDEN, RESTORED, Event, Promise
from rms.feed.feed import Feed, FeedLimits
from rms.feed.gzip_edition import GzipEdition
from rms.feed.position import parse_position
from rms.feed.resuming import NeedsHistory, Resuming
from tests.rms.parts import T0

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=20_000, log_comments_min=5, resume_events_max=500, dedupe_ms=660_000
)
SEED = 5
AUTHORS = ("ann", "bob")
FORMS = (Form(), Form(gzip=True), Form(rate=1_000), Form(rate=1_000, gzip=True))


class Service:
    """A comment_service: publishes its events in the order of their ids, each chained to the one before."""

    def __init__(self, number: int, skew_ms: int) -> None:
        self.number = number
        self.skew_ms = skew_ms
        self.ids = IdSource(number)
        self.unpublished: list[Event] = []
        self.last_id = self.ids.next(T0 - 1_000 + skew_ms)
        self.spools = False
        self.spooled: list[Event] = []

    def next_id(self, now_ms: int) -> int:
        return self.ids.next(now_ms + self.skew_ms)


class Store:
    """History: the log's rows, and which comments can be seen"""

    def __init__(self) -> None:
        self.rows: dict[int, Event] = {}
        self.state: dict[int, str] = {}  # of comments that aren't visible
        self.purged: dict[str, int] = {}  # authors

    def is_visible(self, event: Event) -> bool:
        author = json.loads(event.data)["author"]["id"]
        return event.id not in self.state and event.id > self.purged.get(author, 0)

    def read(self, event: Event) -> Event:
        """As a node reads it now"""
        if event.kind == COMMENT:
            return event if self.is_visible(event) else Event(event.id, b"", after_id=event.after_id)
        if event.kind == RESTORED:
            found = self.rows.get(event.target_id)
            data = found.data if found is not None and self.is_visible(found) else b""
            return Event(event.id, data, RESTORED, "restored", event.target_id, after_id=event.after_id)
        return event

    def since(self, from_id: int, limit: int) -> list[Event]:
        return [self.read(self.rows[each]) for each in sorted(self.rows) if each >= from_id][:limit]

    def seed(self, now_ms: int) -> tuple[list[Event], int]:
        found: list[Event] = []
        comments = 0
        for each in sorted(self.rows, reverse=True):
            if comments >= SEED and time_of(found[-1].id) < now_ms - 30_000:
                return found[::-1], found[-1].id
            found.append(self.read(self.rows[each]))
            comments += found[-1].kind == COMMENT and bool(found[-1].data)
        return found[::-1], 0


class Node:
    def __init__(self, store: Store, services: list[Service], now_ms: int) -> None:
        self.store = store
        self.queues: dict[int, list[Event]] = {service.number: [] for service in services}
        self.cut_off: dict[int, int | None] = {}  # from which services, and the smallest id that was missed
        seed, complete_from = store.seed(now_ms)
        self.feed = Feed(LIMITS, seed, complete_from, now_ms)
        self.resuming = Resuming(self.feed)
        self.editions: dict[Form, Edition] = {}
        self.changes: dict[int, dict[int, str]] = {}
        self.withdrawn: set[int] = set()

    def edition(self, form: Form, now_ms: int) -> Edition:
        edition = self.editions.get(form)
        if edition is None:
            if form.gzip:
                edition = GzipEdition(self.edition(form._replace(gzip=False), now_ms), now_ms)
            elif form.rate or form.claims:
                edition = FilteredEdition(self.feed, form.rate, now_ms, SEED, form.claims)
            else:
                edition = PlainEdition(self.feed)
            self.editions[form] = edition
        return edition

    def append(self, event: Event, now_ms: int) -> None:
        self.feed.append(event, now_ms)
        if event.kind in (ERASED, HIDDEN, RESTORED):
            changes = self.changes.setdefault(event.target_id, {})
            changes[event.id] = event.kind
            last = ERASED if ERASED in changes.values() else changes[max(changes)]
            (self.withdrawn.discard if last == RESTORED else self.withdrawn.add)(event.target_id)
        if self.feed.rewritten:
            sources = {form._replace(gzip=False) for form in self.editions if form.gzip}
            starts = [start for start in self.feed.rewritten if start >= self.feed.log.base]
            for form, edition in self.editions.items():
                if form not in sources:
                    edition.rewrite(starts)
            self.feed.rewritten.clear()

    def catch_up(self, from_id: int, now_ms: int) -> None:
        from_id = max(from_id, self.feed.complete_from)
        up_to = self.feed.read_begins(now_ms)
        for event in self.store.since(from_id, 1_000_000):
            self.append(event, now_ms)
        self.feed.read_ended(from_id, up_to)

    def deliver(self, number: int, count: int, now_ms: int) -> None:
        queue = self.queues[number]
        for event in queue[:count]:
            if self.feed.may_have_forgotten(event.id, now_ms):
                self.feed.add_gap(event.id, event.id + 1, now_ms)
            else:
                self.append(event, now_ms)
        del queue[:count]
        if self.feed.missing_from is not None:
            from_id, self.feed.missing_from = self.feed.missing_from, None
            self.catch_up(from_id, now_ms)


@dataclass(eq=False)
class Viewer:
    node: Node
    form: Form
    edition: Edition
    offset: EditionOffset
    stream: bytes
    owed_from: int
    """how many events had been accepted when it came"""
    decompress: "zlib._Decompress | None" = None
    last_id: str = ""
    got: Counter[int] = field(default_factory=Counter)
    shown: dict[int, str] = field(default_factory=dict)
    """comments by id, and who said it"""
    gaps: int = 0

    def feed(self, data: bytes, frames_max: int | None = None) -> None:
        """Takes bytes from the stream, and reads whole blocks."""
        self.stream += self.decompress.decompress(data) if self.decompress else data
        *blocks, self.stream = self.stream.split(b"\n\n")
        for block in blocks[:frames_max]:
            self._read(block.decode())

    def _read(self, block: str) -> None:
        lines = [line.partition(": ")[::2] for line in block.split("\n") if line and not line.startswith(":")]
        fields = dict(lines)
        if "data" in fields:
            data = json.loads(fields["data"])
            match fields.get("event"):
                case None:
                    comment_id = parse_id(data["id"])
                    store = self.node.store  # the node may have read there already that it is restored
                    is_shown = comment_id not in self.node.withdrawn or store.is_visible(store.rows[comment_id])
                    assert is_shown, "sent after its erasure"
                    self.got[comment_id] += 1
                    self.shown[comment_id] = data["author"]["id"]
                case "deleted":
                    self.shown.pop(parse_id(data["id"]), None)
                case "restored":
                    self.shown[parse_id(data["id"])] = data["author"]["id"]
                    self.got[parse_id(data["id"])] = 1
                case "author_purged":
                    for comment_id, author in list(self.shown.items()):
                        if author == data["authorId"] and comment_id <= parse_id(data["upTo"]):
                            del self.shown[comment_id]
                case "gap":
                    self.gaps += 1
                case "skipped":
                    assert self.form.rate
                    self.gaps += 1
        if "id" in fields:
            parse_position(fields["id"])
            self.last_id = fields["id"]


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
            node.feed.promised(Promise(service.number, from_id, up_to_id))

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

    @rule(which=st.integers(0, 1))
    def kill(self, which: int) -> None:
        """The node dies, and another one takes its place; its viewers come back with what they have."""
        dead = self.nodes[which]
        self.nodes[which] = Node(self.store, self.services, self.now_ms)
        for viewer in self.everybody:
            if viewer.node is dead:
                self.enter(viewer, self.nodes[which])

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
        viewer.feed(viewer.edition.begin(b"retry: 1\n"))
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
    max_examples=800, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
