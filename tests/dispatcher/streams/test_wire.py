"""dispatcher/streams/wire.py: what is put together from bytes reads as what protobuf would have made."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.streams import wire
from proto.comment_pb2 import Author, Comment
from proto.dispatch_pb2 import CatchUp, Deliver, DispatcherMessage

comments = st.builds(
    Comment,
    id=st.integers(0, 2**64 - 1),
    video_id=st.text(max_size=200),
    author=st.builds(Author, id=st.text(max_size=5)),
    message=st.text(max_size=300),
)


@given(st.integers(1, 2**64 - 1), st.lists(st.lists(comments, min_size=1, max_size=3), min_size=1, max_size=4))
def test_deliver_is_the_message_that_protobuf_makes(number: int, groups: list[list[Comment]]) -> None:
    encoded = wire.deliver(number, [wire.part(group) for group in groups])
    everything = [comment for group in groups for comment in group]
    assert DispatcherMessage.FromString(encoded) == DispatcherMessage(
        deliver=Deliver(number=number, comments=everything)
    )


def test_a_part_knows_how_many_comments_it_has() -> None:
    assert wire.part([Comment(id=1), Comment(id=2)]).comments == 2


def test_catch_up_is_the_message_that_protobuf_makes() -> None:
    expected = DispatcherMessage(catch_up=CatchUp(number=3, from_id=9))
    assert DispatcherMessage.FromString(wire.catch_up(3, 9)) == expected
