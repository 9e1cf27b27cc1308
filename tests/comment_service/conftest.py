"""Fake dispatchers, and a whole comment_service in the test's loop: real HTTP, real gRPC, a real SQLite history."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from comment_service.config import Config
from comment_service.service import Service, build
from scripts.plan import free_ports
from tests.comment_service.fake_dispatcher import FakeDispatcher, fake_dispatcher
from tests.waiting import eventually


@pytest.fixture
async def dispatcher() -> AsyncIterator[FakeDispatcher]:
    async with fake_dispatcher() as fake:
        yield fake


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens"""
    return f"127.0.0.1:{free_ports(1)[0]}"


@dataclass
class RunningService:
    service: Service
    http: aiohttp.ClientSession
    operators: aiohttp.ClientSession
    """at the operators' port"""
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def operators_port(self) -> int:
        return int(self.service.operators.address.rpartition(":")[2])


StartService = Callable[..., Awaitable[RunningService]]


def config(tmp_path: Path, dispatchers: str, **settings: Any) -> Config:
    values = {
        "listen": "127.0.0.1:0",
        "store": f"sqlite:{tmp_path / 'comments.db'}",
        "state_dir": tmp_path / "state",
        "dispatchers": dispatchers,
        "stop_backlog_ms": 0,
        **settings,
    }
    return Config(_cli_parse_args=False, **values)  # type: ignore[call-arg]


@pytest.fixture
async def start_service(tmp_path: Path, nowhere: str) -> AsyncIterator[StartService]:
    """Starts a service: `await start_service(dispatchers=fake.address, node=1)`. Ends what it started."""
    async with AsyncExitStack() as stack:

        async def start(*, wait: bool = True, dispatchers: str = nowhere, **settings: Any) -> RunningService:
            service = await build(config(tmp_path, dispatchers, **settings))
            running = asyncio.create_task(service.run())

            async def stop() -> None:
                service.stop()
                await running

            stack.push_async_callback(stop)
            url = f"http://{service.address}"
            http = await stack.enter_async_context(aiohttp.ClientSession(url))
            if wait:
                await eventually(lambda: _is_ready(http))
                # A store that a busy machine opens slowly is away meanwhile, and the service is ready without it.
                await eventually(lambda: not service.spooled.is_away)
            inside = aiohttp.ClientSession(f"http://{service.operators.address}")
            return RunningService(service, http, await stack.enter_async_context(inside), url)

        yield start


async def _is_ready(http: aiohttp.ClientSession) -> bool:
    async with http.get("/health/ready") as answer:
        return answer.status == 200
