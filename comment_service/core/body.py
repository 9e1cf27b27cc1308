"""Parses the body of `POST /comment/create`: from its bytes to its fields, or to the error that says what is wrong.

A right body costs one strict decoding by msgspec. Only a wrong one is looked at again, step by step, for a sentence
that helps its sender: msgspec's own messages are written for the programmer of a schema.
"""

import re

import msgspec
from msgspec import UNSET, UnsetType

from comment_service.core.errors import (
    DuplicateField,
    InvalidUtf8,
    LoneSurrogate,
    MalformedJson,
    MissingField,
    NotAnObject,
    TooDeep,
    UnknownField,
    WrongType,
)


class AuthorFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who the sender claims to be"""

    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class CommentFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """The fields that a comment may have; admission.py checks what is in them"""

    message: str
    live_video_id: str | UnsetType = UNSET
    video_id: str | UnsetType = UNSET
    author: AuthorFields | UnsetType = UNSET


COMMENT_FIELDS = ("liveVideoId", "videoId", "message", "author")
AUTHOR_FIELDS = ("id", "name")

_decode = msgspec.json.Decoder(CommentFields).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_string = msgspec.json.Decoder(str).decode
_KEY = re.compile(rb'("(?:[^"\\]|\\.)*")[ \t\r\n]*(:?)', re.DOTALL)
_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})|\\.", re.DOTALL)
_ESCAPED_COLON = rb"\u003"
_KINDS = {"{": "an object", "[": "an array", '"': "a string", "t": "true", "f": "false", "n": "null"}


def parse(body: bytes) -> CommentFields:
    """The fields of a right body. Raises the ServiceError that fits a wrong one."""
    try:
        fields = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _diagnose(body) from None
    if body.count(b":") != _colons(fields) or _ESCAPED_COLON in body:
        _check_each_once(body)
    return fields


def _colons(fields: CommentFields) -> int:
    """How many colons a body with these fields has: one behind each name, and those in the texts. A body with more may
    have a field twice; all others need no second look."""
    count = 1 + fields.message.count(":")
    if fields.live_video_id is not UNSET:
        count += 1 + fields.live_video_id.count(":")
    if fields.video_id is not UNSET:
        count += 1 + fields.video_id.count(":")
    if fields.author is not UNSET:
        count += 1 + _colons_of_author(fields.author)
    return count


def _colons_of_author(author: AuthorFields) -> int:
    return sum(1 + text.count(":") for text in (author.id, author.name) if text is not UNSET)


def _check_each_once(body: bytes) -> None:
    """Raises DuplicateField: JSON readers differ in which of two equal keys they take. No name is both a comment's and
    an author's field, so it doesn't matter in which object a name stands."""
    seen = set()
    for text, colon in _KEY.findall(body):
        if colon:
            name = _decode_string(text)
            if name in seen:
                raise DuplicateField(name)
            seen.add(name)


def _diagnose(body: bytes) -> Exception:
    """The error for a body that could not be decoded: first of its bytes, then of its form, then of its fields."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return InvalidUtf8(error.start)
    lone = _lone_surrogate(body)
    if lone is not None:
        return LoneSurrogate(lone)
    try:
        fields = _decode_object(body)
    except RecursionError:
        return TooDeep()
    except msgspec.ValidationError:
        return NotAnObject(_kind(body))
    except msgspec.DecodeError as error:
        return MalformedJson(str(error) if body.strip() else "the body is empty")
    return _wrong_field(fields)


def _wrong_field(fields: dict[str, msgspec.Raw]) -> Exception:
    for name, value in fields.items():
        if name not in COMMENT_FIELDS:
            return UnknownField(name, COMMENT_FIELDS)
        if name != "author" and _kind(value) != "a string":
            return WrongType(name, "a string", _kind(value))
    if "author" in fields:
        if _kind(fields["author"]) != "an object":
            return WrongType("author", 'an object {"id", "name"}', _kind(fields["author"]))
        for name, value in _decode_object(fields["author"]).items():
            if name not in AUTHOR_FIELDS:
                return UnknownField(f"author.{name}", [f"author.{known}" for known in AUTHOR_FIELDS])
            if _kind(value) != "a string":
                return WrongType(f"author.{name}", "a string", _kind(value))
    if "message" not in fields:
        return MissingField("message")
    return MalformedJson("the body can't be read")


def _kind(value: bytes | msgspec.Raw) -> str:
    """The type of a JSON value, by its first character"""
    return _KINDS.get(bytes(value).lstrip()[:1].decode("ascii", "replace"), "a number")


def _lone_surrogate(body: bytes) -> str | None:
    """The first \\uD800-\\uDFFF escape without its other half beside it"""
    high: re.Match[bytes] | None = None
    for escape in _ESCAPE.finditer(body):
        unit = int(escape[1], 16) if escape[1] else 0
        is_other_half = high is not None and high.end() == escape.start() and 0xDC00 <= unit <= 0xDFFF
        if high is not None and not is_other_half:
            return high[0].decode()
        if 0xDC00 <= unit <= 0xDFFF and not is_other_half:
            return escape[0].decode()
        high = escape if 0xD800 <= unit <= 0xDBFF else None
    return None if high is None else high[0].decode()
