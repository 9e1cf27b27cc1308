"""Serves live videos: create, change, start, end, show, and replay of the comments beside a recording."""

import uuid
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from comment_service.clocks import wall_ms
from comment_service.core.admission import valid_video_id
from comment_service.core.errors import VideoNotStarted
from comment_service.core.identity import AuthorLimits
from comment_service.core.rights import Rights
from comment_service.core.video_body import parse_change, parse_video
from comment_service.http.pages import page_of
from comment_service.http.request_parts import read_body, replay_query, require_json
from comment_service.videos.catalogue import Catalogue
from history.core.ids import first_id_at
from history.core.video import Order, Video, replay_json, video_json
from history.store import Reader


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Limits of these requests; config.py gives the reasons."""

    body_bytes_max: int
    body_timeout_ms: int
    title_characters_max: int
    author: AuthorLimits
    pagesize_default: int
    pagesize_max: int


@dataclass(frozen=True, slots=True)
class VideosApi:
    catalogue: Catalogue
    comments: Reader
    rights: Rights
    limits: VideoLimits

    async def create(self, request: Request) -> Response:
        """POST /videos: 200 and the video. Idempotent if the request names the id."""
        self.rights.require_to_lead_videos(request.headers.get("authorization"))
        require_json(request)
        limits = self.limits
        body = await read_body(request, bytes_max=limits.body_bytes_max, timeout_ms=limits.body_timeout_ms)
        video = parse_video(body, uuid.uuid4().hex, wall_ms(), limits.title_characters_max, limits.author)
        return _answer(await self.catalogue.create(video))

    async def start(self, request: Request) -> Response:
        """POST /videos/{video_id}/start, as JSON or with a token"""
        return await self._order(request, Order.START)

    async def end(self, request: Request) -> Response:
        """POST /videos/{video_id}/end, as JSON or with a token"""
        return await self._order(request, Order.END)

    async def change(self, request: Request) -> Response:
        """PATCH /videos/{video_id}: sets its title, plannedAt or playbackUrl, and viewers are told. Idempotent."""
        self.rights.require_to_lead_videos(request.headers.get("authorization"))
        require_json(request)
        limits = self.limits
        video_id = valid_video_id(request.path_params["video_id"])
        body = await read_body(request, bytes_max=limits.body_bytes_max, timeout_ms=limits.body_timeout_ms)
        return _answer(await self.catalogue.change(video_id, parse_change(body, limits.title_characters_max).of))

    async def show(self, request: Request) -> Response:
        """GET /videos/{video_id}"""
        return _answer(await self.catalogue.get(valid_video_id(request.path_params["video_id"])))

    async def replay(self, request: Request) -> Response:
        """GET /comments/{video_id}?from_offset_ms=N: the comments from N ms after the video's start on, oldest first.
        `cursor`, set to this page's nextCursor, gives the next page."""
        limits = self.limits
        video_id = valid_video_id(request.path_params["video_id"])
        offset_ms, after, pagesize = replay_query(
            request, pagesize_default=limits.pagesize_default, pagesize_max=limits.pagesize_max
        )
        video = await self.catalogue.get(video_id)
        if video.started_at_ms is None:
            raise VideoNotStarted(video_id)
        before_offset = first_id_at(video.started_at_ms + offset_ms) - 1
        found = await self.comments.newer(video_id, max(after or 0, before_offset), pagesize + 1)
        page = page_of(found, pagesize)
        body = replay_json(page.comments, video.started_at_ms, page.next_cursor)
        headers = {"cache-control": "no-cache", "vary": "accept"}
        return Response(body, media_type="application/json", headers=headers)

    async def _order(self, request: Request, order: Order) -> Response:
        authorization = request.headers.get("authorization")
        self.rights.require_to_lead_videos(authorization)
        if authorization is None:
            # A browser asks before it sends JSON or a token to another origin. It sends other posts unasked.
            require_json(request)
        video_id = valid_video_id(request.path_params["video_id"])
        return _answer(await self.catalogue.order(video_id, order, wall_ms()))


def _answer(video: Video) -> Response:
    return Response(video_json(video), media_type="application/json", headers={"cache-control": "no-cache"})
