"""What a viewer has of a video's events: the text of an event's `id:`, and what follows from it.

Events reach nodes in different orders. Clocks differ, a spool drains, a service is cut off for a while. But each
comment_service publishes a video's events in the order of their ids, and chains them (proto/event.proto, `after_id`).
So a position is a version vector (Parker et al., "Detection of mutual inconsistency in distributed systems", 1983): for
each service that spoke lately the last of its events that the viewer has. How late one service's events are beside
another's means nothing then, and no two clocks are compared.

    floor       every event below this id counts as had, of services that have no top
    top         of a service: all of its events up to this id are had
    island      of a service whose chain has a hole: all of its events from one id to another are had, too
    sure until  normally the viewer has everything that is older than LATE_MS; if the node that sent the position may
                have missed more, it says until when it is sure

As text, everything is in base64url: eight characters of floor, then six for a top of each service, then after `~` six
for each end of an island, then after `!` six for the time. One service gives 14 characters, each further one 6.

Rule: no clock, no socket; ids carry all the time there is.
"""

import re
from base64 import urlsafe_b64decode
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from history.core.ids import ID_MAX, InvalidId, first_id_at, parse_id, time_of

LATE_MS = 10_000
"""How much later than others' an event can become readable without anybody saying so: clocks apart, writes under way"""

KEPT_MS = 600_000
"""How long a service that is silent keeps its top; whoever is later than this is announced as a gap"""

SURE_STEP_MS = 1 << 12
"""The time until which a node is sure is written as a multiple of this."""

REACH_MS = 1 << 20
"""How far above the floor an id can be written: 17 minutes. Floors move seldom, so that positions compress well."""

TOPS_MAX = 256
"""In one position: 1.5 KB, which any proxy takes in a header"""

ISLANDS_MAX = 16
"""In one position. What is beyond them is not claimed, so a viewer that changes nodes then gets it twice."""

TEXT_BYTES_MAX = 8 + 6 * (TOPS_MAX + 2 * ISLANDS_MAX + 1) + 2

_TEXT = re.compile(r"([\w-]{8})((?:[\w-]{6})*)(?:~((?:[\w-]{12})+))?(?:!([\w-]{6}))?", re.ASCII)
_BARE_ID = re.compile(r"([0-7][0-9a-f]{15})(?:\.[0-9]{1,7}\.[0-9a-f]{12})?")

_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PAIRS = [(a + b).encode() for a in _CHARACTERS for b in _CHARACTERS]

SERVICES = 1 << 10


def service_of(event_id: int) -> int:
    """The number of the comment_service that gave the id"""
    return event_id >> 6 & SERVICES - 1


class InvalidPosition(ValueError):
    """The text is no position; the sentence says what one looks like."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:80]!r} is no Last-Event-ID of this service: send an event's id: field as it was")


@dataclass(frozen=True, slots=True)
class Position:
    """See above. Two positions are equal if they claim the same and were written from the same floor."""

    floor: int
    tops: tuple[int, ...] = ()
    """ids at or above the floor, one for each service, in the order of services"""
    islands: tuple[tuple[int, int], ...] = ()
    """both ends included; each above its service's top, ascending"""
    sure_ms: int | None = None
    """None: everything older than LATE_MS is had"""

    @property
    def high(self) -> int:
        """The highest id that it claims"""
        return max(*self.tops, *(high for _, high in self.islands), self.floor, 0)

    @property
    def sure_from(self) -> int:
        """Every event below this id is had. Above, one may be missing that isn't claimed."""
        sure_ms = time_of(self.high) - LATE_MS
        if self.sure_ms is not None:
            sure_ms = min(sure_ms, self.sure_ms)
        return min(first_id_at(sure_ms), self.high, *self.holes)

    @property
    def holes(self) -> list[int]:
        """Where the holes below the islands begin, without those between two islands of one service"""
        tops = dict(zip(map(service_of, self.tops), self.tops, strict=True))
        return [tops.get(service_of(low), self.floor) for low, _ in self.islands]

    def claims(self) -> "Claims":
        return Claims(self)

    def __str__(self) -> str:
        return Had.of(self).text().decode()


