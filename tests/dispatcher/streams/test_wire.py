"""dispatcher/streams/wire.py: what is put together from bytes reads as what protobuf would have made."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.streams import wire
from dispatcher.streams.wire import Part
from proto.dispatch_pb2 import CatchUp, CatchUpOrder, Deliver, DispatcherMessage
from proto.event_pb2 import Event, VideoEvents

numbers = st.integers(1, 2**64 - 1)
events = st.builds(Event, id=st.integers(0, 2**64 - 1), name=st.text(max_size=5), data=st.binary(max_size=300))
videos = st.builds(VideoEvents, video_id=st.text(max_size=200), events=st.lists(events, max_size=3))


@given(numbers, st.lists(st.lists(videos, min_size=1, max_size=3), min_size=1, max_size=4))
def test_deliver_is_the_message_that_protobuf_makes(number: int, groups: list[list[VideoEvents]]) -> None:
    parts = [Part(b"".join(wire.videos_field(v.SerializeToString()) for v in group), len(group)) for group in groups]
    everything = [video for group in groups for video in group]
    assert DispatcherMessage.FromString(wire.deliver(number, parts)) == DispatcherMessage(
        deliver=Deliver(number=number, videos=everything)
    )


@given(st.binary(max_size=50))
def test_bytes_that_are_no_video_harm_nothing_beside_them(garbage: bytes) -> None:
    good = VideoEvents(video_id="a", events=[Event(id=7)]).SerializeToString()
    encoded = wire.videos_field(garbage) + wire.videos_field(good)
    whole = wire.deliver(3, [Part(encoded, 2)])
    assert whole.endswith(wire.videos_field(good))
    assert DispatcherMessage.FromString(wire.deliver(3, [Part(wire.videos_field(good), 1)])).deliver.number == 3


@given(numbers, numbers, numbers, st.integers(0, 1023), st.lists(st.text(max_size=9), max_size=3))
def test_catch_up_is_the_message_that_protobuf_makes(
    number: int, from_id: int, up_to_id: int, service: int, video_ids: list[str]
) -> None:
    order = CatchUpOrder(from_id=from_id, up_to_id=up_to_id, service=service, video_ids=["all", "of", "them"])
    expected = CatchUp(number=number, from_id=from_id, up_to_id=up_to_id, service=service, video_ids=video_ids)
    encoded = wire.catch_up(number, wire.catch_up_body(order, video_ids))
    assert DispatcherMessage.FromString(encoded) == DispatcherMessage(catch_up=expected)
