"""Keeps the seats of viewers who ask again and again, while they are between two requests: so nobody else gets a seat
meanwhile, and the number of viewers doesn't go up and down with each answer.

Nobody is told apart by it: who comes back takes the seat that was left first. A seat is given up if nobody comes.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from rms.videos.video import ServedVideo


class Seats:
    def __init__(self, rest_s: float, release: Callable[[ServedVideo], None]) -> None:
        """rest_s: for how long a seat is kept. release: ends the hold on a video that came with a seat."""
        self._rest_s = rest_s
        self._release = release
        self._kept: dict[str, deque[tuple[ServedVideo, asyncio.TimerHandle]]] = {}
        self._count = 0

    def __len__(self) -> int:
        """seats that are kept"""
        return self._count

    def keep(self, video: ServedVideo) -> None:
        """Its viewer has got an answer. The caller's hold on the video goes with the seat."""
        timer = asyncio.get_running_loop().call_later(self._rest_s, self.take, video.video_id)
        self._kept.setdefault(video.video_id, deque()).append((video, timer))
        self._count += 1

    def take(self, video_id: str) -> None:
        """A viewer of this video is back: the seat that was left first is kept no longer, if there is one."""
        if seats := self._kept.get(video_id):
            video, timer = seats.popleft()
            timer.cancel()
            if not seats:
                del self._kept[video_id]
            self._count -= 1
            self._release(video)
