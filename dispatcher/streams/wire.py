"""Puts together what goes to the nodes. Events stay the bytes that a comment_service has made of them.

Encoded protobuf messages may be concatenated, and the result reads as their union: repeated fields grow, and single
ones take the last value (https://protobuf.dev/programming-guides/encoding, "Last One Wins"). So a Deliver for a node is
its own number, in front of events that are the same bytes for all nodes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proto.dispatch_pb2 import CatchUp, CatchUpOrder, Deliver, DispatcherMessage, VideoViewers

_LENGTH_DELIMITED = 2
_DELIVER_TAG = DispatcherMessage.DELIVER_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_CATCH_UP_TAG = DispatcherMessage.CATCH_UP_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_VIDEOS_TAG = Deliver.VIDEOS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_NUMBER_TAG = Deliver.NUMBER_FIELD_NUMBER << 3
_ACK_WITHIN_TAG = Deliver.ACK_WITHIN_MS_FIELD_NUMBER << 3
assert CatchUp.NUMBER_FIELD_NUMBER == Deliver.NUMBER_FIELD_NUMBER


@dataclass(frozen=True, slots=True)
class Part:
    """Encoded events, for any number of Delivers"""

    encoded: bytes
    events: int


def videos_field(encoded: bytes) -> bytes:
    """One of a Deliver's videos, from an encoded VideoEvents, which isn't read"""
    return b"%c%b%b" % (_VIDEOS_TAG, _varint(len(encoded)), encoded)


def deliver(number: int, parts: Iterable[Part], ack_within_ms: int, viewers: Iterable[VideoViewers] = ()) -> bytes:
    """A DispatcherMessage with one Deliver of all the parts' events, in their order"""
    encoded = [part.encoded for part in parts]
    if ack_within_ms:
        encoded.append(b"%c%b" % (_ACK_WITHIN_TAG, _varint(ack_within_ms)))
    if viewers:
        encoded.append(Deliver(viewers=viewers).SerializeToString())
    return _numbered(_DELIVER_TAG, number, b"".join(encoded))


def catch_up_body(order: CatchUpOrder, video_ids: Sequence[str]) -> bytes:
    """A catch-up without its number, for any number of nodes. video_ids: as in CatchUp"""
    return CatchUp(
        from_id=order.from_id, up_to_id=order.up_to_id, service=order.service, video_ids=video_ids
    ).SerializeToString()


def catch_up(number: int, body: bytes) -> bytes:
    """A DispatcherMessage with one CatchUp"""
    return _numbered(_CATCH_UP_TAG, number, body)


def _numbered(tag: int, number: int, body: bytes) -> bytes:
    encoded = b"%c%b" % (_NUMBER_TAG, _varint(number))
    return b"%c%b%b%b" % (tag, _varint(len(encoded) + len(body)), encoded, body)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
