"""An RMS is stopped, cut off or killed while comments are erased, hidden and restored, and an author is purged: in the
end nobody sees anything else than what history says, and nothing was lost or doubled on the way."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import aiohttp

from proto.channel import aio_channel
from proto.dispatch_pb2 import TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.plan import Part
from tests.end_to_end.newsroom import TOKEN, Newsroom
from tests.end_to_end.relay import Relay
from tests.end_to_end.viewers import AGREE_S, ERASED, HIDDEN, Viewer, agree, watching
from tests.system import System
from tests.waiting import eventually

STOP_S = 3.0
"""The fault: longer than a lease (2 s), so that the node is given up"""

CUT_S = 12.0
"""The fault: six leases, and longer than the 10 s after which positions count what they don't name as had (LATE_MS)"""

LOG_MS = 2_000
"""for which a node's log reaches back in that test: what 30 s are to the usual minute, and more"""

FLAGS = {
    "comment-service": ["--admin-token", TOKEN],
    "rms": ["--gzip-viewers-min", "1", "--retry-ms", "200"],
}


@dataclass
class Stage:
    system: System
    room: Newsroom
    viewers: list[Viewer]

    def at(self, node: int) -> list[Viewer]:
        """The viewers who are at this node now"""
        return [each for each in self.viewers if each.is_in and each.connections[-1].url == self.room.nodes[node - 1]]


@contextlib.asynccontextmanager
async def stage(relays: Sequence[Relay] = (), **more_flags: list[str]) -> AsyncIterator[Stage]:
    """Two dispatchers, two RMS with viewers in all forms, two comment_services. relays: between rms-1 and the
    dispatchers"""

    def command_of(part: Part) -> Sequence[str]:
        through = ["--dispatchers", ",".join(relay.address for relay in relays)] if relays else []
        return (*part.command, *(through if part.name == "rms-1" else []))

    system = System(
        comment_services=2,
        more_flags=lambda role: [*FLAGS.get(role, []), *more_flags.get(role.replace("-", "_"), [])],
        command_of=command_of,
    )
    for relay, part in zip(relays, system.plan["dispatcher"], strict=False):
        relay.target = part.address
    async with system, aiohttp.ClientSession() as http:
        room = Newsroom(system, http)
        viewers = [
            room.viewer(node=node, gzip=gzip, rate=rate)
            for node in (1, 2)
            for gzip, rate in ((False, None), (True, None), (False, 2), (True, 2))
        ]
        async with watching(viewers):
            yield Stage(system, room, viewers)


@dataclass
class Before:
    """Comments from before a fault, and what is to happen to them meanwhile"""

    to_erase: list[str]
    to_hide: list[str]
    to_restore: list[str]
    """hidden"""


async def begin(on: Stage) -> Before:
    """People talk, and some of what they say is moderated; all of it reaches everybody."""
    room = on.room
    first, second, third, *rest = await room.say(12)
    await room.say(3, author="mal")
    while [await room.hide(first), await room.hide(first)] != [200, 200]:
        pass  # for a lease after their start, dispatchers don't know whether there are more nodes; each service has one
    assert await room.restore(first) == 200
    assert await room.hide(second) == 200
    assert await room.erase(third) == 200
    await room.newcomers_agree(1, 2)  # at once: 200 says that the nodes have it
    await agree(on.viewers, room.book)
    return Before(to_erase=rest[:2], to_hide=rest[2:4], to_restore=[second])


async def moderate(room: Newsroom, before: Before) -> list[str]:
    """All that can happen to comments, to old ones and to new ones. Returns some that are hidden in the end."""
    for comment_id in before.to_erase:
        await room.erase(comment_id)
    for comment_id in before.to_hide:
        await room.hide(comment_id)
    for comment_id in before.to_restore:
        await room.restore(comment_id)
    await room.say(2, author="mal")
    gone, gone_after_all, back, hidden, hidden_first = await room.say(5)
    await room.erase(gone)
    for comment_id in (back, gone_after_all):
        await room.hide(comment_id)
        await room.restore(comment_id)
    await room.erase(gone_after_all)
    await room.hide(hidden)
    await room.hide(hidden_first)
    await room.erase(hidden_first)
    await room.purge("mal")
    return [*before.to_hide, hidden]


async def end(on: Stage, hidden: Sequence[str]) -> None:
    """Everybody comes to see what history says; and what is hidden can be restored to its place."""
    room = on.room
    await agree(on.viewers, room.book)
    await room.pages_agree()
    await room.newcomers_agree(1, 2)
    for comment_id in hidden:
        assert await room.restore(comment_id) == 200
    await agree(on.viewers, room.book)
    await room.pages_agree()
    await room.newcomers_agree(1, 2)


async def knowing(system: System, node_id: str) -> int:
    """How many dispatchers know the node, for its lease hasn't ended there"""
    known = 0
    for part in system.plan["dispatcher"]:
        async with aio_channel(part.address, None) as channel:
            topology = await DispatcherStub(channel).Topology(TopologyRequest(), timeout=5)
        known += node_id in {node.node_id for node in topology.nodes}
    return known


