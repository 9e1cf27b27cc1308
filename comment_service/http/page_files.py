"""Serves the viewer's page: index.html, and the files that it names, each kept by browsers for ever.

During an upgrade a balancer may send a browser to an old process for index.html, and to a new one for the script that
this names. It gets the new process's script then, not to be kept: either works with the same services, and none would
leave the reader with an empty page.

A source file that was changed is seen after a reload: requests of index.html look at the files' times.
"""

import asyncio
from pathlib import Path

import structlog
from starlette.requests import Request
from starlette.responses import Response

from comment_service.clocks import monotonic_s
from comment_service.core.errors import UnknownPath
from comment_service.http.page_build import HASHED_NAME, PageError, PageFile, build_page, stamp_of
from comment_service.http.pages import names

log = structlog.stdlib.get_logger()

PAGE_DIR = Path(__file__).parent.parent / "page"

FOR_EVER = "public, max-age=31536000, immutable"
ASKED_EACH_TIME = "no-cache"  # browsers ask each time and get a 304 by ETag, so a new version is seen at once
NEVER_KEPT = "no-store"

LOOK_S = 0.2
"""between two looks at the files' times: each takes 0.4 ms, and many readers may come in one second"""


class PageFiles:
    """Belongs to one event loop."""

    def __init__(self, policy: str, directory: Path = PAGE_DIR, look_s: float = LOOK_S) -> None:
        """policy: the page's Content-Security-Policy. look_s: see LOOK_S. Raises PageError, OSError."""
        self._directory = directory
        self._headers = {"content-security-policy": policy}
        self._stamp = stamp_of(directory)
        self._page = build_page(directory)
        self._building = asyncio.Lock()
        self._look_s = look_s
        self._looked_s = monotonic_s()

    async def index(self, request: Request) -> Response:
        """GET /"""
        await self._follow_changes()
        return self._response(request, self._page.index, ASKED_EACH_TIME)

    async def file(self, request: Request) -> Response:
        """GET /page/{name:path}. Under its name in the source a file is found as well, and is asked for each time."""
        name: str = request.path_params["name"]
        file = self._page.files.get(name)
        if file is not None:
            return self._response(request, file, ASKED_EACH_TIME)
        hashed = HASHED_NAME.fullmatch(name)
        file = self._page.files.get(f"{hashed['stem']}{hashed['suffix']}") if hashed else None
        if file is None:
            raise UnknownPath
        return self._response(request, file, FOR_EVER if file.name == name else NEVER_KEPT)

    async def _follow_changes(self) -> None:
        now_s = monotonic_s()
        if now_s - self._looked_s < self._look_s:
            return
        self._looked_s = now_s
        async with self._building:
            try:
                stamp = stamp_of(self._directory)
                if stamp == self._stamp:
                    return
                self._stamp = stamp
                self._page = await asyncio.to_thread(build_page, self._directory)
            except (PageError, OSError) as error:
                log.warning("the page has changed and can't be built; it stays as it was", reason=str(error))

    def _response(self, request: Request, file: PageFile, keep: str) -> Response:
        encoding = best_encoding(request.headers.get("accept-encoding", ""), file)
        etag = f'"{file.digest}{f"-{encoding}" if encoding else ""}"'
        headers = {**self._headers, "cache-control": keep, "etag": etag}
        if file.compressed:
            headers["vary"] = "accept-encoding"
        known = request.headers.get("if-none-match")
        if known is not None and names(known, etag):
            return Response(status_code=304, headers=headers)
        if encoding:
            headers["content-encoding"] = encoding
        body = file.compressed[encoding] if encoding else file.body
        return Response(body, headers=headers, media_type=file.media_type)


def best_encoding(accepted: str, file: PageFile) -> str:
    """The smallest of the file's forms that the client takes; empty: it is sent as it is. accepted: Accept-Encoding"""
    weights = {}
    for part in accepted.lower().split(","):
        encoding, _, parameter = part.partition(";")
        weights[encoding.strip()] = parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((each for each in file.compressed if weights.get(each, weights.get("*", False))), "")
