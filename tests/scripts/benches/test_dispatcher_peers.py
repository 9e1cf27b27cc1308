"""scripts/benches/dispatcher_peers.py: a replica, nodes and a publisher find each other, and all is acknowledged."""

import grpc.aio

from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches.dispatcher_peers import Nodes, Publisher, Replica


async def test_what_is_published_comes_to_every_node_once() -> None:
    async with Replica() as replica, Nodes(replica.address, "a", 3) as nodes:
        async with grpc.aio.insecure_channel(replica.address) as channel:
            publisher = Publisher(DispatcherStub(channel))
            assert await publisher.steadily(rate=100, seconds=0.1) == 10
            await publisher.close()
        taken = await nodes.report()
        assert [each.comments for each in taken] == [10, 10, 10]
        assert [each.comments for each in await nodes.report()] == [0, 0, 0]
