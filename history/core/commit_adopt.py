"""Commit-adopt: several processes propose a value each; is it already agreed which one holds? Two rounds of plain
writes and reads, without compare and set. After E. Gafni, "Round-by-round fault detectors: unifying synchrony and
asynchrony" (PODC 1998).

    1. write your proposal; read all proposals.     There is no other one: you are alone
    2. write whether you were alone; read what all have written.
       Yours is the only one, and you were alone:   agreed, on your value
       one of them was alone:                       not agreed; go on with its value
       some have not written yet:                   not agreed; go on with the smallest value of these
       else:                                        not agreed; go on with your own

Guarantee, wherever a process is slow or dies: if one process found its value agreed, every other one goes on with that
value. So a process that isn't agreed can hand the value it goes on with to an expensive decision, such as an LWT: if
there is an agreed value, no other one is handed in. A process that is alone, as nearly all are, never pays for that.

Of all who propose, one at most is ever alone, and all others see its proposal in the first round: it had ended its
write before it read, and their writes hadn't ended then, so their reads begin later. So whoever is not agreed knows by
the proposals it has seen who may have been alone: those that have not written that they weren't. One who was alone may
act on its value already beside its second write, if the others undo that should the decision be against it. If nobody
says that it was alone, no value is agreed (the agreed one's second write would have ended before their reading), and
any may be handed in. The third line of round 2 makes it the one of who may be alone, so that there is hardly ever
anything to undo: with two processes never.

The registers may be regular only, as a quorum's are: a read beside a write sees it or not, in any order. Each round
needs only this: of two writers, the one whose write ends later sees the other's.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Proposal(NamedTuple):
    """What one process wants. Each proposes once, and no two propose the same value."""

    value: int
    was_alone: bool | None
    """What it wrote in the second round; None: nothing yet"""


def was_alone(mine: int, proposals: Sequence[Proposal]) -> bool:
    """What to write in the second round, after the first reading. A proposal that is made again is never alone: what
    it wrote the first time may have been read."""
    return all(each.value == mine and each.was_alone is None for each in proposals)


def decide(mine: int, proposals: Sequence[Proposal]) -> tuple[int, bool]:
    """The value to go on with, after the second reading, and whether it is agreed."""
    second = [each for each in proposals if each.was_alone is not None]
    if [(each.value, each.was_alone) for each in second] == [(mine, True)]:
        return mine, True
    alone = next((each.value for each in second if each.was_alone), None)
    if alone is not None:
        return alone, False
    return min((each.value for each in proposals if each.was_alone is None), default=mine), False


def perhaps_alone(proposals: Sequence[Proposal]) -> list[int]:
    """The values of those who were alone, or may find that they were"""
    return [each.value for each in proposals if each.was_alone is not False]
