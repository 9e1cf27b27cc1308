"""Decides whether a comment is admitted: from the bytes of a request's body to a draft, or to the error.

Rule 1: no clock, no store, no HTTP. It takes bytes, and returns a `Draft` or raises a ServiceError.
Rule 2: an admitted message keeps its characters as they are: no trimming, no normalising, no escaping. Whoever shows a
text has to escape it.
Rule 3: a refused comment never gets an id, so nothing of it is stored or published.
"""

from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from comment_service.core.body import CommentFields, parse
from comment_service.core.errors import InvalidVideo, MessageEmpty, MessageTooLong, MissingField, VideoIdsDiffer
from comment_service.core.identity import AuthorLimits, author_of
from comment_service.core.visible import has_visible_character
from history.core.model import Author, InvalidVideoId, check_video_id


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An admitted comment without its id and its time. Equal drafts have the same content."""

    video_id: str
    author: Author
    message: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The limits, and the decision by them"""

    message_characters_max: int
    message_bytes_max: int
    author_limits: AuthorLimits

    def admit(self, body: bytes) -> Draft:
        """Raises a ServiceError whose sentence names the field, the limit and what was sent."""
        fields = parse(body)
        video_id = _video_id(fields)
        author = author_of(None if fields.author is UNSET else fields.author, self.author_limits)
        self._check_message(fields.message)
        return Draft(video_id, author, fields.message)

    def _check_message(self, message: str) -> None:
        if len(message) > self.message_characters_max:
            raise MessageTooLong(len(message), self.message_characters_max, "characters")
        size = len(message) if message.isascii() else len(message.encode())
        if size > self.message_bytes_max:
            raise MessageTooLong(size, self.message_bytes_max, "bytes of UTF-8")
        if not has_visible_character(message):
            raise MessageEmpty


def _video_id(fields: CommentFields) -> str:
    """liveVideoId, or videoId, its other documented name"""
    live, other = fields.live_video_id, fields.video_id
    if live is UNSET:
        live = other
    if live is UNSET:
        raise MissingField("liveVideoId")
    if other is not UNSET and other != live:
        raise VideoIdsDiffer(live, other)
    return valid_video_id(live)


def valid_video_id(text: str) -> str:
    """Returns the text. Raises InvalidVideo."""
    try:
        return check_video_id(text)
    except InvalidVideoId as error:
        raise InvalidVideo(str(error)) from None
