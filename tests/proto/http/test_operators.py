"""proto/http/operators.py, through real sockets: health with its reasons, metrics, and nothing that strangers reach"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from proto.http.operators import OperatorsPort
from proto.http_settings import HttpSettings


@asynccontextmanager
async def operators(ok: bool) -> AsyncIterator[aiohttp.ClientSession]:
    async def readiness() -> tuple[bool, Mapping[str, object]]:
        return ok, {"store": "of this or that"}

    registry = CollectorRegistry()
    Counter("things", "done", registry=registry).inc()
    port = OperatorsPort(HttpSettings.parse(["--requests-per-s", "0.1"]), readiness, registry)
    running = asyncio.create_task(port.run())
    async with aiohttp.ClientSession(f"http://{port.address}") as http:
        yield http
    port.stop()
    await running


@pytest.mark.parametrize(("ok", "status", "word"), [(True, 200, "ok"), (False, 503, "unavailable")])
async def test_it_tells_how_the_service_is(ok: bool, status: int, word: str) -> None:
    async with operators(ok) as http:
        for path in ("/health", "/health/ready"):
            async with http.get(path) as answer:
                assert answer.status == status
                assert await answer.json() == {"status": word, "store": "of this or that"}
        async with http.get("/health/live") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.get("/metrics") as answer:
            assert "things_total 1.0" in await answer.text()
        async with http.get("/elsewhere") as answer:
            assert answer.status == 404
            assert "/metrics" in (await answer.json())["error"]["message"]


def test_a_port_that_is_taken_is_said_with_its_flag() -> None:
    async def never() -> tuple[bool, Mapping[str, object]]:
        raise AssertionError

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="--operators-listen"):
        OperatorsPort(
            HttpSettings.parse(["--operators-listen", f"127.0.0.1:{taken.getsockname()[1]}"]),
            never,
            CollectorRegistry(),
        )
