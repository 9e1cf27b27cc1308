"""The least that a Starlette app can do, beside ours: parse a comment's JSON and answer, and answer a constant page.

`python -m scripts.benches.parse_only_app PORT`. Nothing is checked, stored or published here. uvicorn is set up as
comment_service sets it up.
"""

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = (
    b'{"id":"018f3c4e5a6b7c8d","liveVideoId":"bench","author":{"id":"guest:Anonymous","name":"Anonymous"},'
    b'"message":"What a match, did you see that?","createdAt":1760000000000}'
)
PAGE = b'{"comments":[%b],"nextCursor":"018f3c4e5a6b7c8d"}' % b",".join([ANSWER] * 10)


async def create(request: Request) -> Response:
    msgspec.json.decode(await request.body())
    return Response(ANSWER, media_type="application/json")


async def page(_: Request) -> Response:
    return Response(PAGE, media_type="application/json")


app = Starlette(
    routes=[Route("/comment/create", create, methods=["POST"]), Route("/comments/{video_id}", page, methods=["GET"])]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        backlog=4096,
        timeout_keep_alive=15,
    )
