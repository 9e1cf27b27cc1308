"""The format of a spool's file: checksummed records, so that a torn tail is detected.

    segment  = MAGIC, records
    record   = length, checksum, payload       length: of the payload; both are u32, little-endian
    checksum = CRC-32 of length and payload
    payload  = MessagePack: [id, video id, author's id, author's name, message, created at (ms), after id, key, digest]
                            former releases wrote no key and digest, and before that no after id; they skip what
                            they don't know. A comment without an Idempotency-Key has none of the last two

A process that is killed leaves a torn record at the end, and a power loss can leave zeros in its place. Such a tail was
never acknowledged, because one fsync covers all that was, so it may be cut off. (The checksum covers the length too, so
that zeros are no record.)

Anything else that can't be read is damage: a disk has changed bytes of records that were acknowledged. Reading goes on
at the next record whose checksum is right, so damage costs the records that it touches and no others.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from history.core.model import Author, Comment

MAGIC = b"LCspool1"

_NEWER = re.compile(rb"LCspool[2-9]")
_ARRAY = re.compile(rb"[\x90-\x9f]")
"""The first byte of every payload: MessagePack's short arrays"""

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
    key: str | None = None
    digest: bytes = b""


_decode = msgspec.msgpack.Decoder(_Payload).decode


class SpooledKey(NamedTuple):
    """The Idempotency-Key with which a comment came: it isn't claimed yet"""

    key: str
    digest: bytes
    """Of the comment's text: `history.store.Claim`"""


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What can be read of a segment"""

    comments: list[Comment]
    keys: dict[int, SpooledKey]
    """by the comment's id"""
    size: int
    """bytes without the torn tail"""
    damaged_bytes: int
    """of these, what is neither a record nor the segment's beginning"""


def encode_records(comments: Iterable[Comment], keys: Mapping[int, SpooledKey]) -> bytes:
    """keys: of those comments that came with one, by id"""
    return b"".join(_record(comment, keys.get(comment.id)) for comment in comments)


def is_of_newer_release(segment: bytes) -> bool:
    """Its records mean something that this release doesn't know."""
    return _NEWER.match(segment) is not None


def read_segment(segment: bytes) -> SegmentContent:
    """Every record whose checksum is right. Never raises, whatever the bytes are."""
    comments: list[Comment] = []
    keys: dict[int, SpooledKey] = {}
    end = len(MAGIC) if segment.startswith(MAGIC) else 0
    damaged_bytes = 0
    while True:
        if (payload := _payload_at(segment, end)) is not None:
            comments.append(_comment(payload))
            if payload.key is not None:
                keys[payload.id] = SpooledKey(payload.key, payload.digest)
            end = _end_of(segment, end)
        elif (begin := _next_record(segment, end)) is not None:
            damaged_bytes += begin - end
            end = begin
        else:
            break
    if _is_torn(segment[end:], at_beginning=end == 0):
        return SegmentContent(comments, keys, end, damaged_bytes)
    return SegmentContent(comments, keys, len(segment), damaged_bytes + len(segment) - end)


def _end_of(segment: bytes, begin: int) -> int:
    """Where the record ends, by its own length"""
    (length, _) = _HEAD.unpack_from(segment, begin)
    return begin + _HEAD.size + int(length)


def _payload_at(segment: bytes, begin: int) -> _Payload | None:
    """None: no record begins there, or a broken one."""
    if begin + _HEAD.size > len(segment) or (end := _end_of(segment, begin)) > len(segment):
        return None
    (_, checksum) = _HEAD.unpack_from(segment, begin)
    payload = segment[begin + _HEAD.size : end]
    if _checksum(payload) != checksum:
        return None
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        return None


def _comment(c: _Payload) -> Comment:
    return Comment(c.id, c.video_id, Author(c.author_id, c.author_name), c.message, c.created_at_ms, c.after_id)


def _next_record(segment: bytes, broken: int) -> int | None:
    """Where the first record behind a broken one begins. None: there is none."""
    if broken + _HEAD.size <= len(segment):  # often its length is right: then nothing in its text is looked at
        end = _end_of(segment, broken)
        if end == len(segment) or _payload_at(segment, end) is not None:
            return end if end < len(segment) else None
    for payload in _ARRAY.finditer(segment, broken + 1 + _HEAD.size):
        begin = payload.start() - _HEAD.size
        if _payload_at(segment, begin) is not None:
            return begin
    return None


def _is_torn(rest: bytes, *, at_beginning: bool) -> bool:
    """It is what a kill or a power loss leaves at the end: a beginning, or zeros."""
    if not any(rest):
        return True
    if at_beginning:
        return MAGIC.startswith(rest)
    return len(rest) < _HEAD.size or _end_of(rest, 0) > len(rest)


def _record(comment: Comment, key: SpooledKey | None) -> bytes:
    author = comment.author
    payload = _encode(
        (
            *(comment.id, comment.video_id, author.id, author.name, comment.message),
            *(comment.created_at_ms, comment.after_id),
            *(key or ()),
        )
    )
    return _HEAD.pack(len(payload), _checksum(payload)) + payload


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))