async def wait_known(system: System, node_id: str, dispatchers: int) -> None:
    async def is_so() -> bool:
        return await knowing(system, node_id) == dispatchers

    await eventually(is_so)


async def wait_all_at(on: Stage, number: int) -> None:
    await eventually(lambda: len(on.at(number)) == len(on.viewers))


@contextlib.asynccontextmanager
async def stopped(system: System, number: int) -> AsyncIterator[None]:
    """The RMS is stopped, as if its host hung."""
    process = system.process("rms", number)
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def lasting(seconds: float) -> AsyncIterator[None]:
    """A fault that lasts so long at least"""
    over_s = time.monotonic() + seconds
    yield
    await asyncio.sleep(max(0, over_s - time.monotonic()))


async def test_an_rms_is_stopped_for_three_seconds() -> None:
    async with stage() as on, contextlib.AsyncExitStack() as stack:
        before = await begin(on)
        async with stopped(on.system, 1), lasting(STOP_S), on.room.talking():
            assert await on.room.erase(before.to_erase[0]) == 200
            assert await knowing(on.system, "rms-1") < 2, "200 before its lease had ended"
            hidden = await moderate(on.room, before)
            await agree(on.at(2), on.room.book)
            await on.room.newcomers_agree(2)
            gone, (last, *_) = on.room.book.gone(ERASED, HIDDEN), await on.room.say()
            # Who comes now waits in the stopped process's queue, and is served when it goes on.
            queued = await stack.enter_async_context(on.room.asked_for_stream(1))
        # Nobody says anything any more that could show the node what it has missed.
        received = (await asyncio.wait_for(queued.readuntil(last.encode()), AGREE_S)).decode()
        assert not [message for message in gone if f'"{message}"' in received]
        await end(on, hidden)
        assert not [each for viewer in on.viewers for each in viewer.sent_after_erasure(on.room.book)]


async def test_an_order_answers_202_while_a_node_may_not_have_it() -> None:
    """The node is stopped for less than its lease: it gets all that was published meanwhile, over the same streams."""
    patient = ["--lease-ms", "8000"]
    async with stage(dispatcher=patient, comment_service=["--moderate-published-ms", "500"]) as on:
        before = await begin(on)
        async with stopped(on.system, 1):
            assert await on.room.erase(before.to_erase[0]) == 202
            assert await on.room.hide(before.to_hide[0]) == 202
            assert await on.room.restore(before.to_restore[0]) == 202
            assert await on.room.purge("mal") == 202
            await agree(on.at(2), on.room.book)
            assert all(viewer.faults(on.room.book) for viewer in on.at(1) if not viewer.is_thinned)
        await agree(on.viewers, on.room.book)
        await end(on, before.to_hide[:1])


async def test_an_rms_is_cut_off_from_all_dispatchers() -> None:
    """For longer than logs reach back here, so that history is read for those who come back."""
    short = ["--log-age-ms-max", str(LOG_MS), "--backfill", "5"]
    async with Relay() as first, Relay() as second, stage(relays=(first, second), rms=short) as on:
        before = await begin(on)
        there, back, away = movers = [on.room.viewer(node=2) for _ in range(3)]
        async with watching(movers):
            await agree(movers, on.room.book)
            away.leave()
            async with lasting(CUT_S), on.room.talking():
                first.cut()
                second.cut()
                assert await on.room.erase(before.to_erase[0]) == 200
                assert await knowing(on.system, "rms-1") < 2, "200 before its lease had ended"
                hidden = await moderate(on.room, before)
                await agree([*on.at(2), there, back], on.room.book)
                await on.room.newcomers_agree(2)
                await on.room.newcomers_see_nothing_gone(1)
                # They have more than the node that is cut off.
                there.go(on.room.stream(1))
                back.go(on.room.stream(1))
                await on.room.say(5)
            back.go(on.room.stream(2))
            away.go(on.room.stream(2))
            first.heal()
            second.heal()
            # Nobody says anything any more that could show the node what it has missed.
            await agree([*on.viewers, *movers], on.room.book)
            for mover in movers:
                mover.go(on.room.stream(1))
            await on.room.say(5)
            await end(on, hidden)
            await agree(movers, on.room.book)
            everybody = (*on.viewers, *movers)
            assert not [each for viewer in everybody for each in viewer.sent_after_erasure(on.room.book)]


async def test_an_rms_is_killed_and_its_viewers_go_to_the_other() -> None:
    """And then the other way round, so that nobody is where he was"""
    async with stage() as on:
        before = await begin(on)
        hidden = []
        async with on.room.talking():
            for number in (1, 2):
                moderating = asyncio.create_task(moderate(on.room, before))
                await on.system.kill("rms", number)
                hidden += await moderating
                await wait_all_at(on, 3 - number)
                await agree(on.viewers, on.room.book)
                await on.system.back_again("rms", number)
                await wait_known(on.system, f"rms-{number}", 2)
                before = Before(to_erase=hidden[:1], to_hide=before.to_restore, to_restore=hidden[1:2])
                hidden = hidden[2:]
        await end(on, hidden)
        assert not [each for viewer in on.viewers for each in viewer.sent_after_erasure(on.room.book)]
