"""Up to where a read from history finds all events of each comment_service.

What a service has published was durable before, with all of its earlier events of that video; but it may still lie in
the service's spool, where history can't read it. Rule: no clock, no socket.
"""

from collections.abc import Iterable, Mapping

from history.core.ids import ID_MAX, first_id_at
from rms.feed.event import Event
from rms.feed.position import service_of

CLOSED_MS = 60_000
"""After this a hole below what history has counts as closed, though its service has published nothing since"""


class Readable:
    __slots__ = ("_hidden", "_live")

    def __init__(self, hidden: Mapping[int, int]) -> None:
        """hidden: services that have events in their spools, from which id on"""
        self._live: dict[int, int] = {}  # by service: the highest id that was published here
        self._hidden = dict(hidden)

    @property
    def lowest_hidden(self) -> int:
        """From this id on services have events in their spools; ID_MAX: none has."""
        return min(self._hidden.values(), default=ID_MAX)

    def live(self, service: int) -> int:
        """The highest id that the service has published here; 0: none"""
        return self._live.get(service, 0)

    def note(self, event: Event) -> None:
        """The event was published here, if it says what can't be read."""
        if event.hidden_from_id is None:
            return
        service = service_of(event.id)
        self._live[service] = max(event.id, self.live(service))
        self._hidden.pop(service, None)
        if event.hidden_from_id:
            self._hidden[service] = event.hidden_from_id

    def promised(self, service: int) -> None:
        """History has all that the service had in its spool."""
        self._hidden.pop(service, None)

    def up_to(self, services: Iterable[int], now_ms: int) -> dict[int, int]:
        """For each of these services: up to which id a read that begins now finds all of its events"""
        found = {}
        for service in services:
            high = max(self.live(service), first_id_at(now_ms - CLOSED_MS) | service << 6)
            found[service] = min(high, self._hidden.get(service, high + 1) - 1)
        return found
