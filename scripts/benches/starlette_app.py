"""A server of events as tutorials write it, with a task and a queue for each viewer; and the least that answers a post.

`python -m scripts.benches.starlette_app PORT`. For the history bench it parses a comment's JSON and answers a constant,
and answers a constant page; it checks, stores and publishes nothing. uvicorn is set up as comment_service sets it up.
"""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

ANSWER = (
    b'{"id":"018f3c4e5a6b7c8d","liveVideoId":"bench","author":{"id":"guest:Anonymous","name":"Anonymous"},'
    b'"message":"What a match, did you see that?","createdAt":1760000000000}'
)
PAGE = b'{"comments":[%b],"nextCursor":"018f3c4e5a6b7c8d"}' % b",".join([ANSWER] * 10)

queues: set[asyncio.Queue[str]] = set()


async def events(_: Request) -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)

    return StreamingResponse(stream(), media_type="text/event-stream")


async def publish(request: Request) -> Response:
    frame = f"id: 0\ndata: {(await request.body()).decode()}\n\n"
    for queue in queues:
        queue.put_nowait(frame)
    return Response()


async def create(request: Request) -> Response:
    msgspec.json.decode(await request.body())
    return Response(ANSWER, media_type="application/json")


async def page(_: Request) -> Response:
    return Response(PAGE, media_type="application/json")


app = Starlette(
    routes=[
        Route("/comment/create", create, methods=["POST"]),
        Route("/comments/{video_id}", page, methods=["GET"]),
        Route("/events", events),
        Route("/publish", publish, methods=["POST"]),
    ]
)


def main() -> None:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
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
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
