"""Serves the operator's orders: checks the right and the ids. 200: it is durable, and all viewers' nodes have it; 202:
it is durable, and some node may get it later."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from comment_service.core.admission import valid_video_id
from comment_service.core.errors import InvalidCommentId
from comment_service.core.rights import Rights
from comment_service.http.request_parts import author_query
from comment_service.moderate.moderator import Moderator, Order
from comment_service.moderate.purging import Purges
from history.core.ids import InvalidId, format_id, parse_id

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class ModeratingApi:
    """Each response is `{"erased": how many}`, or "hidden", or "restored". Nothing to erase is 0, not an error."""

    moderator: Moderator
    purges: Purges
    rights: Rights

    async def erase(self, request: Request) -> Response:
        """DELETE /comments/{video_id}/{comment_id}: 1, also for a comment that isn't stored yet"""
        return await self._comment(request, "erased", self.moderator.erase)

    async def hide(self, request: Request) -> Response:
        """POST /comments/{video_id}/{comment_id}/hide"""
        return await self._comment(request, "hidden", self.moderator.hide)

    async def restore(self, request: Request) -> Response:
        """POST /comments/{video_id}/{comment_id}/restore"""
        return await self._comment(request, "restored", self.moderator.restore)

    async def author_in_video(self, request: Request) -> Response:
        """DELETE /comments/{video_id}?author=ID"""
        self.rights.require_to_moderate(request.headers.get("authorization"))
        video_id = valid_video_id(request.path_params["video_id"])
        return await self._author(author_query(request), video_id)

    async def author(self, request: Request) -> Response:
        """DELETE /authors/{author_id}/comments"""
        self.rights.require_to_moderate(request.headers.get("authorization"))
        return await self._author(request.path_params["author_id"], None)

    async def _comment(self, request: Request, done: str, order: Callable[[str, int], Awaitable[Order]]) -> Response:
        self.rights.require_to_moderate(request.headers.get("authorization"))
        video_id = valid_video_id(request.path_params["video_id"])
        try:
            comment_id = parse_id(request.path_params["comment_id"])
        except InvalidId:
            raise InvalidCommentId(request.path_params["comment_id"]) from None
        outcome = await order(video_id, comment_id)
        log.info(f"comment {done}", video=video_id, comment=format_id(comment_id), published=outcome.is_published)
        return _answer(done, outcome)

    async def _author(self, author_id: str, video_id: str | None) -> Response:
        outcome = await self.purges.purge(author_id, video_id)
        # Without the author's id, which the log would keep.
        log.info("author purged", video=video_id or "all", comments=outcome.comments, published=outcome.is_published)
        return _answer("erased", outcome)


def _answer(done: str, order: Order) -> Response:
    return JSONResponse({done: order.comments}, HTTPStatus.OK if order.is_published else HTTPStatus.ACCEPTED)
