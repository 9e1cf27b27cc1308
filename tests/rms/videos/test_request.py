"""rms/videos/request.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rms.feed.editions import Form
from rms.feed.position import TEXT_BYTES_MAX
from rms.videos.request import (
    NUMBER_SHOWN,
    RATES,
    Refused,
    StreamRequest,
    for_a_node,
    parse_stream_request,
    takes_gzip,
)


def asked(
    query: dict[str, str] | None = None, headers: dict[str, str] | None = None, video_id: str = "v"
) -> StreamRequest:
    return parse_stream_request(video_id, query or {}, headers or {}, 50, 200)


def test_who_asks_for_nothing_gets_the_usual() -> None:
    assert asked() == StreamRequest("v", None, 50, Form())


@pytest.mark.parametrize(
    ("max_rate", "tier"), [("1", 1), ("4", 2), ("5", 5), ("99", 50), ("100", 100), ("101", None), ("999999", None)]
)
def test_the_tier_is_never_more_than_was_asked_for(max_rate: str, tier: int | None) -> None:
    assert asked({"max_rate": max_rate}).form.rate == tier
    assert tier is None or tier in RATES


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("GZIP", True), ("gzip; q=0", False), ("*", False), ("gzipped", False)],
)
def test_gzip_is_given_to_who_names_it(header: str, takes: bool) -> None:
    assert takes_gzip(header) == takes


def test_heartbeats_are_events_for_who_asks_for_them() -> None:
    assert asked({"heartbeat": "event"}).form == Form(beat_events=True)
    assert asked({"heartbeat": "comment"}) == asked()
    assert for_a_node({"heartbeat": "event"}, {})[0] == {"heartbeat": "event"}, "through a door, too"
    with pytest.raises(Refused):
        asked({"heartbeat": "often"})


@pytest.mark.parametrize("name", ["_", "utm_source", "evs_preamble", "cursor", ""])
def test_unknown_parameters_are_ignored(name: str) -> None:
    assert asked({name: "1700000000", "max_rate": "5"}) == asked({"max_rate": "5"})


@pytest.mark.parametrize("name", ["lastEventId", "evs_last_event_id", "last_event_id"])
def test_a_position_comes_under_each_name_that_libraries_use(name: str) -> None:
    old, new = "0000000000000001", "0000000000000002"
    assert asked({name: new}).position == asked({}, {"last-event-id": new}).position
    assert asked({"last_event_id": old, name: new}) == asked({"last_event_id": new}), "the page's own is older"
    assert asked({name: old}, {"last-event-id": new}) == asked({"last_event_id": new})


@pytest.mark.parametrize("accept", ["text/*", "Text/Event-Stream", "*/*;q=0.1", "", "application/json, */*"])
def test_who_accepts_a_stream_gets_one(accept: str) -> None:
    assert asked({}, {"accept": accept}) == asked()


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/event-stream;q=0, */*"])
def test_who_accepts_no_stream_is_told(accept: str) -> None:
    with pytest.raises(Refused) as refused:
        asked({}, {"accept": accept})
    assert refused.value.status == 406


@given(
    st.text(), st.dictionaries(st.sampled_from(["backfill", "max_rate", "last_event_id", "x"]), st.text()), st.text()
)
def test_anything_is_understood_or_refused_with_a_reason(video_id: str, query: dict[str, str], last: str) -> None:
    try:
        asked(query, {"last-event-id": last}, video_id)
    except Refused as refused:
        status, reason = refused.status, refused.message
    else:
        return
    assert 400 <= status < 500
    assert reason


texts = st.text() | st.sampled_from(
    ["gzip", "gzip;q=0, br", "text/event-stream", "*/*", "5", "0" * 5_000, "x" * 5_000, "0000000000000001", "", "9999"]
)


@given(
    st.dictionaries(st.sampled_from(["backfill", "max_rate", "last_event_id", "lastEventId", "x"]), texts),
    st.dictionaries(st.sampled_from(["accept", "accept-encoding", "last-event-id"]), texts),
)
def test_a_node_gets_little_and_understands_the_same(query: dict[str, str], headers: dict[str, str]) -> None:
    def outcome(query: dict[str, str], headers: dict[str, str]) -> StreamRequest | str:
        try:
            return asked(query, headers)
        except Refused as refused:
            return refused.message

    try:
        asked({**query, "backfill": "0"}, headers)  # as the door does
    except Refused:
        return
    known, needed = for_a_node(query, headers)
    assert outcome(known, needed) == outcome(query, headers)
    assert sum(map(len, [*known.values(), *needed.values()])) <= 2 * NUMBER_SHOWN + TEXT_BYTES_MAX + 30
