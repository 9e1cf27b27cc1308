"""The parts that tests/rms/feed/test_one_log.py plays: services, a store, nodes and viewers. The feed, its editions and
positions are the real ones."""

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field

from history.core.ids import IdSource, parse_id, time_of
from rms.feed.byte_log import EditionOffset
from rms.feed.editions import Edition, FilteredEdition, Form, PlainEdition
from rms.feed.entry import FeedLimits
from rms.feed.event import AUTHOR_PURGED, COMMENT, ERASED, HIDDEN, RESTORED, Event, Promise
from rms.feed.feed import Feed
from rms.feed.gzip_edition import GzipEdition
from rms.feed.position import parse_position
from rms.feed.resuming import Resuming
from rms.feed.sse import unchunked
from rms.feed.unchunked_edition import UnchunkedEdition
from tests.rms.parts import T0

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=20_000, log_comments_min=5, resume_events_max=500, dedupe_ms=660_000
)
SEED = 5
AUTHORS = ("ann", "bob")
FORMS = tuple(
    Form(rate, gzip, chunked=chunked) for rate in (None, 1_000) for gzip in (False, True) for chunked in (True, False)
)


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

    def seed(self, now_ms: int, hidden_from: int) -> tuple[list[Event], int]:
        found: list[Event] = []
        comments = 0
        for each in sorted(self.rows, reverse=True):
            if comments >= SEED and time_of(found[-1].id) < now_ms - 30_000 and found[-1].id <= hidden_from:
                return found[::-1], found[-1].id
            found.append(self.read(self.rows[each]))
            comments += found[-1].kind == COMMENT and bool(found[-1].data)
        return found[::-1], 0


class Node:
    def __init__(self, store: Store, services: list[Service], now_ms: int, history_is_away: bool = False) -> None:
        self.store = store
        self.queues: dict[int, list[Event]] = {service.number: [] for service in services}
        self.cut_off: dict[int, int | None] = {}  # from which services, and the smallest id that was missed
        hidden = {service.number: service.spooled[0].id for service in services if service.spooled}
        self.hidden_from = min(hidden.values(), default=1 << 63)
        seed, complete_from = ([], None) if history_is_away else store.seed(now_ms, self.hidden_from)
        self.feed = Feed(LIMITS, seed, complete_from, now_ms, hidden)
        self.past: tuple[dict[int, int], list[Event], int] | None = None  # read, and perhaps not yet appended
        self.missed_from: int | None = None  # while the feed lacks its past
        self.promises: list[Promise] = []
        self.resuming = Resuming(self.feed)
        self.editions: dict[Form, Edition] = {}
        self.changes: dict[int, dict[int, str]] = {}
        self.withdrawn: set[int] = set()
        self.purged: dict[str, int] = {}

    def edition(self, form: Form, now_ms: int) -> Edition:
        edition = self.editions.get(form)
        if edition is None:
            if form.source is not None:
                source = self.edition(form.source, now_ms)
                edition = GzipEdition(source, now_ms, form.chunked) if form.gzip else UnchunkedEdition(source, now_ms)
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
        if event.kind == AUTHOR_PURGED:
            self.purged[event.author_id] = max(event.target_id, self.purged.get(event.author_id, 0))
        if self.feed.rewritten:
            sources = {form.source for form in self.editions}
            starts = [start for start in self.feed.rewritten if start >= self.feed.log.base]
            for form, edition in self.editions.items():
                if form not in sources:
                    edition.rewrite(starts)
            self.feed.rewritten.clear()

    def read_past(self, now_ms: int) -> None:
        """Begins to give the feed its past, as rms/videos/catching_up.py does."""
        if self.feed.lacks_past and self.past is None:
            self.past = self.feed.read_begins(now_ms), *self.store.seed(now_ms, 1 << 63)

    def append_past(self, count: int, now_ms: int) -> None:
        """The first ones of what was read, and the rest when there is no more"""
        if self.past is None:
            return
        up_to, seed, from_id = self.past
        for event in seed[:count]:
            self.append_old(event, now_ms)
        del seed[:count]
        if seed:
            return
        assert self.feed.without_past is not None
        while (waits_from := self.feed.without_past.waits_from) is not None and waits_from < from_id:
            for event in self.store.since(waits_from, 1_000_000):
                if event.id < from_id:
                    self.append_old(event, now_ms)
            from_id = waits_from
        self.past = None
        self.feed.past_is_read(from_id, up_to, now_ms)
        missed = [each for each in (self.feed.had.lowest_hole, self.missed_from) if each is not None]
        if missed:
            self.catch_up(min(missed), now_ms)
        for promise in self.promises:
            self.feed.promised(promise)

    def append_old(self, event: Event, now_ms: int) -> None:
        if not self.feed.had_live(event.id, now_ms):
            self.append(event, now_ms)

    def promised(self, promise: Promise) -> None:
        if self.feed.lacks_past:
            self.promises.append(promise)
        else:
            self.feed.promised(promise)

    def catch_up(self, from_id: int, now_ms: int) -> None:
        if self.feed.lacks_past:
            self.missed_from = min(from_id, self.missed_from or from_id)
            return
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
            if not self.feed.lacks_past:
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
        """Takes whole chunks from the stream, and reads whole blocks."""
        data = unchunked(data) if self.form.chunked else data
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
                    self._must_be_shown(comment_id, data["author"]["id"])
                    self.got[comment_id] += 1
                    self.shown[comment_id] = data["author"]["id"]
                case "deleted":
                    self.shown.pop(parse_id(data["id"]), None)
                case "restored":
                    self._must_be_shown(parse_id(data["id"]), data["author"]["id"])
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

    def _must_be_shown(self, comment_id: int, author_id: str) -> None:
        assert comment_id > self.node.purged.get(author_id, 0), "sent after the purge of its author"
        store = self.node.store  # the node may have read there already that it is restored
        is_shown = comment_id not in self.node.withdrawn or store.is_visible(store.rows[comment_id])
        assert is_shown, "sent after its erasure"
