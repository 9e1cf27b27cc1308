"""Commit-adopt: several want a value each; does everybody want the same? Two rounds of plain writes and reads, without
compare and set. After E. Gafni, "Round-by-round fault detectors: unifying synchrony and asynchrony" (PODC 1998).

    1. write what you want; read what all want.      Nobody else wants anything: you are alone
    2. write whether you were alone; read what all wrote.
       Only you are there, and you were alone:       agreed, on your value
       somebody says that he was alone:              not agreed; go on with his value
       else:                                         not agreed; go on with your own

What is promised, wherever somebody is slow or dies: if it was agreed on a value for one, everybody else goes on with
that value. So those who aren't agreed can leave the decision to something dear, as an LWT is, by handing in the value
they go on with: it decides for the agreed one, or there is none. And who is alone, as nearly everybody is, never pays
for it.

The registers may be regular only (a read beside a write sees it or not, in any order), as a quorum's are: each of the
two rounds needs no more than that of two writers, the one whose write ends later sees the other's.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Wish(NamedTuple):
    """What one of them wants. Each wants it once, and no two want the same."""

    value: int
    was_alone: bool | None
    """its second word; None as long as that isn't said"""


def was_alone(mine: int, wishes: Sequence[Wish]) -> bool:
    """My second word, after the first reading. A wish that was made before is never alone again: what it said then may
    have been read."""
    return all(wish.value == mine and wish.was_alone is None for wish in wishes)


def decide(mine: int, wishes: Sequence[Wish]) -> tuple[int, bool]:
    """The value to go on with, after the second reading, and whether it is agreed."""
    said = [wish for wish in wishes if wish.was_alone is not None]
    alone = next((wish.value for wish in said if wish.was_alone), mine)
    return alone, [(wish.value, wish.was_alone) for wish in said] == [(mine, True)]
