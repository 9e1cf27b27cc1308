"""rms/sending/streamed.py: another server streams the same feed"""

import asyncio

import hypercorn.asyncio
import hypercorn.config

from rms.clocks import wall_ms
from rms.http.app import build_app
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment
from tests.waiting import eventually


async def test_another_server_streams_the_same_feed(start_node: StartNode) -> None:
    node = await start_node(heartbeat_ms=50, log_bytes_max=2_000, backfill_max=5, backfill=5)
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    stop = asyncio.Event()
    sockets = config.create_sockets()
    config.create_sockets = lambda: sockets  # type: ignore[method-assign]
    sockets.insecure_sockets[0].listen()  # from now on who comes waits until hypercorn serves
    port = sockets.insecure_sockets[0].getsockname()[1]
    app = build_app(node.node.settings, node.node.viewers, node.node.statistics)
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    await node.store.append([comment(n) for n in range(3)])
    async with viewer(port, "/comments/v") as raw:
        assert b"text/event-stream" in raw.head
        await raw.read_until(b"%016x" % comment(2).id)
        await raw.read_until(b":\n")
        assert len(node.node.viewers) == 1
        assert len(node.node.sweeper) == 0
        node.dispatcher.deliver([comment(n) for n in range(3, 30)])
        await raw.read_until(b"%016x" % comment(29).id)
        (video,) = node.node.served.videos
        video.feed.forgo(comment(1).id, comment(2).id, wall_ms())
        node.dispatcher.deliver([comment(30)])
        assert b"event: gap\n" in await raw.read_until(b"%016x" % comment(30).id)
    await eventually(lambda: len(node.node.viewers) == 0)
    stop.set()
    await serving
