"""What viewers of one address, and all together, may take of a node: streams, new videos, reads of history."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping

from proto.core.stream_request import WAIT, wants_poll
from proto.http.guard import Guard, Limit, Share, TooMany
from proto.http.peer import LimitOf
from proto.http.requests import Head
from rms.config import RmsSettings, ViewersHttpSettings
from rms.videos.request import Refused

_POLLS = re.compile(rb"(?:^|&)%b=" % WAIT.encode())
"""Who may be a viewer that asks once or twice a second"""


class Allowances:
    """Belongs to one event loop. key: `proto.core.caller.Caller.key`, or what a door has told of it"""

    def __init__(self, settings: RmsSettings) -> None:
        self.refused: Counter[str] = Counter()
        """refusals by code"""
        self.guard = guard = Guard(settings, self.refused)
        self.limit_of = streams_limit(guard, settings)
        self._streams = guard.share("too_many_streams", "open streams", settings.streams_per_address_max)
        self._videos = guard.limit(
            "too_many_new_videos", "new videos", settings.new_videos_per_s, settings.new_videos_per_s_max
        )
        self._reads = guard.limit(
            "too_many_reads", "reads of the past", settings.history_reads_per_s, settings.history_reads_per_s_max
        )

    def take_seat(self, key: str | None) -> "Seat | None":
        """It has one stream more, until the seat is freed. None: it has no limits. Raises Refused."""
        _refuse(self._streams.take(key))
        return None if key is None else Seat(self._streams, key)

    def open_video(self, key: str | None) -> None:
        """Counts a video that is served from now on, because it is asked for. Raises Refused."""
        _refuse(self._videos.over(key, asyncio.get_running_loop().time()))

    def read_history(self, key: str | None) -> None:
        """Counts a read of the store for one viewer. Raises Refused."""
        _refuse(self._reads.over(key, asyncio.get_running_loop().time()))


class Seat:
    """A stream that counts against its address's, until it is freed or forgotten: a response that never begins has
    nobody who could free it."""

    __slots__ = ("_share", "key")

    def __init__(self, share: Share, key: str) -> None:
        self._share: Share | None = share
        self.key = key

    def free(self) -> None:
        """Idempotent"""
        share, self._share = self._share, None
        if share is not None:
            share.free(self.key)

    __del__ = free


FREE: Mapping[str, str] = {
    "/health/live": "always the same answer",
    "/health/ready": "told from memory",
}
"""Routes whose GET counts as a request only, and why. A HEAD of any route is answered without looking at anything."""


def streams_limit(guard: Guard, settings: ViewersHttpSettings) -> LimitOf:
    """Counts new streams and long polls, of a node or a door."""
    streams = guard.limit(
        "too_many_new_streams", "new streams", settings.new_streams_per_s, settings.new_streams_per_s_max
    )
    polls = guard.limit("too_many_polls", "long polls", settings.polls_per_s, settings.polls_per_s_max)

    def limit_of(head: Head) -> Limit | None:
        if head.method != "GET" or not head.path.startswith("/comments/"):
            return None
        return polls if _polls(head) else streams

    return limit_of


def _polls(head: Head) -> bool:
    """Whether it is answered with JSON. A stream may have `wait` in its query, too."""
    if not _POLLS.search(head.query):
        return False
    accept = b", ".join(value for name, value in head.headers if name == b"accept")
    return wants_poll({WAIT: ""}, accept.decode("latin-1"))


def _refuse(over: TooMany | None) -> None:
    if over is not None:
        raise Refused(over.status, over.code, over.message, over.wait_s)
