"""dispatcher/streams/wire.py: what is put together from bytes reads as what protobuf would have made."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.streams import wire
from dispatcher.streams.wire import Part
from proto.dispatch_pb2 import CatchUp, CatchUpOrder, Deliver, DispatcherMessage, VideoViewers
from proto.event_pb2 import Event, VideoEvents

numbers = st.integers(1, 2**64 - 1)
events = st.builds(Event, id=st.integers(0, 2**64 - 1), name=st.text(max_size=5), data=st.binary(max_size=300))
videos = st.builds(VideoEvents, video_id=st.text(max_size=200), events=st.lists(events, max_size=3))


viewers = st.builds(VideoViewers, video_id=st.text(max_size=9), viewers=st.integers(0, 2**32 - 1))


@given(
    numbers,
    st.lists(st.lists(videos, min_size=1, max_size=3), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
    st.lists(viewers, max_size=3),
)
def test_deliver_is_the_message_that_protobuf_makes(
    number: int, groups: list[list[VideoEvents]], ack_within_ms: int, sums: list[VideoViewers]
) -> None:
    parts = [Part(b"".join(wire.videos_field(v.SerializeToString()) for v in group), len(group)) for group in groups]
    everything = [video for group in groups for video in group]
    expected = Deliver(number=number, videos=everything, ack_within_ms=ack_within_ms, viewers=sums)
    encoded = wire.deliver(number, parts, ack_within_ms, sums)
    assert DispatcherMessage.FromString(encoded) == DispatcherMessage(deliver=expected)


@given(numbers, numbers, numbers, st.integers(0, 1023), st.lists(st.text(max_size=9), max_size=3))
def test_catch_up_is_the_message_that_protobuf_makes(
    number: int, from_id: int, up_to_id: int, service: int, video_ids: list[str]
) -> None:
    order = CatchUpOrder(from_id=from_id, up_to_id=up_to_id, service=service, video_ids=["all", "of", "them"])
    expected = CatchUp(number=number, from_id=from_id, up_to_id=up_to_id, service=service, video_ids=video_ids)
    encoded = wire.catch_up(number, wire.catch_up_body(order, video_ids))
    assert DispatcherMessage.FromString(encoded) == DispatcherMessage(catch_up=expected)
