"""What follows from two positions: what a viewer has that has both, and what it has beyond the other one.

Rule: no clock, no socket.
"""

from dataclasses import replace

from rms.feed.position import Had, Position, last_of, service_of


def merged(one: Position, other: Position) -> Position:
    """What a viewer has that has all that either of them claims"""
    had = Had.of(other if other.floor > one.floor else one)
    rest = one if other.floor > one.floor else other
    for top in rest.tops:
        had.claim(service_of(top), had.floor, top)
    for low, high in rest.islands:
        had.claim(service_of(low), low, high)
    had.sure_ms = min((each.sure_ms for each in (one, other) if each.sure_ms is not None), default=None)
    return had.position()


def beyond(position: Position, had: Had) -> Position:
    """What the position claims beyond what was had, and everything below its floor. Viewers who differ only in how much
    they have of what was had get the same."""

    def is_had(low: int, high: int) -> bool:
        return had.covers(Position(position.floor, islands=((low, high),)), 0)

    tops = [last_of(service_of(top), had.begin_of(top) - 1) if is_had(top, top) else top for top in position.tops]
    return replace(
        position,
        tops=tuple(top for top in tops if top >= position.floor),
        islands=tuple(island for island in position.islands if not is_had(*island)),
    )
