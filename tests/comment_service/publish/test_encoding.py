"""comment_service/publish/encoding.py: the bytes are what protobuf reads, in the order of the events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comment_service.core.outbox import EVENT_BYTES, Batch, Publishable
from comment_service.publish.encoding import publishable, request
from history.core.model import Author, Change, Comment
from history.core.stream_data import comment_data
from proto import event_pb2
from proto.event_pb2 import Event, VideoEvents

ids = st.integers(1, 2**63 - 1)
comments = st.builds(
    Comment,
    id=ids,
    video_id=st.sampled_from(["a", "b", "x" * 128]),
    author=st.builds(Author, id=st.text(max_size=9), name=st.text(max_size=9)),
    message=st.text(max_size=9000),
    created_at_ms=st.integers(0, 2**47),
    after_id=st.integers(0, 2**63 - 1),
)


def read(encoded: Publishable) -> Event:
    return Event.FromString(encoded.encoded)


@given(comments)
def test_a_comment_is_what_viewers_get(comment: Comment) -> None:
    assert read(publishable(comment)) == Event(
        id=comment.id, after_id=comment.after_id, data=comment_data(comment), comment=event_pb2.Comment()
    )


@pytest.mark.parametrize(
    ("change", "event"),
    [
        (Change(9, "v", "erased", target_id=7), Event(name="deleted", erased=event_pb2.Erased(comment_id=7))),
        (Change(9, "v", "hidden", target_id=7), Event(name="deleted", hidden=event_pb2.Hidden(comment_id=7))),
        (
            Change(9, "v", "restored", target_id=7, data=b'{"id":"7"}'),
            Event(name="restored", data=b'{"id":"7"}', restored=event_pb2.Restored(comment_id=7)),
        ),
        (
            Change(9, "v", "author_purged", author_id="ann", up_to_id=8),
            Event(name="author_purged", author_purged=event_pb2.AuthorPurged(author_id="ann", up_to_id=8)),
        ),
        (Change(9, "v", "pinned", target_id=7), Event(name="pinned", pinned=event_pb2.Pinned(comment_id=7))),
        (Change(9, "v", "unpinned", target_id=7), Event(name="unpinned", unpinned=event_pb2.Unpinned(comment_id=7))),
        (
            Change(9, "v", "video_changed", data=b"{}"),
            Event(name="video_changed", data=b"{}", video_changed=event_pb2.VideoChanged()),
        ),
        (Change(9, "v", "poll", data=b"{}"), Event(name="poll", data=b"{}")),
    ],
)
def test_every_kind_of_change(change: Change, event: Event) -> None:
    encoded = read(publishable(change))
    if encoded.name in ("deleted", "author_purged"):
        about = {"id": "0000000000000007"}, {"authorId": "ann", "upTo": "0000000000000008"}
        assert json.loads(encoded.data) == about[encoded.name == "author_purged"]
        event.data = encoded.data
    event.id = 9
    assert encoded == event


def test_every_kind_on_the_wire_is_known_here() -> None:
    for field in Event.DESCRIPTOR.oneofs_by_name["body"].fields:
        if field.name != "comment":
            assert read(publishable(Change(9, "v", field.name))).WhichOneof("body") == field.name


@given(st.lists(comments, max_size=20))
def test_a_batch_has_each_videos_events_in_their_order(said: list[Comment]) -> None:
    made = request(Batch(5, tuple(map(publishable, said)), None, 0))
    assert made.seq == 5
    assert not made.HasField("catch_up")
    assert [video.video_id for video in made.videos] == list(dict.fromkeys(comment.video_id for comment in said))
    for video in made.videos:
        of_video = [comment for comment in said if comment.video_id == video.video_id]
        assert VideoEvents.FromString(video.encoded) == VideoEvents(
            video_id=video.video_id, events=[read(publishable(comment)) for comment in of_video]
        )
        given_ids = [comment.id for comment in of_video]
        assert (video.low_id, video.high_id, video.events) == (min(given_ids), max(given_ids), len(given_ids))


@pytest.mark.parametrize(("from_id", "on_the_wire"), [(0, 1), (7, 7)])
def test_a_catch_up_has_no_events(from_id: int, on_the_wire: int) -> None:
    made = request(Batch(1, (), from_id, 0))
    assert made.catch_up.from_id == on_the_wire
    assert not made.videos


VIDEO_IDS = st.integers(1, 128).map(lambda size: "v" * size)
EVENTS = st.lists(st.tuples(VIDEO_IDS, st.integers(0, 300) | st.integers(16_000, 17_000)), min_size=1, max_size=8)


@given(EVENTS, st.integers(0, 1 << 62) | st.none(), st.integers(1, 1 << 62))
def test_a_request_is_never_larger_than_its_events_say(
    events: list[tuple[str, int]], hidden_from_id: int | None, first_id: int
) -> None:
    sent = [Publishable(first_id + number, video_id, bytes(size)) for number, (video_id, size) in enumerate(events)]
    bytes_max = sum(event.bytes_max for event in sent)
    batch = Batch(1 << 62, tuple(sent), None, 0, 1023, 0, hidden_from_id, bytes_max)
    encoded = request(batch).SerializeToString()
    assert len(encoded) <= bytes_max + EVENT_BYTES


def test_what_is_around_an_event_is_counted_in_full() -> None:
    """Each in a video of its own, with the longest id"""
    sent = tuple(Publishable(number, f"{number:0128}", bytes(2_000)) for number in range(1, 1_001))
    batch = Batch(1 << 62, sent, None, 0, 1023, 0, 1 << 62)
    around = len(request(batch).SerializeToString()) / 1_000 - 2_000
    assert EVENT_BYTES - 20 < around <= EVENT_BYTES