class Claims:
    """A position, to be asked about many events"""

    def __init__(self, position: Position) -> None:
        self.floor = position.floor
        self.tops = dict(zip(map(service_of, position.tops), position.tops, strict=True))
        self._islands: dict[int, list[tuple[int, int]]] = {}  # ascending
        for island in sorted(position.islands):
            self._islands.setdefault(service_of(island[0]), []).append(island)

    def cover(self, event_id: int) -> bool:
        """Does the viewer have this event?"""
        top = self.tops.get(event_id >> 6 & 1023)
        if event_id < self.floor if top is None else event_id <= top:
            return True
        islands = self._islands.get(event_id >> 6 & 1023, ())
        index = bisect_right(islands, (event_id, ID_MAX)) - 1
        return index >= 0 and event_id <= islands[index][1]


def parse_position(text: str) -> Position:
    """A bare event id is a position, too: the viewer has this event, and what is LATE_MS older. Raises
    InvalidPosition."""
    bare = _BARE_ID.fullmatch(text)
    if bare is not None:
        try:
            event_id = parse_id(bare[1])
        except InvalidId as invalid:
            raise InvalidPosition(text) from invalid
        return Position(first_id_at(time_of(event_id) - LATE_MS), (event_id,))
    match = _TEXT.fullmatch(text) if len(text) <= TEXT_BYTES_MAX else None
    if match is None:
        raise InvalidPosition(text)
    floor_ms = int.from_bytes(urlsafe_b64decode(match[1]), "big")
    tops = tuple(_id(floor_ms, number) for number in _numbers(match[2]))
    ends = [_id(floor_ms, number) for number in _numbers(match[3] or "")]
    islands = tuple(zip(ends[::2], ends[1::2], strict=True))
    sure_ms = _numbers(match[4])[0] * SURE_STEP_MS if match[4] else None
    if floor_ms + REACH_MS > time_of(ID_MAX):
        raise InvalidPosition(text)
    if len({service_of(top) for top in tops}) < len(tops) or any(
        low > high or service_of(low) != service_of(high) for low, high in islands
    ):
        raise InvalidPosition(text)
    return Position(first_id_at(floor_ms), tops, islands, sure_ms)


