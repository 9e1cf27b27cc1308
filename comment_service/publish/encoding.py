"""Encodes an event once for all: as the bytes in which it goes to the dispatchers, and from there to the nodes.

What depends on when an event is sent is put in front of these bytes when it is sent: encoded protobuf messages may be
concatenated (dispatcher/streams/wire.py has the source).
"""

from collections.abc import Callable, Mapping
from struct import Struct

from comment_service.core.outbox import Batch, Publishable
from history.core.model import Change, Comment
from history.core.stream_data import name_and_data
from proto import event_pb2
from proto.dispatch_pb2 import CatchUpOrder, PublishRequest, Unreadable, VideoBatch

_FIXED_64, _LENGTH_DELIMITED = 1, 2
_ID_TAG = event_pb2.Event.ID_FIELD_NUMBER << 3 | _FIXED_64
_AFTER_TAG = event_pb2.Event.AFTER_ID_FIELD_NUMBER << 3 | _FIXED_64
_ID_AND_AFTER = Struct("<BQBQ")
_DATA_TAG = bytes((event_pb2.Event.DATA_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,))
_EVENTS_TAG = bytes((event_pb2.VideoEvents.EVENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,))

_COMMENT = event_pb2.Event(comment=event_pb2.Comment()).SerializeToString()

_BODIES: Mapping[str, Callable[[Change], event_pb2.Event]] = {
    "erased": lambda change: event_pb2.Event(erased=event_pb2.Erased(comment_id=change.target_id)),
    "hidden": lambda change: event_pb2.Event(hidden=event_pb2.Hidden(comment_id=change.target_id)),
    "restored": lambda change: event_pb2.Event(restored=event_pb2.Restored(comment_id=change.target_id)),
    "author_purged": lambda change: event_pb2.Event(
        author_purged=event_pb2.AuthorPurged(author_id=change.author_id, up_to_id=change.up_to_id)
    ),
    "pinned": lambda change: event_pb2.Event(pinned=event_pb2.Pinned(comment_id=change.target_id)),
    "unpinned": lambda change: event_pb2.Event(unpinned=event_pb2.Unpinned(comment_id=change.target_id)),
    "video_changed": lambda change: event_pb2.Event(video_changed=event_pb2.VideoChanged()),
}


def publishable(event: Comment | Change) -> Publishable:
    """A change of a kind that isn't in proto/event.proto has no body: nodes count it, and pass name and data on."""
    name, data = name_and_data(event)
    if isinstance(event, Comment):  # by hand, in half the time: there are many
        ids = _ID_AND_AFTER.pack(_ID_TAG, event.id, _AFTER_TAG, event.after_id)
        encoded = b"".join((ids, _DATA_TAG, _varint(len(data)), data, _COMMENT))
        return Publishable(event.id, event.video_id, encoded)
    told = event_pb2.Event(id=event.id, after_id=event.after_id, name=name, data=data).SerializeToString()
    body = _BODIES.get(event.kind)
    return Publishable(event.id, event.video_id, told + body(event).SerializeToString() if body else told)


def request(batch: Batch) -> PublishRequest:
    """One VideoBatch for each of the batch's videos, with its events in their order"""
    videos: dict[str, list[Publishable]] = {}
    for event in batch.events:
        known = videos.get(event.video_id)
        if known is None:
            videos[event.video_id] = [event]
        else:
            known.append(event)
    hidden, unreadable, order = b"", None, None
    if batch.hidden_from_id is not None:
        hidden = event_pb2.Event(hidden_from_id=batch.hidden_from_id).SerializeToString()
        unreadable = Unreadable(service=batch.service, from_id=batch.hidden_from_id)
    if (from_id := batch.catch_up_from_id) is not None:  # 0 is no id on the wire
        order = CatchUpOrder(from_id=max(1, from_id), up_to_id=batch.catch_up_to_id, service=batch.service)
    return PublishRequest(
        seq=batch.seq,
        videos=[_video_batch(video_id, events, hidden) for video_id, events in videos.items()],
        catch_up=order,
        unreadable=unreadable,
    )


def _video_batch(video_id: str, events: list[Publishable], hidden: bytes) -> VideoBatch:
    """hidden: what each event says beside what was encoded when it was put"""
    ids = [event.id for event in events]
    encoded = [event_pb2.VideoEvents(video_id=video_id).SerializeToString()]
    for event in events:
        encoded += (_EVENTS_TAG, _varint(len(event.encoded) + len(hidden)), event.encoded, hidden)
    return VideoBatch(
        video_id=video_id, low_id=min(ids), high_id=max(ids), events=len(events), encoded=b"".join(encoded)
    )


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    return bytes((value & 0x7F | 0x80,)) + _varint(value >> 7)
