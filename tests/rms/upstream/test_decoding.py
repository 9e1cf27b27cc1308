"""rms/upstream/decoding.py: every kind, and what a feed has to know of it"""

from proto import event_pb2
from proto.event_pb2 import Event as Message
from proto.event_pb2 import VideoEvents
from rms.feed.event import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Event
from rms.upstream.decoding import events_of


def test_each_kind_is_what_a_feed_takes() -> None:
    messages = [
        Message(id=1, data=b"{}", after_id=3, hidden_from_id=4, comment=event_pb2.Comment()),
        Message(id=2, name="deleted", data=b"[]", erased=event_pb2.Erased(comment_id=9)),
        Message(id=3, hidden=event_pb2.Hidden(comment_id=9)),
        Message(id=4, restored=event_pb2.Restored(comment_id=9)),
        Message(id=5, author_purged=event_pb2.AuthorPurged(author_id="ann", up_to_id=9)),
        Message(id=6, pinned=event_pb2.Pinned(comment_id=9)),
        Message(id=7, unpinned=event_pb2.Unpinned(comment_id=9)),
        Message(id=8, name="video", data=b"{}", video_changed=event_pb2.VideoChanged()),
        Message(id=9, name="poll", data=b"?"),
    ]
    assert events_of(VideoEvents(video_id="v", events=messages)) == [
        Event(1, b"{}", after_id=3, hidden_from_id=4),
        Event(2, b"[]", ERASED, "deleted", target_id=9, hidden_from_id=0),
        Event(3, b"", HIDDEN, target_id=9, hidden_from_id=0),
        Event(4, b"", RESTORED, target_id=9, hidden_from_id=0),
        Event(5, b"", AUTHOR_PURGED, target_id=9, author_id="ann", hidden_from_id=0),
        Event(6, b"", "pinned", target_id=9, hidden_from_id=0),
        Event(7, b"", "unpinned", target_id=9, hidden_from_id=0),
        Event(8, b"{}", "video_changed", "video", hidden_from_id=0),
        Event(9, b"?", "", "poll", hidden_from_id=0),
    ]


def test_a_kind_of_a_later_version_is_counted_and_passed_on() -> None:
    later = Message(id=7, name="poll", data=b"{}").SerializeToString() + b"\xfa\x07\x01x"
    assert events_of(VideoEvents(events=[Message.FromString(later)])) == [Event(7, b"{}", "", "poll", hidden_from_id=0)]


def test_every_kind_on_the_wire_has_its_target() -> None:
    """A kind that is added to proto/event.proto is added here, or says that it is about no comment."""
    no_target = {"comment", "video_changed"}
    for field in Message.DESCRIPTOR.oneofs_by_name["body"].fields:
        event = Message(id=1)
        body = getattr(event, field.name)
        body.SetInParent()
        assert field.message_type
        for part in field.message_type.fields:
            setattr(body, part.name, "x" if part.type == part.TYPE_STRING else 9)
        (known,) = events_of(VideoEvents(events=[event]))
        assert known.kind == field.name
        assert known.target_id == (0 if field.name in no_target else 9), field.name
