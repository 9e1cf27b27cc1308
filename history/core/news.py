"""From when on a process asks for what others have announced through the store, by clocks that may be set."""

EVER = 0
"""Stores go back as far as they keep notices."""


def ask_from(asked_ms: int, now_ms: int, overlap_ms: int) -> int:
    """asked_ms: when it was asked last, by this process's wall clock, as now_ms. overlap_ms: how much clocks differ.

    If the last question's time lies ahead by more than that, then this clock was wrong for nobody knows how long, and
    the questions of that time have missed what was announced.
    """
    from_ms = asked_ms - overlap_ms
    return EVER if from_ms > now_ms else from_ms
