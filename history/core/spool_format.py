"""The format of a spool's file: checksummed records, so that a torn tail is detected.

    segment  = MAGIC, records
    record   = length, checksum, payload       length: of the payload; both are u32, little-endian
    checksum = CRC-32 of length and payload
    payload  = MessagePack: [id, video id, author's id, author's name, message, created at (ms)]

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
_decode = msgspec.msgpack.Decoder(tuple[int, str, str, str, str, int]).decode


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
            id_, video_id, author_id, author_name, message, created_at_ms = _decode(payload)
        except msgspec.MsgspecError:
            break
        comments.append(Comment(id_, video_id, Author(author_id, author_name), message, created_at_ms))
        end += _HEAD.size + length
    return Intact(comments, end)


def _record(comment: Comment) -> bytes:
    author = comment.author
    payload = _encode((comment.id, comment.video_id, author.id, author.name, comment.message, comment.created_at_ms))
    return _HEAD.pack(len(payload), _checksum(payload)) + payload


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))
