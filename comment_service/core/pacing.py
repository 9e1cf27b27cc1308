"""Decides how long to pause between two batches while many are unanswered, so that the next one is larger.

A dispatcher answers a batch when every node has acknowledged it. So one node that acknowledges late keeps the window of
unanswered batches full, and once it is full, no node gets anything. Until then each pause is longer than the last one:
with the square of its number. The first ones cost next to nothing, for they come up whenever nodes are many and gather
their acknowledgements; all together last longer than a dispatcher waits for any node.

Rule: no clock.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pacing:
    after: int
    """unanswered batches up to which there is no pause"""
    batches_max: int
    """at once unanswered: with so many, nothing can be sent"""
    window_ms: int
    """how long all pauses together last, from `after` to `batches_max`"""

    def pause_ms(self, unanswered: int) -> float:
        """After a batch was sent, when so many are unanswered"""
        number, pauses = unanswered - self.after, self.batches_max - self.after - 1
        if not 0 < number <= pauses:
            return 0
        squares = pauses * (pauses + 1) * (2 * pauses + 1) / 6  # 1 + 4 + 9 + ...
        return self.window_ms * number**2 / squares
