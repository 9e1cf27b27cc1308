"""rms/feed/editions.py: each form carries the same talk, whenever a viewer comes, goes and comes again."""

import json
import zlib

from hypothesis import given
from hypothesis import strategies as st

from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset
from rms.feed.editions import Edition, FilteredEdition, PlainEdition
from rms.feed.entry import VISIBLE, Attach, FeedLimits
from rms.feed.feed import Feed
from rms.feed.gzip_edition import BLOCK_BYTES_MAX, GzipEdition, stored
from rms.feed.position import parse_position
from rms.feed.resuming import NeedsHistory, Resuming
from rms.feed.sse import HEARTBEAT, retry_line, unchunked
from rms.feed.unchunked_edition import UnchunkedEdition
from tests.rms.parts import T0, chained, comment, erasure, event, events, ids

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=3_600_000, log_comments_min=5, resume_events_max=100, dedupe_ms=60_000
)

words = st.text(st.characters(codec="utf-8"), max_size=60)


class Client:
    """Reads an edition's log as a socket would, in whole frames, and takes chunks and gzip apart as they flow."""

    def __init__(self, edition: Edition, attach: Attach[FeedOffset], now_ms: int, chunked: bool = True) -> None:
        self.edition = edition
        self.chunked = chunked
        self.gunzip = zlib.decompressobj(31) if edition.encoding == "gzip" else None
        self.body = b""
        self._take(edition.begin(retry_line(5)))
        private, self.offset, _ = edition.attach(attach, now_ms)
        self._take(private)

    def _take(self, data: bytes) -> None:
        data = unchunked(data) if self.chunked else data
        self.body += self.gunzip.decompress(data) if self.gunzip else data

    def read(self, now_ms: int) -> None:
        self.edition.update(now_ms)
        if self.offset < self.edition.log.base:
            moved = self.edition.moved(self.offset)
            assert moved is not None
            self.offset = moved
        self._take(self.edition.log.read(self.offset, 1 << 30))
        self.offset = self.edition.log.end

    def again(self, attach: Attach[FeedOffset], now_ms: int) -> None:
        """It had fallen off the log."""
        private, self.offset, _ = self.edition.attach(attach, now_ms)
        self._take(private)


def new_feed(comments: int = 0) -> Feed:
    return Feed(LIMITS, chained(comment(n, T0 - 100_000 + n) for n in range(comments)), 0, T0)


@given(st.lists(st.tuples(st.sampled_from(["say", "say", "join", "read", "aside", "erase"]), words), max_size=60))
def test_gzip_and_bare_are_the_plain_stream_for_whoever_joins_whenever(steps: list[tuple[str, str]]) -> None:
    feed = new_feed(3)
    plain = PlainEdition(feed)
    derived: list[Edition] = [
        GzipEdition(plain, T0),
        GzipEdition(plain, T0, chunked=False),
        UnchunkedEdition(plain, T0),
    ]
    editions = list(zip([plain, *derived], (True, True, False, False), strict=True))
    groups: list[list[Client]] = []
    for number, (step, text) in enumerate(steps):
        now = T0 + number * 100
        match step:
            case "say":
                feed.append(event(comment(number, now, message=text)), now)
            case "join":
                attach = feed.join(backfill=len(text))
                groups.append([Client(edition, attach, now, chunked) for edition, chunked in editions])
                for client in groups[-1]:
                    client.read(now)  # as a gzipped one has by its beginning
            case "read":
                for client in (client for group in groups[::2] for client in group):
                    client.read(now)
            case "erase":  # some have read everything, others are in the middle
                for client in (client for group in groups[::2] for client in group):
                    client.read(now)
                for edition, _ in editions:
                    edition.update(now)
                feed.append(erasure(comment(900 + number, now).id, feed.ids[len(text) % len(feed)]), now)
                for edition in derived:
                    edition.rewrite(feed.rewritten)
                feed.rewritten.clear()
            case "aside":  # a sweep: all have read up to the end, then they get it
                for client in (client for group in groups for client in group):
                    client.read(now)
                for which, (edition, _) in enumerate(editions):
                    data = edition.aside(HEARTBEAT)
                    for group in groups:
                        group[which]._take(data)
    for group in groups:
        for client in group:
            client.read(T0)
        assert len({client.body for client in group}) == 1


