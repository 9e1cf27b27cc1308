"""Serves the viewer's page: static files, with headers that keep foreign text from running as code."""

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PAGE_DIR = Path(__file__).parent.parent / "page"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src *; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # browsers ask each time and get a 304 by ETag, so a new version is seen at once
}


class PageFiles(StaticFiles):
    def __init__(self, directory: Path = PAGE_DIR) -> None:
        super().__init__(directory=directory)

    async def index(self, request: Request) -> Response:
        return await self.get_response("index.html", request.scope)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
