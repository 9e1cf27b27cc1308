"""rms/feed/gaps.py: whoever may have missed it is told."""

import json

from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import format_id
from rms.feed.byte_log import FeedOffset
from rms.feed.gaps import GAPS_MAX, Gaps
from rms.feed.position import Position
from rms.feed.sse import unchunked
from tests.rms.parts import events


def at(high: int) -> Position:
    return Position(0, (high,))


def told(gaps: Gaps, high: int, offset: int) -> list[tuple[int, int]]:
    data = [json.loads(event["data"]) for event in events(gaps.unread(at(high), FeedOffset(offset)))]
    return [(int(each["from"], 16) + 1, int(each["to"], 16)) for each in data]


def test_a_gap_says_from_where_to_where_and_why() -> None:
    gap = Gaps().add(5, 9, 100, FeedOffset(0))
    frame = b'event: gap\ndata: {"from":"%b","to":"%b","reason":"too_long_ago"}\n\n'
    assert unchunked(gap.frame()) == frame % (format_id(4).encode(), format_id(9).encode())
    assert unchunked(gap.frame(b"p")) == b"id: p\n" + unchunked(gap.frame())


def test_it_is_told_to_those_from_before_who_enter_behind_it() -> None:
    gaps = Gaps()
    gaps.add(5, 9, 100, start=FeedOffset(1_000))
    assert told(gaps, 100, offset=1_001) == [(5, 9)]
    assert told(gaps, 100, offset=1_000) == [], "it is read in the log"
    assert told(gaps, 101, offset=1_001) == [], "has read on since"


def test_where_nothing_was_said_yet_its_end_tells_who_is_from_before() -> None:
    gaps = Gaps()
    gaps.add(5, 9, None, start=FeedOffset(0))
    assert (told(gaps, 8, offset=1), told(gaps, 9, offset=1)) == ([(5, 9)], [])


@given(st.integers(1, 3 * GAPS_MAX), st.integers(0, 3 * GAPS_MAX))
def test_however_many_there_were_nobody_is_told_too_little(count: int, seen: int) -> None:
    gaps = Gaps()
    for number in range(count):
        gaps.add(10 * number, 10 * number + 5, 1_000 + number, start=FeedOffset(100 * number))
    spans = told(gaps, 1_000 + seen, offset=100 * count)
    assert len(spans) <= GAPS_MAX
    for number in range(seen, count):
        assert any(start <= 10 * number and 10 * number + 5 <= end for start, end in spans)
