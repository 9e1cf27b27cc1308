"""Two versions of the RMS beside each other: one knows a kind of event that nobody else knows. Viewers change between
them while such events come between comments, and nothing is lost or doubled."""

import json
from collections.abc import Sequence

import aiohttp

from history.core.ids import IdSource
from history.core.model import Change
from history.opening import open_store
from history.store import History
from proto.event_pb2 import Event
from rms.clocks import wall_ms
from rms.feed.position import parse_position
from scripts.plan import Part
from tests.dispatcher.peers import PublisherPeer
from tests.end_to_end.newer_rms import FIELD, KIND
from tests.end_to_end.newsroom import TOKEN, VIDEO, Newsroom
from tests.end_to_end.viewers import HIDDEN, Viewer, agree, no_faults, watching
from tests.system import System
from tests.waiting import eventually

TODAY, LATER = 1, 2
"""The nodes, by number"""

SERVICE = 9
"""The number of the comment_service of the later version, which the test plays"""

ROUNDS = 8


class LaterService:
    """Retracts comments: durable first, then published until the nodes have acknowledged, as a comment_service does."""

    def __init__(self, history: History, publisher: PublisherPeer) -> None:
        self._history, self._publisher = history, publisher
        self._ids = IdSource(SERVICE)
        self._last_id = self._seq = 0
        self.told: list[str] = []
        """data of the events"""

    async def retract(self, comment_id: str) -> None:
        data = json.dumps({"id": comment_id})
        target_id, event_id, after_id = int(comment_id, 16), self._ids.next(wall_ms()), self._last_id
        row = Change(event_id, VIDEO, KIND, target_id=target_id, data=data.encode(), after_id=after_id)
        await self._history.apply([row])
        known = Event(id=event_id, after_id=after_id, name=KIND, data=data.encode())
        body = bytes([FIELD << 3 | 2, 9, 1 << 3 | 1]) + target_id.to_bytes(8, "little")
        event = Event.FromString(known.SerializeToString() + body)
        self._last_id, self._seq = event_id, self._seq + 1
        await self._publisher.publishes(self._seq, (VIDEO, event))
        assert await self._publisher.is_answered() == self._seq
        self.told.append(data)


def command_of(part: Part) -> Sequence[str]:
    later = "tests.end_to_end.newer_rms" if part.name == f"rms-{LATER}" else "rms"
    return tuple(later if word == "rms" else word for word in part.command)


def flags(role: str) -> list[str]:
    return {
        "rms": ["--gzip-viewers-min", "1", "--retry-ms", "200"],
        "comment-service": ["--admin-token", TOKEN],
    }.get(role, [])


async def talk(room: Newsroom, later: LaterService, movers: Sequence[Viewer], stayers: Sequence[Viewer]) -> None:
    """Comments, retracted and hidden ones among them, while the movers change nodes in turn. Each event has reached the
    stayers before the next one comes, so that the nodes have them in the same order."""
    for number in range(ROUNDS):
        for mover in movers[number % 2 :: 2]:
            here = mover.connections[-1].url if mover.connections else ""
            mover.go(room.stream(LATER if here == room.nodes[TODAY - 1] else TODAY))
        retracted, hidden, _ = await room.say(3)
        await agree(stayers, room.book)
        room.book.state[retracted] = HIDDEN
        await later.retract(retracted)
        await agree(stayers, room.book)
        assert await room.hide(hidden) == 200
        await agree(stayers, room.book)
        if number % 2:
            await room.restore(hidden)
            await agree(stayers, room.book)


async def check(room: Newsroom, later: LaterService, viewers: Sequence[Viewer]) -> None:
    """Each has the comments, and each event of the kind that is known to one node only, once."""

    def faults() -> list[str]:
        told = {viewer.name: [viewer.names[KIND, data] for data in later.told] for viewer in viewers}
        found = [f"{name} got retractions so often: {times}" for name, times in told.items() if set(times) != {1}]
        return found + [fault for viewer in viewers for fault in viewer.faults(room.book)]

    await no_faults(faults)


async def knows_the_kind(room: Newsroom, node: int, retracted: str) -> bool:
    """A node that does hides the comment from new viewers."""
    newcomer = room.viewer(node=node)
    async with watching([newcomer]):
        await eventually(lambda: room.book.visible().keys() <= newcomer.times.keys())
    return retracted not in newcomer.times


def covered(viewer: Viewer, data: str, ids: Sequence[int]) -> list[bool]:
    """Which events the position claims that came with this event"""
    return [*map(parse_position(viewer.positions[data]).claims().cover, ids)]


async def test_viewers_change_between_two_versions() -> None:
    system = System(restart=False, more_flags=flags, command_of=command_of)
    async with system, aiohttp.ClientSession() as http:
        room = Newsroom(system, http)
        history = await open_store(f"sqlite:{system.data / 'comments.db'}")
        async with PublisherPeer(system.plan["dispatcher"][0].address) as publisher:
            later = LaterService(history, publisher)
            forms = ((False, None), (True, None), (False, 100), (True, 100))
            movers = [room.viewer(node=node, gzip=gzip, rate=rate) for node in (TODAY, LATER) for gzip, rate in forms]
            stayers = [room.viewer(node=node) for node in (TODAY, LATER)]
            await room.say(5)
            async with watching([*stayers, *movers]):
                await agree(stayers, room.book)
                await talk(room, later, movers, stayers)
                await check(room, later, [*stayers, *movers])
                # What comes while both nodes are dead they can only read from history.
                for number in (TODAY, LATER):
                    await system.kill("rms", number)
                for comment_id in await room.say(3):
                    room.book.state[comment_id] = HIDDEN
                    await later.retract(comment_id)
                await room.say(3)
                for number in (TODAY, LATER):
                    await system.start_again("rms", number)
                for stayer, number in zip(stayers, (TODAY, LATER), strict=True):
                    stayer.go(room.stream(number))
                await eventually(lambda: {each.connections[-1].url for each in stayers} == set(room.nodes))
                await talk(room, later, movers, stayers)
                await check(room, later, [*stayers, *movers])
                last = json.loads(later.told[-1])["id"]
                assert [await knows_the_kind(room, node, last) for node in (TODAY, LATER)] == [False, True]
        await history.close()
    today, beside = stayers
    said = [data for data in today.positions if '"message"' in data or data in later.told]
    ids = sorted(int(json.loads(data)["id"], 16) for data in said)
    assert len(ids) == 5 + 2 * ROUNDS * 4 + 9
    for data in said:
        assert covered(today, data, ids) == covered(beside, data, ids), data
