"""rms/feed/editions.py: each form carries the same talk, whenever a viewer comes, goes and comes again."""

import json
import zlib

from hypothesis import given
from hypothesis import strategies as st

from history.core.model import Erasure
from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset
from rms.feed.editions import Edition, GzipEdition, PlainEdition, RateEdition, stored
from rms.feed.feed import Attach, Feed, FeedLimits
from rms.feed.position import parse_position
from rms.feed.resuming import NeedsHistory, Resuming
from tests.rms.parts import T0, comment, events, ids

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=3_600_000, log_comments_min=5, resume_comments_max=100, dedupe_ms=60_000
)

words = st.text(st.characters(codec="utf-8"), max_size=60)


class Client:
    """Reads an edition's log as a socket would, in whole frames, and takes gzip apart as it flows."""

    def __init__(self, edition: Edition, attach: Attach[FeedOffset], now_ms: int) -> None:
        self.edition = edition
        self.gunzip = zlib.decompressobj(31) if edition.encoding == "gzip" else None
        self.body = b""
        self._take(edition.begin(b"retry: 5\n"))
        private, self.offset = edition.attach(attach, now_ms)
        self._take(private)

    def _take(self, data: bytes) -> None:
        self.body += self.gunzip.decompress(data) if self.gunzip else data

    def read(self, now_ms: int) -> None:
        self.edition.update(now_ms)
        self._take(self.edition.log.read(self.offset, 1 << 30))
        self.offset = self.edition.log.end

    def again(self, attach: Attach[FeedOffset], now_ms: int) -> None:
        """It had fallen off the log."""
        private, self.offset = self.edition.attach(attach, now_ms)
        self._take(private)


def new_feed(comments: int = 0) -> Feed:
    return Feed(LIMITS, [comment(n, T0 - 100_000 + n) for n in range(comments)], 0, T0)


@given(st.lists(st.tuples(st.sampled_from(["say", "say", "join", "read", "aside", "erase"]), words), max_size=60))
def test_gzip_is_the_plain_stream_for_whoever_joins_whenever(steps: list[tuple[str, str]]) -> None:
    feed = new_feed(3)
    plain = PlainEdition(feed)
    gzip = GzipEdition(plain, T0)
    pairs: list[tuple[Client, Client]] = []
    for number, (step, text) in enumerate(steps):
        now = T0 + number * 100
        match step:
            case "say":
                feed.append(comment(number, now, message=text), now)
            case "join":
                attach = feed.join(backfill=len(text))
                pairs.append((Client(plain, attach, now), Client(gzip, attach, now)))
            case "read":
                for client in (client for pair in pairs[::2] for client in pair):
                    client.read(now)
            case "erase":  # everybody has read everything; then something of it is gone
                for client in (client for pair in pairs for client in pair):
                    client.read(now)
                feed.erase(Erasure(comment(900 + number, now).id, "v", feed.entries[0].id), now)
                gzip.purge()
            case "aside":  # a sweep: all have read up to the end, then they get it
                for client in (client for pair in pairs for client in pair):
                    client.read(now)
                for edition, side in ((plain, 0), (gzip, 1)):
                    data = edition.aside(b":\n")
                    for pair in pairs:
                        pair[side]._take(data)
    for in_plain, in_gzip in pairs:
        in_plain.read(T0)
        in_gzip.read(T0)
        assert in_gzip.body == in_plain.body


def test_gzip_saves_bytes_without_a_state_for_any_viewer() -> None:
    feed = new_feed()
    gzip = GzipEdition(PlainEdition(feed), T0)
    client = Client(gzip, feed.join(0), T0)
    for number in range(200):
        feed.append(comment(number, T0 + number, message=f"what a goal number {number * 7919} that was"), T0)
        client.read(T0)
    assert len(gzip.log) < 0.55 * len(feed.log)
    assert client.body == b"retry: 5\n" + feed.log.read(FeedOffset(0), 1 << 30)


def test_gzip_goes_on_behind_a_trimmed_log() -> None:
    feed = Feed(FeedLimits(2_000, 3_600_000, 2, 100, 60_000), [], 0, T0)
    gzip = GzipEdition(PlainEdition(feed), T0)
    client = Client(gzip, feed.join(0), T0)
    for number in range(100):
        feed.append(comment(number, T0 + number), T0)
        if number % 3 == 0:
            client.read(T0)
    client.read(T0)
    assert len(gzip.log) < 2_000
    assert ids(client.body) == [comment(n, T0 + n).id for n in range(100)]


