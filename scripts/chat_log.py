"""Reads a chat log, JSON lines `{"t", "user", "text"}`, and computes when each line is due in a replay."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

LAST_GROUP_S = 60.0
"""A log that has only one time spreads its lines over this duration: most logs with equal times know only minutes."""


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
    """A line that is no entry, and the reason."""

    line: int
    reason: str


def read(lines: Iterable[bytes], limit: int | None = None) -> tuple[list[Entry], list[BadLine]]:
    """Returns at most `limit` entries in the log's order, and the bad lines up to there. Empty lines are skipped, and a
    byte order mark at the beginning, as Windows' editors write it."""
    good: list[tuple[int, _Line]] = []
    bad: list[BadLine] = []
    decode = msgspec.json.Decoder(_Line).decode
    for number, whole in enumerate(lines, 1):
        line = whole.removeprefix(BOM_UTF8) if number == 1 else whole
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
    """Turns a log's times into seconds since its first line, never decreasing.

    Lines of equal time are spread evenly up to the next time, because many logs know only whole minutes. The last group
    takes as long as the one before it. A line that is older than the line before it is due together with that line.
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
