"""Serves a page of comments: parses the query, shapes the JSON, sets the cache lifetime.

`cursor` leads to older comments, `newer_than` to newer ones. A page is newest first either way. Its `nextCursor` is the
next value of the same parameter; null means that there is nothing more in that direction now. A page examines a bounded
number of rows: where most comments are hidden or erased it has fewer comments than asked for, or none, and a
`nextCursor` all the same.

A page is closed when its cursor is old enough and the store was there when it was read: no comment comes into it any
more. Any cache may keep it for `closed_ms`, so a CDN serves those who scroll back. All other pages must be revalidated,
which costs no body if nothing changed (ETag, 304). Any id is a valid cursor: a wrong one gives other comments of the
same video, never an error or another video's data.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from comment_service.clocks import monotonic_s, wall_ms
from comment_service.core.admission import valid_video_id
from comment_service.http.kept_pages import KeptPages, MadePage
from comment_service.http.request_parts import has_parameter, newer_query, page_query
from comment_service.http.whole_responses import Head, RawHeaders
from history.cache.store import CachedStore
from history.core.ids import time_of
from history.core.model import Comments, Page, page_json
from history.core.runs import Validity


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What config.py says; its descriptions give the reasons."""

    pagesize_default: int
    pagesize_max: int
    late_ms: int
    closed_ms: int


class Pages:
    def __init__(self, history: CachedStore, kept: KeptPages, settings: PageSettings) -> None:
        """kept: gets the pages that are made."""
        self._history = history
        self._kept = kept
        self._settings = settings

    async def page(self, request: Request) -> Response:
        """At a path that has only pages"""
        return await self._page(request, [])

    async def varying(self, request: Request) -> Response:
        """At a path where others get a stream. A cache must keep the two apart: a page may be kept for long."""
        return await self._page(request, [(b"vary", b"accept")])

    async def _page(self, request: Request, more: RawHeaders) -> Response:
        video_id = valid_video_id(request.path_params["video_id"])
        if has_parameter(request, "newer_than"):
            made = _made(await self._newer(request, video_id), "no-cache", (), more)
        else:
            made = await self._older(request, video_id, more)
            self._kept.keep((request.scope["path"], request.scope["query_string"]), made, monotonic_s())
        known = request.headers.get("if-none-match")
        if known is not None and names(known, made.etag):
            response = Response(status_code=made.unchanged.status)
            response.raw_headers.extend(made.unchanged.headers)
        else:
            response = Response(made.body)
            response.raw_headers.extend(made.head.headers)
        return response

    async def _older(self, request: Request, video_id: str, more: RawHeaders) -> MadePage:
        settings = self._settings
        before, size = page_query(
            request, pagesize_default=settings.pagesize_default, pagesize_max=settings.pagesize_max
        )
        old = before is not None and time_of(before) < wall_ms() - settings.late_ms
        # One comment more shows whether there is a next page.
        found, validities = await self._history.older_valid(video_id, before, size + 1)
        closed = old and all(validity.is_whole for validity in validities)
        keep = f"public, max-age={settings.closed_ms // 1000}" if closed else "no-cache"
        return _made(page_of(found, size), keep, validities, more)

    async def _newer(self, request: Request, video_id: str) -> Page:
        settings = self._settings
        after, size = newer_query(
            request, pagesize_default=settings.pagesize_default, pagesize_max=settings.pagesize_max
        )
        page = page_of(await self._history.newer(video_id, after, size + 1), size)
        return Page(page.comments[::-1], page.next_cursor)


def page_of(found: Comments, size: int) -> Page:
    """The first `size` of them; found: with one more, if there is one."""
    comments = found.comments
    return Page(comments[:size], comments[size - 1].id if len(comments) > size else found.next_id)


def names(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match matches (RFC 9110, 13.1.2: weak comparison)"""
    return etag in (each.strip().removeprefix("W/") for each in if_none_match.split(",")) or if_none_match == "*"


def _made(page: Page, keep: str, validities: Sequence[Validity], more: RawHeaders) -> MadePage:
    body = page_json(page)
    etag = f'"{hashlib.blake2b(body, digest_size=9).hexdigest()}"'
    headers = [(b"etag", etag.encode()), (b"cache-control", keep.encode()), *more]
    head = Head(HTTPStatus.OK, [*headers, (b"content-type", b"application/json")])
    return MadePage(body, etag, head, Head(HTTPStatus.NOT_MODIFIED, headers), validities)