def test_gzip_saves_bytes_without_a_state_for_any_viewer() -> None:
    feed = new_feed()
    gzip = GzipEdition(PlainEdition(feed), T0)
    client = Client(gzip, feed.join(0), T0)
    for number in range(200):
        feed.append(event(comment(number, T0 + number, message=f"what a goal number {number * 7919} that was")), T0)
        client.read(T0)
    assert len(gzip.log) < 0.55 * len(feed.log)
    assert client.body == b"retry: 5\n" + unchunked(feed.log.read(FeedOffset(0), 1 << 30))


def test_gzip_goes_on_behind_a_trimmed_log() -> None:
    feed = Feed(FeedLimits(2_000, 3_600_000, 2, 100, 60_000), [], 0, T0)
    gzip = GzipEdition(PlainEdition(feed), T0)
    client = Client(gzip, feed.join(0), T0)
    for number in range(100):
        feed.append(event(comment(number, T0 + number)), T0)
        if number % 3 == 0:
            client.read(T0)
    client.read(T0)
    assert len(gzip.log) < 2_000
    assert ids(client.body) == [comment(n, T0 + n).id for n in range(100)]


def test_what_was_trimmed_before_it_was_taken_over_lets_everybody_fall() -> None:
    feed = Feed(FeedLimits(1_000, 3_600_000, 2, 100, 60_000), [], 0, T0)
    edition = FilteredEdition(feed, 5, T0, 0)
    offset = edition.attach(feed.join(0), T0).offset
    for number in range(100):
        feed.append(event(comment(number, T0 + number)), T0)
    edition.update(T0)
    assert offset < edition.log.base


def test_positions_are_those_of_the_feed() -> None:
    feed = new_feed(5)
    for edition in (GzipEdition(PlainEdition(feed), T0), FilteredEdition(feed, 100, T0, 5)):
        client = Client(edition, feed.join(3), T0)
        for number in range(5, 10):
            feed.append(event(comment(number, T0 + number)), T0)
            client.read(T0)
            assert edition.text_at(client.offset) == str(feed.position).encode()
        assert edition.text_at(EditionOffset(client.offset - 1)) is None


def test_a_rate_lets_so_many_through_each_second_and_tells_the_rest() -> None:
    feed = new_feed(10)
    edition = FilteredEdition(feed, 2, T0, 4)
    client = Client(edition, feed.join(4), T0)
    for number in range(100, 110):
        feed.append(event(comment(number, T0 + number)), T0 + 50)
    client.read(T0 + 100)
    assert len(ids(client.body)) == 4 + 2
    client.read(T0 + 1_100)  # nothing follows, and yet it is told
    *_, last = events(client.body)
    assert (last["event"], json.loads(last["data"])) == ("skipped", {"skipped": 8})
    assert parse_position(last["id"]) == feed.position
    feed.append(event(comment(200, T0 + 1_200)), T0 + 1_200)
    client.read(T0 + 1_200)
    assert ids(client.body)[-1] == comment(200, T0 + 1_200).id


def test_a_rate_lets_as_much_through_after_the_clock_was_set_back() -> None:
    feed = new_feed()
    limited = FilteredEdition(feed, 5, T0, 5)
    client = Client(limited, feed.join(0), T0)
    for second in range(20):
        now_ms = T0 - 600_000 + second * 1_000
        feed.append(event(comment(second, now_ms)), now_ms)
        client.read(now_ms)
    assert len(ids(client.body)) == 20


def test_what_was_left_out_is_told_before_anything_else_passes() -> None:
    """Whoever leaves with the position of what passes has, by that, what was left out."""
    feed = new_feed()
    client = Client(FilteredEdition(feed, 1, T0, 5), feed.join(5), T0)
    first, left_out = comment(1, T0 + 1), comment(2, T0 + 2)
    for each in (event(first), event(left_out), erasure(comment(3, T0 + 3).id, first.id)):
        feed.append(each, T0 + 50)
        client.read(T0 + 60)
    assert [each["event"] for each in events(client.body) if "event" in each] == ["skipped", "deleted"]
    told = next(each for each in events(client.body) if each.get("event") == "skipped")
    assert parse_position(told["id"]).claims().cover(left_out.id)
    client.read(T0 + 2_000)
    assert sum(each.get("event") == "skipped" for each in events(client.body)) == 1


