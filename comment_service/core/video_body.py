"""Parses the bodies of `POST /videos` and `PATCH /videos/{id}`: from bytes to what is wanted, or to the error that says
what is wrong."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from comment_service.core.admission import valid_video_id
from comment_service.core.body import AuthorFields
from comment_service.core.errors import InvalidVideoFields
from comment_service.core.identity import AuthorLimits, author_of
from comment_service.core.visible import CONTROL, has_visible_character
from history.core.video import Video

PLAYBACK_URL_CHARACTERS_MAX = 2_000
"""as long as the addresses of players' manifests get with their signatures"""

_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)
"""What stands in an address (RFC 3986), so that none can end an attribute or a header"""

Time = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
"""ms since 1970, as every JSON parser can read"""

T = TypeVar("T")


class VideoFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    id: str | UnsetType = UNSET
    owner: AuthorFields | UnsetType = UNSET
    state: Literal["planned", "live"] = "planned"
    plannedAt: Time | None = None  # noqa: N815  # as on the wire
    playbackUrl: str | None = None  # noqa: N815


class ChangedFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str | UnsetType = UNSET
    plannedAt: Time | UnsetType | None = UNSET  # noqa: N815
    playbackUrl: str | UnsetType | None = UNSET  # noqa: N815


_decode = msgspec.json.Decoder(VideoFields).decode
_decode_changed = msgspec.json.Decoder(ChangedFields).decode


def parse_video(body: bytes, new_id: str, now_ms: int, title_characters_max: int, limits: AuthorLimits) -> Video:
    """new_id: for a video whose sender gives none. Raises InvalidVideoFields, InvalidVideo, and what `author_of`
    raises."""
    fields: VideoFields = _decoded(_decode, body)
    _check_title(fields.title, title_characters_max)
    return Video(
        id=new_id if fields.id is UNSET else valid_video_id(fields.id),
        title=fields.title,
        owner=None if fields.owner is UNSET else author_of(fields.owner, limits),
        created_at_ms=now_ms,
        started_at_ms=now_ms if fields.state == "live" else None,
        planned_at_ms=fields.plannedAt,
        playback_url=_checked_url(fields.playbackUrl),
    )


@dataclass(frozen=True, slots=True)
class VideoChange:
    """What a `PATCH` sets; UNSET: it stays as it is."""

    title: str | UnsetType
    planned_at_ms: int | UnsetType | None
    playback_url: str | UnsetType | None

    def of(self, video: Video) -> Video:
        return replace(
            video,
            title=_either(self.title, video.title),
            planned_at_ms=_either(self.planned_at_ms, video.planned_at_ms),
            playback_url=_either(self.playback_url, video.playback_url),
        )


def parse_change(body: bytes, title_characters_max: int) -> VideoChange:
    """Raises InvalidVideoFields."""
    fields: ChangedFields = _decoded(_decode_changed, body)
    if fields.title is not UNSET:
        _check_title(fields.title, title_characters_max)
    url = fields.playbackUrl
    return VideoChange(fields.title, fields.plannedAt, url if url is UNSET else _checked_url(url))


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidVideoFields(str(error)[:200]) from None


def _check_title(title: str, characters_max: int) -> None:
    if len(title) > characters_max:
        raise InvalidVideoFields(f"title has {len(title)} characters; at most {characters_max} are allowed")
    if CONTROL.search(title) or not has_visible_character(title):
        raise InvalidVideoFields("title must be one line with a visible character")


def _checked_url(url: str | None) -> str | None:
    if url is None:
        return None
    if len(url) > PLAYBACK_URL_CHARACTERS_MAX or not _URL.fullmatch(url):
        most = PLAYBACK_URL_CHARACTERS_MAX
        raise InvalidVideoFields(f"playbackUrl is at most {most} characters, as https://example.org/talk.m3u8")
    return url


def _either(new: T | UnsetType, old: T) -> T:
    return old if new is UNSET else new
