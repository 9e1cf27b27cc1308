"""Authors who post at a steady rate through everything that happens to the service, and what they got for it.

While the process is down they wait for its next life, as a page does that is told "try again". A post that was cut is
sent again, so one text can be stored under two ids; only the acknowledged one counts, and how many were cut is told.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
import msgspec

from scripts.benches.outage_config import OUTAGE, OutageSettings


class Acknowledged(NamedTuple):
    video_id: str
    message: str
    due_s: float
    at_s: float


@dataclass
class Tally:
    """Monotonic seconds."""

    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)  # by the comment's id
    errors: Counter[str] = field(default_factory=Counter)  # answers that were no 200, by status and code
    cut: int = 0  # posts whose connection ended without an answer
    lives: list[tuple[float, float]] = field(default_factory=list)  # when the process was up, from and to


class _Comment(msgspec.Struct):
    id: str


class Authors:
    """Posts to the videos in turn. `up_since` and `gone` tell it of the process's lives."""

    def __init__(self, base_url: str, videos: Sequence[str], settings: OutageSettings = OUTAGE) -> None:
        self.tally = Tally()
        self._url = f"{base_url}/comment/create"
        self._videos = videos
        self._settings = settings
        self._is_up = asyncio.Event()
        self._up_since_s = 0.0
        self._posts = 0

    def up_since(self, at_s: float) -> None:
        """The process listens."""
        self._up_since_s = at_s
        self._is_up.set()

    def gone(self, at_s: float) -> None:
        if self._is_up.is_set():
            self._is_up.clear()
            self.tally.lives.append((self._up_since_s, at_s))

    async def post(self, rate: float, until: asyncio.Event) -> None:
        """Until the event is set; returns when all that was begun is answered, or given up."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            start_s = self._up_since_s = time.monotonic()
            while not until.is_set():
                due_s = start_s + self._posts / rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                self._posts += 1
                group.create_task(self._post(session, self._posts, due_s))
        self.gone(time.monotonic())

    async def _post(self, session: aiohttp.ClientSession, number: int, due_s: float) -> None:
        video = self._videos[number % len(self._videos)]
        message = f"what a goal, number {number}"
        body = msgspec.json.encode({"liveVideoId": video, "message": message, "author": {"name": f"u{number % 1000}"}})
        headers = {"Content-Type": "application/json"}
        if number % self._settings.keyed_every == 0:
            headers["Idempotency-Key"] = f"outage-{number}"
        while time.monotonic() < due_s + self._settings.give_up_s:
            await self._is_up.wait()
            answered = await self._try(session, body, headers)
            if answered is not None:
                self.tally.acknowledged[answered] = Acknowledged(video, message, due_s, time.monotonic())
                return
            await asyncio.sleep(self._settings.again_s)
        self.tally.errors["given up"] += 1

    async def _try(self, session: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> str | None:
        """The comment's id; None: no answer, or an error"""
        timeout = aiohttp.ClientTimeout(total=self._settings.answer_timeout_s)
        try:
            async with session.post(self._url, data=body, headers=headers, timeout=timeout) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.tally.cut += 1
            return None
        if response.status == 200:
            return msgspec.json.decode(answer, type=_Comment).id
        self.tally.errors[str(response.status)] += 1
        return None


def longest_pause_s(tally: Tally) -> float:
    """The longest time within one of the process's lives in which nobody got a 200."""
    times = sorted(each.at_s for each in tally.acknowledged.values())
    longest = 0.0
    for begin_s, end_s in tally.lives:
        points = [begin_s, *(at_s for at_s in times if begin_s < at_s < end_s), end_s]
        longest = max(longest, *(later - earlier for earlier, later in itertools.pairwise(points)))
    return longest


def longest_wait_s(tally: Tally) -> float:
    """The longest that an author waited for his 200, from when it was due; what the process was down for isn't
    counted."""
    begins = [begin_s for begin_s, _ in tally.lives]
    waits = [
        each.at_s - max(each.due_s, max((begin_s for begin_s in begins if begin_s <= each.at_s), default=0.0))
        for each in tally.acknowledged.values()
    ]
    return max(waits, default=0.0)
