"""A Starlette app on a real socket in the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from proto.http.server import HttpServer


@asynccontextmanager
async def serve(app: Starlette) -> AsyncIterator[int]:
    """Gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpServer(
            uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1)
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.stop()
            await serving
