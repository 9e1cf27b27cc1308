"""Parses the body of `POST /videos`: from its bytes to a video, or to the error that says what is wrong."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from comment_service.core.admission import valid_video_id
from comment_service.core.body import AuthorFields
from comment_service.core.errors import InvalidVideoFields
from comment_service.core.identity import AuthorLimits, author_of
from comment_service.core.visible import CONTROL, has_visible_character
from history.core.video import Video


class VideoFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    id: str | UnsetType = UNSET
    owner: AuthorFields | UnsetType = UNSET
    state: Literal["planned", "live"] = "planned"


_decode = msgspec.json.Decoder(VideoFields).decode


def parse_video(body: bytes, new_id: str, now_ms: int, title_characters_max: int, limits: AuthorLimits) -> Video:
    """new_id: for a video whose sender gives none. Raises InvalidVideoFields, InvalidVideo, and what `author_of`
    raises."""
    try:
        fields = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidVideoFields(str(error)[:200]) from None
    if len(fields.title) > title_characters_max:
        raise InvalidVideoFields(
            f"title has {len(fields.title)} characters; at most {title_characters_max} are allowed"
        )
    if CONTROL.search(fields.title) or not has_visible_character(fields.title):
        raise InvalidVideoFields("title must be one line with a visible character")
    return Video(
        id=new_id if fields.id is UNSET else valid_video_id(fields.id),
        title=fields.title,
        owner=None if fields.owner is UNSET else author_of(fields.owner, limits),
        created_at_ms=now_ms,
        started_at_ms=now_ms if fields.state == "live" else None,
    )
