"""A server of events as tutorials write it: a task and a queue for each viewer. Takes its port as argument."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

queues: set[asyncio.Queue[str]] = set()


async def events(request: Request) -> StreamingResponse:
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


app = Starlette(routes=[Route("/events", events), Route("/publish", publish, methods=["POST"])])


def main() -> None:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