def test_what_was_trimmed_before_it_was_taken_over_lets_everybody_fall() -> None:
    feed = Feed(FeedLimits(1_000, 3_600_000, 2, 100, 60_000), [], 0, T0)
    edition = RateEdition(feed, 5, T0, 0)
    _, offset = edition.attach(feed.join(0), T0)
    for number in range(100):
        feed.append(comment(number, T0 + number), T0)
    edition.update(T0)
    assert offset < edition.log.base


def test_positions_are_those_of_the_feed() -> None:
    feed = new_feed(5)
    for edition in (GzipEdition(PlainEdition(feed), T0), RateEdition(feed, 100, T0, 5)):
        client = Client(edition, feed.join(3), T0)
        for number in range(5, 10):
            feed.append(comment(number, T0 + number), T0)
            client.read(T0)
            assert edition.position_at(client.offset) == feed.position
        assert edition.position_at(EditionOffset(client.offset - 1)) is None


def test_a_rate_lets_so_many_through_each_second_and_tells_the_rest() -> None:
    feed = new_feed(10)
    edition = RateEdition(feed, 2, T0, 4)
    client = Client(edition, feed.join(4), T0)
    for number in range(100, 110):
        feed.append(comment(number, T0 + number), T0 + 50)
    client.read(T0 + 100)
    assert len(ids(client.body)) == 4 + 2
    client.read(T0 + 1_100)  # nothing follows, and yet it is told
    *_, last = events(client.body)
    assert (last["event"], json.loads(last["data"])) == ("skipped", {"skipped": 8})
    assert parse_position(last["id"]) == feed.position
    feed.append(comment(200, T0 + 1_200), T0 + 1_200)
    client.read(T0 + 1_200)
    assert ids(client.body)[-1] == comment(200, T0 + 1_200).id


@given(
    st.lists(st.integers(0, 600), min_size=1, max_size=60),
    st.sampled_from([1, 2, 5]),
    st.booleans(),
    st.integers(0, 59),
)
def test_everything_passes_or_is_counted(steps: list[int], rate: int, gzipped: bool, cut: int) -> None:
    feed = new_feed()
    limited: Edition = RateEdition(feed, rate, T0, 5)
    edition = GzipEdition(limited, T0) if gzipped else limited
    client = Client(edition, feed.join(5), T0)
    now, sent = T0, []
    for number, step in enumerate(steps):
        now += step
        sent.append(comment(number, now))
        feed.append(sent[-1], now)
        client.read(now)
        if number == cut:  # goes, and comes again with its last event's id
            last = [event["id"] for event in events(client.body) if "id" in event]
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
    source: Edition = RateEdition(feed, 1, T0, 9) if limited else PlainEdition(feed)
    edition = GzipEdition(source, T0) if gzipped else source
    here = Client(edition, feed.join(backfill), T0)
    for number in (100, 101):
        feed.append(comment(number), T0)
    feed.add_gap(comment(1).id, comment(2).id, T0)
    here.read(T0)
    joiner = Client(edition, feed.join(backfill), T0)
    feed.append(comment(200, T0 + 2_000), T0 + 2_000)
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
    assert plain.aside(b":\n") == b":\n"
    attach = Attach(b"x", FeedOffset(0))
    assert plain.attach(attach, T0) is attach  # type: ignore[comparison-overlap]


@given(st.integers(0, 11), st.booleans(), st.booleans())
def test_who_enters_before_a_limited_log_begins_gets_the_last_comments_and_the_number_of_the_others(
    first: int, erased: bool, gzipped: bool
) -> None:
    """The edition is younger than the feed, or it was purged when a comment was erased."""
    feed = new_feed(10)
    limited = RateEdition(feed, 100, T0, backfill=3)
    edition = GzipEdition(limited, T0) if gzipped else limited
    for number in (100, 101):
        feed.append(comment(number), T0)
    edition.update(T0)
    if erased:
        feed.erase(Erasure(comment(900).id, "v", feed.entries[11].id), T0)
        edition.purge()
    client = Client(edition, Attach(b"", feed.entries[first].start), T0)
    feed.append(comment(102), T0)
    client.read(T0)
    lacked = [entry.id for entry in feed.entries[first:] if entry.kind == "comment"]
    skipped = sum(
        json.loads(event["data"])["skipped"] for event in events(client.body) if event.get("event") == "skipped"
    )
    assert skipped == max(0, (9 if erased else 4) - first), "all but a backfill"
    assert ids(client.body) == [each for each in lacked[skipped:] if each not in feed.erased]
    assert client.body.count(b"event: deleted\n") == erased
    highest = [parse_position(event["id"]).high for event in events(client.body) if "id" in event]
    assert highest == sorted(highest)