class Had:
    """The events that a feed, or one viewer, has had. Positions are made from it.

    Two claims aren't exact, on purpose: an event of a service without a top below the floor, and one in a hole that is
    closed. `covers` says True for both.
    """

    __slots__ = ("_base", "_codes", "_floor_ms", "_head", "_islands", "_services", "_text", "_tops", "high", "sure_ms")

    def __init__(self, floor_ms: int, base: int = 0) -> None:
        """base: everything below this id was had, or no viewer waits for it."""
        self._floor_ms = max(0, floor_ms)
        self._base = base
        self._tops: dict[int, int] = {}  # of each service that has one: also below the floor
        self._islands: dict[int, list[tuple[int, int]]] = {}  # ascending
        self._services: list[int] = []  # those whose tops are written, ascending
        self._codes: list[bytes] = []  # their tops as text
        self._head = _eight(self._floor_ms)
        self._text: bytes | None = None
        self.high: int | None = None
        """the highest id; None before the first one"""
        self.sure_ms: int | None = None
        """See Position.sure_ms"""

    @classmethod
    def of(cls, position: Position) -> "Had":
        had = cls(time_of(position.floor))
        for top in position.tops:
            had._set_top(service_of(top), top)
        for low, high in position.islands:
            had._islands.setdefault(service_of(low), []).append((low, high))
        had.high = max((*position.tops, *(high for _, high in position.islands)), default=None)
        had.sure_ms = position.sure_ms
        return had

    @property
    def floor(self) -> int:
        return first_id_at(self._floor_ms)

    def add(self, event_id: int, after_id: int, hidden_from_id: int = 0) -> int | None:
        """The event is had. after_id: its service has published nothing in between. hidden_from_id: not 0: from there
        on the service's events may not be readable, so nobody knows whether they were had.

        Returns the id from which on events of the service are missing below, if that is new.
        """
        service, at_ms = event_id >> 6 & 1023, event_id >> 16
        if self.high is None and at_ms < self._floor_ms:
            self._raise_floor(at_ms - KEPT_MS)  # lowers it: the clock that it was made from is ahead
        if self.high is None or event_id > self.high:
            self.high = event_id
            if at_ms - self._floor_ms >= REACH_MS:
                self.advance(at_ms)  # after a long silence
        top = self._tops.get(service)
        if top is not None and after_id == top and service not in self._islands:
            self._set_top(service, event_id)
            return None
        base = min(self._base, hidden_from_id) if hidden_from_id else self._base
        return self.claim(service, min(after_id + 1, event_id), event_id, base)

    def claim(self, service: int, low: int, high: int, base: int | None = None) -> int | None:
        """All events of the service from one id to another, both included, are had. base: and all below this id; None:
        below the feed's own. Returns where the hole below begins, if there is one now that wasn't there before."""
        base = self._base if base is None else base
        low, high = _first_of(service, low), last_of(service, high)
        if low > high:
            return None
        top, islands = self._top(service), self._islands.get(service, [])
        known = len(islands)
        if high > top:
            islands = _joined([*islands, (low, high)])
            while islands and islands[0][0] <= max(_first_of(service, top + 1), base):
                top = max(top, islands.pop(0)[1])
                self._set_top(service, top)
        if islands:
            if service not in self._tops and base > self.floor:
                top = last_of(service, base - 1)
                self._set_top(service, top)
            self._islands[service] = islands
            self._text = None
            return top + 1 if len(islands) > known else None
        self._islands.pop(service, None)
        return None

    def begin_at(self, base: int, floor_ms: int) -> None:
        """No viewer waits for what is below base: it counts as had, and below floor_ms every position says so."""
        self._base = max(self._base, base)
        for service, islands in list(self._islands.items()):
            self.claim(service, *islands[0])
        if floor_ms > self._floor_ms:
            self._raise_floor(floor_ms)

    def begin_of(self, event_id: int) -> int:
        """From which id on up to this one, which was had, all events of its service are had"""
        if event_id <= self._top(service_of(event_id)):
            return 0
        islands = self._islands.get(service_of(event_id), ())
        return next((low for low, high in islands if low <= event_id <= high), event_id)

    def hole_of(self, service: int) -> tuple[int, int] | None:
        """The lowest hole in a service's chain: its first id, and the first one above it that was had"""
        islands = self._islands.get(service)
        return (self._top(service) + 1, islands[0][0]) if islands else None

    @property
    def lowest_hole(self) -> int | None:
        """The first id of the lowest hole in any service's chain"""
        return min((self._top(service) + 1 for service in self._islands), default=None)

    @property
    def services_with_holes(self) -> list[int]:
        return list(self._islands)

    def covers(self, position: Position, from_id: int) -> bool:
        """Is everything from this id on that the position claims had here?"""
        for top in position.tops:
            if top >= from_id and top > self._top(service_of(top)):
                return False
        return all(
            high <= self._top(service_of(low))
            or high < from_id
            or any(a <= low and high <= b for a, b in self._islands.get(service_of(low), ()))
            for low, high in position.islands
        )

    def advance(self, now_ms: int) -> None:
        """Raises the floor from time to time, so that silent services lose their tops. now_ms: the wall clock; neither
        it nor one service's clock alone can raise the floor too far."""
        high_ms, margin_ms = (self.high or 0) >> 16, KEPT_MS // 10
        if now_ms - self._floor_ms < KEPT_MS + margin_ms and high_ms - self._floor_ms < REACH_MS - 2 * margin_ms:
            return  # nearly always
        if self.high is None:
            return
        newest_ms = max(min(now_ms, high_ms), high_ms - (REACH_MS - KEPT_MS) // 2)
        floor_ms = newest_ms - KEPT_MS
        if self.sure_ms is not None:
            floor_ms = min(floor_ms, self.sure_ms)
        for service in self._islands:
            floor_ms = min(floor_ms, time_of(self._top(service)))
        floor_ms = max(floor_ms, newest_ms - REACH_MS + 2 * margin_ms)  # a hole holds it, but not for ever
        if floor_ms >= self._floor_ms + margin_ms:
            self._raise_floor(floor_ms)

    def text(self) -> bytes:
        """The position as text"""
        if self._text is None:
            parts = [self._head, *self._codes]
            if self._islands:
                islands = [island for some in self._islands.values() for island in some][:ISLANDS_MAX]
                parts.append(b"~")
                parts += [_code(self._floor_ms, end) for island in islands for end in island]
            if self.sure_ms is not None:
                parts += [b"!", _six(max(0, self.sure_ms) // SURE_STEP_MS)]
            self._text = b"".join(parts)
        return self._text

    def changed(self) -> None:
        """To be called when `sure_ms` was set."""
        self._text = None

    def position(self) -> Position:
        return parse_position(self.text().decode())

    def _top(self, service: int) -> int:
        return self._tops.get(service, self.floor - 1)

    def _set_top(self, service: int, top: int) -> None:
        known = self._tops.get(service)
        self._tops[service] = top
        self._text = None
        if top >> 16 < self._floor_ms:
            return
        code = _code(self._floor_ms, top)
        if known is not None and known >> 16 >= self._floor_ms:
            self._codes[self._services.index(service)] = code
        else:
            self._write(service, code)

    def _write(self, service: int, code: bytes) -> None:
        at = next((index for index, each in enumerate(self._services) if each > service), len(self._services))
        self._services.insert(at, service)
        self._codes.insert(at, code)
        if len(self._services) > TOPS_MAX:
            tops = sorted(self._tops[each] for each in self._services)
            self._raise_floor(time_of(tops[len(tops) // 4]) + 1)

    def _raise_floor(self, floor_ms: int) -> None:
        self._floor_ms = floor_ms
        self._head = _eight(floor_ms)
        self._tops = {service: top for service, top in self._tops.items() if top >= self.floor}
        self._islands = {service: some for service, some in self._islands.items() if some[-1][1] >= self.floor}
        self._services = sorted(self._tops)
        self._codes = [_code(floor_ms, self._tops[service]) for service in self._services]
        self._text = None


def _first_of(service: int, event_id: int) -> int:
    """The smallest id of that service from this one on"""
    first = event_id >> 16 << 16 | service << 6
    return event_id if service_of(event_id) == service else first if first > event_id else first + (1 << 16)


def last_of(service: int, event_id: int) -> int:
    """The largest id of that service up to this one"""
    last = event_id >> 16 << 16 | service << 6 | 63
    return event_id if service_of(event_id) == service else last if last < event_id else last - (1 << 16)


def _joined(islands: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(islands):
        if joined and low <= _first_of(service_of(low), joined[-1][1] + 1):
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


def _eight(number: int) -> bytes:
    """48 bits as eight characters"""
    return _six(number >> 12) + _PAIRS[number & 4095]


def _six(number: int) -> bytes:
    """36 bits as six characters"""
    return _PAIRS[number >> 24] + _PAIRS[number >> 12 & 4095] + _PAIRS[number & 4095]


def _code(floor_ms: int, event_id: int) -> bytes:
    """service, milliseconds above the floor, sequence: 10, 20 and 6 bits. What is out of reach is claimed as less."""
    above_ms = min(max(0, (event_id >> 16) - floor_ms), REACH_MS - 1)
    number = (event_id >> 6 & 1023) << 26 | above_ms << 6 | event_id & 63
    return _PAIRS[number >> 24] + _PAIRS[number >> 12 & 4095] + _PAIRS[number & 4095]


def _id(floor_ms: int, number: int) -> int:
    return (floor_ms + (number >> 6 & REACH_MS - 1)) << 16 | number >> 26 << 6 | number & 63


def _numbers(groups: str) -> list[int]:
    """The 36-bit numbers of groups of six characters"""
    return [int.from_bytes(urlsafe_b64decode("AA" + groups[at : at + 6]), "big") for at in range(0, len(groups), 6)]
