"""What a spool's file holds, byte by byte: the core of spool.py.

    segment  = MAGIC, records
    record   = length, checksum, payload       length: of the payload; both are u32, little-endian
    checksum = CRC-32 of length and payload
    payload  = MessagePack: [id, video id, author's id, author's name, message, created at (ms)]

A process that is killed leaves a torn record at the end, and a power loss can leave zeros or old bytes of the disk in
its place. Whatever it is, its checksum is wrong: what stands before it is whole, and what follows was never promised
to anybody, because one fsync covers all that was acknowledged. (The checksum counts the length too, so that zeros are
no record.)
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
class Whole:
    """What of a segment can be trusted"""

    comments: list[Comment]
    size: int
    """bytes up to the end of the last whole record; 0 if not even the segment's beginning is right"""


def encode_records(comments: Iterable[Comment]) -> bytes:
    return b"".join(map(_record, comments))


def read_segment(segment: bytes) -> Whole:
    """Every record before the first one that isn't whole. Never raises, whatever the bytes are."""
    if not segment.startswith(MAGIC):
        return Whole([], 0)
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
    return Whole(comments, end)


def _record(comment: Comment) -> bytes:
    author = comment.author
    payload = _encode((comment.id, comment.video_id, author.id, author.name, comment.message, comment.created_at_ms))
    return _HEAD.pack(len(payload), _checksum(payload)) + payload


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))
