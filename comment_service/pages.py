"""GET of a page of comments: its query, its form, and how long whom it may be kept by.

`cursor` goes towards older comments, `newer_than` towards newer ones; a page is newest first either way, and its
`nextCursor` is what to give for the same parameter next (null: there is no more in that direction, for now).

A page below a cursor that is old enough is closed: nothing comes into it any more. It may be kept by anybody for
`closed_ms`, so a CDN serves those who scroll. All others have to be asked for again, which costs no body if they are
the same (ETag, 304). Any id is a cursor: a wrong one gives other comments, never an error or somebody else's data.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from comment_service.admission import valid_video_id
from comment_service.request_parts import has_parameter, newer_query, page_query
from history.ids import time_of
from history.model import Page, page_json
from history.store import Reader


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What config.py says; its descriptions give the reasons."""

    pagesize_default: int
    pagesize_max: int
    late_ms: int
    closed_ms: int


class Pages:
    def __init__(self, history: Reader, settings: PageSettings, *, is_whole: Callable[[], bool]) -> None:
        """is_whole: whether what history answers now is all there is. If not, no page is closed."""
        self._history = history
        self._settings = settings
        self._is_whole = is_whole

    async def page(self, request: Request) -> Response:
        video_id = valid_video_id(request.path_params["video_id"])
        if has_parameter(request, "newer_than"):
            page, closed = await self._newer(request, video_id), False
        else:
            page, closed = await self._older(request, video_id)
        body = page_json(page)
        etag = f'"{hashlib.blake2b(body, digest_size=9).hexdigest()}"'
        keep = f"public, max-age={self._settings.closed_ms // 1000}" if closed else "no-cache"
        headers = {"etag": etag, "cache-control": keep}
        if _names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def _older(self, request: Request, video_id: str) -> tuple[Page, bool]:
        """The page, and whether it is closed"""
        settings = self._settings
        before, size = page_query(
            request, pagesize_default=settings.pagesize_default, pagesize_max=settings.pagesize_max
        )
        closed = before is not None and time_of(before) < _now_ms() - settings.late_ms
        comments = await self._history.older(video_id, before, size + 1)  # one more tells whether there is a next
        next_cursor = comments[size - 1].id if len(comments) > size else None
        return Page(comments[:size], next_cursor), closed and self._is_whole()

    async def _newer(self, request: Request, video_id: str) -> Page:
        settings = self._settings
        after, size = newer_query(
            request, pagesize_default=settings.pagesize_default, pagesize_max=settings.pagesize_max
        )
        comments = await self._history.newer(video_id, after, size + 1)
        next_cursor = comments[size - 1].id if len(comments) > size else None
        return Page(comments[:size][::-1], next_cursor)


def _names(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has it (RFC 9110, 13.1.2: weakly compared)"""
    if if_none_match is None:
        return False
    return etag in (each.strip().removeprefix("W/") for each in if_none_match.split(",")) or if_none_match == "*"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
