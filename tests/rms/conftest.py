"""A whole RMS node in the test's loop: real sockets, real gRPC to a fake dispatcher, a real SQLite history."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from history.opening import open_store
from history.store import Store
from rms.__main__ import Node, build
from rms.config import RmsSettings
from tests.rms.fake_dispatcher import FakeDispatcher, fake_dispatcher
from tests.waiting import eventually


@dataclass
class RunningNode:
    node: Node
    dispatcher: FakeDispatcher
    store: Store
    port: int

    @property
    def operators_port(self) -> int:
        return int(self.node.operators.address.rpartition(":")[2])


StartNode = Callable[..., Awaitable[RunningNode]]


@pytest.fixture
async def start_node(tmp_path: Path) -> AsyncIterator[StartNode]:
    async with AsyncExitStack() as stack:

        async def start(wait: bool = True, **settings: Any) -> RunningNode:
            dispatcher = await stack.enter_async_context(fake_dispatcher())
            url = f"sqlite:{tmp_path / 'comments.db'}"
            store = await open_store(url)
            stack.push_async_callback(store.close)
            values = {"listen": "127.0.0.1:0", "store": url, "dispatchers": dispatcher.address, **settings}
            node = await build(RmsSettings(_cli_parse_args=False, **values))  # type: ignore[call-arg]
            running = asyncio.create_task(node.run())

            async def stop() -> None:
                await node.stop()
                await running

            stack.push_async_callback(stop)
            # Both sides: a video that is opened before the node has read the welcome is read once more after it.
            await eventually(
                lambda: node.server.started and (not wait or (node.upstream.connected > 0 and dispatcher.connected))
            )
            return RunningNode(node, dispatcher, store, int(node.address.rpartition(":")[2]))

        yield start
