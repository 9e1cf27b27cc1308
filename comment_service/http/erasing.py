"""Serves the operator's DELETEs: checks the right and the ids, and answers how many comments were erased."""

from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from comment_service.core.admission import valid_video_id
from comment_service.core.errors import InvalidCommentId
from comment_service.core.rights import Rights
from comment_service.erase.eraser import Eraser
from comment_service.http.request_parts import author_query
from history.core.ids import InvalidId, format_id, parse_id

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class ErasingApi:
    """Each response is `{"erased": how many}`. Nothing to erase is 0, not an error."""

    eraser: Eraser
    rights: Rights

    async def comment(self, request: Request) -> Response:
        """DELETE /comments/{video_id}/{comment_id}: always 1, since a comment that isn't stored yet is erased too"""
        self.rights.require_to_erase(request.headers.get("authorization"))
        video_id = valid_video_id(request.path_params["video_id"])
        try:
            comment_id = parse_id(request.path_params["comment_id"])
        except InvalidId:
            raise InvalidCommentId(request.path_params["comment_id"]) from None
        await self.eraser.erase(video_id, [comment_id])
        log.info("comment erased", video=video_id, comment=format_id(comment_id))
        return JSONResponse({"erased": 1})

    async def author_in_video(self, request: Request) -> Response:
        """DELETE /comments/{video_id}?author=ID"""
        self.rights.require_to_erase(request.headers.get("authorization"))
        video_id = valid_video_id(request.path_params["video_id"])
        return await self._author(author_query(request), video_id)

    async def author(self, request: Request) -> Response:
        """DELETE /authors/{author_id}/comments"""
        self.rights.require_to_erase(request.headers.get("authorization"))
        return await self._author(request.path_params["author_id"], None)

    async def _author(self, author_id: str, video_id: str | None) -> Response:
        erased = await self.eraser.erase_author(author_id, video_id)
        log.info(
            "author erased", video=video_id or "all", comments=erased
        )  # without the author's id, which the log would keep
        return JSONResponse({"erased": erased})
