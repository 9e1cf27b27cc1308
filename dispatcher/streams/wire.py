"""Encodes what goes to the nodes. A batch's comments are encoded once, however many nodes they go to.

Encoded protobuf messages may be concatenated, and the result reads as their union: repeated fields grow, and single
ones take the last value (https://protobuf.dev/programming-guides/encoding, "Last One Wins"). So a Deliver for
a node is its own number, in front of comments that were encoded for all nodes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proto.comment_pb2 import Comment
from proto.dispatch_pb2 import CatchUp, Deliver, DispatcherMessage

_LENGTH_DELIMITED = 2
_DELIVER_TAG = DispatcherMessage.DELIVER_FIELD_NUMBER << 3 | _LENGTH_DELIMITED


@dataclass(frozen=True, slots=True)
class Part:
    """Encoded comments, for any number of Delivers"""

    encoded: bytes
    comments: int


def part(comments: Sequence[Comment]) -> Part:
    return Part(Deliver(comments=comments).SerializeToString(), len(comments))


def deliver(number: int, parts: Iterable[Part]) -> bytes:
    """A DispatcherMessage with one Deliver of all the parts' comments, in their order"""
    body = b"".join((Deliver(number=number).SerializeToString(), *(some.encoded for some in parts)))
    return b"%c%b%b" % (_DELIVER_TAG, _varint(len(body)), body)


def catch_up(number: int, from_id: int) -> bytes:
    return DispatcherMessage(catch_up=CatchUp(number=number, from_id=from_id)).SerializeToString()


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