@given(
    st.lists(st.integers(0, 600), min_size=1, max_size=60),
    st.sampled_from([1, 2, 5]),
    st.booleans(),
    st.integers(0, 59),
)
def test_everything_passes_or_is_counted(steps: list[int], rate: int, gzipped: bool, cut: int) -> None:
    feed = new_feed()
    limited: Edition = FilteredEdition(feed, rate, T0, 5)
    edition = GzipEdition(limited, T0) if gzipped else limited
    client = Client(edition, feed.join(5), T0)
    now, sent = T0, []
    for number, step in enumerate(steps):
        now += step
        sent.append(comment(number, now))
        feed.append(event(sent[-1]), now)
        client.read(now)
        if number == cut:  # goes, and comes again with its last event's id
            last = [each["id"] for each in events(client.body) if "id" in each]
            if last:
                found = Resuming(feed).resume(parse_position(last[-1]), 0, now)
                assert not isinstance(found, NeedsHistory)
                client.again(found, now)
    client.read(now + 2_000)
    got = ids(client.body)
    assert len(got) == len(set(got))
    told = sum(json.loads(event["data"])["skipped"] for event in events(client.body) if "event" in event)
    assert len(got) + told >= len(sent)
    by_second: dict[int, int] = {}
    window, count = T0, 0
    for c in sent:
        if c.created_at_ms - window >= 1_000:
            window, count = c.created_at_ms, 0
        if c.id in got:
            count += 1
            by_second[window] = count
    assert all(count <= rate for count in by_second.values())


@given(st.sampled_from([0, 1, 3, 9]), st.booleans(), st.booleans())
def test_a_gap_passes_whatever_the_rate_and_only_those_who_were_here(
    backfill: int, limited: bool, gzipped: bool
) -> None:
    feed = new_feed(5)
    source: Edition = FilteredEdition(feed, 1, T0, 9) if limited else PlainEdition(feed)
    edition = GzipEdition(source, T0) if gzipped else source
    here = Client(edition, feed.join(backfill), T0)
    for number in (100, 101):
        feed.append(event(comment(number)), T0)
    feed.add_gap(comment(1).id, comment(2).id, T0)
    here.read(T0)
    joiner = Client(edition, feed.join(backfill), T0)
    feed.append(event(comment(200, T0 + 2_000)), T0 + 2_000)
    for client in (here, joiner):
        client.read(T0 + 2_000)
        assert ids(client.body)[-1] == comment(200, T0 + 2_000).id
        assert len(ids(client.body)) == len(set(ids(client.body)))
    assert [client.body.count(b"event: gap\n") for client in (here, joiner)] == [1, 0]


@given(st.binary(max_size=65_535))
def test_a_stored_block_is_deflate(data: bytes) -> None:
    assert zlib.decompressobj(-15).decompress(stored(data)) == data


def test_plain_is_the_feed_itself() -> None:
    feed = new_feed(3)
    plain = PlainEdition(feed)
    assert plain.log is feed.log  # type: ignore[comparison-overlap]
    assert isinstance(plain.log, ByteLog)
    assert plain.aside(HEARTBEAT) == HEARTBEAT
    attach = Attach(b"x", FeedOffset(0))
    assert plain.attach(attach, T0) is attach  # type: ignore[comparison-overlap]


