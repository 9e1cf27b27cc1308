"""dispatcher/cli/drain.py: a node gets the request once; the rest is tested in test_topology.py."""

import asyncio

from dispatcher.cli.drain import drain
from proto.dispatch_pb2 import DrainRequest
from tests.dispatcher.peers import NodePeer, RunningReplica


async def test_a_node_of_two_replicas_gets_the_request_once() -> None:
    async with (
        RunningReplica() as one,
        RunningReplica() as two,
        NodePeer(one.listen) as at_one,
        NodePeer(two.listen) as at_two,
    ):
        await at_one.hello()
        await at_two.hello()
        request = DrainRequest(node_id="rms-1", draining=True)
        outcome = await asyncio.to_thread(drain, [one.listen, two.listen], request, 300)
        assert (outcome.known, outcome.agreed) == (True, False)
        await at_one.hears("drain")
        await at_two.beats()


async def test_replicas_that_are_away_are_named() -> None:
    async with RunningReplica() as gone:
        address = gone.listen
    outcome = await asyncio.to_thread(drain, [address], DrainRequest(node_id="rms-1"), 300)
    assert (outcome.known, [away.address for away in outcome.unreachable]) == (False, [address])
