"""A chat log goes through each balancer to 200 viewers over HTTP/2, while a node dies, the balancer is reloaded, and
another node is drained: nobody misses a comment, and nobody gets one twice."""

import asyncio
import itertools
import ssl
from pathlib import Path

import aiohttp
import pytest

from scripts.audience import judge
from scripts.chat_log import read
from scripts.posting import Acknowledged, Poster
from tests.edge.balancers import HASH, KINDS, PLACED, Edge
from tests.edge.behind import addresses, behind, drain, node_of_most, viewers_of
from tests.edge.browsers import Crowd
from tests.replaying import SMALL_CHAT
from tests.waiting import eventually

VIEWERS = 100
"""of each way"""

PACE_S = 0.05
"""between two comments: 4,000 events a second are as many as Python's HTTP/2 reads beside a system on two cores"""


class Replay:
    """Posts a log's lines, from the first again when it is at its end, until `end`; and at least all of them once.
    Each line goes through the next of the posters."""

    def __init__(self, *posters: Poster) -> None:
        self.said: set[str] = set()
        self._posters = itertools.cycle(posters)
        self._ending = False
        with Path(SMALL_CHAT).open("rb") as lines:
            self._entries, _ = read(lines)
        self._posting = asyncio.create_task(self._post())

    async def more(self) -> None:
        """Returns when more has been said."""
        before = len(self.said)
        await eventually(lambda: len(self.said) >= before + 10 or self._posting.done())

    async def end(self) -> None:
        self._ending = True
        await self._posting

    async def _post(self) -> None:
        for turn in itertools.count():
            for entry in self._entries:
                if self._ending and turn:
                    return
                outcome = await next(self._posters).post(entry.user, entry.text, f"{turn}-{entry.line}")
                if isinstance(outcome, Acknowledged):
                    self.said.add(outcome.comment_id)
                await asyncio.sleep(PACE_S)


@pytest.mark.timeout(240)  # two balancers, a system and 200 viewers, on a machine that may be busy
@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_misses_or_doubles_a_comment(kind: str, certificates: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificates / "ca.pem")
    async with (
        behind() as system,
        Edge(kind, HASH, *addresses(system), certificates) as hashing,
        Edge(kind, PLACED, *addresses(system), certificates) as placing,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as http,
    ):
        edges = (hashing, placing)
        crowds = [Crowd(f"{edge.url}/comments/demo?backfill=0", VIEWERS, certificates) for edge in edges]
        async with crowds[0].watching(), crowds[1].watching():
            replay = Replay(*(Poster(http, edge.url, "demo") for edge in edges))
            await replay.more()
            for crowd in crowds:
                await crowd.wait_for(set(replay.said))  # so that each has a position
            assert not any(source.redirects for source in crowds[0].sources), "by hash there is no redirect"
            assert all(source.redirects for source in crowds[1].sources)

            dead = await node_of_most(system)
            await system.kill("rms", dead)
            await replay.more()
            await system.back_again("rms", dead)
            await replay.more()

            await asyncio.gather(*(edge.reload() for edge in edges))
            await replay.more()

            drained = await node_of_most(system)
            await drain(system, drained)
            await eventually(lambda: viewers_of(system, drained, 0))
            await replay.more()

            await replay.end()
            for crowd in crowds:
                await crowd.wait_for(replay.said)
        for crowd in crowds:
            verdict = judge([source.record for source in crowd.sources], dict.fromkeys(replay.said, 0.0))
            assert (verdict.lost, verdict.doubled) == (0, 0), "\n".join(faults(crowd, replay.said))
            assert not [name for source in crowd.sources for name in source.named if name.startswith("gap")]
            assert all(source.opened > 1 for source in crowd.sources), "each was cut at least once"


def faults(crowd: Crowd, said: set[str]) -> list[str]:
    """What went wrong with whom. Comments are numbered as they were said."""
    numbers = {comment_id: number for number, comment_id in enumerate(sorted(said))}
    words = []
    for source in crowd.sources:
        lost = sorted(numbers[each] for each in said - source.record.read_at_s.keys())
        doubled = [numbers.get(each) for each in source.record.repeated]
        named = [name for name in source.named if name != "viewers"]
        if lost or doubled:
            words.append(f"{source.url} of {len(said)} {lost=} {doubled=} {source.opened=} {source.history} {named}")
    return words