@given(st.integers(0, 11), st.booleans(), st.booleans())
def test_who_enters_before_a_limited_log_begins_gets_the_last_comments_and_the_number_of_the_others(
    first: int, erased: bool, gzipped: bool
) -> None:
    """The edition is younger than the feed."""
    feed = new_feed(10)
    limited = FilteredEdition(feed, 100, T0, backfill=3)
    edition = GzipEdition(limited, T0) if gzipped else limited
    for number in (100, 101):
        feed.append(event(comment(number)), T0)
    edition.update(T0)
    gone = feed.ids[11]
    if erased:
        feed.append(erasure(comment(900).id, gone), T0)
        edition.rewrite(feed.rewritten)
    client = Client(edition, Attach(b"", feed.log.start_of(first)), T0)
    feed.append(event(comment(102)), T0)
    client.read(T0)
    lacked = [entry.id for entry in list(feed.entries())[first:] if entry.kind == VISIBLE]
    skipped = sum(
        json.loads(event["data"])["skipped"] for event in events(client.body) if event.get("event") == "skipped"
    )
    assert ids(client.body) == lacked[skipped:]
    assert len(ids(client.body)) >= min(3, len(lacked)), "a backfill"
    assert client.body.count(b"event: deleted\n") == erased
    highest = [parse_position(each["id"]).high for each in events(client.body) if "id" in each]
    assert highest == sorted(highest)


def test_a_block_is_bounded_however_much_came_at_once() -> None:
    feed = new_feed()
    gzip = GzipEdition(PlainEdition(feed), T0)
    client = Client(gzip, feed.join(0), T0)
    for number in range(600):
        feed.append(event(comment(number, T0 + number, message="x" * 400)), T0)
    gzip.update(T0)
    assert len(feed.log) > 5 * BLOCK_BYTES_MAX
    assert gzip.log.frames(EditionOffset(0), gzip.log.end) > 5
    client.read(T0)
    assert client.body == b"retry: 5\n" + unchunked(feed.log.read(FeedOffset(0), 1 << 30))


@given(st.integers(0, 9), st.integers(0, 9), st.booleans(), st.booleans())
def test_an_erasure_in_the_middle_of_a_sweep_harms_nobody_and_is_never_sent_again(
    behind: int, which: int, limited: bool, gzipped: bool
) -> None:
    feed = new_feed()
    source: Edition = FilteredEdition(feed, 100, T0, 9) if limited else PlainEdition(feed)
    edition = GzipEdition(source, T0) if gzipped else source
    here, slow = (Client(edition, feed.join(0), T0) for _ in range(2))
    for number in range(10):
        feed.append(event(comment(number, T0 + number, message=f"secret {number}")), T0)
        here.read(T0)
        if number < behind:
            slow.read(T0)
    feed.append(erasure(comment(900).id, comment(which, T0 + which).id), T0)
    edition.rewrite(feed.rewritten)
    for number in range(10, 15):
        feed.append(event(comment(number, T0 + number)), T0)
        for client in (here, slow):
            client.read(T0)
    joiner = Client(edition, feed.join(20), T0)
    assert ids(here.body) == [comment(n, T0 + n).id for n in range(15)]
    shown = [comment(n, T0 + n).id for n in range(15) if n != which or which < behind]
    assert ids(slow.body) == shown
    assert f"secret {which}".encode() not in joiner.body
    assert (f"secret {which}".encode() in slow.body) == (which < behind)
    for client in (here, slow):
        assert client.body.count(b"event: deleted\n") == 1


@given(st.integers(0, 12), st.booleans())
def test_who_has_more_than_the_feed_gets_nothing_of_it_again(ahead: int, gzipped: bool) -> None:
    talk = [comment(n, T0 + n) for n in range(20)]
    live = chained(talk)
    feed = Feed(LIMITS, live[:5], 0, T0)
    position = Feed(LIMITS, live[: 5 + ahead], 0, T0).position
    source = FilteredEdition(feed, None, T0, 5, position)
    edition = GzipEdition(source, T0) if gzipped else source
    client = Client(edition, Attach(b"", feed.log.end, position), T0)
    for each in live[5:]:
        feed.append(each, T0)
        client.read(T0)
        last = [each["id"] for each in events(client.body) if "id" in each]
        assert all(parse_position(last[-1]).claims().cover(c.id) for c in talk[: 5 + ahead])
    assert ids(client.body) == [c.id for c in talk[5 + ahead :]]
    assert parse_position(last[-1]) == feed.position
