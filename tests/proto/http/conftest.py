"""These tests run on both event loops: the services use uvloop, whose transports differ from asyncio's in details."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import uvloop
from starlette.types import ASGIApp

from proto.http.connection import Shortcut
from proto.http.guard import Guard
from proto.http.server import build_server
from proto.http_settings import HttpSettings
from proto.listening import listen
from tests.proto.http.serving import LIMITS, Serve, Serving
from tests.waiting import eventually


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(
            app: ASGIApp,
            shortcut: Shortcut | None = None,
            offers_socket: bool = False,
            guard: Guard | None = None,
            **limits: float,
        ) -> Serving:
            changed: Any = limits
            server = build_server(
                app,
                replace(LIMITS, **changed),
                guard or Guard(HttpSettings.parse(["--unlimited-networks", "127.0.0.0/8"]), Counter()),
                stop_s=1.0,
                shortcut=shortcut,
                offers_socket=offers_socket,
            )
            listener = listen("127.0.0.1:0", 100, 30_000)
            running = asyncio.create_task(server.serve(sockets=[listener]))

            async def stop() -> None:
                server.stop()
                await running

            stack.push_async_callback(stop)
            await eventually(lambda: server.started)
            return Serving(server, listener.getsockname()[1], stack)

        yield start
