"""A chat log: JSON lines `{"t", "user", "text"}`, and when each of them is due in a replay. Knows no clock."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

LAST_GROUP_S = 60.0
"""Over how long the last group of equal times is spread when it is the only one: logs with such groups know minutes."""


class _Line(msgspec.Struct):
    t: float
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `due_s` counts from the first entry."""

    line: int
    due_s: float
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no entry, and why."""

    line: int
    reason: str


def read(lines: Iterable[bytes], limit: int | None = None) -> tuple[list[Entry], list[BadLine]]:
    """At most `limit` entries, in the log's order, and the lines before them that are none. Empty lines are skipped."""
    good: list[tuple[int, _Line]] = []
    bad: list[BadLine] = []
    decode = msgspec.json.Decoder(_Line).decode
    for number, line in enumerate(lines, 1):
        if limit is not None and len(good) == limit:
            break
        if not line.strip():
            continue
        try:
            good.append((number, decode(line)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            bad.append(BadLine(number, str(error)))
    due = spread([line.t for _, line in good])
    return [Entry(number, at, line.user, line.text) for (number, line), at in zip(good, due, strict=True)], bad


def spread(times_s: Sequence[float]) -> list[float]:
    """From a log's times to times from its first line on, never going back.

    Lines of equal time are spread evenly up to the next time (many logs know only whole minutes); the last group takes
    as long as the one before it. A line that is older than the one before it is due with that one.
    """
    groups = [(at, sum(1 for _ in group)) for at, group in groupby(_never_back(times_s))]
    if not groups:
        return []
    starts = [at for at, _ in groups]
    last_gap_s = starts[-1] - starts[-2] if len(starts) > 1 else LAST_GROUP_S
    ends = [*starts[1:], starts[-1] + last_gap_s]
    return [
        at - starts[0] + (end - at) * index / count
        for (at, count), end in zip(groups, ends, strict=True)
        for index in range(count)
    ]


def _never_back(times_s: Iterable[float]) -> Iterator[float]:
    latest_s = float("-inf")
    for time_s in times_s:
        latest_s = max(latest_s, time_s)
        yield latest_s
