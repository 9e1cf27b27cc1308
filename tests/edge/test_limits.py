"""Who may how much, behind each balancer: its clients have limits of their own, whatever they write. The services are
real ones, and the nodes are one."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from scripts.plan import LOCAL
from tests.comment_service.conftest import StartService, nowhere, start_service
from tests.edge.balancers import HASH, KINDS, Edge
from tests.rms.conftest import StartNode, start_node
from tests.waiting import eventually

__all__ = ["nowhere", "start_node", "start_service"]

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
LIES = {
    "X-Forwarded-For": "6.6.6.6",
    "Forwarded": "for=6.6.6.6",
    "X-Real-IP": "6.6.6.6",
    "X-Envoy-External-Address": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
}
STREAM = {"Accept": "text/event-stream"}
BEHIND = {"trusted_proxies": f"{LOCAL}/32", "unlimited_networks": f"{LOCAL}/32"}
"""The balancer's own checks have no limits."""


@contextlib.asynccontextmanager
async def client(balancer: Edge, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)
    async with aiohttp.ClientSession(balancer.clear_origin, connector=connector) as http:
        yield http


async def status(http: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> int:
    async with http.get(path, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize("kind", KINDS)
async def test_each_client_has_limits_of_its_own_and_lies_help_nobody(
    kind: str, certificates: Path, start_service: StartService, start_node: StartNode
) -> None:
    service = await start_service(reads_per_s=0.1, **BEHIND)
    node = await start_node(streams_per_address_max=1, **BEHIND)
    nodes = [f"{LOCAL}:{node.port}"] * 3
    async with (
        Edge(kind, HASH, f"{LOCAL}:{service.port}", nodes, certificates) as balancer,
        client(balancer, FIRST) as first,
        client(balancer, SECOND) as second,
    ):
        assert [await status(first, "/comment/v", lies) for lies in ({}, {}, LIES)] == [200, 429, 429]
        assert [await status(second, "/comment/v", lies) for lies in (LIES, {})] == [200, 429]
        for path in ("/comments/v", "/n/rms-1/comments/v"):
            async with first.get(path, headers=STREAM) as stream:
                assert stream.status == 200
                assert [await status(first, path, STREAM | lies) for lies in ({}, LIES)] == [429, 429]

                async def gets_in(
                    path: str = path,
                ) -> bool:  # a balancer may have tried twice, and seats go in a moment
                    return await status(second, path, STREAM | LIES) == 200

                await eventually(gets_in)
            await eventually(lambda: len(node.node.viewers) == 0)
