"""The format of a spool's file: checksummed records, so that a torn tail is detected.

    segment  = MAGIC, records
    record   = length, checksum, payload       length: of the payload; both are u32, little-endian
    checksum = CRC-32 of length and payload
    payload  = MessagePack: [id, video id, author's id, author's name, message, created at (ms), after id]
                            former releases wrote no after id

A process that is killed leaves a torn record at the end, and a power loss can leave zeros or old bytes of the disk in
its place. In both cases its checksum is wrong. What stands before it is intact, and what follows was never
acknowledged, because one fsync covers all that was. (The checksum covers the length too, so that zeros are no record.)
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from history.core.model import Author, Comment

MAGIC = b"LCspool1"

_HEAD = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder().encode


class _Payload(msgspec.Struct, array_like=True):
    id: int
    video_id: str
    author_id: str
    author_name: str
    message: str
    created_at_ms: int
    after_id: int = 0


_decode = msgspec.msgpack.Decoder(_Payload).decode


@dataclass(frozen=True, slots=True)
class Intact:
    """The part of a segment that can be trusted"""

    comments: list[Comment]
    size: int
    """bytes up to the end of the last intact record; 0 if not even the segment's beginning is right"""


def encode_records(comments: Iterable[Comment]) -> bytes:
    return b"".join(map(_record, comments))


def read_segment(segment: bytes) -> Intact:
    """Every record before the first broken one. Never raises, whatever the bytes are."""
    if not segment.startswith(MAGIC):
        return Intact([], 0)
    comments: list[Comment] = []
    end = len(MAGIC)
    while end + _HEAD.size <= len(segment):
        length, checksum = _HEAD.unpack_from(segment, end)
        payload = segment[end + _HEAD.size : end + _HEAD.size + length]
        if len(payload) < length or _checksum(payload) != checksum:
            break
        try:
            c = _decode(payload)
        except msgspec.MsgspecError:
            break
        author = Author(c.author_id, c.author_name)
        comments.append(Comment(c.id, c.video_id, author, c.message, c.created_at_ms, c.after_id))
        end += _HEAD.size + length
    return Intact(comments, end)


def _record(comment: Comment) -> bytes:
    author = comment.author
    payload = _encode(
        (
            *(comment.id, comment.video_id, author.id, author.name, comment.message),
            *(comment.created_at_ms, comment.after_id),
        )
    )
    return _HEAD.pack(len(payload), _checksum(payload)) + payload


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))
