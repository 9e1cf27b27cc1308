"""rms/videos/seats.py: a seat is kept for its viewer, and given up once: when he is back, or after a while"""

from collections.abc import Callable
from typing import Any, cast

import pytest

from rms.videos.seats import Seats
from rms.videos.video import ServedVideo


class Timers:
    """Stands for an event loop, whose time is the test's"""

    def __init__(self) -> None:
        self.left: list[Timer] = []

    def call_later(self, _delay_s: float, callback: Callable[..., None], *args: object) -> "Timer":
        self.left.append(Timer(self, lambda: callback(*args)))
        return self.left[-1]

    def ring(self) -> None:
        self.left.pop(0).callback()


class Timer:
    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self._timers = timers
        self.callback = callback

    def cancel(self) -> None:
        if self in self._timers.left:
            self._timers.left.remove(self)


class Named:
    """A video, or a seat"""

    def __init__(self, name: str, freed: list[str] | None = None) -> None:
        self.video_id = self.key = self._name = name
        self._freed = freed

    def free(self) -> None:
        assert self._freed is not None
        self._freed.append(self._name)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    timers = Timers()
    monkeypatch.setattr("rms.videos.seats.asyncio.get_running_loop", lambda: timers)
    return timers


def test_a_seat_is_given_up_once_and_no_other_in_its_place(timers: Timers) -> None:
    released: list[Any] = []
    freed: list[str] = []
    seats = Seats(3.0, released.append)
    video = cast(ServedVideo, Named("v"))
    seats.keep(video, Named("first", freed), "a")
    seats.keep(video, Named("second", freed), "a")
    seats.keep(video, Named("other's", freed), "b")
    seats.keep(video, None, None)
    assert len(seats) == 4
    seats.take("v", "a")
    assert (freed, released, len(seats)) == (["first"], [video], 3)
    assert len(timers.left) == 3, "the time of who is back is over"
    seats.take("w", "a")
    seats.take("v", "c")
    assert len(seats) == 3
    while timers.left:
        timers.ring()
    assert (freed, released, len(seats)) == (["first", "second", "other's"], [video] * 4, 0)
    seats.take("v", "a")
    assert len(released) == 4
