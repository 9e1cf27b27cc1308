"""Decides whether this process's wall clock is off, from what the dispatcher replicas say of theirs.

A replica answers with its wall clock. It read that between the moment at which it was asked and the moment at which its
answer came, so its clock less ours, its *offset*, lies in an interval as wide as the answer took: Cristian,
"Probabilistic clock synchronization" (Distributed Computing, 1989). A slow answer tells little, so of each replica the
narrowest recent interval is kept.

A clock is off if the whole interval lies beyond the bound. Whose clock? This process's, if it differs from most of the
replicas that it has heard lately, even if that is only one. Where it differs from no more than half of them, those
replicas are named, and this process is right.

Rule: no clock in here. `wall_ms` comes in, milliseconds since 1970 by this process's clock; so does `monotonic_ms`, of
the same moment. Every duration is a difference of two of the latter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Offset(NamedTuple):
    """A replica's clock less this process's lies between these, both included: in milliseconds."""

    low_ms: int
    high_ms: int

    @property
    def middle_ms(self) -> int:
        return (self.low_ms + self.high_ms) // 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose clocks are off, and by how many milliseconds: positive is ahead. Of a replica, beside this process."""

    own_ms: int | None
    """beside those replicas from which it differs; None: it isn't off"""
    replicas_ms: Mapping[str, int]
    """empty if this process is off"""


class _Heard(NamedTuple):
    offset: Offset
    at_ms: int
    """monotonic: when the answer came"""
    epoch_ms: int
    """the wall clock less the monotonic one, at that time: another number now means that the wall clock was set"""
    last_ms: int
    """monotonic: when the last answer came, which may have told less"""


class ClocksApart:
    """What the replicas have said of their clocks"""

    def __init__(self, off_ms_max: int, keep_ms: int) -> None:
        """off_ms_max: a clock may differ by so much. keep_ms: so long an answer counts."""
        self._off_ms_max = off_ms_max
        self._keep_ms = keep_ms
        self._heard: dict[str, _Heard] = {}

    def heard(self, replica: str, now_ms: int, *, asked_ms: int, monotonic_ms: int, wall_ms: int) -> None:
        """An answer has come now. now_ms: the replica's wall clock. asked_ms: monotonic"""
        offset = Offset(now_ms - wall_ms, now_ms - wall_ms + monotonic_ms - asked_ms)
        old = self._offset_now(replica, wall_ms, monotonic_ms)
        if old is not None and old.low_ms <= offset.high_ms and offset.low_ms <= old.high_ms and _narrower(old, offset):
            self._heard[replica] = self._heard[replica]._replace(last_ms=monotonic_ms)
            return  # if they contradict each other, the replica's clock was set, and the new one is right
        self._heard[replica] = _Heard(offset, monotonic_ms, wall_ms - monotonic_ms, monotonic_ms)

    def age_ms(self, replica: str, wall_ms: int, monotonic_ms: int) -> int | None:
        """How long ago it has answered; None: none of its answers counts"""
        if self._offset_now(replica, wall_ms, monotonic_ms) is None:
            return None
        return monotonic_ms - self._heard[replica].last_ms

    def offsets(self, wall_ms: int, monotonic_ms: int) -> dict[str, Offset]:
        """Of the replicas that were heard lately"""
        offsets = {replica: self._offset_now(replica, wall_ms, monotonic_ms) for replica in self._heard}
        return {replica: offset for replica, offset in offsets.items() if offset is not None}

    def verdict(self, wall_ms: int, monotonic_ms: int) -> Verdict:
        offsets = self.offsets(wall_ms, monotonic_ms)
        off = {
            replica: offset.middle_ms
            for replica, offset in offsets.items()
            if offset.low_ms > self._off_ms_max or offset.high_ms < -self._off_ms_max
        }
        if 2 * len(off) > len(offsets):
            return Verdict(-sorted(off.values())[len(off) // 2], {})
        return Verdict(None, off)

    def forget_old(self, monotonic_ms: int) -> None:
        """Answers that don't count any more"""
        self._heard = {
            replica: heard for replica, heard in self._heard.items() if monotonic_ms - heard.at_ms <= self._keep_ms
        }

    def _offset_now(self, replica: str, wall_ms: int, monotonic_ms: int) -> Offset | None:
        """As if it were heard now. None also if our wall clock was set by more than the bound since, or the machine
        has slept, which the monotonic clock doesn't count: then the replica must be asked again."""
        heard = self._heard.get(replica)
        if heard is None or monotonic_ms - heard.at_ms > self._keep_ms:
            return None
        set_by_ms = wall_ms - monotonic_ms - heard.epoch_ms
        if abs(set_by_ms) > self._off_ms_max:
            return None
        return Offset(heard.offset.low_ms - set_by_ms, heard.offset.high_ms - set_by_ms)


def _narrower(one: Offset, other: Offset) -> bool:
    return one.high_ms - one.low_ms < other.high_ms - other.low_ms
