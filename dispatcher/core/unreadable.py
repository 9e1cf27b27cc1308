"""Which comment_services have published events that history doesn't have yet, as they lie in a spool.

A node that opens a video reads history, and must not take for whole what it finds there. The services say so with each
batch; what one has said last holds as long as it is connected, and for a while after it went, for its spool may have
stayed.

Rule: no clock in here. `now_ms` comes in: milliseconds, from a clock that never steps back.
"""


class UnreadableEvents:
    def __init__(self, keep_ms: int, services_max: int) -> None:
        """keep_ms: how long the last word of a service counts that has gone. services_max: so many"""
        self._keep_ms = keep_ms
        self._services_max = services_max
        self._known: dict[int, tuple[int, int]] = {}  # service -> from which id on, and when it was said; oldest first

    def note(self, service: int, from_id: int, now_ms: int) -> None:
        """From this id on, events of the service may not be readable."""
        self._known.pop(service, None)
        self._known[service] = from_id, now_ms
        if len(self._known) > self._services_max:
            del self._known[next(iter(self._known))]

    def stays(self, service: int, now_ms: int) -> None:
        """What the service has said last still holds: it is connected, and has said nothing else."""
        if service in self._known:
            self.note(service, self._known[service][0], now_ms)

    def clear(self, service: int) -> None:
        """History has all of its events."""
        self._known.pop(service, None)

    def all(self, now_ms: int) -> list[tuple[int, int]]:
        """Services, and from which id on"""
        while self._known and next(iter(self._known.values()))[1] < now_ms - self._keep_ms:
            del self._known[next(iter(self._known))]
        return [(service, from_id) for service, (from_id, _) in self._known.items()]
