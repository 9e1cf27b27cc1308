"""The order in which a video's events are published: that of their ids, each chained to the one before.

Events of one video can become durable in another order than they got their ids: writes go side by side. Nodes rely on
the order (rms/feed/position.py). So an event waits here for those of its video that were begun before it, until each of
them is durable or abandoned; that takes no longer than a write may. Other videos don't wait.

Rule 1: no clock. Rule 2: it does not know gRPC.
"""

from collections import deque
from typing import Generic, Protocol, TypeVar


class Identified(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def video_id(self) -> str: ...


E = TypeVar("E", bound=Identified)


class Chains(Generic[E]):
    def __init__(self, first_id: int, videos_max: int) -> None:
        """first_id: every id that this process has not given is smaller, and each that it gives is larger. videos_max:
        of which the last id is remembered; an event of another one is chained to the last of all that were dropped,
        which may make nodes look into history."""
        self._service = service_of(first_id)
        self._newest_id = self._floor = first_id
        self._videos_max = videos_max
        self._last: dict[str, int] = {}  # of each video the last id that was begun; the one used last is last
        self._begun: dict[str, deque[int]] = {}  # of each video with any, those that are neither put nor abandoned
        self._waiting: dict[int, E] = {}  # those that are put, behind one that isn't

    def __len__(self) -> int:
        """events that wait for others"""
        return len(self._waiting)

    def begin(self, video_id: str, event_id: int) -> int:
        """An event of the video has got this id. Returns the id before, for `after_id`. An id that this process hasn't
        just given belongs to no chain of its own: a retry completes what another process began."""
        if event_id <= self._newest_id or service_of(event_id) != self._service:
            return event_id - 1  # nothing is said about what that process has published
        self._newest_id = event_id
        after_id = self._last.pop(video_id, self._floor)
        self._last[video_id] = event_id
        if len(self._last) > self._videos_max:
            oldest = next(iter(self._last))
            self._floor = max(self._floor, self._last.pop(oldest))
        begun = self._begun.get(video_id)
        if begun is None:
            self._begun[video_id] = deque((event_id,))
        else:
            begun.append(event_id)
        return after_id

    def put(self, event: E) -> list[E]:
        """The event is durable. Returns what can be published now, in order."""
        begun = self._begun.get(event.video_id)
        if begun is None:
            return [event]
        if begun[0] != event.id:
            if event.id not in begun:
                return [event]
            self._waiting[event.id] = event
            return []
        if len(begun) == 1:
            del self._begun[event.video_id]
            return [event]
        begun.popleft()
        return [event, *self._released(event.video_id, begun)]

    def abandon(self, video_id: str, event_id: int, after_id: int | None = None) -> list[E]:
        """The event is not published. Returns what waited for it and can be published now.

        after_id: what `begin` returned, if the event surely isn't in history either: the next one is chained to that.
        Otherwise nodes look for it there.
        """
        if after_id is not None and self._last.get(video_id) == event_id:
            self._last[video_id] = after_id
        begun = self._begun.get(video_id)
        if begun is None or event_id not in begun:
            return []
        begun.remove(event_id)
        return self._released(video_id, begun)

    def _released(self, video_id: str, begun: deque[int]) -> list[E]:
        released = []
        while begun and begun[0] in self._waiting:
            released.append(self._waiting.pop(begun.popleft()))
        if not begun:
            del self._begun[video_id]
        return released


def service_of(event_id: int) -> int:
    """The number of the comment_service that gave the id"""
    return event_id >> 6 & 1023
