"""Keeps the seats of viewers who ask again and again, while they are between two requests: so nobody else gets a seat
meanwhile, and the number of viewers doesn't go up and down with each answer.

A seat counts against its address's streams all the while. Viewers of one address are not told apart: who comes back
takes the seat that was left first. A seat is given up if nobody comes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from rms.sending.audience import Seat
from rms.videos.video import ServedVideo


class Kept(NamedTuple):
    video: ServedVideo
    seat: Seat | None
    """None: its address has no limits"""
    timer: asyncio.TimerHandle


class Seats:
    def __init__(self, rest_s: float, release: Callable[[ServedVideo], None]) -> None:
        """rest_s: for how long a seat is kept. release: ends the hold on a video that came with a seat."""
        self._rest_s = rest_s
        self._release = release
        self._kept: dict[tuple[str, str | None], deque[Kept]] = {}  # by video and address
        self._count = 0

    def __len__(self) -> int:
        """seats that are kept"""
        return self._count

    def keep(self, video: ServedVideo, seat: Seat | None, address: str | None) -> None:
        """Its viewer has got an answer. The caller's hold on the video goes with the seat."""
        timer = asyncio.get_running_loop().call_later(self._rest_s, self.take, video.video_id, address)
        self._kept.setdefault((video.video_id, address), deque()).append(Kept(video, seat, timer))
        self._count += 1

    def take(self, video_id: str, address: str | None) -> None:
        """A viewer of this video and address is back: the seat that was left first is kept no longer, if there is
        one."""
        if seats := self._kept.get((video_id, address)):
            kept = seats.popleft()
            kept.timer.cancel()
            if not seats:
                del self._kept[video_id, address]
            self._count -= 1
            if kept.seat is not None:
                kept.seat.free()
            self._release(kept.video)
