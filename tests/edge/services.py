"""Stand-ins for comment_service and three nodes that say what arrived. They show what a balancer does, and no more."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from proto.settings import join_address
from scripts.plan import LOCAL, free_ports

SERVICE = "comment_service"


class Services:
    """Each answers any request with JSON: its name, and the request's path and headers. With `?hold` the answer is a
    stream that doesn't end."""

    def __init__(self) -> None:
        self.names = (SERVICE, "rms-1", "rms-2", "rms-3")
        self.ports = dict(zip(self.names, free_ports(4), strict=True))
        self.status: dict[str, int] = {}
        """by name: the answer to all requests but for /health, of those that don't answer 200"""
        self._runners: dict[str, web.AppRunner] = {}
        self._over = asyncio.Event()

    @property
    def addresses(self) -> list[str]:
        """of comment_service and the nodes"""
        return [join_address(LOCAL, self.ports[name]) for name in self.names]

    async def start(self, name: str) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answerer(name))
        self._runners[name] = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runners[name].setup()
        await web.TCPSite(self._runners[name], LOCAL, self.ports[name]).start()

    async def stop(self, name: str) -> None:
        """From then on its port refuses connections."""
        await self._runners.pop(name).cleanup()

    async def __aenter__(self) -> Self:
        await asyncio.gather(*map(self.start, self.names))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        await asyncio.gather(*map(self.stop, list(self._runners)))

    def _answerer(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if "hold" in request.query:
                stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await stream.prepare(request)
                await stream.write(name.encode() + b"\n")
                await self._over.wait()
                return stream
            status = 200 if request.path.startswith("/health") else self.status.get(name, 200)
            headers = {key.lower(): ", ".join(request.headers.getall(key)) for key in request.headers}
            return web.json_response({"who": name, "path": request.raw_path, "headers": headers}, status=status)

        return answer
