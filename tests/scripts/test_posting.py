"""scripts/posting.py against a server that refuses, hangs up, and sends Retry-After."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from scripts.config import PostSettings
from scripts.posting import Acknowledged, GaveUp, Poster, Refusal

QUICK = PostSettings(wait_first_s=0.001, wait_max_s=0.002, give_up_s=10)
Respond = Callable[[web.Request], web.Response]


class Service:
    """Sends one response for each request, and records bodies and keys."""

    def __init__(self, *responses: Respond) -> None:
        self.responses = list(responses)
        self.bodies: list[object] = []
        self.keys: list[str] = []

    async def create(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.keys.append(request.headers["Idempotency-Key"])
        return self.responses.pop(0)(request)


def ok(request: web.Request) -> web.Response:
    return web.json_response({"id": "018f3c4e5a6b7c8d", "message": "more fields"})


def hangs_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def error(status: int, code: str, **headers: str) -> Respond:
    body = {"error": {"code": code, "message": f"why: {code}"}}
    return lambda request: web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def poster(service: Service, settings: PostSettings = QUICK) -> AsyncIterator[Poster]:
    app = web.Application()
    app.router.add_post("/comment/create", service.create)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield Poster(session, f"http://{host}:{port}", "v", settings=settings)
    finally:
        await runner.cleanup()


async def test_posts_the_body_that_the_api_expects() -> None:
    service = Service(ok)
    async with poster(service) as one:
        assert await one.post("Ann", "größer 🎉", "k") == Acknowledged("018f3c4e5a6b7c8d", 1)
    assert service.bodies == [{"liveVideoId": "v", "message": "größer 🎉", "author": {"name": "Ann"}}]


async def test_retries_with_the_same_key() -> None:
    service = Service(
        hangs_up,
        error(503, "store_unavailable", **{"Retry-After": "0"}),
        error(429, "too_fast"),
        lambda request: web.Response(status=502, text="<html>a balancer"),
        lambda request: web.Response(text="a 200, but no comment"),
        ok,
    )
    async with poster(service) as one:
        assert await one.post("Ann", "hi", "k") == Acknowledged("018f3c4e5a6b7c8d", 6)
    assert service.keys == ["k"] * 6


async def test_a_refusal_is_final() -> None:
    service = Service(error(422, "message_too_long"))
    async with poster(service) as one:
        assert await one.post("Ann", "x" * 501, "k") == Refusal("message_too_long", "why: message_too_long")


async def test_gives_up_when_retry_after_is_too_long() -> None:
    async with poster(Service(error(429, "too_fast", **{"Retry-After": "3600"}))) as one:
        with pytest.raises(GaveUp, match="429: why: too_fast"):
            await one.post("Ann", "hi", "k")


async def test_retry_after_is_obeyed() -> None:
    service = Service(error(503, "x", **{"Retry-After": "1"}), ok)
    async with poster(service) as one:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await one.post("Ann", "hi", "k")
        assert loop.time() - began_s >= 0.99
